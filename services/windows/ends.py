"""Predicts when the last meeting of a closing ends, from earlier closings at that time. Pure."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil, inf
from zoneinfo import ZoneInfo

from services.windows.edge import Edge
from services.windows.time_zones import wall

SHARE = Fraction(4, 5)
NEWEST = 30  # closings that count
UNKNOWN = "when the last meeting ends is unknown"
# The name of a closing's edge; seconds until its last meeting ended; False: meetings went on longer
# than that.
ClosingRecord = tuple[str, float, bool]


def upper_bound(lasted: Sequence[float], share: Fraction = SHARE) -> float | None:
    """Return seconds within which the next one ends with that probability; None: too few values.

    The next value is equally likely to fall between any two of them, so the k-th of n holds in k of
    n + 1 cases.
    """
    rank = ceil(share * (len(lasted) + 1))
    if rank > len(lasted):
        return None
    return sorted(lasted)[rank - 1]


def same_time(evenings: Iterable[ClosingRecord], local: str) -> list[ClosingRecord]:
    """Return the newest closings at that time of day, oldest first.

    `local` as in an edge: `2027-01-15T20:00`.
    """
    time = local.partition("T")[2]
    return [e for e in evenings if e[0].rpartition("@")[2].partition("T")[2] == time][-NEWEST:]


def likely_end(evenings: Iterable[ClosingRecord], edge: Edge) -> str:
    """Return `last meeting likely ends by 20:50 (80 % of 12 closings at 20:00)`, or why not."""
    recorded, time = same_time(evenings, edge.local), edge.clock_time
    if not recorded:
        return f"{UNKNOWN}: no closing at {time} is recorded yet"
    closings = f"{len(recorded)} closings"
    if len(recorded) == 1:
        closings = "1 closing"
    lasted = [_lasted(evening) for evening in recorded]
    longer = lasted.count(inf)
    within = upper_bound(lasted)
    if within is None:
        return f"{UNKNOWN}: only {closings} at {time} recorded{_so_far(recorded, edge, longer)}"
    if within == inf:
        outlasted = f"in {longer} of {closings} at {time} meetings ran longer than the wait"
        return f"when the last meeting ends cannot be predicted: {outlasted}"
    share = f"{float(SHARE) * 100:.0f} %"
    return f"last meeting likely ends by {_clock(edge, within)} ({share} of {closings} at {time})"


def _lasted(evening: ClosingRecord) -> float:
    _, seconds, ended = evening
    return seconds if ended else inf


def _so_far(recorded: Sequence[ClosingRecord], edge: Edge, longer: int) -> str:
    if longer:
        return f"; in {longer} of them meetings ran longer than the wait"
    return f", the latest ended at {_clock(edge, max(seconds for _, seconds, _ in recorded))}"


def _clock(edge: Edge, seconds: float) -> str:
    """Return the local time, rounded up to a whole minute: never earlier than was measured."""
    return f"{wall(ZoneInfo(edge.zone), ceil((edge.at + seconds) / 60) * 60):%H:%M}"
