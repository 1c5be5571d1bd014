"""One authorization, compared wherever a plan is acted on: what people were shown and approved, with what is so now. Pure.

Approve, resume, an answer, going on from a new state, a window's opening and closing, and a step before its first ask all come here.
What takes nothing from anyone needs no authorization. Everything else must be on the card that was approved, by people who may still
approve, not longer ago than the policy allows; otherwise it is asked for again, and the card says what differs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.access.policy import (
    Actor,
    Impact,
    Kind,
    Rules,
    adds_up,
    authorize,
    impact_words,
    impacts,
    may_approve,
    may_approve_now,
    may_break_glass,
    raise_if_denied,
    tally,
)
from services.cluster.model import Cluster, Fact
from services.common.errors import Refused
from services.common.text import count, duration, listed
from services.procedures.plan import Plan
from services.runs.request import GRACE, Request, Vote, grew, load_grew
from services.runs.run import Run
from services.steps import Question, Step

ONE_RUN = (
    "break-glass covers one run, now; what is done again and again from then on needs its approval"
)


@dataclass(frozen=True)
class Authorization:
    """What people agreed to: the plan as it was shown, who asked for it, who approved it, and when (epoch seconds)."""

    plan: Plan
    requester: Actor
    approvers: tuple[Actor, ...]
    at: float
    glass: bool = False  # break-glass: given by the requester alone
    until: float = (
        0.0  # for a change at a later moment: until when it counts; 0: as long as the policy says
    )


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
    """One reason to ask again, in words for the card."""

    kind: Differs
    words: str


def of_run(run: Run) -> Authorization:
    """What a run rests on now: its opening, or what was approved since."""
    return Authorization(run.shown, run.requester, run.approvers, run.approved_at, run.glass)


def of_later(request: Request) -> Authorization:
    """What was approved for a later moment: it counts until then and a little longer, however long ago it was given."""
    return Authorization(
        request.plan,
        request.requester,
        request.approvals,
        request.agreed_at,
        until=request.later + GRACE,
    )


def not_covered(request: Request, now: Plan, rules: Rules, at: float) -> str:
    """Why what was approved for this moment must not be done as the cluster is now; "" when it may be, or needs no approval."""
    if authorize(now, request.requester, rules).kind is Kind.ALLOWED:
        return ""
    found = differences(of_later(request), now, rules, at)
    if found or now.digest == request.plan.digest:
        return difference_words(found)
    return "the cluster changed since it was approved, and the steps are others now"


def differences(given: Authorization, now: Plan, rules: Rules, at: float) -> tuple[Difference, ...]:
    """In what the authorization does not cover this plan; empty when it does, or when the plan takes nothing from anyone."""
    if not impacts(now, rules):
        return ()
    found = (
        (Differs.IMPACT, _heavier(given.plan, now, rules)),
        (Differs.NODES, _other_nodes(given.plan, now)),
        (Differs.NUMBER, _more_media(given.plan, now, rules)),
        (Differs.LOAD, grew(given.plan, now, rules)),
        (Differs.AGE, _past(given, at) if given.until else too_old(given.at, rules, at)),
        (Differs.PEOPLE, too_few(given, rules.demand(impacts(now, rules)), rules)),
    )
    return tuple(Difference(kind, words) for kind, words in found if words)


def difference_words(found: Iterable[Difference]) -> str:
    """All of it in one sentence; "" when there is none."""
    return "; ".join(d.words for d in found)


def _heavier(then: Plan, now: Plan, rules: Rules) -> str:
    """Impacts that were not on the card."""
    shown = {*impacts(then, rules)}
    fresh = [impact for impact in impacts(now, rules) if impact not in shown]
    if now.effects.down and not then.effects.down and Impact.MEETINGS_BLOCKED in shown:
        fresh.append(Impact.MEETINGS_BLOCKED)
    words = impact_words(now, rules)
    return (
        f"it now {listed(words[impact] for impact in fresh)}, which was not on the approved card"
        if fresh
        else ""
    )


def _other_nodes(then: Plan, now: Plan) -> str:
    """Media nodes that were not there when it was approved, where something is taken from media nodes."""
    if not (now.effects.blocks or now.effects.cuts_off):
        return ""
    if then.nodes is None or now.nodes is None:
        return "the media nodes that it was approved for were not recorded"
    fresh = {*now.nodes} - {*then.nodes}
    return (
        f"{count(len(fresh), 'media node')} {'was' if len(fresh) == 1 else 'were'} not there when it was approved"
        if fresh
        else ""
    )


def _more_media(then: Plan, now: Plan, rules: Rules) -> str:
    """More media nodes in the end than were approved, where that takes an approval."""
    most, comes_to = then.media + then.effects.adds, now.media + now.effects.adds
    if Impact.MEDIA_ADDED not in impacts(now, rules) or comes_to <= most:
        return ""
    return f"it now ends with {count(comes_to, 'media node')}, and {most} were on the approved card"


def _past(given: Authorization, at: float) -> str:
    """That the moment which it was given for has passed."""
    late = at - given.until
    return f"the time that it was approved for was over {duration(late)} ago" if late > 0 else ""


def too_old(given_at: float, rules: Rules, at: float) -> str:
    """That an approval of that moment does not count any more, by the policy's limit; "" while it does."""
    age = at - given_at
    if age <= rules.approval_seconds:
        return ""
    return f"it was approved {duration(age)} ago, and an approval lasts {duration(rules.approval_seconds)}"


