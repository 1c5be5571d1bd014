"""What one person may see of clusters. Every method takes the person and checks their role first.

What the bot reads for itself (cards in a cluster's own channel, windows, metrics) it reads from the
desk. Answers to a person go through here; tests/laws/test_no_role.py enforces that.
"""

from services.access.policy import Actor
from services.audit.entries import Entry, Head
from services.billing.savings import Facts
from services.cluster.model import Cluster
from services.memory.schedule import Book
from services.operations.desk import Desk
from services.runs.request import Request
from services.runs.run import Event, Run
from services.schedule.reading import Schedule
from services.schedule.scheduler import WindowScheduler
from services.windows import Row, forecast


class VisibleState:
    """The desk and the schedules of every cluster, as one person may see them."""

    def __init__(self, desk: Desk, hours: WindowScheduler) -> None:
        self._desk = desk
        self._hours = hours

    # A cluster

    async def look(self, name: str, actor: Actor) -> Cluster:
        """Return the cluster as it is now."""
        self._desk.may_read(name, actor)
        return await self._desk.look(name)

    async def open_run(self, name: str, actor: Actor) -> Run | None:
        """Return the run that holds it; None for none."""
        self._desk.may_read(name, actor)
        return await self._desk.open_run(name)

    async def waiting(self, name: str, actor: Actor) -> list[Request]:
        """Return its requests that wait for approval, oldest first."""
        self._desk.may_read(name, actor)
        return await self._desk.waiting(name)

    async def all_waiting(self, actor: Actor) -> list[Request]:
        """Return the waiting requests of every cluster that this person may see."""
        return [
            r for name in self._desk.sites.readable(actor) for r in await self._desk.waiting(name)
        ]

    async def later(self, name: str, actor: Actor) -> list[Request]:
        """Return its requests for later.

        First those that wait for their time, then those that wait for approval.
        """
        self._desk.may_read(name, actor)
        return [
            *await self._desk.scheduled(name),
            *(r for r in await self._desk.waiting(name) if r.later),
        ]

    async def latest(self, name: str, actor: Actor, count: int) -> list[Run]:
        """Return its newest runs, newest first."""
        return await self._desk.runs(name, actor, count)

    async def decisions(
        self, name: str, actor: Actor, count: int
    ) -> tuple[list[Entry], Head | None]:
        """Return the newest entries of its audit, and the audit's head. For operators."""
        self._desk.may_operate(name, actor)
        chain = self._desk.journal.chain
        return await chain.newest(name, count), await chain.head(name)

    async def own_decisions(self, name: str, actor: Actor, count: int) -> list[Entry]:
        """Return this person's own decisions among the newest entries of its audit."""
        self._desk.may_read(name, actor)
        return [
            e for e in await self._desk.journal.chain.newest(name, count) if e.user == actor.user
        ]

    # A run, a request

    async def run(self, run_id: str, actor: Actor) -> Run:
        """Return one run."""
        return await self._desk.run(run_id, actor)

    async def events(self, run_id: str, actor: Actor, start: int = 0) -> list[Event]:
        """Return the events of a run, from that one on."""
        await self._desk.run(run_id, actor)
        return await self._desk.journal.events(run_id, start)

    async def request(self, request_id: str, actor: Actor) -> Request:
        """Return one request."""
        return await self._desk.request_of(request_id, actor)

    # A schedule

    async def book(self, name: str, actor: Actor) -> Book:
        """Return its windows and their exceptions."""
        self._desk.may_read(name, actor)
        _, book = await self._hours.books.read(name)
        return book

    async def schedule(self, name: str, actor: Actor) -> Schedule:
        """Return what its windows want now and why, and whether that is overdue."""
        self._desk.may_read(name, actor)
        return await self._hours.schedule(name)

    async def forecast(self, name: str, actor: Actor, now: float, until: float) -> list[Row]:
        """Return when it will close and open."""
        book = await self.book(name, actor)
        terms = await self._hours.terms(name)
        return list(
            forecast(book.windows, now, until, await self._hours.exceptions(name, book), terms)
        )

    async def facts(self, name: str, actor: Actor) -> Facts | None:
        """Return what was billed and closed there; None if nothing was ever recorded."""
        self._desk.may_read(name, actor)
        return await self._hours.usage.facts(name)
