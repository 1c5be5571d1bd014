"""Alerts about autoscaled fleets.

Nodes that come while the cluster is down, or a pause that lasts too long. Each is posted once.
"""

from functools import partial

from services.cluster.model import Fact, FleetKind
from services.common.clock import Clock
from services.memory.schedule import Announcement, Book
from services.operations.assembly import Operations
from services.procedures import fleet

EVERY = 300.0  # seconds between two looks at a cluster
SEES = frozenset({Fact.DROPLETS, Fact.POOL})


class AutoscalerAlerts:
    """Looks at autoscaled clusters that no run holds, and puts alerts into their outboxes."""

    def __init__(self, operations: Operations, clock: Clock) -> None:
        self._reader = operations.reader
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self._looked: dict[str, float] = {}

    async def tick(self) -> None:
        """Look at every cluster that is due.

        Each on its own: what goes wrong with one holds up no other.
        """
        now = self._clock.now()
        for name in self._reader.driven:
            if now - self._looked.get(name, 0.0) < EVERY:
                continue
            self._looked[name] = now
            await self._bulkheads.run("lookout", partial(self._look, name), name)

    async def _look(self, name: str) -> None:
        kind = await self._reader.last_kind(name)
        if kind is not FleetKind.AUTOSCALER or await self._reader.open_run(name) is not None:
            return
        cluster = await self._reader.look(name, SEES)
        if cluster.problem:
            return
        books = self._memory.books
        for alarm in fleet.status_of(cluster).alerts():
            _, book = await books.read(name)
            if alarm.name not in book.done:
                message = Announcement(alarm.name, alarm.text)
                await books.edit(name, partial(Book.with_announcement, announcement=message))
