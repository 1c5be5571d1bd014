"""Wake-up: people who are no operators start a cluster that a window has closed, out of a quota, and operators read of it.

Only what the window closed is woken, and only up to a moment that is said: then the window closes it again. What a person stopped, holds
or froze is theirs.
"""

from dataclasses import replace

from services.access.policy import Actor, Kind, Rules, may_use, whom_to_ask
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.text import count, duration
from services.memory.schedule import Announcement, Book
from services.operations.service import OperationsService
from services.schedule.overrides import at
from services.schedule.scheduler import WindowScheduler
from services.windows import Due, KeepUp, closures, keep_up

WEEK = 7 * 86400.0


class WakeUps:
    """Takes them. Quota and wish are one edit of the book, so that pressing twice gets no one more."""

    def __init__(self, operations: OperationsService, hours: WindowScheduler) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._hours = hours

    async def wake(self, name: str, actor: Actor, reason: str = "") -> KeepUp:
        """Start it now, until a moment that is returned. Refused with who to ask."""
        self._operations.may_wake(name, actor)
        rules, now = self._clusters.rules(name), self._operations.now()
        ask = f"ask {whom_to_ask(rules.users(CommandClass.WINDOWS) - {actor.user})}"
        if why := wakeable(name, (await self._hours.schedule(name)).due):
            raise Refused(f"{why}; {ask}")
        run = await self._operations.open_run(name, actor)
        if run is not None:
            doing = f"`{run.id}` {run.plan.procedure.words()}"
            raise Refused(
                f"{name} is being changed at this moment ({doing}): wait until that is over, or {ask}"
            )
        counts = may_use(actor, rules, (CommandClass.WINDOWS,)).kind is Kind.DENIED
        kept: list[KeepUp] = []

        def change(book: Book) -> Book:
            exceptions = book.exceptions
            if counts and (over := spent(exceptions.keep_ups, actor, rules, now)):
                raise Refused(f"{over}; {ask}")
            woken = keep_up(
                book.windows,
                now,
                rules.wake_seconds,
                actor.mention,
                reason=reason,
                exceptions=exceptions,
            )
            kept[:] = [replace(woken, woken=counts)]
            words = f"*{name} is woken by {actor.mention}* until {at(woken.until)}{f' · {reason}' if reason else ' · no reason given'}"
            words += (
                f". It was closed by {' and '.join(w.name for w in book.windows)}, and closes again then."
                if book.windows
                else ""
            )
            after = replace(exceptions, keep_ups=(*exceptions.keep_ups, *kept))
            return replace(book, exceptions=after).telling(
                Announcement(f"woken/{now:.3f}/{actor.user}", words)
            )

        _, before = await self._hours.books.read(name)
        await self._hours.books.edit(name, change, by=actor)
        for closure in closures(before.windows, now, kept[0].until, before.exceptions.free)[0]:
            begin, end = max(now, closure.close), min(kept[0].until, closure.open)
            if begin < end:
                await self._hours.usage.keeps(name, begin, end, actor.mention, reason or "woken")
        await self._hours.look_after(name)
        return kept[0]


def wakeable(name: str, due: Due) -> str:
    """Why it is not theirs to wake: nothing closed it, or a person did; "" when a window closed it."""
    if due.why is not None and due.state != "open":
        return f"{name} is not closed by its window alone: {due.reason}"
    return "" if due.state == "closed" else f"{name} is not closed by a window now: {due.reason}"


def spent(keep_ups: tuple[KeepUp, ...], actor: Actor, rules: Rules, now: float) -> str:
    """Why the quota does not allow one more; "" when it does."""
    woken = [k for k in keep_ups if k.woken and k.since > now - WEEK]
    mine = [k for k in woken if k.by == actor.mention]
    for used, most, whose in (
        (mine, rules.wakes_each, "you have"),
        (woken, rules.wakes_all, "this cluster has"),
    ):
        if len(used) >= most:
            when = (
                f"; the next is free in {duration(min(k.since for k in used) + WEEK - now)}"
                if used
                else ""
            )
            return f"{whose} used {count(len(used), 'wake-up')} of {most} in seven days{when}"
    return ""
