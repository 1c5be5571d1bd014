"""Which node people mean when they say its name."""

from collections.abc import Sequence
from typing import TypeVar

from services.cluster.model import Cluster, Droplet, MediaNode, short
from services.common.errors import Refused
from services.common.text import listed

NAMED = 3
T = TypeVar("T", Droplet | MediaNode, MediaNode)


def master_or_media(cluster: Cluster, said: str) -> Droplet | MediaNode:
    """The master or media node of that name: `master-2`, `media-3`, the droplet's whole name, or its id. Refused with those there are."""
    there: list[Droplet | MediaNode] = [*cluster.masters, *cluster.media]
    return _only(cluster, said, [n for n in there if _is(cluster, n, said)], "node", there)


def media(cluster: Cluster, said: str) -> MediaNode:
    """The media node of that name. Refused with those there are."""
    if any(_is(cluster, m, said) for m in cluster.masters):
        raise Refused(
            f"{said} is a master; only media nodes have meetings to finish. To restart it: [[command restart {said}]]"
        )
    return _only(
        cluster,
        said,
        [n for n in cluster.media if _is(cluster, n, said)],
        "media node",
        cluster.media,
    )


def who(cluster: Cluster, nodes: tuple[MediaNode, ...]) -> str:
    """Their names, when they are few; else ""."""
    return listed(short(n.name, cluster.stack) for n in nodes) if len(nodes) <= NAMED else ""


def _is(cluster: Cluster, node: Droplet | MediaNode, said: str) -> bool:
    word = said.lower()
    return word in (short(node.name, cluster.stack).lower(), node.name.lower(), str(node.id))


def _only(cluster: Cluster, said: str, found: Sequence[T], noun: str, there: Sequence[T]) -> T:
    if len(found) == 1:
        return found[0]
    if found:
        ids = listed(str(n.id) for n in found)
        raise Refused(
            f"“{said}” means {len(found)} nodes of {cluster.name}; say which by its id: {ids}"
        )
    names = ", ".join(short(n.name, cluster.stack) for n in there)
    raise Refused(
        f"{cluster.name} has no {noun} “{said}”; there {f'are: {names}' if names else 'is none now'}"
    )
