"""Killed between any two calls of scaling, draining, resizing, restarting: the plan is reached."""

from collections.abc import Callable
from functools import partial

import pytest

from services.procedures import DrainNodes, Procedure, ResizeMedia, Restart, Scale, Stop
from services.runs.run import State
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

Check = Callable[[Scene], None]


def _serving(number: int, size: str = "s-4vcpu-8gb", signals: int = 0) -> Check:
    def check(scene: Scene) -> None:
        media = scene.estate.media("acme")
        assert (
            len(media)
            == len(scene.estate.serving("acme"))
            == scene.estate.pool("acme").target
            == number
        )
        assert {d.size for d in media} == {size}
        assert len(scene.estate.signals) == signals
        assert set(scene.estate.signals.values()) <= {1}

    return check


def _drained(scene: Scene) -> None:
    assert len(scene.estate.media("acme")) == 2
    assert len(scene.estate.serving("acme")) == 1
    assert set(scene.estate.signals.values()) == {1}


def _stopped_once(scene: Scene) -> None:
    nodes = [*scene.estate.masters("acme"), *scene.estate.media("acme")]
    (stopped,) = [d for d in nodes if d.node.unit == "inactive"]
    assert stopped.on
    assert set(scene.estate.signals.values()) <= {1}
    assert scene.estate.people_disconnected == 0


def _master_is_well(scene: Scene) -> None:
    assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))


STORIES: dict[str, tuple[Procedure, int, Check]] = {
    "scale up": (Scale(3), 2, _serving(3)),
    "scale down": (Scale(1), 2, _serving(1, signals=1)),
    "drain": (DrainNodes("media-2"), 2, _drained),
    "resize media": (ResizeMedia("c-8"), 1, _serving(1, "c-8", signals=1)),
    "restart media": (Restart("media-1"), 2, _serving(2, signals=1)),
    "restart master": (Restart("master-2"), 1, _master_is_well),
    "stop media": (Stop("media-1"), 2, _stopped_once),
    "stop master": (Stop("master-2"), 1, _stopped_once),
    "restart service": (Restart("master-2", service=True), 1, _master_is_well),
}


def tell(name: str, away: str, die_at: CrashPoint) -> int:
    procedure, media, check = STORIES[name]

    async def story() -> int:
        async with short_scene(media=media, away=away) as scene:
            scene.estate.allow_rolling = True
            scene.estate.allow_template_keys.add("size")
            for _ in range(media):
                scene.estate.open_meeting(people=4, minutes=1, recordings=1)
            await scene.start_bot(die_at)
            run = await insist(scene, procedure)
            assert run.state is State.DONE, run.stopped
            check(scene)
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(name: str, away: str, part: int) -> None:
    assert_survives_any_crash(
        f"{name}, {away}", partial(tell, name, away), 2 if away == AT_ONCE else 1, part
    )
