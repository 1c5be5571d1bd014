"""Calendar files (.ics) in every cluster's schedule: days off, change freezes, meetings.

Read at the start and each hour. A file that cannot be read changes nothing: its earlier entries
stay, and that is announced once. It never prevents a start, and nothing waits for it longer than
its deadline.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.access.clusters import ClusterRegistry
from services.common.bulkheads import AT_ONCE, Bulkheads
from services.common.clock import Clock
from services.common.errors import Refused
from services.memory.announcements import CalendarEmpty, CalendarUnread, Subject, summary
from services.memory.schedule import Book, ScheduleRepository, announcement
from services.windows import Exceptions, Freeze, Holiday, Meeting, holidays
from services.windows.agenda import freezes, meetings
from services.windows.holidays import CalendarEntries
from services.windows.ical import LARGEST
from services.windows.sources import CalendarKind, Source, source_of

log = logging.getLogger(__name__)
EVERY = 3600.0
# Seconds after which nothing waits for a file; reading it goes on in its thread.
DEADLINE = 20.0
BEFORE = timedelta(days=10)  # how long exceptions are kept
AHEAD: dict[CalendarKind, timedelta] = {
    "holidays": timedelta(days=400),  # how far windows look ahead
    "freezes": timedelta(days=400),
    "meetings": timedelta(days=40),
}
CALENDAR_NAMES: dict[CalendarKind, str] = {
    "holidays": "holidays",
    "freezes": "change freezes",
    "meetings": "meetings",
}

Entries = tuple[Holiday, ...] | tuple[Freeze, ...] | tuple[Meeting, ...]


@dataclass(frozen=True)
class Contents:
    """The entries of a file, and the state of the file itself."""

    entries: Entries
    source: Source


@dataclass(frozen=True)
class Calendar:
    """A cluster's file of that kind. `zone`: where a day begins and ends."""

    kind: CalendarKind
    file: Path
    zone: str

    def read(self, now: float) -> Contents:
        """Return its entries for the days around now. Refused with what is wrong and where."""
        if self.file.exists() and not self.file.is_file():
            raise Refused("it is not a regular file")
        try:
            with self.file.open("rb") as opened:
                ics = opened.read(LARGEST + 1)
        except OSError as error:
            raise Refused((error.strerror or "cannot be read").lower()) from None
        today = datetime.fromtimestamp(now, UTC).date()
        first, last = today - BEFORE, today + AHEAD[self.kind]
        read: CalendarEntries[Holiday] | CalendarEntries[Freeze] | CalendarEntries[Meeting]
        match self.kind:
            case "holidays":
                read = holidays(ics, first, last, self.zone)
                ahead = len({h.date for h in read.entries if h.date >= today.isoformat()})
            case "freezes":
                read = freezes(ics, first, last, self.zone)
                ahead = sum(1 for f in read.entries if f.until > now)
            case _:
                read = meetings(ics, first, last, self.zone)
                ahead = sum(1 for m in read.entries if m.until > now)
        return Contents(read.entries, source_of(self.kind, self.file.name, ahead, read.skipped))


class CalendarSync:
    """The calendar files of every cluster.

    A kind without a file has no entries, whatever was read before.
    """

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
        self._contents: dict[str, tuple[Contents, ...]] = {}
        self._written: dict[str, tuple[Contents, ...]] = {}
        # By cluster: the document and the contents that it was found to hold.
        self._holds: dict[str, tuple[str, tuple[Contents, ...]]] = {}

    async def sweep(self) -> None:
        """Read files that are due, and write what is not in the schedule documents yet."""
        if self._clock.now() - self._read_at >= EVERY:
            self._read_at = self._clock.now()
            await self._bulkheads.run_each("calendar files", self._calendars, self._read_all)
        await self._bulkheads.run_each(
            "holidays",
            [n for n in self._sites.driven if n in self._contents],
            self._write,
            together=True,
            at_once=AT_ONCE,
        )

    async def _read_all(self, name: str) -> None:
        files = (self._contents_of(name, calendar) for calendar in self._calendars[name])
        self._contents[name] = tuple(await asyncio.gather(*files))

    async def _contents_of(self, name: str, calendar: Calendar) -> Contents:
        """Return what the file holds; no entries but its trouble, if it cannot be read."""
        try:
            return await self._read(name, calendar)
        except Refused as error:
            log.warning(
                "%s of %s: %s: %s", CALENDAR_NAMES[calendar.kind], name, calendar.file.name, error
            )
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
            raise Refused(f"reading it timed out after {DEADLINE:.0f} s")
        del self._reading[key]
        return task.result()

    async def _write(self, name: str) -> None:
        """Write each new content once.

        Otherwise two bots with different files would overwrite each other in turn.
        """
        contents = self._contents.get(name)
        if contents is None:
            return
        text, book = await self._books.read(name)
        if text is None or self._holds.get(name) == (text, contents):
            return
        change = _with(contents, name, self._clock.now())
        unchanged = change(book) == book
        # A document that is new has neither: it is written again.
        if unchanged:
            self._holds[name] = text, contents
        filled = book.calendars or book.exceptions.holidays
        if unchanged or (filled and self._written.get(name) == contents):
            return
        await self._books.edit(name, change)
        self._written[name] = contents


def _with(files: Sequence[Contents], name: str, now: float) -> Callable[[Book], Book]:
    """Return the change that puts these contents into a document.

    News about the files is announced with it.
    """

    def change(book: Book) -> Book:
        before = {s.kind: s for s in book.calendars}
        exceptions, sources = _cleared(book.exceptions, files), list[Source]()
        for contents in files:
            earlier = before.get(contents.source.kind)
            source = contents.source
            if source.trouble and earlier is not None:
                source = replace(earlier, file=source.file, trouble=source.trouble)
            if not source.trouble:
                exceptions = _filled(exceptions, source.kind, contents.entries)
            sources.append(source)
            news = _news(earlier, source, name)
            if news is not None:
                mark = hashlib.sha256(summary(news).encode()).hexdigest()[:12]
                book = book.with_announcement(announcement(f"calendar/{mark}/{now:.0f}", news))
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


def _cleared(exceptions: Exceptions, files: Sequence[Contents]) -> Exceptions:
    """Return them without the entries of kinds that have no file any more."""
    for kind in CALENDAR_NAMES.keys() - {contents.source.kind for contents in files}:
        exceptions = _filled(exceptions, kind, ())
    return exceptions


def _news(before: Source | None, now: Source, cluster: str) -> Subject | None:
    """Return what is announced of a file.

    Once: that it could not be read, or that it holds no entry any more.
    """
    if now.trouble:
        if before is not None and before.trouble == now.trouble:
            return None
        holds, read_before = CALENDAR_NAMES[now.kind], before is not None
        return CalendarUnread(cluster, holds, now.file, now.trouble, read_before)
    if now.empty and not (before is not None and before.empty):
        return CalendarEmpty(cluster, now.file, now.found)
    return None
