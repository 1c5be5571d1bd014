"""A cluster's schedule document.

Its windows, their exceptions, and what has been done and announced about each edge. One document
per cluster, changed by compare-and-set. A run for an edge is opened in the same commit that marks
the edge as done and checks that the document is unchanged: an edit seconds before an edge counts,
and two bots open one run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.common.errors import BadRecord, Superseded
from services.common.serialize import Classes, read, write
from services.memory.announcements import Subject, SubjectFacts, facts_of, subject_of, summary
from services.memory.promises import edge_appends
from services.memory.schedule_audit import edge_events, schedule_audit_records
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import schedule_key
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
REMEMBERED = 300  # names of edges and announcements; about half a year of a daily window


@dataclass(frozen=True)
class Announcement:
    """Something to post once in a cluster's channel. `announcement` makes one of a subject.

    `kind` and `facts` are the stored subject. `text` is what a version posts that does not know the
    kind; announcements of 0.1 have only that, as finished mrkdwn, and `buttons` (label, action,
    value) with it. Times are seconds since the epoch.
    """

    name: str
    text: str
    buttons: tuple[tuple[str, str, str], ...] = ()
    # It can be answered until then. 0: it offers nothing to press.
    until: float = 0.0
    # It mentions the people of the cluster.
    calls: bool = False
    # The moment it is about: a countdown to it is shown, and kept up to date.
    at: float = 0.0
    kind: str = ""
    facts: SubjectFacts = ()
    # Why it can no longer be answered, shown below it.
    ended: str = ""

    @property
    def subject(self) -> Subject | None:
        """What it is about; None where only `text` has it."""
        return subject_of(self.kind, self.facts)


def announcement(
    name: str, subject: Subject, *, until: float = 0.0, calls: bool = False, at: float = 0.0
) -> Announcement:
    """An announcement of a subject; posted once by its name."""
    return Announcement(
        name,
        summary(subject),
        until=until,
        calls=calls,
        at=at,
        kind=type(subject).__name__,
        facts=facts_of(subject),
    )


@dataclass(frozen=True)
class Posted:
    """An announcement with buttons that was posted, until it can no longer be answered."""

    announcement: Announcement
    channel: str
    ts: str


@dataclass(frozen=True)
class Book:
    """The schedule document of a cluster.

    `since`: up to when edges are evaluated. `done`: names of edges and announcements that are dealt
    with. `outbox`: announcements to post; `posted`: those that can still be answered. `answers`:
    who said yes, by the announcement's name. `runs`: by window, the approved run that added it.
    `seeded`: the windows of the settings file were taken. `calendars`: the files behind its
    holidays, freezes and meetings.

    `windows` close by the clock. `quiet` close when it is empty: what they closed this night is
    among `windows`, under their names (services/windows/quiet.py). They are apart, because a
    version that does not know them would close by the clock.
    """

    windows: tuple[Window, ...] = ()
    exceptions: Exceptions = NONE
    since: float = 0.0
    done: tuple[str, ...] = ()
    outbox: tuple[Announcement, ...] = ()
    posted: tuple[Posted, ...] = ()
    answers: tuple[tuple[str, Actor], ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    seeded: bool = False
    calendars: tuple[Source, ...] = ()
    quiet: tuple[Window, ...] = ()

    @property
    def all_windows(self) -> tuple[Window, ...]:
        """All windows, with what quiet ones closed: what decides when it is open."""
        return (*self.windows, *self.quiet)

    @property
    def quiet_names(self) -> frozenset[str]:
        """The names of quiet windows."""
        return frozenset(w.name for w in self.quiet)

    @property
    def named_windows(self) -> tuple[Window, ...]:
        """The windows as people added them."""
        return (*(w for w in self.windows if w.name not in self.quiet_names), *self.quiet)

    def window(self, name: str) -> Window | None:
        """Return the window of that name; None for none."""
        return next((w for w in self.named_windows if w.name == name), None)

    def with_window(self, window: Window, run: str, now: float) -> "Book":
        """Return it with a window added, or replaced by name.

        The window acts from its next edge on.
        """
        old = self.window(window.name)
        new = replace(window, version=1)
        if old is not None:
            new = replace(window, version=old.version + 1)
        runs = tuple(r for r in self.runs if r[0] != window.name)
        book = self._put(new)
        wanted = due(book.all_windows, now, self.exceptions).since_edge
        book = replace(book, runs=(*runs, (window.name, run)), since=now)
        if wanted is None:
            return book
        return book.with_done(wanted.name)

    def _put(self, window: Window) -> "Book":
        """Return it with that window. What a quiet one closed this night stays closed."""
        quiet = tuple(w for w in self.quiet if w.name != window.name)
        if window.when_empty is not None:
            kept = self.windows
            if window.name not in self.quiet_names:
                kept = tuple(w for w in kept if w.name != window.name)
            return replace(self, windows=kept, quiet=(*quiet, window))
        windows = tuple(w for w in self.windows if w.name != window.name)
        return replace(self, windows=(*windows, window), quiet=quiet)

    def with_seed(self, windows: tuple[Window, ...], now: float) -> "Book":
        """Return it with the windows of the settings file.

        Taken once, and only where people have set no windows.
        """
        if self.seeded:
            return self
        had_windows = any(
            name.startswith("removed/") or "-close@" in name or "-open@" in name
            for name in self.done
        )
        if self.all_windows or had_windows:
            return replace(self, seeded=True)  # taken by a version that did not note it
        book = self
        for window in windows:
            book = book._put(window)
        return replace(book, since=now, runs=tuple((w.name, "") for w in windows), seeded=True)

    def without_window(self, name: str) -> "Book":
        """Return it without the window of that name."""
        return replace(
            self,
            windows=tuple(w for w in self.windows if w.name != name),
            quiet=tuple(w for w in self.quiet if w.name != name),
            runs=tuple(r for r in self.runs if r[0] != name),
        )

    def with_done(self, *names: str) -> "Book":
        """Return it with these edges or announcements dealt with."""
        fresh = tuple(n for n in names if n not in self.done)
        return replace(self, done=(*self.done, *fresh)[-REMEMBERED:])

    def pending_announcement(self, name: str) -> Announcement | None:
        """Return the announcement of that name, while it can be answered."""
        return next(
            (a for a in (*self.outbox, *(p.announcement for p in self.posted)) if a.name == name),
            None,
        )

    def with_answer_closed(self, name: str, now: float, why: str = "") -> "Book":
        """Return it with that announcement closed for answers now, and why shown below it."""

        def ended(a: Announcement) -> Announcement:
            if a.name != name:
                return a
            text = f"{a.text}\n{why}" if why else a.text
            return replace(a, until=min(a.until, now), text=text, ended=why or a.ended)

        posted = tuple(replace(p, announcement=ended(p.announcement)) for p in self.posted)
        return replace(self, outbox=tuple(ended(a) for a in self.outbox), posted=posted)

    def with_announcement(self, announcement: Announcement) -> "Book":
        """Return it with one more announcement in the outbox; once by its name."""
        if announcement.name in self.done:
            return self
        return replace(self.with_done(announcement.name), outbox=(*self.outbox, announcement))


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
    """Return the document in a stored text."""
    if text is None:
        return EMPTY
    document = read(text, CLASSES, "the schedule")
    if not isinstance(document, Book):
        raise BadRecord("the schedule cannot be read: it is damaged")
    return document


def write_book(book: Book, over: str | None = None) -> str:
    """Return the text of a document; equal documents give equal text.

    `over`: the replaced text, whose unknown fields it keeps.
    """
    return write(book, CLASSES, over)


class ScheduleRepository:
    """The schedule documents of all clusters. `seeds`: windows of the settings file, by cluster."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain
        self.seeds: Mapping[str, tuple[Window, ...]] = {}
        self.clock: Callable[[], float] = lambda: 0.0

    async def read(self, cluster: str) -> tuple[str | None, Book]:
        """Return the stored text, to check against, and the document with the settings' windows."""
        (text,) = await self._store.get(schedule_key(cluster))
        try:
            return text, self._with_seed(cluster, read_book(text))
        except BadRecord as error:
            raise BadRecord(f"{error}: {cluster}") from error

    def _with_seed(self, cluster: str, book: Book) -> Book:
        if cluster not in self.seeds:
            return book
        return book.with_seed(self.seeds[cluster], self.clock())

    async def put(self, cluster: str, text: str | None, book: Book) -> bool:
        """Replace that text. Returns False on a concurrent write."""
        return await self._write(cluster, text, book)

    async def _write(
        self,
        cluster: str,
        text: str | None,
        book: Book,
        by: Actor | None = None,
        fence: Fence = NO_FENCE,
    ) -> bool:
        """Write it with its audit entries, in one commit."""
        key = schedule_key(cluster)
        before = read_book(text)
        commit = Commit(
            checks={key: text, **fence},
            puts={key: write_book(book, text)},
            appends=edge_appends(cluster, edge_events(before, book), self._chain.now()),
        )
        return await self._chain.commit(commit, cluster, *schedule_audit_records(before, book, by))

    async def edit(
        self,
        cluster: str,
        change: Callable[[Book], Book],
        fence: Fence = NO_FENCE,
        by: Actor | None = None,
    ) -> Book:
        """Change it; repeated on a concurrent write.

        `fence`: what must still be stored elsewhere, such as a lease; Superseded if it is not.
        `by`: the person who decided it, if one did.
        """

        async def attempt() -> Book | None:
            text, book = await self.read(cluster)
            if book != read_book(text):
                # The settings' windows: no decision of the person who changes the schedule now.
                await self._write(cluster, text, book)
                return None
            after = change(book)
            if after == book and text is not None:
                return book
            if await self._write(cluster, text, after, by, fence):
                return after
            if fence and await self._store.get(*fence) != list(fence.values()):
                raise Superseded(f"the schedule of {cluster} is now changed by another bot process")
            return None

        return await retried(attempt, too_fast(f"the schedule of {cluster}"))

    async def seed(self, cluster: str) -> None:
        """Take the windows of the settings file, unless that was done.

        Afterwards only the document counts.
        """
        if cluster in self.seeds:
            await self.edit(cluster, lambda b: b)
