"""Killed while upgrading OpenVidu: `update.sh` runs once per master, forwards and backwards."""

from dataclasses import replace
from functools import partial

import pytest

from services.procedures import Upgrade
from services.runs.run import State
from simulators.cloud.delays import Delays
from simulators.cloud.nodes import version_of
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene


def all_have(scene: Scene, version: str) -> None:
    masters, media = scene.estate.masters("acme"), scene.estate.media("acme")
    assert {version_of(d) for d in (*masters, *media)} == {version}
    assert all(scene.estate.healthy(m) for m in masters)
    assert len(scene.estate.serving("acme")) == 2


def upgrade(away: str, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=2, away=away) as scene:
            scene.estate.delays = _quick(scene)
            await scene.start_bot(die_at)
            run = await insist(scene, Upgrade("3.7.0"))
            assert run.state is State.DONE, run.stopped
            all_have(scene, "3.7.0")
            names = sorted(m.name for m in scene.estate.masters("acme"))
            assert sorted(scene.estate.updates.runs) == [(name, "3.7.0") for name in names]
            assert len(scene.estate.snapshots) == 4
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


def undone(away: str, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=2, away=away) as scene:
            scene.estate.delays = _quick(scene)
            scene.estate.updates.trouble["acme-master-node-3"] = "middle"
            await scene.start_bot(die_at)
            run = await insist(scene, Upgrade("3.7.0"))
            assert run.state is State.ROLLED_BACK, run.stopped
            all_have(scene, "3.6.1")
            assert len(scene.estate.updates.runs) == 3
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


def _quick(scene: Scene) -> Delays:
    return replace(scene.estate.delays, update=30)


STORIES = {"upgrade": upgrade, "undone": undone}


@pytest.mark.sampled
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(story: str, away: str, part: int) -> None:
    assert_survives_any_crash(
        f"{story}, {away}", partial(STORIES[story], away), 2 if away == AT_ONCE else 1, part
    )
