"""Break-glass: a change that nobody else approves. Everybody reads so, before, meanwhile and for ever after."""

from handlers.slack.blocks import Block, Card, actions, button, clock, context, section
from handlers.views.act import heading, unlike, unlike_blocks
from handlers.views.plan import impact, steps_line
from handlers.views.text import asked, plain
from services.access.policy import Actor, Rules
from services.common.text import listed
from services.runs.request import Request
from services.runs.run import Run

MARK = ":warning: *Break-glass, without approval*"
MOST_CALLED = 20


def glass_card(request: Request, approvers: str) -> Card:
    """The plan, and what is being skipped. Only whoever asked can confirm it."""
    plan = request.plan
    head = f"{MARK} · *{heading(request)}* · {asked(request.requester, request.reason)}"
    waits = glass_waits(request, approvers)
    first = plain(
        f"{heading(request)}, {asked(request.requester, request.reason)}. {unlike(request)}".rstrip()
    )
    text = f"Break-glass, without approval: {first} {plain(impact(plan))} {plain(waits)}"
    foot = context(f"{waits} · until {clock(request.until)}")
    body = (
        section(head),
        *unlike_blocks(request),
        section(impact(plan)),
        section(steps_line(plan)),
    )
    return Card(text, (*body, foot, actions(*glass_buttons(request))))


def glass_waits(request: Request, approvers: str) -> str:
    """What is skipped, who is told of it, and who has to confirm it."""
    return f"this would need approval by {approvers}, because {request.why}; only {request.requester.mention} can confirm it without"


def glass_buttons(request: Request) -> list[Block]:
    """Confirm, which asks again; take it back; details. Called as those of any other request, and told apart when they are pressed."""
    plan = request.plan
    lost = "; ".join(plan.effects.special) or (
        "this ends running meetings" if plan.effects.cuts_off else ""
    )
    says = f"It says: {lost}. " if lost else ""
    confirm = f"{plain(heading(request))}, and nobody else has approved it. {says}Everybody in the channel reads it."
    return [
        button("Run without approval", "approve", request.id, style="danger", confirm=confirm),
        button("Take it back", "reject", request.id),
        button("Details", "details", request.id),
    ]


def called(approvers: frozenset[str], requester: Actor) -> str:
    """Everybody who could have approved it, so that they hear of it."""
    return mentions(approvers - {requester.user}) or "an approver (none is known)"


def everyone(rules: Rules) -> str:
    """The people of a cluster: whoever may change something, and the approvers."""
    return mentions(rules.changers | rules.approvers)


def mentions(people: frozenset[str]) -> str:
    """So many of them by name; "" for none."""
    named = [f"<@{u}>" for u in sorted(people)[:MOST_CALLED]]
    more = [f"{len(people) - MOST_CALLED} more"] if len(people) > MOST_CALLED else []
    return listed([*named, *more])


def glass_notice(run: Run, approvers: str) -> str:
    """Calls the approvers to a run that none of them has approved."""
    started = (
        f"{run.requester.mention} has started `{run.id}` by break-glass, without anybody's approval"
    )
    return f"{approvers}: {started}. `/openvidu audit` keeps it."
