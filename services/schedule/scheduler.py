"""Keeps the schedules: compares at each tick what windows want with what is, and acts on it.

A window requests the same procedures as a person, from the same desk, within
the standing approval that was given when it was added. A tick works out what the cluster's schedule
document should say afterwards and writes it in one commit, the opening of a run included, if no one
has changed the document since it was read: an edit seconds before an edge counts, and of two bots
one acts. Ticks may come at any time.

reading.py says what is wanted and whether the cluster matches, openings.py which run an edge needs,
edge_announcements.py what is announced.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from services.cluster.model import Cluster
from services.common.clock import Clock
from services.common.errors import BotError
from services.common.metrics import METRICS
from services.common.text import duration
from services.memory.schedule import Book, ScheduleRepository, read_book, write_book
from services.memory.schedule_audit import edge_events
from services.operations.assembly import SWEEP_INTERVAL, Operations
from services.runs.run import Run
from services.schedule import edge_announcements
from services.schedule.edge_announcements import EdgeAnnouncer
from services.schedule.evaluation import Evaluation, RunToOpen
from services.schedule.meetings import MeetingsRecorder
from services.schedule.observer import WindowObserver
from services.schedule.openings import EdgeRuns, with_next_opening
from services.schedule.overrides import ScheduleOverrides
from services.schedule.past_closings import closing_record_of
from services.schedule.quiet_windows import QuietWindows
from services.schedule.reading import PowerWatch, Schedule, ScheduleReader
from services.schedule.scaling import ForecastKeeper
from services.schedule.service_watch import ServiceWatch
from services.schedule.slo import Objectives
from services.schedule.slo_reader import SloReader
from services.schedule.usage import UsageRecorder
from services.schedule.waste import WasteFinder
from services.windows import (
    Due,
    Edge,
    Exceptions,
    Hold,
    ScheduleDecision,
    SchedulePolicy,
    decide,
    notices,
)

log = logging.getLogger(__name__)
PART = "windows"
AT_ONCE = 64  # clusters that are looked at side by side
TRIES = 5
SINCE_EVERY = 3600.0
# Seconds until a cluster without news is evaluated again, unless something is due.
LOOK_AGAIN = 3600.0
# An edge this near is looked at before, so that at its time only its run has to be opened.
AHEAD = SWEEP_INTERVAL * 2.5


class WindowScheduler:
    """Looks after the windows of every cluster of a desk.

    `per_node`: people that a media node is meant for, by cluster; their meetings are counted also
    without windows. `zones`: the time zone of each. `objectives`: how well promises are
    to be kept, by cluster.
    """

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        per_node: Mapping[str, int] = MappingProxyType({}),
        report_days: int = 14,
        zones: Mapping[str, str] = MappingProxyType({}),
        objectives: Mapping[str, Objectives] = MappingProxyType({}),
    ) -> None:
        self._reader = operations.reader
        self._clusters = operations.clusters
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self.books: ScheduleRepository = operations.memory.books
        self.usage = UsageRecorder(operations.reader, operations.usage, clock)
        self.waste = WasteFinder(operations, self.usage, clock)
        self.meetings = MeetingsRecorder(operations.reader, operations.meetings, clock)
        self.forecast = ForecastKeeper(operations, clock, zones)
        self._counted = frozenset(per_node)
        promises, chain = operations.promises, operations.journal.chain
        self.service_watch = ServiceWatch(operations.reader, promises, self.meetings, clock)
        self.slo = SloReader(operations.reader, promises, chain, clock, objectives)
        self.overrides = ScheduleOverrides(operations, clock, self.usage, self.look_after)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # By cluster and edge: why the last attempt to act on it failed.
        self._obstacles: dict[tuple[str, str], str] = {}
        # By cluster: the state that was evaluated without a result, and until when it needs no
        # other evaluation.
        self._quiet: dict[str, tuple[tuple[str | None, ...], float]] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}
        # By cluster: its newest runs whose meetings' end is recorded.
        self._evenings: dict[str, frozenset[str]] = {}
        # Clusters that should be in service and are not, as of the last tick.
        self._late: set[str] = set()
        self.quiet = QuietWindows(operations.reader, clock)
        self._power = PowerWatch(lambda name: self._quiet.pop(name, None))
        self._schedules = ScheduleReader(
            operations.reader, self.books, clock, per_node, self._power, self._obstacles
        )
        self._announcer = EdgeAnnouncer(operations, self._schedules, self._power, self._obstacles)
        self._edge_runs = EdgeRuns(operations, self._obstacles, self._announcer.miss)
        self.observer = WindowObserver(
            operations.reader,
            operations.observed,
            self.usage,
            clock,
            self._obstacles,
            report_days,
        )
        if operations.clusters.observes:
            observer = self.observer
            self._edge_runs = EdgeRuns(operations, self._obstacles, observer.drops, observer.asks)
            observer.unseen = self._edge_runs.unseen

    async def tick(self) -> None:
        """Evaluate every cluster. Each on its own: what goes wrong with one holds up no other."""
        await self._bulkheads.run_each(PART, self._clusters.driven, self._tick, together=True)

    async def _tick(self, name: str) -> None:
        async with self._gate:
            await self._look_after(name, None)
        if self._clusters.observes:
            await self._bulkheads.run("observed nights", partial(self._observe, name), name)
        else:
            await self._bulkheads.run("quiet windows", partial(self._watch, name), name)
        if name not in self._ahead:  # looks are scarce in these seconds
            await self._bulkheads.run("usage", partial(self._record, name), name)

    async def look_after(self, name: str, seen: Cluster | None = None) -> None:
        """Do what is due on one cluster. `seen`: a look at it that is seconds old."""
        try:
            await self._look_after(name, seen)
        except BotError as error:
            log.warning("%s of %s: %s", PART, name, error)

    async def _look_after(self, name: str, seen: Cluster | None) -> None:
        if self._clusters.observes and not self._clusters.drives(name):
            return  # a bot that operates may look after it: what this one notes it would skip
        async with self._turns[name]:
            for _ in range(TRIES):
                if await self._turn(name, seen):
                    return

    async def _observe(self, name: str) -> None:
        async with self._gate:
            changed = await self.observer.look(name)
        if changed:
            self._quiet.pop(name, None)
            await self._look_after(name, None)

    async def _watch(self, name: str) -> None:
        """Look whether it is empty, within the hours of a quiet window, and act on what is seen."""
        _, book = await self.books.read(name)
        if not self.quiet.is_due(name, book):
            return
        _, holder, _ = await self._reader.stamp(name)
        async with self._gate:
            exceptions, terms = await self.exceptions(name, book), await self.terms(name)
            kept = exceptions.keeps_up(self._clock.now())
            await self.quiet.look(name, counts=holder is None and not kept)
            state = self.quiet.state(name, book, exceptions, terms)
            seen = None
            if state is not None and state.closes and holder is None:
                seen = await self.quiet.look_at_all(name)
        self._quiet.pop(name, None)
        await self._look_after(name, seen)

    async def _record(self, name: str) -> None:
        if not self.usage.is_due(name):
            return
        text, _ = await self.books.read(name)
        if text is not None or name in self._counted:
            async with self._gate:
                seen = await self.usage.record(name)
            if seen is not None:
                self._power.saw(name, seen)
                await self.meetings.count(name, seen)
                if not self._clusters.observes:
                    await self.service_watch.observe(name, seen)

    def is_late(self, name: str) -> bool:
        """Return whether the last tick found that it should be in service and is not."""
        return name in self._late

    def forget(self, _: object = None) -> None:
        """Drop everything that was read from the state: the state is lost."""
        for cache in (self._obstacles, self._quiet, self._evenings, self._late):
            cache.clear()
        parts = (
            self._schedules.runs,
            self._power,
            self._announcer,
            self.usage,
            self.slo,
            self.quiet,
            self.forecast,
        )
        for part in parts:
            part.forget()

    async def aclose(self) -> None:
        """Open nothing more."""
        tasks = list(self._ahead.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Reading

    async def schedule(self, name: str) -> Schedule:
        """Return what the windows want now and why, what changes next, and whether it is reached.

        All that is shown is made of it.
        """
        return await self._schedules.schedule(name)

    async def unheld(self, name: str) -> tuple[Hold | None, Edge | None]:
        """Return the hold in force, and the first edge that it has prevented.

        None where there is none.
        """
        return await self._schedules.unheld(name)

    async def ended_runs(self, name: str) -> list[Run]:
        """Return the newest runs that are over, newest first."""
        return await self._schedules.runs.ended(name)

    async def terms(self, name: str) -> SchedulePolicy:
        """Return how edges are kept. Start-ups begin as early as the measured ones need."""
        return await self._schedules.terms(name)

    async def exceptions(self, name: str, book: Book) -> Exceptions:
        """Return what overrides the windows.

        Holds, freezes and the like, and what people started and stopped.
        """
        return await self._schedules.exceptions(name, book)

    # Evaluation

    async def _turn(self, name: str, seen: Cluster | None) -> bool:
        """Return False on a concurrent write; evaluate again."""
        now = self._clock.now()
        stamp = await self._reader.stamp(name)
        text, holder, number = stamp
        quiet, until = self._quiet.get(name, ((), 0.0))
        if text is None or (quiet == stamp and now < until):
            return True
        book = read_book(text)
        turn = Evaluation(name, text, holder, now, book, book)
        edge_announcements.holds(turn)
        await self._announcer.approvals(turn)
        decision = await self._decide(turn) if book.all_windows else ScheduleDecision()
        if book.quiet and not self._clusters.observes:
            decision = await self._open_early(turn, decision)
        opening: RunToOpen | None = None
        if self._clusters.observes:
            await self._observe_edges(turn, decision, seen)
        else:
            edge_announcements.month_report(turn)
            opening = await self._see_to(turn, decision, seen)
            if book.quiet and opening is None:
                opening = await self._close_empty(turn, seen)
        edge_announcements.close_notices(turn, decision.due)
        if not await self._write(turn, opening):
            return False
        if turn.overdue is None:
            self._late.discard(name)
        else:
            self._late.add(name)
        if opening is None and holder is None and not turn.why and turn.overdue is None:
            written = (write_book(turn.book, turn.text), holder, number)
            self._quiet[name] = (written, self._until(turn, decision.due))
        self._meet(name, decision.due)
        return True

    async def _decide(self, turn: Evaluation) -> ScheduleDecision:
        exceptions = await self.exceptions(turn.name, turn.book)
        terms = await self.terms(turn.name)
        book, done = turn.book, frozenset(turn.book.done)
        return decide(book.all_windows, book.since, turn.now, done, exceptions, terms)

    async def _open_early(self, turn: Evaluation, decision: ScheduleDecision) -> ScheduleDecision:
        """End the closing of a quiet window where something opens the cluster before its end."""
        if decision.due is None:
            return decision
        ended, terms = await self._schedules.runs.ended(turn.name), await self.terms(turn.name)
        if not self.quiet.opens_early(turn, decision.due, ended, terms.lead):
            return decision
        return await self._decide(turn)

    async def _close_empty(self, turn: Evaluation, seen: Cluster | None) -> RunToOpen | None:
        """Return the run of a quiet window's closing, if it is due by the look `seen`.

        The closing is in the document only together with its run.
        """
        exceptions, terms = await self.exceptions(turn.name, turn.book), await self.terms(turn.name)
        state = self.quiet.state(turn.name, turn.book, exceptions, terms)
        self.quiet.announce(turn, state)
        closing = self.quiet.closing(turn, state, seen)
        if closing is None:
            return None
        before, turn.book = turn.book, closing
        decision = await self._decide(turn)
        opening = None
        if decision.act is not None and decision.act.kind == "close" and decision.due is not None:
            why = f"empty for {duration(state.empty)}" if state is not None else ""
            opening = await self._edge_runs.act(turn, decision.act, why, seen)
            opening = with_next_opening(opening, decision.due.next_edge)
        if opening is None:
            turn.book = replace(turn.book, windows=before.windows)
            if decision.act is not None:
                self._obstacles.pop((turn.name, decision.act.name), None)
            self.quiet.start_again(turn.name)
        else:
            self._advance(turn, decision.act, opening)
        return opening

    async def _see_to(
        self, turn: Evaluation, decision: ScheduleDecision, seen: Cluster | None
    ) -> RunToOpen | None:
        """Announce what was decided, and return the run to open for it."""
        if decision.due is None:
            return None
        for missed in decision.missed:
            self._announcer.miss(turn, missed)
        opening = None
        if decision.act is not None:
            opening = await self._edge_runs.act(turn, decision.act, decision.reason, seen)
            opening = with_next_opening(opening, decision.due.next_edge)
        newest = await self._schedules.runs.ended(turn.name)
        for run in newest:
            edge_announcements.outcome(turn, run)
        await self._remember_evenings(turn.name, newest)
        await self._announcer.notice(turn, decision.due.next_edge)
        if opening is None:
            await self._announcer.overdue(turn, decision.due)
        self._advance(turn, decision.act, opening)
        return opening

    async def _observe_edges(
        self, turn: Evaluation, decision: ScheduleDecision, seen: Cluster | None
    ) -> None:
        """Note and announce what was decided; nothing is opened."""
        wanted, act = decision.due, decision.act
        if wanted is None:
            await self.observer.evaluate(turn, None)
            return
        for missed in decision.missed:
            self.observer.misses(turn, missed)
        ended = await self._schedules.runs.ended(turn.name)
        if act is not None:
            opening = await self._edge_runs.act(turn, act, decision.reason, seen)
            if opening is not None:
                self.observer.takes(turn, opening, wanted.next_edge, ended)
        for run in ended:
            edge_announcements.outcome(turn, run)
        await self.observer.evaluate(turn, wanted)
        self._advance(turn, act, None)

    def _advance(self, turn: Evaluation, act: Edge | None, opening: RunToOpen | None) -> None:
        """Note up to when edges are evaluated, unless one waits."""
        if act is not None and opening is None and act.name not in turn.book.done:
            turn.why = turn.why or "not decided yet"
        elif _advances(turn, opening):
            kept = turn.book.exceptions.without_old(turn.now)
            turn.book = replace(turn.book, since=turn.now, exceptions=kept)

    async def _remember_evenings(self, name: str, newest: Iterable[Run]) -> None:
        noted, runs = self._evenings.get(name, frozenset()), list(newest)
        for run in runs:
            if run.id not in noted and (evening := closing_record_of(run)) is not None:
                await self._memory.note_evening(name, evening)
        self._evenings[name] = frozenset(run.id for run in runs if run.over)

    async def _write(self, turn: Evaluation, opening: RunToOpen | None) -> bool:
        if opening is not None and edge_events(turn.before, turn.book):
            # Written on its own: the commit of a run has no entries about other times of windows.
            if await self.books.put(turn.name, turn.text, turn.book):
                self._count_missed(turn)
            return False
        if opening is not None:
            if not await self._edge_runs.open(turn, opening):
                return False
        elif turn.book != turn.before and not await self.books.put(turn.name, turn.text, turn.book):
            return False
        self._count_missed(turn)
        return True

    @staticmethod
    def _count_missed(turn: Evaluation) -> None:
        for kind in turn.missed:
            METRICS.add("openvidu_bot_missed_edges_total", cluster=turn.name, kind=kind)

    @staticmethod
    def _until(turn: Evaluation, wanted: Due | None) -> float:
        """Return until when no evaluation is needed, as things stand."""
        now = turn.now
        holds = (h.until for h in turn.book.exceptions.holds)
        moments = [now + LOOK_AGAIN, *(until for until in holds if until > now)]
        if wanted is not None and wanted.next_edge is not None:
            start = wanted.next_edge.start
            moments.append(start - AHEAD if start - AHEAD > now else start)
            moments += [n.at for n in notices(wanted.next_edge) if n.at > now]
        return min(moments)

    # At an edge's time

    def _meet(self, name: str, wanted: Due | None) -> None:
        """Evaluate at the very time of an edge that is near, with a look taken before."""
        coming = wanted.next_edge if wanted else None
        if coming is None or coming.start - self._clock.now() > AHEAD:
            return
        task = self._ahead.get(name)
        if task is not None and not task.done():
            return
        self._ahead[name] = asyncio.create_task(
            self._wait_for(name, coming.start), name=f"the schedule of {name}"
        )
        self._ahead[name].add_done_callback(partial(self._was_there, name))

    def _was_there(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._ahead.get(name) is task:
            del self._ahead[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bulkheads.record_failure(PART, name, error)

    async def _wait_for(self, name: str, start: float) -> None:
        seen = None
        async with self._gate:
            with suppress(BotError):
                seen = await self._reader.look(name)
        while (left := start - self._clock.now()) > 0:
            await self._clock.sleep(left + 0.001)
        if self._clusters.drives(name):
            await self.look_after(name, seen)


def _advances(turn: Evaluation, opening: RunToOpen | None) -> bool:
    """Return whether the document is written anyway, or its `since` is an hour old."""
    changed = turn.book != turn.before or opening is not None
    return changed or turn.now - turn.book.since > SINCE_EVERY
