"""Media nodes as a plan predicts them: new pool members, nodes in service, drained nodes. Pure."""

from services.cluster.model import Cluster, Droplet, MediaNode, NodeStatus
from services.common.observed import NOT_OBSERVED
from services.common.values import replace

DRAINED = NodeStatus(start="planned", running=(), drain_marked=True, livekit=0)
IN_SERVICE = NodeStatus(start="planned", running=("openvidu",), livekit=200)


def new_node(cluster: Cluster, index: int, size: str = "") -> MediaNode:
    """Return a pool member that does not exist yet. `size` empty: the pool's."""
    if not size and cluster.pool is not None:
        size = cluster.pool.size
    droplet = Droplet(
        id=-1 - index,
        name=f"new-{index + 1}",
        status="active",
        size=size,
        hourly=cluster.media_price,
    )
    return MediaNode(droplet, member_status="active", look=NOT_OBSERVED)


def in_service(node: MediaNode) -> MediaNode:
    """Return the same node in service."""
    return replace(
        node, droplet=replace(node.droplet, status="active", locked=False), look=IN_SERVICE
    )


def drained(node: MediaNode) -> MediaNode:
    """Return the same node, drained."""
    return replace(node, look=DRAINED)


def without(cluster: Cluster, nodes: list[MediaNode]) -> Cluster:
    """Return the cluster without these media nodes."""
    ids = {n.id for n in nodes}
    return replace(cluster, media=tuple(n for n in cluster.media if n.id not in ids))
