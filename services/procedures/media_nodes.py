"""Procedures about media nodes: number, size, drain, park, and holding the autoscaler."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster
from services.common.command import argument, flag
from services.common.errors import Refused
from services.common.text import count_of
from services.procedures import fleet
from services.procedures.base import Procedure, without_draining
from services.procedures.fleet import FleetChange
from services.steps import Step


@dataclass(frozen=True)
class FleetProcedure(Procedure, ABC):
    """An operation that each kind of media fleet does in its own way."""

    @abstractmethod
    def change(self, cluster: Cluster) -> FleetChange:
        """Return how this kind of fleet does it. Refused where it cannot."""

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        self.change(cluster)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        yield from self.change(cluster).steps

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return self._change_or_none(cluster).notes

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        return self._change_or_none(cluster).follow_up

    def next_step(self, cluster: Cluster) -> str:
        return self._change_or_none(cluster).next_step

    def _change_or_none(self, cluster: Cluster) -> FleetChange:
        try:
            return self.change(cluster)
        except Refused:
            return FleetChange()


@dataclass(frozen=True)
class NodeProcedure(FleetProcedure, ABC):
    """An operation on one media node, several or all of them."""

    # What is true when it is done for several nodes; `done`: for one.
    done_all: ClassVar[str]
    node: str

    def target_text(self, name: str) -> str:
        return f"{_target_text(self.node)} of {name}"

    def outcome_text(self, name: str) -> str:
        done = self.done if _is_one(self.node) else self.done_all
        return f"{self.target_text(name)} {done}"


@dataclass(frozen=True)
class Scale(FleetProcedure):
    """Set the number of media nodes; those that go finish their meetings first."""

    command: ClassVar[str] = "scale"
    help_text: ClassVar[str] = (
        "Set the number of media nodes. Nodes that go finish their meetings first."
    )
    verb: ClassVar[str] = "Scale"
    doing: ClassVar[str] = "Scaling"
    done: ClassVar[str] = "is scaled"

    number: int = argument("media nodes to run, from 1 to 1000")
    no_drain: bool = flag("end running meetings on the nodes that go, instead of draining")

    def target_text(self, name: str) -> str:
        target = f"{name} to {count_of(self.number, 'media node')}"
        return without_draining(target) if self.no_drain else target

    def outcome_text(self, name: str) -> str:
        return f"{name} has {count_of(self.number, 'media node')}"

    def change(self, cluster: Cluster) -> FleetChange:
        if self.number == 0:
            raise Refused(
                "scaling to 0 is a shutdown. [[command shutdown --media-only]] leaves the masters "
                "powered on; [[command shutdown]] powers them off too"
            )
        return fleet.fleet_of(cluster).scale(self.number, harsh=self.no_drain)


@dataclass(frozen=True)
class DrainNodes(NodeProcedure):
    """Let media nodes finish their meetings and take no new ones; nothing is removed."""

    command: ClassVar[str] = "drain"
    help_text: ClassVar[str] = (
        "Drain media nodes: running meetings finish, and no new ones start there. Nothing is "
        "removed."
    )
    verb: ClassVar[str] = "Drain"
    doing: ClassVar[str] = "Draining"
    done: ClassVar[str] = "is drained"
    done_all: ClassVar[str] = "are drained"

    node: str = argument("media-2, a droplet's name or its id; all by default", default="all")

    def change(self, cluster: Cluster) -> FleetChange:
        media = fleet.fleet_of(cluster)
        selected = media.select(self.node)
        if not selected:
            raise Refused(f"{cluster.name} has no media nodes to drain")
        return media.drain(selected, self.node)


@dataclass(frozen=True)
class ResizeMedia(FleetProcedure):
    """Change the droplet size of the media nodes; they are drained and replaced."""

    command: ClassVar[str] = "resize media"
    help_text: ClassVar[str] = (
        "Change the droplet size of the media nodes. They are drained and replaced."
    )
    verb: ClassVar[str] = "Resize the media nodes of"
    doing: ClassVar[str] = "Resizing the media nodes of"
    done: ClassVar[str] = "has media nodes of the new size"

    size: str = argument("a DigitalOcean droplet size, such as c-8")
    no_drain: bool = flag("end running meetings instead of draining")

    def target_text(self, name: str) -> str:
        target = f"{name} to {self.size}"
        return without_draining(target) if self.no_drain else target

    def outcome_text(self, name: str) -> str:
        return f"{name} has media nodes of {self.size}"

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).resize(self.size, harsh=self.no_drain)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        return fleet.fleet_of(cluster).recover_resize(step)


@dataclass(frozen=True)
class Roll(FleetProcedure):
    """Drain media nodes of an old size one after the other, while an autoscaler adds new ones."""

    command: ClassVar[str] = "roll"
    help_text: ClassVar[str] = (
        "Replace media nodes of an old size one by one. The autoscaler adds the new ones."
    )
    verb: ClassVar[str] = "Roll the media nodes of"
    doing: ClassVar[str] = "Rolling the media nodes of"
    done: ClassVar[str] = "has only media nodes of the new size"

    size: str = argument("the size that new nodes have, such as c-8")

    def target_text(self, name: str) -> str:
        return f"{name} to {self.size}"

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).roll(self.size)


@dataclass(frozen=True)
class Freeze(FleetProcedure):
    """Keep the autoscaler from adding, draining or replacing media nodes."""

    command: ClassVar[str] = "freeze"
    verb: ClassVar[str] = "Freeze the autoscaler of"
    doing: ClassVar[str] = "Freezing the autoscaler of"
    done: ClassVar[str] = "has a frozen autoscaler"

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).freeze()


@dataclass(frozen=True)
class Unfreeze(FleetProcedure):
    """Let the autoscaler add, drain and replace media nodes again."""

    command: ClassVar[str] = "unfreeze"
    verb: ClassVar[str] = "Unfreeze the autoscaler of"
    doing: ClassVar[str] = "Unfreezing the autoscaler of"
    done: ClassVar[str] = "is sized by its autoscaler again"

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).unfreeze()


@dataclass(frozen=True)
class Park(NodeProcedure):
    """Drain fixed media nodes and power them off; they stay and are billed."""

    command: ClassVar[str] = "park"
    help_text: ClassVar[str] = (
        "Drain fixed media nodes and power them off. They stay, are billed, and can be "
        "started again."
    )
    verb: ClassVar[str] = "Park"
    doing: ClassVar[str] = "Parking"
    done: ClassVar[str] = "is parked"
    done_all: ClassVar[str] = "are parked"

    node: str = argument(
        "media-3, a droplet's name or its id, or how many; 1 by default, the highest number first",
        default="1",
    )
    no_drain: bool = flag("end running meetings instead of draining")

    def target_text(self, name: str) -> str:
        target = super().target_text(name)
        return without_draining(target) if self.no_drain else target

    def outcome_text(self, name: str) -> str:
        if self.no_drain:
            return replace(self, no_drain=False).outcome_text(name)
        return super().outcome_text(name)

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).park(self.node, harsh=self.no_drain)


@dataclass(frozen=True)
class Unpark(NodeProcedure):
    """Start fixed media nodes that were parked."""

    command: ClassVar[str] = "unpark"
    help_text: ClassVar[str] = "Power parked media nodes on again."
    verb: ClassVar[str] = "Unpark"
    doing: ClassVar[str] = "Unparking"
    done: ClassVar[str] = "is back in service"
    done_all: ClassVar[str] = "are back in service"

    node: str = argument(
        "media-3, a droplet's name or its id, or how many; all by default", default="all"
    )

    def target_text(self, name: str) -> str:
        if self.node.lower() == "all":
            return f"the parked media nodes of {name}"
        return super().target_text(name)

    def change(self, cluster: Cluster) -> FleetChange:
        return fleet.fleet_of(cluster).unpark(self.node)


def _target_text(node: str) -> str:
    if node.lower() == "all":
        return "all media nodes"
    if _is_number(node):
        return count_of(int(node), "media node")
    return node


def _is_number(node: str) -> bool:
    return node.isdigit() and len(node) <= 3


def _is_one(node: str) -> bool:
    return node == "1" or (node.lower() != "all" and not _is_number(node))
