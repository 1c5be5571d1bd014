"""Plans: the steps still required, and what they mean for people, time and money. Pure."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from services.billing.prices import hourly
from services.cluster.deployment import CONTROL_PLANES, Deployment
from services.cluster.meeting_messages import Occasion
from services.cluster.model import (
    NOTHING_KNOWN,
    Basis,
    Cluster,
    Fact,
    Load,
    Pool,
    only_name,
    short_name,
)
from services.common.errors import Refused
from services.common.observed import Observed, Unobserved
from services.common.serialize import encode
from services.procedures import Procedure, secrets_env_check
from services.procedures.undo import undo_command
from services.steps import Effects, PoolTarget, Step, TemplateSize
from services.steps.node_text import agents_lost

# Characters of what a step waits for: one node's load each, of many nodes.
LONGEST_WAIT = 500


@dataclass(frozen=True)
class StepOutline:
    """What is known of a planned step beforehand."""

    # Short names of the nodes that it changes.
    nodes: tuple[str, ...] = ()
    waits_for: str = ""
    # Seconds after which people choose one of `choices`, else it rolls back, else the run pauses.
    timeout: float = 0.0
    choices: tuple[str, ...] = ()
    # The titles of the steps that roll back.
    rollback: tuple[str, ...] = ()
    irreversible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is shown, approved, stored and run. A dry run stops here.

    Money in US dollars per hour, times in seconds.
    """

    cluster: str
    procedure: Procedure
    steps: tuple[Step, ...]
    effects: Effects
    takes: float
    # None: no one is out of service, or until someone starts the cluster again.
    outage: float | None
    # None: not seen, for the reason in `unseen`. Use `meetings`.
    load: Load | None
    # Media nodes when the plan was made.
    media: int
    # None: a price is unknown.
    saves: Decimal | None
    stays_billed: Decimal | None
    made_at: float
    # What an approval is bound to.
    digest: str
    basis: Basis = NOTHING_KNOWN
    afterwards: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    money: str = ""
    # What to do next, shown at the end.
    following: str = ""
    unseen: str = ""
    # Media droplets it was made for; empty where an autoscaler may change them. None: not recorded.
    nodes: tuple[int, ...] | None = None
    # Of each step; empty in plans of earlier versions.
    outline: tuple[StepOutline, ...] = ()
    # Seconds that running meetings may take to end, altogether and while it is out of service.
    drain_timeout: float = 0.0
    outage_drain_timeout: float = 0.0
    # The command that restores what was before; "" where none does.
    undo: str = ""
    # The messages to the meetings concerned, by occasion. Only what was shown is sent.
    tells: tuple[tuple[str, str], ...] = ()

    @property
    def permanent(self) -> tuple[str, ...]:
        """Return what is not reversible, without what a restart of drained nodes reverses."""
        if not self.outline:
            return self.effects.irreversible
        lasting = (
            outline.irreversible
            for step, outline in zip(self.steps, self.outline, strict=False)
            if not step.waits_for_meetings
        )
        return tuple(dict.fromkeys(text for texts in lasting for text in texts))

    @property
    def meetings(self) -> Observed[Load]:
        """The load when the plan was made, or why it was not seen."""
        if self.load is None:
            return Unobserved(self.unseen or "unknown when the plan was made")
        return self.load

    @property
    def title(self) -> str:
        """Return `Shut down acme`."""
        return self._named(f"{self.procedure.verb} {self.procedure.target_text(self.cluster)}")

    @property
    def doing(self) -> str:
        """Return `Shutting down acme`."""
        return self._named(f"{self.procedure.doing} {self.procedure.target_text(self.cluster)}")

    @property
    def outcome(self) -> str:
        """Return `acme is shut down`."""
        return self._named(self.procedure.outcome_text(self.cluster))

    @property
    def state_text(self) -> str:
        """Return the state when there is nothing to do: `acme is in service`."""
        return self._named(self.procedure.state_text(self.cluster))

    def _named(self, words: str) -> str:
        """Name nodes as the cluster's deployment does: where there is one, there are no masters."""
        pairs: tuple[tuple[str, str], ...] = ()
        if one := self.only_master:
            pairs = (("the masters of", f"the {one} of"), ("has masters of", f"has a {one} of"))
        if self.hosts_meetings:
            pairs = (*pairs, ("all media nodes of", "the node of"), ("are drained", "is drained"))
        for several, single in pairs:
            words = words.replace(several, single)
        return words

    @property
    def only_master(self) -> str:
        """Return what its cluster's only master is called: `master` or `node`; "" with several."""
        names = [name for name, _ in self.basis.sizes or ()]
        return only_name(names[0]) if len(names) == 1 else ""

    @property
    def hosts_meetings(self) -> bool:
        """Whether meetings run on its cluster's only droplet."""
        return self.only_master == CONTROL_PLANES[Deployment.SINGLE_NODE].noun

    @property
    def is_empty(self) -> bool:
        return not self.steps


