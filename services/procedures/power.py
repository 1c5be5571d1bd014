"""Shutdown and start-up of a whole cluster. If these read differently from the vendor's page, one of the two has a bug."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster import Cluster
from services.errors import Refused
from services.procedures import fleet, reminders
from services.procedures.base import Procedure
from services.spoken import argument, flag
from services.steps import Drain, FrontAnswers, Healthy, PowerOff, PowerOn, Step
from services.steps.base import count


@dataclass(frozen=True)
class Shutdown(Procedure):
    """Let the meetings end, remove the media nodes, shut the four masters down."""

    command: ClassVar[str] = "shutdown"
    verb: ClassVar[str] = "Shut down"
    doing: ClassVar[str] = "Shutting down"
    done: ClassVar[str] = "is down"

    no_drain: bool = flag("end running meetings instead of letting them finish")
    media_only: bool = flag("remove the media nodes and leave the masters on")

    limit: float | None = None  # of a window: seconds that running meetings may take
    gives_up: float = 0.0  # of a window: seconds until an unanswered question leaves the cluster up

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        for step in fleet.let_go(cluster, drain=not self.no_drain, alone=self.media_only):
            yield replace(step, limit=self.limit, gives_up=self.gives_up) if isinstance(step, Drain) else step
        if not self.media_only:
            yield PowerOff(tuple(m.name for m in cluster.masters), kept=fleet.kept(cluster))

    def next_words(self, cluster: Cluster) -> str:
        again = f" ({count(cluster.remembered, 'media node')}, as before)" if cluster.remembered else ""
        return f"start again with `/openvidu startup`{again}"


@dataclass(frozen=True)
class Startup(Procedure):
    """Start the four masters, wait until all are healthy, bring the media nodes back."""

    command: ClassVar[str] = "startup"
    verb: ClassVar[str] = "Start up"
    doing: ClassVar[str] = "Starting up"
    done: ClassVar[str] = "serves"

    media: int | None = argument("media nodes to run; left out: as many as before the last shutdown", default=None)

    def number(self, cluster: Cluster) -> int | None:
        """How many media nodes to end with; None when nobody said and nothing is remembered."""
        if self.media is not None:
            return self.media
        target = cluster.pool.target if cluster.pool is not None else 0
        if cluster.remembered is not None:
            return max(cluster.remembered, target)  # it may have been grown by hand since; a start-up takes nothing away
        return target if target > 0 and not cluster.down else None

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        number = self.number(cluster)
        if number is None:
            raise Refused("how many media nodes? nothing is remembered from an earlier shutdown: say `/openvidu startup N`")
        if number < 1:
            raise Refused("a start-up needs at least 1 media node; to run none, leave it down or use `/openvidu shutdown --media-only`")
        if number > 1000:
            raise Refused(f"DigitalOcean's pools hold at most 1000 droplets; {number} is more")
        if number < len(cluster.members) and any(not n.drained for n in cluster.members):
            have = count(len(cluster.members), "media node")
            raise Refused(f"{cluster.name} has {have} and a start-up takes none away; leave the number out, or say {len(cluster.members)}")
        room = cluster.droplet_limit
        if room is not None and cluster.droplets_in_account is not None:
            after = cluster.droplets_in_account - len(cluster.members) + number
            if after > room and number > len(cluster.members):
                raise Refused(f"{number} media nodes would make {after} droplets; the account's limit is {room}")

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        return (reminders.number(self.media),) if self.media is not None and self.media != cluster.remembered else ()

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        for name in names:
            yield PowerOn(name)
        yield Healthy(names)
        yield FrontAnswers()
        number = self.number(cluster)
        assert number is not None, "check() asks for the number"
        yield from fleet.bring_back(cluster, number)
