"""Break-glass: a plan that its requester confirms alone, and who is notified."""

from handlers.slack.blocks import Block, Card, actions, button, context, header
from handlers.slack.markup import time_of_day
from handlers.views.act import difference, difference_blocks, header_text, heading
from handlers.views.plan import (
    deciding_facts,
    first_screen,
    fitting_screen,
    fitting_text,
    in_sentences,
)
from handlers.views.text import short_reason
from services.access.policy import Actor, ClusterPolicy
from services.common.text import join_words
from services.runs.request import Request
from services.runs.run import Run

MARK = ":warning: *Break-glass, without approval*"
MOST_CALLED = 20


def glass_card(request: Request, approvers: str) -> Card:
    """Return the plan and whose approval is skipped. Only the requester can confirm it."""
    requester = f"Requested by {request.requester.mention}{short_reason(request.reason)}"
    skips = f"skips approval by {approvers}"
    expires = f"expires {time_of_day(request.until)}"
    foot = context(f"{requester} · {skips} · {glass_waits(request)} · {expires}")

    def screen(level: int) -> list[Block]:
        top = [header(f"{header_text(request)} without approval?")]
        top += difference_blocks(request, brief=level > 0)
        return [*top, *first_screen(request.plan, *top, foot), foot]

    text = fitting_text(lambda level: _glass_text(request, level))
    return Card(text, (*fitting_screen(screen), actions(*glass_buttons(request))))


def _glass_text(request: Request, level: int) -> str:
    requester, reason = request.requester.mention, ""
    if level < 2:
        reason = short_reason(request.reason)
    parts = (
        f"Break-glass by {requester}, without approval: {heading(request)}{reason}.",
        difference(request, brief=level >= 3),
        *in_sentences(request.plan, level=level),
        f"Only {requester} can confirm it, by {time_of_day(request.until)}.",
    )
    return " ".join(filter(None, parts))


def glass_waits(request: Request) -> str:
    """Return who has to confirm it."""
    return f"only {request.requester.mention} can confirm it"


def glass_buttons(request: Request) -> list[Block]:
    """Return the buttons to run, withdraw and show it, with the action ids of any request."""
    confirm = f"{heading(request)}, without approval. {deciding_facts(request.plan)}"
    return [
        button("Run without approval", "approve", request.id, style="danger", confirm=confirm),
        button("Cancel", "reject", request.id),
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
    started = f"{requester} started `{run.id}` by break-glass, without approval"
    return f"{approvers}: {started}. `/openvidu audit` shows it."