def too_few(given: Authorization, needs: int, rules: Rules) -> str:
    """Why those who gave it are not enough any more: they lost the role or the account, or the policy takes more by now."""
    if given.glass:
        lost = may_break_glass(given.requester, rules).kind is Kind.DENIED
        return (
            f"{given.requester.mention}, who used break-glass for it, may not any more"
            if lost
            else ""
        )
    counting = still_counting(given.approvers, given.requester, rules)
    if not tally([a.user for a in counting], needs, rules).left:
        return ""
    gone = [a.mention for a in given.approvers if a not in counting]
    if gone:
        return f"the approval of {listed(gone)} does not count any more"
    return f"it takes {count(needs, 'approval')} by the policy of now, and {len(counting)} {'was' if len(counting) == 1 else 'were'} given"


def still_counting(approvers: Iterable[Actor], requester: Actor, rules: Rules) -> tuple[Actor, ...]:
    """Those whose approval counts now: they have the role and the account still."""
    return tuple(a for a in approvers if may_approve(a, requester, rules).kind is Kind.ALLOWED)


# Approving a request


def counted(request: Request, actor: Actor, rules: Rules) -> Request:
    """The request with one more approval, by the rules as they are now. Refused when it does not count, or who asked may not ask any more.

    With break-glass, and where no approval is needed any more, it is whoever asked that presses.
    """
    if request.glass:
        return _confirmed(request, actor, rules)
    verdict = authorize(request.plan, request.requester, rules)
    if verdict.kind is Kind.ALLOWED and actor.key == request.requester.key:
        return replace(request, needs=0, lacks=())
    if verdict.kind is Kind.ALLOWED and request.startable:
        raise Refused(
            f"this needs no approval any more; {request.requester.mention}, who asked for it, can start it"
        )
    raise_if_denied(
        may_approve(actor, request.requester, rules, tuple(a.key for a in request.approvals))
    )
    raise_if_denied(may_approve_now(rules))
    if verdict.kind is Kind.DENIED:
        why = rules.unsure or "may not change this cluster any more"
        raise Refused(f"{request.requester.mention} asked for this, and {why}; nothing was changed")
    before = still_counting(request.approvals, request.requester, rules)
    needs = max(request.needs, verdict.approvals)
    raise_if_denied(adds_up(actor, [a.user for a in before], needs, rules))
    approvals = (*before, actor)
    return replace(
        request,
        approvals=approvals,
        needs=needs,
        lacks=tally([a.user for a in approvals], needs, rules).lacks,
    )


def _confirmed(request: Request, actor: Actor, rules: Rules) -> Request:
    raise_if_denied(may_break_glass(actor, rules))
    if request.plan.effects.standing:
        raise Refused(f"{ONE_RUN}; ask for it without break-glass")
    if actor.key != request.requester.key:
        raise Refused(
            f"only {request.requester.mention}, who broke the glass, can confirm this; anybody else asks as usual"
        )
    return request


# Answering a question


def wanting(
    votes: Iterable[Vote], choice: str, requester: Actor, rules: Rules, at: float
) -> tuple[Actor, ...]:
    """Who wants this answer and may have it counted now: the newest vote of each, not older than an approval may be."""
    newest = {v.by.key: v for v in votes}
    mine = (v for v in newest.values() if v.choice == choice and not too_old(v.at, rules, at))
    return still_counting((v.by for v in mine), requester, rules)


def stake_grew(then: Question, now: Question | None, rules: Rules) -> str:
    """Why an answer that loses something is not covered by what stood on the card; "" when it is. None: it is not asked any more."""
    return (
        "what it was about has changed"
        if now is None
        else load_grew(then.at_stake, now.at_stake, rules.growth)
    )


# Acting on a step


def beyond(run: Run, step: Step, cluster: Cluster, rules: Rules, at: float) -> str:
    """Why a step that disconnects people must not be asked for, or asked again: what is so now was not on the approved card.

    Some of its nodes may have been asked long ago and others not at all: whoever came since stood on no card. Its age is looked at
    before the first ask only: a step that is under way is not left half done for that. A recording that began since, or many more
    people, were on no card. What was unknown on the card was approved as unknown.
    """
    if Fact.LOAD not in step.needs or not step.effects(cluster).cuts_off:
        return ""
    grown = (
        load_grew(run.shown.meetings, cluster.load, rules.growth)
        if run.shown.load is not None
        else ""
    )
    old = "" if run.asks else too_old(run.approved_at, rules, at)
    return "; ".join(filter(None, (grown, old)))
