"""The media fleet of a cluster, whatever its kind. No other module asks for the kind."""

from services.cluster.model import Cluster, FleetKind
from services.procedures.fleet.autoscaler import AutoscalerFleet
from services.procedures.fleet.autoscaler_status import AutoscalerStatus
from services.procedures.fleet.base import Fleet, FleetChange
from services.procedures.fleet.co_located import CoLocatedFleet
from services.procedures.fleet.fixed import FixedFleet
from services.procedures.fleet.none import AbsentFleet
from services.procedures.fleet.pool import PoolFleet
from services.procedures.fleet.status import (
    AbsentStatus,
    Alert,
    CoLocatedStatus,
    FixedStatus,
    FleetStatus,
    PoolStatus,
)
from services.steps import MediaServing, NodesServe, Step

FLEETS: dict[FleetKind, type[Fleet]] = {
    FleetKind.POOL: PoolFleet,
    FleetKind.FIXED: FixedFleet,
    FleetKind.AUTOSCALER: AutoscalerFleet,
    FleetKind.CO_LOCATED: CoLocatedFleet,
    FleetKind.NONE: AbsentFleet,
}
STATUSES: dict[FleetKind, type[FleetStatus]] = {
    FleetKind.POOL: PoolStatus,
    FleetKind.FIXED: FixedStatus,
    FleetKind.AUTOSCALER: AutoscalerStatus,
    FleetKind.CO_LOCATED: CoLocatedStatus,
    FleetKind.NONE: AbsentStatus,
}


def is_known(cluster: Cluster) -> bool:
    """Return whether the observation shows which kind of fleet the cluster has."""
    return _kind(cluster) is cluster.kind


def fleet_of(cluster: Cluster) -> Fleet:
    """Return the cluster's media fleet.

    A mixed or unknown kind counts as none: `Procedure.check` refuses it by its name.
    """
    return FLEETS[_kind(cluster)](cluster)


def status_of(cluster: Cluster) -> FleetStatus:
    """Return what to report about the cluster's media fleet."""
    return STATUSES[_kind(cluster)](cluster)


def _kind(cluster: Cluster) -> FleetKind:
    pool_unseen = cluster.kind is FleetKind.POOL and cluster.pool is None
    if cluster.kind not in FLEETS or pool_unseen:
        return FleetKind.NONE
    return cluster.kind


def promised_nodes(left: tuple[Step, ...]) -> int:
    """Return how many media nodes these remaining steps were to end with; 0 when none."""
    numbers = [s.number for s in left if isinstance(s, MediaServing)]
    numbers += [len(s.ids) for s in left if isinstance(s, NodesServe)]
    return max(numbers, default=0)


__all__ = [
    "Alert",
    "Fleet",
    "FleetChange",
    "FleetStatus",
    "fleet_of",
    "is_known",
    "promised_nodes",
    "status_of",
]
