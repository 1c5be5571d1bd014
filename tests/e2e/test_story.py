"""The main job over real sockets: a bot process, Slack, DigitalOcean, SSH, LiveKit, and a real Redis."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.demo.child import Child
from bot.demo.world import OPS, STACK, World
from simulators.clock import ScaledClock
from simulators.slack.elements import NotPossible
from simulators.slack.human import Human
from simulators.slack.model import Message
from tests.support.redis import SlowDoor, running_redis
from tests.support.tools import redis_server

SPEED = 60.0
KILLS = 6


@contextlib.asynccontextmanager
async def world_of(folder: Path, speed: float, redis_url: str) -> AsyncIterator[World]:
    # Another seed is another network: worlds side by side do not take each other's addresses.
    world = World(folder, ScaledClock(speed), seed=os.getpid(), redis_url=redis_url)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def sees(human: Human, text: str, seconds: float = 60.0) -> Message:
    try:
        return await human.waits_to_see(OPS, text, seconds)
    except TimeoutError:
        shown = "\n".join(m.text for m in human.sees(OPS))
        raise AssertionError(f"nobody said {text!r} within {seconds} s; what was said:\n{shown}") from None


async def until_seen(human: Human, text: str, act: Callable[[], Awaitable[object]], tries: int = 12) -> Message:
    """People type and press again when nothing comes of it: the bot may have been dead."""
    for _ in range(tries):
        with contextlib.suppress(NotPossible):
            await act()
        with contextlib.suppress(TimeoutError):
            return await human.waits_to_see(OPS, text, 3.0)
    raise AssertionError(f"nobody said {text!r}: {[m.text for m in human.sees(OPS)]}")


async def shut_down_and_start_up(world: World) -> None:
    ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
    world.estate.open_meeting(people=5, minutes=4, recordings=1)
    world.estate.open_meeting(people=2, minutes=2)
    media_left: list[int] = []
    stops = world.estate.watch.master_stops

    def master_stops(master: object) -> None:
        media_left.append(len(world.estate.media(STACK)))
        stops(master)  # type: ignore[arg-type]

    world.estate.watch.master_stops = master_stops  # type: ignore[method-assign, assignment]
    await until_seen(ana, "Approve", lambda: ana.types(OPS, '/openvidu shutdown --reason "power work in ams3"'))
    card = await sees(ana, "Shut down acme")

    async def approve() -> None:
        await ben.presses(card, "Approve")

    await until_seen(ben, "Shutting down acme", approve)
    await sees(ana, "acme is down ·")
    assert [d.status for d in world.estate.masters(STACK)] == ["off"] * 4
    assert set(media_left) == {0}
    await until_seen(ana, "Starting up acme", lambda: ana.types(OPS, "/openvidu startup"))
    await sees(ana, "acme serves ·")
    assert len(world.estate.serving(STACK)) == 3


def keeps_promises(world: World) -> None:
    assert world.estate.violations == []
    assert world.estate.signals, "nobody was asked to finish"
    assert set(world.estate.signals.values()) == {1}
    assert world.estate.thrown_out == 0


def test_shutdown_and_startup(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as socket, world_of(tmp_path, SPEED, f"unix://{socket}") as world:
            bot = Child(tmp_path / "bot.log")
            await bot.start(world.bot_command(), world.bot_environment())
            try:
                await shut_down_and_start_up(world)
                assert await bot.stop() == 0
            except BaseException:
                print(bot.last_words())
                raise
            finally:
                await bot.stop()
            keeps_promises(world)
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


@pytest.mark.parametrize("seed", [1])
def test_killed_at_random_moments(tmp_path: Path, seed: int) -> None:
    async def story() -> None:
        dice = random.Random(seed)
        async with running_redis(redis_server()) as socket, world_of(tmp_path, SPEED, f"unix://{socket}") as world:
            bot = Child(tmp_path / "bot.log")
            kills = 0

            async def reaper() -> None:
                nonlocal kills
                while True:
                    await bot.start(world.bot_command(), world.bot_environment())
                    if kills == KILLS:
                        await bot.wait()
                        raise AssertionError(f"the bot died by itself: {bot.last_words()}")
                    await world.slack.sockets.until(bool)  # it lives when it listens
                    await asyncio.sleep(dice.uniform(0.3, 2.0))
                    bot.kill()
                    kills += 1
                    await bot.wait()

            killing = asyncio.create_task(reaper())
            try:
                await shut_down_and_start_up(world)
            except BaseException:
                print(bot.last_words())
                raise
            finally:
                killing.cancel()
                await asyncio.gather(killing, return_exceptions=True)
                await bot.stop()
            assert kills >= KILLS - 1
            keeps_promises(world)

    asyncio.run(story())


def test_answers_in_time_while_everything_is_slow(tmp_path: Path) -> None:
    """DigitalOcean takes 30 s for every answer and Redis 1 s: every command is acknowledged at once and answered within 3 s."""

    async def story() -> None:
        async with running_redis(redis_server()) as socket:
            door = SlowDoor(socket, 1.0)
            async with world_of(tmp_path, 1.0, await door.start()) as world:
                world.town.faults.add("digitalocean", "delay", times=-1, seconds=30.0)
                bot = Child(tmp_path / "bot.log")
                await bot.start(world.bot_command(), world.bot_environment())
                try:
                    await world.slack.sockets.until(lambda sockets: len(sockets) == 2)
                    await asyncio.gather(*(answered(world, user, words) for user, words in COMMANDS))
                except BaseException:
                    print(bot.last_words())
                    raise
                finally:
                    began = asyncio.get_running_loop().time()
                    assert await bot.stop() == 0
                    assert asyncio.get_running_loop().time() - began < 10
                acks = [e.ms for e in world.slack.slack.journal.entries if e.kind == "ack"]
                assert len(acks) == len(COMMANDS)
                assert max(ms for ms in acks if ms is not None) < 3000
                await door.stop()

    asyncio.run(story())


COMMANDS = (
    ("UANA", "/openvidu status"),
    ("UBEN", "/openvidu shutdown"),
    ("UCARLA", "/openvidu runs"),
    ("UDORA", "/openvidu help"),
)


async def answered(world: World, user: str, words: str) -> None:
    human = world.slack.human(user)
    failed = await human.types(OPS, words)
    assert failed is None, failed.text
    private = await human.wait_for(lambda: next((m for m in human.sees(OPS) if m.ephemeral_to == user), None), 3.0)
    assert private.text
