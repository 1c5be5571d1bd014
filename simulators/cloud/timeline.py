"""Future events, and the cause of each."""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from simulators.clock import WorldClock


@dataclass(frozen=True)
class EventCause:
    """Who began what is happening, with what, and when.

    Everything that follows from it has the same cause.
    """

    who: Literal["operator", "hand", "world"]
    what: str
    at: float


class EventTimeline:
    """Events in the order of their time.

    `moment` is the present inside an event (epoch seconds).
    """

    def __init__(self, clock: WorldClock) -> None:
        self.clock = clock
        self.moment = clock.now()
        self.cause: EventCause | None = None
        """The cause of the present; None outside of a declared cause.

        A direct change of the cloud counts as the operator's.
        """
        self._heap: list[tuple[float, int, Callable[[], None], EventCause | None]] = []
        self._count = 0

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Schedule `event` that many seconds after the present moment, with the present cause."""
        self._count += 1
        heapq.heappush(self._heap, (self.moment + seconds, self._count, event, self.cause))

    @contextmanager
    def caused_by(self, who: Literal["operator", "hand", "world"], what: str) -> Iterator[None]:
        """Give this cause to what happens inside, and to everything that follows from it."""
        before, self.cause = self.cause, EventCause(who, what, self.moment)
        try:
            yield
        finally:
            self.cause = before

    def settle(self) -> None:
        """Run all events that are due by the clock's now."""
        now, before = self.clock.now(), self.cause
        while self._heap and self._heap[0][0] <= now:
            at, _, event, self.cause = heapq.heappop(self._heap)
            self.moment = max(self.moment, at)
            event()
        self.moment, self.cause = max(self.moment, now), before

    def next_event_at(self) -> float | None:
        """Return when the next event is due; None when there is none."""
        return self._heap[0][0] if self._heap else None
