"""What a request is for: a plan that opens a run, or what an open run does next; and in what that differs from the approved card."""

import re

from handlers.slack.blocks import Block, Card, escape, section
from handlers.slack.markup import markup
from handlers.views.plan import title
from services.runs.request import Request

PERSON = re.compile(r"(<@[UW][A-Z0-9]+>)")


def heading(request: Request) -> str:
    """`Shut down acme`; for an open run ``Resume `acme-1`: Shut down acme``."""
    act = request.act
    if act is None:
        return title(request.plan)
    return f"{escape(act.label) if act.question else 'Resume'} `{act.run}`: {title(request.plan)}"


def unlike(request: Request) -> str:
    """What is not as it was on the card before; "" for a first card."""
    return f"*Unlike the card before*: {escaped(request.differs)}." if request.differs else ""


def escaped(text: str) -> str:
    """With the people whom it names as mentions still."""
    return "".join(part if PERSON.fullmatch(part) else escape(part) for part in PERSON.split(markup(text)))


def unlike_blocks(request: Request) -> list[Block]:
    """The same as a paragraph, where there is one."""
    return [section(f":warning: {unlike(request)}")] if request.differs else []


def changed_words(request: Request, why: str) -> str:
    """Told to whoever pressed Approve, where another plan took that one's place."""
    plan = "The new plan is in the channel and needs its own approval"
    if request.startable:
        plan = f"The new plan needs no approval: {request.requester.mention} can start it in the channel"
    return f"Not run: {why}. {plan}. Nothing was changed."


def not_covered_card(request: Request) -> Card:
    """Told to whoever wanted a run to go on, where its approval does not cover that."""
    run = request.act.run if request.act is not None else ""
    said = f"{run} has not gone on: {escaped(request.differs)}. The request for approval is in the channel."
    return Card(said, (section(said),))
