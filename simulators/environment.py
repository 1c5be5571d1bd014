"""The whole pretend world except Slack, on loopback sockets."""

import socket
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulators.clock import ScaledClock, WorldClock
from simulators.cloud import Cloud, SimulatedCluster
from simulators.digitalocean import DigitalOceanApi
from simulators.faults import WorldFaults
from simulators.github import GitHubApi
from simulators.listeners import HttpListener, Listeners, listen_http
from simulators.livekit import LivekitApi
from simulators.node import NodeShell, SshServers
from simulators.public_http import PublicHttp
from simulators.spaces import SpacesApi
from simulators.wire import Recorder, recording

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """TCP ports; 0 takes a free one.

    Nodes share one SSH port and masters one health port, each on its own address.
    """

    digitalocean: int = 0
    spaces: int = 0
    ssh: int = 0
    health: int = 0
    front: int = 0


@dataclass(frozen=True)
class Addresses:
    """Addresses once the world is started. `fronts` has a URL for each stack.

    `github`: where there is a repository.
    """

    digitalocean: str
    spaces: str
    ssh_port: int
    health_port: int
    fronts: dict[str, str] = field(default_factory=dict)
    github: str = ""


class SimulatedEnvironment:
    """A cloud, its faults and all of its APIs. Build clusters before `start()`.

    In-process tests need no `start()`.

    `authorized_key` is the OpenSSH public key that may log in to nodes; any key may when it is
    None. `on_call` hears of every call over a socket.
    """

    def __init__(
        self,
        clock: WorldClock | None = None,
        seed: int = 0,
        faults: WorldFaults | None = None,
        authorized_key: str | None = None,
        token: str = "dop_v1_sim",  # noqa: S107 - a pretend one
        on_call: Recorder | None = None,
    ) -> None:
        self.estate = Cloud(clock or ScaledClock(), seed)
        self.faults = faults or WorldFaults(seed)
        self.digitalocean = DigitalOceanApi(self.estate, token, self.faults)
        self.shell = NodeShell(self.estate, self.faults)
        self.web = PublicHttp(self.estate, self.faults, on_call)
        self.spaces = SpacesApi(self.estate, self.faults)
        self.github = GitHubApi(self.estate.clock, self.faults)
        self.livekit: dict[str, LivekitApi] = {}
        self.ssh: SshServers | None = None
        self._authorized_key = authorized_key
        self._on_call = on_call
        self._doors: list[HttpListener | Listeners | SshServers] = []

    def build_cluster(
        self, stack: str = "acme", media: int = 3, **options: Any
    ) -> SimulatedCluster:
        """Build a cluster with its bucket and its LiveKit API.

        `options` as for `Estate.build_cluster`.
        """
        cluster = self.estate.build_cluster(stack, media=media, **options)
        self.spaces.create_bucket_for(cluster)
        self.livekit[stack] = LivekitApi(self.estate, cluster)
        return cluster

    async def start(self, ports: Ports | None = None) -> Addresses:
        """Open every socket."""
        ports = ports or Ports()
        api = await self._listen("digitalocean", self.digitalocean.app(), ports.digitalocean)
        spaces = await self._listen("spaces", self.spaces.app(), ports.spaces)
        ssh_port, health_port = ports.ssh or find_free_port(), ports.health or find_free_port()
        self.ssh = SshServers(
            self.estate,
            self.shell,
            ssh_port,
            authorized_key=self._authorized_key,
            on_call=self._on_call,
        )
        masters = self.web.masters(health_port)
        self._doors = [api, spaces, self.ssh, masters]
        await self.ssh.start()
        await masters.start()
        fronts = await self._open_fronts(ports.front)
        github = ""
        if self.github.repositories:
            door = await self._listen("github", self.github.app(), 0)
            self._doors.append(door)
            github = door.url
        return Addresses(api.url, spaces.url, ssh_port, health_port, fronts, github)

    async def stop(self) -> None:
        """Close every socket."""
        for door in reversed(self._doors):
            await (door.close() if isinstance(door, HttpListener) else door.stop())
        self._doors = []

    async def _listen(self, service: str, app: web.Application, port: int) -> HttpListener:
        if self._on_call is not None:
            app.middlewares.append(recording(lambda _request: service, self._on_call))
        return await listen_http(app, LOOPBACK, port)

    async def _open_fronts(self, port: int) -> dict[str, str]:
        fronts = {}
        for n, cluster in enumerate(self.estate.clusters.values(), 1):
            host = f"127.{20 + self.estate.seed % 200}.254.{n}"
            door = await self.web.open_front(cluster, self.livekit[cluster.stack], host, port)
            self._doors.append(door)
            fronts[cluster.stack] = door.url
        return fronts


def find_free_port() -> int:
    """Return a port that is free at this moment on every loopback address."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104 - only to find a port that is free everywhere
        return int(probe.getsockname()[1])
