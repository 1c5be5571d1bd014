"""The seam: how a media fleet is seen, let go and brought back, in each kind of deployment. Nothing outside asks for the kind."""

from services.cluster.model import Cluster, FleetKind
from services.procedures.fleet.autoscaler import AutoscalerFleet
from services.procedures.fleet.base import Alarm, Fleet, Way
from services.procedures.fleet.fixed import FixedFleet
from services.procedures.fleet.none import AbsentFleet
from services.procedures.fleet.pool import PoolFleet
from services.steps import MediaServing, NodesServe, Step

KINDS: dict[FleetKind, type[Fleet]] = {
    FleetKind.POOL: PoolFleet,
    FleetKind.FIXED: FixedFleet,
    FleetKind.AUTOSCALER: AutoscalerFleet,
    FleetKind.NONE: AbsentFleet,
}


def known(cluster: Cluster) -> bool:
    """Whether that look tells what keeps the media nodes."""
    return cluster.kind in KINDS and (
        cluster.kind is not FleetKind.POOL or cluster.pool is not None
    )


def of(cluster: Cluster) -> Fleet:
    """The media fleet of that look. What is mixed or unknown can only be refused: `Procedure.check` does, by its name."""
    return (KINDS[cluster.kind] if known(cluster) else AbsentFleet)(cluster)


def promised(left: tuple[Step, ...]) -> int:
    """How many media nodes these steps, still to come, were to end with; 0 where they bring none."""
    numbers = [s.number for s in left if isinstance(s, MediaServing)] + [
        len(s.ids) for s in left if isinstance(s, NodesServe)
    ]
    return max(numbers, default=0)


__all__ = ["Alarm", "Fleet", "Way", "known", "of", "promised"]
