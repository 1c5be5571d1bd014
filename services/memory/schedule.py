"""A cluster's book of hours: its windows, what people put in their way, and what has been done and said about each edge.

One document per cluster, changed by compare-and-set. A run for an edge is opened in the same commit that writes the edge down as done
and that checks the book unchanged: an edit seconds before an edge counts, and two bots open one run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from services.access.policy import Actor
from services.audit.chain import Chain
from services.common.errors import BadRecord, Superseded
from services.common.serialize import Classes, read, write
from services.memory.schedule_audit import book_deeds
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import book_key
from services.windows import (
    NONE,
    Exceptions,
    Freeze,
    Hold,
    Holiday,
    KeepUp,
    Manual,
    Meeting,
    Window,
    due,
)
from services.windows.sources import Source

Fence = Mapping[str, str]
NO_FENCE: Fence = MappingProxyType({})
REMEMBERED = 300  # names of edges and notices; about half a year of a daily window


@dataclass(frozen=True)
class Announcement:
    """Something to tell a cluster's people once. `buttons` (label, action, value) are of use until `until` (epoch seconds)."""

    name: str
    text: str
    buttons: tuple[tuple[str, str, str], ...] = ()
    until: float = 0.0
    calls: bool = False  # the people of the cluster are mentioned
    at: float = 0.0  # the moment that it is about: how far away that is stands behind its first words, and is kept up to date


@dataclass(frozen=True)
class Posted:
    """An announcement with buttons that stands in a channel, until its buttons are of no use any more."""

    announcement: Announcement
    channel: str
    ts: str


@dataclass(frozen=True)
class Book:
    """`since`: up to when edges have been looked at. `runs`: by window, the approved run that added it."""

    windows: tuple[Window, ...] = ()
    exceptions: Exceptions = NONE
    since: float = 0.0
    done: tuple[str, ...] = ()
    outbox: tuple[Announcement, ...] = ()
    posted: tuple[Posted, ...] = ()
    answers: tuple[
        tuple[str, Actor], ...
    ] = ()  # to questions, by the announcement's name: who said yes
    runs: tuple[tuple[str, str], ...] = ()
    seeded: bool = False  # the windows of the settings file were taken
    calendars: tuple[
        Source, ...
    ] = ()  # the files behind what its exceptions say of holidays, freezes and meetings

    def window(self, name: str) -> Window | None:
        """The window of that name."""
        return next((w for w in self.windows if w.name == name), None)

    def with_window(self, window: Window, run: str, now: float) -> "Book":
        """With a new window, or another one in the place of its namesake. What it would already want is left to its next edge."""
        old = self.window(window.name)
        new = replace(window, version=old.version + 1 if old else 1)
        runs = tuple(r for r in self.runs if r[0] != window.name)
        windows = (*(w for w in self.windows if w.name != window.name), new)
        wanted = due(windows, now, self.exceptions).since_edge
        book = replace(self, windows=windows, runs=(*runs, (window.name, run)), since=now)
        return book.finished(wanted.name) if wanted is not None else book

    def with_seed(self, windows: tuple[Window, ...], now: float) -> "Book":
        """With the windows of the settings file, taken once: as it is where they were taken, or people have windows of their own."""
        if self.seeded:
            return self
        if self.windows or any(
            n.startswith("removed/") or "-close@" in n or "-open@" in n for n in self.done
        ):
            return replace(self, seeded=True)  # a version that did not note it took them
        return replace(
            self, windows=windows, since=now, runs=tuple((w.name, "") for w in windows), seeded=True
        )

    def without_window(self, name: str) -> "Book":
        """Without the window of that name."""
        return replace(
            self,
            windows=tuple(w for w in self.windows if w.name != name),
            runs=tuple(r for r in self.runs if r[0] != name),
        )

    def finished(self, *names: str) -> "Book":
        """With these edges or notices dealt with."""
        fresh = tuple(n for n in names if n not in self.done)
        return replace(self, done=(*self.done, *fresh)[-REMEMBERED:])

    def told(self, name: str) -> Announcement | None:
        """The announcement of that name, while its buttons are of use."""
        return next(
            (a for a in (*self.outbox, *(p.announcement for p in self.posted)) if a.name == name),
            None,
        )

    def over(self, name: str, now: float, why: str = "") -> "Book":
        """With the buttons of that announcement taken away now, and why said below it."""

        def ended(a: Announcement) -> Announcement:
            return (
                replace(a, until=min(a.until, now), text=f"{a.text}\n{why}" if why else a.text)
                if a.name == name
                else a
            )

        posted = tuple(replace(p, announcement=ended(p.announcement)) for p in self.posted)
        return replace(self, outbox=tuple(ended(a) for a in self.outbox), posted=posted)

    def telling(self, announcement: Announcement) -> "Book":
        """With one more thing to tell; told once by its name."""
        if announcement.name in self.done:
            return self
        return replace(self.finished(announcement.name), outbox=(*self.outbox, announcement))


