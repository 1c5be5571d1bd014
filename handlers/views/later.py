"""Changes scheduled for later: until when the approval counts, what delays it, why it expired."""

from handlers.slack.blocks import Block, Card, actions, button, context, header, section
from handlers.slack.markup import date_time, time_of_day
from handlers.views.act import escape_except_mentions
from handlers.views.plan import impact, steps_line, title
from handlers.views.text import (
    italic_reason,
    requested_by,
    sentence,
    with_remarks,
    without_formatting,
)
from services.common.text import duration
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
    plan = request.plan
    subject, requester = (
        f"{title(plan)}{scheduled_suffix(request)}",
        requested_by(request.requester, request.reason),
    )
    head, body = section(f"*{subject}* · {requester}"), []
    counts, then = counts_until(request), looked_at_again(request)
    waits = ""
    if request.waits:
        waits = f":warning: {sentence(f'not done yet: {waits_for(request)}')}"
        body.append(section(waits))
    does = "As of now there is nothing to do."
    if plan.steps:
        does = impact(plan)
    body.append(section(does))
    if plan.steps:
        body.append(section(steps_line(plan)))
    text = without_formatting(
        " ".join(filter(None, (f"{subject}, {requester}.", counts, waits, does, then)))
    )
    foot = (context(f"{counts} {then}"), actions(*cancel_buttons(request)))
    return Card(text, (head, *body, *foot))


def counts_until(request: Request) -> str:
    """Describe who approved it, and how long the approval counts."""
    if not request.approvals:
        return f"Needs no approval; done {date_time(request.later)}."
    approved = sentence(approved_by(request)).rstrip(".")
    until = date_time(request.later + GRACE)
    return f"{approved}; this counts until {until} and for nothing else."


def approved_by(request: Request) -> str:
    """Return `approved by @ben 16:04`."""
    approvers = with_remarks(request.approvals, request.remarks)
    return f"approved by {approvers} {time_of_day(request.agreed_at)}"


def looked_at_again(request: Request) -> str:
    """Describe what happens at the scheduled time."""
    return (
        f"At {time_of_day(request.later)} the cluster is looked at again. If more people would be "
        "affected, the steps are others, or an approval does not count any more, nothing is done "
        f"and you are asked again. `/openvidu later cancel {short_id(request)}` calls it off."
    )


def waits_for(request: Request) -> str:
    """Describe what delays it, and until when it is retried."""
    until = time_of_day(request.later + GRACE)
    return f"{escape_except_mentions(request.waits)}. It is tried until {until}"


def cancel_buttons(request: Request) -> list[Block]:
    """Return the buttons of a scheduled change: call it off, details."""
    return [button("Call off…", REJECT, request.id), button("Details", DETAILS, request.id)]


def until_words(request: Request) -> str:
    """Describe until when approval can be given, and how long it counts then."""
    return (
        f"can be approved until {date_time(request.later)}; "
        f"an approval counts until {duration(GRACE)} after that time"
    )


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
        foot = f"and {len(requests) - LISTED} more. {foot}"
    text = without_formatting(f"{head}: {'; '.join(lines)}. {foot}")
    return Card(text, (header(head), *rows, context(foot)))


def _row(request: Request, *, operates: bool) -> Block:
    row = section(later_line(request))
    if operates and request.scheduled:
        row["accessory"] = button("Cancel…", REJECT, request.id)
    return row


def not_done(request: Request) -> str:
    """Explain why a change was not done at its time.

    Returns "" for one that is still to come, was done, or was called off.
    """
    if not request.later or request.state not in NOT_DONE or not request.agreed_at:
        return ""
    next_step = f"Ask again with `/openvidu {request.plan.procedure.command_line()}`."
    if request.replaced_by:
        next_step = "The request for approval is below."
    at, reason = time_of_day(request.later), escape_except_mentions(request.why_closed)
    return f"not done at {at}: {reason}. Nothing was changed. {next_step}"


def closed_notice(request: Request) -> str:
    """Tell requester and approvers that it was called off or not done; "" for anything else."""
    by = request.closed_by
    actors = {a.key: a for a in (request.requester, *request.approvals)}
    people = " ".join(a.mention for a in actors.values())
    subject = f"*{title(request.plan)}{scheduled_suffix(request)}*"
    if reason := not_done(request):
        return f"{people}: {subject} was {reason}"
    if request.state is RequestState.REJECTED and request.agreed_at and by is not None:
        return f"{people}: {by.mention} called off {subject}{italic_reason(request.why_closed)}"
    return ""
