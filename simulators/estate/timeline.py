"""What is due when."""

import heapq
from collections.abc import Callable

from simulators.clock import Clock


class Timeline:
    """Events in the order of their time; `moment` is the present inside an event (epoch seconds)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.moment = clock.now()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let `event` happen that many seconds from the present moment."""
        self._count += 1
        heapq.heappush(self._heap, (self.moment + seconds, self._count, event))

    def settle(self) -> None:
        """Let everything happen that is due by the clock's now."""
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, _, event = heapq.heappop(self._heap)
            self.moment = max(self.moment, at)
            event()
        self.moment = max(self.moment, now)

    def next_event_at(self) -> float | None:
        """When something happens next, if anything is due at all."""
        return self._heap[0][0] if self._heap else None
