# ruff: noqa: ARG002, B027 - the defaults ignore arguments that overriding fleets need
"""What a shutdown and a start-up do with the media nodes, for every kind of fleet."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from services.cluster.model import Cluster
from services.steps import Healthy, PowerOff, Step


class PowerCycle(ABC):
    """The steps, checks and notes by which media nodes go down and come back."""

    # As people call it, such as "an autoscale pool".
    name: str
    # Nodes that are shut down are no longer billed.
    saves = True
    # Nodes that start are new droplets, which install themselves from secrets.env.
    installs = True

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @abstractmethod
    def shutdown_steps(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        """Yield the steps that drain and remove every media node.

        `alone`: the masters stay on. `limit`, `gives_up`: of a window, as in `Drain`.
        """

    def masters_off(self, *, drain: bool = True) -> PowerOff:
        """Return the step that powers the masters off after `shutdown_steps`.

        `drain` False: meetings end with it where they run on a master.
        """
        return PowerOff(tuple(m.name for m in self.cluster.masters), kept=self.allowed_to_stay)

    def masters_healthy(self) -> Healthy:
        """Return the step that waits until all masters are healthy."""
        return Healthy(tuple(m.name for m in self.cluster.masters))

    def drain_first(self, *, limit: float | None = None, gives_up: float = 0.0) -> Iterator[Step]:
        """Yield the drain that has to precede a stop of the masters, where meetings run on them."""
        return iter(())

    def check_shutdown(self, *, alone: bool) -> None:
        """Refuse a shutdown that makes no sense. `alone`: of the media nodes only."""

    def shutdown_floor(self, gives_up: float) -> int:
        """Return how many nodes stay in service while people may still keep the cluster up."""
        if gives_up:
            return self.cluster.min_serving
        return 0

    @property
    def allowed_to_stay(self) -> tuple[int, ...]:
        """The media droplets that may stay while the masters are off."""
        return ()

    @abstractmethod
    def startup_steps(self, number: int) -> Iterator[Step]:
        """Yield the steps that bring that many media nodes into service."""

    @property
    @abstractmethod
    def number_to_restore(self) -> int:
        """How many media nodes to bring back after the masters were off for maintenance."""

    def check_round_trip(self) -> None:
        """Refuse when the media nodes could be removed, but not brought back."""

    @abstractmethod
    def startup_number(self, requested: int | None) -> int | None:
        """Return how many media nodes a start-up ends with.

        None when no number was requested and none is recorded.
        """

    @property
    def max_startup_nodes(self) -> int | None:
        """The largest number that a start-up accepts; 0: it accepts none, None: any."""
        return None

    @abstractmethod
    def check_startup(self, requested: int | None) -> None:
        """Refuse a start-up with a number that makes no sense."""

    def check_window_number(self, number: int) -> None:
        """Refuse when a window cannot open with that number."""

    def window_notes(self) -> tuple[str, ...]:
        """Return what people should know before a window is added."""
        return ()

    def shutdown_notes(self) -> tuple[str, ...]:
        """Return what people should know before a shutdown."""
        return ()

    def startup_notes(self) -> tuple[str, ...]:
        """Return what people should know before a start-up."""
        return ()

    def startup_follow_up(self, requested: int | None) -> tuple[str, ...]:
        """Return what people should do after a start-up."""
        return ()

    @abstractmethod
    def shutdown_next_step(self) -> str:
        """Return how to start again, shown after a shutdown."""

    def with_autoscaler_paused(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield these steps, and around them those that keep nodes from being added."""
        return iter(steps)

    def resume_autoscaler(self) -> Iterator[Step]:
        """Yield the rollback of a pause that this bot made."""
        return iter(())
