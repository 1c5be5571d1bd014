"""Killed while resizing masters or taking backups: the plan is reached, nothing is made twice."""

from collections.abc import Callable
from functools import partial

import pytest

from services.procedures import BackupCreate, BackupPrune, ResizeMasters
from services.runs.run import State
from simulators.cloud.model import SimulatedSnapshot
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

BIG = "s-8vcpu-16gb"


def serves(scene: Scene) -> None:
    assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
    assert len(scene.estate.serving("acme")) == 2
    assert scene.estate.pool("acme").target == 2


def asked(scene: Scene, kind: str) -> list[int]:
    return sorted(a.droplet_id for a in scene.estate.actions.values() if a.type == kind)


def resized(scene: Scene) -> None:
    masters = scene.estate.masters("acme")
    assert [m.size for m in masters] == [BIG] * 4
    assert asked(scene, "resize") == sorted(m.id for m in masters), "each exactly once"
    serves(scene)


def one_snapshot_each(scene: Scene) -> None:
    made = list(scene.estate.snapshots.values())
    assert sorted(s.droplet_id for s in made) == sorted(
        m.id for m in scene.estate.masters("acme")
    ), "each exactly once"
    assert len({s.name.partition("-master-")[0] for s in made}) == 1, "under one label"
    assert asked(scene, "snapshot") == sorted(s.droplet_id for s in made)


def resize(away: str, die_at: CrashPoint) -> int:
    def check(scene: Scene) -> None:
        resized(scene)
        one_snapshot_each(scene)
        assert len(scene.estate.signals) == 2
        assert set(scene.estate.signals.values()) == {1}

    return _killed(ResizeMasters(BIG, snapshot=True), check, away, die_at)


def rolling(away: str, die_at: CrashPoint) -> int:
    def check(scene: Scene) -> None:
        resized(scene)
        assert scene.estate.signals == {}

    return _killed(ResizeMasters(BIG, rolling=True), check, away, die_at, rolling=True)


def live(away: str, die_at: CrashPoint) -> int:
    def check(scene: Scene) -> None:
        one_snapshot_each(scene)
        assert asked(scene, "shutdown") == []
        serves(scene)

    return _killed(BackupCreate(), check, away, die_at)


def offline(away: str, die_at: CrashPoint) -> int:
    def check(scene: Scene) -> None:
        one_snapshot_each(scene)
        assert all(s.name.endswith("-off") for s in scene.estate.snapshots.values())
        serves(scene)

    return _killed(BackupCreate(offline=True), check, away, die_at)


def prune(away: str, die_at: CrashPoint) -> int:
    def before(scene: Scene) -> None:
        for day in range(1, 6):
            for n, m in enumerate(scene.estate.masters("acme"), 1):
                name = f"acme-backup-202701{day:02d}T020000Z-master-{n}"
                made = SimulatedSnapshot(
                    scene.estate.number(), name, m.id, m.region, m.disk, scene.clock.now()
                )
                scene.estate.snapshots[made.id] = made
                m.snapshot_ids.append(made.id)

    def check(scene: Scene) -> None:
        days = sorted(s.name[12:20] for s in scene.estate.snapshots.values())
        assert days == ["20270103"] * 4 + ["20270104"] * 4 + ["20270105"] * 4

    return _killed(BackupPrune(), check, away, die_at, before=before)


def _killed(
    procedure: ResizeMasters | BackupCreate | BackupPrune,
    check: Callable[[Scene], None],
    away: str,
    die_at: CrashPoint,
    *,
    rolling: bool = False,
    before: Callable[[Scene], None] = lambda _: None,
) -> int:
    async def story() -> int:
        async with short_scene(media=2, away=away) as scene:
            scene.estate.allow_rolling = rolling
            before(scene)
            await scene.start_bot(die_at)
            run = await insist(scene, procedure)
            assert run.state is State.DONE, run.stopped
            check(scene)
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


STORIES = {"resize": resize, "rolling": rolling, "live": live, "offline": offline, "prune": prune}
USUAL = {"resize": 2, "rolling": 2, "live": 3, "offline": 2, "prune": 2}


@pytest.mark.sampled
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(story: str, away: str, part: int) -> None:
    assert_survives_any_crash(
        f"{story}, {away}",
        partial(STORIES[story], away),
        USUAL[story] if away == AT_ONCE else 1,
        part,
    )
