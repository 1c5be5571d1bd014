"""How long each kind of step took on a cluster, as its newest runs measured it.

Only the time of a look follows from it. Where nothing was measured, or it cannot be read, a step's
own figure counts.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from statistics import median

from services.common.errors import BotError
from services.runs.journal import Journal
from services.runs.run import Run, State
from services.steps import Step

NEWEST = 6  # runs that are read
NOTHING = 2.0  # seconds; what took less was so before it began


def measured(runs: Iterable[Run]) -> dict[str, float]:
    """Return the median seconds of each kind of step, by its name."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        # Where people were asked, or it turned back, the time is not that of the steps.
        if run.state is State.DONE and not (run.asked or run.recovering):
            for index in {reached.step for reached in run.reached}:
                step, took = run.steps[index], run.seconds_spent(index)
                if took is not None and took >= NOTHING and not step.waits_for_meetings:
                    seconds[type(step).__name__].append(took)
    return {name: median(values) for name, values in seconds.items()}


class Durations:
    """The measured durations of one cluster, read once, when the first is needed."""

    def __init__(self, journal: Journal, cluster: str) -> None:
        self._journal = journal
        self._cluster = cluster
        self._measured: dict[str, float] | None = None

    async def usual(self, step: Step) -> float | None:
        """Return how long such a step usually takes. None: not known."""
        if self._measured is None:
            self._measured = measured(await self._newest())
        return self._measured.get(type(step).__name__)

    async def _newest(self) -> list[Run]:
        runs: list[Run] = []
        with suppress(BotError):
            for run_id in await self._journal.latest(self._cluster, NEWEST):
                with suppress(BotError):
                    runs.append(await self._journal.run(run_id))
        return runs
