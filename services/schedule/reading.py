"""Reads what a cluster's schedule wants now and why, and whether the cluster matches.

One answer for acting and for everything shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.cluster.model import Cluster, FleetKind
from services.common.clock import Clock
from services.common.values import replace
from services.memory.schedule import Book, ScheduleRepository
from services.operations.reader import ClusterReader
from services.procedures import Shutdown, Startup
from services.runs.run import Run, State
from services.schedule.overdue import Overdue, OverdueFacts, overdue
from services.windows import (
    BY_TURNS,
    Due,
    Edge,
    Exceptions,
    Hold,
    Manual,
    SchedulePolicy,
    due,
    edges,
    lead,
)

NEWEST = 20  # runs that start-ups are measured by


@dataclass(frozen=True)
class Schedule:
    """What a cluster's windows want now, why, what changes next, and whether that is overdue.

    `at`: when it was read.
    """

    due: Due
    overdue: Overdue | None = None
    at: float = 0.0
    observes: bool = False  # nothing is acted on: this bot only observes


class PowerWatch:
    """Since when all masters of a cluster are powered off.

    Believed once two looks saw it; `on_down` is then called.
    """

    def __init__(self, on_down: Callable[[str], object]) -> None:
        self._on_down = on_down
        self._off_since: dict[str, float] = {}
        self._confirmed: set[str] = set()

    def saw(self, name: str, seen: Cluster) -> None:
        """Note a look at a cluster."""
        if not seen.is_down:
            self._off_since.pop(name, None)
            self._confirmed.discard(name)
            return
        first = self._off_since.setdefault(name, seen.seen_at)
        if first != seen.seen_at and name not in self._confirmed:
            self._confirmed.add(name)
            self._on_down(name)

    def off_since(self, name: str) -> float | None:
        """Return since when they are powered off; None while that is not confirmed."""
        return self._off_since.get(name) if name in self._confirmed else None

    def forget(self) -> None:
        """Drop everything that was seen."""
        self._off_since.clear()
        self._confirmed.clear()


class NewestRuns:
    """A cluster's newest runs, read from the journal.

    What is over once, what is open only from its newest event on.
    """

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader
        self._ended: dict[str, dict[str, Run]] = {}
        self._open: dict[str, Run] = {}

    async def ended(self, name: str) -> list[Run]:
        """Return the newest runs that are over, newest first."""
        before = self._ended.get(name, {})
        ended: dict[str, Run] = {}
        for run_id in await self._reader.latest(name, NEWEST):
            run = before.get(run_id) or await self.current(run_id)
            if run.over:
                ended[run_id] = run
                self._open.pop(run_id, None)
        self._ended[name] = ended
        return list(ended.values())

    async def current(self, run_id: str) -> Run:
        """Return an open run as it is now."""
        before = self._open.get(run_id)
        if before is None:
            run = await self._reader.run(run_id)
        else:
            run = await self._reader.refreshed(before)
        self._open[run_id] = run
        return run

    def forget(self) -> None:
        """Drop what was read."""
        self._ended.clear()
        self._open.clear()


class ScheduleReader:
    """Reads the schedules of a desk's clusters.

    `obstacles`: by cluster and edge, why the last attempt to act on it failed.
    """

    def __init__(
        self,
        reader: ClusterReader,
        books: ScheduleRepository,
        clock: Clock,
        per_node: Mapping[str, int],
        power: PowerWatch,
        obstacles: Mapping[tuple[str, str], str],
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._per_node = per_node
        self._power = power
        self._obstacles = obstacles
        self._books = books
        self.runs = NewestRuns(reader)

    async def schedule(self, name: str) -> Schedule:
        """Return what the windows want now and why, what changes next, and if it is reached."""
        _, book = await self._books.read(name)
        terms = await self.terms(name)
        wanted = due(book.all_windows, self._clock.now(), await self.exceptions(name, book), terms)
        holder = await self._reader.open_run(name)
        late = await self.overdue(name, wanted, book, holder, terms)
        return Schedule(wanted, late, self._clock.now(), self._reader.clusters.observes)

    async def overdue(
        self, name: str, wanted: Due, book: Book, holder: Run | None, terms: SchedulePolicy
    ) -> Overdue | None:
        """Return the opening that should have put the cluster in service and did not.

        None when there is none.
        """
        if self._reader.clusters.observes:
            return None
        opens = wanted.since_edge
        why = self._obstacles.get((name, opens.name), "") if opens else ""
        ended = await self.runs.ended(name)
        down = self._power.off_since(name)
        inputs = OverdueFacts(wanted, book.done, holder, ended, terms.lead, why, down)
        return overdue(inputs, self._clock.now())

    async def unheld(self, name: str) -> tuple[Hold | None, Edge | None]:
        """Return the hold in force, and the first edge that it has prevented.

        None where there is none.
        """
        _, book = await self._books.read(name)
        now, exceptions = self._clock.now(), await self.exceptions(name, book)
        hold = exceptions.hold(now)
        if hold is None:
            return None, None
        free = replace(exceptions, holds=())
        prevented = edges(book.all_windows, hold.since, now, free, await self.terms(name))
        return hold, next((e for e in prevented if e.changes), None)

    async def terms(self, name: str) -> SchedulePolicy:
        """Return how edges are kept. Start-ups begin as early as the measured ones need."""
        took = await self._startup_times(name)
        needed = lead(took)
        if not took and await self._reader.last_kind(name) is FleetKind.AUTOSCALER:
            needed = BY_TURNS
        return SchedulePolicy(lead=needed, per_node=self._per_node.get(name))

    async def _startup_times(self, name: str) -> list[float]:
        runs = reversed(await self.runs.ended(name))
        starts = [r for r in runs if isinstance(r.plan.procedure, Startup)]
        return [r.ended_at - r.opened_at for r in starts if watched(r)]

    async def exceptions(self, name: str, book: Book) -> Exceptions:
        """Return what overrides the windows.

        Holds, freezes and the like, and what people started and stopped.
        """
        return with_acts(book.exceptions, await self.runs.ended(name))


def watched(run: Run) -> bool:
    """Return whether its duration predicts the next one.

    It was done, one bot drove all of it, and it waited for no person.
    """
    return run.state is State.DONE and run.takes <= 1 and not run.asked


def with_acts(exceptions: Exceptions, runs: Iterable[Run]) -> Exceptions:
    """Add what people started and stopped, out of the runs that are over."""
    return replace(exceptions, manual=tuple(m for r in runs if (m := _manual(r)) is not None))


def _manual(run: Run) -> Manual | None:
    """A person's start or stop, which windows respect until their next edge.

    In doubt which came first, more stays up.
    """
    if run.requester.is_window or run.state is not State.DONE:
        return None
    match run.plan.procedure:
        case Startup():
            return Manual(run.ended_at, "open", run.requester.mention)
        case Shutdown():
            return Manual(run.opened_at, "closed", run.requester.mention)
        case _:
            return None
