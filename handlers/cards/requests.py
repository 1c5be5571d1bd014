"""Requests: a plan that waits for approval, and what became of it."""

from handlers.blocks import Block, Card, actions, button, clock, context, section
from handlers.cards.glass import MARK, glass_buttons, glass_card, glass_waits
from handlers.cards.plans import impact, steps_line, title
from handlers.cards.words import asked, plain, sentence, why, with_remarks
from services.decisions import Request, RequestState
from services.steps.base import listed

APPROVE, REJECT, DETAILS, NOTE = "approve", "reject", "details", "note"


def request_card(request: Request, approvers: str) -> Card:
    """A plan that waits for approval, or what became of it."""
    plan = request.plan
    if request.glass and request.state is RequestState.OPEN:
        return glass_card(request, approvers)
    head = f"{f'{MARK} · ' if request.glass else ''}*{title(plan)}* · {asked(request.requester, request.reason)}"
    if request.state is not RequestState.OPEN:
        said = _closed(request)
        return Card(f"{title(plan)}, asked by {request.requester.mention}: {plain(said)}", (section(f"{head}\n{sentence(said)}"),))
    waits = f"{sentence(waits_for(request, approvers)).rstrip('.')} · until {clock(request.until)}"
    text = plain(f"{title(plan)}, {asked(request.requester, request.reason)}. {impact(plan)} {waits}. Steps: {steps_line(plan)}")
    return Card(
        text,
        (section(head), section(impact(plan)), section(steps_line(plan)), context(waits), actions(*decide_buttons(request))),
    )


def waits_for(request: Request, approvers: str) -> str:
    """Whose approval is missing still, and why one is needed."""
    if request.glass:
        return glass_waits(request, approvers)
    so_far = f"approved by {with_remarks(request.approvals, request.remarks)}; " if request.approvals else ""
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
    confirm = "; ".join(plan.effects.special) or ("this ends running meetings" if plan.effects.cuts_off else "")
    return [
        button("Approve", APPROVE, request.id, style="primary", confirm=f"{title(plan)}: {confirm}." if confirm else ""),
        button("Reject…", REJECT, request.id),
        button("Details", DETAILS, request.id),
    ]


def _closed(request: Request) -> str:
    by = f" by {request.closed_by.mention}" if request.closed_by else ""
    at = clock(request.closed_at)
    match request.state:
        case RequestState.APPROVED:
            return f"{'confirmed' if request.glass else 'approved'}{by} {at}, running as `{request.run}`"
        case RequestState.REJECTED:
            return f"rejected{by} {at}{why(request.why_closed)}. Nothing was changed."
        case RequestState.EXPIRED:
            verb = "confirmed" if request.glass else "approved"
            return f"expired {at}: nobody {verb} it in time. Nothing was changed; ask again with {_again(request)}."
        case _ if not request.replaced_by:
            changed = f"what it was about has changed since ({at}), so it cannot be done as asked"
            return f"{changed}. Nothing was changed; ask again with {_again(request)}."
        case _:
            return f"the cluster changed since this was asked for ({at}): the new plan is below. Nothing was changed."


def _again(request: Request) -> str:
    return f"`/openvidu {'break-glass ' if request.glass else ''}{request.plan.procedure.words()}`"


def details_card(request: Request, approvers: str, *, decides: bool = False) -> Card:
    """What the Details button shows: each step, who may approve, what the approval is bound to."""
    plan = request.plan
    numbered = "\n".join(f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1))
    bound = (
        f"Made {clock(plan.made_at)}. The approval is bound to exactly this (`{plan.digest[:12]}`): if a droplet, the pool or a step "
        f"changes, the new plan is shown instead. It may be given by {request.requester.mention if request.glass else approvers}, once."
    )
    noted = decides and not request.glass and request.state is RequestState.OPEN
    row = (actions(button("Approve with a note…", NOTE, request.id)),) if noted else ()
    return Card(f"{title(plan)}. Steps: {steps_line(plan)}. {plain(bound)}", (section(numbered), context(bound), *row))


def rejected_notice(request: Request) -> str:
    """Tells whoever asked why it was rejected; "" when there is nothing to tell."""
    by = request.closed_by
    if request.state is not RequestState.REJECTED or by is None or by.key == request.requester.key:
        return ""
    return f"{request.requester.mention}, {by.mention} rejected “{title(request.plan)}”{why(request.why_closed)}"
