"""Steps that stop OpenVidu on media nodes, restart it, and wait until nodes are in service."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact, MediaNode
from services.common.text import count_of, join_words, plural
from services.common.values import replace
from services.steps.base import (
    NODE_FACTS,
    Effects,
    Step,
    StepTiming,
    WriteOperations,
    request_each,
    shown_by_nodes,
)
from services.steps.node_text import (
    coming_up,
    missing_nodes,
    node_names,
    nodes_and_verb,
    pool_problems,
)
from services.steps.planned_nodes import drained, in_service, new_node

PRESENT = ("provisioning", "active", "off")
# Seconds until a new pool member is in service, and until a restarted media server is.
NEW_NODE = 240.0
RESTART = 40.0
# Seconds; documented for pools of fixed size, and not configurable.
POOL_COOLDOWN = 600.0


@dataclass(frozen=True)
class StopService(Step):
    """OpenVidu is stopped on media nodes, whatever runs there. Only people choose this."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=20.0,
        deadline=lambda t: t.power_on_deadline,
        retry_after=lambda t: t.look * 6,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}

    ids: tuple[int, ...]

    @override
    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        return shown_by_nodes(cluster)

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.drained]

    def title(self) -> str:
        return f"Stop OpenVidu on {count_of(len(self.ids), 'media node')}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: drained(n) for n in cluster.media if n.id in self.ids})

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(
            world.stop_service(n.id) for n in self._remaining(cluster) if n.is_observed
        )

    def effects(self, cluster: Cluster) -> Effects:
        return Effects(cuts_off=bool(self._remaining(cluster)))

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        return f"{node_names(cluster, remaining)} to stop"

    def residue(self) -> str:
        return f"OpenVidu stopped on {count_of(len(self.ids), 'media node')}"


@dataclass(frozen=True)
class Revive(Step):
    """Drained nodes are in service again.

    OpenVidu is restarted on each of them once its last meeting has ended.
    """

    # A node whose last meeting has not ended is not restarted: no one is disconnected for it.
    timing: ClassVar[StepTiming] = StepTiming(
        expected=RESTART,
        deadline=lambda t: t.serving_deadline + 4 * t.drain_deadline,
        retry_after=lambda t: t.power_on_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS

    ids: tuple[int, ...]
    # Their names, for the title, when they are few.
    who: str = ""
    # Also reached once that many media nodes, of any id, are in service.
    enough: int = 0

    @override
    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        return shown_by_nodes(cluster)

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        if self.enough and len(cluster.serving) >= self.enough:
            return []
        return [n for n in cluster.media if n.id in self.ids and not n.serving]

    def title(self) -> str:
        if self.who:
            return f"Restart OpenVidu on {self.who}"
        if self.enough:
            return f"Put {count_of(self.enough, 'media node')} back into service"
        return f"Put {count_of(len(self.ids), 'drained media node')} back into service"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: in_service(n) for n in cluster.media if n.id in self.ids})

    def expected_seconds(self, cluster: Cluster) -> float:
        if self.enough and any(not n.restartable for n in self._remaining(cluster)):
            return NEW_NODE
        return super().expected_seconds(cluster)

    def blocker(self, cluster: Cluster) -> str:
        if self.enough:
            return ""
        # A node that is powered off never serves by waiting.
        off = tuple(n.id for n in self._remaining(cluster) if n.droplet.off)
        return missing_nodes(cluster, off)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return any(n.restartable for n in self._remaining(cluster))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        # Only idle nodes: a restart ends what still runs there.
        idle = [n for n in self._remaining(cluster) if n.restartable and n.droplet.active]
        await request_each(world.restart_service(n.id) for n in idle)

    def regression(self, cluster: Cluster) -> str:
        if self.enough:
            return ""
        return missing_nodes(cluster, self.ids)

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        busy = [n for n in remaining if not n.restartable]
        if not (self.enough and busy):
            return f"{node_names(cluster, remaining)} to be in service again"
        serving = f"{len(cluster.serving)} of {count_of(self.enough, 'media node')} in service"
        returning = nodes_and_verb(cluster, busy, "returns", "return")
        return f"{serving}; {returning} after the last meeting there"

    def residue(self) -> str:
        number = self.enough if self.enough and not self.who else len(self.ids)
        return f"{count_of(number, 'media node')} back in service"


@dataclass(frozen=True)
class MediaServing(Step):
    """At least `number` media nodes are in service.

    An active pool proves nothing about OpenVidu on its members.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=NEW_NODE,
        deadline=lambda t: t.serving_deadline,
        retry_after=lambda t: t.serving_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    is_verification: ClassVar[bool] = True

    number: int
    # Only droplets of this size count; "": all.
    size: str = ""

    def title(self) -> str:
        nodes = count_of(self.number, "media node")
        if self.size:
            nodes += f" of {self.size}"
        return f"Wait until {nodes} {plural(self.number, 'is', 'are')} in service"

    def _counts(self, node: MediaNode) -> bool:
        return not self.size or node.droplet.size == self.size

    def _serving(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.serving if self._counts(n)]

    def _comes_up(self, node: MediaNode) -> bool:
        """Return whether this node is expected to be in service in the end."""
        return node.member_status != "deleting"

    def is_done(self, cluster: Cluster) -> bool:
        return len(self._serving(cluster)) >= self.number

    def after(self, cluster: Cluster) -> Cluster:
        up = [n for n in cluster.media if self._counts(n) and self._comes_up(n)]
        now = cluster.with_media({n.id: in_service(n) for n in up})
        number = self.number - len(self._serving(now))
        new = tuple(
            in_service(new_node(cluster, len(now.media) + i, self.size)) for i in range(number)
        )
        return replace(now, media=now.media + new)

    @override
    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        # A node that is not seen active has no address yet: nothing answers there. Why none comes
        # is in the pool.
        active = [n for n in cluster.media if self._comes_up(n) and n.droplet.active]
        if len([n for n in active if self._counts(n)]) >= self.number:
            return frozenset({Fact.NODES})
        return NODE_FACTS

    def expected_seconds(self, cluster: Cluster) -> float:
        if self.is_done(cluster):
            return 5.0
        return super().expected_seconds(cluster)

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Only once, late: a new node that does not come up by itself gets a single restart.
        return bool(self._stuck(cluster)) and again == 1

    def _stuck(self, cluster: Cluster) -> list[MediaNode]:
        return [
            n
            for n in cluster.members
            if self._counts(n)
            and n.droplet.active
            and (n.restartable or (n.is_observed and n.drained))
        ]

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.restart_service(n.id) for n in self._stuck(cluster))

    def regression(self, cluster: Cluster) -> str:
        there = [
            n
            for n in cluster.media
            if self._counts(n) and n.member_status != "deleting" and n.droplet.status == "active"
        ]
        if len(there) >= self.number:
            return ""
        return f"only {count_of(len(there), 'media node')} of {self.number} left"

    def waits_for(self, cluster: Cluster) -> str:
        text = f"{len(self._serving(cluster))} of {count_of(self.number, 'media node')} in service"
        waiting = [
            n
            for n in cluster.media
            if self._counts(n) and n.member_status in PRESENT and not n.serving
        ]
        if waiting:
            text += f"; {join_words(coming_up(cluster, n) for n in waiting)}"
        return text + pool_problems(cluster)

    def residue(self) -> str:
        return f"{count_of(self.number, 'media node')} in service"
