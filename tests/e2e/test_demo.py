"""`openvidu-bot demo` as two processes, without a browser."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.bot_process import BotProcess
from bot.demo.panel import Panel
from bot.demo.starting import start_on
from bot.demo.world import DemoWorld
from simulators.clock import ScaledClock
from tests.support import fork_server
from tests.support.patience import HANG, LOOKS
from tests.support.real_sockets import running_world


def test_the_bot_is_killed_and_comes_back_and_nothing_stays(tmp_path: Path) -> None:
    asyncio.run(_killed(_playing(tmp_path)))


@pytest.mark.thorough
def test_in_the_evening_it_starts_again(tmp_path: Path) -> None:
    asyncio.run(_evening(_playing(tmp_path)))


@contextlib.contextmanager
def _playing(folder: Path) -> Iterator[str]:
    """A demo; it leaves nothing."""
    demo = fork_server.Started(["demo", "--port", "0", "--no-browser"], _environment(folder))
    try:
        url = demo.stdout.readline().split(" open ")[1].split()[0]
        assert list(folder.iterdir())
        yield url
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait()
    assert code == 0
    assert list(folder.iterdir()) == []


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "https_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }


async def _killed(playing: AbstractContextManager[str]) -> None:
    with playing as url:
        async with aiohttp.ClientSession(trust_env=False) as http:
            await _connected(http, url, 1)
            async with http.post(f"{url}/_ui/panel", json={"id": "kill"}) as answer:
                assert "killed" in (await answer.json())["text"]
            await _connected(http, url, 2)
            await _answers(http, url)


async def _evening(playing: AbstractContextManager[str]) -> None:
    with playing as url:
        async with aiohttp.ClientSession(trust_env=False) as http:
            await _connected(http, url, 1)
            async with http.post(f"{url}/_ui/panel", json={"id": "evening"}) as answer:
                assert (await answer.json())["text"].startswith("It is 19:58")
            await _connected(http, url, 2)
            async with http.get(f"{url}/_control/state", params={"as": "UANA"}) as state:
                assert (await state.json())["panel"]["clock"][:5] in (
                    "19:58",
                    "19:59",
                    "20:00",
                    "20:01",
                    "20:02",
                    "20:03",
                )
            await _answers(http, url)


async def _connected(http: aiohttp.ClientSession, url: str, times: int) -> None:
    """A bot has connected both sockets so many times."""
    for _ in range(LOOKS):  # a bot takes seconds to start on a busy machine
        async with http.get(f"{url}/_control/journal") as answer:
            entries = (await answer.json())["entries"]
        if sum(entry["name"] == "opened, 2 now" for entry in entries) >= times:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no bot listens: {entries}")


async def _answers(http: aiohttp.ClientSession, url: str) -> None:
    typed = {"as": "UANA", "kind": "say", "channel": "COPS", "text": "/openvidu status"}
    async with http.post(f"{url}/_control/act", json=typed) as said:
        assert (await said.json())["ok"]
    wanted = {"as": "UANA", "channel": "COPS", "text": "Cost now", "timeout": f"{HANG:.0f}"}
    async with http.get(f"{url}/_control/wait", params=wanted) as seen:
        assert seen.status == 200


def test_a_usual_port_that_is_in_use_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            monkeypatch.setattr("bot.demo.starting.PORT", taken)
            world = DemoWorld(tmp_path / "world", ScaledClock(1.0))
            assert "try --port 0" in await start_on(world, taken), "it was asked for"
            assert await start_on(world, None) == ""
            assert world.slack.url != f"http://127.0.0.1:{taken}"
            await world.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("kind", "keeper", "masters", "media"),
    [
        ("pool", "pool at 3", 4, 3),
        ("fixed", "fixed droplets", 4, 3),
        ("autoscaler", "autoscaler on", 4, 3),
        ("elastic", "pool at 3", 1, 3),
        ("single", "Single Node", 0, 1),
    ],
)
def test_it_can_be_started_with_each_deployment_and_kind_of_media_fleet(
    kind: str, keeper: str, masters: int, media: int, tmp_path: Path
) -> None:
    words = ["demo", "--port", "0", "--no-browser", "--kind", kind]
    demo = fork_server.Started(words, _environment(tmp_path))
    try:
        assert " open http" in demo.stdout.readline()
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait()
    assert code == 0
    (cluster,) = asyncio.run(_drawn(tmp_path, kind))["clusters"]
    assert keeper in cluster["summary"]
    states = ["active"] * masters + ["in service"] * media
    assert [n["state"] for n in cluster["nodes"]] == states


async def _drawn(folder: Path, kind: str) -> dict[str, Any]:
    """Return the panel of such a world."""
    async with running_world(folder, 12.0, kind=kind) as world:
        return Panel(world, BotProcess(folder / "bot.log")).picture()
