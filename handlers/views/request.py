"""Requests: a plan that waits for approval, and its outcome."""

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    context,
    divider,
    header,
    section,
)
from handlers.slack.markup import time_of_day
from handlers.views.act import difference, difference_blocks, header_text, heading
from handlers.views.break_glass import MARK, glass_buttons, glass_card, glass_waits
from handlers.views.details import below_the_card, details_blocks
from handlers.views.later import (
    approved_by,
    closed_notice,
    not_done,
    scheduled_card,
    scheduled_suffix,
    until_words,
)
from handlers.views.plan import (
    deciding_facts,
    ends_service,
    first_screen,
    fitting_screen,
    fitting_text,
    in_sentences,
    is_dangerous,
    noun,
    start_label,
    title,
)
from handlers.views.text import (
    italic_reason,
    sentence,
    short_reason,
    with_remarks,
    without_formatting,
)
from services.common.text import count_of, join_words
from services.runs.request import Request, RequestState

APPROVE, REJECT, DETAILS, NOTE = "approve", "reject", "details", "note"


def request_card(request: Request, approvers: str) -> Card:
    """Return the card of a request: its plan while it waits, its outcome afterwards.

    `approvers`: who may approve it, as mentions; "" names and notifies no one.
    """
    if request.glass and request.state is RequestState.OPEN:
        return glass_card(request, approvers)
    if request.scheduled:
        return scheduled_card(request)
    if request.state is not RequestState.OPEN:
        return _closed_card(request)
    foot = context(_foot(request, approvers))

    def screen(level: int) -> list[Block]:
        top = [header(f"{header_text(request)}{scheduled_suffix(request)}?")]
        top += difference_blocks(request, brief=level > 0)
        return [*top, *first_screen(request.plan, *top, foot), foot]

    text = fitting_text(lambda level: _open_text(request, approvers, level))
    return Card(text, (*fitting_screen(screen), actions(*decide_buttons(request))))


def whole_request_card(request: Request, approvers: str) -> Card:
    """Return a request's card with its details below, for a reader who cannot open them."""
    card = request_card(request, approvers)
    if request.state is not RequestState.OPEN:
        return card
    return Card(card.text, (*card.blocks, divider(), *below_the_card(request, approvers)))


def _foot(request: Request, approvers: str) -> str:
    """Return who requested it and why, who is to approve it, and when it expires."""
    requester = f"Requested by {request.requester.mention}{short_reason(request.reason)}"
    return f"{requester} · {waits_for(request, approvers)} · {_expires(request)}"


def _open_text(request: Request, approvers: str, level: int) -> str:
    requester, reason = request.requester.mention, ""
    if level < 2:
        reason = short_reason(request.reason)
    subject = f"{heading(request)}{scheduled_suffix(request)}{reason}."
    begins = f"{requester} requests approval: {subject}"
    ends = f"Approve or reject: {_needed(request, approvers)}"
    if not approvers:
        ends = f"Needs {_needed(request, approvers)}"
    if request.startable:
        begins, ends = f"{requester} can start: {subject}", f"Start or cancel: {requester}"
    changed = difference(request, brief=level >= 3)
    parts = [begins, changed, *in_sentences(request.plan, level=level)]
    return f"{' '.join(filter(None, parts))} {ends}, {_by_when(request)}."


def _by_when(request: Request) -> str:
    if request.later:
        return until_words(request)
    return f"by {time_of_day(request.until)}"


def _expires(request: Request) -> str:
    if request.later:
        return until_words(request)
    return f"expires {time_of_day(request.until)}"


def waits_for(request: Request, approvers: str) -> str:
    """Return whose approval is missing: `needs @ben or @carla`."""
    if request.glass:
        return glass_waits(request)
    if request.startable:
        return f"needs no approval; only {request.requester.mention} can start it"
    so_far = ""
    if request.approvals:
        so_far = f"approved by {with_remarks(request.approvals, request.remarks)} · "
    return f"{so_far}needs {_needed(request, approvers)}"


def _needed(request: Request, approvers: str) -> str:
    """Return `@ben or @carla`, `2 approvals: @ben or @carla`; `1 approval` without names."""
    if not approvers:
        return count_of(request.left, "approval")
    if request.left == 1:
        return f"{_of_group(request)}{approvers}"
    return f"{request.left} approvals{_of_groups(request)}: {approvers}"


def _of_group(request: Request) -> str:
    """Return `one of @sec: `, where a group's approval is missing."""
    named = _groups(request)
    if not named:
        return ""
    return f"one of {named}: "


def _of_groups(request: Request) -> str:
    """Return `, one each from @ops and @sec`, where groups' approvals are missing."""
    named = _groups(request)
    if not named:
        return ""
    return f", one each from {named}"


def _groups(request: Request) -> str:
    return join_words(f"<!subteam^{g}>" for g in request.lacks)


def decide_buttons(request: Request) -> list[Block]:
    """Return Approve, Reject, Details. What ends service or loses something asks twice."""
    if request.glass:
        return glass_buttons(request)
    plan, confirm, style = request.plan, "", "primary"
    if ends_service(plan):
        confirm = f"{heading(request)}. {deciding_facts(plan)}"
    if is_dangerous(plan):
        style = "danger"
    refuse = "Reject…"
    if request.startable:
        refuse = "Cancel"
    return [
        button(_decision(request), APPROVE, request.id, style=style, confirm=confirm),
        button(refuse, REJECT, request.id),
        button("Details", DETAILS, request.id),
    ]


