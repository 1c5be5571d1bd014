"""Whether people can meet on a cluster, as one look shows it. Pure."""

from dataclasses import dataclass

from services.cluster.model import Cluster, Fact

SEEN = frozenset({Fact.DROPLETS, Fact.NODES})  # what has to be looked at to tell


@dataclass(frozen=True)
class ServiceState:
    """How many nodes serve and how many do not. `at`: of the look (epoch seconds).

    `out`: media nodes that are powered on and take no new meetings, as they drain or are drained.
    `unseen`: media nodes of which it is unknown. `pool`: id of its pool, if it has one.
    """

    at: float = 0.0
    masters: int = 0
    masters_on: int = 0
    serving: int = 0
    out: int = 0
    unseen: int = 0
    pool: str = ""

    @property
    def can_meet(self) -> bool | None:
        """Return whether new meetings can be opened; None where that was not seen."""
        if self.masters and not self.masters_on:
            return False
        if self.serving:
            return True
        if self.unseen:
            return None
        return False


def service_state(cluster: Cluster | None) -> ServiceState | None:
    """Return what a look shows; None where it did not look at the nodes."""
    if cluster is None or not cluster.known >= SEEN or not cluster.masters:
        return None
    pool = ""
    if cluster.pool is not None:
        pool = cluster.pool.id
    on = [n for n in cluster.media if not n.droplet.off and not n.serving]
    out = [n for n in on if n.is_observed and (n.drained or n.draining or n.busy_with)]
    return ServiceState(
        at=cluster.seen_at,
        masters=len(cluster.masters),
        masters_on=len([m for m in cluster.masters if m.active]),
        serving=len(cluster.serving),
        out=len(out),
        unseen=len([n for n in on if not n.is_observed]),
        pool=pool,
    )
