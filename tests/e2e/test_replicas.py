"""Several bots on one Redis: they hand runs over, survive a failover, and share HTTP requests."""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from services.common.clock import Clock
from services.common.errors import BotError
from services.runs.journal import Journal
from services.runs.run import Run, State, Taken
from services.store.redis import RedisStore
from simulators.environment import find_free_port
from simulators.listeners import listen_http
from simulators.slack.httpmode import HttpMode
from tests.e2e.test_serve import until_up
from tests.e2e.test_story import keeps_promises
from tests.support.coverage_level import FULL
from tests.support.patience import HANG, LOOKS
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import ForkedBot, bot_of, running_world
from tests.support.redis import running_redis
from tests.support.sentinel import sentinel_group
from tests.support.tools import redis_server

SPEED = 30.0


@contextlib.asynccontextmanager
async def journal_at(url: str) -> AsyncIterator[Journal]:
    """What the bots wrote down."""
    store = RedisStore(url)
    try:
        yield Journal(store, Clock())
    finally:
        await store.aclose()


async def ended(journal: Journal, name: str) -> Run:
    for _ in range(LOOKS):
        with contextlib.suppress(BotError):
            run = await journal.run(name)
            if run.over:
                return run
        await asyncio.sleep(0.2)
    raise AssertionError(f"{name} did not end: {await journal.run(name)}")


async def a_shutdown_begins(world: DemoWorld) -> None:
    ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
    world.estate.open_meeting(people=5, minutes=8, recordings=1)
    await until_seen(ana, "Approve", lambda: ana.type_text(OPS, "/openvidu shutdown"))
    card = await sees(ana, "Shut down acme")

    async def approve() -> None:
        await ben.press(card, "Approve")

    await until_seen(ben, "Shutting down acme", approve)
    for _ in range(LOOKS):
        if world.estate.signals:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nobody was asked to finish")


def test_sigterm_hands_the_run_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, SPEED, redis_url=url) as world,
            journal_at(url) as journal,
        ):
            async with bot_of(world) as one, bot_of(world) as two:
                await asyncio.wait_for(
                    world.slack.sockets.until(lambda sockets: len(sockets) == 4), HANG
                )
                await a_shutdown_begins(world)
                (first,) = takes(await journal.events("acme-1"))
                driver = next(b for b in (one, two) if f":{b.pid}:" in first.worker)
                answers = [
                    asyncio.create_task(is_answered(world, who))
                    for who in ("UANA", "UBEN", "UCARLA", "UDORA")
                ]
                await asyncio.sleep(0.02)
                assert await driver.stop() == 0, "it ended by itself, before its own alarm ended it"
                # What was typed just before went out from whichever bot had it.
                await asyncio.gather(*answers)
                run = await ended(journal, "acme-1")
                assert run.state is State.DONE, run.stopped
                second = takes(await journal.events("acme-1"))[-1]
                other = one if driver is two else two
                assert f":{other.pid}:" in second.worker
                await sees(world.slack.human("UANA"), "acme is shut down")
            keeps_promises(world)

    asyncio.run(story())


def takes(events: Sequence[object]) -> list[Taken]:
    return [e for e in events if isinstance(e, Taken)]


async def is_answered(world: DemoWorld, user: str) -> None:
    human = world.slack.human(user)
    assert await human.type_text(OPS, "/openvidu runs") is None
    await human.wait_for(
        lambda: next(
            (m for m in human.visible_messages(OPS) if m.ephemeral_to == user and not m.error), None
        ),
        HANG,
    )


@pytest.mark.thorough
def test_a_run_goes_on_through_a_fail_over(tmp_path: Path) -> None:
    async def story() -> None:
        with sentinel_group(redis_server(), tmp_path / "redis") as group:
            async with (
                running_world(tmp_path, SPEED, redis_url=group.url) as world,
                journal_at(group.url) as journal,
            ):
                async with bot_of(world), bot_of(world):
                    await asyncio.wait_for(
                        world.slack.sockets.until(lambda sockets: len(sockets) == 4), HANG
                    )
                    await a_shutdown_begins(world)
                    lost = group.primary()
                    lost.signal(signal.SIGKILL)
                    run = await ended(journal, "acme-1")
                    assert run.state is State.DONE, run.stopped
                    assert group.primary() is not lost
                    ana = world.slack.human("UANA")
                    await sees(ana, "acme is shut down")
                    lost.start()
                    await until_seen(
                        ana,
                        "Starting up acme",
                        lambda: ana.type_text(OPS, "/openvidu startup --now"),
                    )
                    await sees(ana, "acme is back in service")
                    assert (await ended(journal, "acme-2")).state is State.DONE
                keeps_promises(world)

    asyncio.run(story())


class Balancer:
    """Hands each request to the next bot, as whatever stands before bots in HTTP mode does."""

    def __init__(self, ports: list[int]) -> None:
        self._next = itertools.cycle(ports)
        self.kept: list[tuple[dict[str, str], bytes]] = []

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {
            k: v for k, v in request.headers.items() if k.startswith(("X-Slack", "Content-Type"))
        }
        self.kept.append((headers, body))
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._there(), data=body, headers=headers) as answer,
        ):
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type
            )

    def _there(self) -> str:
        return f"http://127.0.0.1:{next(self._next)}/slack/events"


@contextlib.asynccontextmanager
async def http_bots(world: DemoWorld, number: int) -> AsyncIterator[list[int]]:
    """That many bots in HTTP mode; yields their ports."""
    settings = yaml.safe_load(world.settings_file.read_text())
    ports = [find_free_port() for _ in range(number)]
    bots: list[BotProcess] = []
    try:
        for port in ports:
            file = world.folder / f"settings-{port}.yaml"
            file.write_text(
                yaml.safe_dump(
                    {
                        **settings,
                        "slack": {**settings["slack"], "mode": "http"},
                        "health": {"port": port},
                    }
                )
            )
            command = [
                str(file) if word == str(world.settings_file) else word
                for word in world.bot_command()
            ]
            bots.append(ForkedBot(world.folder / f"bot-{port}.log"))
            await bots[-1].start(command, world.bot_environment())
        async with aiohttp.ClientSession() as http:
            for port in ports:
                await until_up(http, f"http://127.0.0.1:{port}/readyz")
        yield ports
    finally:
        for bot in bots:
            await bot.stop()


@pytest.mark.parametrize("number", [2, 6] if FULL else [2])
def test_any_number_of_bots_over_http(tmp_path: Path, number: int) -> None:
    """A command, its approval and each replay arrive at different bots."""

    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, SPEED, redis_url=url) as world,
            journal_at(url) as journal,
        ):
            async with http_bots(world, number) as ports:
                balancer = Balancer(ports)
                app = web.Application()
                app.router.add_post("/", balancer.pass_on)
                door = await listen_http(app, "127.0.0.1")
                road = HttpMode(
                    f"{door.url}/",
                    world.slack.slack.journal,
                    signing_secret=world.slack.signing_secret,
                )
                world.slack.slack.connect(road)
                assert await road.verify()
                await a_shutdown_begins(world)
                async with aiohttp.ClientSession() as http:
                    for headers, body in list(balancer.kept) * number:
                        async with http.post(door.url, data=body, headers=headers) as answer:
                            assert answer.status == 200
                run = await ended(journal, "acme-1")
                assert run.state is State.DONE
                assert await journal.latest("acme", 10) == ["acme-1"]
                dora = world.slack.human("UDORA")
                await dora.mention_bot(OPS, "status")
                await sees(dora, "Cost now")
                await door.close()
            keeps_promises(world)

    asyncio.run(story())
