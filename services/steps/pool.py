"""The step that edits the autoscale pool's number, and what people may do when DigitalOcean refuses."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Fact, MediaNode, NodeLook, short
from services.common.errors import Rejected
from services.common.text import count, listed
from services.steps.base import Choice, Effects, Question, Step, World
from services.steps.masters import PowerOff
from services.steps.media_nodes import (
    NODE_FACTS,
    Drain,
    MediaGone,
    MediaServing,
    Revive,
    carrying,
    newcomer,
    pool_says,
    unseen,
)


@dataclass(frozen=True)
class PoolTarget(Step):
    """The pool's number. Edited losslessly: one field, everything else put back as it was read."""

    number: int
    remember: bool = False  # keep the number it had, for the next start-up
    was: int = 0
    harsh: bool = False  # people agreed that nodes go before their meetings have ended
    alone: bool = False  # the masters stay on afterwards
    keeps: int = 0  # with `remember`: how many media nodes the next start-up brings back; 0: as many as there were
    instead_of: tuple[
        int, ...
    ] = ()  # one more only for each of these that cannot serve again yet; `number` is the most

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    edits: ClassVar[tuple[str, ...]] = ("target",)
    breakable: ClassVar[bool] = False

    def title(self) -> str:
        if self.instead_of:
            return (
                f"Add a media node to the pool for each that is still in use, {self.number} at most"
            )
        return f"Media pool {self.was} → {self.number}"

    def _number(self, cluster: Cluster) -> int:
        if not self.instead_of:
            return self.number
        busy = [
            n
            for n in cluster.members
            if n.id in self.instead_of and not n.serving and not n.restartable
        ]
        return min(self.number, self.was + len(busy))

    def is_done(self, cluster: Cluster) -> bool:
        if cluster.pool is None:
            return False
        number = self._number(cluster)
        return cluster.pool.target >= number if self.instead_of else cluster.pool.target == number

    def after(self, cluster: Cluster) -> Cluster:
        assert cluster.pool is not None, "a plan about a pool has one"
        members, number = cluster.members, self._number(cluster)
        if self.instead_of and cluster.pool.target >= number:
            return cluster
        # Documented: the most recently created members go first.
        gone = {n.id for n in members[number:]}
        media = tuple(n for n in cluster.media if n.id not in gone)
        born = tuple(newcomer(cluster, i) for i in range(number - len(members)))
        return replace(cluster, pool=replace(cluster.pool, target=number), media=media + born)

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 1.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.pool_deadline / 4

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        kept = (
            self.was
            if self.instead_of
            else (self.keeps or self.was)
            if self.remember
            else self.number
        )
        await world.set_target(self._number(cluster), remember=kept)

    def forced(self) -> Step:
        return replace(self, harsh=True)

    def passes_on(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if not self.harsh:
            return steps
        return tuple(s.forced() for s in steps if not (isinstance(s, Drain) and s.pool_follows))

    def unproved(self, cluster: Cluster) -> str:
        going = cluster.members[self.number :]
        return (
            "" if self.harsh or self.is_done(cluster) or not going else unseen(cluster, list(going))
        )

    def objection(self, cluster: Cluster) -> str:
        if self.is_done(cluster) or _takes_no_edit(cluster):
            return "" if self.is_done(cluster) else _takes_no_edit(cluster)
        # Lowering the number shuts members down: on a node that still finishes, that is the second signal.
        hit = [n for n in cluster.members[self.number :] if not n.drained]
        if self.harsh or not hit:
            return ""
        return f"{listed(short(n.name, cluster.stack) for n in hit)} not drained: the pool would end what still runs there"

    def effects(self, cluster: Cluster) -> Effects:
        if self.instead_of:
            return Effects()  # no more serve than before: they come in the place of others
        members = cluster.members
        hit = [n for n in members[self.number :] if not n.drained]
        cut = bool(hit) and not cluster.idle
        special = (
            (
                f"removes {count(len(hit), 'media node')} without letting meetings finish{_losing(cluster, hit)}",
            )
            if hit
            else ()
        )
        return Effects(
            blocks=bool(hit) and self.number == 0,
            cuts_off=cut,
            down=self.number == 0,
            adds=max(0, self.number - max(self.was, len(members))),
            special=special,
        )

    def refused(self, cluster: Cluster, error: Rejected) -> Question | None:
        if self.instead_of:
            return self._without(error)
        if self.number != 0 or error.status not in (400, 422):
            return None
        members = cluster.members
        ids = tuple(n.id for n in members)
        drained = len([n for n in members if n.drained])
        choices = (
            Choice(
                "revive",
                f"Put the {count(len(members), 'node')} back into service",
                steps=(Revive(ids), MediaServing(len(members))),
                back="DigitalOcean refused 0 and the nodes were put back into service",
            ),
            Choice(
                "leave",
                "Leave it, I will do it by hand",
                ends="left as it is, for a person to finish by hand",
            ),
        )
        return Question(
            id="zero-refused",
            text=f'DigitalOcean refused to set the pool to 0 ("{error.message}", {error.status}). The masters are untouched and on; '
            f"{count(drained, 'drained media node')} {'takes' if drained == 1 else 'take'} no meetings.",
            choices=(self._keep(cluster), *choices) if members else choices[1:],
        )

    @staticmethod
    def _without(error: Rejected) -> Question:
        """Those that are in use come back one by one then: nothing is worth stopping for."""
        said = f'DigitalOcean refused to add a media node ("{error.message}", {error.status}).'
        said += " Drained ones return as their meetings end."
        without = Choice("without", "Go on without", steps=(), goes_on=True)
        return Question("no-more-nodes", said, (without,), default="without")

    def _keep(self, cluster: Cluster) -> Choice:
        names = () if self.alone else tuple(m.name for m in cluster.masters)
        then = "" if self.alone else " and shut the masters down"
        steps = keep_one(cluster, names, self.was, harsh=self.harsh, keeps=self.keeps)
        price = (
            "its price is unknown"
            if cluster.media_price is None
            else f"${cluster.media_price:.2f}/h"
        )
        return Choice("keep", f"Keep 1 media node running ({price}){then}", steps=steps)

    def waits_for(self, cluster: Cluster) -> str:
        shows = cluster.pool.target if cluster.pool else "no pool"
        return f"DigitalOcean to show {self._number(cluster)} (shows {shows}){pool_says(cluster)}"

    def stays(self) -> str:
        if self.instead_of:
            return "a media node added for each that was still in use"
        return f"the media pool at {self.number}"


@dataclass(frozen=True)
class TemplateSize(Step):
    """The droplet size in the pool's template. Edited losslessly, as the number is; the pool then replaces every member it has."""

    size: str
    was: str = ""
    harsh: bool = False  # people agreed that nodes go before their meetings have ended

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    edits: ClassVar[tuple[str, ...]] = ("template",)
    breakable: ClassVar[bool] = False

    def title(self) -> str:
        return f"Size in the media pool's template {self.was} → {self.size}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.pool is not None and cluster.pool.size == self.size

    def after(self, cluster: Cluster) -> Cluster:
        assert cluster.pool is not None, "a plan about a pool has one"
        size = cluster.size(self.size)
        pool = replace(
            cluster.pool, size=self.size, template=f"{cluster.pool.template} with {self.size}"
        )
        now = replace(cluster, pool=pool, media_price=size.hourly if size else cluster.media_price)
        # Documented: the new ones come at once, and the old ones stay until the pool's cooldown is over.
        born = tuple(newcomer(now, len(cluster.media) + i) for i in range(pool.target))
        return replace(now, media=cluster.media + born)

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 1.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.pool_deadline / 4

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.set_template_size(self.size)

    def forced(self) -> Step:
        return replace(self, harsh=True)

    def unproved(self, cluster: Cluster) -> str:
        return "" if self.harsh or self.is_done(cluster) else unseen(cluster, list(cluster.members))

    def objection(self, cluster: Cluster) -> str:
        if self.is_done(cluster) or _takes_no_edit(cluster):
            return "" if self.is_done(cluster) else _takes_no_edit(cluster)
        hit = [n for n in cluster.members if not n.drained]
        if self.harsh or not hit:
            return ""
        return f"{listed(short(n.name, cluster.stack) for n in hit)} not drained: the pool would end what still runs there"

    def effects(self, cluster: Cluster) -> Effects:
        hit = [n for n in cluster.members if not n.drained]
        cut = bool(hit) and not cluster.idle
        said = f"removes {count(len(hit), 'media node')} without letting meetings finish, about 10 min later{_losing(cluster, hit)}"
        special = (said,) if hit else ()
        return Effects(cuts_off=cut, special=special)

    def waits_for(self, cluster: Cluster) -> str:
        return f"DigitalOcean to show {self.size} (shows {cluster.pool.size if cluster.pool else 'no pool'}){pool_says(cluster)}"

    def stays(self) -> str:
        return f"the media pool's template at {self.size}, so that every new node is of that size"


def _takes_no_edit(cluster: Cluster) -> str:
    """Why the pool takes no edit now, in words; "" when it does."""
    return cluster.pool.state if cluster.pool is not None else ""


def _losing(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """What is lost with them as it is now, or that nobody can tell; "" when nothing runs there."""
    busy = [n for n in nodes if not _seen_empty(n)]
    return f" ({carrying(cluster, busy)} now)" if busy else ""


def _seen_empty(node: MediaNode) -> bool:
    look = node.look
    return (
        isinstance(look, NodeLook) and look.rooms == 0 and look.people == 0 and look.recordings == 0
    )


def keep_one(
    cluster: Cluster, masters: tuple[str, ...], was: int, *, harsh: bool = False, keeps: int = 0
) -> tuple[Step, ...]:
    """The way down when 0 is refused: one drained member stays, named, and these masters go off."""
    ids = tuple(n.id for n in cluster.members)
    # The pool keeps its oldest, and masters only go off with that one drained: even where the others are removed harshly, and where it is
    # a newcomer that still installs itself.
    first: tuple[Step, ...] = (Drain(ids[:1], number=1, pool_follows=False),)
    last: tuple[Step, ...] = (PowerOff(masters, kept=ids),) if masters else ()
    lower = PoolTarget(1, remember=True, was=was, harsh=harsh, keeps=keeps)
    return (*first, lower, MediaGone(kept=ids, keep=1), *last)
