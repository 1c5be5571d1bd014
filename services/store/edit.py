"""Compare-and-set with one rule for giving up: read, change, write if nothing has changed meanwhile, else try again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.errors import BotError, Unreachable
from services.store.port import Commit, Store

TRIES = 100  # each time that many write the same key at once, one of them succeeds
AT_ONCE = 5  # of these are made without a pause
PAUSE, LONGEST = 0.005, 0.1  # seconds
T = TypeVar("T")
_jitter = random.SystemRandom()


async def retried(attempt: Callable[[], Awaitable[T | None]], gives_up: BotError) -> T:
    """Return the first result of `attempt` that is not None; after `TRIES` of None raise `gives_up`.

    None means that others wrote at the same moment, and that nothing was written. Pauses are jittered, so that several writers do
    not stay in step.
    """
    for number in range(TRIES):
        if number >= AT_ONCE:
            longest = min(LONGEST, PAUSE * 2 ** (number - AT_ONCE))
            await asyncio.sleep(_jitter.uniform(0.0, longest))
        result = await attempt()
        if result is not None:
            return result
    raise gives_up


def too_fast(what: str) -> Unreachable:
    """The error of an edit that others got ahead of each time."""
    return Unreachable(f"{what} changes faster than it can be written", sent=False)


async def edit(
    store: Store, key: str, change: Callable[[str | None], str | None], what: str
) -> str | None:
    """Write `change` of the text under that key, and return it; None is no text. `what` it is, for the error.

    `change` may be called several times, with what others have written meanwhile; it returns what it was given to write nothing.
    """

    async def attempt() -> tuple[str | None] | None:
        (before,) = await store.get(key)
        after = change(before)
        if after == before or await store.commit(Commit(checks={key: before}, puts={key: after})):
            return (after,)
        return None

    (written,) = await retried(attempt, too_fast(what))
    return written
