"""A plan: the steps still needed and what they mean for people, time and money. Pure; a dry run stops here."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from services.billing.prices import hourly
from services.cluster.model import NOTHING_KNOWN, Basis, Cluster, Fact, Load, Pool
from services.common.errors import Refused
from services.common.observed import NotSeen, Observed
from services.common.serialize import encode
from services.procedures import Procedure
from services.procedures import boot_file as bootfile
from services.steps import Effects, PoolTarget, Step, TemplateSize
from services.steps.node_text import agents_lost


@dataclass(frozen=True)
class Plan:
    """What is shown, approved, stored and run. `digest` is what an approval is bound to. Money per hour in US dollars, times in seconds."""

    cluster: str
    procedure: Procedure
    steps: tuple[Step, ...]
    effects: Effects
    takes: float
    outage: float | None  # None: nobody is without service, or until somebody starts it again
    load: Load | None  # None: not seen, and `unseen` says why; read `meetings`
    media: int  # media nodes when it was made
    saves: Decimal | None  # None: a price is not known
    stays_billed: Decimal | None
    made_at: float
    digest: str
    basis: Basis = NOTHING_KNOWN
    afterwards: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    money: str = ""
    following: str = ""  # what to do next, said at the end
    unseen: str = ""  # why LiveKit did not show who meets
    nodes: tuple[int, ...] | None = (
        None  # media droplets it was made for; empty where an autoscaler may change them. None: not recorded
    )

    @property
    def meetings(self) -> Observed[Load]:
        """Who was meeting when it was made; or that this was not seen, and why."""
        return (
            NotSeen(self.unseen or "not known when the plan was made")
            if self.load is None
            else self.load
        )

    @property
    def empty(self) -> bool:
        return not self.steps


def make_plan(cluster: Cluster, procedure: Procedure, left: tuple[Step, ...] | None = None) -> Plan:
    """Fold the procedure's steps over the cluster. Raises Refused when the procedure makes no sense here, or secrets.env forbids it.

    `left`: it is under way already, these steps were still to come, and another way on has to be found from here.
    """
    procedure.check(cluster)
    fold = _fold(
        cluster, procedure.steps(cluster) if left is None else procedure.onward(cluster, left)
    )
    _check_seen(cluster, fold.steps)
    readers = bootfile.reads(cluster, procedure, fold.steps, fold.effects)
    bootfile.must_start(cluster, readers, under_way=left is not None)
    told = bootfile.notes(cluster, readers)
    plan = _plan(cluster, procedure, fold, told)
    if plan.empty:
        return plan
    return replace(
        plan,
        afterwards=procedure.afterwards(cluster),
        notes=(
            *procedure.notes(cluster),
            *_agents(cluster, plan.effects),
            *_of_pool(cluster),
            *told,
        ),
        money=procedure.money(cluster),
        following=procedure.next_words(cluster),
    )


def plan_onward(cluster: Cluster, procedure: Procedure, steps: Iterable[Step]) -> Plan:
    """What these steps, the rest of a run that is under way, mean from this cluster on."""
    whole = (
        cluster
        if cluster.pool is not None
        else replace(cluster, pool=Pool(id="", name="", target=0))
    )
    plan = _plan(cluster, procedure, _fold(whole, steps), ())
    return replace(plan, notes=_agents(cluster, plan.effects)) if plan.steps else plan


@dataclass(frozen=True)
class _Fold:
    """Steps still needed, and what they come to."""

    steps: list[Step]
    effects: Effects
    takes: float
    outage: float | None
    after: Cluster


def _fold(cluster: Cluster, ways: Iterable[Step]) -> _Fold:
    steps: list[Step] = []
    effects, takes, outage = Effects(), 0.0, None
    serves_again = False
    now = cluster
    for step in ways:
        if step.is_done(now) and not (step.checks and steps):
            continue
        effects += step.effects(now)
        takes += step.expected_seconds(now)
        if effects.down and outage is None:
            outage = 0.0
        elif outage is not None and not serves_again:
            outage += step.expected_seconds(now)
        now = step.after(now)
        serves_again = now.up and bool(now.serving)
        steps.append(step)
    return _Fold(steps, effects, takes, outage, now)


def _plan(cluster: Cluster, procedure: Procedure, fold: _Fold, told: tuple[str, ...]) -> Plan:
    before, after = hourly(cluster), hourly(fold.after)
    return Plan(
        cluster=cluster.name,
        procedure=procedure,
        steps=tuple(fold.steps),
        effects=fold.effects,
        takes=fold.takes,
        outage=None if _ends_down(fold.after) else fold.outage,
        load=cluster.load if isinstance(cluster.load, Load) else None,
        unseen=cluster.load.reason if isinstance(cluster.load, NotSeen) else "",
        media=len(cluster.media),
        saves=None if before.total is None or after.total is None else before.total - after.total,
        stays_billed=after.masters,
        made_at=cluster.seen_at,
        digest=digest(cluster, procedure, fold.steps, told),
        basis=cluster.basis,
        nodes=_nodes(cluster),
    )


def _nodes(cluster: Cluster) -> tuple[int, ...]:
    """The media droplets that an approval rests on, as in `Cluster.fingerprint`."""
    if cluster.autoscaler is not None:
        return ()
    return tuple(sorted(n.id for n in cluster.media if n.member_status != "deleting"))


def _check_seen(cluster: Cluster, steps: list[Step]) -> None:
    """Refuse what rests on something that was not seen, or edits a pool that takes no edit now."""
    if why := cluster.lacking(frozenset[Fact]().union(*(s.needs for s in steps))):
        raise Refused(f"not all that this rests on was seen: {why}. Try again in a minute")
    if any(isinstance(s, PoolTarget | TemplateSize) for s in steps):
        for said in _of_pool(cluster):
            raise Refused(said)


def _of_pool(cluster: Cluster) -> tuple[str, ...]:
    return (cluster.pool.state,) if cluster.pool is not None and cluster.pool.state else ()


def _ends_down(cluster: Cluster) -> bool:
    return not cluster.up or all(
        n.drained or n.draining or n.held or not n.seen for n in cluster.media
    )


def _agents(cluster: Cluster, effects: Effects) -> tuple[str, ...]:
    """Which agents end with their nodes, where nodes are taken out of service."""
    return agents_lost(cluster, list(cluster.media)) if effects.blocks or effects.cuts_off else ()


def digest(
    cluster: Cluster, procedure: Procedure, steps: list[Step], told: tuple[str, ...] = ()
) -> str:
    """Covers procedure, parameters, steps, droplet ids, template, sizes and what was `told` of secrets.env; not the load of the minute."""
    basis = [
        cluster.name,
        encode(procedure),
        [encode(s) for s in steps],
        cluster.fingerprint,
        *told,
    ]
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()
