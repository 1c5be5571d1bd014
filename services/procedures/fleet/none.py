"""Nothing that keeps media nodes is there: parked the vendor's way, or every fixed node was deleted. Only the masters can be operated."""

from collections.abc import Iterator

from services.cluster.model import FleetKind, MediaNode
from services.common.errors import Refused
from services.common.text import duration
from services.procedures.fleet.base import PLAN_FIRST, Fleet, Way
from services.steps import Step

APPLY = f"media nodes come by `terraform apply` in the directory of its state ({PLAN_FIRST})"


class AbsentFleet(Fleet):
    """No media node, and nobody who would make one."""

    name = "nothing that keeps media nodes"
    saves = False
    installs = False

    def let_go(
        self,
        *,
        drain: bool = True,  # noqa: ARG002
        alone: bool = False,  # noqa: ARG002
        limit: float | None = None,  # noqa: ARG002
        gives_up: float = 0.0,  # noqa: ARG002
    ) -> Iterator[Step]:
        return iter(())

    def bring_back(self, number: int) -> Iterator[Step]:  # noqa: ARG002
        return iter(())

    @property
    def before(self) -> int:
        return 0

    def startup_number(self, said: int | None) -> int | None:  # noqa: ARG002
        return 0

    @property
    def most(self) -> int | None:
        return 0

    def check_startup(self, said: int | None) -> None:
        if said:
            raise Refused(
                f"{self.cluster.name} has {self.name}: [[command startup]] starts its masters, and {APPLY}"
            )

    def down_notes(self) -> tuple[str, ...]:
        return (f"No media node was found, so none is drained. {self._known()}",)

    def up_notes(self) -> tuple[str, ...]:
        return (f"Only the masters are started: {APPLY}. {self._known()}",)

    def up_afterwards(self, said: int | None) -> tuple[str, ...]:  # noqa: ARG002
        return (f"nobody can meet yet: {APPLY}",)

    def down_next(self) -> str:
        return f"start the masters again with [[command startup]]; {APPLY}"

    def _known(self) -> str:
        last = self.cluster.last_seen
        if last is None:
            return "What it had before is not known"
        ago = duration(max(0.0, self.cluster.seen_at - last.at))
        return f"When it was last seen with media nodes, {ago} ago, it had {NAMES[last.kind]} with {last.media} of them"

    def scale(self, number: int, *, harsh: bool) -> Way:  # noqa: ARG002
        raise self._none()

    def resize(self, size: str, *, harsh: bool) -> Way:  # noqa: ARG002
        raise self._none()

    def drain(self, chosen: tuple[MediaNode, ...], said: str) -> Way:  # noqa: ARG002
        raise self._none()

    def _none(self) -> Refused:
        return Refused(f"{self.cluster.name} has no media node and {self.name}: {APPLY}")

    def words(self) -> str:
        return "none, and nothing that keeps any."

    def means(self) -> str:
        return APPLY


NAMES = {
    FleetKind.POOL: "an autoscale pool",
    FleetKind.FIXED: "fixed droplets",
    FleetKind.AUTOSCALER: "an autoscaler",
}
