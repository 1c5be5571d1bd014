"""A plan: the steps still needed and what they mean for people, time and money. Pure; a dry run stops here."""

import hashlib
import json
from dataclasses import dataclass, replace
from decimal import Decimal

from services.cluster import NOTHING_KNOWN, Basis, Cluster, Load
from services.prices import hourly
from services.procedures import Procedure
from services.steps import Effects, Step
from services.wire import encode


@dataclass(frozen=True)
class Plan:
    """What is shown, approved, stored and run. `digest` is what an approval is bound to. Money per hour in US dollars, times in seconds."""

    cluster: str
    procedure: Procedure
    steps: tuple[Step, ...]
    effects: Effects
    takes: float
    outage: float | None  # None: nobody is without service, or until somebody starts it again
    load: Load | None
    media: int  # media nodes when it was made
    saves: Decimal
    stays_billed: Decimal
    made_at: float
    digest: str
    basis: Basis = NOTHING_KNOWN
    afterwards: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    money: str = ""
    following: str = ""  # what to do next, said at the end
    unpriced: int = 0  # droplets that it adds, removes or keeps whose price is not known: what it saves or costs is unknown then

    @property
    def empty(self) -> bool:
        return not self.steps


def make_plan(cluster: Cluster, procedure: Procedure, left: tuple[Step, ...] | None = None) -> Plan:
    """Fold the procedure's steps over the cluster. Raises Refused when the procedure makes no sense here.

    `left`: it is under way already, these steps were still to come, and another way on has to be found from here.
    """
    procedure.check(cluster)
    steps: list[Step] = []
    effects, takes, outage = Effects(), 0.0, None
    serves_again = False
    now = cluster
    for step in procedure.steps(cluster) if left is None else procedure.onward(cluster, left):
        if step.is_done(now) and not (step.checks and steps):
            continue
        effects += step.effects(now)
        takes += step.takes(now)
        if effects.down and outage is None:
            outage = 0.0
        elif outage is not None and not serves_again:
            outage += step.takes(now)
        now = step.after(now)
        serves_again = now.up and bool(now.serving)
        steps.append(step)
    before, after = hourly(cluster), hourly(now)
    return Plan(
        cluster=cluster.name,
        procedure=procedure,
        steps=tuple(steps),
        effects=effects,
        takes=takes,
        outage=None if _ends_down(now) else outage,
        load=cluster.load,
        media=len(cluster.media),
        saves=before.total - after.total,
        stays_billed=after.masters,
        made_at=cluster.seen_at,
        digest=digest(cluster, procedure, steps),
        basis=cluster.basis,
        afterwards=procedure.afterwards(cluster) if steps else (),
        notes=procedure.notes(cluster) if steps else (),
        money=procedure.money(cluster) if steps else "",
        following=procedure.next_words(replace(cluster, remembered=len(cluster.media) or None)) if steps else "",
        unpriced=max(before.unpriced, after.unpriced),
    )


def _ends_down(cluster: Cluster) -> bool:
    return not cluster.up or all(n.drained or n.draining for n in cluster.media)


def digest(cluster: Cluster, procedure: Procedure, steps: list[Step]) -> str:
    """Covers procedure, parameters, steps, droplet ids, template and sizes; not the load of the minute."""
    basis = [cluster.name, encode(procedure), [encode(s) for s in steps], cluster.fingerprint]
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()
