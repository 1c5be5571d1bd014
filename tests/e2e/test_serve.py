"""The bot as a process: how it starts, refuses to, is reached, and stops."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
import yaml

from bot.demo.world import OPS, DemoWorld
from simulators.environment import find_free_port
from simulators.slack.httpmode import HttpMode
from tests.support import fork_server
from tests.support.patience import HANG, LOOKS
from tests.support.real_sockets import bot_of, running_world

SPEED = 12.0


async def dies(world: DemoWorld, env: Mapping[str, str]) -> tuple[int, str]:
    async with bot_of(world, env) as bot:
        return await asyncio.wait_for(bot.wait(), HANG), bot.log_tail()


def test_command_line() -> None:
    def command(*words: str) -> "subprocess.CompletedProcess[str]":
        return fork_server.run(words, os.environ)

    assert command("--version").stdout.startswith("openvidu-bot 0.")
    assert "serve" in command("--help").stdout
    assert "--clock" not in command("serve", "--help").stdout
    assert "socket_mode_enabled: true" in command("manifest").stdout
    unknown = command("dance")
    assert (unknown.returncode, "there is no command dance" in unknown.stderr) == (2, True)
    missing = command("serve", "--config", "not-there.yaml")
    assert (missing.returncode, "not-there.yaml" in missing.stderr) == (2, True)


def test_refuses_to_start_with_a_sentence(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, SPEED) as world:
            code, said = await dies(world, {"SLACK_BOT_TOKEN": "xoxb-wrong"})
            assert code == 1
            assert said.splitlines()[-1].startswith(
                "Cannot start: SLACK_BOT_TOKEN: Slack answered invalid_auth"
            )
            assert "Traceback" not in said
            code, said = await dies(world, {"SLACK_APP_TOKEN": "xapp-wrong"})
            assert (code, "SLACK_APP_TOKEN: Slack answered invalid_auth" in said) == (1, True)
            code, said = await dies(world, {"SLACK_APP_TOKEN": ""})
            assert (code, "SLACK_APP_TOKEN: not set" in said) == (2, True)
            async with bot_of(world):
                await world.slack.sockets.until(bool)
                code, said = await dies(world, {})
                assert (code, "another bot uses" in said) == (1, True)
            assert "xoxb-wrong" not in (tmp_path / "bot.log").read_text()

    asyncio.run(story())


def test_stays_reachable_and_stops_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        port = find_free_port()
        async with running_world(
            tmp_path, SPEED, health={"port": port}, log={"format": "json"}
        ) as world:
            world.slack.slack.faults.fail_handshakes = 1
            async with bot_of(world) as bot, aiohttp.ClientSession() as http:
                # The first handshake of one of the two failed; the SDK alone would never recover.
                await asyncio.wait_for(
                    world.slack.sockets.until(lambda sockets: len(sockets) == 2), HANG
                )
                assert await answer(http, f"http://127.0.0.1:{port}/healthz") == (200, [])
                assert await answer(http, f"http://127.0.0.1:{port}/readyz") == (200, [])
                refreshing = asyncio.create_task(world.slack.sockets.refresh(0.2))
                ana = world.slack.human("UANA")
                while not refreshing.done():
                    assert await ana.type_text(OPS, "/openvidu help") is None
                    await asyncio.sleep(0.02)
                assert await bot.stop() == 0, "it ended by itself, before its own alarm ended it"
            world.slack.slack.journal.assert_clean()
            written = (tmp_path / "bot.log").read_text()
            assert '"text": "stopped"' in written
            assert written.count('"ready: commands in Slack are answered"') == 1

    asyncio.run(story())


def test_waits_for_a_slack_that_is_away(tmp_path: Path) -> None:
    async def story() -> None:
        port = find_free_port()
        nobody = {"api_url": f"http://127.0.0.1:{find_free_port()}/api"}
        async with (
            running_world(tmp_path, SPEED, health={"port": port}, slack=nobody) as world,
            bot_of(world) as bot,
            aiohttp.ClientSession() as http,
        ):
            await until_up(http, f"http://127.0.0.1:{port}/healthz")
            assert await answer(http, f"http://127.0.0.1:{port}/readyz") == (
                503,
                ["Slack does not answer"],
            )
            assert await bot.stop() == 0

    asyncio.run(story())


async def answer(http: aiohttp.ClientSession, url: str) -> tuple[int, list[str]]:
    async with http.get(url) as got:
        return got.status, (await got.json())["problems"]


def test_http_mode(tmp_path: Path) -> None:
    async def story() -> None:
        port = find_free_port()
        async with running_world(tmp_path, SPEED, health={"port": port}) as world:
            settings = yaml.safe_load(world.settings_file.read_text())
            world.settings_file.write_text(
                yaml.safe_dump({**settings, "slack": {**settings["slack"], "mode": "http"}})
            )
            code, said = await dies(world, {"SLACK_SIGNING_SECRET": ""})
            assert (code, "SLACK_SIGNING_SECRET: not set" in said) == (2, True)
            url = f"http://127.0.0.1:{port}/slack/events"
            road = HttpMode(
                url, world.slack.slack.journal, signing_secret=world.slack.signing_secret
            )
            world.slack.slack.connect(road)
            async with bot_of(world), aiohttp.ClientSession() as http:
                await until_up(http, f"http://127.0.0.1:{port}/readyz")
                assert await road.verify()
                ana = world.slack.human("UANA")
                assert await ana.type_text(OPS, "/openvidu status") is None
                await ana.wait_for_message(OPS, "Cost now", HANG)
                for headers in forged(world.slack.signing_secret):
                    async with http.post(url, data=b"command=%2Fopenvidu", headers=headers) as got:
                        assert got.status == 401

    asyncio.run(story())


async def until_up(http: aiohttp.ClientSession, url: str) -> None:
    for _ in range(LOOKS):
        with contextlib.suppress(aiohttp.ClientError):
            if (await answer(http, url))[0] == 200:
                return
        await asyncio.sleep(0.1)
    pytest.fail(f"{url} is not well")


def forged(secret: str) -> list[dict[str, str]]:
    now = str(int(time.time()))

    def signed(stamp: str, key: str) -> dict[str, str]:
        signature = hmac.new(
            key.encode(), f"v0:{stamp}:command=%2Fopenvidu".encode(), hashlib.sha256
        ).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}

    return [
        {},
        signed(now, "wrong"),
        signed("soon", secret),
        signed("1e9", secret),
        signed(str(int(now) - 600), secret),
    ]
