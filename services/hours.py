"""Keeps the hours: at each tick, what the windows want is compared with what is, and acted on or told. Ticks may come when they like.

A window is a colleague who types commands punctually: it asks for the same procedures, on the same desk, with the approval that its
adding was given. What it does, and what came of each edge, stands in the cluster's book, written in the same act.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from services.books import Announcement, Book, Books, book_key, write_book
from services.clock import Clock
from services.cluster import Cluster, Fact
from services.desk import Desk
from services.errors import BotError, Refused
from services.metrics import METRICS
from services.plan import Plan, make_plan
from services.policy import Actor, Kind, may_operate
from services.prices import hourly
from services.procedures import Procedure, Shutdown, Startup
from services.runs import Run, State
from services.steps.base import count, duration
from services.windows import Due, Edge, Exceptions, Hold, KeepUp, Manual, Missed, Terms, due, keep_up, lead, notice, settle, will_miss

log = logging.getLogger(__name__)
AT_ONCE = 32  # clusters that are looked after side by side
NEWEST = 20  # runs that start-ups are measured by
UNANSWERED = 1800.0  # seconds until nobody's answer means that it stays up
USAGE_EVERY = 60.0
LATE_BY = 60.0  # seconds of lateness worth a warning
REMIND_HOLD = 86400.0


@dataclass(frozen=True)
class Usage:
    """What was billed from that moment on: media droplets (id, per hour, per month) and whether the masters were off."""

    at: float
    media: tuple[tuple[int, str, str], ...]
    masters_off: bool
    masters_hourly: str


class Hours:
    """Looks after the windows of every cluster of a desk."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self.books: Books = desk.memory.books
        self._ended: dict[str, Run] = {}
        self._why: dict[str, str] = {}
        self._recorded: dict[str, tuple[float, str]] = {}

    async def tick(self) -> None:
        """One look at every cluster. Each on its own: what goes wrong with one holds up no other."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                try:
                    await self._tick(name)
                except BotError as error:
                    log.warning("hours of %s: %s", name, error)

        await asyncio.gather(*(one(name) for name in self._desk.sites))

    # What is due

    async def _tick(self, name: str) -> None:
        text, book = await self.books.read(name)
        now = self._clock.now()
        if book.exceptions.holds or book.posted:
            await self._look_at_holds(name, book, now)
        if not book.windows:
            return
        exceptions = await self.exceptions(name, book)
        terms = await self.terms(name)
        settled = settle(book.windows, book.since or now, now, frozenset(book.done), exceptions, terms)
        for missed in settled.missed:
            await self._tell_missed(name, missed)
        if settled.act is not None:
            text, book = await self.books.read(name)
            await self._act(name, settled.act, settled.reason, text, book)
        coming = settled.due.next_edge if settled.due else None
        if coming is not None:
            await self._notice(name, coming, now)
        if settled.due is not None and settled.due.state == "open":
            await self._warn_if_late(name, settled.due.since_edge, now)
        await self._record_usage(name, now)
        if now - book.since > 600:
            await self.books.edit(name, lambda b: replace(b, since=now, exceptions=b.exceptions.kept(now)))

    async def due(self, name: str) -> Due:
        """What the windows want now, and why."""
        _, book = await self.books.read(name)
        return due(book.windows, self._clock.now(), await self.exceptions(name, book), await self.terms(name))

    async def terms(self, name: str) -> Terms:
        """Start-ups begin as early as this cluster's own, measured, need."""
        runs = await self._newest(name)
        took = [r.ended_at - r.opened_at for r in reversed(runs) if isinstance(r.plan.procedure, Startup) and r.state is State.DONE]
        return Terms(lead=lead(took))

    async def exceptions(self, name: str, book: Book) -> Exceptions:
        """What people put in the windows' way, their own starts and stops among it."""
        return replace(book.exceptions, manual=tuple(m for r in await self._newest(name) if (m := _manual(r)) is not None))

    async def _newest(self, name: str) -> list[Run]:
        runs = []
        for run_id in await self._desk.journal.latest(name, NEWEST):
            if run_id not in self._ended:
                run = await self._desk.journal.run(run_id)
                if not run.over:
                    continue
                self._ended[run_id] = run
            runs.append(self._ended[run_id])
        return runs

    # Acting on an edge

    async def _act(self, name: str, edge: Edge, reason: str, text: str | None, book: Book) -> None:
        try:
            procedure = await self._wanted(name, edge)
            if procedure is None:
                return
            cluster = await self._desk.look(name, procedure.looks_at)
            plan = make_plan(cluster, procedure)
            if plan.empty:
                await self.books.edit(name, lambda b: b.finished(edge.name))
                return
            if plan.effects.special or plan.effects.cuts_off:
                raise _Never(f"it would not be graceful: {'; '.join(plan.effects.special) or 'it ends running meetings'}")
            await self._open(name, plan, edge, reason, text, book)
            self._why.pop(edge.name, None)
        except _Never as error:
            await self._tell_missed(name, Missed(edge, str(error)))
        except BotError as error:
            # Tried again at each tick while it still makes sense; the reason is told if it comes to nothing.
            self._why[edge.name] = str(error)
            log.info("%s of %s: %s", edge.name, name, error)

    async def _wanted(self, name: str, edge: Edge) -> Procedure | None:
        """What the edge asks for. None when people are asked first, or the meetings of the minute decide against it."""
        if edge.kind == "open":
            number = edge.number
            if number is not None and edge.remembered:
                number = max(number, (await self._desk.look(name, frozenset({Fact.DROPLETS}))).remembered or 0)
            return Startup(number)
        media_only = edge.closes == "media-only"
        if edge.meetings == "wait":
            return Shutdown(media_only=media_only, limit=edge.wait_limit, gives_up=min(UNANSWERED, max(60.0, edge.until - edge.at)))
        load = (await self._desk.look(name, frozenset({Fact.DROPLETS, Fact.LOAD}))).load
        if load is not None and load.rooms == 0:
            return Shutdown(media_only=media_only, gives_up=UNANSWERED)
        said = "how many meetings run is unknown"
        if load is not None:
            said = f"{count(load.rooms, 'meeting')} with {count(load.people, 'person')} run"
        if edge.meetings == "skip":
            raise _Never(f"{said}, and this window skips then")
        buttons = (
            ("Close now, gracefully", "closenow", f"{name}|{edge.name}"),
            ("Keep up tonight", "keepup:tonight", name),
        )
        words = f"*{name} would close now* · {_windows(edge)} · {said}. If nobody answers, {name} stays up."
        ask = Announcement(f"{edge.name}/ask", words, buttons, edge.until)
        await self.books.edit(name, lambda b: b.telling(ask).finished(edge.name))
        return None

    async def _open(self, name: str, plan: Plan, edge: Edge, reason: str, text: str | None, book: Book) -> None:
        """Open the run, write the edge down as done, and check that the book is the one that was read: one act."""
        window = edge.windows[0]
        approvers = await self._approvers(book, window)
        said = f"{_windows(edge)}, {'serves by' if edge.kind == 'open' else 'closes at'} {edge.local[-5:]}{f', {reason}' if reason else ''}"
        actor = Actor(user=f"window:{window}", name=f"window {window}")
        after = write_book(book.finished(edge.name))
        await self._desk.open_for_window(plan, actor, approvers, said, {book_key(name): text}, {book_key(name): after})

    async def _approvers(self, book: Book, window: str) -> tuple[Actor, ...]:
        run_id = dict(book.runs).get(window, "")
        if not run_id:
            return ()
        run = await self._desk.journal.run(run_id)
        return run.approvers or (run.requester,)

    async def close_now(self, name: str, edge_name: str, actor: Actor) -> Run:
        """A person answered "close now" to a window that asks first."""
        self._may(name, actor)
        text, book = await self.books.read(name)
        ask = f"{edge_name}/ask"
        if ask not in book.done or f"{ask}/answered" in book.done:
            raise Refused("this question is not open any more")
        window = book.window(edge_name.split("-close@", maxsplit=1)[0])
        if window is None:
            raise Refused("that window is not there any more; nothing was changed")
        plan = make_plan(await self._desk.look(name), Shutdown(media_only=window.kind == "media-only", gives_up=UNANSWERED))
        after = write_book(book.finished(f"{ask}/answered"))
        approvers = await self._approvers(book, window.name)
        said = f"window {window.name}"
        return await self._desk.open_for_window(plan, actor, approvers, said, {book_key(name): text}, {book_key(name): after})

    # Telling

    async def _tell_missed(self, name: str, missed: Missed) -> None:
        edge = missed.edge
        reason = self._why.pop(edge.name, "") or missed.reason
        what = "did not close" if edge.kind == "close" else "did not open"
        words = f"*{name} {what} at {edge.local[-5:]}* · {_windows(edge)} · {reason}."
        told = Announcement(f"{edge.name}/missed", words)
        METRICS.add("openvidu_bot_missed_edges_total", cluster=name, kind=edge.kind)
        await self.books.edit(name, lambda b: b.telling(told).finished(edge.name))

    async def _notice(self, name: str, edge: Edge, now: float) -> None:
        said = notice(edge, now)
        _, book = await self.books.read(name)
        if said is None or said.name in book.done:
            return
        load = (await self._desk.look(name, frozenset({Fact.DROPLETS, Fact.LOAD}))).load
        meetings = "how many meetings run is unknown" if load is None else f"{count(load.rooms, 'meeting')} now"
        what = _meetings_words(edge, name) if load is None or load.rooms else ""
        words = f"*{name} closes at {edge.local[-5:]} (in {duration(edge.start - now)})* · {_windows(edge)} · {meetings}{what}"
        buttons = (("Keep up 1 h", "keepup:3600", name), ("Keep up tonight", "keepup:tonight", name))
        await self.books.edit(name, lambda b: b.telling(Announcement(said.name, words, buttons, edge.start)))

    async def _warn_if_late(self, name: str, edge: Edge | None, now: float) -> None:
        """Before the deadline, when it will be missed."""
        if edge is None or edge.kind != "open" or now >= edge.at:
            return
        run = await self._desk.open_run(name)
        progress = self._desk.progress(run.id) if run else None
        if run is None or progress is None or progress.cluster is None or not isinstance(run.plan.procedure, Startup):
            return
        left = sum(s.takes(progress.cluster) for s in run.steps[run.position :])
        late = will_miss(now, edge, left)
        if late < LATE_BY and run.state is State.RUNNING:
            return
        doing = f"{run.id} is {run.state}" if run.state is not State.RUNNING else f"{run.id} is at “{run.step.title() if run.step else ''}”"
        words = f"*{name} will not serve by {edge.local[-5:]}* · about {duration(max(late, LATE_BY))} late · {doing}."
        await self.books.edit(name, lambda b: b.telling(Announcement(f"{edge.name}/late", words)))

    # People first

    async def keep(self, name: str, length: float | Literal["tonight"], actor: Actor, reason: str = "") -> KeepUp:
        """Stay up for a while. The safe direction: an operator may, without approval, and it ends by itself."""
        self._may(name, actor)
        _, book = await self.books.read(name)
        kept = keep_up(book.windows, self._clock.now(), length, actor.mention, reason=reason, exceptions=await self.exceptions(name, book))
        words = f"*{name} stays up* until {_at(kept.until)} · {actor.mention}{f' · {reason}' if reason else ''}"

        def change(b: Book) -> Book:
            exceptions = replace(b.exceptions, keep_ups=(*b.exceptions.keep_ups, kept))
            return replace(b, exceptions=exceptions).telling(Announcement(f"kept/{kept.since:.3f}/{actor.user}", words))

        await self.books.edit(name, change)
        return kept

    async def hold(self, name: str, reason: str, until: float, actor: Actor) -> Hold:
        """Nobody changes this cluster until then, windows neither."""
        self._may(name, actor)
        hold = Hold(self._clock.now(), until, actor.mention, reason)
        words = f"*{name} is on hold* until {_at(until)} · {actor.mention} · {reason}. Nobody changes it meanwhile, windows neither."

        def change(b: Book) -> Book:
            exceptions = replace(b.exceptions, holds=(*b.exceptions.holds, hold))
            return replace(b, exceptions=exceptions).telling(Announcement(f"hold/{hold.since:.3f}", words))

        await self.books.edit(name, change)
        return hold

    async def unhold(self, name: str, actor: Actor) -> Hold:
        """End the hold now."""
        self._may(name, actor)
        now = self._clock.now()
        _, book = await self.books.read(name)
        hold = book.exceptions.hold(now)
        if hold is None:
            raise Refused(f"nothing holds {name}")

        def change(b: Book) -> Book:
            holds = tuple(replace(h, until=now) if h.until > now else h for h in b.exceptions.holds)
            told = Announcement(f"unhold/{hold.since:.3f}", f"*{name} is not on hold any more* · {actor.mention}")
            return replace(b, exceptions=replace(b.exceptions, holds=holds)).telling(told).finished(f"hold/{hold.since:.3f}/over")

        await self.books.edit(name, change)
        return hold

    async def remove(self, name: str, window: str, actor: Actor) -> None:
        """Take a window out: staying up needs no approval."""
        self._may(name, actor)
        _, book = await self.books.read(name)
        if book.window(window) is None:
            there = ", ".join(w.name for w in book.windows) or "none"
            raise Refused(f"{name} has no window {window}; there are: {there}")
        told = Announcement(f"removed/{window}/{self._clock.now():.3f}", f"*{name} has no window {window} any more* · {actor.mention}")
        await self.books.edit(name, lambda b: b.without_window(window).telling(told))

    async def _look_at_holds(self, name: str, book: Book, now: float) -> None:
        for hold in book.exceptions.holds:
            key = f"hold/{hold.since:.3f}"
            if hold.until <= now < hold.until + REMIND_HOLD:
                over = Announcement(f"{key}/over", f"*The hold on {name} is over* · it was {hold.by}'s · {hold.reason}")
                await self.books.edit(name, lambda b, a=over: b.telling(a))  # type: ignore[misc]
            elif now < hold.until and (days := int((now - hold.since) // REMIND_HOLD)):
                words = f"*{name} is still on hold* until {_at(hold.until)} · {hold.by} · {hold.reason}"
                still = Announcement(f"{key}/day{days}", words)
                await self.books.edit(name, lambda b, a=still: b.telling(a))  # type: ignore[misc]

    def _may(self, name: str, actor: Actor) -> None:
        verdict = may_operate(actor, self._desk.site(name).rules)
        if verdict.kind is Kind.DENIED:
            raise Refused(verdict.reason)

    # What was billed

    async def _record_usage(self, name: str, now: float) -> None:
        """Note, at most once a minute and only on change, what is being billed."""
        at, before = self._recorded.get(name, (0.0, ""))
        if now - at < USAGE_EVERY:
            return
        cluster = await self._desk.look(name, frozenset({Fact.DROPLETS}))
        usage = usage_of(cluster, now)
        text = json.dumps([usage.media, usage.masters_off, usage.masters_hourly])
        if not before:
            newest = await self._desk.usage(name, 1)
            before = json.dumps(json.loads(newest[-1])[1:]) if newest else ""
        if text != before:
            await self._desk.note_usage(name, json.dumps([now, *json.loads(text)]))
        self._recorded[name] = (now, text)


class _Never(BotError):
    """This edge comes to nothing, whatever the next tick finds."""


def usage_of(cluster: Cluster, now: float) -> Usage:
    """What is billed for a cluster as it was seen."""
    media = tuple((n.id, str(n.droplet.hourly), str(n.droplet.monthly)) for n in cluster.media if n.droplet.hourly)
    return Usage(now, media, cluster.down, str(hourly(cluster).masters))


def _manual(run: Run) -> Manual | None:
    """A start or stop by a person, which windows respect until their next edge."""
    if run.requester.window or run.state is not State.DONE:
        return None
    if isinstance(run.plan.procedure, Startup):
        return Manual(run.ended_at, "open", run.requester.mention)
    return Manual(run.ended_at, "closed", run.requester.mention) if isinstance(run.plan.procedure, Shutdown) else None


def _windows(edge: Edge) -> str:
    return f"window {' and '.join(f'*{w}*' for w in edge.windows)} ({edge.zone})"


def _meetings_words(edge: Edge, name: str) -> str:
    match edge.meetings:
        case "wait":
            until = _at(edge.at + edge.wait_limit)
            return f"; they may finish until {until}; then I ask, and if nobody answers {name} stays up"
        case "skip":
            return f"; if some still run, {name} stays up tonight"
        case _:
            return "; if some still run, I ask first"


def _at(moment: float) -> str:
    """A time that each reader sees in their own zone."""
    return f"<!date^{int(moment)}^{{date_short_pretty}} {{time}}|{datetime.fromtimestamp(moment, UTC):%d %b %H:%M UTC}>"
