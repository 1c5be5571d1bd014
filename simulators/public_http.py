"""Plain HTTP: each master's health check, and the cluster's public address.

That is a load balancer's or a reserved one."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from simulators.cloud import Cloud, SimulatedCluster, SimulatedDroplet
from simulators.evidence import Source, rests_on
from simulators.faults import WorldFaults
from simulators.listeners import HttpListener, Listener, Listeners, listen_http
from simulators.livekit import LivekitApi
from simulators.responses import HttpResponse, send
from simulators.wire import Recorder, recording

HEALTH = "/health/caddy"
HEALTH_PORT = 7880


class PublicHttp:
    """HTTP status codes of masters and of public addresses."""

    def __init__(
        self,
        estate: Cloud,
        faults: WorldFaults | None = None,
        on_call: Recorder | None = None,
    ) -> None:
        self.estate, self.faults = estate, faults or WorldFaults()
        self._on_call = on_call

    def handle(self, host: str, port: int, path: str) -> int:
        """Return the status of a GET.

        `host` is a droplet's public address, or the domain or address of a cluster.

        Raises:
            ConnectionRefusedError: when nothing listens there.
            TimeoutError: when a firewall is in front of what listens there.
        """
        self.estate.settle()
        cluster = self.cluster_at(host)
        masters = [d for d in self.estate.droplets.values() if d.is_master]
        master = next(
            (d for d in masters if host in (d.public_ip, d.reserved_ip, d.private_ip)), None
        )
        is_health = master is not None and port == HEALTH_PORT
        if cluster is not None and not is_health:
            return self.front(cluster)
        if master is None or port == 0:
            raise ConnectionRefusedError(f"{host}:{port}")
        if master.on and not self._may_reach_health(master, host):
            raise TimeoutError(f"{host}:{port}: dropped by a firewall")
        return self.health(master, path)

    def _may_reach_health(self, master: SimulatedDroplet, host: str) -> bool:
        """Return whether a firewall lets a request at this address to a master's health page."""
        match self.estate.clusters[master.stack].deployment:
            case "high availability":
                return True
            case "elastic":
                return host == master.private_ip
        return False

    def health(self, master: SimulatedDroplet, path: str = HEALTH) -> int:
        """Return what a master answers on its health port."""
        fault = self.faults.pick("web", f"{master.name} {path}")
        if not self.estate.up(master) or (fault is not None and fault.kind == "refuse"):
            raise ConnectionRefusedError(master.public_ip)
        if fault is not None or not self.estate.healthy(master):
            return 503
        return 200 if path == HEALTH else 404

    def front(self, cluster: SimulatedCluster) -> int:
        """Return what the public address answers."""
        fault = self.faults.pick("web", f"front {cluster.stack}")
        if fault is not None and fault.kind == "503":
            return 503
        if fault is not None or not any(
            self.estate.up(m) for m in self.estate.masters(cluster.stack)
        ):
            raise ConnectionRefusedError(cluster.domain)
        return 200 if self.estate.front_is_up(cluster.stack) else 503

    def cluster_at(self, host: str) -> SimulatedCluster | None:
        """Return the cluster with that domain, load balancer address or reserved IP."""
        clusters = self.estate.clusters.values()
        return next((c for c in clusters if host in (c.domain, self.front_ip(c))), None)

    def front_ip(self, cluster: SimulatedCluster) -> str:
        """Return the public address of a cluster: its load balancer's, or a reserved one."""
        if cluster.balancer_id:
            return self.estate.balancers[cluster.balancer_id].ip
        return next((m.reserved_ip for m in self.estate.masters(cluster.stack)), "")

    def masters(self, port: int = HEALTH_PORT) -> Listeners:
        """Return servers for the masters' health checks, each on its master's address.

        For Elastic they stand for what is reached from inside its VPC. Single Node has none.
        """

        def wanted() -> dict[int, Callable[[], Awaitable[Listener]]]:
            self.estate.settle()
            return {
                d.id: self._opener(d, port)
                for d in self.estate.droplets.values()
                if d.role == "master" and self.estate.up(d)
            }

        return Listeners(self.estate.clock, wanted)

    def _opener(self, master: SimulatedDroplet, port: int) -> Callable[[], Awaitable[Listener]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            self.estate.settle()
            return await send(
                _answer(lambda: self.health(master, request.path)), request, self.estate.clock
            )

        async def open_it() -> Listener:
            return await listen_http(self._catch_all(serve), master.public_ip, port)

        return open_it

    async def open_front(
        self, cluster: SimulatedCluster, livekit: LivekitApi, host: str, port: int = 0
    ) -> HttpListener:
        """Start a server for a cluster's public address: pages, and the LiveKit API behind them."""

        async def serve(request: web.Request) -> web.StreamResponse:
            self.estate.settle()
            answer = _answer(lambda: self.front(cluster))
            if answer.status == 200 and request.path.startswith("/twirp/"):
                answer = livekit.handle(
                    request.method, request.path, request.headers, await request.read()
                )
            return await send(answer, request, self.estate.clock)

        return await listen_http(self._catch_all(serve), host, port)

    def _catch_all(
        self, serve: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        if self._on_call is not None:
            app.middlewares.append(recording(_service, self._on_call))
        return app


def _answer(ask: Callable[[], int]) -> HttpResponse:
    try:
        return HttpResponse(ask(), {"content-type": "text/plain"})
    except ConnectionRefusedError:
        return HttpResponse(0, fate="reset")


def _service(request: web.Request) -> str:
    """Return what a call to a node or to the public address asks."""
    return "livekit" if request.path.startswith("/twirp/") else "health"


rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean 3.6.1: the load balancer's health check",
    "/health/caddy answers 200 on a master in service",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean pro/elastic and pro/singlenode: digitalocean_reserved_ip",
    "a reserved IP leads to the one droplet, and nothing answers while that is powered off",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean: the firewalls of pro/ha, pro/elastic and pro/singlenode",
    "the health page is open to all, to the VPC (Elastic), or to none (Single Node)",
)
