"""The bot is killed between any two calls; another one goes on, and the end is the same."""

import asyncio
from functools import partial

import pytest

from services.access.policy import Actor
from services.common.errors import BotError
from services.procedures import Procedure, Shutdown, Startup
from services.runs.run import Run, State
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE, restart_after_absence
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")


async def insist(scene: Scene, procedure: Procedure) -> Run:
    """Start a crashed bot again, request again what was not taken, and approve what waits."""
    before = len(await scene.journal.latest("acme", 1000))
    for _ in range(1000):
        if scene.crash_injectors[-1].is_dead:
            await restart_after_absence(scene)
        runs = await scene.journal.latest("acme", 1000)
        if len(runs) > before:
            run = await scene.journal.run(runs[0])
            if run.over:
                return run
        else:
            await scene.by_bot(_ask(scene, procedure))
        await scene.wait(15)
    raise AssertionError("it never came to an end")


async def _ask(scene: Scene, procedure: Procedure) -> None:
    operations = scene.bot.operations
    try:
        waiting = await operations.reader.waiting("acme")
        if not waiting:
            await operations.service.request(ANA, "acme", procedure, channel="COPS")
            waiting = await operations.reader.waiting("acme")
        for request in waiting:
            await operations.service.approve(request.id, ANA if request.startable else BEN)
    except BotError:
        return


def shutdown(away: str, die_at: CrashPoint) -> int:
    """With the whole of pydo, as no other story that is told thousands of times."""

    async def story() -> int:
        async with short_scene(media=2, pydo=away == AT_ONCE, away=away) as scene:
            scene.estate.open_meeting(people=4, minutes=1, recordings=1)
            await scene.start_bot(die_at)
            run = await insist(scene, Shutdown())
            assert run.state is State.DONE, run.stopped
            assert [m.status for m in scene.estate.masters("acme")] == ["off"] * 4
            assert scene.estate.media("acme") == []
            assert len(scene.estate.signals) == 2
            assert set(scene.estate.signals.values()) == {1}
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


def startup(away: str, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=2, away=away) as scene:
            await scene.start_bot()
            await insist(scene, Shutdown())
            scene.kill()
            await scene.wait(120)
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            run = await insist(scene, Startup())
            assert run.state is State.DONE, run.stopped
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 2
            assert scene.estate.pool("acme").target == 2
            await scene.settled(run)
            return life.points

    return virtual.run(story())


STORIES = {"shutdown": shutdown, "startup": startup}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(story: str, part: int) -> None:
    assert_survives_any_crash(story, partial(STORIES[story], AT_ONCE), 40, part)


@pytest.mark.sampled
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("away", ABSENCES[1:])
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_and_started_late(story: str, away: str, part: int) -> None:
    """Time without a bot does not count as waited: what was never sent is sent."""
    assert_survives_any_crash(f"{story}, {away}", partial(STORIES[story], away), 20, part)


def test_ten_deaths_in_one_run() -> None:
    async def story() -> None:
        async with Scene(media=2, start=False) as scene:
            scene.allowed_complaints = [
                "ratelimited"
            ]  # ten restarts in a minute are ten lines in the thread; the SDK waits and sends again
            scene.estate.open_meeting(people=4, minutes=6)
            await scene.start_bot(150)
            driver = asyncio.create_task(insist(scene, Shutdown()))
            for _ in range(9):
                await scene.crash_injectors[-1].crashed.wait()
                while scene.crash_injectors[-1].is_dead:
                    await scene.wait(1)
                scene.crash_injectors[-1].die_at = 90
            run = await driver
            assert run.state is State.DONE
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())
