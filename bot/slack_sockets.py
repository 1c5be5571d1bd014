"""Socket Mode: two connections to Slack, and recovery from what the SDK does not recover from."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

log = logging.getLogger(__name__)
# The SDK logs a traceback every three seconds while Slack is away; this module logs it once.
sdk_log = logging.getLogger("slack_bolt.sockets")
sdk_log.setLevel(logging.CRITICAL)
# Slack replaces a socket now and then, and the SDK closes the old one first: with a single
# connection commands would be lost meanwhile.
CONNECTIONS = 2
PING = 3.0  # seconds; a silently dropped connection is noticed after two to four of these
CHECK_EVERY = 2.0
RENEW_AFTER = 60.0  # seconds without a connection until the client is replaced
CLOSE_WITHIN = 2.0
RETRY_AFTER = 30.0  # seconds after Slack turned a connection away; doubles up to RETRY_AT_MOST
RETRY_AT_MOST = 300.0
jitter = random.SystemRandom()  # several bots should not retry at the same moment

# Why Slack turns a connection away; the SDK would retry many times a second, with the same answer.
TURNED_AWAY = {
    "too_many_websockets": "an app may have ten and each bot opens two. Run at most five bots, "
    "or all of them with slack.mode: http",
    "link_disabled": "Socket Mode is switched off in the Slack app's settings",
}
ONE_SOCKET = "one of two sockets to Slack is open: Slack may lose a command when it replaces it"


class SocketHandler(Protocol):
    """The methods of the SDK's handler that are used here; the SDK leaves them untyped."""

    def connect_async(self) -> Coroutine[Any, Any, None]: ...
    def close_async(self) -> Coroutine[Any, Any, None]: ...


class Sockets:
    """Keeps the connections open until closed. All times are real time, also in the demo."""

    def __init__(self, app: AsyncApp, app_token: str, *, proxied: bool) -> None:
        self._connections = [
            _Connection(app, app_token, self._count, proxied=proxied) for _ in range(CONNECTIONS)
        ]
        self._greeted: set[_Connection] = set()

    def _count(self, connection: "_Connection") -> None:
        """Say once that commands are answered: when Slack has greeted each connection."""
        ready = len(self._greeted) == CONNECTIONS
        self._greeted.add(connection)
        if len(self._greeted) == CONNECTIONS and not ready:
            log.info("ready: commands in Slack are answered")

    async def run(self) -> None:
        """Open the connections and keep them open, until cancelled."""
        for connection in self._connections:
            connection.open()
        while True:
            await asyncio.sleep(CHECK_EVERY)
            for connection in self._connections:
                await connection.check()

    async def connected(self) -> int:
        """Return how many connections are open."""
        return sum([await connection.connected() for connection in self._connections])

    async def problems(self) -> list[str]:
        """Return why no request of Slack arrives; empty if at least one connection is open."""
        if await self.connected():
            return []
        why = [TURNED_AWAY[c.turned_away] for c in self._connections if c.turned_away]
        if why:
            return [
                f"Slack gives this bot no socket: it drives runs, and no command arrives: {why[0]}"
            ]
        return ["no socket to Slack is open"]

    async def cautions(self) -> list[str]:
        """Return a warning if only one of two connections is open."""
        if await self.connected() == 1:
            return [ONE_SOCKET]
        return []

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(connection.close() for connection in self._connections))


class _Connection:
    """One connection to Slack, with the SDK's client behind it."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        on_hello: "Callable[[_Connection], None]",
        *,
        proxied: bool,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._on_hello = on_hello
        self._proxied = proxied
        self._handler: AsyncSocketModeHandler | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._greeted: object = None  # the session on which Slack said hello
        self._connected_at = 0.0
        self._was_connected = True
        self.turned_away = ""
        self._tries = 0
        self._retry_at = 0.0

    def open(self) -> None:
        """Start connecting, in a task: the SDK's `connect` returns only when it is connected."""
        self._handler = AsyncSocketModeHandler(
            self._app, self._app_token, logger=sdk_log, ping_interval=PING
        )
        client = self._handler.client
        if not self._proxied:
            # The SDK reads HTTPS_PROXY but not NO_PROXY.
            client.proxy = None
        client.on_message_listeners.append(self._receive)
        self._connected_at = asyncio.get_running_loop().time()
        handler: SocketHandler = self._handler
        self._connecting = asyncio.create_task(handler.connect_async(), name="connecting to slack")

    async def connected(self) -> bool:
        """Return whether Slack said hello on the current session and it is alive.

        The SDK's `is_connected` is a coroutine: without `await` it is always true.
        """
        client = self._handler.client if self._handler is not None else None
        return (
            client is not None
            and self._greeted is client.current_session is not None
            and await client.is_connected()
        )

    async def check(self) -> None:
        """Reconnect if the connection is down.

        After a failed handshake the SDK would retry its single-use address forever; without the
        address it asks Slack for a new one.
        """
        now, connected = asyncio.get_running_loop().time(), await self.connected()
        if self.turned_away:
            await self._retry_later(now)
            return
        if connected and not self._was_connected:
            log.info("a socket to Slack is open again")
        elif self._was_connected and not connected:
            log.warning("a socket to Slack has closed; reconnecting")
        self._was_connected = connected
        if connected:
            self._connected_at, self._tries = now, 0
        elif self._handler is not None:
            self._handler.client.wss_uri = None
            down_for = now - self._connected_at
            if down_for > RENEW_AFTER:
                log.warning("a socket to Slack was closed for %.0f s; opening a new one", down_for)
                await self.close()
                self.open()

    async def _retry_later(self, now: float) -> None:
        """Close a connection that Slack turned away; open it again when its pause is over."""
        self._was_connected = False
        if self._handler is not None:
            await self.close()
            pause = min(RETRY_AFTER * 2**self._tries, RETRY_AT_MOST) * jitter.uniform(1.0, 1.3)
            self._retry_at, self._tries = now + pause, self._tries + 1
            if self._tries == 1:
                log.error(
                    "Slack refused a socket; retrying every few minutes: %s",
                    TURNED_AWAY[self.turned_away],
                )
        elif now >= self._retry_at:
            self.turned_away = ""
            self.open()

    async def _receive(self, message: aiohttp.WSMessage) -> None:
        """Handle hello and disconnect, before the SDK: its own listeners get no disconnect."""
        if '"hello"' not in message.data and '"disconnect"' not in message.data:
            return
        content: dict[str, Any] = json.loads(message.data)
        client = self._handler.client if self._handler is not None else None
        if client is None:
            return
        if content.get("type") == "hello":
            self._greeted = client.current_session
            # Slack sends each envelope to one socket of the app: a forgotten bot elsewhere takes a
            # share of the commands.
            log.info(
                "connected to Slack; open sockets of the app: %s (each bot opens %d)",
                content.get("num_connections"),
                CONNECTIONS,
            )
            self._on_hello(self)
        elif content.get("type") == "disconnect" and content.get("reason") in TURNED_AWAY:
            self.turned_away = str(content["reason"])
            client.closed = True  # or the SDK reconnects at once

    async def close(self) -> None:
        """Close the connection; abandon it if that takes too long."""
        if self._connecting is not None:
            self._connecting.cancel()
        handler: SocketHandler | None = self._handler
        self._handler = None
        if handler is not None:
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(handler.close_async(), CLOSE_WITHIN)
