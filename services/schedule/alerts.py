"""Keeps an eye on clusters whose media nodes come by themselves: what comes while nobody should, or stays paused too long, is told once."""

from functools import partial

from services.cluster.model import Fact, FleetKind
from services.common.clock import Clock
from services.memory.schedule import Announcement
from services.operations.assembly import Operations
from services.procedures import fleet

EVERY = 300.0
SEES = frozenset({Fact.DROPLETS, Fact.POOL})


class AutoscalerAlerts:
    """Looks every few minutes, where nothing is being done anyway. What is told stands in the cluster's outbox."""

    def __init__(self, operations: Operations, clock: Clock) -> None:
        self._reader = operations.reader
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self._looked: dict[str, float] = {}

    async def tick(self) -> None:
        """One round. Each cluster on its own: what goes wrong with one holds up no other."""
        now = self._clock.now()
        for name in self._reader.ours:
            if now - self._looked.get(name, 0.0) < EVERY:
                continue
            self._looked[name] = now
            await self._bulkheads.keep("lookout", partial(self._look, name), name)

    async def _look(self, name: str) -> None:
        if (
            await self._reader.last_kind(name) is not FleetKind.AUTOSCALER
            or await self._reader.open_run(name) is not None
        ):
            return
        cluster = await self._reader.look(name, SEES)
        if cluster.problem:
            return
        books = self._memory.books
        for alarm in fleet.status_of(cluster).alarms():
            _, book = await books.read(name)
            if alarm.name not in book.done:
                announcement = Announcement(alarm.name, alarm.text)
                await books.edit(name, lambda b, a=announcement: b.telling(a))  # type: ignore[misc]
