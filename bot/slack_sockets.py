"""Socket Mode: two connections to Slack, and a watchdog for what the SDK does not recover from by itself."""

import asyncio
import contextlib
import json
import logging
import random
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

log = logging.getLogger(__name__)
# The SDK's own lines: a traceback every three seconds while Slack is away. The watchdog tells it once.
sdk_log = logging.getLogger("slack_bolt.sockets")
sdk_log.setLevel(logging.CRITICAL)
LINES = 2  # Slack replaces a socket now and then, and the SDK closes the old one first: with one line commands get lost meanwhile
PING = 3.0  # seconds; a connection that was silently cut is noticed after two of these, at the latest after four
LOOK = 2.0
PATIENCE = 60.0  # seconds without a connection after which a line is thrown away and made anew
CLOSE_WITHIN = 2.0
HOLD_BACK = 30.0  # seconds until a line that Slack turned away is tried again, twice as long each time up to LONGEST
LONGEST = 300.0

# Why Slack turns a line away for good; asking again at once, as the SDK does, would get the same answer many times a second.
TURNED_AWAY = {
    "too_many_websockets": "an app may have ten and each bot opens two; run at most five bots, or all of them with slack.mode: http",
    "link_disabled": "Socket Mode is switched off in the Slack app's settings",
}
ONE_LINE = "one of two sockets to Slack is open: a command may get lost when Slack replaces it"


class Sockets:
    """Keeps the lines up until it is closed. All times are the wall's: Slack does not live in the demo's faster world."""

    def __init__(self, app: AsyncApp, app_token: str, *, proxied: bool) -> None:
        self._lines = [_Line(app, app_token, proxied=proxied) for _ in range(LINES)]

    async def run(self) -> None:
        """Open the lines and watch over them, until cancelled."""
        for line in self._lines:
            line.open()
        while True:
            await asyncio.sleep(LOOK)
            for line in self._lines:
                await line.check()

    async def connected(self) -> int:
        """How many lines are up."""
        return sum([await line.connected() for line in self._lines])

    async def problems(self) -> list[str]:
        """Why nobody can be heard; empty while anybody can."""
        if await self.connected():
            return []
        why = [TURNED_AWAY[line.turned_away] for line in self._lines if line.turned_away]
        return (
            [f"Slack gives this bot no socket, it drives runs and hears nobody: {why[0]}"]
            if why
            else ["no socket to Slack is open"]
        )

    async def cautions(self) -> list[str]:
        """What is not as it should be while people can be heard all the same."""
        return [ONE_LINE] if await self.connected() == 1 else []

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(line.close() for line in self._lines))


class _Line:
    def __init__(self, app: AsyncApp, app_token: str, *, proxied: bool) -> None:
        self._app = app
        self._app_token = app_token
        self._proxied = proxied
        self._handler: AsyncSocketModeHandler | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._greeted: object = None  # the connection on which Slack said hello
        self._well_at = 0.0
        self._was_well = True
        self.turned_away = ""
        self._tries = 0
        self._again_at = 0.0

    def open(self) -> None:
        """Begin to connect. The SDK's `connect` only returns once it has, so it is a task of its own."""
        self._handler = AsyncSocketModeHandler(
            self._app, self._app_token, logger=sdk_log, ping_interval=PING
        )
        client = self._handler.client
        if not self._proxied:
            # The SDK reads HTTPS_PROXY but not NO_PROXY.
            client.proxy = None
        client.on_message_listeners.append(self._hear)
        self._well_at = asyncio.get_running_loop().time()
        self._connecting = asyncio.create_task(
            self._handler.connect_async(),  # type: ignore[no-untyped-call]
            name="connecting to slack",
        )

    async def connected(self) -> bool:
        """Whether it is up: greeted, and alive. `is_connected` is a coroutine: forgetting to await it makes it always true."""
        client = self._handler.client if self._handler is not None else None
        return (
            client is not None
            and self._greeted is client.current_session is not None
            and await client.is_connected()
        )

    async def check(self) -> None:
        """After a failed handshake the SDK would try its single-use address for ever; without the address it asks for a new one."""
        now, well = asyncio.get_running_loop().time(), await self.connected()
        if self.turned_away:
            await self._wait_outside(now)
            return
        if well != self._was_well:
            log.log(
                logging.INFO if well else logging.WARNING,
                "a socket to Slack is %s",
                "up again" if well else "down; it is tried again",
            )
        self._was_well = well
        if well:
            self._well_at, self._tries = now, 0
        elif self._handler is not None:
            self._handler.client.wss_uri = None
            if now - self._well_at > PATIENCE:
                log.warning(
                    "a socket to Slack was down for %.0f s; it is made anew", now - self._well_at
                )
                await self.close()
                self.open()

    async def _wait_outside(self, now: float) -> None:
        """Turned away: closed, and tried again after a while."""
        self._was_well = False
        if self._handler is not None:
            await self.close()
            pause = min(HOLD_BACK * 2**self._tries, LONGEST) * random.uniform(1.0, 1.3)  # noqa: S311 - several bots not in step
            self._again_at, self._tries = now + pause, self._tries + 1
            if self._tries == 1:
                log.error(
                    "Slack turned a socket away, it is tried again now and then: %s",
                    TURNED_AWAY[self.turned_away],
                )
        elif now >= self._again_at:
            self.turned_away = ""
            self.open()

    async def _hear(self, message: aiohttp.WSMessage) -> None:
        """Called for each message before the SDK acts on it: its own listeners are never told of a disconnect."""
        if '"hello"' not in message.data and '"disconnect"' not in message.data:
            return
        said: dict[str, Any] = json.loads(message.data)
        client = self._handler.client if self._handler is not None else None
        if client is None:
            return
        if said.get("type") == "hello":
            self._greeted = client.current_session
            # Slack hands each envelope to any one socket of the app: a forgotten bot elsewhere takes its share of the commands.
            log.info(
                "connected to Slack; the app has %s sockets open now, %d of them are this bot's",
                said.get("num_connections"),
                LINES,
            )
        elif said.get("type") == "disconnect" and said.get("reason") in TURNED_AWAY:
            self.turned_away = str(said["reason"])
            client.closed = True  # or the SDK connects anew at once

    async def close(self) -> None:
        """Hang up. What does not hang up in time is dropped."""
        if self._connecting is not None:
            self._connecting.cancel()
        handler, self._handler = self._handler, None
        if handler is not None:
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(handler.close_async(), CLOSE_WITHIN)  # type: ignore[no-untyped-call]
