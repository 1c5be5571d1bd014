"""How many media nodes an opening needs for the meetings that calendars announce."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from services.windows.edge import Edge
from services.windows.exceptions import DAY, Meeting


def sized(
    line: Sequence[Edge], meetings: Sequence[Meeting], per_node: int | None
) -> tuple[Edge, ...]:
    """The edges, with openings sized for the most people who meet at once before it closes again, within a day at most.

    Only ever more nodes than the window says, and none where no meeting names its people.
    """
    counted = [m for m in meetings if m.people]
    if not per_node or not counted:
        return tuple(line)
    closes = [e.at for e in line if e.kind == "close" and e.acts]
    return tuple(
        _sized(e, closes, counted, per_node) if e.kind == "open" and e.acts else e for e in line
    )


def _sized(
    opens: Edge, closes: Sequence[float], meetings: Sequence[Meeting], per_node: int
) -> Edge:
    until = min(min((c for c in closes if c > opens.at), default=inf), opens.at + DAY)
    people = most_at_once([m for m in meetings if m.since < until and m.until > opens.at])
    return (
        replace(opens, number=max(opens.number or 0, -(-people // per_node))) if people else opens
    )


def most_at_once(meetings: Sequence[Meeting]) -> int:
    """The most attendees of meetings that overlap. One that begins as another ends does not overlap it."""
    moments = sorted({m.since for m in meetings})
    return max(
        (sum(m.people or 0 for m in meetings if m.since <= at < m.until) for at in moments),
        default=0,
    )
