"""Requests: a plan that waits for approval, and what became of it."""

from handlers.slack.blocks import Block, Card, actions, button, clock, context, section
from handlers.views.act import heading, unlike, unlike_blocks
from handlers.views.break_glass import MARK, glass_buttons, glass_card, glass_waits
from handlers.views.later import (
    approved_by,
    closed_notice,
    looked_at_again,
    not_done,
    scheduled_card,
    until_words,
    when,
)
from handlers.views.plan import impact, numbered, steps_line, title
from handlers.views.text import asked, plain, sentence, why, with_remarks
from services.common.text import listed
from services.runs.request import Request, RequestState

APPROVE, REJECT, DETAILS, NOTE = "approve", "reject", "details", "note"


def request_card(request: Request, approvers: str) -> Card:
    """A plan that waits for approval, or what became of it."""
    plan = request.plan
    if request.glass and request.state is RequestState.OPEN:
        return glass_card(request, approvers)
    if request.scheduled:
        return scheduled_card(request)
    head = f"{f'{MARK} · ' if request.glass else ''}*{heading(request)}{when(request)}* · {asked(request.requester, request.reason)}"
    if request.state is not RequestState.OPEN:
        said = _closed(request)
        words = f"{plain(heading(request))}{when(request)}, asked by {request.requester.mention}: {plain(said)}"
        return Card(words, (section(f"{head}\n{sentence(said)}"),))
    until = until_words(request) if request.later else f"until {clock(request.until)}"
    waits = f"{sentence(waits_for(request, approvers)).rstrip('.')} · {until}"
    first = f"{heading(request)}{when(request)}, {asked(request.requester, request.reason)}. {unlike(request)}"
    text = plain(f"{first.rstrip()} {impact(plan)} {waits}. Steps: {steps_line(plan)}")
    body = (
        section(head),
        *unlike_blocks(request),
        section(impact(plan)),
        section(steps_line(plan)),
    )
    return Card(text, (*body, context(waits), actions(*decide_buttons(request))))


def waits_for(request: Request, approvers: str) -> str:
    """Whose approval is missing still, and why one is needed."""
    if request.glass:
        return glass_waits(request, approvers)
    if request.startable:
        return f"needs no approval any more: {request.requester.mention} can start it"
    so_far = (
        f"approved by {with_remarks(request.approvals, request.remarks)}; "
        if request.approvals
        else ""
    )
    needed = "one approval" if request.left == 1 else f"{request.left} approvals"
    return f"{so_far}needs {needed}{_of_groups(request)} by {approvers}, because {request.why}"


def _of_groups(request: Request) -> str:
    """` from @sec`, `, one each from @ops and @sec,`: whose approval is missing still."""
    named = listed(f"<!subteam^{g}>" for g in request.lacks)
    if not named:
        return ""
    if request.left == 1:
        return f" from {named}"
    return f", {'one' if len(request.lacks) == 1 else 'one each'} from {named},"


def decide_buttons(request: Request) -> list[Block]:
    """Approve, Reject, Details. Approving what cuts people off is asked twice."""
    if request.glass:
        return glass_buttons(request)
    plan = request.plan
    if request.startable:
        return [
            button("Start", APPROVE, request.id, style="primary"),
            button("Take it back", REJECT, request.id),
            button("Details", DETAILS, request.id),
        ]
    confirm = "; ".join(plan.effects.special) or (
        "this ends running meetings" if plan.effects.cuts_off else ""
    )
    asks = f"{plain(heading(request))}: {confirm}." if confirm else ""
    return [
        button("Approve", APPROVE, request.id, style="primary", confirm=asks),
        button("Reject…", REJECT, request.id),
        button("Details", DETAILS, request.id),
    ]


def _closed(request: Request) -> str:
    by = f" by {request.closed_by.mention}" if request.closed_by else ""
    at = clock(request.closed_at)
    if over := not_done(request):
        return over
    match request.state:
        case RequestState.APPROVED:
            if request.later:
                given = f"{approved_by(request)}, " if request.approvals else ""
                return f"{given}started {at} as `{request.run}`; its own message is below"
            verb = "confirmed" if request.glass else "started" if request.startable else "approved"
            return f"{verb}{by} {at}, {f'`{request.run}` goes on' if request.act else f'running as `{request.run}`'}"
        case RequestState.REJECTED:
            verb = "called off" if request.agreed_at else "rejected"
            return f"{verb}{by} {at}{why(request.why_closed)}. Nothing was changed."
        case RequestState.EXPIRED:
            verb = "confirmed" if request.glass else "approved"
            undone = "it was not started" if request.startable else f"nobody {verb} it"
            return f"expired {at}: {undone} in time. Nothing was changed; {_again(request)}."
        case _ if not request.replaced_by:
            if request.act is not None:
                return f"`{request.act.run}` has moved on since ({at}). Nothing was changed by this request."
            changed = f"what it was about has changed since ({at}), so it cannot be done as asked"
            return f"{changed}. Nothing was changed; {_again(request)}."
        case _:
            return f"the cluster changed since this was asked for ({at}): the new plan is below. Nothing was changed."


def _again(request: Request) -> str:
    if request.act is not None:
        return f"press {'the answer' if request.act.question else 'Resume'} again on the message of `{request.act.run}`"
    return f"ask again with `/openvidu {'break-glass ' if request.glass else ''}{request.plan.procedure.words()}`"


def details_card(request: Request, approvers: str, *, decides: bool = False) -> Card:
    """What the Details button shows: each step, who may approve, what the approval is bound to."""
    plan = request.plan
    bound = (
        f"Made {clock(plan.made_at)}. The approval is bound to exactly this (`{plan.digest[:12]}`): if a droplet, the pool or a step "
        f"changes, the new plan is shown instead. It may be given by {request.requester.mention if request.glass else approvers}, once."
    )
    if request.later:
        bound += f" {looked_at_again(request)}"
    noted = (
        decides
        and not request.glass
        and not request.scheduled
        and request.state is RequestState.OPEN
    )
    row = (actions(button("Approve with a note…", NOTE, request.id)),) if noted else ()
    blocks = (section("\n".join(numbered(plan))), context(bound), *row)
    return Card(f"{plain(heading(request))}. Steps: {steps_line(plan)}. {plain(bound)}", blocks)


def rejected_notice(request: Request) -> str:
    """Tells whoever asked why it was rejected; "" when there is nothing to tell."""
    by = request.closed_by
    if said := closed_notice(request):
        return said
    if request.state is not RequestState.REJECTED or by is None or by.key == request.requester.key:
        return ""
    return f"{request.requester.mention}, {by.mention} rejected “{title(request.plan)}”{why(request.why_closed)}"
