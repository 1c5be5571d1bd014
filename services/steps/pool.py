"""Steps that edit the autoscale pool, and the choices when DigitalOcean refuses."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact, MediaNode
from services.common.errors import Rejected
from services.common.text import count_of, plural
from services.common.values import replace
from services.steps.base import (
    NODE_FACTS,
    Choice,
    Effects,
    Question,
    Step,
    StepTiming,
    WriteOperations,
)
from services.steps.drain import Drain
from services.steps.masters import PowerOff
from services.steps.media_nodes import MediaServing, Revive
from services.steps.node_text import load_text, node_names, pool_problems, unseen_nodes
from services.steps.planned_nodes import new_node
from services.steps.removal import MediaGone
from services.steps.waves import has_no_load

POOL_TIMING = StepTiming(
    expected=1.0,
    deadline=lambda t: t.pool_deadline,
    retry_after=lambda t: t.pool_deadline / 4,
)


@dataclass(frozen=True)
class PoolTarget(Step):
    """The pool has this target number. The edit changes one field and keeps all others."""

    timing: ClassVar[StepTiming] = POOL_TIMING
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    changed_facts: ClassVar[tuple[str, ...]] = ("target",)
    interruptible: ClassVar[bool] = False

    number: int
    # Record the previous number for the next start-up.
    remember: bool = False
    was: int = 0
    # People approved removing nodes before their meetings have ended.
    harsh: bool = False
    # The masters stay on afterwards.
    alone: bool = False
    # With `remember`: media nodes that the next start-up brings back; 0: the previous number.
    keeps: int = 0
    # One more only for each of these that is not ready to serve again; `number` is the maximum.
    instead_of: tuple[int, ...] = ()

    def title(self) -> str:
        if self.instead_of:
            return (
                f"Add a media node to the pool for each still in use (at most {self.number} in all)"
            )
        return f"Set media pool to {self.number}"

    def _number(self, cluster: Cluster) -> int:
        if not self.instead_of:
            return self.number
        replaced = [n for n in cluster.members if n.id in self.instead_of]
        busy = [n for n in replaced if not n.serving and not n.restartable]
        return min(self.number, self.was + len(busy))

    def is_done(self, cluster: Cluster) -> bool:
        if cluster.pool is None:
            return False
        number = self._number(cluster)
        if self.instead_of:
            return cluster.pool.target >= number
        return cluster.pool.target == number

    def after(self, cluster: Cluster) -> Cluster:
        assert cluster.pool is not None, "a plan about a pool has one"
        members, number = cluster.members, self._number(cluster)
        if self.instead_of and cluster.pool.target >= number:
            return cluster
        # Documented: the pool removes the most recently created members first.
        removed = {n.id for n in members[number:]}
        media = tuple(n for n in cluster.media if n.id not in removed)
        new = tuple(new_node(cluster, i) for i in range(number - len(members)))
        return replace(cluster, pool=replace(cluster.pool, target=number), media=media + new)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.set_pool_target(self._number(cluster), remember=self._remembered())

    def _remembered(self) -> int:
        if self.instead_of:
            return self.was
        if self.remember:
            return self.keeps or self.was
        return self.number

    def without_protection(self) -> Step:
        return replace(self, harsh=True)

    def reroute(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if not self.harsh:
            return steps
        return tuple(
            s.without_protection() for s in steps if not (isinstance(s, Drain) and s.pool_follows)
        )

    def missing_evidence(self, cluster: Cluster) -> str:
        removed = cluster.members[self.number :]
        if self.harsh or self.is_done(cluster) or not removed:
            return ""
        return unseen_nodes(cluster, list(removed))

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        # A lower number shuts members down: on a draining node, that is the second signal.
        return _not_editable(cluster) or _not_drained(
            cluster, cluster.members[self.number :], harsh=self.harsh
        )

    def effects(self, cluster: Cluster) -> Effects:
        if self.instead_of:
            # They replace other nodes: no more are in service than before.
            return Effects()
        members = cluster.members
        hit = [n for n in members[self.number :] if not n.drained]
        special: tuple[str, ...] = ()
        if hit:
            nodes = count_of(len(hit), "media node")
            special = (f"removes {nodes} without draining{_losing(cluster, hit)}",)
        return Effects(
            blocks=bool(hit) and self.number == 0,
            cuts_off=bool(hit) and not cluster.idle,
            down=self.number == 0,
            adds=max(0, self.number - max(self.was, len(members))),
            special=special,
        )

    def refusal_question(self, cluster: Cluster, error: Rejected) -> Question | None:
        if self.instead_of:
            return _continue_without(error)
        if self.number != 0 or error.status not in (400, 422):
            return None
        members = cluster.members
        drained = len([n for n in members if n.drained])
        choices: tuple[Choice, ...] = (
            Choice(
                "leave",
                "Stop, I will finish it manually",
                ends="stopped, for an operator to finish manually",
            ),
        )
        if members:
            choices = (self._keep(cluster), _put_back(members), *choices)
        return Question(
            id="zero-refused",
            text=f"DigitalOcean refused to set the pool to 0 (“{error.message}”, {error.status}). "
            f"The masters are untouched and powered on. "
            f"{count_of(drained, 'drained media node')} {plural(drained, 'takes', 'take')} "
            "no new meetings.",
            choices=choices,
            headline="DigitalOcean refused to set the pool to 0",
        )

    def _keep(self, cluster: Cluster) -> Choice:
        price = "its price is unknown"
        if cluster.media_price is not None:
            price = f"${cluster.media_price:.2f}/h"
        label = f"Keep 1 media node running ({price})"
        masters: tuple[str, ...] = ()
        if not self.alone:
            label += ", power off the masters"
            masters = tuple(m.name for m in cluster.masters)
        steps = keep_one(cluster, masters, self.was, harsh=self.harsh, keeps=self.keeps)
        outcome = ""
        if self.alone:
            outcome = f"{cluster.name} keeps 1 drained media node, and its masters stay powered on"
        return Choice("keep", label, steps=steps, outcome=outcome)

    def waits_for(self, cluster: Cluster) -> str:
        shown = str(cluster.pool.target) if cluster.pool is not None else "no pool"
        return (
            f"DigitalOcean to show {self._number(cluster)} (shows {shown}){pool_problems(cluster)}"
        )

    def residue(self) -> str:
        if self.instead_of:
            return "a media node added for each still in use"
        return f"media pool set to {self.number}"


def _continue_without(error: Rejected) -> Question:
    """Return a question that continues by itself: nodes in use return one by one anyway."""
    text = (
        f"DigitalOcean refused to add a media node (“{error.message}”, {error.status}). "
        "Drained nodes return to service when their meetings end."
    )
    without = Choice("without", "Continue without it", steps=(), goes_on=True)
    return Question(
        "no-more-nodes",
        text,
        (without,),
        default="without",
        headline="DigitalOcean refused to add a media node",
    )


def _put_back(members: tuple[MediaNode, ...]) -> Choice:
    return Choice(
        "revive",
        f"Put the {count_of(len(members), 'node')} back into service",
        steps=(Revive(tuple(n.id for n in members)), MediaServing(len(members))),
        back="DigitalOcean refused 0; the nodes were put back into service",
    )


@dataclass(frozen=True)
class TemplateSize(Step):
    """The pool's template has this droplet size. The pool then replaces every member.

    The edit changes one field and keeps all others.
    """

    timing: ClassVar[StepTiming] = POOL_TIMING
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    changed_facts: ClassVar[tuple[str, ...]] = ("template",)
    interruptible: ClassVar[bool] = False

    size: str
    was: str = ""
    # People approved removing nodes before their meetings have ended.
    harsh: bool = False

    def title(self) -> str:
        return f"Set the media pool's droplet size to {self.size}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.pool is not None and cluster.pool.size == self.size

    def after(self, cluster: Cluster) -> Cluster:
        assert cluster.pool is not None, "a plan about a pool has one"
        template = f"{cluster.pool.template} with {self.size}"
        pool = replace(cluster.pool, size=self.size, template=template)
        now = replace(cluster, pool=pool)
        size = cluster.size(self.size)
        if size is not None:
            now = replace(now, media_price=size.hourly)
        # Documented: new members come at once, old ones stay until the pool's cooldown is over.
        new = tuple(new_node(now, len(cluster.media) + i) for i in range(pool.target))
        return replace(now, media=cluster.media + new)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.set_template_size(self.size)

    def without_protection(self) -> Step:
        return replace(self, harsh=True)

    def missing_evidence(self, cluster: Cluster) -> str:
        if self.harsh or self.is_done(cluster):
            return ""
        return unseen_nodes(cluster, list(cluster.members))

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        return _not_editable(cluster) or _not_drained(cluster, cluster.members, harsh=self.harsh)

    def effects(self, cluster: Cluster) -> Effects:
        hit = [n for n in cluster.members if not n.drained]
        if not hit:
            return Effects()
        special = (
            f"removes {count_of(len(hit), 'media node')} without draining, "
            f"about 10 min later{_losing(cluster, hit)}"
        )
        return Effects(cuts_off=not cluster.idle, special=(special,))

    def waits_for(self, cluster: Cluster) -> str:
        shown = cluster.pool.size if cluster.pool is not None else "no pool"
        return f"DigitalOcean to show {self.size} (shows {shown}){pool_problems(cluster)}"

    def residue(self) -> str:
        return f"media pool's droplet size set to {self.size} (for every new node)"


def _not_editable(cluster: Cluster) -> str:
    """Return why the pool cannot be edited now; "" when it can."""
    if cluster.pool is None:
        return ""
    return cluster.pool.state


def _not_drained(cluster: Cluster, removed: tuple[MediaNode, ...], *, harsh: bool) -> str:
    """Return which nodes would be removed without having been drained."""
    hit = [n for n in removed if not n.drained]
    if harsh or not hit:
        return ""
    names = node_names(cluster, hit)
    return f"{names} not drained: removal would end what runs there"


def _losing(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return what runs on these nodes now, or that it is unknown; "" when nothing does."""
    busy = [n for n in nodes if not has_no_load(n)]
    if not busy:
        return ""
    return f" ({load_text(cluster, busy)} now)"


def keep_one(
    cluster: Cluster, masters: tuple[str, ...], was: int, *, harsh: bool = False, keeps: int = 0
) -> tuple[Step, ...]:
    """Return the shutdown where 0 is refused: one drained member stays, these masters go off."""
    ids = tuple(n.id for n in cluster.members)
    # The pool keeps its oldest member, and masters only go off with that one drained: also where
    # the others are removed without draining, and where it is new and still installing.
    steps: tuple[Step, ...] = (
        Drain(ids[:1], number=1, pool_follows=False),
        PoolTarget(1, remember=True, was=was, harsh=harsh, keeps=keeps),
        MediaGone(kept=ids, keep=1),
    )
    if masters:
        steps += (PowerOff(masters, kept=ids),)
    return steps
