"""Where a run stands right now: not journaled, the next look tells it again."""

from collections.abc import Callable
from dataclasses import dataclass

from services.cluster.model import Cluster
from services.runs.run import Run
from services.steps.results import Tally


@dataclass(frozen=True)
class Progress:
    """One moment of a run. `until`: when people are asked, or the run stops (epoch seconds).

    `asks`: they are asked then. `tally`: how far the current step is, where it counts nodes.
    """

    run: Run
    cluster: Cluster | None
    waits_for: str
    until: float | None
    trouble: str
    at: float
    watched: float | None = None  # seconds of the current step in which the cluster was seen
    asks: bool = False
    tally: Tally | None = None


Watcher = Callable[[Progress], None]
