"""The step that keeps a standing permission to scale by the forecast."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact
from services.cluster.scaling import permission_text, read_permission
from services.common.text import count_of
from services.common.values import replace
from services.steps.base import Effects, Step, StepTiming, WriteOperations


@dataclass(frozen=True)
class SaveScaling(Step):
    """The standing permission to scale by the forecast is kept."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=1.0, deadline=lambda t: t.pool_deadline, retry_after=lambda t: t.look
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})

    words: str
    # Since when an earlier one counts that this one replaces; 0: there was none.
    was: float = 0.0

    def title(self) -> str:
        allowed = read_permission(self.words)
        return f"Save the permission to scale between {allowed.least} and {allowed.most} nodes"

    def is_done(self, cluster: Cluster) -> bool:
        there = cluster.scaling
        if there is None or there.since <= self.was:
            return False
        return permission_text(there) == self.words

    def after(self, cluster: Cluster) -> Cluster:
        since = max(cluster.seen_at, self.was + 1)
        return replace(cluster, scaling=replace(read_permission(self.words), since=since))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.save_scaling(self.words)

    def effects(self, cluster: Cluster) -> Effects:
        allowed = read_permission(self.words)
        until = datetime.fromtimestamp(cluster.seen_at + allowed.days * 86400.0, UTC)
        special = (
            f"scales {cluster.name} by the forecast between {allowed.least} and {allowed.most} "
            f"media nodes until {until:%Y-%m-%d}, without further approval: at most "
            f"{count_of(allowed.changes, 'change')} a day, and {allowed.dollars} a day for nodes "
            f"above {allowed.least}",
        )
        return Effects(standing=True, opens=allowed.most, special=special)

    def residue(self) -> str:
        return "permission to scale by the forecast saved"
