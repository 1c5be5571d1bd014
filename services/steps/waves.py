"""Drain in waves: which media nodes must stay in service for now. Pure."""

from collections.abc import Sequence

from services.cluster.model import Cluster, MediaNode, NodeStatus
from services.common.observed import Unobserved


def kept_in_service(
    cluster: Cluster, left: Sequence[MediaNode], floor: int, *, ends: bool
) -> tuple[MediaNode, ...]:
    """Return the nodes, of those left to drain, that must stay in service for now.

    `floor` nodes of the cluster stay in service. `ends`: none is in service afterwards, so the last
    ones are drained too once all are seen empty. The oldest serving nodes stay, so that every
    observation picks the same ones.
    """
    leaving = {n.id for n in left}
    if not floor or (ends and all(is_proved_empty(n) for n in left)):
        return ()
    serving = sorted(cluster.serving, key=lambda n: (n.id in leaving, n.droplet.created_at, n.id))
    kept = tuple(n for n in serving[:floor] if n.id in leaving)
    if len(serving) >= floor:
        return kept
    # Too few are seen in service. An unseen node may be the last one, and an autoscaler's node can
    # be tagged for draining without being observed.
    return (*kept, *(n for n in left if isinstance(n.look, Unobserved)))


def is_proved_empty(node: MediaNode) -> bool:
    """Return whether the node is proved to have no meeting now, in service or not."""
    return node.drained or has_no_load(node)


def has_no_load(node: MediaNode) -> bool:
    """Return whether its metrics show no room, no participant and no recording."""
    look = node.look
    return (
        isinstance(look, NodeStatus)
        and look.rooms == 0
        and look.people == 0
        and look.recordings == 0
    )
