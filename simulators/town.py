"""The whole pretend world except Slack, on loopback sockets."""

import socket
from dataclasses import dataclass, field
from typing import Any

from simulators.clock import Clock, ScaledClock
from simulators.digitalocean import DigitalOceanFace
from simulators.doors import Doors, HttpDoor, http_door
from simulators.estate import Cluster, Estate
from simulators.faults import Faults
from simulators.livekit import LivekitFace
from simulators.node import NodeShell, SshFace
from simulators.spaces import SpacesFace
from simulators.web import WebFace

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
    """Addresses once the world is started. `fronts` has a URL for each stack."""

    digitalocean: str
    spaces: str
    ssh_port: int
    health_port: int
    fronts: dict[str, str] = field(default_factory=dict)


class Town:
    """A cloud, its faults and all of its APIs. Build clusters before `start()`.

    In-process tests need no `start()`.

    `authorized_key` is the OpenSSH public key that may log in to nodes; any key may when it is
    None.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        seed: int = 0,
        faults: Faults | None = None,
        authorized_key: str | None = None,
        token: str = "dop_v1_sim",  # noqa: S107 - a pretend one
    ) -> None:
        self.estate = Estate(clock or ScaledClock(), seed)
        self.faults = faults or Faults(seed)
        self.digitalocean = DigitalOceanFace(self.estate, token, self.faults)
        self.shell = NodeShell(self.estate, self.faults)
        self.web = WebFace(self.estate, self.faults)
        self.spaces = SpacesFace(self.estate, self.faults)
        self.livekit: dict[str, LivekitFace] = {}
        self.ssh: SshFace | None = None
        self._authorized_key = authorized_key
        self._doors: list[HttpDoor | Doors | SshFace] = []

    def build_cluster(self, stack: str = "acme", media: int = 3, **options: Any) -> Cluster:
        """Build a cluster with its bucket and its LiveKit API.

        `options` as for `Estate.build_cluster`.
        """
        cluster = self.estate.build_cluster(stack, media=media, **options)
        self.spaces.adopt(cluster)
        self.livekit[stack] = LivekitFace(self.estate, cluster)
        return cluster

    async def start(self, ports: Ports | None = None) -> Addresses:
        """Open every socket."""
        ports = ports or Ports()
        api = await http_door(self.digitalocean.app(), LOOPBACK, ports.digitalocean)
        spaces = await http_door(self.spaces.app(), LOOPBACK, ports.spaces)
        ssh_port, health_port = ports.ssh or free_port(), ports.health or free_port()
        self.ssh = SshFace(self.estate, self.shell, ssh_port, authorized_key=self._authorized_key)
        masters = self.web.masters(health_port)
        self._doors = [api, spaces, self.ssh, masters]
        await self.ssh.start()
        await masters.start()
        fronts = await self._open_fronts(ports.front)
        return Addresses(api.url, spaces.url, ssh_port, health_port, fronts)

    async def stop(self) -> None:
        """Close every socket."""
        for door in reversed(self._doors):
            await (door.close() if isinstance(door, HttpDoor) else door.stop())
        self._doors = []

    async def _open_fronts(self, port: int) -> dict[str, str]:
        fronts = {}
        for n, cluster in enumerate(self.estate.clusters.values(), 1):
            host = f"127.{20 + self.estate.seed % 200}.254.{n}"
            door = await self.web.open_front(cluster, self.livekit[cluster.stack], host, port)
            self._doors.append(door)
            fronts[cluster.stack] = door.url
        return fronts


def free_port() -> int:
    """Return a port that is free at this moment on every loopback address."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104 - only to find a port that is free everywhere
        return int(probe.getsockname()[1])
