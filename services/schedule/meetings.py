"""Counts the people in meetings every ten minutes, for the chart of a day and the forecast."""

from services.billing.busy_hours import HourCounts
from services.billing.demand import QuarterCounts
from services.cluster.model import Cluster, Fact, Load
from services.common.clock import Clock
from services.memory.meeting_counts import MeetingCounts
from services.operations.reader import ClusterReader

EVERY = 600.0
STILL_TRUE = 900.0  # seconds for which a count says who is in meetings
NEEDS = frozenset({Fact.DROPLETS, Fact.LOAD})


class MeetingsRecorder:
    """Counts while a cluster is powered on; where LiveKit does not answer, nothing is counted."""

    def __init__(self, reader: ClusterReader, counts: MeetingCounts, clock: Clock) -> None:
        self._reader = reader
        self._counts = counts
        self._clock = clock
        self._next: dict[str, float] = {}
        self._newest: dict[str, tuple[float, int]] = {}

    async def counts(self, name: str) -> HourCounts:
        """Return what was counted, by UTC date and hour."""
        return await self._counts.read(name)

    async def quarters(self, name: str) -> QuarterCounts:
        """Return what was counted, by UTC date and quarter of an hour."""
        return await self._counts.quarters(name)

    def newest(self, name: str) -> int | None:
        """Return how many people were counted last; None where that is too long ago."""
        at, people = self._newest.get(name, (float("-inf"), 0))
        return people if self._clock.now() - at <= STILL_TRUE else None

    async def count(self, name: str, seen: Cluster) -> None:
        """Count, if it is time again. `seen`: the cluster as a look without meetings showed it."""
        now = self._clock.now()
        if now < self._next.get(name, 0.0) or not seen.is_up:
            return
        self._next[name] = now + EVERY
        load = (await self._reader.look(name, NEEDS)).load
        if isinstance(load, Load):
            self._newest[name] = (now, load.people)
            # A minute less: bots do not count at the same second.
            await self._counts.add(name, now, load.people, EVERY - 60.0)
            await self._counts.add_quarter(name, now, load.people, load.rooms)
