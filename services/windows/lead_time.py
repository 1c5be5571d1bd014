"""How early a start-up has to begin so that the cluster is in service at the opening time."""

from collections.abc import Sequence
from math import ceil, isfinite

from services.windows.edge import Edge

RECENT = 50  # start-ups that count
FEW = 5  # with fewer, the slowest measured is not trusted to be the slowest possible
FLOOR, CEILING = 600.0, 3600.0
# An autoscaler adds one media node in four minutes: used until a start-up was measured.
BY_TURNS = 1800.0


def lead(samples: Sequence[float], floor: float = FLOOR, ceiling: float = CEILING) -> float:
    """Return seconds: the 95th percentile of the newest start-ups, never less than `floor`.

    `samples`: measured start-ups in seconds, oldest first. With few of them it is the slowest and a
    quarter more, with none the floor. `ceiling` keeps one stuck start-up from opening a cluster in
    the middle of the night.
    """
    newest = sorted(s for s in samples[-RECENT:] if isfinite(s) and s > 0)
    if not newest:
        return floor
    slow = newest[ceil(0.95 * len(newest)) - 1]
    if len(newest) < FEW:
        slow = newest[-1] * 1.25
    return max(floor, min(slow, ceiling))


def will_miss(now: float, opens: Edge, estimate: float) -> float:
    """Return how late a start-up is that still needs `estimate` seconds; 0: in time."""
    return max(0.0, now + estimate - opens.at)
