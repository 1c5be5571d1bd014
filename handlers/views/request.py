"""Requests: a plan that waits for approval, and its outcome."""

from handlers.slack.blocks import Block, Card, actions, button, context, section
from handlers.slack.markup import time_of_day
from handlers.views.act import difference, difference_blocks, heading
from handlers.views.break_glass import MARK, glass_buttons, glass_card, glass_waits, what_is_lost
from handlers.views.later import (
    approved_by,
    closed_notice,
    looked_at_again,
    not_done,
    scheduled_card,
    scheduled_suffix,
    until_words,
)
from handlers.views.plan import impact, numbered, steps_line, title
from handlers.views.text import (
    italic_reason,
    requested_by,
    sentence,
    with_remarks,
    without_formatting,
)
from services.common.text import join_words
from services.runs.request import Request, RequestState

APPROVE, REJECT, DETAILS, NOTE = "approve", "reject", "details", "note"
ONE_OF_EACH = {1: "one"}  # by the number of groups whose approval is missing


def request_card(request: Request, approvers: str) -> Card:
    """Return the card of a request: its plan while it waits, its outcome afterwards."""
    if request.glass and request.state is RequestState.OPEN:
        return glass_card(request, approvers)
    if request.scheduled:
        return scheduled_card(request)
    if request.state is not RequestState.OPEN:
        return _closed_card(request)
    plan = request.plan
    waits = f"{sentence(waits_for(request, approvers)).rstrip('.')} · {_until(request)}"
    subject = f"{heading(request)}{scheduled_suffix(request)}"
    requester = requested_by(request.requester, request.reason)
    first = f"{subject}, {requester}. {difference(request)}".rstrip()
    text = without_formatting(f"{first} {impact(plan)} {waits}. Steps: {steps_line(plan)}")
    body = (
        section(f"*{subject}* · {requester}"),
        *difference_blocks(request),
        section(impact(plan)),
        section(steps_line(plan)),
    )
    return Card(text, (*body, context(waits), actions(*decide_buttons(request))))


def _closed_card(request: Request) -> Card:
    subject, outcome = f"{heading(request)}{scheduled_suffix(request)}", _closed(request)
    head = f"{_mark(request)}*{subject}* · {requested_by(request.requester, request.reason)}"
    requester = request.requester.mention
    title = f"{without_formatting(heading(request))}{scheduled_suffix(request)}"
    text = f"{title}, asked by {requester}: {without_formatting(outcome)}"
    return Card(text, (section(f"{head}\n{sentence(outcome)}"),))


def _mark(request: Request) -> str:
    if not request.glass:
        return ""
    return f"{MARK} · "


def _until(request: Request) -> str:
    if request.later:
        return until_words(request)
    return f"until {time_of_day(request.until)}"


def waits_for(request: Request, approvers: str) -> str:
    """Describe whose approval is missing, and why one is needed."""
    if request.glass:
        return glass_waits(request, approvers)
    if request.startable:
        return f"needs no approval: only {request.requester.mention} can start it"
    so_far = ""
    if request.approvals:
        so_far = f"approved by {with_remarks(request.approvals, request.remarks)}; "
    needed = "one approval"
    if request.left != 1:
        needed = f"{request.left} approvals"
    return f"{so_far}needs {needed}{_of_groups(request)} by {approvers}, because {request.why}"


def _of_groups(request: Request) -> str:
    """Return ` from @sec` or `, one each from @ops and @sec,`: the groups still missing."""
    named = join_words(f"<!subteam^{g}>" for g in request.lacks)
    if not named:
        return ""
    if request.left == 1:
        return f" from {named}"
    return f", {ONE_OF_EACH.get(len(request.lacks), 'one each')} from {named},"


def decide_buttons(request: Request) -> list[Block]:
    """Return Approve, Reject, Details. Approving a plan that disconnects people asks twice."""
    if request.glass:
        return glass_buttons(request)
    details = button("Details", DETAILS, request.id)
    if request.startable:
        return [
            button("Start", APPROVE, request.id, style="primary"),
            button("Take it back", REJECT, request.id),
            details,
        ]
    confirm = ""
    if lost := what_is_lost(request.plan):
        confirm = f"{without_formatting(heading(request))}: {lost}."
    return [
        button("Approve", APPROVE, request.id, style="primary", confirm=confirm),
        button("Reject…", REJECT, request.id),
        details,
    ]


