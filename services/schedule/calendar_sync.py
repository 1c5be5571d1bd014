"""Calendar files (.ics) in every cluster's book of hours: days off, change freezes, meetings. Read at the start, and again each hour.

A file that cannot be read changes nothing: what was known stays, and people are told once. It never keeps the bot from starting, and
nothing waits for it longer than its deadline.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.access.clusters import ClusterRegistry
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Refused
from services.memory.announcements import CalendarEmpty, CalendarUnread, Subject, summary
from services.memory.schedule import Book, ScheduleRepository, announcement
from services.windows import Exceptions, Freeze, Holiday, Meeting, holidays
from services.windows.agenda import freezes, meetings
from services.windows.holidays import Found
from services.windows.ical import LARGEST
from services.windows.sources import CalendarKind, Source, source_of

log = logging.getLogger(__name__)
EVERY = 3600.0
DEADLINE = 20.0  # seconds until nobody waits for a file any longer; its reading goes on beside
BEFORE = timedelta(days=10)  # as far as exceptions are remembered
AHEAD: dict[CalendarKind, timedelta] = {
    "holidays": timedelta(days=400),  # as far as windows look
    "freezes": timedelta(days=400),
    "meetings": timedelta(days=40),
}
CALLED: dict[CalendarKind, str] = {
    "holidays": "holidays",
    "freezes": "change freezes",
    "meetings": "meetings",
}

Entries = tuple[Holiday, ...] | tuple[Freeze, ...] | tuple[Meeting, ...]


@dataclass(frozen=True)
class Contents:
    """What a file says, and what there is to say about the file itself."""

    entries: Entries
    source: Source


@dataclass(frozen=True)
class Calendar:
    """A cluster's file of that kind, and by whose clocks a day is a day."""

    kind: CalendarKind
    file: Path
    zone: str

    def read(self, now: float) -> Contents:
        """What it says about the days around now. Refused with what is wrong and where."""
        if self.file.exists() and not self.file.is_file():
            raise Refused("it is no regular file")
        try:
            with self.file.open("rb") as opened:
                ics = opened.read(LARGEST + 1)
        except OSError as error:
            raise Refused((error.strerror or "cannot be read").lower()) from None
        today = datetime.fromtimestamp(now, UTC).date()
        first, last = today - BEFORE, today + AHEAD[self.kind]
        found: Found[Holiday] | Found[Freeze] | Found[Meeting]
        match self.kind:
            case "holidays":
                found = holidays(ics, first, last, self.zone)
                ahead = len({h.date for h in found.all if h.date >= today.isoformat()})
            case "freezes":
                found = freezes(ics, first, last, self.zone)
                ahead = sum(1 for f in found.all if f.until > now)
            case _:
                found = meetings(ics, first, last, self.zone)
                ahead = sum(1 for m in found.all if m.until > now)
        return Contents(found.all, source_of(self.kind, self.file.name, ahead, found.skipped))


