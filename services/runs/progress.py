"""Where a run stands right now: not journaled, the next look tells it again."""

from collections.abc import Callable
from dataclasses import dataclass

from services.cluster.model import Cluster
from services.runs.run import Run


@dataclass(frozen=True)
class Progress:
    """One moment of a run. `until`: when people are asked, or the run stops (epoch seconds)."""

    run: Run
    cluster: Cluster | None
    waits_for: str
    until: float | None
    trouble: str
    at: float
    watched: float | None = None  # seconds of the current step in which the cluster was seen


Watcher = Callable[[Progress], None]
