"""What is planned for later: until when its approval counts, what it waits for, and why it was not done."""

from handlers.slack.blocks import Block, Card, actions, button, clock, context, day, section
from handlers.views.act import escaped
from handlers.views.plan import impact, steps_line, title
from handlers.views.text import asked, plain, sentence, why, with_remarks
from services.common.text import duration
from services.runs.request import GRACE, Request, RequestState
from services.store.keys import LATER

REJECT, DETAILS = "reject", "details"
SHORT = 6  # characters of an id that people type


def when(request: Request) -> str:
    """` on Mon 30 Nov 2026, 22:00 Europe/Madrid`; "" for a change that is done at once."""
    return f" on {request.moment}" if request.later else ""


def short_id(request: Request) -> str:
    """What `later cancel` takes."""
    return request.id.removeprefix(LATER)[:SHORT]


def scheduled_card(request: Request) -> Card:
    """Approved, and waiting for its moment."""
    head = f"*{title(request.plan)}{when(request)}* · {asked(request.requester, request.reason)}"
    good, then = counts_until(request), looked_at_again(request)
    waits = f":warning: {sentence(f'not done yet: {waits_for(request)}')}" if request.waits else ""
    does = impact(request.plan) if request.plan.steps else "As of now there is nothing to do."
    first = f"{title(request.plan)}{when(request)}, {asked(request.requester, request.reason)}."
    text = plain(" ".join(filter(None, (first, good, waits, does, then))))
    body = [section(head), *([section(waits)] if waits else []), section(does)]
    if request.plan.steps:
        body.append(section(steps_line(request.plan)))
    return Card(text, (*body, context(f"{good} {then}"), actions(*cancel_buttons(request))))


def counts_until(request: Request) -> str:
    """Who approved it, and how long that counts."""
    if not request.approvals:
        return f"Needs no approval; done {day(request.later)}."
    return f"{sentence(approved_by(request)).rstrip('.')}; this counts until {day(request.later + GRACE)} and for nothing else."


def approved_by(request: Request) -> str:
    """`approved by @ben 16:04`: by whom, and when that was."""
    return (
        f"approved by {with_remarks(request.approvals, request.remarks)} {clock(request.agreed_at)}"
    )


def looked_at_again(request: Request) -> str:
    """What happens at its moment."""
    return (
        f"At {clock(request.later)} the cluster is looked at again. If more people would be affected, the steps are others, or an approval "
        f"does not count any more, nothing is done and you are asked again. `/openvidu later cancel {short_id(request)}` calls it off."
    )


def waits_for(request: Request) -> str:
    """What is in its way, and until when that is waited for."""
    return f"{escaped(request.waits)}. It is tried until {clock(request.later + GRACE)}"


def cancel_buttons(request: Request) -> list[Block]:
    """Call it off; everything about it."""
    return [button("Call off…", REJECT, request.id), button("Details", DETAILS, request.id)]


def until_words(request: Request) -> str:
    """For a card that still needs an approval: until when that can be given, and for how long it counts."""
    return f"can be approved until {day(request.later)}; an approval counts until {duration(GRACE)} after that time"


def later_line(request: Request) -> str:
    """One line of a list: when, what, who, and what it waits for."""
    state = (
        f"waits: {escaped(request.waits)}"
        if request.waits
        else "approved"
        if request.approvals
        else "needs no approval"
    )
    state = state if request.scheduled else "waits for approval"
    return f"`{short_id(request)}` {request.moment}: {title(request.plan)} · {asked(request.requester, request.reason)} · {state}"


def later_card(name: str, requests: list[Request]) -> Card:
    """Everything that is planned for later."""
    if not requests:
        said = f"Nothing is planned for later on {name}. Add `--at 22:00` to a command to plan it."
        return Card(said, (section(said),))
    lines = [later_line(r) for r in requests]
    head, foot = f"*Planned for later on {name}*", "`/openvidu later cancel ID` calls one off."
    return Card(
        plain(f"{head}: {'; '.join(lines)}. {foot}"),
        (section("\n".join([head, *lines])), context(foot)),
    )


def not_done(request: Request) -> str:
    """Why a change was not done at its moment; "" where it is still to come, was done, or was called off."""
    if (
        not request.later
        or request.state not in (RequestState.EXPIRED, RequestState.SUPERSEDED)
        or not request.agreed_at
    ):
        return ""
    more = (
        "The request for approval is below."
        if request.replaced_by
        else f"Ask again with `/openvidu {request.plan.procedure.words()}`."
    )
    return f"not done at {clock(request.later)}: {escaped(request.why_closed)}. Nothing was changed. {more}"


def closed_notice(request: Request) -> str:
    """Tells whoever is concerned that it was called off, or not done; "" when there is nothing to tell."""
    by, people = (
        request.closed_by,
        " ".join(
            a.mention for a in {a.key: a for a in (request.requester, *request.approvals)}.values()
        ),
    )
    if said := not_done(request):
        return f"{people}: *{title(request.plan)}{when(request)}* was {said}"
    if request.state is RequestState.REJECTED and request.agreed_at and by is not None:
        return f"{people}: {by.mention} called off *{title(request.plan)}{when(request)}*{why(request.why_closed)}"
    return ""
