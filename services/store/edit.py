"""Compare-and-set: read, change, write if nothing changed meanwhile, else retry, up to a limit."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.errors import BotError, Unreachable
from services.store.port import Commit, Store

# When that many write the same key at once, one of them succeeds with each try.
TRIES = 100
# Tries without a pause; then pauses in seconds, the first and the longest.
AT_ONCE = 5
PAUSE, LONGEST = 0.005, 0.1
T = TypeVar("T")
_jitter = random.SystemRandom()


async def retried(attempt: Callable[[], Awaitable[T | None]], gives_up: BotError) -> T:
    """Return the first result of `attempt` that is not None; raise `gives_up` after `TRIES`.

    None means that others wrote at the same moment, and that nothing was written. Pauses have
    jitter, so that several writers do not stay in step.
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
    """Return the error of an edit that lost to other writers with each try."""
    return Unreachable(f"{what} changes faster than it can be written", sent=False)


async def edit(
    store: Store, key: str, change: Callable[[str | None], str | None], what: str
) -> str | None:
    """Replace the text under a key by `change` of it, and return that; None is no text.

    `change` may be called several times, with what others have written meanwhile; to write nothing
    it returns its argument. `what`: what the text is, for the error.
    """

    async def attempt() -> tuple[str | None] | None:
        (before,) = await store.get(key)
        after = change(before)
        if after == before or await store.commit(Commit(checks={key: before}, puts={key: after})):
            return (after,)
        return None

    (written,) = await retried(attempt, too_fast(what))
    return written
