"""The watchdog over the sockets to Slack."""

import asyncio
import time

import aiohttp
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot import sockets
from simulators.clock import ScaledClock
from simulators.slack.server import SlackServer
from simulators.slack.workspace import Workspace
from tests.support.scene import MANIFEST


@pytest.mark.parametrize("patience", [0.5, 60.0], ids=["made anew", "given a new address"])
def test_comes_back_from_failed_handshakes(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    monkeypatch.setattr(sockets, "LOOK", 0.1)
    monkeypatch.setattr(sockets, "PING", 0.3)
    monkeypatch.setattr(sockets, "PATIENCE", patience)

    async def story() -> None:
        clock = ScaledClock()
        server = SlackServer(Workspace(clock, steady=time.monotonic), MANIFEST, clock)
        await server.start()
        server.slack.faults.fail_handshakes = 4
        async with aiohttp.ClientSession() as session:
            client = AsyncWebClient(token=server.bot_token, base_url=server.api_url, session=session)
            client.proxy = None
            lines = sockets.Sockets(AsyncApp(client=client, signing_secret=""), server.app_token, proxied=False)
            running = asyncio.create_task(lines.run())
            await asyncio.wait_for(server.sockets.until(lambda live: len(live) == 2), 10)
            await asyncio.sleep(0.2)
            assert await lines.connected() == 2
            running.cancel()
            await lines.close()
            assert await lines.connected() == 0
        await server.stop()

    asyncio.run(story())
