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

from services.books import Announcement, Book, Books, read_book, write_book
from services.clock import Clock
from services.cluster import Cluster, Fact, FleetKind, Load
from services.desk import SWEEP, Desk
from services.errors import BotError, Refused
from services.evenings import evening_of
from services.metrics import METRICS
from services.plan import Plan, make_plan
from services.policy import Actor, Rules
from services.procedures import Procedure, Shutdown, Startup
from services.procedures.bootfile import Unbootable, closing_fault, unread
from services.runs import Run, State
from services.seen import NOT_LOOKED, NotSeen, Observed
from services.standing import Standing, ends_soon, of_window, opening_of, uncovered
from services.steps.base import count, duration
from services.usage import Usage
from services.windows import (
    BY_TURNS,
    Due,
    Edge,
    Exceptions,
    Freeze,
    Hold,
    Manual,
    Missed,
    Settled,
    Terms,
    Why,
    due,
    lead,
    notice,
    notices,
    settle,
    will_miss,
)
from services.windows.ends import likely_end
from services.wishes import Wishes, at

log = logging.getLogger(__name__)
PART = "windows"
AT_ONCE = 64  # clusters that are looked at side by side
NEWEST = 20  # runs that start-ups are measured by
TRIES = 5
UNANSWERED = 1800.0  # seconds until nobody's answer means that it stays up
TURNING_BACK = 600.0  # kept free before the opening time, so that a closing that is given up has been undone by then
REPORT = "report/"
REPORT_DAYS, REPORT_HOUR = (1, 2, 3), 7  # of a month (UTC): when the last one is told, the first time somebody is there to tell it
LATE_BY = 60.0  # seconds of lateness worth a warning
SOON = LATE_BY + SWEEP * 3  # what a step that overruns is thought to need still: so the warning comes before the deadline
USUAL_START = 360.0  # how long a start-up takes where none was measured
NOTICED = frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD, Fact.LINT})
REMIND_HOLD = 86400.0
SINCE_EVERY = 3600.0
LOOK_AGAIN = 3600.0  # a cluster of which nothing is new is not thought about more often, unless something is due
AHEAD = SWEEP * 2.5  # an edge this near is looked at before, so that at its time only its run has to be opened


@dataclass
class _Turn:
    """One tick of one cluster: the book as it was read, and as it is to be written."""

    name: str
    text: str | None
    holder: str | None
    now: float
    before: Book
    book: Book
    missed: list[str] = field(default_factory=list)  # kinds of edges, counted once the book is written
    why: str = ""  # nothing was done about the edge that is due

    def tell(self, name: str, text: str) -> None:
        self.book = self.book.telling(Announcement(name, text))


@dataclass(frozen=True)
class _Opening:
    """A run to be opened for an edge."""

    plan: Plan
    edge: Edge
    requester: Actor
    standings: tuple[Standing, ...]
    yes: Actor | None  # of somebody who was asked first
    reason: str


class _Never(BotError):
    """This edge comes to nothing, whatever the next tick finds."""


