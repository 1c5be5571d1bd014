"""Keeps the hours: at each tick, what the windows want is compared with what is, and acted on or told. Ticks may come when they like.

A window is a colleague who types commands punctually: it asks for the same procedures, on the same desk, with the approval that its
adding was given. A tick works out what the cluster's book should say afterwards and writes it in one act, the opening of a run
included, if nobody has changed the book since it was read: an edit seconds before an edge counts, and of two bots one acts.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType

from services.access.policy import Actor, Rules
from services.cluster.model import Cluster, Fact, FleetKind, Load
from services.common.clock import Clock
from services.common.errors import BotError, Refused
from services.common.metrics import METRICS
from services.common.observed import NOT_LOOKED, NotSeen, Observed
from services.common.text import count, duration
from services.memory.schedule import Announcement, Book, ScheduleRepository, read_book, write_book
from services.operations.assembly import SWEEP, Operations
from services.operations.opening import Opening, StandingAuthority
from services.procedures import Procedure, Shutdown, Startup
from services.procedures.boot_file import Unbootable, closing_fault, unread
from services.procedures.plan import Plan, make_plan
from services.runs.run import Run, State
from services.runs.standing_approval import Standing, ends_soon, of_window, opening_of, uncovered
from services.schedule.overdue import GRACE, Known, Overdue, in_service, overdue, serves
from services.schedule.overrides import ScheduleOverrides, at
from services.schedule.past_closings import evening_of
from services.schedule.usage import Usage
from services.store.keys import book_key
from services.windows import (
    BY_TURNS,
    Due,
    Edge,
    Exceptions,
    Freeze,
    Hold,
    Manual,
    Missed,
    ScheduleDecision,
    SchedulePolicy,
    Why,
    due,
    edges,
    lead,
    notice,
    notices,
    over,
    settle,
    will_miss,
)
from services.windows.ends import likely_end

log = logging.getLogger(__name__)
PART = "windows"
AT_ONCE = 64  # clusters that are looked at side by side
NEWEST = 20  # runs that start-ups are measured by
TRIES = 5
UNANSWERED = 1800.0  # seconds until nobody's answer means that it stays up
TURNING_BACK = 600.0  # kept free before the opening time, so that a closing that is given up has been undone by then
REPORT = "report/"
REPORT_DAYS, REPORT_HOUR = (
    (1, 2, 3),
    7,
)  # of a month (UTC): when the last one is told, the first time somebody is there to tell it
LATE_BY = 60.0  # seconds of lateness worth a warning
SOON = (
    LATE_BY + SWEEP * 3
)  # what a step that overruns is thought to need still: so the warning comes before the deadline
NOTICED = frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD, Fact.LINT})
REMIND_HOLD = 86400.0
SINCE_EVERY = 3600.0
LOOK_AGAIN = 3600.0  # a cluster of which nothing is new is not thought about more often, unless something is due
AHEAD = (
    SWEEP * 2.5
)  # an edge this near is looked at before, so that at its time only its run has to be opened


@dataclass
class _Evaluation:
    """One tick of one cluster: the book as it was read, and as it is to be written."""

    name: str
    text: str | None
    holder: str | None
    now: float
    before: Book
    book: Book
    missed: list[str] = field(
        default_factory=list
    )  # kinds of edges, counted once the book is written
    why: str = ""  # nothing was done about the edge that is due
    overdue: Overdue | None = None  # it should be in service, and was not seen to be

    def tell(self, name: str, text: str, *, calls: bool = False) -> None:
        self.book = self.book.telling(Announcement(name, text, calls=calls))


@dataclass(frozen=True)
class _RunToOpen:
    """A run to be opened for an edge."""

    plan: Plan
    edge: Edge
    requester: Actor
    standings: tuple[Standing, ...]
    yes: Actor | None  # of somebody who was asked first
    reason: str
    opens: float = 0.0  # when it serves again after a closing; 0: not as far as is known


@dataclass(frozen=True)
class Schedule:
    """What a cluster's windows want now, why, what changes next, and whether it is not so. All that people read is made of it."""

    due: Due
    overdue: Overdue | None = None
    at: float = 0.0

    @property
    def words(self) -> str:
        """One line, for its status; "" where there are neither windows nor a lock."""
        wanted = due_words(self.due)
        late = self.overdue
        if late is None or not late.passed(self.at):
            return wanted
        return f":rotating_light: *should be in service since {at(late.edge.at)} and is not*: {late.why} · {wanted}"


