"""What the audit is told of requests, runs and books: which decision a change of one of them is. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.access.policy import Actor, Rules
from services.audit.entries import Deed, What
from services.common.text import count
from services.procedures import Configure
from services.runs.request import Request, RequestState
from services.runs.run import Answered, CancelAsked, Ended, Opened, Resumed, Run
from services.windows import hours_words

CLOSED = {
    RequestState.REJECTED: What.REJECTED,
    RequestState.EXPIRED: What.EXPIRED,
    RequestState.SUPERSEDED: What.SUPERSEDED,
}


def of_request(before: Request | None, after: Request) -> Deed:
    """One request that was filed, approved once more, or closed."""
    plan, waits = after.plan, _waits(before) if before is not None else ""
    match after.state:
        case RequestState.OPEN if before is None:
            what = What.GLASS if after.glass else What.ASKED
            return Deed(
                what,
                after.requester,
                after.id,
                after.reason,
                *_file(after, _waits(after)),
                plan.digest,
            )
        case RequestState.OPEN if (
            after.waits and before is not None and before.waits != after.waits
        ):
            return Deed(
                What.DELAYED, None, after.id, after.waits, waits, _waits(after), plan.digest
            )
        case RequestState.OPEN:
            if after.startable or (after.later and not after.needs):
                return Deed(What.EASED, None, after.id, "", waits, _waits(after), plan.digest)
            by = after.approvals[-1] if after.approvals else None
            return Deed(
                What.APPROVED, by, after.id, _remark(after, by), waits, _waits(after), plan.digest
            )
        case RequestState.APPROVED:
            what = (
                What.GLASS_CONFIRMED
                if after.glass
                else What.STARTED
                if after.startable
                else What.APPROVED
            )
            said = "no approval needed" if after.startable else "approved"
            said = f"no approval: break-glass by {after.requester.user}" if after.glass else said
            then = f"{after.run} goes on" if after.act else f"runs as {after.run}"
            return Deed(
                what,
                after.closed_by,
                after.id,
                _remark(after, after.closed_by),
                waits,
                f"{said}, {then}",
                plan.digest,
            )
        case _:
            now = f"{after.state}{f', request {after.replaced_by} took its place' if after.replaced_by else ''}"
            return Deed(
                CLOSED[after.state],
                after.closed_by,
                after.id,
                after.why_closed,
                waits,
                now,
                plan.digest,
            )


def _remark(request: Request, by: Actor | None) -> str:
    """What this approver said with it."""
    return dict(request.remarks).get(by.key, "") if by is not None else ""


def _waits(request: Request) -> str:
    words = request.plan.procedure.words()
    if request.act is not None:
        words = f"{request.act.label or 'resume'} {request.act.run} ({words})"
    if request.later:
        words = f"{words} on {request.moment}"
    if request.scheduled:
        return f"{words}: {f'waits, {request.waits}' if request.waits else 'waits for its moment'}"
    if request.startable:
        return f"{words}: needs no approval"
    if request.glass:
        return f"{words}: waits for being confirmed"
    return f"{words}: {len(request.approvals)} of {count(request.needs, 'approval')}"


def _file(request: Request, waits: str) -> tuple[str, str]:
    """For a change of secrets.env: which keys, and the digests of the whole file. Never a value."""
    procedure = request.plan.procedure
    if not isinstance(procedure, Configure):
        return "", waits
    return (
        f"secrets.env {procedure.before}",
        f"{waits}; secrets.env {procedure.after_digest} ({', '.join(procedure.keys)})",
    )


def of_opening(event: Opened) -> Deed:
    """A run that begins, and what it rests on."""
    on = (
        f"approved by {_names(event.approvers)}"
        if event.approvers
        else "nobody's approval was needed"
    )
    if event.standing:
        on = f"standing approval by {_names(event.approvers)} of {datetime.fromtimestamp(event.standing, UTC):%d %b %Y}"
    elif event.edge and not event.approvers:
        on = "its window is in the settings file"
    if event.glass:
        on = f"no approval: break-glass by {event.requester.user}"
    of = (
        f" from request {event.request}"
        if event.request
        else f" for window edge {event.edge}"
        if event.edge
        else ""
    )
    return Deed(
        What.OPENED,
        event.requester,
        event.run,
        event.reason,
        "",
        f"{event.plan.procedure.words()}: {on}{of}",
        event.plan.digest,
    )


def of_saying(run: Run, event: CancelAsked | Answered | Resumed) -> Deed:
    """What a person decided about a run that is open."""
    stood = f"{run.state}: {run.stopped}" if run.stopped else str(run.state)
    match event:
        case CancelAsked():
            return Deed(
                What.CANCELLED,
                event.by,
                run.id,
                event.reason,
                stood,
                "stops at its next safe point",
            )
        case Resumed():
            return Deed(
                What.RESUMED,
                event.by,
                run.id,
                event.reason,
                stood,
                f"goes on from step {event.step + 1}{_anew(run, event)}",
            )
        case Answered():
            asked = run.question.text if run.question else ""
            chosen = run.labels.get((event.question, event.choice), event.choice)
            return Deed(What.ANSWERED, event.by, run.id, "", asked, f"{chosen}{_anew(run, event)}")


def _anew(run: Run, event: Answered | Resumed) -> str:
    """By whose approval a run goes on, where that was given for it."""
    if event.plan is None:
        return ""
    return (
        f", approved by {_names(event.approvers)}"
        if event.approvers
        else f", no approval: {_why_none(run)}"
    )


def _why_none(run: Run) -> str:
    return f"break-glass by {run.requester.user}" if run.glass else "none is needed"


def of_vote(run: Run, choice: str, by: Actor) -> Deed:
    """Somebody wants an answer that takes more people than one."""
    question = run.question
    label = run.labels.get((question.id, choice), choice) if question else choice
    return Deed(
        What.VOTED,
        by,
        run.id,
        "",
        question.text if question else "",
        f"{label}, if others want it too",
    )


def of_end(run: Run, event: Ended, journal: str) -> Deed:
    """How a run ended, with the digest of all that happened to it."""
    text = f": {event.text}" if event.text else ""
    return Deed(
        What.ENDED, event.by, run.id, event.reason, str(run.state), f"{event.how}{text}", journal
    )


def of_policy(before: str, rules: Rules) -> Deed:
    """The settings say something else than when a bot was last started with them."""
    return Deed(What.POLICY, None, "settings", "", before, policy_words(rules))


def policy_words(rules: Rules) -> str:
    """A policy on one line; equal policies are equal lines."""
    roles = {
        "operators": rules.operators,
        "approvers": rules.approvers,
        "viewers": rules.viewers,
        "break-glass": rules.breakers,
    }
    roles |= dict(rules.only)
    if rules.wakers:
        roles |= {"wakers": rules.wakers}
    said = [f"{role}: {', '.join(sorted(people)) or 'nobody'}" for role, people in roles.items()]
    said += [
        f"approvals: {rules.approvals}",
        *(f"for {impact}: {needed}" for impact, needed in sorted(rules.approvals_for)),
    ]
    said += [f"one from each of: {', '.join(rules.approvals_from)}"] if rules.approvals_from else []
    said += ["a single operator may confirm alone"] if rules.single_operator else []
    said += [f"approvals count {hours_words(rules.approvals_when)}"] if rules.approvals_when else []
    said += [f"a reason for: {', '.join(sorted(rules.reasons_for))}"] if rules.reasons_for else []
    said += (
        [f"media nodes beyond {rules.scale_up_to} need approval"]
        if rules.scale_up_to is not None
        else []
    )
    return "; ".join(
        [
            *said,
            f"approvals last {rules.approval_seconds:g} s",
            f"asked again at {rules.growth:g} times more people",
        ]
    )


def _names(people: Iterable[Actor]) -> str:
    return " and ".join(p.user for p in people)
