"""The main job over real sockets: bot process, Slack, DigitalOcean, SSH, LiveKit, real Redis."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, STACK, DemoWorld
from simulators.cloud.events import MasterStopping
from simulators.cloud.invariants import is_drained
from simulators.slack import delivery
from tests.support.coverage_level import by_level
from tests.support.patience import HANG
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import bot_of, running_world
from tests.support.redis import running_redis, slow_door
from tests.support.tools import redis_server

SPEED = 60.0
KILLS = by_level(3, 5, 5)


async def shut_down_and_start_up(world: DemoWorld) -> None:
    ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
    world.estate.delays = replace(world.estate.delays, media_install=60.0)
    world.estate.open_meeting(people=5, minutes=4, recordings=1)
    world.estate.open_meeting(people=2, minutes=2)
    before = len(world.estate.serving(STACK))
    media_left: list[int] = []

    def count_media(_event: MasterStopping) -> None:
        # What still serves there: a Single Node's own media server is drained before it stops.
        media = world.estate.media(STACK)
        media_left.append(sum(not (d.is_master and is_drained(d)) for d in media))

    world.estate.events.subscribe(MasterStopping, count_media)
    await until_seen(
        ana,
        "Approve",
        lambda: ana.type_text(OPS, '/openvidu shutdown --reason "power work in ams3"'),
    )
    card = await sees(ana, "Shut down acme")

    async def approve() -> None:
        await ben.press(card, "Approve")

    await until_seen(ben, "Shutting down acme", approve)
    await sees(ana, "acme is shut down")
    assert {d.status for d in world.estate.masters(STACK)} == {"off"}
    assert set(media_left) == {0}
    await until_seen(ana, "Starting up acme", lambda: ana.type_text(OPS, "/openvidu startup --now"))
    await sees(ana, "acme is back in service")
    assert len(world.estate.serving(STACK)) == before


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["elastic", "single"])
def test_each_deployment_is_shut_down_and_started_up(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with running_world(tmp_path, SPEED, kind=kind) as world, bot_of(world) as bot:
            await world.slack.sockets.until(bool)
            await shut_down_and_start_up(world)
            assert await bot.stop() == 0
            keeps_promises(world)
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


def keeps_promises(world: DemoWorld) -> None:
    assert world.estate.violations == []
    assert world.estate.signals, "nobody was asked to finish"
    assert set(world.estate.signals.values()) == {1}
    assert world.estate.people_disconnected == 0


@pytest.mark.thorough
def test_shutdown_and_startup(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, SPEED, redis_url=url) as world,
        ):
            async with bot_of(world) as bot:
                await world.slack.sockets.until(bool)
                await shut_down_and_start_up(world)
                assert await bot.stop() == 0
            keeps_promises(world)
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


def test_killed_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "ACK_SECONDS", 3.0)  # the dead acknowledge nothing

    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, SPEED, redis_url=url) as world,
            bot_of(world) as bot,
        ):
            killing = asyncio.create_task(kills(world, bot, random.Random(1)))
            await shut_down_and_start_up(world)
            assert await asyncio.wait_for(killing, HANG) == KILLS
            keeps_promises(world)

    asyncio.run(story())


async def kills(world: DemoWorld, bot: BotProcess, dice: random.Random) -> int:
    """kill -9 again and again; the last bot lives."""
    for number in range(KILLS):
        await world.slack.sockets.until(bool)  # it lives when it listens
        await asyncio.sleep(dice.uniform(0.3, 2.0))
        assert bot.kill(), f"the bot had died by itself before kill {number + 1}"
        await bot.wait()
        await bot.start(world.bot_command(), world.bot_environment())
    return KILLS


def test_answers_in_time_while_everything_is_slow(tmp_path: Path) -> None:
    """DigitalOcean answers only after the test, Redis after 1 s: commands are answered before.

    Stopping does not wait for them either: the bot ends in order, before its own alarm ends it.
    """

    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            slow_door(url, 1.0) as slow,
            running_world(tmp_path, 1.0, redis_url=slow) as world,
        ):
            world.environment.faults.add("digitalocean", "delay", times=-1, seconds=2 * HANG)
            async with bot_of(world) as bot:
                await world.slack.sockets.until(lambda sockets: len(sockets) == 2)
                await asyncio.gather(*(answered(world, user, words) for user, words in COMMANDS))
                assert await bot.stop() == 0
            assert len(
                [entry for entry in world.slack.slack.journal.entries if entry.kind == "ack"]
            ) == len(COMMANDS)

    asyncio.run(story())


COMMANDS = (
    ("UANA", "/openvidu status"),
    ("UBEN", "/openvidu shutdown"),
    ("UCARLA", "/openvidu runs"),
    ("UDORA", "/openvidu help"),
)


async def answered(world: DemoWorld, user: str, words: str) -> None:
    human = world.slack.human(user)
    failed = await human.type_text(OPS, words)
    assert failed is None, failed.text
    private = await human.wait_for(
        lambda: next((m for m in human.visible_messages(OPS) if m.ephemeral_to == user), None), HANG
    )
    assert private.text


@pytest.mark.thorough
def test_a_window_closes_and_opens(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, SPEED) as world, bot_of(world):
            await world.slack.sockets.until(bool)
            ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
            now = datetime.fromtimestamp(world.clock.now(), UTC).astimezone(
                ZoneInfo("Europe/Madrid")
            )
            closes = now + timedelta(minutes=9)
            opens = closes + timedelta(minutes=28)
            words = f"nights daily {closes:%H:%M}-{opens:%H:%M} Europe/Madrid"
            await until_seen(
                ana, "Approve", lambda: ana.type_text(OPS, f"/openvidu window add {words}")
            )
            card = await sees(ana, "Add window nights to acme")
            await until_seen(ben, "acme has window nights", lambda: ben.press(card, "Approve"))
            notice = await sees(ana, f"acme closes at {closes:%H:%M}")
            buttons = {
                e["text"]["text"]
                for b in notice.blocks
                for e in b.get("elements", ())
                if "value" in e
            }
            assert {"Keep running 1 h", "Keep running tonight"} <= buttons
            await sees(ana, "acme is shut down")
            assert [d.status for d in world.estate.masters(STACK)] == ["off"] * 4
            told = await sees(ana, f"before {opens:%H:%M}")
            assert "acme is back in service" in told.text
            assert len(world.estate.serving(STACK)) == 3
            assert world.estate.violations == []

    asyncio.run(story())