class CalendarSync:
    """Those of every cluster. A kind that is not named here a cluster has not, whatever its book said before."""

    def __init__(
        self,
        calendars: Mapping[str, Sequence[Calendar]],
        books: ScheduleRepository,
        clock: Clock,
        bulkheads: Bulkheads,
        sites: ClusterRegistry,
    ) -> None:
        self._calendars = {name: tuple(calendars.get(name, ())) for name in sorted(sites)}
        self._books = books
        self._clock = clock
        self._bulkheads = bulkheads
        self._sites = sites
        self._read_at = float("-inf")
        self._reading: dict[tuple[str, CalendarKind], asyncio.Task[Contents]] = {}
        self._found: dict[str, tuple[Contents, ...]] = {}
        self._written: dict[str, tuple[Contents, ...]] = {}

    async def sweep(self) -> None:
        """Read what is due to be read, and write what is not in the books yet."""
        if self._clock.now() - self._read_at >= EVERY:
            self._read_at = self._clock.now()
            await self._bulkheads.each("calendar files", self._calendars, self._read_all)
        await self._bulkheads.each(
            "holidays", [n for n in self._sites.ours if n in self._found], self._write
        )

    async def _read_all(self, name: str) -> None:
        self._found[name] = tuple(
            await asyncio.gather(*(self._contents(name, c) for c in self._calendars[name]))
        )

    async def _contents(self, name: str, calendar: Calendar) -> Contents:
        """What the file says; with its trouble, and no entries, when it cannot be read."""
        try:
            return await self._read(name, calendar)
        except Refused as error:
            log.warning("%s of %s: %s: %s", CALLED[calendar.kind], name, calendar.file.name, error)
            return Contents((), Source(calendar.kind, calendar.file.name, trouble=str(error)))

    async def _read(self, name: str, calendar: Calendar) -> Contents:
        key = (name, calendar.kind)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(
                asyncio.to_thread(calendar.read, self._clock.now())
            )
        done, _ = await asyncio.wait({task}, timeout=DEADLINE)
        if not done:
            raise Refused(f"reading it takes longer than {DEADLINE:.0f} s")
        del self._reading[key]
        return task.result()

    async def _write(self, name: str) -> None:
        """Once for each new content, so that two bots with different files do not take turns; and into a book that is new."""
        found = self._found.get(name)
        if found is None:
            return
        text, book = await self._books.read(name)
        if text is None:
            return
        change = _with(found, name, self._clock.now())
        after = change(book)
        known = book.calendars or book.exceptions.holidays
        if after == book or (known and self._written.get(name) == found):
            return
        await self._books.edit(name, change)
        self._written[name] = found


def _with(found: Sequence[Contents], name: str, now: float) -> Callable[[Book], Book]:
    """A book with these contents, and with what is new in them told."""

    def change(book: Book) -> Book:
        before = {s.kind: s for s in book.calendars}
        exceptions, sources = _cleared(book.exceptions, found), list[Source]()
        for contents in found:
            known = before.get(contents.source.kind)
            source = contents.source
            if source.trouble and known is not None:
                source = replace(known, file=source.file, trouble=source.trouble)
            if not source.trouble:
                exceptions = _filled(exceptions, source.kind, contents.entries)
            sources.append(source)
            news = _news(known, source, name)
            if news is not None:
                mark = hashlib.sha256(summary(news).encode()).hexdigest()[:12]
                book = book.telling(announcement(f"calendar/{mark}/{now:.0f}", news))
        return replace(book, exceptions=exceptions, calendars=tuple(sources))

    return change


def _filled(exceptions: Exceptions, kind: CalendarKind, entries: Entries) -> Exceptions:
    match kind:
        case "holidays":
            return replace(exceptions, holidays=tuple(e for e in entries if isinstance(e, Holiday)))
        case "freezes":
            return replace(exceptions, freezes=tuple(e for e in entries if isinstance(e, Freeze)))
        case "meetings":
            return replace(exceptions, meetings=tuple(e for e in entries if isinstance(e, Meeting)))


def _cleared(exceptions: Exceptions, found: Sequence[Contents]) -> Exceptions:
    """Without what calendars said that are no longer named."""
    named = {c.source.kind for c in found}
    for kind in CALLED:
        exceptions = exceptions if kind in named else _filled(exceptions, kind, ())
    return exceptions


def _news(before: Source | None, now: Source, cluster: str) -> Subject | None:
    """What is announced of a file, once: that it could not be read, or that it holds no entry any more."""
    if now.trouble:
        if before is not None and before.trouble == now.trouble:
            return None
        holds, known = CALLED[now.kind], before is not None
        return CalendarUnread(cluster, holds, now.file, now.trouble, read_before=known)
    if now.empty and not (before is not None and before.empty):
        return CalendarEmpty(cluster, now.file, now.found)
    return None
