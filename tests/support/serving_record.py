"""Counts the media nodes that take new meetings, at every moment of a scene."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.scene import Scene

EVERY = 5.0  # Virtual seconds: shorter than anything a drain or a start takes.


class Witness:
    """How many nodes were in service: one entry for each change, with its moment."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.seen: list[tuple[float, int]] = []

    def look(self) -> None:
        """Record how many are in service now, if the number has changed."""
        number = len(self._scene.estate.serving("acme"))
        if not self.seen or self.seen[-1][1] != number:
            self.seen.append((self._scene.clock.now(), number))

    def least(self, since: float = 0.0, until: float = float("inf")) -> int:
        """Return the fewest that were in service between these moments."""
        inside = [number for at, number in self.seen if since <= at <= until]
        before = [number for at, number in self.seen if at < since][-1:]
        return min((*before, *inside))

    async def watch(self) -> None:
        while True:
            self.look()
            await self._scene.clock.sleep(EVERY)


@asynccontextmanager
async def witnessed(scene: Scene) -> AsyncIterator[Witness]:
    """Record for as long as this lasts."""
    witness = Witness(scene)
    task = asyncio.create_task(witness.watch(), name="witness")
    try:
        yield witness
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
