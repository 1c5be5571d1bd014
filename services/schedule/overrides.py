"""What people may do about a cluster's schedule.

Keep it up, hold it, skip a day, remove a window, answer. Each is one edit of the cluster's
document. All but the answer keep more up than the windows would, so an operator may do them without
approval.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from services.access.policy import Actor
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import Refused
from services.memory.announcements import DaysSkipped, HoldEnded, KeptUp, PutOnHold, WindowRemoved
from services.memory.schedule import ANSWERS, Book, announcement
from services.operations.assembly import Operations
from services.procedures import Shutdown
from services.schedule.usage import UsageRecorder
from services.windows import Due, Hold, KeepUp, Length, closures, due, keep_up


class ScheduleOverrides:
    """Applies overrides; `look_after` re-evaluates the cluster immediately."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        usage: UsageRecorder,
        look_after: Callable[[str], Awaitable[None]],
    ) -> None:
        self._operations = operations.service
        self._reader = operations.reader
        self._clock = clock
        self._usage = usage
        self._look_after = look_after
        self._books = operations.memory.books

    async def keep(self, name: str, length: Length, actor: Actor, reason: str = "") -> KeepUp:
        """Keep the cluster up for a while, or start it again. Ends by itself."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        _, before = await self._books.read(name)
        kept = keep_up(
            before.all_windows,
            now,
            length,
            actor.mention,
            reason=reason,
            exceptions=before.exceptions,
        )
        message = announcement(
            f"kept/{kept.since:.3f}/{actor.user}", KeptUp(name, kept.until, actor.mention, reason)
        )

        def change(book: Book) -> Book:
            exceptions = replace(book.exceptions, keep_ups=(*book.exceptions.keep_ups, kept))
            wanted = due(book.all_windows, now, book.exceptions).since_edge
            if wanted is not None and wanted.kind == "close":
                # A closing that has not begun is decided by this, and needs no second message.
                book = book.with_done(wanted.name).with_answer_closed(f"{wanted.name}/ask", now)
            return replace(book, exceptions=exceptions).with_announcement(message)

        await self._books.edit(name, change, by=actor)
        for since, until in _kept_times(before, kept):
            await self._usage.record_keep_up(name, since, until, actor.mention, reason)
        await self._cancel_closing(name, actor, reason)
        await self._look_after(name)
        return kept

    async def _cancel_closing(self, name: str, actor: Actor, reason: str) -> None:
        """Cancel a window's closing that is under way.

        It stops at its next safe point, and what it has done is undone then.
        """
        run = await self._reader.open_run(name)
        if (
            run is not None
            and run.requester.is_window
            and isinstance(run.plan.procedure, Shutdown)
            and run.cancel is None
        ):
            try:
                await self._operations.cancel(run.id, actor, reason or f"{name} stays up")
            except Refused:
                return  # it is over, or has stopped by itself: its own message says what to do

    async def close_now(self, name: str, edge: str, actor: Actor) -> None:
        """Answer yes to a window that asks first."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        question = f"{edge}/ask"
        now = self._clock.now()

        def change(book: Book) -> Book:
            asked = book.pending_announcement(question)
            answered_by = dict(book.answers).get(question)
            if asked is None or asked.until <= now or answered_by is not None:
                who = f": {answered_by.mention} answered it" if answered_by else ""
                raise Refused(f"this question is no longer open{who}. Nothing was changed")
            answers = (*book.answers, (question, actor))[-ANSWERS:]
            book = replace(book, answers=answers)
            return book.with_answer_closed(question, now, f"{actor.mention}: close now")

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)

    async def hold(self, name: str, reason: str, until: float, actor: Actor) -> Hold:
        """Block every change of this cluster until then, by windows too."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        hold = Hold(self._clock.now(), until, actor.mention, reason)
        run = await self._reader.open_run(name)
        subject = PutOnHold(name, until, actor.mention, reason, run.id if run is not None else "")
        message = announcement(f"hold/{hold.since:.3f}", subject)

        def change(book: Book) -> Book:
            exceptions = replace(book.exceptions, holds=(*book.exceptions.holds, hold))
            return replace(book, exceptions=exceptions).with_announcement(message)

        await self._books.edit(name, change, by=actor)
        return hold

    async def unhold(self, name: str, actor: Actor) -> Hold:
        """End the hold now, and return it."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        _, before = await self._books.read(name)
        hold = before.exceptions.hold(now)
        if hold is None:
            raise Refused(f"{name} is not on hold")
        message = announcement(f"unhold/{hold.since:.3f}", HoldEnded(name, actor.mention))

        def change(book: Book) -> Book:
            expiries = [f"hold/{h.since:.3f}/over" for h in book.exceptions.holds]
            holds = tuple(replace(h, until=min(h.until, now)) for h in book.exceptions.holds)
            book = replace(book, exceptions=replace(book.exceptions, holds=holds))
            return book.with_announcement(message).with_done(*expiries)

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)
        return hold

    async def remove(self, name: str, window: str, actor: Actor) -> Due:
        """Remove a window. Returns what was wanted with it."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        message = announcement(
            f"removed/{window}/{now:.3f}", WindowRemoved(name, window, actor.mention)
        )

        def change(book: Book) -> Book:
            if book.window(window) is None:
                raise Refused(f"{name} has no window {window}. There {_names(book)}")
            return book.without_window(window).with_announcement(message)

        _, before = await self._books.read(name)
        was = due(before.all_windows, now, before.exceptions)
        await self._books.edit(name, change, by=actor)
        await self._look_after(name)
        return was

    async def skip(self, name: str, dates: tuple[str, ...], actor: Actor) -> None:
        """Except days (ISO dates): no window of this cluster closes it on them."""
        self._operations.must_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        message = announcement(
            f"skip/{now:.3f}/{actor.user}", DaysSkipped(name, dates, actor.mention)
        )

        def change(book: Book) -> Book:
            if not book.all_windows:
                raise Refused(f"{name} has no windows, so no window closes it on any day")
            if late := sorted({*_days_begun(book, now)} & {*dates}):
                raise Refused(
                    f"{name} has already closed for {late[0]}. "
                    "To start it, run [[command keepup tonight]]"
                )
            off = tuple(sorted({*book.exceptions.off, *dates}))
            return replace(book, exceptions=replace(book.exceptions, off=off)).with_announcement(
                message
            )

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)


def _days_begun(book: Book, now: float) -> Iterator[str]:
    """Yield the days whose closed time has begun and is not over."""
    for closure in closures(book.windows, now, now, book.exceptions.days_off)[0]:
        for occurrence in closure.occurrences:
            if occurrence.close <= now:
                yield occurrence.day


def _kept_times(book: Book, kept: KeepUp) -> Iterator[tuple[float, float]]:
    """Yield when the cluster is up because of this, not of its windows or an earlier keep-up."""
    for closure in closures(book.windows, kept.since, kept.until, book.exceptions.days_off)[0]:
        begin, end = max(kept.since, closure.close), min(kept.until, closure.open)
        while begin < end and (earlier := book.exceptions.keep_up(begin)) is not None:
            begin = earlier.until
        if begin < end:
            yield begin, end


def _names(book: Book) -> str:
    names = [w.name for w in book.named_windows]
    if not names:
        return "are none"
    verb = "is" if len(names) == 1 else "are"
    return f"{verb} {', '.join(names)}"
