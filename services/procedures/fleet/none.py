"""A cluster without a media fleet: only its masters can be operated.

It was shut down in the vendor's way, or every fixed node was deleted.
"""

from collections.abc import Iterator

from typing_extensions import override

from services.cluster.model import FleetKind, MediaNode
from services.common.errors import Refused
from services.common.text import count_of, duration
from services.procedures.fleet.base import PLAN_FIRST, Fleet, FleetChange
from services.steps import Step

APPLY = f"`terraform apply` in the directory of its state creates media nodes ({PLAN_FIRST})"
NAMES = {
    FleetKind.POOL: "an autoscale pool",
    FleetKind.FIXED: "fixed droplets",
    FleetKind.AUTOSCALER: "an autoscaler",
}


class AbsentFleet(Fleet):
    """No media node, and nothing that would create one."""

    name = "no media fleet"
    saves = False
    installs = False

    @override
    def shutdown_steps(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        return iter(())

    @override
    def startup_steps(self, number: int) -> Iterator[Step]:
        return iter(())

    @property
    def number_to_restore(self) -> int:
        return 0

    @override
    def startup_number(self, requested: int | None) -> int | None:
        return 0

    @property
    def max_startup_nodes(self) -> int | None:
        return 0

    def check_startup(self, requested: int | None) -> None:
        if requested:
            raise Refused(
                f"{self.cluster.name} has {self.name}. "
                f"[[command startup]] starts its masters; {APPLY}"
            )

    def shutdown_notes(self) -> tuple[str, ...]:
        return (f"No media node was found, so none is drained. {self._last_seen()}",)

    def startup_notes(self) -> tuple[str, ...]:
        return (f"Only the masters are started; {APPLY}. {self._last_seen()}",)

    @override
    def startup_follow_up(self, requested: int | None) -> tuple[str, ...]:
        return (f"No one can meet yet: {APPLY}",)

    def shutdown_next_step(self) -> str:
        return f"[[command startup]] starts the masters only; {APPLY}"

    def _last_seen(self) -> str:
        last = self.cluster.last_seen
        if last is None:
            return "Its previous media fleet is unknown"
        ago = duration(max(0.0, self.cluster.seen_at - last.at))
        return (
            f"Its last known media fleet, {ago} ago: {NAMES[last.kind]} with "
            f"{count_of(last.media, 'node')}"
        )

    @override
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        raise self._refusal()

    @override
    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        raise self._refusal()

    @override
    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        raise self._refusal()

    @override
    def check_upgrade(self) -> None:
        raise self._refusal()

    def _refusal(self) -> Refused:
        return Refused(f"{self.cluster.name} has no media nodes and {self.name}: {APPLY}")
