"""Ready by, not start at: how early a start-up has to begin so that the cluster serves at the opening time."""

from collections.abc import Sequence
from math import ceil, isfinite

from services.windows.edge import Edge

RECENT = 50  # start-ups that count
FEW = 5  # with fewer, the slowest seen is not trusted to be the slowest there is
FLOOR, CEILING = 600.0, 3600.0
BY_TURNS = 1800.0  # where media nodes come one in four minutes, as long as no start-up was measured


def lead(samples: Sequence[float], floor: float = FLOOR, ceiling: float = CEILING) -> float:
    """Seconds: slower than 95 of 100 of the newest start-ups (oldest first in `samples`), never less than `floor`.

    With few of them it is the slowest and a quarter more; with none the floor. `ceiling` keeps one stuck start-up from
    opening a cluster in the middle of the night.
    """
    newest = sorted(s for s in samples[-RECENT:] if isfinite(s) and s > 0)
    if not newest:
        return floor
    slow = newest[-1] * 1.25 if len(newest) < FEW else newest[ceil(0.95 * len(newest)) - 1]
    return max(floor, min(slow, ceiling))


def will_miss(now: float, opens: Edge, estimate: float) -> float:
    """Seconds by which a start-up that still needs `estimate` seconds comes late; 0 when it does not."""
    return max(0.0, now + estimate - opens.at)
