"""A look that a person waits for is repeated for as long as people wait in silence: one odd answer is no reason to lose their press."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.clock import Clock
from services.errors import Unconfirmed, Unreachable

PATIENCE = 10.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 4.0
T = TypeVar("T")


async def patiently(clock: Clock, look: Callable[[], Awaitable[T]]) -> T:
    """What the look sees, at the first time it sees anything. Only for what changes nothing.

    Unreachable when that lasts too long, when the other side asks for a longer pause, or what it says has to be seen for minutes.
    """
    until, pause = clock.now() + PATIENCE, FIRST_PAUSE
    while True:
        try:
            return await look()
        except Unconfirmed:
            raise
        except Unreachable as error:
            wait = max(pause, error.again_in or 0.0)
            if clock.now() + wait > until:
                raise
        await clock.sleep(wait)
        pause = min(LONGEST_PAUSE, pause * 2)
