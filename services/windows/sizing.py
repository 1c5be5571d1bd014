"""How many media nodes an opening needs for the meetings in calendars."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from services.windows.edge import Edge
from services.windows.exceptions import DAY, Meeting


def size_openings(
    line: Sequence[Edge], meetings: Sequence[Meeting], per_node: int | None
) -> tuple[Edge, ...]:
    """Return the edges, with openings sized for the meetings until the next closing, within a day.

    Sized for the most people who meet at once. Never fewer nodes than the window asks for;
    unchanged where no meeting counts people.
    """
    counted = [m for m in meetings if m.people]
    if not per_node or not counted:
        return tuple(line)
    closes = [e.at for e in line if e.kind == "close" and e.acts]
    return tuple(_sized(e, closes, counted, per_node) for e in line)


def _sized(edge: Edge, closes: Sequence[float], meetings: Sequence[Meeting], per_node: int) -> Edge:
    if edge.kind != "open" or not edge.acts:
        return edge
    until = min(min((c for c in closes if c > edge.at), default=inf), edge.at + DAY)
    people = most_at_once([m for m in meetings if m.since < until and m.until > edge.at])
    if not people:
        return edge
    return replace(edge, number=max(edge.number or 0, -(-people // per_node)))


def most_at_once(meetings: Sequence[Meeting]) -> int:
    """Return the most attendees of meetings that overlap.

    One that begins as another ends does not.
    """
    moments = sorted({m.since for m in meetings})
    return max(
        (sum(m.people or 0 for m in meetings if m.since <= at < m.until) for at in moments),
        default=0,
    )
