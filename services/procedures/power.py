"""Shutdown and start-up of a whole cluster. If these read differently from the vendor's page, one of the two has a bug."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.model import Cluster
from services.common.command import CommandClass, argument, flag
from services.procedures import fleet
from services.procedures.base import Procedure
from services.steps import FrontAnswers, Healthy, PowerOff, PowerOn, Step


@dataclass(frozen=True)
class Shutdown(Procedure):
    """Let the meetings end, remove the media nodes, shut the four masters down."""

    command: ClassVar[str] = "shutdown"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Shut down"
    doing: ClassVar[str] = "Shutting down"
    done: ClassVar[str] = "is down"

    no_drain: bool = flag("end running meetings instead of letting them finish")
    media_only: bool = flag("remove the media nodes and leave the masters on")

    limit: float | None = None  # of a window: seconds that running meetings may take
    gives_up: float = 0.0  # of a window: seconds until an unanswered question leaves the cluster up

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        media = fleet.of(cluster)
        yield from media.let_go(
            drain=not self.no_drain, alone=self.media_only, limit=self.limit, gives_up=self.gives_up
        )
        if not self.media_only:
            yield PowerOff(tuple(m.name for m in cluster.masters), kept=media.kept)

    def ended(self, name: str) -> str:
        return (
            f"{name} has no media nodes, and its masters stay on"
            if self.media_only
            else super().ended(name)
        )

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.of(cluster).down_notes()

    def next_words(self, cluster: Cluster) -> str:
        return fleet.of(cluster).down_next()


@dataclass(frozen=True)
class Startup(Procedure):
    """Start the four masters, wait until all are healthy, bring the media nodes back."""

    command: ClassVar[str] = "startup"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Start up"
    doing: ClassVar[str] = "Starting up"
    done: ClassVar[str] = "serves"

    media: int | None = argument(
        "media nodes to run; left out: as many as before the last shutdown", default=None
    )

    def number(self, cluster: Cluster) -> int | None:
        """How many media nodes to end with; None when nobody said and nothing is remembered."""
        return fleet.of(cluster).startup_number(self.media)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        fleet.of(cluster).check_startup(self.media)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.of(cluster).up_notes()

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.of(cluster).up_afterwards(self.media)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        number = self.number(cluster)
        assert number is not None, "check() asks for the number"
        yield from self._way(cluster, number)

    def onward(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        # What was promised is still to come, however few of them are on just now.
        yield from self._way(cluster, max(self.number(cluster) or 0, fleet.promised(left)))

    def _way(self, cluster: Cluster, number: int) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        for name in names:
            yield PowerOn(name)
        yield Healthy(names)
        yield FrontAnswers()
        yield from fleet.of(cluster).bring_back(number)