def make_plan(cluster: Cluster, procedure: Procedure, left: tuple[Step, ...] | None = None) -> Plan:
    """Fold the procedure's steps over the cluster.

    `left`: the remaining steps of a run in progress, for which to plan again from here.

    Raises:
        Refused: the procedure makes no sense here, or secrets.env forbids it.
    """
    procedure.check(cluster)
    planned = procedure.replan(cluster, left) if left is not None else procedure.steps(cluster)
    fold = _fold(cluster, planned, procedure)
    _check_seen(cluster, fold.steps)
    readers = secrets_env_check.readers_of(cluster, procedure, fold.steps, fold.effects)
    secrets_env_check.check_bootable(cluster, readers, under_way=left is not None)
    file_notes = secrets_env_check.notes(cluster, readers)
    plan = _plan(cluster, procedure, fold, file_notes)
    if plan.is_empty:
        return plan
    return replace(
        plan,
        afterwards=procedure.follow_up(cluster),
        notes=(
            *procedure.notes(cluster),
            *_agents(cluster, plan.effects),
            *_pool_state(cluster),
            *file_notes,
            *_told(plan),
        ),
        money=procedure.cost_note(cluster),
        following=procedure.next_step(cluster),
        undo=undo_command(procedure, cluster),
    )


def plan_remaining(cluster: Cluster, procedure: Procedure, steps: Iterable[Step]) -> Plan:
    """Return what these remaining steps of a run in progress mean from this cluster on."""
    if cluster.pool is None:
        cluster = replace(cluster, pool=Pool(id="", name="", target=0))
    plan = _plan(cluster, procedure, _fold(cluster, steps, procedure), ())
    if plan.is_empty:
        return plan
    return replace(plan, notes=_agents(cluster, plan.effects))


@dataclass(frozen=True)
class _Fold:
    """The steps still required, their sums, and the cluster afterwards."""

    steps: list[Step]
    effects: Effects
    takes: float
    outage: float | None
    after: Cluster
    outline: list[StepOutline]
    drain_timeout: float
    outage_drain_timeout: float


def _fold(cluster: Cluster, planned: Iterable[Step], procedure: Procedure) -> _Fold:
    steps: list[Step] = []
    outline: list[StepOutline] = []
    effects, takes, outage = Effects(), 0.0, None
    drain_timeout, outage_drain_timeout = 0.0, 0.0
    serves_again = False
    now = cluster
    for step in planned:
        if step.is_done(now) and not (step.is_verification and steps):
            continue
        effects += step.effects(now)
        seconds = step.expected_seconds(now)
        takes += seconds
        drain = step.deadline(now) if step.waits_for_meetings else 0.0
        drain_timeout += drain
        if effects.down and not serves_again and not effects.keeps:
            outage_drain_timeout += drain
        outline.append(_outline(step, now, procedure))
        if effects.down and outage is None:
            outage = seconds
        elif outage is not None and not serves_again:
            outage += seconds
        now = step.after(now)
        # Before the outage it serves still, not again.
        serves_again = effects.down and now.is_up and bool(now.serving)
        steps.append(step)
    return _Fold(steps, effects, takes, outage, now, outline, drain_timeout, outage_drain_timeout)


def _outline(step: Step, cluster: Cluster, procedure: Procedure) -> StepOutline:
    """Return what is known of a step. `cluster`: as it is just before it."""
    question = step.timeout_question(cluster)
    choices: tuple[str, ...] = ()
    rollback: tuple[str, ...] = ()
    if question is not None:
        choices = tuple(choice.label for choice in question.choices)
    else:
        rollback = tuple(back.title() for back in procedure.recover(cluster, step))
    return StepOutline(
        nodes=_changed_nodes(cluster, step.after(cluster)),
        waits_for=step.waits_for(cluster)[:LONGEST_WAIT],
        timeout=step.deadline(cluster),
        choices=choices,
        rollback=rollback,
        irreversible=step.effects(cluster).irreversible,
    )