def _closed(request: Request) -> str:
    at = time_of_day(request.closed_at)
    if over := not_done(request):
        return over
    match request.state:
        case RequestState.APPROVED:
            return _approved(request, at)
        case RequestState.REJECTED:
            verb = "rejected"
            if request.agreed_at:
                verb = "called off"
            reason = italic_reason(request.why_closed)
            return f"{verb}{_by(request)} {at}{reason}. Nothing was changed."
        case RequestState.EXPIRED:
            again = _again(request)
            return f"expired {at}: {_undone(request)} in time. Nothing was changed; {again}."
        case _ if request.replaced_by:
            return (
                f"the cluster changed since this was asked for ({at}): the new plan is below."
                " Nothing was changed."
            )
        case _ if request.act is not None:
            run = request.act.run
            return f"`{run}` has moved on since ({at}). Nothing was changed by this request."
        case _:
            changed = f"what it was about has changed since ({at}), so it cannot be done as asked"
            return f"{changed}. Nothing was changed; {_again(request)}."


def _by(request: Request) -> str:
    if request.closed_by is None:
        return ""
    return f" by {request.closed_by.mention}"


def _approved(request: Request, at: str) -> str:
    if request.later and request.approvals:
        return f"{approved_by(request)}, started {at} as `{request.run}`; its own message is below"
    if request.later:
        return f"started {at} as `{request.run}`; its own message is below"
    what_now = f"running as `{request.run}`"
    if request.act is not None:
        what_now = f"`{request.run}` goes on"
    return f"{_verb(request)}{_by(request)} {at}, {what_now}"


def _verb(request: Request) -> str:
    if request.glass:
        return "confirmed"
    if request.startable:
        return "started"
    return "approved"


def _undone(request: Request) -> str:
    if request.startable:
        return "it was not started"
    if request.glass:
        return "nobody confirmed it"
    return "nobody approved it"


def _again(request: Request) -> str:
    act, words = request.act, request.plan.procedure.command_line()
    if act is not None and act.question:
        return f"press the answer again on the message of `{act.run}`"
    if act is not None:
        return f"press Resume again on the message of `{act.run}`"
    if request.glass:
        return f"ask again with `/openvidu break-glass {words}`"
    return f"ask again with `/openvidu {words}`"


def details_card(request: Request, approvers: str, *, decides: bool = False) -> Card:
    """Return what the Details button shows: each step, who may approve, what that covers.

    `decides`: whether the reader may approve it.
    """
    plan = request.plan
    if request.glass:
        approvers = request.requester.mention
    bound = (
        f"Made {time_of_day(plan.made_at)}. The approval is bound to exactly this "
        f"(`{plan.digest[:12]}`): if a droplet, the pool or a step changes, the new plan is shown "
        f"instead. It may be given by {approvers}, once."
    )
    if request.later:
        bound += f" {looked_at_again(request)}"
    blocks = [section("\n".join(numbered(plan))), context(bound)]
    takes_notes = not request.glass and not request.scheduled
    if decides and takes_notes and request.state is RequestState.OPEN:
        blocks.append(actions(button("Approve with a note…", NOTE, request.id)))
    title = without_formatting(heading(request))
    text = f"{title}. Steps: {steps_line(plan)}. {without_formatting(bound)}"
    return Card(text, tuple(blocks))


def rejected_notice(request: Request) -> str:
    """Tell the requester why it was rejected; "" when there is nothing to tell."""
    by = request.closed_by
    if called_off := closed_notice(request):
        return called_off
    if request.state is not RequestState.REJECTED or by is None or by.key == request.requester.key:
        return ""
    requester, reason = request.requester.mention, italic_reason(request.why_closed)
    return f"{requester}, {by.mention} rejected “{title(request.plan)}”{reason}"
