"""Drains in waves: so many media nodes stay in service until no one meets any more, or until others serve in their place. Pure."""

from collections.abc import Sequence

from services.cluster.model import Cluster, MediaNode, NodeLook
from services.common.observed import NotSeen


def spared(
    cluster: Cluster, left: Sequence[MediaNode], floor: int, *, ends: bool
) -> tuple[MediaNode, ...]:
    """Which of the nodes that a drain has left must stay in service at this moment: so that `floor` of the cluster's do.

    `ends`: nothing is to be in service afterwards, so that the last ones go too, once no one is seen to meet on any. Of those that serve
    the oldest stay, as long as they do: they are the same ones at each look, whatever meets where.
    """
    going = {n.id for n in left}
    if not floor or (ends and all(seen_empty(n) for n in left)):
        return ()
    serving = sorted(cluster.serving, key=lambda n: (n.id in going, n.droplet.created_at, n.id))
    kept = tuple(n for n in serving[:floor] if n.id in going)
    if len(serving) >= floor:
        return kept
    # Too few are seen to serve: one that is not seen may be the last one, and an autoscaler's node can be told to leave without a look.
    return (*kept, *(n for n in left if isinstance(n.look, NotSeen)))


def seen_empty(node: MediaNode) -> bool:
    """Proved that no one meets there now, whether it is in service or not."""
    look = node.look
    if node.drained:
        return True
    return (
        isinstance(look, NodeLook) and look.rooms == 0 and look.people == 0 and look.recordings == 0
    )
