"""Quiet windows: watches whether a cluster is empty, and closes it by its window when it has been.

It looks once a minute, within the hours of a quiet window and on the bot that drives the cluster.
What it saw is not stored: after a restart, and where another bot takes over, the time without a
meeting begins anew. services/windows/quiet.py says what follows from what was seen.
"""

import logging
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from services.cluster.model import Cluster, Fact, Load
from services.common.clock import Clock
from services.common.errors import BotError
from services.memory.announcements import ClosesWhenEmpty, EmptyNow
from services.memory.schedule import Book
from services.operations.reader import ClusterReader
from services.runs.run import Run, State
from services.schedule.evaluation import Evaluation
from services.windows import Due, Exceptions, SchedulePolicy
from services.windows.closures import closures, span_at
from services.windows.quiet import (
    MINUTE,
    WARNING,
    Emptiness,
    QuietState,
    closing_now,
    opened_early,
    quiet_state,
    with_closing,
)
from services.windows.time_zones import nominal

log = logging.getLogger(__name__)
EVERY = 60.0
# Looks come with the ticks: one that is a few seconds early does not wait for the next tick.
EARLY = 5.0
NEEDS = frozenset({Fact.DROPLETS, Fact.LOAD})
HOURS, EMPTY = "/hours", "/empty"
MEETS_AGAIN = "It is no longer empty, so it stays in service."


def empty(seen: Cluster) -> bool:
    """Return whether people could meet there and no one does; unknown is not empty.

    No meeting, person, recording or stream.
    """
    return seen.is_up and isinstance(seen.load, Load) and seen.load.idle


@dataclass
class _Watched:
    """What was seen of a cluster. `final`: the whole look on which a closing rests."""

    emptiness: Emptiness = field(default_factory=Emptiness)
    looked: float = float("-inf")
    is_up: bool = False
    final: Cluster | None = None


class QuietWindows:
    """The quiet windows of all clusters of a desk."""

    def __init__(self, reader: ClusterReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    def forget(self) -> None:
        """Drop everything that was seen."""
        self._watched.clear()

    def is_due(self, name: str, book: Book) -> bool:
        """Return whether a look is due. Outside of quiet hours nothing is watched."""
        now = self._clock.now()
        if not book.quiet or span_at(book.quiet, now, book.exceptions.days_off) is None:
            self._watched.pop(name, None)
            return False
        watched = self._watched.setdefault(name, _Watched())
        return now - watched.looked >= EVERY - EARLY

    async def look(self, name: str, *, counts: bool) -> None:
        """Look whether it is empty. Not `counts`: a run is changing it, or it is kept up anyway.

        A look that fails is no look; after three minutes without one the time begins anew.
        """
        watched = self._watched.setdefault(name, _Watched())
        watched.looked, watched.final = self._clock.now(), None
        try:
            seen = await self._reader.look(name, NEEDS)
        except BotError as error:
            log.info("whether %s is empty: %s", name, error)
            return
        watched.is_up = seen.is_up
        watched.emptiness = watched.emptiness.after(seen.seen_at, empty=counts and empty(seen))

    async def look_at_all(self, name: str) -> Cluster | None:
        """Look at everything before a closing. None where it is not surely empty."""
        watched = self._watched[name]
        seen = await self._reader.look(name)
        watched.emptiness = watched.emptiness.after(seen.seen_at, empty=empty(seen))
        watched.final = seen if empty(seen) else None
        return watched.final

    def state(
        self, name: str, book: Book, exceptions: Exceptions, terms: SchedulePolicy
    ) -> QuietState | None:
        """Return what its quiet window waits for; None outside of its hours."""
        watched = self._watched.get(name, _Watched())
        now = self._clock.now()
        return quiet_state(book.all_windows, now, watched.emptiness, exceptions, terms, book.done)

    def start_again(self, name: str) -> None:
        """Begin the time without a meeting anew: nothing came of a closing."""
        self._watched.pop(name, None)

    # What an evaluation changes in the document

    def opens_early(self, turn: Evaluation, wanted: Due, ended: Sequence[Run], lead: float) -> bool:
        """End this night's closing where something opens the cluster before its end.

        A wake-up, a person, a calendar; or the closing was given up. From then on it has to be
        empty anew.
        """
        quiet = turn.book.quiet_names
        if not _closed_now(turn, quiet) or wanted.state == "no opinion":
            return False
        if wanted.state == "closed" and (turn.holder is not None or not _gave_up(wanted, ended)):
            return False
        windows = opened_early(turn.book.windows, quiet, turn.now, lead)
        if windows == turn.book.windows:
            return False
        turn.book = replace(turn.book, windows=windows)
        self.start_again(turn.name)
        return True

    def announce(self, turn: Evaluation, state: QuietState | None) -> None:
        """Announce quiet hours as they begin, and a closing that is near."""
        near = state is not None and state.at is not None and state.at - turn.now <= WARNING
        if not near:
            self._take_back(turn)
        if state is None or not self._watched.get(turn.name, _Watched()).is_up:
            return  # outside of its hours, or it is off already
        window, span = state.window, state.span
        if not state.why:
            earliest = turn.now + (window.when_empty or 0.0) - state.empty
            hours = ClosesWhenEmpty(
                turn.name,
                window=window.name,
                empty=window.when_empty or 0.0,
                earliest=earliest // MINUTE * MINUTE,
                opens=float(span.open),
            )
            name = f"{window.name}@{nominal(span.first().close_local)}{HOURS}"
            turn.announce(name, hours, until=float(span.open))
        if near and state.at is not None and state.at > turn.now:
            since = state.at - (window.when_empty or 0.0)
            soon = EmptyNow(turn.name, window=window.name, since=since, closes=state.at)
            name = f"{window.name}@{since // MINUTE * MINUTE:.0f}{EMPTY}"
            turn.announce(name, soon, until=state.at, at=state.at)

    @staticmethod
    def _take_back(turn: Evaluation) -> None:
        """Take the buttons off the notice of a closing that does not come."""
        for posted in turn.book.posted:
            message = posted.announcement
            if message.name.endswith(EMPTY) and message.until > turn.now:
                turn.book = turn.book.with_answer_closed(message.name, turn.now, MEETS_AGAIN)

    def closing(
        self, turn: Evaluation, state: QuietState | None, seen: Cluster | None
    ) -> Book | None:
        """Return the document with a closing that begins now; None where none is due.

        It rests on the whole look `seen`, and on no other.
        """
        watched = self._watched.get(turn.name)
        if state is None or not state.closes or watched is None or seen is None:
            return None
        if watched.final is not seen or turn.holder is not None:
            return None
        closing = closing_now(state.span, turn.now)
        return replace(turn.book, windows=with_closing(turn.book.windows, closing))


def _closed_now(turn: Evaluation, quiet: Container[str]) -> bool:
    """Return whether a quiet window has closed it for this moment."""
    closings = tuple(w for w in turn.book.windows if w.name in quiet)
    covering = closures(closings, turn.now, turn.now, turn.book.exceptions.days_off)[0]
    return any(c.close <= turn.now < c.open for c in covering)


def _gave_up(wanted: Due, ended: Sequence[Run]) -> bool:
    """Return whether the closing of this night ended without closing it."""
    edge = wanted.since_edge
    if edge is None or edge.kind != "close":
        return False
    return any(r.edge == edge.name and r.state is not State.DONE for r in ended)
