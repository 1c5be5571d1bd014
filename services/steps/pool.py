"""The step that edits the autoscale pool's number, and what people may do when DigitalOcean refuses."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster import Cluster, Droplet, Fact, MediaNode, short
from services.errors import Rejected
from services.steps.base import Choice, Effects, Question, Step, World, count, listed
from services.steps.masters import PowerOff
from services.steps.media import NODE_FACTS, MediaGone, MediaServing, Revive


@dataclass(frozen=True)
class PoolTarget(Step):
    """The pool's number. Edited losslessly: one field, everything else put back as it was read."""

    number: int
    remember: bool = False  # keep the number it had, for the next start-up
    was: int = 0
    harsh: bool = False  # people agreed that nodes go before their meetings have ended

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    breakable: ClassVar[bool] = False

    def title(self) -> str:
        return f"Media pool {self.was} → {self.number}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.pool is not None and cluster.pool.target == self.number

    def after(self, cluster: Cluster) -> Cluster:
        assert cluster.pool is not None, "a plan about a pool has one"
        members = cluster.members
        # Documented: the most recently created members go first.
        gone = {n.id for n in members[self.number :]}
        media = tuple(n for n in cluster.media if n.id not in gone)
        born = tuple(_newcomer(cluster, i) for i in range(self.number - len(members)))
        return replace(cluster, pool=replace(cluster.pool, target=self.number), media=media + born)

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.pool_deadline / 4

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.set_target(self.number, remember=self.remember)

    def forced(self) -> Step:
        return replace(self, harsh=True)

    def objection(self, cluster: Cluster) -> str:
        # Lowering the number shuts members down: on a node that still finishes, that is the second signal.
        hit = [n for n in cluster.members if not n.drained] if self.number < len(cluster.members) else []
        if self.harsh or not hit or self.is_done(cluster):
            return ""
        return f"{listed(short(n.name, cluster.stack) for n in hit)} not drained: the pool would end what still runs there"

    def effects(self, cluster: Cluster) -> Effects:
        members = cluster.members
        hit = [n for n in members[self.number :] if not n.drained]
        cut = bool(hit) and not (cluster.load is not None and cluster.load.rooms == 0 and cluster.load.ingresses == 0)
        special = (f"removes {count(len(hit), 'media node')} without letting meetings finish",) if hit else ()
        return Effects(
            blocks=bool(hit) and self.number == 0,
            cuts_off=cut,
            down=self.number == 0,
            adds=max(0, self.number - max(self.was, len(members))),
            special=special,
        )

    def refused(self, cluster: Cluster, error: Rejected) -> Question | None:
        if self.number != 0 or error.status not in (400, 422):
            return None
        members = cluster.members
        ids = tuple(n.id for n in members)
        names = tuple(m.name for m in cluster.masters)
        price = f"${cluster.media_price:.2f}/h"
        keep = keep_one(ids, names, self.was)
        return Question(
            id="zero-refused",
            text=f'DigitalOcean refused to set the pool to 0 ("{error.message}", {error.status}). The masters are untouched and on; '
            f"{count(len(members), 'drained media node')} take no meetings.",
            choices=(
                Choice("keep", f"Keep 1 media node running ({price}) and shut the masters down", steps=keep),
                Choice("revive", f"Put the {count(len(members), 'node')} back into service", steps=(Revive(ids), MediaServing(self.was))),
                Choice("leave", "Leave it, I will do it by hand", ends="left as it is, for a person to finish by hand"),
            ),
        )

    def waits_for(self, cluster: Cluster) -> str:
        return f"DigitalOcean to show {self.number} (shows {cluster.pool.target if cluster.pool else 'no pool'})"

    def stays(self) -> str:
        return f"the media pool at {self.number}"


def keep_one(ids: tuple[int, ...], masters: tuple[str, ...], was: int) -> tuple[Step, ...]:
    """The way down when 0 is refused: one drained member stays, named, and the masters go off."""
    return (PoolTarget(1, remember=True, was=was), MediaGone(kept=ids, keep=1), PowerOff(masters, kept=ids))


def _newcomer(cluster: Cluster, index: int) -> MediaNode:
    size = cluster.pool.size if cluster.pool else ""
    droplet = Droplet(id=-1 - index, name=f"new-{index + 1}", status="active", size=size, hourly=cluster.media_price)
    return MediaNode(droplet, member_status="active", look=None)
