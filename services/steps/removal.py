"""Steps that verify that media nodes are removed."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact, MediaNode, short_name
from services.common.text import count_of, join_words, plural
from services.steps.base import (
    NODE_FACTS,
    POOL_FACTS,
    Step,
    StepTiming,
    WriteOperations,
    request_each,
)
from services.steps.drain import Drain
from services.steps.media_nodes import NEW_NODE, POOL_COOLDOWN, pool_cooldown
from services.steps.node_text import node_names, pool_problems
from services.steps.planned_nodes import in_service, without


@dataclass(frozen=True)
class MediaGone(Step):
    """No pool member and no droplet with the media tag is left, seen twice.

    Except at most `keep` of the nodes `kept`, seen drained.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: 65.0 + t.second_look,
        deadline=lambda t: t.members_gone_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    is_verification: ClassVar[bool] = True
    confirm: ClassVar[bool] = True

    kept: tuple[int, ...] = ()
    keep: int = 0

    def title(self) -> str:
        if self.keep:
            return f"Verify that only {count_of(self.keep, 'drained media node')} is left"
        return "Verify that media droplets are deleted"

    def is_done(self, cluster: Cluster) -> bool:
        stay = [n for n in cluster.media if n.id in self.kept and n.parked]
        return len(cluster.media) == len(stay) and len(stay) <= self.keep

    def after(self, cluster: Cluster) -> Cluster:
        stay = [n for n in cluster.media if n.id in self.kept][: self.keep]
        return without(cluster, [n for n in cluster.media if n not in stay])

    def waits_for(self, cluster: Cluster) -> str:
        left = [n for n in cluster.media if not (self.keep and n.id in self.kept and n.parked)]
        if not left:
            return "a second check"
        return f"{node_names(cluster, left)} to be deleted{pool_problems(cluster)}"

    def supersedes(self, earlier: Step) -> bool:
        return isinstance(earlier, Drain) and not self.keep

    def residue(self) -> str:
        if self.keep:
            return f"media droplets deleted, except {count_of(self.keep, 'drained one')}"
        return "media droplets deleted"


@dataclass(frozen=True)
class Shrunk(Step):
    """The pool has shrunk, and the drained nodes are removed.

    A drained member that DigitalOcean kept instead of another is put back into service.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=65.0,
        deadline=lambda t: t.members_gone_deadline,
        retry_after=lambda t: t.power_on_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    is_verification: ClassVar[bool] = True

    number: int
    # The nodes that were drained to be removed.
    ids: tuple[int, ...]
    # The nodes that were to stay, with their names.
    stay: tuple[tuple[int, str], ...] = ()
    # The names of the removed nodes, for the title, when they are few.
    who: str = ""

    @property
    def _count(self) -> int:
        """How many are deleted: fewer than were drained, where it is uncertain which ones."""
        count = len(self.ids) + len(self.stay) - self.number
        return count if 0 < count < len(self.ids) else len(self.ids)

    def _removed(self) -> str:
        return self.who or count_of(self._count, "media node")

    def title(self) -> str:
        return f"Verify that {self._removed()} {plural(self._count, 'is', 'are')} deleted"

    def _members(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.member_status is not None]

    def _survivors(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.members if n.id in self.ids]

    def _has_shrunk(self, cluster: Cluster) -> bool:
        return len(self._members(cluster)) <= self.number

    def is_done(self, cluster: Cluster) -> bool:
        return self._has_shrunk(cluster) and all(n.serving for n in self._survivors(cluster))

    @override
    def is_conclusive(self, cluster: Cluster) -> bool:
        # The pool deletes them in any case: an incomplete list only shows it early.
        return True

    def after(self, cluster: Cluster) -> Cluster:
        survivors = self._survivors(cluster) if self._has_shrunk(cluster) else []
        gone = [
            n
            for n in cluster.media
            if (n.id in self.ids and n not in survivors) or n.member_status == "deleting"
        ]
        left = without(cluster, gone)
        return left.with_media({n.id: in_service(n) for n in survivors})

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return self._has_shrunk(cluster) and any(n.restartable for n in self._survivors(cluster))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        idle = [n for n in self._survivors(cluster) if n.restartable and n.droplet.active]
        await request_each(world.restart_service(n.id) for n in idle)

    def _removed_others(self, cluster: Cluster) -> list[str]:
        """Return the nodes that were to stay and were removed."""
        present = {n.id for n in self._members(cluster)}
        return [
            short_name(name, cluster.stack) for droplet, name in self.stay if droplet not in present
        ]

    @override
    def disconnected_others(self, cluster: Cluster) -> bool:
        return bool(self._removed_others(cluster))

    def completion_note(self, cluster: Cluster) -> str:
        removed = self._removed_others(cluster)
        if not removed:
            return ""
        text = (
            f"DigitalOcean removed {join_words(removed)}, "
            f"which {plural(len(removed), 'was', 'were')} to stay: people there were disconnected"
        )
        survivors = self._survivors(cluster)
        if not survivors:
            return text
        names = node_names(cluster, survivors)
        are = plural(len(survivors), "was", "were")
        return f"{text}; {names} {are} drained for removal, and returned to service instead"

    def supersedes(self, earlier: Step) -> bool:
        # A drained node that survived is put back into service.
        return isinstance(earlier, Drain)

    def waits_for(self, cluster: Cluster) -> str:
        if not self._has_shrunk(cluster):
            members = count_of(len(self._members(cluster)), "pool member")
            return f"{members} to become {self.number}{pool_problems(cluster)}"
        survivors = [n for n in self._survivors(cluster) if not n.serving]
        if not survivors:
            return ""
        names = node_names(cluster, survivors)
        return f"{names} to be in service again: DigitalOcean removed others instead"

    def residue(self) -> str:
        # Which nodes the pool deleted is its choice: their number is certain, their names are not.
        return f"{count_of(self._count, 'media node')} deleted"


@dataclass(frozen=True)
class OldGone(Step):
    """No pool member of another size is left.

    The pool deletes the old members itself when its cooldown is over.
    """

    # The cooldown began when the template was changed; the new nodes came up meanwhile.
    timing: ClassVar[StepTiming] = StepTiming(
        expected=POOL_COOLDOWN - NEW_NODE + 75.0,
        deadline=lambda t: t.members_gone_deadline + POOL_COOLDOWN,
        not_before=POOL_COOLDOWN - NEW_NODE,
    )
    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    is_verification: ClassVar[bool] = True

    size: str
    # The members before the change of size.
    ids: tuple[int, ...] = ()

    @override
    def expected_seconds(self, cluster: Cluster) -> float:
        return max(0.0, pool_cooldown(cluster) - NEW_NODE) + 75.0

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [
            n
            for n in cluster.media
            if n.member_status is not None and (n.id in self.ids or n.droplet.size != self.size)
        ]

    def title(self) -> str:
        return "Verify that media nodes of the old size are deleted"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return without(cluster, self._remaining(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        names, minutes = node_names(cluster, remaining), f"{pool_cooldown(cluster) / 60:.0f} min"
        keeps = f"the pool keeps old nodes for about {minutes}"
        return f"{names} to be deleted; {keeps}{pool_problems(cluster)}"

    def residue(self) -> str:
        return "media nodes of the old size deleted"
