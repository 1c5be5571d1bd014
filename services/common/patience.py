"""A look that a person waits for is repeated for as long as people wait in silence: one odd answer is no reason to lose their press."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.clock import Clock
from services.common.errors import Unreachable

PATIENCE = 10.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 4.0
T = TypeVar("T")


async def patiently(
    clock: Clock,
    look: Callable[[], Awaitable[T]],
    *,
    seconds: float = PATIENCE,
    first: float = FIRST_PAUSE,
    may_pass: Callable[[Unreachable], bool] = lambda _: True,
) -> T:
    """What the look sees, at the first time it sees anything. Only for what changes nothing.

    Unreachable when that lasts too long, when the other side asks for a longer pause, or when it is of a kind that does not pass soon.
    What has to be seen for a minute to be believed is repeated too: seen once, it was most likely one odd answer.
    """
    until, pause = clock.now() + seconds, first
    while True:
        try:
            return await look()
        except Unreachable as error:
            wait = max(pause, error.again_in or 0.0)
            if not may_pass(error) or clock.now() + wait > until:
                raise
        await clock.sleep(wait)
        pause = min(LONGEST_PAUSE, pause * 2)
