"""Changes scheduled for later: until when the approval counts, what delays it, why it expired."""

from handlers.slack.blocks import Block, Card, actions, button, context, header, section
from handlers.slack.markup import date_time, time_of_day
from handlers.views.act import escape_except_mentions, header_text
from handlers.views.plan import first_screen, fitting_text, in_sentences, title
from handlers.views.text import (
    italic_reason,
    requested_by,
    sentence,
    short_reason,
    with_remarks,
    without_formatting,
)
from services.runs.request import GRACE, Request, RequestState
from services.store.keys import LATER

REJECT, DETAILS = "reject", "details"
SHORT = 6  # characters of an id that people type
LISTED = 40  # scheduled changes in a list; Slack takes 50 blocks
NOT_DONE = (RequestState.EXPIRED, RequestState.SUPERSEDED)


def scheduled_suffix(request: Request) -> str:
    """Return ` on Mon 30 Nov 2026, 22:00 Europe/Madrid`; "" for a change that is done at once."""
    if not request.later:
        return ""
    return f" on {request.moment}"


def short_id(request: Request) -> str:
    """Return the id that `later cancel` takes."""
    return request.id.removeprefix(LATER)[:SHORT]


def scheduled_card(request: Request) -> Card:
    """Return the card of a change that is approved and waits for its time."""
    requester = f"{request.requester.mention}{short_reason(request.reason)}"
    top = [header(f"{header_text(request)}{scheduled_suffix(request)}")]
    if request.waits:
        top.append(section(f":warning: {_delay(request)}"))
    foot = context(f"Requested by {requester} · {counts_until(request)}")
    does = [section("Nothing to do as of now.")]
    if request.plan.steps:
        does = first_screen(request.plan, *top, foot)
    return Card(
        fitting_text(lambda level: _scheduled_text(request, level)),
        (*top, *does, foot, actions(*cancel_buttons(request))),
    )


def _scheduled_text(request: Request, level: int) -> str:
    reason = ""
    if level < 2:
        reason = short_reason(request.reason)
    requester = f"{request.requester.mention}{reason}"
    sentences = ["Nothing to do as of now."]
    if request.plan.steps:
        sentences = in_sentences(request.plan, level=level)
    parts = [f"{title(request.plan)}{scheduled_suffix(request)}, requested by {requester}."]
    if request.waits:
        parts.append(_delay(request))
    if level < 2:
        parts.append(sentence(counts_until(request), (request.plan.cluster,)))
    cancels = f"Cancel with `/openvidu later cancel {short_id(request)}`."
    return " ".join([*parts, *sentences, cancels])


def _delay(request: Request) -> str:
    return f"Not started yet: {waits_for(request)}."


def counts_until(request: Request) -> str:
    """Return who approved it, and how long the approval counts."""
    if not request.approvals:
        return f"needs no approval; starts {date_time(request.later)}"
    return f"{approved_by(request)}; counts until {date_time(request.later + GRACE)}"


def approved_by(request: Request) -> str:
    """Return `approved by @ben 16:04`."""
    approvers = with_remarks(request.approvals, request.remarks)
    return f"approved by {approvers} {time_of_day(request.agreed_at)}"


def looked_at_again(request: Request) -> str:
    """Describe what happens at the scheduled time."""
    return (
        f"At {time_of_day(request.later)} the bot makes the plan again. It starts only if the "
        "steps are the same, no more people are affected, and every approval still counts. "
        "Otherwise it requests approval again. "
        f"`/openvidu later cancel {short_id(request)}` cancels it."
    )


def waits_for(request: Request) -> str:
    """Return what delays it, and until when it is retried."""
    until = time_of_day(request.later + GRACE)
    return f"{escape_except_mentions(request.waits)}. The bot retries until {until}"


def cancel_buttons(request: Request) -> list[Block]:
    """Return the buttons of a scheduled change: cancel it, details."""
    return [button("Cancel…", REJECT, request.id), button("Details", DETAILS, request.id)]


def until_words(request: Request) -> str:
    """Return until when approval can be given."""
    return f"until {date_time(request.later)}"


def later_line(request: Request) -> str:
    """Return one line of a list: time, plan, requester, state, id."""
    requester = requested_by(request.requester, request.reason)
    what = f"{date_time(request.later)} *{title(request.plan)}*"
    return f"{what} · {requester} · {_state(request)} · `{short_id(request)}`"


def _state(request: Request) -> str:
    if not request.scheduled:
        return "waits for approval"
    if request.waits:
        return f"waits: {escape_except_mentions(request.waits)}"
    if request.approvals:
        return "approved"
    return "needs no approval"


def later_card(name: str, requests: list[Request], *, operates: bool = False) -> Card:
    """List everything that is scheduled on a cluster. `operates`: the reader may cancel one."""
    if not requests:
        text = f"Nothing is scheduled on {name}. Add `--at 22:00` to a command to schedule it."
        return Card(text, (section(text),))
    head, foot = f"Scheduled on {name}", "`/openvidu later cancel ID` cancels one."
    lines = [later_line(r) for r in requests]
    rows = [_row(r, operates=operates) for r in requests[:LISTED]]
    if len(requests) > LISTED:
        foot = f"And {len(requests) - LISTED} more. {foot}"
    text = without_formatting(f"{head}: {'; '.join(lines)}. {foot}")
    return Card(text, (header(head), *rows, context(foot)))


def _row(request: Request, *, operates: bool) -> Block:
    row = section(later_line(request))
    if operates and request.scheduled:
        row["accessory"] = button("Cancel…", REJECT, request.id)
    return row


def not_done(request: Request) -> str:
    """Explain why a change was not done at its time.

    Returns "" for one that is still to come, was done, or was cancelled.
    """
    if not request.later or request.state not in NOT_DONE or not request.agreed_at:
        return ""
    next_step = f"Request it again with `/openvidu {request.plan.procedure.command_line()}`."
    if request.replaced_by:
        next_step = "A new request for approval was posted."
    at, why = time_of_day(request.later), escape_except_mentions(request.why_closed)
    reason = sentence(why, (request.plan.cluster,))
    return f"not done at {at}. {reason} Nothing was changed. {next_step}"


def closed_notice(request: Request) -> str:
    """Tell requester and approvers that it was cancelled or not done; "" for anything else."""
    by = request.closed_by
    actors = {a.key: a for a in (request.requester, *request.approvals)}
    people = " ".join(a.mention for a in actors.values())
    subject = f"*{title(request.plan)}{scheduled_suffix(request)}*"
    if reason := not_done(request):
        return f"{people}: {subject} was {reason}"
    if request.state is RequestState.REJECTED and request.agreed_at and by is not None:
        return f"{people}: {by.mention} cancelled {subject}{italic_reason(request.why_closed)}"
    return ""
