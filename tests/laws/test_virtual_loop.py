"""The loop in virtual time runs everything in the order of asyncio's own loop."""

import asyncio
import random
import selectors
from typing import Any

import pytest

from tests.support.virtual import VirtualLoop


class _Jump(selectors.PollSelector):
    """A selector that moves the clock of its loop instead of waiting."""

    loop: "_OwnLoop"

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += timeout or 0.0
        return []


class _OwnLoop(asyncio.SelectorEventLoop):
    """Asyncio's own loop, with a clock that jumps."""

    def __init__(self) -> None:
        selector = _Jump()
        super().__init__(selector)
        selector.loop, self.now, self._clock_resolution = self, 0.0, 1e-6

    def time(self) -> float:
        return self.now


async def _story(seed: int) -> list[tuple[float, str]]:
    """Let sixty tasks sleep, wait for one another and give up, often at the same moment."""
    dice, loop, seen = random.Random(seed), asyncio.get_running_loop(), list[tuple[float, str]]()

    async def waits(name: str) -> None:
        for n in range(12):
            await asyncio.sleep(dice.choice((0, 0, 1, 1, 2, 5.5)))
            seen.append((loop.time(), f"{name}.{n}"))
            timers = [loop.call_later(dice.choice((1, 2, 3)), seen.append, (n, name))]
            timers += [loop.call_later(dice.choice((50, 60)), seen.append, (n, name))] * 3
            for timer in timers[dice.randint(0, 1) :]:
                timer.cancel()
            child = asyncio.create_task(asyncio.sleep(dice.choice((0, 1, 2))))
            await asyncio.wait({child}, timeout=dice.choice((0, 1)))
            child.cancel()

    await asyncio.gather(*(waits(str(n)) for n in range(60)))
    return seen


def _on(loop: asyncio.AbstractEventLoop, seed: int) -> list[tuple[float, str]]:
    try:
        return loop.run_until_complete(_story(seed))
    finally:
        loop.close()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_asyncio(seed: int) -> None:
    assert _on(VirtualLoop(), seed) == _on(_OwnLoop(), seed)


def test_an_error_in_a_callback_stops_nothing_else() -> None:
    loop, seen = VirtualLoop(), list[str]()
    loop.set_exception_handler(lambda _, context: seen.append(str(context["exception"])))
    loop.call_later(1, seen.index, "missing")
    loop.call_later(2, seen.append, "later")
    loop.run_until_complete(asyncio.sleep(3))
    loop.close()
    assert seen == ["'missing' is not in list", "later"]
