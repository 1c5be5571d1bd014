"""Servers on loopback addresses that follow a world in which machines come and go."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from simulators.clock import WorldClock

LOOK = 1.0
"""Seconds of the clock between two refreshes."""


class Listener(Protocol):
    """A server that listens."""

    async def close(self) -> None:
        """Stop listening, and break the open connections."""
        ...


class HttpListener:
    """An aiohttp application on one address."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner, self.host, self.port = runner, host, port

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"http://{self.host}:{self.port}"

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


async def listen_http(app: web.Application, host: str, port: int = 0) -> HttpListener:
    """Serve an application; port 0 takes a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return HttpListener(runner, host, int(runner.addresses[0][1]))


class Listeners:
    """A changing set of servers. `wanted` returns what should listen now, and how to open each."""

    def __init__(
        self,
        clock: WorldClock,
        wanted: Callable[[], Mapping[int, Callable[[], Awaitable[Listener]]]],
    ) -> None:
        self.clock, self._wanted = clock, wanted
        self._open: dict[int, Listener] = {}
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open what should be open, and keep refreshing."""
        await self.refresh()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Close everything."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        for key in list(self._open):
            await self._open.pop(key).close()

    async def refresh(self) -> None:
        """Open and close servers once, now."""
        wanted = self._wanted()
        for key in self._open.keys() - wanted.keys():
            await self._open.pop(key).close()
        for key in wanted.keys() - self._open.keys():
            self._open[key] = await wanted[key]()

    async def _watch(self) -> None:
        while True:
            await self.clock.sleep(LOOK)
            await self.refresh()
