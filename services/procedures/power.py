"""Shutdown and start-up of a whole cluster, in the order of the vendor's page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.model import Cluster
from services.common.command import CommandClass, argument, flag
from services.common.text import count_of
from services.procedures import fleet
from services.procedures.base import Procedure, without_draining
from services.procedures.round_trip import startup
from services.steps import Step


@dataclass(frozen=True)
class Shutdown(Procedure):
    """Drain and remove the media nodes, then shut the masters down."""

    command: ClassVar[str] = "shutdown"
    help_text: ClassVar[str] = "Drain the media nodes, remove them, and power the masters off."
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Shut down"
    doing: ClassVar[str] = "Shutting down"
    done: ClassVar[str] = "is shut down"

    no_drain: bool = flag("end running meetings instead of draining")
    media_only: bool = flag("remove the media nodes and leave the masters on")

    # Of a window: seconds that running meetings may take, and seconds until an unanswered question
    # keeps the cluster up.
    limit: float | None = None
    gives_up: float = 0.0

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        fleet.fleet_of(cluster).check_shutdown(alone=self.media_only)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        media = fleet.fleet_of(cluster)
        yield from media.shutdown_steps(
            drain=not self.no_drain, alone=self.media_only, limit=self.limit, gives_up=self.gives_up
        )
        if not self.media_only:
            yield media.masters_off(drain=not self.no_drain)

    def target_text(self, name: str) -> str:
        target = f"only the media nodes of {name}" if self.media_only else name
        return without_draining(target) if self.no_drain else target

    def outcome_text(self, name: str) -> str:
        if self.media_only:
            return f"{name} has no media nodes; its masters stay powered on"
        return super().outcome_text(name)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.fleet_of(cluster).shutdown_notes()

    def next_step(self, cluster: Cluster) -> str:
        return fleet.fleet_of(cluster).shutdown_next_step()


@dataclass(frozen=True)
class Startup(Procedure):
    """Start the masters, wait until all are healthy, bring the media nodes back."""

    command: ClassVar[str] = "startup"
    help_text: ClassVar[str] = (
        "Power the masters on, verify that all are healthy, and bring the media nodes back."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Start up"
    doing: ClassVar[str] = "Starting up"
    done: ClassVar[str] = "is back in service"

    media: int | None = argument(
        "media nodes to run; by default as many as before the last shutdown", default=None
    )

    def target_text(self, name: str) -> str:
        if self.media is None:
            return name
        return f"{name} with {count_of(self.media, 'media node')}"

    def state_text(self, name: str) -> str:
        return f"{name} is in service"

    def number(self, cluster: Cluster) -> int | None:
        """Return how many media nodes it ends with.

        None when no number was requested and none is recorded.
        """
        return fleet.fleet_of(cluster).startup_number(self.media)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        fleet.fleet_of(cluster).check_startup(self.media)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.fleet_of(cluster).startup_notes()

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        return fleet.fleet_of(cluster).startup_follow_up(self.media)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        number = self.number(cluster)
        assert number is not None, "check() asks for the number"
        yield from startup(cluster, number)

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        # The number that was approved is still to be reached, however few nodes are on now.
        number = max(self.number(cluster) or 0, fleet.promised_nodes(left))
        yield from startup(cluster, number)
