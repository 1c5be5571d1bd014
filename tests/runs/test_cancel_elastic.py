"""A run on a cluster with one master is cancelled at any moment: no one is disconnected.

What it left drained or powered off is what its card says, and a start-up brings it back.
"""

import pytest

from services.access.policy import Actor
from services.common.errors import BotError
from services.procedures import Procedure, ResizeMasters, Restart, Shutdown, Startup
from services.runs.run import OVER, State
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.coverage_level import FULL
from tests.support.short_scene import short_scene

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
MOMENTS = range(0, 420, 5 if FULL else 35)


def cancelled_after(kind: str, procedure: Procedure, seconds: float) -> None:
    async def story() -> None:
        async with short_scene(media=2, deployment="elastic", kind=kind) as scene:
            await scene.start_bot()
            scene.estate.open_meeting(people=4, minutes=1)
            service = scene.bot.operations.service
            await service.request(ANA, "acme", procedure, channel="COPS")
            for waiting in await scene.bot.operations.reader.waiting("acme"):
                await service.approve(waiting.id, ANA if waiting.startable else BEN)
            await scene.wait(seconds)
            try:
                await service.cancel("acme-1", ANA)
            except BotError:
                assert (await scene.journal.run("acme-1")).state in OVER, "too late to cancel"
            run = await scene.run_is("acme-1", *OVER)
            assert run.state in (State.CANCELLED, State.DONE)
            assert scene.estate.people_disconnected == 0
            assert set(scene.estate.signals.values()) <= {1}
            if run.state is State.CANCELLED:
                await scene.wait(300)
                scene.estate.settle()
                if not (scene.estate.serving("acme") and scene.estate.front_is_up("acme")):
                    again = await insist(scene, Startup())
                    assert again.state is State.DONE, again.stopped
                assert scene.estate.serving("acme")
                assert scene.estate.front_is_up("acme")

    virtual.run(story())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
@pytest.mark.parametrize(
    "procedure",
    [
        Shutdown(),
        Restart("master"),
        Restart("master", service=True),
        ResizeMasters("s-8vcpu-16gb"),
    ],
    ids=lambda p: p.command_line(),
)
def test_cancelled_at_any_moment(kind: str, procedure: Procedure, seconds: float) -> None:
    cancelled_after(kind, procedure, float(seconds))
