"""Killed between any two calls, in every kind of fleet: the end is the same."""

from collections.abc import Callable
from functools import partial

import pytest

from services.procedures import (
    DrainNodes,
    Freeze,
    Park,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Restart,
    Roll,
    Shutdown,
    Startup,
)
from services.runs.run import State
from simulators.faults import WorldFaults
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE
from tests.support.coverage_level import FULL, PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

Check = Callable[[Scene], None]
BIG = "s-8vcpu-16gb"


def _down(scene: Scene) -> None:
    assert {m.status for m in scene.estate.masters("acme")} == {"off"}
    assert all(d.status == "off" for d in scene.estate.media("acme"))
    assert not scene.estate.functions.scales("acme")


def _up(scene: Scene) -> None:
    assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
    assert scene.estate.serving("acme")


def _all_serve(scene: Scene) -> None:
    assert len(scene.estate.serving("acme")) == 2


def _resumed(scene: Scene) -> None:
    _up(scene)
    assert scene.estate.functions.scales("acme"), "what the bot paused, it resumes"


def _one_serves(scene: Scene) -> None:
    assert len(scene.estate.serving("acme")) == 1


def _big(scene: Scene) -> None:
    assert {d.size for d in scene.estate.media("acme")} == {BIG}
    assert len(scene.estate.serving("acme")) == 2


def _frozen(scene: Scene) -> None:
    assert not scene.estate.functions.scales("acme")
    assert len(scene.estate.serving("acme")) == 2


def _rolled(scene: Scene) -> None:
    assert {d.size for d in scene.estate.serving("acme")} == {BIG}
    assert scene.estate.functions.scales("acme")


# kind, what is done before the bot that dies, what it does, and how it ends
STORIES: dict[str, tuple[str, Procedure | None, Procedure, Check]] = {
    "shutdown of fixed nodes": ("fixed", None, Shutdown(), _down),
    "startup of fixed nodes": ("fixed", Shutdown(), Startup(), _all_serve),
    "parking a fixed node": ("fixed", None, Park("1"), _one_serves),
    "resizing fixed nodes": ("fixed", None, ResizeMedia(BIG), _big),
    "shutdown of an autoscaler": ("autoscaler", None, Shutdown(), _down),
    "startup of an autoscaler": ("autoscaler", Shutdown(), Startup(), _resumed),
    "freezing an autoscaler": ("autoscaler", None, Freeze(), _frozen),
    "draining a node of an autoscaler": ("autoscaler", None, DrainNodes("media-1002"), _up),
    "rolling an autoscaler": ("autoscaler", None, Roll(BIG), _rolled),
    "shutdown of one master with a pool": ("elastic pool", None, Shutdown(), _down),
    "startup of one master with fixed nodes": ("elastic fixed", Shutdown(), Startup(), _all_serve),
    "restart of the only master": ("elastic pool", None, Restart("master"), _all_serve),
    "restart of OpenVidu on the only master": (
        *("elastic fixed", None),
        *(Restart("master", service=True), _all_serve),
    ),
    "resize of the only master": (
        *("elastic autoscaler", None),
        *(ResizeMasters(BIG), _resumed),
    ),
}


def tell(name: str, away: str, die_at: CrashPoint) -> int:
    where, first, procedure, check = STORIES[name]
    deployment, _, kind = where.rpartition(" ")
    deployment = deployment or "high availability"

    async def story() -> int:
        async with short_scene(media=2, away=away, deployment=deployment, kind=kind) as scene:
            # People are still there when the drain begins: an autoscaler is paused before, for as
            # long as its function may take.
            scene.estate.open_meeting(
                people=4, minutes=5 if kind == "autoscaler" else 1, recordings=1
            )
            if first is not None:
                await scene.start_bot()
                await insist(scene, first)
                scene.kill()
                await scene.wait(120)
            if isinstance(procedure, Roll):
                scene.estate.functions.code["acme"].size = BIG
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            run = await insist(scene, procedure)
            assert run.state is State.DONE, run.stopped
            check(scene)
            assert set(scene.estate.signals.values()) <= {1}, (
                "drained once per start of its media server"
            )
            assert scene.estate.people_disconnected == 0
            await scene.settled(run)
            return life.points

    return virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(name: str, away: str, part: int) -> None:
    assert_survives_any_crash(
        f"{name}, {away}", partial(tell, name, away), 2 if away == AT_ONCE else 1, part
    )


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["fixed", "autoscaler"])
@pytest.mark.parametrize("seed", range(20 if FULL else 3))
def test_bad_luck_on_every_side(kind: str, seed: int) -> None:
    """Answers are lost and refused, for the bot and for the autoscaler's function."""

    async def story() -> None:
        cloud = {
            "500-before": 0.03,
            "503-after": 0.03,
            "reset-before": 0.02,
            "reset-after": 0.03,
            "429-minute": 0.01,
        }
        faults = WorldFaults(
            seed, {"digitalocean": cloud, "ssh": {"cut-before": 0.03, "cut-after": 0.03}}
        )
        async with Scene(media=2, kind=kind, seed=seed, faults=faults) as scene:
            scene.allowed_complaints = ["ratelimited"]
            scene.estate.open_meeting(people=4, minutes=10, recordings=1)
            for procedure, check in ((Shutdown(), _down), (Startup(), _up)):
                run = await insist(scene, procedure)
                assert run.state is State.DONE, run.stopped
                check(scene)
            assert scene.estate.people_disconnected == 0
            assert set(scene.estate.signals.values()) <= {1}

    virtual.run(story())