def _decision(request: Request) -> str:
    """Return `Approve shutdown`, `Approve resume of shutdown`, `Start scale`, `Start up`."""
    name = noun(request.plan.procedure)
    if request.act is not None:
        verb = "Start" if request.startable else "Approve"
        return f"{verb} resume of {name}"
    if request.startable:
        return start_label(request.plan.procedure)
    return f"Approve {name}"


# The outcome


def _closed_card(request: Request) -> Card:
    outcome = _closed(request)
    mark = ""
    if request.glass:
        mark = f"{MARK}. "
    requester = f"Requested by {request.requester.mention}{italic_reason(request.reason)}"
    subject = f"{heading(request)}{scheduled_suffix(request)}"
    text = f"{subject}: {outcome.removesuffix('.')}. Requested by {request.requester.mention}."
    return Card(
        without_formatting(text),
        (
            header(f"{header_text(request)}: {_state(request)}"),
            section(f"{mark}{sentence(outcome, (request.plan.cluster,))}"),
            context(f"{requester}{_planned_for(request)}"),
        ),
    )


def _planned_for(request: Request) -> str:
    if not request.later:
        return ""
    return f" · planned for {request.moment}"


def _state(request: Request) -> str:
    """Return the outcome in one or two words, for the header."""
    if not_done(request):
        return "not done"
    match request.state:
        case RequestState.APPROVED:
            return _verb(request)
        case RequestState.REJECTED:
            return _refused(request)
        case RequestState.EXPIRED:
            return "expired"
        case _ if request.replaced_by:
            return "replaced by a new plan"
        case _:
            return "outdated"


def _refused(request: Request) -> str:
    """Return what its button said: `Cancel`, or `Reject…` where approvers decide."""
    if request.agreed_at or request.startable or request.glass:
        return "cancelled"
    return "rejected"


def _closed(request: Request) -> str:
    at = time_of_day(request.closed_at)
    if over := not_done(request):
        return over
    match request.state:
        case RequestState.APPROVED:
            return _approved(request, at)
        case RequestState.REJECTED:
            reason = italic_reason(request.why_closed)
            return f"{_refused(request)}{_by(request)} {at}{reason}. Nothing was changed."
        case RequestState.EXPIRED:
            again = _again(request)
            return f"expired at {at}: {_undone(request)} in time. Nothing was changed. {again}"
        case _ if request.replaced_by:
            return (
                f"the cluster changed after the request ({at}). Nothing was changed. "
                "A new plan was posted."
            )
        case _ if request.act is not None:
            run = request.act.run
            return f"`{run}` has moved on since ({at}). Nothing was changed by this request."
        case _:
            changed = f"the cluster changed ({at}), so it cannot be done as requested"
            return f"{changed}. Nothing was changed. {_again(request)}"


def _by(request: Request) -> str:
    if request.closed_by is None:
        return ""
    return f" by {request.closed_by.mention}"


def _approved(request: Request, at: str) -> str:
    if request.later and request.approvals:
        return f"started {at} as `{request.run}`, {approved_by(request)}"
    if request.later:
        return f"started {at} as `{request.run}`"
    what_now = f"running as `{request.run}`"
    if request.act is not None:
        what_now = f"`{request.run}` continues"
    return f"{_verb(request)}{_by(request)} {at}, {what_now}"


def _verb(request: Request) -> str:
    if request.glass:
        return "confirmed"
    if request.startable or request.later:
        return "started"
    return "approved"


def _undone(request: Request) -> str:
    if request.startable:
        return "it was not started"
    if request.glass:
        return "it was not confirmed"
    return "no one approved it"


def _again(request: Request) -> str:
    act, words = request.act, request.plan.procedure.command_line()
    if act is not None and act.question:
        return f"Press the answer again on the message of `{act.run}`."
    if act is not None:
        return f"Press Resume again on the message of `{act.run}`."
    if request.glass:
        return f"Request it again with `/openvidu break-glass {words}`."
    return f"Request it again with `/openvidu {words}`."


# Details


def details_card(request: Request, approvers: str, *, decides: bool = False) -> Card:
    """Return what the Details button shows where no modal can be opened.

    `decides`: whether the reader may approve it.
    """
    blocks = [*details_blocks(request, approvers), *note_row(request, decides=decides)]
    return Card(f"Details of: {without_formatting(heading(request))}.", tuple(blocks))


def note_row(request: Request, *, decides: bool) -> list[Block]:
    """Return the button to approve with a note, for any user who may approve it now."""
    takes_notes = not request.glass and not request.scheduled and not request.startable
    if not (decides and takes_notes and request.state is RequestState.OPEN):
        return []
    return [actions(button("Approve with a note…", NOTE, request.id))]


def rejected_notice(request: Request) -> str:
    """Tell the requester why it was rejected; "" when there is nothing to tell."""
    by = request.closed_by
    if called_off := closed_notice(request):
        return called_off
    if request.state is not RequestState.REJECTED or by is None or by.key == request.requester.key:
        return ""
    requester, reason = request.requester.mention, italic_reason(request.why_closed)
    return f"{requester}, {by.mention} rejected “{title(request.plan)}”{reason}"
