"""Several bots on one state, whole: windows, runs and looks of a cluster are one bot's."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.app import Bot
from services.runs.locks import TTL as LEASE
from services.runs.run import State, Taken
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended

NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
EVENING = datetime(2026, 11, 25, 20, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
STACKS = tuple(f"c{n}" for n in range(4))
ROUND, LOOK = 10.0, 1.0


def play(story: Callable[[Scene], Awaitable[None]], before: float) -> None:
    """Four clusters that close at 20:00, and two bots that share their state."""

    async def scene_of_it() -> None:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        async with Scene(
            media=1, stacks=STACKS, origin=EVENING - before, site=site, shared=True
        ) as scene:
            # All of them close at the same minute in one channel, whose rate Slack limits.
            scene.allowed_complaints = ["chat.update: ratelimited", "chat.postMessage: ratelimited"]
            await scene.start_bot()
            await scene.wait(30)
            await story(scene)

    virtual.run(scene_of_it())


def living(scene: Scene) -> list[Bot]:
    lives = zip(scene.bots, scene.crash_injectors, strict=True)
    return [bot for bot, life in lives if not life.is_dead]


def driver_of(scene: Scene, name: str) -> Bot | None:
    """The only bot that drives the cluster, if any."""
    found = [bot for bot in living(scene) if bot.operations.clusters.drives(name)]
    assert len(found) <= 1
    return found[0] if found else None


async def workers(scene: Scene, run: str) -> list[str]:
    """Who has driven the run, in order."""
    return [e.worker for e in await scene.journal.events(run) if isinstance(e, Taken)]


def test_each_window_is_driven_by_the_bot_that_has_its_cluster() -> None:
    async def story(scene: Scene) -> None:
        drivers = {name: driver_of(scene, name) for name in STACKS}
        assert {id(bot) for bot in drivers.values()} == {id(bot) for bot in scene.bots}
        for name in STACKS:
            await scene.run_is(f"{name}-1", State.DONE)
            driver = drivers[name]
            assert driver is not None
            assert await workers(scene, f"{name}-1") == [driver.worker]

    play(story, before=300)


def test_clusters_of_a_bot_that_dies_before_their_windows_close_all_the_same() -> None:
    async def story(scene: Scene) -> None:
        scene.kill()
        killed = scene.clock.now()
        (other,) = living(scene)
        while any(driver_of(scene, name) is None for name in STACKS):
            await scene.wait(1)
        assert scene.clock.now() - killed <= LEASE
        for name in STACKS:
            run = await scene.run_is(f"{name}-1", State.DONE)
            assert run.opened_at - EVENING <= 1, "at the very time, as if nothing had happened"
            assert await workers(scene, run.id) == [other.worker]

    play(story, before=120)


def test_a_window_whose_bot_dies_seconds_before_it_is_acted_on_within_the_lease() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(EVENING - 1 - scene.clock.now())
        scene.kill()
        for name in STACKS:
            run = await scene.run_is(f"{name}-1", State.DONE)
            assert run.opened_at - (EVENING - 1) <= LEASE

    play(story, before=120)


def test_a_run_of_a_bot_that_dies_goes_on_when_its_lease_ends() -> None:
    """At the next look, not at the next round: forty seconds were ten too many."""

    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=2, minutes=3, recordings=0, cluster="c0")
        await request_and_approve(scene, "shutdown --cluster c0", "Shut down c0")
        await scene.run_is("c0-1", State.RUNNING)
        await scene.wait(20)
        newest = scene.bots[-1].worker
        assert await workers(scene, "c0-1") == [newest], "the bot that was asked drives it"
        scene.kill()
        killed = scene.clock.now()
        (other,) = living(scene)
        while await workers(scene, "c0-1") != [newest, other.worker]:
            await scene.wait(0.5)
        assert scene.clock.now() - killed <= LEASE + 2 * LOOK
        await run_ended(scene, run="c0-1")

    play(story, before=7200)


def test_a_bot_that_is_stopped_hands_its_clusters_over_before_the_next_round() -> None:
    async def story(scene: Scene) -> None:
        leaving, other = scene.bots[-1], scene.bots[0]
        await scene.by_bot(leaving.aclose())
        stopped = scene.clock.now()
        scene.kill()
        while any(driver_of(scene, name) is not other for name in STACKS):
            await scene.wait(1)
        assert scene.clock.now() - stopped <= ROUND

    play(story, before=300)


def test_a_command_is_answered_by_whichever_bot_gets_it() -> None:
    """A share decides who drives, not who answers."""

    async def story(scene: Scene) -> None:
        theirs = next(n for n in STACKS if driver_of(scene, n) is scene.bots[0])
        await scene.ana.type_text("COPS", f"/openvidu scale 2 --now --cluster {theirs}")
        await scene.run_is(f"{theirs}-1", State.DONE)
        assert theirs in everything_read(scene)
        assert await workers(scene, f"{theirs}-1") == [scene.bots[1].worker]

    play(story, before=7200)


def test_looks_are_taken_by_the_driver_alone() -> None:
    """Two bots ask DigitalOcean about as much as one."""

    async def asked(bots: int) -> int:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        async with Scene(
            media=1, stacks=STACKS, origin=EVENING - 36_000, site=site, shared=True
        ) as scene:
            for _ in range(bots - 1):
                await scene.start_bot()
            await scene.wait(300)
            before = len(scene.estate.requests)
            await scene.wait(900)
            return len(scene.estate.requests) - before

    one, three = virtual.run(asked(1)), virtual.run(asked(3))
    assert three <= 3 * one, "each bot lists the account once for all of its clusters"
    assert one > 0


def test_without_the_state_a_bot_drives_nothing() -> None:
    async def story(scene: Scene) -> None:
        for bot in scene.bots:
            bot.gate.close("test", "a test")
        await scene.wait(60)
        for bot in scene.bots:
            assert bot.operations.clusters.driven == []
            bot.gate.open("test")
        await scene.wait(30)
        assert all(driver_of(scene, name) is not None for name in STACKS)

    play(story, before=7200)
