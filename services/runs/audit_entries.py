"""Audit entries of requests and runs: which decision a change of one of them is. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.access.policy import Actor, ClusterPolicy
from services.audit.entries import AuditAction, AuditRecord
from services.common.text import count_of
from services.procedures import ChangeConfigFile, Configure
from services.runs.request import Request, RequestState
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Resumed,
    Run,
    Stopped,
)
from services.windows import hours_words

UNSEEN = "unknown"
CLOSED = {
    RequestState.REJECTED: AuditAction.REJECTED,
    RequestState.EXPIRED: AuditAction.EXPIRED,
    RequestState.SUPERSEDED: AuditAction.SUPERSEDED,
}


def of_request(before: Request | None, after: Request) -> AuditRecord:
    """The entry for a request that was filed, approved once more, or closed."""
    plan, waits = after.plan, _waits(before) if before is not None else ""
    match after.state:
        case RequestState.OPEN if before is None:
            what = AuditAction.GLASS if after.glass else AuditAction.ASKED
            return AuditRecord(
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
            return AuditRecord(
                AuditAction.DELAYED, None, after.id, after.waits, waits, _waits(after), plan.digest
            )
        case RequestState.OPEN:
            if after.startable or (after.later and not after.needs):
                return AuditRecord(
                    AuditAction.EASED, None, after.id, "", waits, _waits(after), plan.digest
                )
            by = after.approvals[-1] if after.approvals else None
            return AuditRecord(
                AuditAction.APPROVED,
                by,
                after.id,
                _remark(after, by),
                waits,
                _waits(after),
                plan.digest,
            )
        case RequestState.APPROVED:
            return _of_approved(after, waits)
        case _:
            now = str(after.state)
            if after.replaced_by:
                now += f", replaced by request {after.replaced_by}"
            return AuditRecord(
                CLOSED[after.state],
                after.closed_by,
                after.id,
                after.why_closed,
                waits,
                now,
                plan.digest,
            )


def _of_approved(request: Request, waits: str) -> AuditRecord:
    """The entry for the last approval, or for what took its place."""
    what, basis = AuditAction.APPROVED, "approved"
    if request.glass:
        what = AuditAction.GLASS_CONFIRMED
        basis = f"no approval: break-glass by {request.requester.user}"
    elif request.startable:
        what, basis = AuditAction.STARTED, "no approval needed"
    then = f"runs as {request.run}"
    if request.act:
        then = f"{request.run} continues"
    by = request.closed_by
    remark, now = _remark(request, by), f"{basis}, {then}"
    return AuditRecord(what, by, request.id, remark, waits, now, request.plan.digest)


def _remark(request: Request, by: Actor | None) -> str:
    """What this approver wrote with it."""
    return dict(request.remarks).get(by.key, "") if by is not None else ""


def _waits(request: Request) -> str:
    words = request.plan.procedure.command_line()
    if request.act is not None:
        words = f"{request.act.label or 'resume'} {request.act.run} ({words})"
    if request.later:
        words = f"{words} on {request.moment}"
    if request.scheduled and request.waits:
        return f"{words}: waiting ({request.waits})"
    if request.scheduled:
        return f"{words}: scheduled"
    if request.startable:
        return f"{words}: needs no approval"
    if request.glass:
        return f"{words}: waiting for confirmation"
    return f"{words}: {len(request.approvals)} of {count_of(request.needs, 'approval')}"


def _file(request: Request, waits: str) -> tuple[str, str]:
    """What a change of a file replaces and writes: keys and digests, never a value."""
    procedure = request.plan.procedure
    if isinstance(procedure, ChangeConfigFile):
        name = procedure.file
        return f"{name} {procedure.before}", f"{waits}; {name} {procedure.after_digest}"
    if not isinstance(procedure, Configure):
        return "", waits
    return (
        f"secrets.env {procedure.before}",
        f"{waits}; secrets.env {procedure.after_digest} ({', '.join(procedure.keys)})",
    )


def of_opening(event: Opened) -> AuditRecord:
    """The entry for a run that begins, with what it rests on."""
    origin = ""
    if event.request:
        origin = f" from request {event.request}"
    elif event.edge:
        origin = f" for window edge {event.edge}"
    plan = event.plan
    now = f"{plan.procedure.command_line()}: {_basis(event)}{origin}{_promises(event)}"
    return AuditRecord(
        AuditAction.OPENED, event.requester, event.run, event.reason, "", now, plan.digest
    )


def _promises(event: Opened) -> str:
    """What the plan promises about service: until when it is back, or that it is interrupted."""
    words = ""
    if event.by:
        words += f"; ready by {_second(event.by)}"
    if event.plan.effects.down:
        words += "; out of service meanwhile"
    return words


def _second(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S UTC}"


def of_progress(run: Run, event: Event) -> tuple[AuditRecord, ...]:
    """The entries for what the driving worker did: what promises to people are measured by."""
    match event:
        case Questioned():
            asks = f"question: {event.question.text}"
            return (AuditRecord(AuditAction.WAITS, None, run.id, "", "", asks),)
        case Stopped():
            why = f"paused: {event.reason}"
            return (AuditRecord(AuditAction.WAITS, None, run.id, "", "", why),)
        case Answered(by=None):
            return (_settled(run, event),)
        case Asked(ends=ends) if ends is not None:
            return (_ends_meetings(run, ends.people, ends.named),)
        case Noted(disconnects=True):
            return (_ends_meetings(run, None, 0),)
        case _:
            return ()


def _settled(run: Run, event: Answered) -> AuditRecord:
    """The entry for a question that was closed without an answer."""
    how = "no longer needed"
    if event.choice and run.question is not None and run.question.default == event.choice:
        how = f"default: {event.choice}"
    elif event.choice:
        how = f"by policy: {event.choice}"
    asked = run.question.text if run.question else ""
    return AuditRecord(AuditAction.SETTLED, None, run.id, "", asked, how)


def _ends_meetings(run: Run, people: int | None, named: int | None) -> AuditRecord:
    """The entry for a step that disconnects people: as many, and as many as cards named."""
    seen, agreed = (UNSEEN if count is None else f"{count}" for count in (people, named))
    return AuditRecord(
        AuditAction.ENDS_MEETINGS, None, run.id, "", f"named: {agreed}", f"people: {seen}"
    )


def _basis(event: Opened) -> str:
    """By whose approval the run begins."""
    if event.glass:
        return f"no approval: break-glass by {event.requester.user}"
    if event.standing:
        given = datetime.fromtimestamp(event.standing, UTC)
        return f"standing approval by {_names(event.approvers)} of {given:%d %b %Y}"
    if event.approvers:
        return f"approved by {_names(event.approvers)}"
    if event.edge:
        return "window in the settings file"
    return "no approval needed"


def of_decision(run: Run, event: CancelAsked | Answered | Resumed) -> AuditRecord:
    """The entry for what a person decided about an open run."""
    stood = str(run.state)
    if run.stopped:
        stood = f"{run.state}: {run.stopped}"
    match event:
        case CancelAsked():
            return AuditRecord(
                AuditAction.CANCELLED,
                event.by,
                run.id,
                event.reason,
                stood,
                "stops at the next safe point",
            )
        case Resumed():
            return AuditRecord(
                AuditAction.RESUMED,
                event.by,
                run.id,
                event.reason,
                stood,
                f"continues from step {event.step + 1}{_anew(run, event)}",
            )
        case Answered():
            asked = run.question.text if run.question else ""
            chosen = run.labels.get((event.question, event.choice), event.choice)
            return AuditRecord(
                AuditAction.ANSWERED, event.by, run.id, "", asked, f"{chosen}{_anew(run, event)}"
            )


def _anew(run: Run, event: Answered | Resumed) -> str:
    """By whose approval a run goes on, where one was given for that."""
    if event.plan is None:
        return ""
    if event.approvers:
        return f", approved by {_names(event.approvers)}"
    if run.glass:
        return f", no approval: break-glass by {run.requester.user}"
    return ", no approval needed"


def of_vote(run: Run, choice: str, by: Actor) -> AuditRecord:
    """The entry for a vote for an answer that takes several people."""
    question, label, asked = run.question, choice, ""
    if question is not None:
        label, asked = run.labels.get((question.id, choice), choice), question.text
    return AuditRecord(
        AuditAction.VOTED, by, run.id, "", asked, f"{label} (vote; more people needed)"
    )


def of_end(run: Run, event: Ended, journal: str) -> AuditRecord:
    """The entry for the end of a run, with the digest of its journal."""
    now = f"{event.how}"
    if event.text:
        now = f"{event.how}: {event.text}"
    return AuditRecord(
        AuditAction.ENDED, event.by, run.id, event.reason, str(run.state), now, journal
    )


def of_policy(before: str, rules: ClusterPolicy) -> AuditRecord:
    """The entry for a policy that differs from that of the last start."""
    return AuditRecord(AuditAction.POLICY, None, "settings", "", before, policy_words(rules))


def policy_words(rules: ClusterPolicy) -> str:
    """A policy on one line; equal policies give equal lines."""
    roles = {
        "operators": rules.operators,
        "approvers": rules.approvers,
        "viewers": rules.viewers,
        "break-glass": rules.break_glass_users,
    }
    roles |= dict(rules.users_by_class)
    if rules.wake_users:
        roles |= {"wakers": rules.wake_users}
    parts = [f"{role}: {', '.join(sorted(people)) or 'nobody'}" for role, people in roles.items()]
    parts.append(f"approvals: {rules.approvals}")
    parts += [f"for {impact}: {needed}" for impact, needed in sorted(rules.approvals_for)]
    if rules.approvals_from:
        parts.append(f"one from each of: {', '.join(rules.approvals_from)}")
    if rules.single_operator:
        parts.append("a single operator may confirm alone")
    if rules.approvals_when:
        parts.append(f"approvals count {hours_words(rules.approvals_when)}")
    if rules.reasons_for:
        parts.append(f"a reason for: {', '.join(sorted(rules.reasons_for))}")
    if rules.scale_up_to is not None:
        parts.append(f"media nodes beyond {rules.scale_up_to} need approval")
    parts.append(f"approvals last {rules.approval_seconds:g} s")
    parts.append(f"asked again at {rules.growth:g} times more people")
    return "; ".join(parts)


def _names(people: Iterable[Actor]) -> str:
    return " and ".join(p.user for p in people)
