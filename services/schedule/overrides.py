"""What people may do about a cluster's hours: keep it up, hold it, skip a day, remove a window, answer. Each is one edit of its book.

All but the answer keep more up than the windows would, so that an operator may without asking anybody.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from services.access.policy import Actor
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import Refused
from services.memory.schedule import ANSWERS, Announcement, Book
from services.operations.assembly import Operations
from services.procedures import Shutdown
from services.schedule.usage import Usage
from services.windows import Due, Hold, KeepUp, Length, closures, due, keep_up


class ScheduleOverrides:
    """Takes them. `look_after` has what they mean acted on at once, not only at the next tick."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        usage: Usage,
        look_after: Callable[[str], Awaitable[None]],
    ) -> None:
        self._operations = operations.service
        self._reader = operations.reader
        self._clock = clock
        self._usage = usage
        self._look_after = look_after
        self._books = operations.memory.books

    async def keep(self, name: str, length: Length, actor: Actor, reason: str = "") -> KeepUp:
        """Stay up for a while, or come up again. Ends by itself."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        _, book = await self._books.read(name)
        kept = keep_up(
            book.windows, now, length, actor.mention, reason=reason, exceptions=book.exceptions
        )
        words = f"*{name} stays up* until {at(kept.until)} · {actor.mention}{f' · {reason}' if reason else ''}"

        def change(b: Book) -> Book:
            exceptions = replace(b.exceptions, keep_ups=(*b.exceptions.keep_ups, kept))
            wanted = due(b.windows, now, b.exceptions).since_edge
            # A close that has not begun is settled by this, and needs no second message.
            b = (
                b.finished(wanted.name).over(f"{wanted.name}/ask", now)
                if wanted and wanted.kind == "close"
                else b
            )
            return replace(b, exceptions=exceptions).telling(
                Announcement(f"kept/{kept.since:.3f}/{actor.user}", words)
            )

        await self._books.edit(name, change, by=actor)
        for since, until in _kept_times(book, kept):
            await self._usage.keeps(name, since, until, actor.mention, reason)
        await self._call_back(name, actor, reason)
        await self._look_after(name)
        return kept

    async def _call_back(self, name: str, actor: Actor, reason: str) -> None:
        """A close that is under way for a window stops at its next safe point; what it has done already is brought back then."""
        run = await self._reader.open_run(name)
        if (
            run is not None
            and run.requester.window
            and isinstance(run.plan.procedure, Shutdown)
            and run.cancel is None
        ):
            try:
                await self._operations.cancel(run.id, actor, reason or f"{name} stays up")
            except Refused:
                return  # it is over, or has stopped by itself: its own message says what to do

    async def close_now(self, name: str, edge: str, actor: Actor) -> None:
        """Yes to a window that asks first."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        question = f"{edge}/ask"
        now = self._clock.now()

        def change(b: Book) -> Book:
            asked = b.told(question)
            if asked is None or asked.until <= now or question in dict(b.answers):
                who = dict(b.answers).get(question)
                raise Refused(
                    f"this question is not open any more{f': {who.mention} answered it' if who else ''}; nothing was changed"
                )
            answers = (*b.answers, (question, actor))[-ANSWERS:]
            return replace(b, answers=answers).over(question, now, f"{actor.mention}: close now")

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)

    async def hold(self, name: str, reason: str, until: float, actor: Actor) -> Hold:
        """Nobody changes this cluster until then, windows neither."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        hold = Hold(self._clock.now(), until, actor.mention, reason)
        words = f"*{name} is on hold* until {at(until)} · {actor.mention} · {reason}. Nobody changes it meanwhile, windows neither."
        run = await self._reader.open_run(name)
        words += f" `{run.id}` has begun and goes on." if run is not None else ""

        def change(b: Book) -> Book:
            exceptions = replace(b.exceptions, holds=(*b.exceptions.holds, hold))
            return replace(b, exceptions=exceptions).telling(
                Announcement(f"hold/{hold.since:.3f}", words)
            )

        await self._books.edit(name, change, by=actor)
        return hold

    async def unhold(self, name: str, actor: Actor) -> Hold:
        """End the hold now."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()
        _, book = await self._books.read(name)
        hold = book.exceptions.hold(now)
        if hold is None:
            raise Refused(f"nothing holds {name}")

        def change(b: Book) -> Book:
            over = [f"hold/{h.since:.3f}/over" for h in b.exceptions.holds]
            holds = tuple(replace(h, until=now) if h.until > now else h for h in b.exceptions.holds)
            told = Announcement(
                f"unhold/{hold.since:.3f}", f"*{name} is not on hold any more* · {actor.mention}"
            )
            return (
                replace(b, exceptions=replace(b.exceptions, holds=holds))
                .telling(told)
                .finished(*over)
            )

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)
        return hold

    async def remove(self, name: str, window: str, actor: Actor) -> Due:
        """Take a window out. Returns what is so without it."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()

        def change(b: Book) -> Book:
            if b.window(window) is None:
                raise Refused(f"{name} has no window {window}; there {_there(b)}")
            told = Announcement(
                f"removed/{window}/{now:.3f}",
                f"*{name} has no window {window} any more* · {actor.mention}",
            )
            return b.without_window(window).telling(told)

        _, before = await self._books.read(name)
        was = due(before.windows, now, before.exceptions)
        await self._books.edit(name, change, by=actor)
        await self._look_after(name)
        return was

    async def skip(self, name: str, dates: tuple[str, ...], actor: Actor) -> None:
        """Days on which no window of this cluster closes it."""
        self._operations.may_use(name, actor, CommandClass.WINDOWS)
        now = self._clock.now()

        def change(b: Book) -> Book:
            if not b.windows:
                raise Refused(f"{name} has no windows, so nothing closes it on any day")
            begun = [
                o.day
                for c in closures(b.windows, now, now, b.exceptions.free)[0]
                for o in c.occurrences
                if o.close <= now
            ]
            if late := sorted({*begun} & {*dates}):
                raise Refused(
                    f"{name} has closed for {late[0]} already; `/openvidu keepup tonight` brings it up"
                )
            off = tuple(sorted({*b.exceptions.off, *dates}))
            words = f"*{name} stays up on {', '.join(dates)}*: no window closes it then · {actor.mention}"
            exceptions = replace(b.exceptions, off=off)
            return replace(b, exceptions=exceptions).telling(
                Announcement(f"skip/{now:.3f}/{actor.user}", words)
            )

        await self._books.edit(name, change, by=actor)
        await self._look_after(name)


def _kept_times(book: Book, kept: KeepUp) -> Iterator[tuple[float, float]]:
    """When it is up because of this, and not because of the hour or an earlier wish."""
    for closure in closures(book.windows, kept.since, kept.until, book.exceptions.free)[0]:
        begin, end = max(kept.since, closure.close), min(kept.until, closure.open)
        while begin < end and (earlier := book.exceptions.keep_up(begin)) is not None:
            begin = earlier.until
        if begin < end:
            yield begin, end


def _there(book: Book) -> str:
    names = [w.name for w in book.windows]
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "is none"


def at(moment: float) -> str:
    """A time that each reader sees in their own zone."""
    return f"<!date^{int(moment)}^{{date_short_pretty}} {{time}}|{datetime.fromtimestamp(moment, UTC):%d %b %H:%M UTC}>"
