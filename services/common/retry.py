"""Retries of a read that a person waits for: one odd answer must not fail their command."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.clock import Clock
from services.common.errors import Unreachable

# Seconds that people wait before they expect an answer.
PATIENCE = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 4.0
T = TypeVar("T")


async def retry_read(
    clock: Clock,
    look: Callable[[], Awaitable[T]],
    *,
    seconds: float = PATIENCE,
    first: float = FIRST_PAUSE,
    may_pass: Callable[[Unreachable], bool] = lambda _: True,
) -> T:
    """Return the first successful result of `look`, with retries. Only for reads.

    Raises the last Unreachable after `seconds`, when the other side asks for a longer pause, or
    when `may_pass` says that it will not pass soon. Unconfirmed is retried too, though it takes a
    minute to be believed: seen once, it was most likely one odd answer.
    """
    until, pause = clock.now() + seconds, first
    while True:
        try:
            return await look()
        except Unreachable as error:
            wait = max(pause, error.retry_after or 0.0)
            if not may_pass(error) or clock.now() + wait > until:
                raise
        await clock.sleep(wait)
        pause = min(LONGEST_PAUSE, pause * 2)
