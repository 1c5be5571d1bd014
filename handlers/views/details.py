"""Details of a plan: its steps and their timeouts, how to undo it, notes, and who may approve."""

from handlers.slack.blocks import (
    SECTION,
    Block,
    context,
    divider,
    escape,
    fields,
    header,
    modal,
    section,
    truncate,
)
from handlers.slack.markup import time_of_day
from handlers.views.act import difference_blocks, header_text
from handlers.views.later import looked_at_again
from handlers.views.plan import cost_change, facts, numbered, starting, warnings
from handlers.views.text import REASON, without_formatting
from services.common.markers import command
from services.common.text import duration, join_words
from services.procedures import BackupCreate, Restart
from services.procedures.plan import Plan, StepOutline
from services.runs.request import Request
from services.steps import Step
from services.steps.results import unfinished

DETAILS_VIEW = "details"
MOST_STEPS = 30  # with a paragraph each; a message has room for 50 blocks
NAMED = 12  # nodes of a step that are named


def details_view(blocks: list[Block], metadata: str) -> Block:
    """Return the modal. `metadata`: where an answer to a press in it goes."""
    return modal(DETAILS_VIEW, "Details", blocks, metadata=metadata)


def details_blocks(request: Request, approvers: str) -> list[Block]:
    """Return everything about a request that its card has no room for."""
    plan = request.plan
    blocks = [header(header_text(request)), *difference_blocks(request), *warnings(plan)]
    blocks += [fields(*facts(plan)), divider()]
    return [*blocks, *below_the_card(request, approvers)]


def below_the_card(request: Request, approvers: str) -> list[Block]:
    """Return what a request's card has no room for."""
    blocks = plan_details(request.plan)
    if request.reason:
        reason = truncate(" ".join(request.reason.split()), REASON)
        blocks.append(section(f"*Reason*\n“{escape(reason)}”"))
    return [*blocks, section(f"*Approval*\n{_approval(request, approvers)}"), _foot(request)]


def plan_details(plan: Plan) -> list[Block]:
    """Return steps, way back, cost and notes of a plan."""
    blocks = [*step_blocks(plan), section(_way_back(plan))]
    blocks.append(section(f"*Cost*\n{starting(cost_change(plan), plan)}."))
    if plan.notes:
        blocks += _lists("Notes", plan.notes, plan)
    if afterwards := (*plan.afterwards, *filter(None, [plan.following])):
        blocks += _lists("Afterwards", afterwards, plan)
    return blocks


def _lists(label: str, lines: tuple[str, ...], plan: Plan) -> list[Block]:
    """Return the lines in as many paragraphs as they need: all of them are shown."""
    texts = [f"*{label}*"]
    for line in lines:
        point = f"• {starting(line, plan)}"
        if len(texts[-1]) + len(point) >= SECTION:
            texts.append(point)
        else:
            texts[-1] += f"\n{point}"
    return [section(text) for text in texts]


# Steps


def step_blocks(plan: Plan) -> list[Block]:
    """Return a paragraph for each step: its nodes, what it waits for, its timeout."""
    if not plan.steps:
        return [section("\n".join(numbered(plan)))]
    titles = numbered(plan)
    outline = plan.outline or (StepOutline(),) * len(titles)
    blocks = [
        section(_step(title, step, known))
        for title, step, known in zip(titles, plan.steps, outline, strict=False)
    ]
    if len(blocks) <= MOST_STEPS:
        return blocks
    return [*blocks[:MOST_STEPS], section("\n".join(titles[MOST_STEPS:]))]


def _step(title: str, step: Step, known: StepOutline) -> str:
    lines = [f"*{without_formatting(title)}*"]
    if known.nodes:
        lines.append(f"Nodes: {_names(known.nodes)}")
    if known.waits_for:
        lines.append(f"Waits for: {escape(known.waits_for)}")
    if known.timeout:
        lines.append(f"Timeout: {duration(known.timeout)}, then {_at_timeout(known)}")
    once = "Not reversible"
    if step.waits_for_meetings:
        once = "Once started"
        lines.append(f"If cancelled here: {unfinished(step)}")
    lines += [f"{once}: {text}" for text in known.irreversible]
    return "\n".join(lines)


def _names(nodes: tuple[str, ...]) -> str:
    if len(nodes) <= NAMED:
        return join_words(nodes)
    return f"{', '.join(nodes[:NAMED])} and {len(nodes) - NAMED} more"


def _at_timeout(known: StepOutline) -> str:
    if known.choices:
        return f"people choose: {'; '.join(map(escape, known.choices))}"
    if known.rollback:
        return f"it rolls back: {'; '.join(known.rollback)}"
    return "the run pauses until an operator resumes or abandons it"


# Undo


def _way_back(plan: Plan) -> str:
    lines = ["*Way back*"]
    if plan.permanent:
        lines.append(f"Not reversible: {'; '.join(plan.permanent)}.")
    elif plan.undo:
        lines.append(f"Afterwards {command(plan.undo)} restores what was before.")
    elif isinstance(plan.procedure, Restart | BackupCreate):
        lines.append("Nothing to undo: the cluster is as before when it is done.")
    else:
        lines.append("No command restores what was before.")
    lines.append("A cancelled run stops at its next safe point. Completed steps are not undone.")
    return "\n".join(lines)


# Approval


def _approval(request: Request, approvers: str) -> str:
    if request.glass:
        lines = [
            f"Only {request.requester.mention} can confirm it, without approval. "
            f"It would need approval from {approvers}.",
            f"Why: {request.why}.",
        ]
    elif request.startable:
        lines = [f"It needs no approval. Only {request.requester.mention} can start it."]
    else:
        lines = [f"{approvers} can approve it, once. Needed because {request.why}."]
    lines.append(
        f"This covers exactly the plan made at {time_of_day(request.plan.made_at)}. "
        "If a droplet, the pool or a step changes, a new plan is posted instead."
    )
    if request.later:
        lines.append(looked_at_again(request))
    return "\n".join(lines)


def _foot(request: Request) -> Block:
    return context(f"Plan `{request.plan.digest[:12]}`")
