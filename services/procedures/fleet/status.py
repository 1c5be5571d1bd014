"""What the bot reports about a media fleet: a summary, warnings and alerts."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from services.cluster.model import Cluster, MediaNode, short_name
from services.common.text import count_of, join_words
from services.procedures.fleet.none import APPLY


@dataclass(frozen=True)
class Alert:
    """An alert about a fleet. Posted once per name."""

    name: str
    text: str


class FleetStatus(ABC):
    """The state of one observed fleet, as text."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @abstractmethod
    def summary(self) -> str:
        """Return in one line what keeps the media nodes."""

    def explanation(self) -> str:
        """Return what that means for operators."""
        return ""

    def warnings(self) -> tuple[str, ...]:
        """Return what someone should look at, shown with the status."""
        return ()

    def alerts(self) -> tuple[Alert, ...]:
        """Return what is posted without a request, while no run locks the cluster."""
        return ()

    def names(self, nodes: Iterable[MediaNode]) -> str:
        """Return the names of all of these nodes."""
        return join_words(short_name(n.name, self.cluster.stack) for n in nodes)


class PoolStatus(FleetStatus):
    """The state of an autoscale pool."""

    def summary(self) -> str:
        pool = self.cluster.pool
        assert pool is not None, "a cluster without a pool is of another kind"
        droplets = count_of(len(self.cluster.media), "droplet")
        return f"pool at {pool.target}, {droplets} of {pool.size}."

    def warnings(self) -> tuple[str, ...]:
        pool = self.cluster.pool
        assert pool is not None, "a cluster without a pool is of another kind"
        return tuple(filter(None, (pool.state, pool.trouble)))


class FixedStatus(FleetStatus):
    """The state of fixed media nodes."""

    def summary(self) -> str:
        nodes = [n for n in self.cluster.media if n.member_status is not None]
        text = count_of(len(nodes), "fixed droplet")
        sizes = {n.droplet.size for n in nodes}
        if len(sizes) == 1:
            text += f" of {sizes.pop()}"
        off = len([n for n in nodes if n.droplet.off])
        if off:
            text += f", {off} of them powered off"
        return f"{text}."

    def explanation(self) -> str:
        return (
            "created by Terraform: only an apply changes their number, and it replaces all of "
            "them. A shutdown saves nothing"
        )

    def warnings(self) -> tuple[str, ...]:
        strays = [n for n in self.cluster.media if n.member_status is None]
        if not strays:
            return ()
        return (
            f"{self.names(strays)} has the media tag but is not one of the nodes that Terraform "
            "numbered",
        )


class CoLocatedStatus(FleetStatus):
    """The state of a Single Node, as the media node that it is."""

    def summary(self) -> str:
        return "meetings run on the node itself."

    def explanation(self) -> str:
        return "while the node is drained or powered off, no one can meet. A shutdown saves nothing"


class AbsentStatus(FleetStatus):
    """The state of a cluster without a media fleet."""

    def summary(self) -> str:
        return "no media nodes, and no media fleet."

    def explanation(self) -> str:
        return APPLY
