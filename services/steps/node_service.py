"""Steps that stop OpenVidu on one node, where it stays stopped, and start it again."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Droplet, Fact, MediaNode, short_name
from services.common.observed import Unobserved
from services.common.text import join_words, plural
from services.common.values import replace
from services.steps.base import NODE_FACTS, Effects, Step, StepTiming, WriteOperations
from services.steps.masters import MASTERS_SEEN
from services.steps.node_text import missing_nodes, node_names, unseen_nodes
from services.steps.planned_nodes import drained, in_service

STOPPED = ("inactive", "failed")
STOP_SECONDS = 20.0
START_SECONDS = 30.0
OF_A_NODE = NODE_FACTS | {Fact.UNITS, Fact.HEALTH}


def other_masters_not_healthy(cluster: Cluster, name: str) -> str:
    """Return which other masters are not known to be healthy; "" when all are, or none is there."""
    unhealthy = [m for m in cluster.masters if m.name != name and not m.is_healthy]
    if not unhealthy:
        return ""
    names = join_words(short_name(m.name, cluster.stack) for m in unhealthy)
    return f"{names} {plural(len(unhealthy), 'is', 'are')} not healthy"


def _media(cluster: Cluster, droplet_id: int) -> MediaNode | None:
    return next((n for n in cluster.media if n.id == droplet_id), None)


def _master(cluster: Cluster, droplet_id: int) -> Droplet | None:
    return next((m for m in cluster.masters if m.id == droplet_id), None)


@dataclass(frozen=True)
class StopUnit(Step):
    """OpenVidu is stopped on one node and stays stopped: a drained media node, or a master."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=STOP_SECONDS,
        deadline=lambda t: t.power_on_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = OF_A_NODE
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.UNITS})
    whole_look_every: ClassVar[float] = MASTERS_SEEN
    interruptible: ClassVar[bool] = False

    # Of the droplet.
    id: int
    who: str
    # People approved stopping it before meetings have ended.
    harsh: bool = False

    def title(self) -> str:
        return f"Stop OpenVidu on {self.who}"

    def is_done(self, cluster: Cluster) -> bool:
        node = cluster.node(self.id)
        return node is None or node.off or node.unit in STOPPED

    def after(self, cluster: Cluster) -> Cluster:
        if (master := _master(cluster, self.id)) is not None:
            stopped = replace(master, unit="inactive", healthy=False)
            cluster = cluster.with_masters({master.name: stopped})
        if (node := _media(cluster, self.id)) is not None:
            droplet = replace(node.droplet, unit="inactive")
            cluster = cluster.with_media({self.id: drained(replace(node, droplet=droplet))})
        return cluster

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        node = cluster.node(self.id)
        # Only where it is seen to run.
        return node is not None and node.unit in ("active", "activating")

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        if cluster.node(self.id) is not None:
            await world.stop_node(self.id)

    def missing_evidence(self, cluster: Cluster) -> str:
        node = _media(cluster, self.id)
        if self.harsh or node is None or self.is_done(cluster):
            return ""
        return unseen_nodes(cluster, [node])

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        master = _master(cluster, self.id)
        others = other_masters_not_healthy(cluster, master.name) if master is not None else ""
        if others:
            return f"{others}: two masters are never down at once"
        # Of a Single Node it is the same droplet.
        node = _media(cluster, self.id)
        if node is None or self.harsh or not node.is_observed or node.drained:
            return ""
        return f"{node_names(cluster, [node])} not drained: stopping it would end what runs there"

    def without_protection(self) -> Step:
        return replace(self, harsh=True)

    @override
    def effects(self, cluster: Cluster) -> Effects:
        if _master(cluster, self.id) is None:
            return Effects()
        if len(cluster.masters) > 1:
            return Effects(stops_masters=True)
        special = f"no one can meet on {cluster.name} until OpenVidu is started there"
        return Effects(stops_masters=True, blocks=True, down=True, special=(special,))

    def waits_for(self, cluster: Cluster) -> str:
        return f"OpenVidu on {self.who} to stop{_not_seen(cluster, self.id)}"

    def regression(self, cluster: Cluster) -> str:
        node = cluster.node(self.id)
        if node is None or node.unit != "active":
            return ""
        return f"OpenVidu runs on {self.who} again"

    def residue(self) -> str:
        return f"OpenVidu stopped on {self.who} (until it is started there)"


@dataclass(frozen=True)
class StartUnit(Step):
    """OpenVidu is started on one node on which it was stopped."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=START_SECONDS,
        deadline=lambda t: t.power_on_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = OF_A_NODE
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.UNITS})
    whole_look_every: ClassVar[float] = MASTERS_SEEN

    # Of the droplet.
    id: int
    who: str

    def title(self) -> str:
        return f"Start OpenVidu on {self.who}"

    def is_done(self, cluster: Cluster) -> bool:
        node = cluster.node(self.id)
        return node is not None and node.unit == "active"

    def after(self, cluster: Cluster) -> Cluster:
        stopped = tuple(s for s in cluster.stopped if s.id != self.id)
        cluster = replace(cluster, stopped=stopped)
        if (master := _master(cluster, self.id)) is not None:
            started = replace(master, unit="active", status="active", locked=False)
            cluster = cluster.with_masters({master.name: started})
        if (node := _media(cluster, self.id)) is not None:
            started = replace(node.droplet, unit="active")
            cluster = cluster.with_media({self.id: in_service(replace(node, droplet=started))})
        return cluster

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        node = cluster.node(self.id)
        return node is not None and node.unit in STOPPED

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        if cluster.node(self.id) is not None:
            await world.start_node(self.id)

    def blocker(self, cluster: Cluster) -> str:
        node = cluster.node(self.id)
        if node is None:
            return missing_nodes(cluster, (self.id,))
        if node.off:
            return f"{self.who} is powered off"
        return ""

    def waits_for(self, cluster: Cluster) -> str:
        return f"OpenVidu on {self.who} to start{_not_seen(cluster, self.id)}"

    def regression(self, cluster: Cluster) -> str:
        node = cluster.node(self.id)
        if node is None or node.unit not in STOPPED:
            return ""
        return f"OpenVidu is stopped on {self.who}"

    def residue(self) -> str:
        return f"OpenVidu started on {self.who}"

    def supersedes(self, earlier: Step) -> bool:
        return isinstance(earlier, StopUnit) and earlier.id == self.id


def _not_seen(cluster: Cluster, droplet_id: int) -> str:
    """Return `: ` and why the unit's state is unknown; "" when it is known."""
    node = cluster.node(droplet_id)
    if node is None or not isinstance(node.unit, Unobserved):
        return ""
    return f": {node.unit.reason}"