def _changed_nodes(before: Cluster, after: Cluster) -> tuple[str, ...]:
    """Return the short names of the nodes that a step changes or removes."""
    masters, media = {m.id: m for m in after.masters}, {n.id: n for n in after.media}
    names = [m.name for m in before.masters if masters.get(m.id) != m]
    names += [n.name for n in before.media if media.get(n.id) != n]
    return tuple(dict.fromkeys(short_name(name, before.stack) for name in names))


def _plan(cluster: Cluster, procedure: Procedure, fold: _Fold, file_notes: tuple[str, ...]) -> Plan:
    before, after = hourly(cluster), hourly(fold.after)
    tells = _tells(cluster, fold.steps)
    saves = None
    if before.total is not None and after.total is not None:
        saves = before.total - after.total
    outage = None if _ends_down(fold.after) else fold.outage
    load, unseen = _split(cluster.load)
    return Plan(
        cluster=cluster.name,
        procedure=procedure,
        steps=tuple(fold.steps),
        effects=fold.effects,
        takes=fold.takes,
        outage=outage,
        load=load,
        unseen=unseen,
        media=len(cluster.media),
        saves=saves,
        stays_billed=after.masters,
        made_at=cluster.seen_at,
        digest=digest(cluster, procedure, fold.steps, (*file_notes, *map(": ".join, tells))),
        basis=cluster.basis,
        nodes=_nodes(cluster),
        outline=tuple(fold.outline),
        drain_timeout=fold.drain_timeout,
        outage_drain_timeout=fold.outage_drain_timeout,
        tells=tells,
    )


def _tells(cluster: Cluster, steps: Iterable[Step]) -> tuple[tuple[str, str], ...]:
    """Return the messages to meetings on nodes that these steps drain."""
    if cluster.messages is None or not any(s.waits_for_meetings for s in steps):
        return ()
    told = ((o, cluster.messages.text(o)) for o in (Occasion.DRAIN, Occasion.DEADLINE))
    return tuple((str(occasion), text) for occasion, text in told if text)


def _told(plan: Plan) -> tuple[str, ...]:
    """Return the notes that say when meetings on draining nodes get which message."""
    when = {Occasion.DRAIN: "before their node drains", Occasion.DEADLINE: "before the deadline"}
    return tuple(
        f"meetings get a message {when[Occasion(occasion)]}: “{text.replace(chr(10), ' / ')}”"
        for occasion, text in plan.tells
    )


def _split(load: Observed[Load]) -> tuple[Load | None, str]:
    """Return the load as it is stored: its value, and why it was not seen."""
    if isinstance(load, Unobserved):
        return None, load.reason
    return load, ""


def _nodes(cluster: Cluster) -> tuple[int, ...]:
    """Return the media droplets that an approval depends on, as in `Cluster.fingerprint`."""
    if cluster.autoscaler is not None:
        return ()
    return tuple(sorted(n.id for n in cluster.media if n.member_status != "deleting"))


def _check_seen(cluster: Cluster, steps: list[Step]) -> None:
    """Refuse what depends on facts that were not seen, or edits a pool that accepts no edit."""
    if why := cluster.missing_facts_reason(frozenset[Fact]().union(*(s.needs for s in steps))):
        raise Refused(f"the cluster was not observed completely: {why}. Try again in a minute")
    if any(isinstance(s, PoolTarget | TemplateSize) for s in steps):
        for state in _pool_state(cluster):
            raise Refused(state)


def _pool_state(cluster: Cluster) -> tuple[str, ...]:
    """Return why the pool cannot be edited now; empty when it can."""
    if cluster.pool is None or not cluster.pool.state:
        return ()
    return (cluster.pool.state,)


def _ends_down(cluster: Cluster) -> bool:
    return not cluster.is_up or all(
        n.drained or n.draining or n.busy_with or not n.is_observed for n in cluster.media
    )


def _agents(cluster: Cluster, effects: Effects) -> tuple[str, ...]:
    """Return which agents end with their nodes, where nodes are taken out of service."""
    if effects.blocks or effects.cuts_off:
        return agents_lost(cluster, list(cluster.media))
    return ()


def digest(
    cluster: Cluster, procedure: Procedure, steps: list[Step], file_notes: tuple[str, ...] = ()
) -> str:
    """Return the digest of what an approval covers.

    The procedure, its parameters, the steps, droplet ids, template, sizes and the notes about
    secrets.env; not the current load.
    """
    basis = [
        cluster.name,
        encode(procedure),
        [encode(s) for s in steps],
        cluster.fingerprint,
        *file_notes,
    ]
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()
