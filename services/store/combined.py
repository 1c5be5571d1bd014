"""Reads that are asked for at the same moment, as one."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

MOST = 512  # keys in one read: a server that reads more at once lets others wait

Texts = list[str | None]
Wanted = tuple[tuple[str, ...], asyncio.Future[Texts]]


class CombinedReads:
    """Asks `read` once for all keys that are wanted in one turn of the event loop.

    Each reader gets what was read after it asked, or the error of the read that its keys were in.
    """

    def __init__(self, read: Callable[[Sequence[str]], Coroutine[None, None, Texts]]) -> None:
        self._read = read
        self._waiting: list[Wanted] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, keys: tuple[str, ...]) -> Texts:
        """Return the texts under these keys, in order."""
        answer: asyncio.Future[Texts] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if len(self._waiting) == 1:
            task = asyncio.create_task(self._next_turn(), name="reading the state")
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        return await answer

    async def _next_turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        parts: list[list[Wanted]] = [[]]
        size = 0
        for keys, answer in waiting:
            if size and size + len(keys) > MOST:
                parts.append([])
                size = 0
            parts[-1].append((keys, answer))
            size += len(keys)
        await asyncio.gather(*map(self._answer, parts))

    async def _answer(self, part: list[Wanted]) -> None:
        wanted = list(dict.fromkeys(key for keys, _ in part for key in keys))
        read = asyncio.ensure_future(self._read(wanted))
        await asyncio.wait({read})
        left = [(keys, answer) for keys, answer in part if not answer.done()]
        if read.cancelled():
            for _, answer in left:
                answer.cancel()
        elif (error := read.exception()) is not None:
            for _, answer in left:
                answer.set_exception(error)
        else:
            found = dict(zip(wanted, read.result(), strict=True))
            for keys, answer in left:
                answer.set_result([found[key] for key in keys])
