"""Who is called when a run, a request or a batch changes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.common.bulkheads import Bulkheads
from services.runs.batch import Batch
from services.runs.progress import Progress
from services.runs.request import Request


@dataclass
class Subscribers:
    """Called at once and in order; they must not wait.

    An error of one does not reach the others.
    """

    bulkheads: Bulkheads
    runs: list[Callable[[Progress], None]] = field(default_factory=list)
    requests: list[Callable[[Request], None]] = field(default_factory=list)
    batches: list[Callable[[Batch], None]] = field(default_factory=list)

    def run(self, progress: Progress) -> None:
        """Pass a run's progress on."""
        for subscriber in self.runs:
            part = f"news of runs for {_named(subscriber)}"
            with self.bulkheads.contained(part, progress.run.cluster):
                subscriber(progress)

    def request(self, request: Request) -> None:
        """Pass a request's new state on."""
        for subscriber in self.requests:
            part = f"news of requests for {_named(subscriber)}"
            with self.bulkheads.contained(part, request.plan.cluster):
                subscriber(request)

    def batch(self, batch: Batch) -> None:
        """Pass a batch's new state on."""
        for subscriber in self.batches:
            with self.bulkheads.contained(f"news of batches for {_named(subscriber)}", ""):
                subscriber(batch)


def _named(subscriber: Callable[..., None]) -> str:
    return getattr(subscriber, "__qualname__", type(subscriber).__name__)
