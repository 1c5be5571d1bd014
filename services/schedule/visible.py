"""What one person may see of clusters. Every method takes the person and checks their role first.

What the bot reads for itself (cards in a cluster's own channel, windows, metrics) it reads from the
desk. Answers to a person go through here; tests/laws/test_no_role.py enforces that.
"""

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.audit.entries import Entry, Head
from services.billing.busy_hours import HourCounts
from services.billing.savings import BillingFacts
from services.billing.waste import WasteReport
from services.cluster.model import Cluster
from services.memory.schedule import Book
from services.operations.service import OperationsService
from services.runs.batch import Batch
from services.runs.request import Request
from services.runs.run import Event, Run
from services.schedule.observed_night import ObservedReport
from services.schedule.reading import Schedule
from services.schedule.scaling import Prospect
from services.schedule.scheduler import WindowScheduler
from services.schedule.slo import Span
from services.schedule.slo_reader import CheckedReport
from services.windows import Row, forecast


class VisibleClusters:
    """The desk and the schedules of every cluster, as one person may see them."""

    def __init__(self, operations: OperationsService, hours: WindowScheduler) -> None:
        self._operations = operations
        self._hours = hours

    @property
    def clusters(self) -> ClusterRegistry:
        """All clusters, by name."""
        return self._operations.clusters

    # A cluster

    async def look(self, name: str, actor: Actor) -> Cluster:
        """Return the cluster as it is now."""
        return await self._operations.look(name, actor)

    async def open_run(self, name: str, actor: Actor) -> Run | None:
        """Return the run that holds it; None for none."""
        return await self._operations.open_run(name, actor)

    async def waiting(self, name: str, actor: Actor) -> list[Request]:
        """Return its requests that wait for approval, oldest first."""
        return await self._operations.waiting(name, actor)

    async def all_waiting(self, actor: Actor) -> list[Request]:
        """Return the waiting requests of every cluster that this person may see."""
        names = self._operations.clusters.readable(actor)
        return [r for name in names for r in await self._operations.waiting(name, actor)]

    async def later(self, name: str, actor: Actor) -> list[Request]:
        """Return its requests for later.

        First those that wait for their time, then those that wait for approval.
        """
        return [
            *await self._operations.scheduled(name, actor),
            *(r for r in await self._operations.waiting(name, actor) if r.later),
        ]

    async def latest(self, name: str, actor: Actor, count: int) -> list[Run]:
        """Return its newest runs, newest first."""
        return await self._operations.runs(name, actor, count)

    async def decisions(
        self, name: str, actor: Actor, count: int
    ) -> tuple[list[Entry], Head | None]:
        """Return the newest entries of its audit, and the audit's head. For operators."""
        entries = await self._operations.decisions(name, actor, count)
        return entries, await self._operations.audit_head(name, actor)

    async def own_decisions(self, name: str, actor: Actor, count: int) -> list[Entry]:
        """Return this person's own decisions among the newest entries of its audit."""
        return await self._operations.own_decisions(name, actor, count)

    # A run, a request

    async def run(self, run_id: str, actor: Actor) -> Run:
        """Return one run."""
        return await self._operations.run(run_id, actor)

    async def events(self, run_id: str, actor: Actor, start: int = 0) -> list[Event]:
        """Return the events of a run, from that one on."""
        return await self._operations.events(run_id, actor, start)

    async def request(self, request_id: str, actor: Actor) -> Request:
        """Return one request."""
        return await self._operations.find_request(request_id, actor)

    # Several clusters

    async def batch(self, name: str, actor: Actor) -> Batch:
        """Return one change of several clusters, for those who may see all of them."""
        return await self._operations.batches.find(name, actor)

    async def batches(self, actor: Actor) -> list[Batch]:
        """Return the changes of several clusters that are not over."""
        return await self._operations.batches.unfinished(actor)

    # A schedule

    async def book(self, name: str, actor: Actor) -> Book:
        """Return its windows and their exceptions."""
        self._operations.must_read(name, actor)
        _, book = await self._hours.books.read(name)
        return book

    async def schedule(self, name: str, actor: Actor) -> Schedule:
        """Return what its windows want now and why, and whether that is overdue."""
        self._operations.must_read(name, actor)
        return await self._hours.schedule(name)

    async def forecast(self, name: str, actor: Actor, now: float, until: float) -> list[Row]:
        """Return when it will close and open."""
        book = await self.book(name, actor)
        terms = await self._hours.terms(name)
        return list(
            forecast(book.all_windows, now, until, await self._hours.exceptions(name, book), terms)
        )

    async def observed(self, name: str, actor: Actor, days: int | None) -> ObservedReport:
        """Return what would have been done there in so many days, by a bot that observes."""
        self._operations.must_read(name, actor)
        return await self._hours.observer.report(name, days)

    async def meeting_counts(self, name: str, actor: Actor) -> HourCounts:
        """Return how many people were counted in meetings there, by hour."""
        self._operations.must_read(name, actor)
        return await self._hours.meetings.counts(name)

    async def prospect(self, name: str, actor: Actor) -> Prospect:
        """Return what demand is expected there, and the permission to scale by it."""
        self._operations.must_read(name, actor)
        return await self._hours.forecast.prospect(name)

    async def slo(self, name: str, actor: Actor, span: Span) -> CheckedReport:
        """Return how well promises were kept there, compared with the audit."""
        self._operations.must_read(name, actor)
        return await self._hours.slo.checked(name, span)

    async def facts(self, name: str, actor: Actor) -> BillingFacts | None:
        """Return what was billed and closed there; None if nothing was ever recorded."""
        self._operations.must_read(name, actor)
        return await self._hours.usage.facts(name)

    async def waste(self, name: str, actor: Actor) -> WasteReport:
        """Return what it pays for without use."""
        self._operations.must_read(name, actor)
        return await self._hours.waste.report(name, asked=True)
