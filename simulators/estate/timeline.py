"""What is due when, and because of what."""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from simulators.clock import Clock


@dataclass(frozen=True)
class Cause:
    """Who began what is happening, with what, and when. What comes of it later has the same cause."""

    who: Literal["operator", "hand", "world"]
    what: str
    at: float


class Timeline:
    """Events in the order of their time; `moment` is the present inside an event (epoch seconds)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.moment = clock.now()
        self.cause: Cause | None = None
        """Why the present happens; None where nobody said: whoever touches the estate directly is its operator."""
        self._heap: list[tuple[float, int, Callable[[], None], Cause | None]] = []
        self._count = 0

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let `event` happen that many seconds from the present moment, for the reason that holds now."""
        self._count += 1
        heapq.heappush(self._heap, (self.moment + seconds, self._count, event, self.cause))

    @contextmanager
    def because(self, who: Literal["operator", "hand", "world"], what: str) -> Iterator[None]:
        """What happens inside, and all that comes of it, has this cause."""
        before, self.cause = self.cause, Cause(who, what, self.moment)
        try:
            yield
        finally:
            self.cause = before

    def settle(self) -> None:
        """Let everything happen that is due by the clock's now."""
        now, before = self.clock.now(), self.cause
        while self._heap and self._heap[0][0] <= now:
            at, _, event, self.cause = heapq.heappop(self._heap)
            self.moment = max(self.moment, at)
            event()
        self.moment, self.cause = max(self.moment, now), before

    def next_event_at(self) -> float | None:
        """When something happens next, if anything is due at all."""
        return self._heap[0][0] if self._heap else None
