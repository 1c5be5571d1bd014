"""Break-glass: a change without approval. The card says so before, during and after it."""

from handlers.slack.blocks import Block, Card, actions, button, context, section
from handlers.slack.markup import time_of_day
from handlers.views.act import heading, unlike, unlike_blocks
from handlers.views.plan import impact, steps_line
from handlers.views.text import asked, plain
from services.access.policy import Actor, Rules
from services.common.text import listed
from services.procedures.plan import Plan
from services.runs.request import Request
from services.runs.run import Run

MARK = ":warning: *Break-glass, without approval*"
MOST_CALLED = 20


def glass_card(request: Request, approvers: str) -> Card:
    """Return the plan and what is skipped. Only the requester can confirm it."""
    plan = request.plan
    requester = asked(request.requester, request.reason)
    waits = glass_waits(request, approvers)
    first = plain(f"{heading(request)}, {requester}. {unlike(request)}".rstrip())
    text = f"Break-glass, without approval: {first} {plain(impact(plan))} {plain(waits)}"
    foot = context(f"{waits} · until {time_of_day(request.until)}")
    body = (
        section(f"{MARK} · *{heading(request)}* · {requester}"),
        *unlike_blocks(request),
        section(impact(plan)),
        section(steps_line(plan)),
    )
    return Card(text, (*body, foot, actions(*glass_buttons(request))))


def glass_waits(request: Request, approvers: str) -> str:
    """Describe which approval is skipped, why it is needed, and who has to confirm."""
    return (
        f"this would need approval by {approvers}, because {request.why}; "
        f"only {request.requester.mention} can confirm it without"
    )


def what_is_lost(plan: Plan) -> str:
    """Return what approving a plan has to confirm explicitly; "" when nothing is lost."""
    if plan.effects.special:
        return "; ".join(plan.effects.special)
    if plan.effects.cuts_off:
        return "this ends running meetings"
    return ""


def glass_buttons(request: Request) -> list[Block]:
    """Return Run (asks again), Take it back, Details, with the action ids of any other request."""
    confirm = f"{plain(heading(request))}, and nobody else has approved it. "
    if lost := what_is_lost(request.plan):
        confirm += f"It says: {lost}. "
    confirm += "Everybody in the channel reads it."
    return [
        button("Run without approval", "approve", request.id, style="danger", confirm=confirm),
        button("Take it back", "reject", request.id),
        button("Details", "details", request.id),
    ]


def called(approvers: frozenset[str], requester: Actor) -> str:
    """Mention everyone who could have approved it."""
    return mentions(approvers - {requester.user}) or "an approver (none is known)"


def everyone(rules: Rules) -> str:
    """Mention the people of a cluster: those who may change something, and the approvers."""
    return mentions(rules.changers | rules.approvers)


def mentions(people: frozenset[str]) -> str:
    """Mention people, by name up to a limit; "" for none."""
    names = [f"<@{u}>" for u in sorted(people)[:MOST_CALLED]]
    if len(people) > MOST_CALLED:
        names.append(f"{len(people) - MOST_CALLED} more")
    return listed(names)


def glass_notice(run: Run, approvers: str) -> str:
    """Notify the approvers of a run that none of them approved."""
    requester = run.requester.mention
    started = f"{requester} has started `{run.id}` by break-glass, without anybody's approval"
    return f"{approvers}: {started}. `/openvidu audit` keeps it."
