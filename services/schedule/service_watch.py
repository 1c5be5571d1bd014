"""Observes every minute whether a cluster is in service, as people outside of it find it."""

from dataclasses import replace

from services.cluster.model import Cluster, Fact
from services.common.clock import Clock
from services.memory.promise_records import IN, OUT, UNKNOWN
from services.memory.promises import PromiseLog
from services.operations.reader import ClusterReader
from services.schedule.meetings import MeetingsRecorder

NEEDS = frozenset({Fact.DROPLETS, Fact.FRONT})
AGED = frozenset({Fact.DROPLETS})


def service_of(cluster: Cluster) -> str:
    """Return whether it is in service, as droplets and the public address show.

    Silence of the public address may be the network in between: then it is unknown.
    """
    if not any(m.active for m in cluster.masters):
        return OUT
    if not any(n.droplet.active for n in cluster.media):
        return OUT
    if not cluster.has_front or cluster.front is True:
        return IN
    return OUT if cluster.front is False else UNKNOWN


class ServiceWatch:
    """Notes what is observed in the promise log."""

    def __init__(
        self, reader: ClusterReader, log: PromiseLog, meetings: MeetingsRecorder, clock: Clock
    ) -> None:
        self._reader = reader
        self._log = log
        self._meetings = meetings
        self._clock = clock

    async def observe(self, name: str, seen: Cluster) -> None:
        """Note the state now. `seen`: the cluster as a look at its droplets showed it."""
        state = service_of(replace(seen, has_front=False))
        if state == IN:
            state = service_of(await self._reader.look(name, NEEDS, aged=AGED))
        at = float(round(self._clock.now()))
        await self._log.observe(name, state, at, self._meetings.newest(name))