_OURS = (
    Book,
    Window,
    Exceptions,
    Holiday,
    Freeze,
    Meeting,
    Source,
    KeepUp,
    Hold,
    Manual,
    Announcement,
    Posted,
    Actor,
)
CLASSES: Classes = {k.__name__: k for k in _OURS}
EMPTY = Book()
ANSWERS = 20


@lru_cache(maxsize=2048)  # the same text is read at every tick
def read_book(text: str | None) -> Book:
    """The book in stored text."""
    if text is None:
        return EMPTY
    found = read(text, CLASSES, "the book of hours")
    if not isinstance(found, Book):
        raise BadRecord("the book of hours cannot be read: it is damaged")
    return found


def write_book(book: Book, over: str | None = None) -> str:
    """The text of a book; equal books give equal text. `over`: the text that it takes the place of, whose unknown fields it keeps."""
    return write(book, CLASSES, over)


class ScheduleRepository:
    """The books of all clusters."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain
        self.seeds: Mapping[
            str, tuple[Window, ...]
        ] = {}  # windows of the settings file, by cluster
        self.clock: Callable[[], float] = lambda: 0.0

    async def read(self, cluster: str) -> tuple[str | None, Book]:
        """The stored text, to check against, and what it says: with the windows of the settings file from the first second on."""
        (text,) = await self._store.get(book_key(cluster))
        try:
            return text, self._with_seed(cluster, read_book(text))
        except BadRecord as error:
            raise BadRecord(f"{error}: {cluster}") from error

    def _with_seed(self, cluster: str, book: Book) -> Book:
        return book.with_seed(self.seeds[cluster], self.clock()) if cluster in self.seeds else book

    async def put(self, cluster: str, text: str | None, book: Book) -> bool:
        """Write it in the place of that text. False: somebody else was first."""
        return await self._write(cluster, text, book)

    async def _write(
        self,
        cluster: str,
        text: str | None,
        book: Book,
        by: Actor | None = None,
        fence: Fence = NO_FENCE,
    ) -> bool:
        """In one act with what the audit is told of it."""
        key = book_key(cluster)
        commit = Commit(checks={key: text, **fence}, puts={key: write_book(book, text)})
        return await self._chain.commit(commit, cluster, *book_deeds(read_book(text), book, by))

    async def edit(
        self,
        cluster: str,
        change: Callable[[Book], Book],
        fence: Fence = NO_FENCE,
        by: Actor | None = None,
    ) -> Book:
        """Change it, whoever else is at it too. `fence`: what must still stand elsewhere, such as a lease; Superseded when it does not.

        `by`: whose decision it is, if it is somebody's.
        """

        async def attempt() -> Book | None:
            text, book = await self.read(cluster)
            if book != read_book(text):
                # The settings' windows: no decision of whoever changes the schedule now.
                await self._write(cluster, text, book)
                return None
            after = change(book)
            if after == book and text is not None:
                return book
            if await self._write(cluster, text, after, by, fence):
                return after
            if fence and await self._store.get(*fence) != list(fence.values()):
                raise Superseded(f"the hours of {cluster} are somebody else's to change by now")
            return None

        return await retried(attempt, too_fast(f"the schedule of {cluster}"))

    async def seed(self, cluster: str) -> None:
        """Take the windows of the settings file, unless that was done; afterwards the book alone counts."""
        if cluster in self.seeds:
            await self.edit(cluster, lambda b: b)
