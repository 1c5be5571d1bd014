"""Wake-ups: people without an operator's role start a cluster that a window has closed.

There is a quota, and operators are informed. Only what a window closed can be woken, and only up to
a stated time: then the window closes it again. What a person stopped, holds or froze stays as it
is.
"""

from dataclasses import dataclass, replace

from services.access.policy import AccessResult, Actor, ClusterPolicy, may_use, people_to_ask
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.markers import member_of
from services.common.text import count_of, duration
from services.memory.announcements import Woken
from services.memory.schedule import Book, announcement
from services.operations.service import OperationsService
from services.runs.run import Run
from services.schedule.scheduler import WindowScheduler
from services.windows import Due, KeepUp, Window, closures, keep_up

WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Awake:
    """A cluster that was woken: kept up until then.

    `empty`: seconds without a meeting after which it closes from then on; 0: it closes then.
    """

    until: float
    empty: float = 0.0


class WakeUps:
    """Wakes clusters up. Quota and keep-up are one edit of the document.

    So pressing twice gains nothing.
    """

    def __init__(self, operations: OperationsService, hours: WindowScheduler) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._hours = hours

    async def wake_up(self, name: str, actor: Actor, reason: str = "") -> Awake:
        """Start it now, and return until when. Refused with whom to ask."""
        self._operations.must_wake(name, actor)
        rules, now = self._clusters.rules(name), self._operations.now()
        ask = f"Ask {people_to_ask(rules.users_of(CommandClass.WINDOWS) - {actor.user})}"
        wanted = (await self._hours.schedule(name)).due
        if why := wakeable(name, wanted):
            raise Refused(f"{why}. {ask}")
        run = await self._operations.open_run(name, actor)
        if run is not None:
            doing = f"`{run.id}` {run.plan.procedure.command_line()}"
            raise Refused(
                f"{name} is being changed at this moment ({doing}). Wait until that is over. {ask}"
            )
        counts = may_use(actor, rules, (CommandClass.WINDOWS,)).kind is AccessResult.DENIED
        kept: list[KeepUp] = []

        def change(book: Book) -> Book:
            exceptions = book.exceptions
            if counts and (over := spent(exceptions.keep_ups, actor, rules, now)):
                raise Refused(f"{over}. {ask}")
            woken = keep_up(
                book.all_windows,
                now,
                length,
                actor.mention,
                reason=reason,
                exceptions=exceptions,
            )
            kept[:] = [replace(woken, woken=counts)]
            windows = tuple(w.name for w in book.named_windows)
            message = announcement(
                f"woken/{now:.3f}/{actor.user}",
                Woken(name, woken.until, actor.mention, reason, windows, empty),
            )
            after = replace(exceptions, keep_ups=(*exceptions.keep_ups, *kept))
            return replace(book, exceptions=after).with_announcement(message)

        _, before = await self._hours.books.read(name)
        quiet = closed_by_quiet(before, wanted)
        length = max((w.stays for w in quiet), default=rules.wake_seconds)
        empty = max((w.when_empty or 0.0 for w in quiet), default=0.0)
        await self._hours.books.edit(name, change, by=actor)
        for closure in closures(before.windows, now, kept[0].until, before.exceptions.days_off)[0]:
            begin, end = max(now, closure.close), min(kept[0].until, closure.open)
            if begin < end:
                await self._hours.usage.record_keep_up(
                    name, begin, end, actor.mention, reason or "woken"
                )
        await self._hours.look_after(name)
        return Awake(kept[0].until, empty)

    async def opened(self, name: str, actor: Actor) -> Run | None:
        """Return the run that a wake-up has opened; None while there is none yet."""
        return await self._operations.open_run(name, actor)


def wakeable(name: str, due: Due) -> str:
    """Return why it cannot be woken.

    Nothing closed it, or a person did; "" if a window closed it.
    """
    if due.why is not None and due.state != "open":
        return f"{name} is not closed by its window only: {due.reason}"
    if due.state != "closed":
        return f"{name} is not closed by a window now: {due.reason}"
    return ""


def closed_by_quiet(book: Book, due: Due) -> tuple[Window, ...]:
    """Return the quiet windows that closed it; () where a window closed it by the clock."""
    if due.state != "closed" or not {*due.windows} <= book.quiet_names:
        return ()
    return tuple(w for w in book.quiet if w.name in due.windows)


def spent(keep_ups: tuple[KeepUp, ...], actor: Actor, rules: ClusterPolicy, now: float) -> str:
    """Return why the quota does not allow one more; "" if it does."""
    woken = [k for k in keep_ups if k.woken and k.since > now - WEEK]
    mine = [k for k in woken if member_of(k.by) == actor.user]
    for used, most, whose in (
        (mine, rules.wakes_each, "you have"),
        (woken, rules.wakes_all, "this cluster has"),
    ):
        if len(used) >= most:
            when = ""
            if used:
                free_in = min(k.since for k in used) + WEEK - now
                when = f"; the next is possible in {duration(free_in)}"
            return f"{whose} used {count_of(len(used), 'wake-up')} of {most} in seven days{when}"
    return ""
