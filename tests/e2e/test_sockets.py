"""The watchdog over the sockets to Slack."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot import slack_sockets as sockets
from bot.slack_sockets import ONE_SOCKET, Sockets
from simulators.clock import ScaledClock
from simulators.environment import find_free_port
from simulators.slack.server import SlackServer
from simulators.slack.workspace import SlackWorkspace
from tests.support.patience import HANG, LOOKS
from tests.support.real_sockets import bot_of, running_world
from tests.support.scene import MANIFEST

PING, LOOK = sockets.PING, sockets.CHECK_EVERY


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CHECK_EVERY", 0.1)
    monkeypatch.setattr(sockets, "PING", 0.3)
    monkeypatch.setattr(sockets, "RETRY_AFTER", 1.0)


@contextlib.asynccontextmanager
async def slack() -> AsyncIterator[SlackServer]:
    clock = ScaledClock()
    server = SlackServer(SlackWorkspace(clock, steady=time.monotonic), MANIFEST, clock)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def lines_to(server: SlackServer) -> AsyncIterator[Sockets]:
    """One bot's lines, watched over."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=server.bot_token, base_url=server.api_url, session=session)
        client.proxy = None
        lines = Sockets(AsyncApp(client=client, signing_secret=""), server.app_token, proxied=False)
        running = asyncio.create_task(lines.run())
        try:
            yield lines
        finally:
            running.cancel()
            await lines.close()
            assert await lines.connected() == 0


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(LOOKS):
        if await what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to that")


@pytest.mark.parametrize("patience", [0.5, 60.0], ids=["made anew", "given a new address"])
def test_comes_back_from_failed_handshakes(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(sockets, "RENEW_AFTER", patience)

    async def story() -> None:
        async with slack() as server:
            server.slack.faults.fail_handshakes = 4
            async with lines_to(server) as lines:
                await asyncio.wait_for(server.sockets.until(lambda live: len(live) == 2), HANG)
                await asyncio.sleep(0.2)
                assert await lines.connected() == 2

    asyncio.run(story())


def test_a_silent_socket_is_noticed_and_replaced() -> None:
    """Half open: connected and silent. Noticed after four pings and a check, within a minute."""

    async def story() -> None:
        async with slack() as server, lines_to(server) as lines:
            await until(lambda: has(lines, 2))
            assert (await lines.problems(), await lines.cautions()) == ([], [])
            server.slack.faults.fail_handshakes = 1000
            server.sockets.fall_silent()
            await until(lambda: has(lines, 0))
            assert await lines.problems() == ["no socket to Slack is open"]
            server.slack.faults.fail_handshakes = 0
            await until(lambda: has(lines, 2))
            assert await lines.problems() == []

    asyncio.run(story())


def test_in_real_life_that_takes_less_than_a_minute() -> None:
    """The test above is accelerated. The SDK notices after four pings at the latest."""
    assert 4 * PING + LOOK < 60


async def has(lines: Sockets, number: int) -> bool:
    return await lines.connected() == number


def test_the_sixth_bot_says_so_and_does_not_flap() -> None:
    """Slack lets an app have ten sockets: five bots with two each."""

    async def story() -> None:
        async with slack() as server, contextlib.AsyncExitStack() as bots:
            five = [await bots.enter_async_context(lines_to(server)) for _ in range(5)]
            await asyncio.wait_for(server.sockets.until(lambda live: len(live) == 10), HANG)
            async with lines_to(server) as sixth:
                await until(lambda: turned_away(sixth))
                (told,) = await sixth.problems()
                assert "at most five bots" in told
                assert "slack.mode: http" in told
                before = asked(server)
                await asyncio.sleep(3.0)
                # Two connections, retried after 1 s, 2 s ...: the SDK alone would retry 100 times.
                assert asked(server) - before <= 10
                assert [await lines.connected() for lines in five] == [2] * 5
                # One of the five leaves: there is room, and it is taken by itself.
                await five[0].close()
                await until(lambda: has(sixth, 2))
                assert await sixth.problems() == []

    asyncio.run(story())


async def turned_away(lines: Sockets) -> bool:
    return any("Slack gives this bot no socket" in text for text in await lines.problems())


def asked(server: SlackServer) -> int:
    return len(
        [
            e
            for e in server.slack.journal.entries
            if e.kind == "api" and e.name == "apps.connections.open"
        ]
    )


def test_one_line_of_two_is_told() -> None:
    async def story() -> None:
        async with slack() as server, contextlib.AsyncExitStack() as bots:
            for _ in range(4):
                await bots.enter_async_context(lines_to(server))
            await asyncio.wait_for(server.sockets.until(lambda live: len(live) == 8), HANG)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(server.sockets.open_url()) as forgotten,
            ):
                assert (await forgotten.receive_json())["num_connections"] == 9
                async with lines_to(server) as fifth:
                    await until(lambda: has(fifth, 1))
                    await until(lambda: only_one(fifth))
                    assert await fifth.problems() == []

    asyncio.run(story())


async def only_one(lines: Sockets) -> bool:
    return await lines.cautions() == [ONE_SOCKET]


def test_socket_mode_switched_off_is_told() -> None:
    async def story() -> None:
        async with slack() as server, lines_to(server) as lines:
            await until(lambda: has(lines, 2))
            before = asked(server)
            await server.sockets.disable_link()
            await until(lambda: told_off(lines))
            assert asked(server) - before <= 4

    asyncio.run(story())


async def told_off(lines: Sockets) -> bool:
    return any("Socket Mode is switched off" in text for text in await lines.problems())


def test_the_health_page_says_within_a_minute_that_nobody_can_be_heard(tmp_path: Path) -> None:
    """A whole bot in real time: its sockets stay open, and nothing arrives any more."""

    async def story() -> None:
        port = find_free_port()
        url = f"http://127.0.0.1:{port}/readyz"
        async with (
            running_world(tmp_path, 12.0, health={"port": port}) as world,
            bot_of(world),
            aiohttp.ClientSession() as http,
        ):
            await until(lambda: answers(http, url, 200))
            world.slack.slack.faults.fail_handshakes = 10_000
            world.slack.sockets.fall_silent()
            await until(lambda: answers(http, url, 503, "no socket to Slack is open"))
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status == 200, (
                "a restart would not help"
            )
            world.slack.slack.faults.fail_handshakes = 0
            await until(lambda: answers(http, url, 200))

    asyncio.run(story())


async def answers(http: aiohttp.ClientSession, url: str, status: int, problem: str = "") -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with http.get(url) as answer:
            return answer.status == status and problem in str(await answer.json())
    return False
