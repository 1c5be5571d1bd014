"""The step that deletes what nothing uses, thing by thing."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.leftovers import Leftover
from services.cluster.model import Cluster, Fact
from services.common.text import count_of, join_words
from services.common.values import replace
from services.steps.base import NODE_FACTS, Effects, Step, StepTiming, WriteOperations, request_each


@dataclass(frozen=True)
class DeleteLeftovers(Step):
    """These droplets, volumes and reserved IPs that nothing uses are deleted permanently."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: 10.0 + t.second_look,
        deadline=lambda t: t.pool_deadline * 3,
        retry_after=30.0,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LEFTOVERS}
    interruptible: ClassVar[bool] = False
    # A single list without them may be incomplete.
    confirm: ClassVar[bool] = True

    # `volume:506f…`, and of each what was shown: kind, name, id, size, creation.
    refs: tuple[str, ...]
    shown: tuple[str, ...]

    def title(self) -> str:
        if len(self.shown) == 1:
            return f"Delete {self.shown[0]}"
        return f"Delete {count_of(len(self.refs), 'unused resource')}"

    def _remaining(self, cluster: Cluster) -> list[Leftover]:
        seen = cluster.leftovers
        things = [seen.find(ref) for ref in self.refs] if seen is not None else []
        return [thing for thing in things if thing is not None]

    def _unread(self, cluster: Cluster) -> str:
        if cluster.leftovers is None:
            return "what is unused was not observed"
        reasons = [cluster.leftovers.why_unread(ref) for ref in self.refs]
        return "; ".join(dict.fromkeys(why for why in reasons if why))

    def is_done(self, cluster: Cluster) -> bool:
        return not self._unread(cluster) and not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        if cluster.leftovers is None:
            return cluster
        gone = {r.partition(":")[2] for r in self.refs if r.startswith("droplet:")}
        return replace(
            cluster,
            leftovers=cluster.leftovers.without(self.refs),
            media=tuple(n for n in cluster.media if str(n.id) not in gone),
        )

    @override
    def missing_evidence(self, cluster: Cluster) -> str:
        return self._unread(cluster)

    def blocker(self, cluster: Cluster) -> str:
        for thing in self._remaining(cluster):
            if why := why_not(cluster, thing):
                return why
            if thing.text not in self.shown:
                return f"{thing.text} is not what was approved"
        return ""

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.delete_leftover(t.ref, t.text) for t in self._remaining(cluster))

    @override
    def effects(self, cluster: Cluster) -> Effects:
        named = join_words(self.shown)
        return Effects(
            irreversible=(f"{named} deleted",), special=(f"deletes {named} permanently",)
        )

    def waits_for(self, cluster: Cluster) -> str:
        names = join_words([t.name for t in self._remaining(cluster)])
        return f"{names} to be deleted" if names else ""

    def residue(self) -> str:
        return f"{join_words(self.shown)} deleted"


def why_not(cluster: Cluster, thing: Leftover) -> str:
    """Return why it must not be deleted now; "" when nothing uses it."""
    if thing.used_by:
        return f"{thing.text} is used by {thing.used_by}"
    if thing.kind != "droplet":
        return ""
    node = next((n for n in cluster.media if str(n.id) == thing.id), None)
    if node is None or node.drained:
        return ""
    return (
        f"{thing.text} is on, and not proved to be empty of meetings. Drain it, or power it off, "
        "before it is deleted"
    )
