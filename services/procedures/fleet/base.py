# ruff: noqa: ARG002 - the defaults ignore arguments that overriding fleets need
"""The operations on a media fleet, for every kind of fleet."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.cluster.model import Cluster, MediaNode, short_name
from services.common.errors import Refused
from services.common.text import count_of, join_words, plural
from services.procedures import find_node
from services.procedures.fleet.power_cycle import PowerCycle
from services.steps import Step

PLAN_FIRST = "read its plan before you apply it"


@dataclass(frozen=True)
class FleetChange:
    """How an operation is done with a fleet: the steps, and what people should know."""

    steps: tuple[Step, ...] = ()
    # Before approval.
    notes: tuple[str, ...] = ()
    # Afterwards, such as what Terraform would revert.
    follow_up: tuple[str, ...] = ()
    # What to do next, shown at the end.
    next_step: str = ""


class Fleet(PowerCycle, ABC):
    """The media nodes of one observed cluster. What its kind cannot do raises Refused."""

    # How to run fewer nodes, shown where something else was requested.
    fewer = ""

    # Limits

    def drain_floor(self, leaving: Iterable[MediaNode]) -> int:
        """Return how many nodes stay in service while these are drained.

        As `min_serving` says, and at most as many as the other nodes that can serve.
        """
        ids = {n.id for n in leaving}
        others = [
            n
            for n in self.cluster.media
            if n.id not in ids and n.member_status != "deleting" and not n.droplet.off
        ]
        # A node that does not answer now counts: a plan must not depend on one SSH timeout.
        able = [n for n in others if not (n.parked or n.draining or n.busy_with)]
        return min(self.cluster.min_serving, len(able))

    def check_min_serving(self, number: int) -> None:
        """Refuse when fewer than `min_serving` media nodes would be in service at the end."""
        name, minimum = self.cluster.name, self.cluster.min_serving
        if number >= minimum:
            return
        nodes = count_of(number, "media node")
        raise Refused(
            f"{nodes} would stay in service, but `drain.min_serving` of {name} is {minimum}. "
            f"To shut {name} down, run [[command shutdown]]; to allow fewer, change the setting"
        )

    # Number and size

    @abstractmethod
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        """Change the number of media nodes. `harsh`: without draining."""

    @abstractmethod
    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        """Change the droplet size of the media nodes. `harsh`: without draining."""

    def recover_resize(self, step: Step) -> Iterator[Step]:
        """Yield the rollback of a resize that failed at this step."""
        return iter(())

    def check_upgrade(self) -> None:
        """Refuse when the nodes could not be replaced by nodes of another version of OpenVidu."""
        raise Refused(
            f"{self.cluster.name} has {self.name}, and nothing replaces media nodes there. "
            "Upgrade by a new deployment, as OpenVidu recommends"
        )

    # Single nodes

    def select(self, target: str) -> tuple[MediaNode, ...]:
        """Return the nodes that the operator means: `all`, or one by its name or id."""
        if target.lower() == "all":
            return tuple(n for n in self.cluster.media if n.member_status != "deleting")
        return (find_node.media(self.cluster, target),)

    @abstractmethod
    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        """Drain these nodes. `target`: as the operator named them."""

    def check_restart(self, node: MediaNode, target: str) -> None:
        """Refuse when OpenVidu must not be restarted on the node."""

    # What only one kind can do

    def freeze(self) -> FleetChange:
        """Keep the number of nodes as it is."""
        raise Refused(
            f"{self.cluster.name} has {self.name}: nothing scales by itself, so there is nothing "
            "to freeze"
        )

    def unfreeze(self) -> FleetChange:
        """Let the number of nodes change by itself again."""
        raise Refused(
            f"{self.cluster.name} has {self.name}: nothing scales by itself, so there is nothing "
            "to unfreeze"
        )

    def park(self, target: str, *, harsh: bool) -> FleetChange:
        """Drain nodes and power them off. `harsh`: without draining."""
        raise Refused(
            f"parking is for fixed media nodes; {self.cluster.name} has {self.name}. {self.fewer}"
        )

    def unpark(self, target: str) -> FleetChange:
        """Bring parked nodes back into service."""
        raise Refused(f"parking is for fixed media nodes; {self.cluster.name} has {self.name}")

    def roll(self, size: str) -> FleetChange:
        """Drain nodes of another size one after the other, while new ones come."""
        raise Refused(
            f"rolling is for an autoscaler; {self.cluster.name} has {self.name}. "
            "Resize its media nodes with [[command resize media]]"
        )

    # Names

    def few_names(self, nodes: tuple[MediaNode, ...]) -> str:
        """Return the nodes' names when they are few; else ""."""
        return find_node.few_names(self.cluster, nodes)

    def names(self, nodes: Iterable[MediaNode]) -> str:
        """Return the names of all of these nodes."""
        return join_words(short_name(n.name, self.cluster.stack) for n in nodes)


def check_masters_healthy(cluster: Cluster) -> None:
    """Refuse while a master is not healthy: new media nodes register with the masters."""
    unhealthy = [short_name(m.name, cluster.stack) for m in cluster.masters if not m.is_healthy]
    if not unhealthy:
        return
    first = unhealthy[0]
    raise Refused(
        f"{join_words(unhealthy)} {plural(len(unhealthy), 'is', 'are')} not healthy, and new media "
        f"nodes register with the masters. Check [[command status {first}]], then run "
        f"[[command restart {first}]] or [[command startup]]"
    )
