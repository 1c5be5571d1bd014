"""Steps about fixed media nodes: droplets that Terraform created one by one.

They are powered off, resized and powered on again, never deleted.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact, MediaNode, short_name
from services.common.errors import Rejected
from services.common.observed import NOT_OBSERVED
from services.common.text import count_of, plural
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
    load_text,
    missing_nodes,
    node_names,
    nodes_and_verb,
    unseen_nodes,
)
from services.steps.planned_nodes import in_service
from services.steps.resize import with_size
from services.steps.usual import usual


def _selected(ids: tuple[int, ...], who: str) -> str:
    """Return the nodes' names when they are few, else their number."""
    return who or count_of(len(ids), "media node")


@dataclass(frozen=True)
class NodesOff(Step):
    """Media droplets are powered off. They stay and are billed."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: 35.0 + t.second_look,
        deadline=lambda t: t.power_off_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    confirm: ClassVar[bool] = True
    interruptible: ClassVar[bool] = False

    ids: tuple[int, ...]
    # Record which were on, for the next start-up.
    remember: bool = False
    # People approved powering off before meetings have ended.
    harsh: bool = False
    who: str = ""
    # With `remember`: which nodes the next start-up starts; empty: these.
    keep_ids: tuple[int, ...] = ()
    # A later step powers them on again.
    returns: bool = False

    @property
    @override
    def is_waypoint(self) -> bool:
        # A node that is only resized is not left powered off.
        return self.returns

    def _nodes(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids]

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._nodes(cluster) if not n.droplet.off]

    def title(self) -> str:
        return f"Power off {_selected(self.ids, self.who)}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        off = {
            n.id: replace(
                n, droplet=replace(n.droplet, status="off", locked=False), look=NOT_OBSERVED
            )
            for n in self._remaining(cluster)
        }
        now = cluster.with_media(off)
        remembered = self.keep_ids or self.ids
        if self.remember and remembered:
            return replace(now, node_ids_before_shutdown=remembered)
        return now

    def missing_evidence(self, cluster: Cluster) -> str:
        if self.harsh:
            return ""
        return unseen_nodes(cluster, self._remaining(cluster))

    def blocker(self, cluster: Cluster) -> str:
        # A node that is no longer seen is shutting down: nothing is requested before all are seen
        # (`unproved`).
        busy = [n for n in self._remaining(cluster) if n.is_observed and not n.drained]
        if self.harsh or not busy:
            return ""
        names = node_names(cluster, busy)
        return f"{names} not drained: powering off would end what runs there"

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        action = "power_off"
        if again == 0:
            action = "shutdown"
            if self.remember:
                # As planned: some of them may be off by now.
                await world.record_powered_on(self.keep_ids or self.ids)
        on = [n for n in self._remaining(cluster) if n.droplet.status != "off"]
        await request_each(
            world.request_droplet_action(n.id, action) for n in on if not n.droplet.locked
        )

    def without_protection(self) -> Step:
        return replace(self, harsh=True)

    def effects(self, cluster: Cluster) -> Effects:
        hit = [n for n in self._remaining(cluster) if not n.drained]
        others = [n for n in cluster.media if n.id not in self.ids and n.serving]
        special: tuple[str, ...] = ()
        if hit:
            special = (
                f"powers off {count_of(len(hit), 'media node')} without draining "
                f"({load_text(cluster, hit)} now)",
            )
        return Effects(
            blocks=bool(hit),
            cuts_off=bool(hit) and not cluster.idle,
            down=not others,
            special=special,
        )

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return "a second check"
        return f"{node_names(cluster, remaining)} to power off"

    def regression(self, cluster: Cluster) -> str:
        on = [n for n in self._nodes(cluster) if n.droplet.status == "active"]
        if not on:
            return ""
        return f"{nodes_and_verb(cluster, on, 'is', 'are')} powered on"

    def residue(self) -> str:
        return f"{_selected(self.ids, self.who)} powered off"


@dataclass(frozen=True)
class NodesOn(Step):
    """Media droplets are powered on again."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=usual("power_on until active", 35.0),
        deadline=lambda t: t.power_on_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    interruptible: ClassVar[bool] = False

    ids: tuple[int, ...]
    who: str = ""

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.droplet.active]

    def title(self) -> str:
        return f"Power on {_selected(self.ids, self.who)}"

    def is_done(self, cluster: Cluster) -> bool:
        return not (self._remaining(cluster) or self._deleted(cluster))

    def _deleted(self, cluster: Cluster) -> str:
        present = {n.id for n in cluster.media}
        return missing_nodes(cluster, tuple(i for i in self.ids if i not in present))

    def blocker(self, cluster: Cluster) -> str:
        # No request brings a deleted droplet back.
        return self._deleted(cluster)

    def regression(self, cluster: Cluster) -> str:
        return missing_nodes(cluster, self.ids)

    def after(self, cluster: Cluster) -> Cluster:
        on = {
            n.id: replace(n, droplet=replace(n.droplet, status="active", locked=False))
            for n in self._remaining(cluster)
        }
        return cluster.with_media(on)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return any(n.droplet.off for n in self._remaining(cluster))

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        if again == 0:
            await world.record_powered_on(())
        off = [n for n in self._remaining(cluster) if n.droplet.off]
        await request_each(world.request_droplet_action(n.id, "power_on") for n in off)

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        return f"{node_names(cluster, remaining)} to power on"

    def residue(self) -> str:
        return f"{_selected(self.ids, self.who)} powered on"


