"""Find the node that an operator names."""

from collections.abc import Sequence
from typing import TypeVar

from services.cluster.model import Cluster, Droplet, MediaNode, short_name
from services.common.errors import Refused
from services.common.text import join_words

# Up to so many nodes are named; more are counted.
FEW = 3
Node = TypeVar("Node", Droplet | MediaNode, MediaNode)


def master_or_media(cluster: Cluster, target: str) -> Droplet | MediaNode:
    """Return the master or media node of that name.

    `target`: `master-2`, `media-3`, the droplet's whole name, or its id. Anything else is refused
    with the nodes that exist.
    """
    # The droplet of a Single Node is its master first.
    nodes: list[Droplet | MediaNode] = [*cluster.masters, *cluster.separate_media]
    return _single(cluster, target, nodes, "node")


def media(cluster: Cluster, target: str) -> MediaNode:
    """Return the media node of that name. Anything else is refused with those that exist."""
    if any(_matches(cluster, m, target) for m in cluster.masters):
        raise Refused(
            f"{target} is a master; only media nodes can be drained. "
            f"To restart it, run [[command restart {target}]]"
        )
    return _single(cluster, target, cluster.media, "media node")


def few_names(cluster: Cluster, nodes: tuple[MediaNode, ...]) -> str:
    """Return the nodes' names when they are few; else ""."""
    if len(nodes) > FEW:
        return ""
    return join_words(short_name(n.name, cluster.stack) for n in nodes)


def _matches(cluster: Cluster, node: Droplet | MediaNode, target: str) -> bool:
    names = (short_name(node.name, cluster.stack).lower(), node.name.lower(), str(node.id))
    return target.lower() in names


def _single(cluster: Cluster, target: str, nodes: Sequence[Node], noun: str) -> Node:
    """Return the only one of these nodes that matches."""
    matching = [n for n in nodes if _matches(cluster, n, target)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = join_words(str(n.id) for n in matching)
        raise Refused(
            f"“{target}” matches {len(matching)} nodes of {cluster.name}. Use an id: {ids}"
        )
    existing = "There are none now"
    if nodes:
        existing = f"There are: {', '.join(short_name(n.name, cluster.stack) for n in nodes)}"
    raise Refused(f"{cluster.name} has no {noun} “{target}”. {existing}")
