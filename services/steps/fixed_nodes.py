"""Steps about media droplets that Terraform made one by one: they stay, and are powered off, resized and powered on again."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Fact, MediaNode, short
from services.common.errors import Rejected
from services.common.observed import NOT_LOOKED
from services.common.text import count, listed
from services.steps.base import Effects, Step, World, ask_each
from services.steps.media_nodes import NODE_FACTS, carrying, in_service, missing, unseen

BOOT_NUDGE = 300.0  # seconds after which a node that did not come back by itself is helped once


@dataclass(frozen=True)
class NodesOff(Step):
    """Media droplets are off. They stay and are billed."""

    ids: tuple[int, ...]
    remember: bool = False  # keep which were on, for the next start-up
    harsh: bool = False  # people agreed that they go before their meetings have ended
    who: str = ""
    keep_ids: tuple[int, ...] = ()  # with `remember`: which the next start-up starts; empty: these

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    twice: ClassVar[bool] = True
    breakable: ClassVar[bool] = False

    def _nodes(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids]

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._nodes(cluster) if not n.droplet.off]

    def title(self) -> str:
        return f"Shut down {self.who or count(len(self.ids), 'media node')}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        off = {
            n.id: replace(
                n, droplet=replace(n.droplet, status="off", locked=False), look=NOT_LOOKED
            )
            for n in self._left(cluster)
        }
        keeps = (self.keep_ids or self.ids) if self.remember else ()
        return replace(cluster.with_media(off), remembered_ids=keeps or cluster.remembered_ids)

    def takes(self, cluster: Cluster) -> float:
        return 35.0 + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_off_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.shutdown_nudge

    def unproved(self, cluster: Cluster) -> str:
        return "" if self.harsh else unseen(cluster, self._left(cluster))

    def objection(self, cluster: Cluster) -> str:
        # One that is not seen any more is on its way off: nothing is asked before all are seen (`unproved`).
        busy = [n for n in self._left(cluster) if n.seen and not n.drained]
        if self.harsh or not busy:
            return ""
        return f"{_names(cluster, busy)} not drained: switching off would end what still runs there"

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:
        if self.remember and again == 0:
            await world.remember_media(
                self.keep_ids or self.ids
            )  # as it was planned: some may be off by now
        action = "shutdown" if again == 0 else "power_off"
        await ask_each(
            world.act(n.id, action)
            for n in self._left(cluster)
            if not n.droplet.locked and n.droplet.status != "off"
        )

    def forced(self) -> Step:
        return replace(self, harsh=True)

    def effects(self, cluster: Cluster) -> Effects:
        hit = [n for n in self._left(cluster) if not n.drained]
        others = [n for n in cluster.media if n.id not in self.ids and n.serving]
        cut = bool(hit) and not cluster.idle
        said = f"switches off {count(len(hit), 'media node')} without letting meetings finish ({carrying(cluster, hit)} now)"
        return Effects(
            blocks=bool(hit), cuts_off=cut, down=not others, special=(said,) if hit else ()
        )

    def waits_for(self, cluster: Cluster) -> str:
        return (
            f"{_names(cluster, self._left(cluster))} to power off"
            if self._left(cluster)
            else "a second look"
        )

    def lost(self, cluster: Cluster) -> str:
        on = [n for n in self._nodes(cluster) if n.droplet.status == "active"]
        return f"{_names(cluster, on)} {'is' if len(on) == 1 else 'are'} powered on" if on else ""

    def stays(self) -> str:
        return f"{self.who or count(len(self.ids), 'media node')} off"


@dataclass(frozen=True)
class NodesOn(Step):
    """Media droplets are on again."""

    ids: tuple[int, ...]
    who: str = ""

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    breakable: ClassVar[bool] = False

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.droplet.active]

    def title(self) -> str:
        return f"Start {self.who or count(len(self.ids), 'media node')}"

    def is_done(self, cluster: Cluster) -> bool:
        return not (self._left(cluster) or self._gone(cluster))

    def _gone(self, cluster: Cluster) -> str:
        here = {n.id for n in cluster.media}
        return missing(cluster, tuple(i for i in self.ids if i not in here))

    def objection(self, cluster: Cluster) -> str:
        return self._gone(cluster)  # no asking brings it back

    def lost(self, cluster: Cluster) -> str:
        return missing(cluster, self.ids)

    def after(self, cluster: Cluster) -> Cluster:
        on = {
            n.id: replace(n, droplet=replace(n.droplet, status="active", locked=False))
            for n in self._left(cluster)
        }
        return cluster.with_media(on)

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 35.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_on_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.shutdown_nudge

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return any(n.droplet.off for n in self._left(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:
        if again == 0:
            await world.remember_media(())
        await ask_each(world.act(n.id, "power_on") for n in self._left(cluster) if n.droplet.off)

    def waits_for(self, cluster: Cluster) -> str:
        return f"{_names(cluster, self._left(cluster))} to be active" if self._left(cluster) else ""

    def stays(self) -> str:
        return f"{self.who or count(len(self.ids), 'media node')} on"


@dataclass(frozen=True)
class NodesServe(Step):
    """These media nodes take meetings. One that does not come back by itself gets one restart of OpenVidu, and then a person."""

    ids: tuple[int, ...]
    who: str = ""

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    checks: ClassVar[bool] = True

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.serving]

    def title(self) -> str:
        return f"Wait until {self.who or count(len(self.ids), 'media node')} {'serves' if len(self.ids) == 1 else 'serve'}"

    def is_done(self, cluster: Cluster) -> bool:
        return not (self._left(cluster) or missing(cluster, self.ids))

    def objection(self, cluster: Cluster) -> str:
        return missing(cluster, self.ids)  # it never serves by waiting

    def lost(self, cluster: Cluster) -> str:
        return missing(cluster, self.ids)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: in_service(n) for n in self._left(cluster)})

    def takes(self, cluster: Cluster) -> float:
        return 5.0 if self.is_done(cluster) else 60.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.serving_deadline

    def nudge(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return BOOT_NUDGE

    def _stuck(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._left(cluster) if n.restartable and n.droplet.active]

    def wants(self, cluster: Cluster, again: int) -> bool:
        # Its unit starts at boot, if it is enabled; a restart before that time is up would begin the waiting anew.
        return again == 1 and bool(self._stuck(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.restart_service(n.id) for n in self._stuck(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        left = self._left(cluster)
        return (
            f"{_names(cluster, left)} to serve (see [[command status {short(left[0].name, cluster.stack)}]])"
            if left
            else ""
        )

    def stays(self) -> str:
        return f"{self.who or count(len(self.ids), 'media node')} serving"


@dataclass(frozen=True)
class NodeSize(Step):
    """A media droplet that is off has another size. Its disk stays as it is, so that this can be taken back."""

    id: int
    size: str
    who: str

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    breakable: ClassVar[bool] = False

    def _node(self, cluster: Cluster) -> MediaNode | None:
        return next((n for n in cluster.media if n.id == self.id), None)

    def title(self) -> str:
        return f"Resize {self.who} to {self.size}"

    def is_done(self, cluster: Cluster) -> bool:
        node = self._node(cluster)
        return node is None or (node.droplet.size == self.size and not node.droplet.locked)

    def after(self, cluster: Cluster) -> Cluster:
        node, size = self._node(cluster), cluster.size(self.size)
        if node is None:
            return cluster
        droplet = replace(node.droplet, size=self.size, locked=False)
        if size is not None:
            droplet = replace(
                droplet,
                hourly=size.hourly,
                monthly=size.monthly,
                vcpus=size.vcpus,
                memory=size.memory,
            )
        return cluster.with_media({self.id: replace(node, droplet=droplet)})

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 120.0

    def deadline(self, cluster: Cluster) -> float:
        node = self._node(cluster)
        return max(cluster.timings.resize_deadline, 60.0 * (node.droplet.disk if node else 0))

    def nudge(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return 60.0

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        node = self._node(cluster)
        return node is not None and not self.is_done(cluster) and not node.droplet.locked

    def objection(self, cluster: Cluster) -> str:
        node = self._node(cluster)
        if (
            node is None
            or self.is_done(cluster)
            or node.droplet.locked
            or node.droplet.status == "off"
        ):
            return ""
        return (
            f"{short(node.name, cluster.stack)} not off: a size is changed only while nothing runs"
        )

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        if again and await world.failed(self.id, "resize"):
            raise Rejected(f"DigitalOcean could not resize {self.who}, and does not say why")
        await world.act(self.id, "resize", size=self.size, disk=False)

    def waits_for(self, cluster: Cluster) -> str:  # noqa: ARG002
        return f"DigitalOcean to resize {self.who}"

    def lost(self, cluster: Cluster) -> str:
        node = self._node(cluster)
        other = node is not None and node.droplet.size != self.size and not node.droplet.locked
        return (
            f"{self.who} has {node.droplet.size}, not {self.size}"
            if node is not None and other
            else ""
        )

    def stays(self) -> str:
        return f"{self.who} has {self.size}"


def _names(cluster: Cluster, nodes: list[MediaNode]) -> str:
    return listed(short(n.name, cluster.stack) for n in nodes)
