"""/healthz: could a restart help? /readyz: can the bot answer users now? /metrics: counters.

The first two answer in JSON. `problems` come with status 503. `cautions` do not change the status:
how the state store may lose data, and each part of the bot that does not work for a cluster, which
no restart fixes.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from services.common.metrics import METRICS

Problems = Callable[[], Awaitable[list[str]]]


class HealthServer:
    """The HTTP server for health pages, metrics and, in HTTP mode, Slack's requests.

    A problem or caution is a sentence; an empty list means none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        alive: Problems,
        ready: Problems,
        troubles: Problems,
        cautions: Problems,
        measure: Callable[[], Awaitable[None]],
        routes: Sequence[web.AbstractRouteDef] = (),
    ) -> None:
        self.host, self.port = host, port
        self._alive = alive
        self._ready = ready
        self._troubles = troubles
        self._cautions = cautions
        self._measure = measure
        self._routes = routes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        app = web.Application(client_max_size=1024 * 1024)
        app.add_routes([*self.own_routes(), *self._routes])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = int(self._runner.addresses[0][1])

    def own_routes(self) -> list[web.RouteDef]:
        """Return the routes without authentication.

        Their answers must not name people, nodes, runs or reasons.
        """
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.StreamResponse:
        return _answer(await self._alive(), await self._troubles())

    async def _readyz(self, _request: web.Request) -> web.StreamResponse:
        return _answer(
            [*await self._alive(), *await self._ready()],
            [*await self._cautions(), *await self._troubles()],
        )

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        await self._measure()
        return web.Response(
            text=METRICS.text(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _answer(problems: list[str], cautions: list[str]) -> web.Response:
    content = {"ok": not problems, "problems": problems, "cautions": cautions}
    if problems:
        return web.json_response(content, status=503)
    return web.json_response(content)
