"""Break-glass: a change without approval. Its card shows that before, during and after it."""

from handlers.slack.blocks import Block, Card, actions, button, context, section
from handlers.slack.markup import time_of_day
from handlers.views.act import difference, difference_blocks, heading
from handlers.views.plan import impact, steps_line
from handlers.views.text import requested_by, without_formatting
from services.access.policy import Actor, ClusterPolicy
from services.common.text import join_words
from services.procedures.plan import Plan
from services.runs.request import Request
from services.runs.run import Run

MARK = ":warning: *Break-glass, without approval*"
MOST_CALLED = 20


def glass_card(request: Request, approvers: str) -> Card:
    """Return the plan and what is skipped. Only the requester can confirm it."""
    plan = request.plan
    requester = requested_by(request.requester, request.reason)
    waits = glass_waits(request, approvers)
    first = without_formatting(f"{heading(request)}, {requester}. {difference(request)}".rstrip())
    plain = f"{without_formatting(impact(plan))} {without_formatting(waits)}"
    text = f"Break-glass, without approval: {first} {plain}"
    foot = context(f"{waits} · until {time_of_day(request.until)}")
    body = (
        section(f"{MARK} · *{heading(request)}* · {requester}"),
        *difference_blocks(request),
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
    """Return the buttons to run, withdraw and show it, with the action ids of any request."""
    confirm = f"{without_formatting(heading(request))}, and nobody else has approved it. "
    if lost := what_is_lost(request.plan):
        confirm += f"It says: {lost}. "
    confirm += "Everybody in the channel reads it."
    return [
        button("Run without approval", "approve", request.id, style="danger", confirm=confirm),
        button("Take it back", "reject", request.id),
        button("Details", "details", request.id),
    ]


def mention_approvers(approvers: frozenset[str], requester: Actor) -> str:
    """Mention everyone who could have approved it."""
    return mentions(approvers - {requester.user}) or "an approver (none is known)"


def mention_everyone(rules: ClusterPolicy) -> str:
    """Mention the people of a cluster: those who may change something, and the approvers."""
    return mentions(rules.changers | rules.approvers)


def mentions(people: frozenset[str]) -> str:
    """Mention people, by name up to a limit; "" for none."""
    names = [f"<@{u}>" for u in sorted(people)[:MOST_CALLED]]
    if len(people) > MOST_CALLED:
        names.append(f"{len(people) - MOST_CALLED} more")
    return join_words(names)


def glass_notice(run: Run, approvers: str) -> str:
    """Notify the approvers of a run that none of them approved."""
    requester = run.requester.mention
    started = f"{requester} has started `{run.id}` by break-glass, without anybody's approval"
    return f"{approvers}: {started}. `/openvidu audit` keeps it."
