"""When the last meeting of a closing likely ends, by how this cluster's earlier closings at that time of day went. Pure."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil, inf
from zoneinfo import ZoneInfo

from services.windows.edge import Edge
from services.windows.time_zones import wall

SHARE = Fraction(4, 5)
NEWEST = 30  # closings that count
Evening = tuple[str, float, bool]
"""The name of a closing's edge; seconds until its last meeting had ended; False: it went on for longer than that."""


def bound(lasted: Sequence[float], share: Fraction = SHARE) -> float | None:
    """Seconds within which the next one ends with that probability at least, if it is like these; None: they are too few to tell.

    The next value is equally likely to fall between any two of them, so that the k-th of n holds in k of n + 1 cases.
    """
    rank = ceil(share * (len(lasted) + 1))
    return sorted(lasted)[rank - 1] if rank <= len(lasted) else None


def same_time(evenings: Iterable[Evening], local: str) -> list[Evening]:
    """The newest closings at that time of day, oldest first. `local` as in an edge: `2027-01-15T20:00`."""
    time = local.partition("T")[2]
    return [e for e in evenings if e[0].rpartition("@")[2].partition("T")[2] == time][-NEWEST:]


def likely_end(evenings: Iterable[Evening], edge: Edge) -> str:
    """`last meeting likely ends by 20:50 (80 % of 12 closings at 20:00)`; or why that cannot be told."""
    known, time = same_time(evenings, edge.local), edge.local.partition("T")[2][:5]
    if not known:
        return f"when the last meeting ends is unknown: no closing at {time} is recorded yet"
    closings = "1 closing" if len(known) == 1 else f"{len(known)} closings"
    longer = len([e for e in known if not e[2]])
    within = bound([seconds if ended else inf for _, seconds, ended in known])
    if within is None:
        return f"when the last meeting ends is unknown: only {closings} at {time} recorded{_so_far(known, edge, longer)}"
    if within == inf:
        return f"when the last meeting ends cannot be predicted: in {longer} of {closings} at {time} meetings outlasted the wait"
    return f"last meeting likely ends by {_clock(edge, within)} ({float(SHARE):.0%} of {closings} at {time})".replace(
        "%", " %"
    )


def _so_far(known: Sequence[Evening], edge: Edge, longer: int) -> str:
    if longer:
        return f", and in {longer} of them meetings outlasted the wait"
    return f", the latest ended at {_clock(edge, max(seconds for _, seconds, _ in known))}"


def _clock(edge: Edge, seconds: float) -> str:
    """The wall's time in its zone, up to the next whole minute: never earlier than was measured."""
    return f"{wall(ZoneInfo(edge.zone), ceil((edge.at + seconds) / 60) * 60):%H:%M}"