class _Never(BotError):
    """This edge comes to nothing, whatever the next tick finds."""


class WindowScheduler:
    """Looks after the windows of every cluster of a desk."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        per_node: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._operations = operations.service
        self._reader = operations.reader
        self._clusters = operations.clusters
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self._per_node = per_node  # people that a media node is meant for, by cluster
        self.books: ScheduleRepository = operations.memory.books
        self.usage = Usage(operations.reader, operations.usage, clock)
        self.wishes = ScheduleOverrides(operations, clock, self.usage, self.look_after)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended: dict[str, dict[str, Run]] = {}
        self._why: dict[tuple[str, str], str] = {}
        self._quiet: dict[str, tuple[tuple[str | None, ...], float]] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}
        self._added: dict[str, Run] = {}
        self._evenings: dict[
            str, frozenset[str]
        ] = {}  # of each cluster's newest runs those whose evening is noted
        self._open_runs: dict[str, Run] = {}
        self._down: dict[
            str, float
        ] = {}  # since when all masters of a cluster are seen powered off
        self._surely_down: set[str] = set()
        self._late: set[str] = (
            set()
        )  # clusters that should be in service and are not, as of the last tick
        self._looked: dict[str, float] = {}  # when an overdue cluster was looked at last

    async def tick(self) -> None:
        """One look at every cluster. Each on its own: what goes wrong with one holds up no other."""

        await self._bulkheads.each(PART, self._clusters.ours, self._tick, together=True)

    async def _tick(self, name: str) -> None:
        async with self._gate:
            await self._look_after(name, None)
        if name not in self._ahead:  # looks are scarce in these seconds
            await self._bulkheads.keep("usage", partial(self._record, name), name)

    async def look_after(self, name: str, seen: Cluster | None = None) -> None:
        """Do what is due on one cluster. `seen`: a look at it that is seconds old."""
        try:
            await self._look_after(name, seen)
        except BotError as error:
            log.warning("%s of %s: %s", PART, name, error)

    async def _look_after(self, name: str, seen: Cluster | None) -> None:
        async with self._turns[name]:
            for _ in range(TRIES):
                if await self._turn(name, seen):
                    return

    async def _record(self, name: str) -> None:
        text, _ = await self.books.read(name)
        if text is not None:
            async with self._gate:
                seen = await self.usage.record(name)
            if seen is not None:
                self._note_down(name, seen)

    def _note_down(self, name: str, seen: Cluster) -> None:
        """Masters that are seen off twice, although windows may want it open, are thought about at once."""
        if not seen.down:
            self._down.pop(name, None)
            self._surely_down.discard(name)
        elif (
            self._down.setdefault(name, seen.seen_at) != seen.seen_at
            and name not in self._surely_down
        ):
            self._surely_down.add(name)
            self._quiet.pop(name, None)

    def may_wait(self, name: str) -> bool:
        """Whether the last tick found that it should be in service and is not."""
        return name in self._late

    def forget(self, _: object = None) -> None:
        """The state is gone: nothing of what was read from it stands any more."""
        of_runs = (self._ended, self._why, self._quiet, self._evenings, self._open_runs)
        for one in (*of_runs, self._down, self._surely_down, self._late, self._looked):
            one.clear()
        self.usage.forget()

    async def aclose(self) -> None:
        """Nothing more is opened by this bot."""
        tasks = list(self._ahead.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Reading

    async def schedule(self, name: str) -> Schedule:
        """What the windows want now and why, what changes next, and whether it is so: the one answer that everything shown is made from."""
        _, book = await self.books.read(name)
        terms = await self.terms(name)
        wanted = due(book.windows, self._clock.now(), await self.exceptions(name, book), terms)
        late = await self._overdue(name, wanted, book, await self._reader.open_run(name), terms)
        return Schedule(wanted, late, self._clock.now())

    async def _overdue(
        self, name: str, wanted: Due, book: Book, holder: Run | None, terms: SchedulePolicy
    ) -> Overdue | None:
        opens = wanted.since_edge
        why = self._why.get((name, opens.name), "") if opens else ""
        down = self._down.get(name) if name in self._surely_down else None
        known = Known(wanted, book.done, holder, await self._newest(name), terms.lead, why, down)
        return overdue(known, self._clock.now())

    async def unheld(self, name: str) -> tuple[Hold | None, Edge | None]:
        """The hold in force, and the first edge that it has kept from happening; None where there is none."""
        _, book = await self.books.read(name)
        now, exceptions = self._clock.now(), await self.exceptions(name, book)
        hold = exceptions.hold(now)
        if hold is None:
            return None, None
        free = replace(exceptions, holds=())
        prevented = edges(book.windows, hold.since, now, free, await self.terms(name))
        return hold, next((e for e in prevented if e.changes), None)

    async def words(self, name: str) -> str:
        """One line about a cluster's hours, for its status; "" where there are none."""
        return (await self.schedule(name)).words

    async def terms(self, name: str) -> SchedulePolicy:
        """Start-ups begin as early as this cluster's own, measured, need."""
        took = await self._took(name)
        comes_by_turns = not took and await self._reader.last_kind(name) is FleetKind.AUTOSCALER
        return SchedulePolicy(
            lead=BY_TURNS if comes_by_turns else lead(took), per_node=self._per_node.get(name)
        )

    async def _took(self, name: str) -> list[float]:
        starts = [
            r for r in reversed(await self._newest(name)) if isinstance(r.plan.procedure, Startup)
        ]
        return [r.ended_at - r.opened_at for r in starts if watched(r)]

    async def exceptions(self, name: str, book: Book) -> Exceptions:
        """What people put in the windows' way, their own starts and stops among it."""
        return with_acts(book.exceptions, await self._newest(name))

    async def _newest(self, name: str) -> list[Run]:
        """The newest runs that are over, newest first."""
        known = self._ended.get(name, {})
        found: dict[str, Run] = {}
        for run_id in await self._reader.latest(name, NEWEST):
            run = known.get(run_id) or await self._as_it_is(run_id)
            if run.over:
                found[run_id] = run
                self._open_runs.pop(run_id, None)
        self._ended[name] = found
        return list(found.values())

    async def _as_it_is(self, run_id: str) -> Run:
        """An open run, of which only what is new is read."""
        known = self._open_runs.get(run_id)
        run = (
            await self._reader.refreshed(known)
            if known is not None
            else await self._reader.run(run_id)
        )
        self._open_runs[run_id] = run
        return run

    # A turn

    async def _turn(self, name: str, seen: Cluster | None) -> bool:
        """False: somebody wrote at the same moment, and it has to be thought through anew."""
        now = self._clock.now()
        stamp = await self._reader.stamp(name)
        text, holder, number = stamp
        quiet, until = self._quiet.get(name, ((), 0.0))
        if text is None or (quiet == stamp and now < until):
            return True
        book = read_book(text)
        turn = _Evaluation(name, text, holder, now, book, book)
        self._look_at_holds(turn)
        await self._look_at_approvals(turn)
        _tell_the_month(turn)
        settled = await self._settle(turn) if book.windows else ScheduleDecision()
        opening = await self._see_to(turn, settled, seen)
        self._take_buttons_away(turn, settled.due)
        if not await self._write(turn, opening):
            return False
        (self._late.discard if turn.overdue is None else self._late.add)(name)
        if opening is None and holder is None and not turn.why and turn.overdue is None:
            self._quiet[name] = (
                (write_book(turn.book, turn.text), holder, number),
                self._until(turn, settled.due),
            )
        self._meet(name, settled.due)
        return True

    async def _settle(self, turn: _Evaluation) -> ScheduleDecision:
        exceptions = await self.exceptions(turn.name, turn.book)
        terms = await self.terms(turn.name)
        return settle(
            turn.book.windows,
            turn.book.since,
            turn.now,
            frozenset(turn.book.done),
            exceptions,
            terms,
        )

    async def _see_to(
        self, turn: _Evaluation, settled: ScheduleDecision, seen: Cluster | None
    ) -> _RunToOpen | None:
        if settled.due is None:
            return None
        for missed in settled.missed:
            self._miss(turn, missed)
        opening = await self._act(turn, settled.act, settled.reason, seen) if settled.act else None
        after = settled.due.next_edge
        if opening is not None and after is not None and after.kind == "open":
            opening = replace(opening, opens=after.at)
        newest = await self._newest(turn.name)
        for run in newest:
            _tell_what_came_of_it(turn, run)
        await self._remember_evenings(turn.name, newest)
        await self._notice(turn, settled.due.next_edge)
        if opening is None:
            await self._call(turn, settled.due)
        waits = (
            settled.act is not None and opening is None and settled.act.name not in turn.book.done
        )
        if not waits and (
            turn.book != turn.before
            or opening is not None
            or turn.now - turn.book.since > SINCE_EVERY
        ):
            turn.book = replace(
                turn.book, since=turn.now, exceptions=turn.book.exceptions.kept(turn.now)
            )
        if waits:
            turn.why = turn.why or "it is not settled yet"
        return opening

    async def _remember_evenings(self, name: str, newest: Iterable[Run]) -> None:
        noted, there = self._evenings.get(name, frozenset()), list(newest)
        for run in there:
            if run.id not in noted and (evening := evening_of(run)) is not None:
                await self._memory.note_evening(name, evening)
        self._evenings[name] = frozenset(run.id for run in there if run.over)

    async def _write(self, turn: _Evaluation, opening: _RunToOpen | None) -> bool:
        if opening is not None:
            if not await self._open(turn, opening):
                return False
        elif turn.book != turn.before and not await self.books.put(turn.name, turn.text, turn.book):
            return False
        for kind in turn.missed:
            METRICS.add("openvidu_bot_missed_edges_total", cluster=turn.name, kind=kind)
        return True

    async def _open(self, turn: _Evaluation, opening: _RunToOpen) -> bool:
        """Open the run, write the edge down as done, and check that the book is the one that was read: one act."""
        edge = opening.edge
        key = book_key(turn.name)
        after = write_book(turn.book.finished(edge.name), turn.text)
        by = edge.at if edge.kind == "open" else 0.0
        try:
            authority = StandingAuthority(
                edge,
                opening.standings,
                opening.yes,
                by,
                opening.opens,
                {key: turn.text},
                {key: after},
            )
            window = opening.requester
            run = Opening(opening.plan, window, opening.reason, authority=authority)
            await self._operations.open_at_edge(window, run)
        except Refused as error:
            log.info("%s of %s: %s", edge.name, turn.name, error)
            return False
        self._why.pop((turn.name, edge.name), None)
        return True

    @staticmethod
    def _until(turn: _Evaluation, wanted: Due | None) -> float:
        """Until when nothing is to be thought about, as things stand."""
        now = turn.now
        moments = [
            now + LOOK_AGAIN,
            *(h.until for h in turn.book.exceptions.holds if h.until > now),
        ]
        if wanted is not None and wanted.next_edge is not None:
            start = wanted.next_edge.start
            moments += [
                start - AHEAD if start - AHEAD > now else start,
                *(n.at for n in notices(wanted.next_edge) if n.at > now),
            ]
        return min(moments)

    def _meet(self, name: str, wanted: Due | None) -> None:
        """Be there when an edge that is near comes, with a look taken before."""
        coming = wanted.next_edge if wanted else None
        task = self._ahead.get(name)
        if (
            coming is None
            or coming.start - self._clock.now() > AHEAD
            or (task is not None and not task.done())
        ):
            return
        self._ahead[name] = asyncio.create_task(
            self._wait_for(name, coming.start), name=f"the hours of {name}"
        )
        self._ahead[name].add_done_callback(partial(self._was_there, name))

    def _was_there(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._ahead.get(name) is task:
            del self._ahead[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bulkheads.note(PART, name, error)

    async def _wait_for(self, name: str, start: float) -> None:
        seen = None
        async with self._gate:
            with suppress(BotError):
                seen = await self._reader.look(name)
        while (left := start - self._clock.now()) > 0:
            await self._clock.sleep(left + 0.001)
        await self.look_after(name, seen)

    # Acting on an edge

    async def _act(
        self, turn: _Evaluation, edge: Edge, late: str, seen: Cluster | None
    ) -> _RunToOpen | None:
        """What is to be opened for it. Tried again at each tick while it still makes sense; the reason is told if it comes to nothing."""
        try:
            return await self._opening(turn, edge, late, seen)
        except _Never as error:
            self._miss(turn, Missed(edge, str(error)))
        except BotError as error:
            turn.why = self._why[turn.name, edge.name] = str(error)
            log.info("%s of %s: %s", edge.name, turn.name, error)
        return None

    async def _opening(
        self, turn: _Evaluation, edge: Edge, late: str, seen: Cluster | None
    ) -> _RunToOpen | None:
        if turn.holder is not None:
            run = await self._reader.run(turn.holder)
            if edge.kind == "open" and run.edge and isinstance(run.plan.procedure, Shutdown):
                run = await self._make_way(turn, run, edge)
        if turn.holder is not None:
            stands = (
                f"which has stopped: {run.stopped}"
                if run.state is State.STOPPED
                else f"which is {run.state}"
            )
            raise Refused(f"{run.id} ({run.plan.procedure.words()}) has {turn.name}, {stands}")
        answered = self._answered(turn, edge)
        if answered is False:
            return None
        cluster = seen or await self._reader.look(turn.name)
        if (
            answered is None
            and edge.kind == "close"
            and edge.meetings != "wait"
            and not _nobody_meets(cluster.load)
        ):
            self._ask(turn, edge, cluster.load)
            return None
        rules = self._clusters.site(turn.name).rules
        # An opening brings back what was there: it does not wait for Slack.
        standings = await self._reader.standings(
            turn.book, edge.windows, surely=edge.kind == "close"
        )
        procedure, less = _wanted(edge, cluster, standings, rules, turn.now)
        plan = _planned(edge, cluster, procedure)
        if plan.empty:
            turn.book = turn.book.finished(edge.name)
            return None
        if why := uncovered(plan, edge, standings, rules, turn.now):
            if rules.unsure:
                raise Refused(rules.unsure)  # who may approve is known again soon
            raise _Never(why)
        if less:
            turn.tell(
                f"{edge.name}/less",
                f"*{turn.name} opens with {less}* · {_windows(edge)} at {_time(edge)}.",
            )
        said = f"{'serves by' if edge.kind == 'open' else 'closes at'} {_time(edge)}{f', {late}' if late else ''}"
        if edge.kind == "close" and not _nobody_meets(cluster.load):
            said += f"; {likely_end(cluster.evenings, edge)}"
        return _RunToOpen(
            plan,
            edge,
            _asks(edge),
            standings,
            dict(turn.book.answers).get(f"{edge.name}/ask"),
            said,
        )

    async def _make_way(self, turn: _Evaluation, run: Run, edge: Edge) -> Run:
        """More up is the safe direction: an opening does not wait for people to see to a closing that did not work."""
        try:
            run = await self._operations.make_way(
                run, _asks(edge), f"{turn.name} opens at {_time(edge)}"
            )
        except Refused as error:
            log.info("%s of %s: %s", edge.name, turn.name, error)
            return run
        turn.holder = None if run.over else turn.holder
        return run

    # Asking first

    def _answered(self, turn: _Evaluation, edge: Edge) -> bool | None:
        """Whether people said yes to this edge; False while they may still, None when they were not asked."""
        question = f"{edge.name}/ask"
        if question in dict(turn.book.answers):
            return True
        if question not in turn.book.done:
            return None
        asked = turn.book.told(question)
        if asked is not None and asked.until > turn.now:
            return False
        raise _Never(f"people were asked and nobody answered, so {turn.name} stays up")

    def _ask(self, turn: _Evaluation, edge: Edge, load: Observed[Load]) -> None:
        said = "how many meetings are running is unknown"
        if not isinstance(load, NotSeen):
            said = f"{count(load.rooms, 'meeting')} with {count(load.people, 'person')} {'is' if load.rooms == 1 else 'are'} running"
        if edge.meetings == "skip":
            raise _Never(f"{said}, and this window skips then")
        until = min(turn.now + UNANSWERED, edge.until)
        words = f"*{turn.name} would close now* · {_windows(edge)} · {said}. If nobody answers until {at(until)}, {turn.name} stays up."
        buttons = (
            ("Close now, gracefully", "closenow", f"{turn.name}|{edge.name}"),
            ("Keep up tonight", "keepup:tonight", turn.name),
        )
        turn.book = turn.book.telling(Announcement(f"{edge.name}/ask", words, buttons, until))

    # Telling

    def _miss(self, turn: _Evaluation, missed: Missed) -> None:
        """Told once, whoever finds out, and with the reason that stood in the way."""
        edge = missed.edge
        kept = turn.book.exceptions.keep_up(edge.at) if edge.kind == "close" else None
        if kept is not None and not edge.acts:
            turn.book = turn.book.finished(edge.name)  # a person kept it up, which was posted then
            return
        reason = self._why.pop((turn.name, edge.name), "") or missed.reason
        verb = "close" if edge.kind == "close" else "open"
        did = f"did not {verb}" if turn.now >= over(edge) else f"will not {verb}"
        text = f"*{turn.name} {did} at {_time(edge)}* · {_windows(edge)} · {reason}."
        turn.tell(f"{edge.name}/missed", text, calls=edge.acts)
        turn.book = turn.book.finished(edge.name)
        if edge.acts:  # what people or a calendar wanted is no alert
            turn.missed.append(edge.kind)

    async def _notice(self, turn: _Evaluation, edge: Edge | None) -> None:
        said = notice(edge, turn.now) if edge is not None else None
        if said is None or edge is None or said.name in turn.book.done:
            return
        load: Observed[Load] = NOT_LOOKED
        fault = ""
        with suppress(BotError):
            seen = await self._reader.look(turn.name, NOTICED)
            load, fault = seen.load, closing_fault(seen, masters=edge.closes != "media-only")
        meetings = (
            "how many meetings are running is unknown"
            if isinstance(load, NotSeen)
            else f"{count(load.rooms, 'meeting')} now"
        )
        what = "" if _nobody_meets(load) else _meetings_words(edge, turn.name)
        words = f"*{turn.name} closes at {_time(edge)}* · {_windows(edge)} · {meetings}{what}"
        words += f"; it does not close unless this is repaired: {fault}" if fault else ""
        buttons = (
            ("Keep up 1 h", "keepup:3600", turn.name),
            ("Keep up tonight", "keepup:tonight", turn.name),
        )
        turn.book = turn.book.telling(
            Announcement(said.name, words, buttons, edge.start, at=edge.start)
        )

    def _take_buttons_away(self, turn: _Evaluation, wanted: Due | None) -> None:
        """Of notices whose edge does not come any more: it is kept up, skipped, or its window is gone."""
        coming = wanted.next_edge.name if wanted and wanted.next_edge else ""
        for posted in turn.book.posted:
            told = posted.announcement
            edge, _, what = told.name.rpartition("/")
            if what.endswith("min") and edge != coming and told.until > turn.now:
                turn.book = turn.book.over(
                    told.name, turn.now, wanted.reason if wanted else "the window is gone"
                )

    async def _call(self, turn: _Evaluation, wanted: Due) -> None:
        """People, when the opening time will be missed or was, as long as it is not seen to serve."""
        holder = await self._as_it_is(turn.holder) if turn.holder else None
        terms = await self.terms(turn.name)
        turn.overdue = found = await self._overdue(turn.name, wanted, turn.book, holder, terms)
        if found is None:
            return
        if found.moves and turn.now < found.by:
            self._warn(turn, found, holder)
        elif found.late(turn.now) and not await self._serves(turn, found):
            self._raise(turn, found)

    def _warn(self, turn: _Evaluation, found: Overdue, holder: Run | None) -> None:
        """Before the opening time, about a start-up that will not make it."""
        progress = self._reader.progress(found.run)
        if holder is None or progress is None or progress.cluster is None:
            return
        late = will_miss(turn.now, found.edge, _left(holder, progress.cluster, turn.now))
        if late >= LATE_BY:
            words = f"*{turn.name} will not serve by {_time(found.edge)}* \u00b7 about {duration(late)} late \u00b7 {found.why}."
            turn.tell(f"{found.edge.name}/late", words, calls=True)

    def _raise(self, turn: _Evaluation, found: Overdue) -> None:
        """Nothing moves, or its time is over: without an estimate, as there is nothing to estimate from."""
        edge, told = found.edge, f"{found.edge.name}/missed"
        window = _windows(edge)
        if (
            found.moves
            and f"{edge.name}/late" in turn.book.done
            and turn.now < found.by + TURNING_BACK
        ):
            return  # that it comes late was said
        if turn.now < edge.at + GRACE:
            text = f"*{turn.name} will not serve by {_time(edge)}* \u00b7 {window} \u00b7 nothing brings it up now: {found.why}."
            turn.tell(f"{edge.name}/late", text, calls=True)
        elif told not in turn.book.done:
            text = f"*{turn.name} did not open at {_time(edge)}* \u00b7 {window} \u00b7 it should be in service and is not: {found.why}."
            turn.tell(told, text, calls=True)
            turn.missed.append("open")

    async def _serves(self, turn: _Evaluation, found: Overdue) -> bool:
        """Whether a look shows that it serves after all; at most one look a minute."""
        last = self._looked.get(turn.name, 0.0)
        if turn.now - last < GRACE and f"{found.edge.name}/late" in turn.book.done:
            return False
        self._looked[turn.name] = turn.now
        try:
            seen = await self._reader.look(turn.name)
        except BotError as error:
            log.info("whether %s serves: %s", turn.name, error)
            return False
        self._note_down(turn.name, seen)
        if not in_service(seen):
            return False
        turn.book = turn.book.finished(serves(found.edge))
        turn.overdue = None
        return True

    async def _look_at_approvals(self, turn: _Evaluation) -> None:
        """Before a window's standing approval ends, say so: from then on it does not close any more."""
        rules = self._clusters.site(turn.name).rules
        for window in turn.book.windows:
            run_id = dict(turn.book.runs).get(window.name, "")
            standing = of_window(window, await self._adding(run_id) if run_id else None)
            if (until := ends_soon(standing, rules, turn.now)) is not None:
                renew = f"it does not close after that; `/openvidu window add {window.words()}` renews it"
                text = f"*The standing approval of window {window.name} of {turn.name} ends {at(until)}* · {renew}"
                turn.tell(f"confirm/{window.name}/{until:.0f}", text)

    async def _adding(self, run_id: str) -> Run:
        """The run that added a window; it is over, and does not change."""
        if run_id not in self._added:
            self._added[run_id] = await self._reader.run(run_id)
        return self._added[run_id]

    def _look_at_holds(self, turn: _Evaluation) -> None:
        for hold in turn.book.exceptions.holds:
            key = f"hold/{hold.since:.3f}"
            if hold.until <= turn.now < hold.until + REMIND_HOLD:
                turn.tell(
                    f"{key}/over",
                    f"*The hold on {turn.name} is over* · it was {hold.by}'s · {hold.reason}",
                )
            elif turn.now < hold.until and (days := int((turn.now - hold.since) // REMIND_HOLD)):
                turn.tell(
                    f"{key}/day{days}",
                    f"*{turn.name} is still on hold* until {at(hold.until)} · {hold.by} · {hold.reason}",
                )


def _planned(edge: Edge, cluster: Cluster, procedure: Procedure) -> Plan:
    """The plan of an edge. A closing that secrets.env forbids comes to nothing: it is told at once, and the cluster stays up."""
    try:
        return make_plan(cluster, procedure)
    except Unbootable as error:
        if edge.kind == "close" and not unread(cluster):
            raise _Never(f"{cluster.name} stays up: {error}") from None
        raise


def _wanted(
    edge: Edge, cluster: Cluster, standings: Iterable[Standing], rules: Rules, now: float
) -> tuple[Procedure, str]:
    """The procedure that an edge asks for, as far as its windows' approval goes; and why that is not all of it, "" when it is."""
    if edge.kind == "close":
        left = max(0.0, edge.until - now)
        gives_up = min(UNANSWERED, max(60.0, left / 4))
        limit = max(60.0, min(edge.wait_limit, left - gives_up - TURNING_BACK))
        return Shutdown(media_only=edge.closes == "media-only", limit=limit, gives_up=gives_up), ""
    return opening_of(edge, cluster, standings, rules, now)


def watched(run: Run) -> bool:
    """Whether how long it took says something of the next one: it was done, one bot saw all of it, and it waited for no person."""
    return run.state is State.DONE and run.takes <= 1 and not run.asked


def due_words(found: Due) -> str:
    """One line: what is so and why, and the next change. "" where there is neither a window nor a lock."""
    coming = found.next_edge
    if found.state == "no opinion" and found.why is None:
        return ""
    verb = "closes" if coming and coming.kind == "close" else "opens"
    then = f"{verb} {at(coming.at)} ({_windows(coming)})" if coming else ""
    return " · ".join(filter(None, (_lock_words(found.why) or found.reason, then)))


def _lock_words(why: Why | None) -> str:
    match why:
        case Hold(until=until, by=by, reason=reason):
            return f"on hold until {at(until)} by {by}: {reason}"
        case Freeze(until=until, name=name):
            return f"change freeze until {at(until)}" + (f": {name}" if name else "")
        case _:
            return ""


def with_acts(exceptions: Exceptions, runs: Iterable[Run]) -> Exceptions:
    """With what people started and stopped by hand, out of the runs that are over."""
    return replace(exceptions, manual=tuple(m for r in runs if (m := _manual(r)) is not None))


def _manual(run: Run) -> Manual | None:
    """A start or stop by a person, which windows respect until their next edge. In doubt which came first, more stays up."""
    if run.requester.window or run.state is not State.DONE:
        return None
    if isinstance(run.plan.procedure, Startup):
        return Manual(run.ended_at, "open", run.requester.mention)
    return (
        Manual(run.opened_at, "closed", run.requester.mention)
        if isinstance(run.plan.procedure, Shutdown)
        else None
    )


def _tell_what_came_of_it(turn: _Evaluation, run: Run) -> None:
    """A window's run that began and did not end as the window wanted."""
    if (
        not run.edge
        or run.state is State.DONE
        or turn.now - run.ended_at > REMIND_HOLD
        or f"{run.edge}/came" in turn.book.done
    ):
        return
    by_window = run.ended_by is not None and run.ended_by.window
    if run.state is State.CANCELLED and not by_window:
        return  # by a person, in front of everybody
    if by_window and run.ended_by is not None:
        was = (
            "had stopped and is abandoned"
            if run.state is State.ABANDONED
            else "was not over and was cancelled"
        )
        text = f"*{turn.name} opens* · {run.ended_by.mention} · its closing `{run.id}` {was}: {run.stopped or run.end_text}."
        turn.tell(f"{run.edge}/came", text, calls=run.state is State.ABANDONED)
        return
    name, closes = turn.name, isinstance(run.plan.procedure, Shutdown)
    what = (
        f"{name} stays up"
        if run.turned_back
        else f"{name} was not {'closed' if closes else 'opened'}"
    )
    text = f"*{what}* · {run.requester.mention}, `{run.id}` · {run.turned_back or run.end_text}."
    turn.tell(f"{run.edge}/came", text, calls=not run.turned_back)
    turn.missed.append("close" if closes else "open")


def _tell_the_month(turn: _Evaluation) -> None:
    """On the first days of a month, once: what the last one saved."""
    today = datetime.fromtimestamp(turn.now, UTC)
    if turn.book.windows and today.day in REPORT_DAYS and today.hour >= REPORT_HOUR:
        turn.tell(
            f"{REPORT}{today.replace(day=1) - timedelta(days=1):%Y-%m}", "what the last month saved"
        )


def _left(run: Run, cluster: Cluster, now: float) -> float:
    """Seconds that its steps still need. One that takes longer than usual is never just about to be done: else nobody is told in time."""
    now_doing, *further = [s.expected_seconds(cluster) for s in run.steps[run.position :]] or [0.0]
    began = run.step_began or run.opened_at
    return max(now_doing - (now - began), min(now_doing, SOON)) + sum(further)


def _nobody_meets(load: Observed[Load]) -> bool:
    return isinstance(load, Load) and load.idle


def _asks(edge: Edge) -> Actor:
    """The window that an edge is of, as whoever asks for a run."""
    window = edge.name.partition(f"-{edge.kind}@")[0]
    return Actor(user=f"window:{window}", name=f"window {window}")


def _windows(edge: Edge) -> str:
    return f"window {' and '.join(f'*{w}*' for w in edge.windows)} ({edge.zone})"


def _time(edge: Edge) -> str:
    """`20:00`, as the wall shows it there."""
    return edge.local.partition("T")[2][:5]


def _meetings_words(edge: Edge, name: str) -> str:
    match edge.meetings:
        case "wait":
            return f"; they may finish until {at(edge.at + edge.wait_limit)}; then I ask, and if nobody answers {name} stays up"
        case "skip":
            return f"; if some still run, {name} stays up tonight"
        case _:
            return "; if some still run, I ask first"