class Hours:
    """Looks after the windows of every cluster of a desk."""

    def __init__(self, desk: Desk, clock: Clock, per_node: Mapping[str, int] = MappingProxyType({})) -> None:
        self._desk = desk
        self._clock = clock
        self._per_node = per_node  # people that a media node is meant for, by cluster
        self.books: Books = desk.memory.books
        self.usage = Usage(desk, clock)
        self.wishes = Wishes(desk, clock, self.usage, self.look_after)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended: dict[str, dict[str, Run]] = {}
        self._why: dict[tuple[str, str], str] = {}
        self._quiet: dict[str, tuple[tuple[str | None, ...], float]] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}
        self._added: dict[str, Run] = {}
        self._evenings: set[str] = set()  # runs whose evening is noted

    async def tick(self) -> None:
        """One look at every cluster. Each on its own: what goes wrong with one holds up no other."""

        await self._desk.bulkheads.each(PART, self._desk.sites.ours, self._tick, together=True)

    async def _tick(self, name: str) -> None:
        async with self._gate:
            await self._look_after(name, None)
        if name not in self._ahead:  # looks are scarce in these seconds
            await self._desk.bulkheads.keep("usage", partial(self._record, name), name)

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
                await self.usage.record(name)

    def forget(self, _: object = None) -> None:
        """The state is gone: nothing of what was read from it stands any more."""
        for held in (self._ended, self._why, self._quiet, self._evenings):
            held.clear()
        self.usage.forget()

    async def aclose(self) -> None:
        """Nothing more is opened by this bot."""
        tasks = list(self._ahead.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Reading

    async def due(self, name: str) -> Due:
        """What the windows want now, and why."""
        _, book = await self.books.read(name)
        return due(book.windows, self._clock.now(), await self.exceptions(name, book), await self.terms(name))

    async def words(self, name: str) -> str:
        """One line about a cluster's hours, for its status; "" where there are none."""
        return due_words(await self.due(name))

    async def terms(self, name: str) -> Terms:
        """Start-ups begin as early as this cluster's own, measured, need."""
        took = await self._took(name)
        comes_by_turns = not took and await self._desk.memory.last_kind(name) is FleetKind.AUTOSCALER
        return Terms(lead=BY_TURNS if comes_by_turns else lead(took), per_node=self._per_node.get(name))

    async def _took(self, name: str) -> list[float]:
        runs = await self._newest(name)
        return [r.ended_at - r.opened_at for r in reversed(runs) if isinstance(r.plan.procedure, Startup) and r.state is State.DONE]

    async def exceptions(self, name: str, book: Book) -> Exceptions:
        """What people put in the windows' way, their own starts and stops among it."""
        return with_acts(book.exceptions, await self._newest(name))

    async def _newest(self, name: str) -> list[Run]:
        """The newest runs that are over, newest first."""
        known = self._ended.get(name, {})
        found: dict[str, Run] = {}
        for run_id in await self._desk.journal.latest(name, NEWEST):
            run = known.get(run_id) or await self._desk.journal.run(run_id)
            if run.over:
                found[run_id] = run
        self._ended[name] = found
        return list(found.values())

    # A turn

    async def _turn(self, name: str, seen: Cluster | None) -> bool:
        """False: somebody wrote at the same moment, and it has to be thought through anew."""
        now = self._clock.now()
        stamp = await self._desk.stamp(name)
        text, holder, number = stamp
        quiet, until = self._quiet.get(name, ((), 0.0))
        if text is None or (quiet == stamp and now < until):
            return True
        book = read_book(text)
        turn = _Turn(name, text, holder, now, book, book)
        self._look_at_holds(turn)
        await self._look_at_approvals(turn)
        _tell_the_month(turn)
        settled = await self._settle(turn) if book.windows else Settled()
        opening = await self._see_to(turn, settled, seen)
        self._take_buttons_away(turn, settled.due)
        if not await self._write(turn, opening):
            return False
        if opening is None and holder is None and not turn.why:
            self._quiet[name] = ((write_book(turn.book, turn.text), holder, number), self._until(turn, settled.due))
        self._meet(name, settled.due)
        return True

    async def _settle(self, turn: _Turn) -> Settled:
        exceptions = await self.exceptions(turn.name, turn.book)
        terms = await self.terms(turn.name)
        return settle(turn.book.windows, turn.book.since, turn.now, frozenset(turn.book.done), exceptions, terms)

    async def _see_to(self, turn: _Turn, settled: Settled, seen: Cluster | None) -> _Opening | None:
        if settled.due is None:
            return None
        for missed in settled.missed:
            self._miss(turn, missed)
        opening = await self._act(turn, settled.act, settled.reason, seen) if settled.act else None
        for run in await self._newest(turn.name):
            _tell_what_came_of_it(turn, run)
            await self._remember_evening(run)
        await self._notice(turn, settled.due.next_edge)
        if opening is None:
            await self._warn(turn, settled)
        waits = settled.act is not None and opening is None and settled.act.name not in turn.book.done
        if not waits and (turn.book != turn.before or opening is not None or turn.now - turn.book.since > SINCE_EVERY):
            turn.book = replace(turn.book, since=turn.now, exceptions=turn.book.exceptions.kept(turn.now))
        if waits:
            turn.why = turn.why or "it is not settled yet"
        return opening

    async def _remember_evening(self, run: Run) -> None:
        if run.id not in self._evenings and (evening := evening_of(run)) is not None:
            await self._desk.memory.note_evening(run.cluster, evening)
        self._evenings.add(run.id)

    async def _write(self, turn: _Turn, opening: _Opening | None) -> bool:
        if opening is not None:
            if not await self._open(turn, opening):
                return False
        elif turn.book != turn.before and not await self.books.put(turn.name, turn.text, turn.book):
            return False
        for kind in turn.missed:
            METRICS.add("openvidu_bot_missed_edges_total", cluster=turn.name, kind=kind)
        return True

    async def _open(self, turn: _Turn, opening: _Opening) -> bool:
        """Open the run, write the edge down as done, and check that the book is the one that was read: one act."""
        edge = opening.edge
        key = f"hours:{turn.name}"
        after = write_book(turn.book.finished(edge.name), turn.text)
        by = edge.at if edge.kind == "open" else 0.0
        try:
            await self._desk.open_for_window(
                opening.plan, opening.requester, opening.standings, opening.yes, opening.reason, edge, by, {key: turn.text}, {key: after}
            )
        except Refused as error:
            log.info("%s of %s: %s", edge.name, turn.name, error)
            return False
        self._why.pop((turn.name, edge.name), None)
        return True

    @staticmethod
    def _until(turn: _Turn, wanted: Due | None) -> float:
        """Until when nothing is to be thought about, as things stand."""
        now = turn.now
        moments = [now + LOOK_AGAIN, *(h.until for h in turn.book.exceptions.holds if h.until > now)]
        if wanted is not None and wanted.next_edge is not None:
            start = wanted.next_edge.start
            moments += [start - AHEAD if start - AHEAD > now else start, *(n.at for n in notices(wanted.next_edge) if n.at > now)]
        return min(moments)

    def _meet(self, name: str, wanted: Due | None) -> None:
        """Be there when an edge that is near comes, with a look taken before."""
        coming = wanted.next_edge if wanted else None
        task = self._ahead.get(name)
        if coming is None or coming.start - self._clock.now() > AHEAD or (task is not None and not task.done()):
            return
        self._ahead[name] = asyncio.create_task(self._wait_for(name, coming.start), name=f"the hours of {name}")
        self._ahead[name].add_done_callback(partial(self._was_there, name))

    def _was_there(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._ahead.get(name) is task:
            del self._ahead[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._desk.bulkheads.note(PART, name, error)

    async def _wait_for(self, name: str, start: float) -> None:
        seen = None
        async with self._gate:
            with suppress(BotError):
                seen = await self._desk.look(name)
        while (left := start - self._clock.now()) > 0:
            await self._clock.sleep(left + 0.001)
        await self.look_after(name, seen)

    # Acting on an edge

    async def _act(self, turn: _Turn, edge: Edge, late: str, seen: Cluster | None) -> _Opening | None:
        """What is to be opened for it. Tried again at each tick while it still makes sense; the reason is told if it comes to nothing."""
        try:
            return await self._opening(turn, edge, late, seen)
        except _Never as error:
            self._miss(turn, Missed(edge, str(error)))
        except BotError as error:
            turn.why = self._why[turn.name, edge.name] = str(error)
            log.info("%s of %s: %s", edge.name, turn.name, error)
        return None

    async def _opening(self, turn: _Turn, edge: Edge, late: str, seen: Cluster | None) -> _Opening | None:
        if turn.holder is not None:
            run = await self._desk.journal.run(turn.holder)
            stands = f"which has stopped: {run.stopped}" if run.state is State.STOPPED else f"which is {run.state}"
            raise Refused(f"{run.id} ({run.plan.procedure.words()}) has {turn.name}, {stands}")
        answered = self._answered(turn, edge)
        if answered is False:
            return None
        cluster = seen or await self._desk.look(turn.name)
        if answered is None and edge.kind == "close" and edge.meetings != "wait" and not _nobody_meets(cluster.load):
            self._ask(turn, edge, cluster.load)
            return None
        rules = self._desk.site(turn.name).rules
        # An opening brings back what was there: it does not wait for Slack.
        standings = await self._desk.standings(turn.book, edge.windows, surely=edge.kind == "close")
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
            turn.tell(f"{edge.name}/less", f"*{turn.name} opens with {less}* · {_windows(edge)} at {_time(edge)}.")
        window = edge.name.partition(f"-{edge.kind}@")[0]
        said = f"{'serves by' if edge.kind == 'open' else 'closes at'} {_time(edge)}{f', {late}' if late else ''}"
        if edge.kind == "close" and not _nobody_meets(cluster.load):
            said += f"; {likely_end(cluster.evenings, edge)}"
        who = Actor(user=f"window:{window}", name=f"window {window}")
        return _Opening(plan, edge, who, standings, dict(turn.book.answers).get(f"{edge.name}/ask"), said)

    # Asking first

    def _answered(self, turn: _Turn, edge: Edge) -> bool | None:
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

    def _ask(self, turn: _Turn, edge: Edge, load: Observed[Load]) -> None:
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

    def _miss(self, turn: _Turn, missed: Missed) -> None:
        """Told once, whoever finds out, and with the reason that stood in the way."""
        edge = missed.edge
        reason = self._why.pop((turn.name, edge.name), "") or missed.reason
        verb = "close" if edge.kind == "close" else "open"
        turn.tell(f"{edge.name}/missed", f"*{turn.name} did not {verb} at {_time(edge)}* · {_windows(edge)} · {reason}.")
        turn.book = turn.book.finished(edge.name)
        turn.missed.append(edge.kind)

    async def _notice(self, turn: _Turn, edge: Edge | None) -> None:
        said = notice(edge, turn.now) if edge is not None else None
        if said is None or edge is None or said.name in turn.book.done:
            return
        load: Observed[Load] = NOT_LOOKED
        fault = ""
        with suppress(BotError):
            seen = await self._desk.look(turn.name, NOTICED)
            load, fault = seen.load, closing_fault(seen, masters=edge.closes != "media-only")
        meetings = "how many meetings are running is unknown" if isinstance(load, NotSeen) else f"{count(load.rooms, 'meeting')} now"
        what = "" if _nobody_meets(load) else _meetings_words(edge, turn.name)
        left = duration(edge.start - turn.now)
        words = f"*{turn.name} closes at {_time(edge)} (in {left})* · {_windows(edge)} · {meetings}{what}"
        words += f"; it does not close unless this is repaired: {fault}" if fault else ""
        buttons = (("Keep up 1 h", "keepup:3600", turn.name), ("Keep up tonight", "keepup:tonight", turn.name))
        turn.book = turn.book.telling(Announcement(said.name, words, buttons, edge.start))

    def _take_buttons_away(self, turn: _Turn, wanted: Due | None) -> None:
        """Of notices whose edge does not come any more: it is kept up, skipped, or its window is gone."""
        coming = wanted.next_edge.name if wanted and wanted.next_edge else ""
        for posted in turn.book.posted:
            told = posted.announcement
            edge, _, what = told.name.rpartition("/")
            if what.endswith("min") and edge != coming and told.until > turn.now:
                turn.book = turn.book.over(told.name, turn.now, wanted.reason if wanted else "the window is gone")

    async def _warn(self, turn: _Turn, settled: Settled) -> None:
        """Before the opening time, when it will be missed."""
        found = settled.due.since_edge if settled.due and settled.due.state == "open" else None
        if found is None or found.kind != "open" or turn.now >= found.at or f"{found.name}/late" in turn.book.done:
            return
        if found is settled.act and turn.why:
            took = sorted(await self._took(turn.name))
            late, why = will_miss(turn.now, found, took[len(took) // 2] if took else USUAL_START), turn.why
        else:
            late, why = await self._running_late(turn, found)
        if late >= LATE_BY:
            turn.tell(f"{found.name}/late", f"*{turn.name} will not serve by {_time(found)}* · about {duration(late)} late · {why}.")

    async def _running_late(self, turn: _Turn, opens: Edge) -> tuple[float, str]:
        run = await self._desk.journal.run(turn.holder) if turn.holder else None
        progress = self._desk.progress(run.id) if run else None
        if run is None or progress is None or progress.cluster is None or not isinstance(run.plan.procedure, Startup):
            return 0.0, ""
        cluster = progress.cluster
        late = will_miss(turn.now, opens, _left(run, cluster, turn.now))
        doing = f"{run.id} is at “{run.step.title() if run.step else 'its end'}”"
        if run.state is State.RUNNING:
            return late, doing
        return max(late, LATE_BY), f"{run.id} is {run.state}"

    async def _look_at_approvals(self, turn: _Turn) -> None:
        """Before a window's standing approval ends, say so: from then on it does not close any more."""
        rules = self._desk.site(turn.name).rules
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
            self._added[run_id] = await self._desk.journal.run(run_id)
        return self._added[run_id]

    def _look_at_holds(self, turn: _Turn) -> None:
        for hold in turn.book.exceptions.holds:
            key = f"hold/{hold.since:.3f}"
            if hold.until <= turn.now < hold.until + REMIND_HOLD:
                turn.tell(f"{key}/over", f"*The hold on {turn.name} is over* · it was {hold.by}'s · {hold.reason}")
            elif turn.now < hold.until and (days := int((turn.now - hold.since) // REMIND_HOLD)):
                turn.tell(f"{key}/day{days}", f"*{turn.name} is still on hold* until {at(hold.until)} · {hold.by} · {hold.reason}")


def _planned(edge: Edge, cluster: Cluster, procedure: Procedure) -> Plan:
    """The plan of an edge. A closing that secrets.env forbids comes to nothing: it is told at once, and the cluster stays up."""
    try:
        return make_plan(cluster, procedure)
    except Unbootable as error:
        if edge.kind == "close" and not unread(cluster):
            raise _Never(f"{cluster.name} stays up: {error}") from None
        raise


def _wanted(edge: Edge, cluster: Cluster, standings: Iterable[Standing], rules: Rules, now: float) -> tuple[Procedure, str]:
    """The procedure that an edge asks for, as far as its windows' approval goes; and why that is not all of it, "" when it is."""
    if edge.kind == "close":
        left = max(0.0, edge.until - now)
        gives_up = min(UNANSWERED, max(60.0, left / 4))
        limit = max(60.0, min(edge.wait_limit, left - gives_up - TURNING_BACK))
        return Shutdown(media_only=edge.closes == "media-only", limit=limit, gives_up=gives_up), ""
    return opening_of(edge, cluster, standings, rules, now)


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
    return Manual(run.opened_at, "closed", run.requester.mention) if isinstance(run.plan.procedure, Shutdown) else None


def _tell_what_came_of_it(turn: _Turn, run: Run) -> None:
    """A window's run that began and did not end as the window wanted."""
    if not run.edge or run.state is State.DONE or turn.now - run.ended_at > REMIND_HOLD or f"{run.edge}/came" in turn.book.done:
        return
    if run.state is State.CANCELLED:
        return  # by a person, in front of everybody
    name, closes = turn.name, isinstance(run.plan.procedure, Shutdown)
    what = f"{name} stays up" if run.turned_back else f"{name} was not {'closed' if closes else 'opened'}"
    turn.tell(f"{run.edge}/came", f"*{what}* · {run.requester.mention}, `{run.id}` · {run.turned_back or run.end_text}.")
    turn.missed.append("close" if closes else "open")


def _tell_the_month(turn: _Turn) -> None:
    """On the first days of a month, once: what the last one saved."""
    today = datetime.fromtimestamp(turn.now, UTC)
    if turn.book.windows and today.day in REPORT_DAYS and today.hour >= REPORT_HOUR:
        turn.tell(f"{REPORT}{today.replace(day=1) - timedelta(days=1):%Y-%m}", "what the last month saved")


def _left(run: Run, cluster: Cluster, now: float) -> float:
    """Seconds that its steps still need. One that takes longer than usual is never just about to be done: else nobody is told in time."""
    now_doing, *further = [s.takes(cluster) for s in run.steps[run.position :]] or [0.0]
    began = run.step_began or run.opened_at
    return max(now_doing - (now - began), min(now_doing, SOON)) + sum(further)


def _nobody_meets(load: Observed[Load]) -> bool:
    return isinstance(load, Load) and load.idle


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
