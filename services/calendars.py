"""Holidays of a calendar file (.ics) in every cluster's book of hours: read at the start, and again each hour.

A file that cannot be read any more changes nothing: the holidays that were known stay, and people are told once.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.books import Announcement, Book, Books
from services.bulkheads import Bulkheads
from services.clock import Clock
from services.errors import Refused
from services.sites import Sites
from services.windows import Holiday, holidays
from services.windows.holidays import LARGEST

log = logging.getLogger(__name__)
EVERY = 3600.0
BEFORE, AHEAD = timedelta(days=10), timedelta(days=400)  # as far as exceptions are remembered, and windows look


@dataclass(frozen=True)
class Calendar:
    """Where a cluster's holidays stand, and by whose clocks a day is a day."""

    file: Path
    zone: str

    def read(self, now: float) -> tuple[Holiday, ...]:
        """What it says about the days around now. Refused with what is wrong and where."""
        try:
            with self.file.open("rb") as opened:
                ics = opened.read(LARGEST + 1)
        except OSError as error:
            raise Refused(f"{self.file.name}: {(error.strerror or 'cannot be read').lower()}") from None
        today = datetime.fromtimestamp(now, UTC).date()
        try:
            return holidays(ics, today - BEFORE, today + AHEAD, self.zone)
        except Refused as error:
            raise Refused(f"{self.file.name}: {error}") from None


class Calendars:
    """Those of every cluster. One that is not named here has none, whatever its book said before."""

    def __init__(
        self, calendars: Mapping[str, Calendar], books: Books, clock: Clock, bulkheads: Bulkheads, sites: Sites
    ) -> None:
        self._calendars = calendars
        self._books = books
        self._clock = clock
        self._bulkheads = bulkheads
        self._sites = sites
        self._read_at = float("-inf")
        self._found: dict[str, tuple[Holiday, ...]] = dict.fromkeys(sites, ())
        self._written: dict[str, tuple[Holiday, ...]] = {}

    async def sweep(self) -> None:
        """Read what is due to be read, and write what is not in the books yet."""
        if self._clock.now() - self._read_at >= EVERY:
            self._read_at = self._clock.now()
            await self._bulkheads.each("calendar files", self._calendars, self._read)
        await self._bulkheads.each("holidays", [n for n in self._sites.ours if n in self._found], self._write)

    async def _read(self, name: str) -> None:
        try:
            self._found[name] = await asyncio.to_thread(self._calendars[name].read, self._clock.now())
        except Refused as error:
            log.warning("holidays of %s: %s", name, error)
            if name not in self._written:
                self._found.pop(name, None)  # read well at an earlier start: what the book says stands
            await self._tell(name, str(error))

    async def _tell(self, name: str, why: str) -> None:
        key = f"holidays/{hashlib.sha256(why.encode()).hexdigest()[:12]}"
        words = f"*The holidays of {name} could not be read again* · {why}. Those known before stay; the file is read again each hour."
        text, book = await self._books.read(name)
        if text is not None and key not in book.done:
            await self._books.edit(name, lambda b: b.telling(Announcement(key, words)))

    async def _write(self, name: str) -> None:
        """Once for each new content, so that two bots with different files do not take turns; and into a book that is new."""
        found = self._found.get(name)
        if found is None:
            return
        text, book = await self._books.read(name)
        known = book.exceptions.holidays
        if text is None or known == found or (known and self._written.get(name) == found):
            return
        await self._books.edit(name, lambda b: _with_holidays(b, found))
        self._written[name] = found


def _with_holidays(book: Book, found: tuple[Holiday, ...]) -> Book:
    return replace(book, exceptions=replace(book.exceptions, holidays=found))
