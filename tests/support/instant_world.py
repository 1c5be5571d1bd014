"""Clusters that do at once what they are asked for: for tests with many clusters or many weeks."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from services.access.clusters import ManagedCluster
from services.access.policy import ClusterPolicy
from services.cloud.port import WriteFence
from services.cluster.model import Cluster, Droplet, Fact, Load, NodeStatus
from services.common.clock import Clock
from services.operations.assembly import Operations, assemble
from services.schedule.scheduler import WindowScheduler
from services.store import Store
from services.windows import parse_window
from tests.support.clusters import SERVING, ready

OPERATORS = frozenset({"UANA", "UBEN"})


class InstantWorld:
    """A cluster's world. Every look takes `latency` seconds."""

    def __init__(
        self, name: str, clock: Clock, *, media: int = 2, latency: float = 0.3, hosted: int = 0
    ) -> None:
        cluster_at_first = ready(media, rooms=0)
        masters = tuple(
            replace(m, id=hosted + m.id, name=f"{name}{m.name.removeprefix('acme')}")
            for m in cluster_at_first.masters
        )
        nodes = tuple(
            replace(n, droplet=replace(n.droplet, id=hosted + n.id)) for n in cluster_at_first.media
        )
        self.cluster = replace(
            cluster_at_first,
            name=name,
            stack=name,
            masters=masters,
            media=nodes,
            load=Load(0, 0, 0),
        )
        self.looks = 0
        self.secrets_bucket = None
        self._clock = clock
        self._latency = latency
        self._born = 1000

    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = frozenset(),
        aged: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        await asyncio.sleep(self._latency)
        self.looks += 1
        return replace(self.cluster, seen_at=self._clock.now(), known=needs)

    async def act(self, droplet_id: int, action: str) -> None:
        on = action == "power_on"
        status = {"power_on": "active"}.get(action, "off")

        def after_action(m: Droplet) -> Droplet:
            if m.id != droplet_id:
                return m
            return replace(m, status=status, healthy=on)

        masters = tuple(after_action(m) for m in self.cluster.masters)
        self.cluster = replace(self.cluster, masters=masters)

    async def set_target(self, number: int) -> None:
        assert self.cluster.pool is not None
        media = self.cluster.media[:number]
        while len(media) < number:
            self._born += 1
            droplet = replace(
                ready(1).media[0].droplet,
                id=self._born,
                name=f"{self.cluster.stack}-media-{self._born}",
            )
            media = (
                *media,
                replace(
                    ready(1).media[0], droplet=droplet, look=replace(SERVING, rooms=0, people=0)
                ),
            )
        self.cluster = replace(
            self.cluster, media=media, pool=replace(self.cluster.pool, target=number)
        )

    async def signal(self, droplet_id: int, look: NodeStatus) -> None:
        self._show(
            droplet_id, replace(look, running=(), drain_marked=True, livekit=0, rooms=0, people=0)
        )

    def _show(self, droplet_id: int, look: NodeStatus) -> None:
        """Show this look of one media node from now on."""
        media = list(self.cluster.media)
        for n, node in enumerate(media):
            if node.id == droplet_id:
                media[n] = replace(node, look=look)
        self.cluster = replace(self.cluster, media=tuple(media))

    async def restart_service(self, droplet_id: int) -> None:
        self._show(droplet_id, SERVING)

    def writer(self, cluster: Cluster, fence: WriteFence, _since: float | None) -> "QuickWriter":
        return QuickWriter(self, cluster, fence)

    def poll_interval(self, interval: float) -> float:
        return interval


class QuickWriter:
    """The write operations of a window's runs, behind the fence of the run."""

    def __init__(self, world: InstantWorld, cluster: Cluster, fence: WriteFence) -> None:
        self._world, self._cluster, self._fence = world, cluster, fence

    async def request_droplet_action(self, droplet_id: int, action: str, **_: str | bool) -> None:
        self._fence.check()
        await self._world.act(droplet_id, action)

    async def set_pool_target(self, number: int, *, remember: int) -> None:
        await self._fence.before_target(number, remember=remember)
        await self._world.set_target(number)

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        node = next(n for n in self._cluster.media if n.id == droplet_id)
        if isinstance(node.look, NodeStatus) and node.look.start and not node.look.drain_marked:
            await self._fence.before_signal(node, node.look.start)
            await self._world.signal(droplet_id, node.look)

    async def restart_service(self, droplet_id: int) -> None:
        self._fence.check()
        await self._world.restart_service(droplet_id)


def instant_operations(
    worlds: Mapping[str, InstantWorld], store: Store, clock: Clock, worker: str = "w"
) -> tuple[Operations, WindowScheduler]:
    """Return the operations with their scheduler, on clusters of that kind."""
    rules = ClusterPolicy(operators=OPERATORS, approvers=OPERATORS)
    operations = assemble(
        {name: ManagedCluster(name, world, rules) for name, world in worlds.items()},  # type: ignore[arg-type]
        store,
        clock,
        worker,
    )
    return operations, WindowScheduler(operations, clock)


async def add_window(hours: WindowScheduler, name: str, words: str, now: float) -> None:
    """Give a cluster a window, as if it had been approved long ago."""
    window = parse_window(words)
    await hours.books.edit(name, lambda b: b.with_window(window, "", now))
