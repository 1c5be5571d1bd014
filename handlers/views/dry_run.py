"""The card of a dry run, and of a plan with nothing left to do."""

from collections.abc import Iterable

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    context,
    divider,
    escape,
    header,
    section,
)
from handlers.views.details import plan_details
from handlers.views.plan import (
    deciding_facts,
    first_screen,
    fitting_text,
    in_sentences,
    start_label,
    title,
)
from services.procedures.plan import Plan

REQUEST = "ask"  # the button below a dry run
OBSERVES = (
    "Not done: this bot only observes. `mode: operate` in its settings, and a restart, change that."
)


def plan_header(plan: Plan, state: str) -> Block:
    """Return a header: `Shut down acme?`. `state`: what follows the title."""
    return header(f"{plan.title}{state}")


def plan_card(
    plan: Plan, *, dry: bool, offer: Iterable[Block] = (), observes: bool = False
) -> Card:
    """Return the card of a dry run, or of a plan that nothing comes of.

    `offer`: the buttons below it. `observes`: this bot only observes.
    """
    name = title(plan)
    if plan.is_empty:
        already = escape(plan.state_text)
        reason = f"{already} already. Nothing was changed."
        text = f"{name}: nothing to do. {reason}"
        return Card(text, (plan_header(plan, ": nothing to do"), section(reason)))
    state, said = "", f"{name}. Nothing was changed."
    if dry:
        state, said = ": dry run", f"Dry run: {said}"
    elif observes:
        state, said = ": observed only", f"{name}. {OBSERVES}"
    text = fitting_text(lambda level: f"{said} {' '.join(in_sentences(plan, level=level))}")
    top, foot = plan_header(plan, state), context(OBSERVES if observes else "Nothing was changed.")
    screen = [top, *first_screen(plan, top, foot), foot]
    if buttons := list(offer):
        screen.append(actions(*buttons))
    return Card(text, (*screen, divider(), *plan_details(plan)))


def request_button(plan: Plan, offer: str, *, needs_approval: bool) -> Block:
    """Return the button below a dry run that requests the change. `offer`: id of the dry run."""
    if needs_approval:
        return button("Request approval", REQUEST, offer, style="primary")
    label, confirm = start_label(plan.procedure), f"{title(plan)}? {deciding_facts(plan)}"
    return button(f"{label}…", REQUEST, offer, confirm=confirm)
