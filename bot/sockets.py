"""Socket Mode: two connections to Slack, and a watchdog for what the SDK does not recover from by itself."""

import asyncio
import contextlib
import logging
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

log = logging.getLogger(__name__)
# The SDK's own lines: a traceback every three seconds while Slack is away. The watchdog tells it once.
sdk_log = logging.getLogger("slack_bolt.sockets")
sdk_log.setLevel(logging.CRITICAL)
LINES = 2  # Slack replaces a socket now and then, and the SDK closes the old one first: with one line commands get lost meanwhile
PING = 3.0  # seconds; a connection that was silently cut is noticed after about two of these
LOOK = 2.0
PATIENCE = 60.0  # seconds without a connection after which a line is thrown away and made anew
CLOSE_WITHIN = 2.0


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
        self._well_at = 0.0
        self._was_well = True

    def open(self) -> None:
        """Begin to connect. The SDK's `connect` only returns once it has, so it is a task of its own."""
        self._handler = AsyncSocketModeHandler(self._app, self._app_token, logger=sdk_log, ping_interval=PING)
        if not self._proxied:
            # The SDK reads HTTPS_PROXY but not NO_PROXY.
            self._handler.client.proxy = None
        self._handler.client.message_listeners.append(_listen)
        self._well_at = asyncio.get_running_loop().time()
        self._connecting = asyncio.create_task(self._handler.connect_async(), name="connecting to slack")  # type: ignore[no-untyped-call]

    async def connected(self) -> bool:
        """Whether it is up. `is_connected` is a coroutine: forgetting to await it makes it always true."""
        return self._handler is not None and await self._handler.client.is_connected()

    async def check(self) -> None:
        """After a failed handshake the SDK would try its single-use address for ever; without the address it asks for a new one."""
        now, well = asyncio.get_running_loop().time(), await self.connected()
        if well != self._was_well:
            log.log(logging.INFO if well else logging.WARNING, "a socket to Slack is %s", "up again" if well else "down; it is tried again")
        self._was_well = well
        if well:
            self._well_at = now
        elif self._handler is not None:
            self._handler.client.wss_uri = None
            if now - self._well_at > PATIENCE:
                log.warning("a socket to Slack was down for %.0f s; it is made anew", now - self._well_at)
                await self.close()
                self.open()

    async def close(self) -> None:
        """Hang up. What does not hang up in time is dropped."""
        if self._connecting is not None:
            self._connecting.cancel()
        handler, self._handler = self._handler, None
        if handler is not None:
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(handler.close_async(), CLOSE_WITHIN)  # type: ignore[no-untyped-call]


async def _listen(_client: object, message: dict[str, Any], _raw: str | None = None) -> None:
    if message.get("type") == "hello":
        # Slack hands each envelope to any one socket of the app: a forgotten bot elsewhere takes its share of the commands.
        log.info("connected to Slack; the app has %s sockets open now, %d of them are this bot's", message.get("num_connections"), LINES)
    elif message.get("type") == "disconnect" and message.get("reason") == "link_disabled":
        log.error("Socket Mode was switched off in the Slack app's settings; nobody can reach the bot until it is on again")
