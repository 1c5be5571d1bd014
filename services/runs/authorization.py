"""Compares what people were shown and approved with what is to be done now. Pure.

Approve, resume, an answer, going on from a new state, a window's opening and closing, and a step
before its first ask all come here. What takes nothing from anyone needs no authorization.
Everything else must be on the card that was approved, by people who may still approve, not longer
ago than the policy allows; otherwise approval is requested again, and the card says what differs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    PolicyImpact,
    approval_advances,
    authorize,
    count_approvals,
    impact_texts,
    impacts,
    may_approve,
    may_approve_now,
    may_break_glass,
    raise_if_denied,
)
from services.cluster.model import Cluster, Fact
from services.common.errors import Refused
from services.common.text import count_of, duration, join_words
from services.procedures.plan import Plan
from services.runs.request import GRACE, Request, Vote, load_grew, plan_grew
from services.runs.run import Run
from services.steps import Question, Step

ONE_RUN = (
    "break-glass covers one run, now; a window closes the cluster repeatedly and needs an approval"
)

# Confirms whatever the plan is: its requester typed `--now`.
ANY_PLAN = "*"


def is_confirmed(plan: Plan, confirmed: str) -> bool:
    """Whether a plan that needs no approval may start: its requester has confirmed exactly it.

    `confirmed`: the digest of the plan that they were shown, "" when none was, or `ANY_PLAN`.
    """
    return confirmed in (plan.digest, ANY_PLAN)


@dataclass(frozen=True)
class Authorization:
    """What people approved: the plan as it was shown, its requester and approvers.

    `at`: when they did (epoch seconds).
    """

    plan: Plan
    requester: Actor
    approvers: tuple[Actor, ...]
    at: float
    glass: bool = False  # break-glass: given by the requester alone
    until: float = 0.0  # of a change for later: until when it counts; 0: as the policy says


class Differs(StrEnum):
    """In what a plan is not covered by an authorization."""

    IMPACT = "impact"
    NODES = "nodes"
    NUMBER = "number"
    LOAD = "load"
    AGE = "age"
    PEOPLE = "people"


@dataclass(frozen=True)
class Difference:
    """One reason to request approval again, with a sentence for the card."""

    kind: Differs
    words: str


def of_run(run: Run) -> Authorization:
    """The authorization that a run rests on now: of its opening, or a later one."""
    return Authorization(run.shown, run.requester, run.approvers, run.approved_at, run.glass)


def of_later(request: Request) -> Authorization:
    """The authorization of a change for later: it counts until its moment, and `GRACE` longer."""
    return Authorization(
        request.plan,
        request.requester,
        request.approvals,
        request.agreed_at,
        until=request.later + GRACE,
    )


def why_not_covered_now(request: Request, now: Plan, rules: ClusterPolicy, at: float) -> str:
    """Why a change that was approved for now must not be done; "" when it may be."""
    if authorize(now, request.requester, rules).kind is AccessResult.ALLOWED:
        return ""
    found = differences(of_later(request), now, rules, at)
    if found or now.digest == request.plan.digest:
        return difference_words(found)
    return "the cluster changed since the approval, and the steps are different now"


def why_part_not_covered(
    request: Request, now: Plan, rules: ClusterPolicy, at: float, given_at: float, until: float
) -> str:
    """Why a part of a batch must not be done at its turn; "" when it may be.

    Exactly the plan that was shown is covered, also where it needs no approval. The approval was
    given at `given_at` and counts for parts that begin until `until`.
    """
    given = Authorization(request.plan, request.requester, request.approvals, given_at, until=until)
    if found := differences(given, now, rules, at):
        return difference_words(found)
    if now.digest != request.plan.digest:
        return "the cluster changed since its plan was shown, and the steps are different now"
    return ""


def differences(
    given: Authorization, now: Plan, rules: ClusterPolicy, at: float
) -> tuple[Difference, ...]:
    """In what the authorization does not cover this plan; empty when it does, or has no impact."""
    if not impacts(now, rules):
        return ()
    age = too_old(given.at, rules, at)
    if given.until:
        age = _past(given, at)
    reasons = (
        (Differs.IMPACT, _heavier(given.plan, now, rules)),
        (Differs.NODES, _other_nodes(given.plan, now)),
        (Differs.NUMBER, _more_media(given.plan, now, rules)),
        (Differs.LOAD, plan_grew(given.plan, now, rules)),
        (Differs.AGE, age),
        (Differs.PEOPLE, too_few(given, rules.approvals_needed(impacts(now, rules)), rules)),
    )
    return tuple(Difference(kind, words) for kind, words in reasons if words)


def difference_words(found: Iterable[Difference]) -> str:
    """All differences in one sentence; "" without any."""
    return "; ".join(d.words for d in found)


def _heavier(then: Plan, now: Plan, rules: ClusterPolicy) -> str:
    """Impacts that were not on the card."""
    shown = {*impacts(then, rules)}
    fresh = [impact for impact in impacts(now, rules) if impact not in shown]
    if now.effects.down and not then.effects.down and PolicyImpact.MEETINGS_BLOCKED in shown:
        fresh.append(PolicyImpact.MEETINGS_BLOCKED)
    if not fresh:
        return ""
    words = impact_texts(now, rules)
    does = join_words(words[impact] for impact in fresh)
    return f"it now {does}; the approved card did not show that"


def _other_nodes(then: Plan, now: Plan) -> str:
    """Media nodes added since the approval, where media nodes would be taken out of service."""
    if not (now.effects.blocks or now.effects.cuts_off):
        return ""
    if then.nodes is None or now.nodes is None:
        return "the media nodes covered by the approval were not recorded"
    fresh = {*now.nodes} - {*then.nodes}
    if not fresh:
        return ""
    return f"{_were(len(fresh), 'media node')} added since the approval"


def _were(number: int, noun: str = "") -> str:
    """`1 node was`, `2 nodes were`; without a noun `1 was`, `2 were`."""
    counted_nouns = count_of(number, noun) if noun else str(number)
    verb = "was" if number == 1 else "were"
    return f"{counted_nouns} {verb}"


def _more_media(then: Plan, now: Plan, rules: ClusterPolicy) -> str:
    """More media nodes in the end than were approved, where that takes an approval."""
    most, comes_to = then.media + then.effects.adds, now.media + now.effects.adds
    if PolicyImpact.MEDIA_ADDED not in impacts(now, rules) or comes_to <= most:
        return ""
    return f"it now ends with {count_of(comes_to, 'media node')}; {most} were approved"


def _past(given: Authorization, at: float) -> str:
    """A sentence that the moment it was given for has passed; "" while it has not."""
    late = at - given.until
    if late <= 0:
        return ""
    return f"the approved time passed {duration(late)} ago"


def too_old(given_at: float, rules: ClusterPolicy, at: float) -> str:
    """Why an approval of that time has expired, by the policy; "" while it counts."""
    age = at - given_at
    if age <= rules.approval_seconds:
        return ""
    lasts = duration(rules.approval_seconds)
    return f"it was approved {duration(age)} ago; an approval lasts {lasts}"


def too_few(given: Authorization, needs: int, rules: ClusterPolicy) -> str:
    """Why its approvers are not enough any more; "" while they are.

    They lost the role or the account, or the policy demands more by now.
    """
    if given.glass:
        if may_break_glass(given.requester, rules).kind is not AccessResult.DENIED:
            return ""
        return f"{given.requester.mention} may no longer use break-glass"
    counting = still_counting(given.approvers, given.requester, rules)
    if not count_approvals([a.user for a in counting], needs, rules).left:
        return ""
    gone = [a.mention for a in given.approvers if a not in counting]
    if gone:
        return f"the approval of {join_words(gone)} no longer counts"
    takes = f"the policy now requires {count_of(needs, 'approval')}"
    return f"{takes}; {_were(len(counting))} given"


def still_counting(
    approvers: Iterable[Actor], requester: Actor, rules: ClusterPolicy
) -> tuple[Actor, ...]:
    """Those whose approval counts now: they still have the role and the account."""
    return tuple(
        a for a in approvers if may_approve(a, requester, rules).kind is AccessResult.ALLOWED
    )


# Approving a request


def add_approval(request: Request, actor: Actor, rules: ClusterPolicy) -> Request:
    """The request with one more approval, by the policy as it is now.

    Refused when it does not count, or the requester lost the role. With break-glass, and where no
    approval is needed any more, it is the requester who confirms.
    """
    if request.glass:
        return _confirmed(request, actor, rules)
    verdict = authorize(request.plan, request.requester, rules)
    if verdict.kind is AccessResult.ALLOWED and actor.key == request.requester.key:
        return replace(request, needs=0, lacks=())
    if verdict.kind is AccessResult.ALLOWED and request.startable:
        raise Refused(f"this needs no approval; only {request.requester.mention} can start it")
    raise_if_denied(
        may_approve(actor, request.requester, rules, tuple(a.key for a in request.approvals))
    )
    raise_if_denied(may_approve_now(rules))
    if verdict.kind is AccessResult.DENIED:
        who = f"the requester {request.requester.mention}"
        lost = f"{who} may no longer change this cluster. Nothing was changed"
        raise Refused(rules.groups_unknown or lost)
    before = still_counting(request.approvals, request.requester, rules)
    needs = max(request.needs, verdict.approvals)
    raise_if_denied(approval_advances(actor, [a.user for a in before], needs, rules))
    approvals = (*before, actor)
    return replace(
        request,
        approvals=approvals,
        needs=needs,
        lacks=count_approvals([a.user for a in approvals], needs, rules).lacks,
    )


def _confirmed(request: Request, actor: Actor, rules: ClusterPolicy) -> Request:
    raise_if_denied(may_break_glass(actor, rules))
    if request.plan.effects.standing:
        raise Refused(f"{ONE_RUN}. Request it without break-glass")
    if actor.key != request.requester.key:
        who = f"the requester {request.requester.mention}"
        raise Refused(f"only {who} can confirm this break-glass request; others request a change")
    return request


# Answering a question


def counting_votes(
    votes: Iterable[Vote], choice: str, requester: Actor, rules: ClusterPolicy, at: float
) -> tuple[Actor, ...]:
    """Whose vote for this answer counts now: the newest of each, while an approval would last."""
    newest = {v.by.key: v for v in votes}
    mine = (v for v in newest.values() if v.choice == choice and not too_old(v.at, rules, at))
    return still_counting((v.by for v in mine), requester, rules)


def stake_grew(then: Question, now: Question | None, rules: ClusterPolicy) -> str:
    """Why an answer that loses something is not covered by its card; "" when it is.

    `now`: the question as it would be asked now; None: it would not be.
    """
    if now is None:
        return "the situation that the question described has changed"
    return load_grew(then.at_stake, now.at_stake, rules.growth)


# Acting on a step


def beyond_approval(run: Run, step: Step, cluster: Cluster, rules: ClusterPolicy, at: float) -> str:
    """Why a step that disconnects people must not be requested, or not repeated; "" when it may be.

    Some of its nodes may have been asked long ago and others not at all: people who joined since
    were on no card, nor was a recording that began since. The age of the approval is checked before
    the first ask only: a step that has begun is not left half done for that. What was unknown on
    the card was approved as unknown.
    """
    if Fact.LOAD not in step.needs or not step.effects(cluster).cuts_off:
        return ""
    reasons = []
    if run.shown.load is not None:
        reasons.append(load_grew(run.shown.meetings, cluster.load, rules.growth))
    if not run.asks:
        reasons.append(too_old(run.approved_at, rules, at))
    return "; ".join(filter(None, reasons))
