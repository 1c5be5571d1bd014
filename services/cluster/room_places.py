"""Which rooms are on which nodes. Pure.

LiveKit does not say on which node a room is. It follows where the nodes' own numbers leave one
answer: all rooms are on nodes that leave, or none is. Anything else is not known, and then no
message is sent.
"""

from collections.abc import Collection, Iterable

from services.cluster.meeting_messages import Room
from services.cluster.model import Cluster, MediaNode, NodeStatus, short_name
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, join_words


def rooms_on(
    cluster: Cluster, rooms: Iterable[Room], leaving: Collection[int]
) -> Observed[tuple[Room, ...]]:
    """Return the rooms on these nodes, as far as the nodes' own numbers prove it.

    A room that was opened after the look is counted by no node, and left out.
    """
    known = tuple(room for room in rooms if room.opened_at <= cluster.seen_at)
    going = [_rooms(n) for n in cluster.media if n.id in leaving]
    staying = [_rooms(n) for n in cluster.media if n.id not in leaving]
    if not known or not staying:
        return known
    if not any(number != 0 for number in staying) and any(number != 0 for number in going):
        return known
    if not any(number != 0 for number in going) and any(number != 0 for number in staying):
        return ()
    nodes = [n for n in cluster.media if n.id in leaving]
    names = join_words([short_name(n.name, cluster.stack) for n in nodes])
    return Unobserved(f"which of {count_of(len(known), 'room')} run on {names} is not known")


def _rooms(node: MediaNode) -> int | None:
    """Return how many rooms a node counts; None where it does not say."""
    look = node.look
    if node.drained:
        return 0
    if isinstance(look, NodeStatus) and isinstance(look.rooms, int):
        return look.rooms
    return None
