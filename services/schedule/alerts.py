"""Alerts about autoscaled fleets.

Nodes that come while the cluster is down, or a pause that lasts too long. Each is posted once.
"""

from functools import partial

from services.cluster.model import Fact, FleetKind
from services.common.clock import Clock
from services.memory.schedule import Announcement, Book
from services.operations.desk import Desk
from services.procedures import fleet

EVERY = 300.0  # seconds between two looks at a cluster
SEES = frozenset({Fact.DROPLETS, Fact.POOL})


class AutoscalerAlerts:
    """Looks at autoscaled clusters that no run holds, and puts alerts into their outboxes."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._looked: dict[str, float] = {}

    async def tick(self) -> None:
        """Look at every cluster that is due.

        Each on its own: what goes wrong with one holds up no other.
        """
        now = self._clock.now()
        for name in self._desk.sites.ours:
            if now - self._looked.get(name, 0.0) < EVERY:
                continue
            self._looked[name] = now
            await self._desk.bulkheads.keep("lookout", partial(self._look, name), name)

    async def _look(self, name: str) -> None:
        kind = await self._desk.memory.last_kind(name)
        if kind is not FleetKind.AUTOSCALER or await self._desk.open_run(name) is not None:
            return
        cluster = await self._desk.look(name, SEES)
        if cluster.problem:
            return
        books = self._desk.memory.books
        for alarm in fleet.of(cluster).alarms():
            _, book = await books.read(name)
            if alarm.name not in book.done:
                told = Announcement(alarm.name, alarm.text)
                await books.edit(name, partial(Book.telling, announcement=told))
