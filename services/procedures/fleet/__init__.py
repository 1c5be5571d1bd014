"""The seam: how a media fleet is seen, let go and brought back, in each kind of deployment. Nothing outside asks for the kind."""

from services.cluster import Cluster, FleetKind
from services.procedures.fleet.absent import AbsentFleet
from services.procedures.fleet.autoscaler import AutoscalerFleet
from services.procedures.fleet.base import Fleet, Way
from services.procedures.fleet.fixed import FixedFleet
from services.procedures.fleet.pool import PoolFleet

KINDS: dict[FleetKind, type[Fleet]] = {
    FleetKind.POOL: PoolFleet,
    FleetKind.FIXED: FixedFleet,
    FleetKind.AUTOSCALER: AutoscalerFleet,
    FleetKind.NONE: AbsentFleet,
}


def of(cluster: Cluster) -> Fleet:
    """The media fleet of that look. What is mixed or unknown can only be refused: `Procedure.check` does, by its name."""
    has_pool = cluster.kind is FleetKind.POOL and cluster.pool is not None
    kind = cluster.kind if cluster.kind is not FleetKind.POOL or has_pool else FleetKind.NONE
    return KINDS.get(kind, AbsentFleet)(cluster)


__all__ = ["Fleet", "Way", "of"]
