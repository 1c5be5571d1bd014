"""Slack's rate limits: tiers, per method and minute."""

import math
from collections import deque
from collections.abc import Callable

PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
POST_BURST = 5
POSTS_PER_MINUTE = 300


class Limits:
    """Sliding minutes per method, and about one message a second per channel with a small burst."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._calls: dict[str, deque[float]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_for_call(self, method: str, allowed: int) -> int:
        """Return the seconds until this method may be called again; 0 counts the call."""
        now = self._steady()
        calls = self._calls.setdefault(method, deque())
        while calls and calls[0] <= now - 60:
            calls.popleft()
        if len(calls) >= allowed:
            return max(1, math.ceil(calls[0] + 60 - now))
        calls.append(now)
        return 0

    def wait_for_post(self, channel: str) -> int:
        """Return the seconds until another message may go to this channel; 0 counts the message."""
        now = self._steady()
        left, seen = self._buckets.get(channel, (float(POST_BURST), now))
        left = min(float(POST_BURST), left + (now - seen))
        if left < 1:
            self._buckets[channel] = (left, now)
            return 1
        self._buckets[channel] = (left - 1, now)
        return 0