@dataclass(frozen=True)
class NodesServe(Step):
    """These media nodes are in service.

    A node that does not come up by itself gets one restart of OpenVidu; then a person decides.
    """

    # OpenVidu's unit starts at boot: an earlier restart would begin that wait again.
    timing: ClassVar[StepTiming] = StepTiming(
        expected=60.0,
        deadline=lambda t: t.serving_deadline,
        retry_after=300.0,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    is_verification: ClassVar[bool] = True

    ids: tuple[int, ...]
    who: str = ""

    @override
    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        return shown_by_nodes(cluster)

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.serving]

    def title(self) -> str:
        verb = plural(len(self.ids), "is", "are")
        return f"Wait until {_selected(self.ids, self.who)} {verb} in service"

    def is_done(self, cluster: Cluster) -> bool:
        return not (self._remaining(cluster) or missing_nodes(cluster, self.ids))

    def blocker(self, cluster: Cluster) -> str:
        # A missing node never serves by waiting.
        return missing_nodes(cluster, self.ids)

    def regression(self, cluster: Cluster) -> str:
        return missing_nodes(cluster, self.ids)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: in_service(n) for n in self._remaining(cluster)})

    def expected_seconds(self, cluster: Cluster) -> float:
        if self.is_done(cluster):
            return 5.0
        return super().expected_seconds(cluster)

    def _stuck(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._remaining(cluster) if n.restartable and n.droplet.active]

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return again == 1 and bool(self._stuck(cluster))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.restart_service(n.id) for n in self._stuck(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        first = short_name(remaining[0].name, cluster.stack)
        return f"{node_names(cluster, remaining)} to be in service (see [[command status {first}]])"

    def residue(self) -> str:
        return f"{_selected(self.ids, self.who)} in service"


@dataclass(frozen=True)
class NodeSize(Step):
    """A media droplet that is powered off has this size.

    Its disk is unchanged, so that the resize is reversible.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=120.0,
        deadline=lambda t: t.resize_deadline,
        retry_after=60.0,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    interruptible: ClassVar[bool] = False

    id: int
    size: str
    who: str

    def _node(self, cluster: Cluster) -> MediaNode | None:
        return next((n for n in cluster.media if n.id == self.id), None)

    def _pending(self, cluster: Cluster) -> MediaNode | None:
        """Return the node while it has another size and no action is in progress on it."""
        node = self._node(cluster)
        if node is None or node.droplet.locked or node.droplet.size == self.size:
            return None
        return node

    def title(self) -> str:
        return f"Resize {self.who} to {self.size}"

    def is_done(self, cluster: Cluster) -> bool:
        node = self._node(cluster)
        return node is None or (node.droplet.size == self.size and not node.droplet.locked)

    def after(self, cluster: Cluster) -> Cluster:
        node = self._node(cluster)
        if node is None:
            return cluster
        droplet = with_size(node.droplet, self.size, cluster.size(self.size))
        return cluster.with_media({self.id: replace(node, droplet=droplet)})

    def deadline(self, cluster: Cluster) -> float:
        deadline = super().deadline(cluster)
        node = self._node(cluster)
        if node is None:
            return deadline
        # Documented: about a minute for each GB in use.
        return max(deadline, 60.0 * node.droplet.disk)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return self._pending(cluster) is not None

    def blocker(self, cluster: Cluster) -> str:
        node = self._pending(cluster)
        if node is None or node.droplet.status == "off":
            return ""
        name = short_name(node.name, cluster.stack)
        return f"{name} not powered off: a droplet is resized only while powered off"

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        if again and await world.action_failed(self.id, "resize"):
            raise Rejected(f"DigitalOcean could not resize {self.who} and gives no reason")
        await world.request_droplet_action(self.id, "resize", size=self.size, disk=False)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return f"DigitalOcean to resize {self.who}"

    def regression(self, cluster: Cluster) -> str:
        node = self._pending(cluster)
        if node is None:
            return ""
        return f"{self.who} has {node.droplet.size}, not {self.size}"

    def residue(self) -> str:
        return f"{self.who} resized to {self.size}"
