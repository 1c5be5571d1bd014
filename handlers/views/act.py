"""What a request asks for, and how it differs from the card that was approved before.

A request either opens a run with its plan, or lets an open run go on with other steps.
"""

import re
from collections.abc import Callable

from handlers.slack.blocks import Block, Card, escape, section
from handlers.slack.markup import markup
from handlers.views.plan import title
from handlers.views.text import sentence, without_formatting
from services.common.text import strip_invisible
from services.runs.request import Act, Request

PERSON = re.compile(r"(<@[UW][A-Z0-9]+>)")


def heading(request: Request) -> str:
    """Return `Shut down acme`; for an open run ``Resume `acme-1` (Shut down acme)``.

    For the answer to its question: ``“End these meetings” for `acme-1` (Shut down acme)``.
    """
    act = request.act
    if act is None:
        return title(request.plan)
    return f"{_decision(act, escape)} `{act.run}` ({title(request.plan)})"


def header_text(request: Request) -> str:
    """Return the heading as plain text, for a header: `Resume acme-1 (Shut down acme)`."""
    plan, act = request.plan, request.act
    subject = strip_invisible(plan.title)
    if act is None:
        return subject
    return f"{_decision(act, strip_invisible)} {act.run} ({subject})"


def _decision(act: Act, clean: Callable[[str], str]) -> str:
    """Return what is decided about an open run, to be followed by its id."""
    if not act.question:
        return "Resume"
    return f"“{clean(act.label)}” for"


def difference(request: Request, *, brief: bool = False) -> str:
    """Describe what changed since the last card; "" for a first card. `brief`: the first change."""
    if not request.differs:
        return ""
    changes = escape_except_mentions(request.differs).split("; ")
    first = f"*Changed*: {changes[0]}."
    if brief:
        return first
    others = (sentence(change, (request.plan.cluster,)) for change in changes[1:])
    return " ".join([first, *others])


def escape_except_mentions(text: str) -> str:
    """Escape a text, except for the mentions of people in it."""
    return "".join(map(_escaped_part, PERSON.split(markup(text))))


def _escaped_part(part: str) -> str:
    if PERSON.fullmatch(part):
        return part
    return escape(part)


def difference_blocks(request: Request, *, brief: bool = False) -> list[Block]:
    """Return what changed as a list of at most one paragraph. `brief`: the first change."""
    if not request.differs:
        return []
    return [section(f":warning: {difference(request, brief=brief)}")]


def plan_changed_text(request: Request, why: str) -> str:
    """Tell the person who pressed Approve that another plan replaced the one they saw."""
    plan = "The new plan is in the channel and needs its own approval."
    if request.startable:
        requester = request.requester.mention
        plan = f"The new plan needs no approval: {requester} can start it in the channel."
    return f"Not started: {why}. {plan} Nothing was changed."


def not_covered_card(request: Request) -> Card:
    """Tell the person who let a run go on that its approval does not cover that."""
    run = ""
    if request.act is not None:
        run = request.act.run
    text = (
        f"{run} was not resumed. {without_formatting(difference(request))} "
        "It needs approval again: the request is in the channel."
    )
    return Card(text, (section(text),))
