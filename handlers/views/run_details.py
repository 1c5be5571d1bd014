"""One run in full: its card as it stands, and what happened when. Pure."""

from collections.abc import Callable
from typing import Any

from handlers.slack.blocks import Card, day, escape, section
from handlers.views import run_card
from handlers.views.text import why
from services.runs.executor import Progress
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Reached,
    Recovering,
    Resumed,
    Run,
    Stopped,
    Taken,
)

NEWEST = 30
TOLD: dict[type, Callable[[Any, Run], str]] = {
    Opened: lambda e, _: f"opened by {e.requester.mention}",
    Taken: lambda e, _: f"{'picked up again' if e.again else 'driven'} by {escape(e.worker)}",
    Asked: lambda e, run: f"asked{' again' if e.again else ''}: {_title(run, e.step)}",
    Reached: lambda e, run: f"reached: {_title(run, e.step)}",
    Noted: lambda e, _: escape(e.text),
    Questioned: lambda e, _: f"asked people: {escape(e.question.text)}",
    Answered: lambda e, run: f"{e.by.mention if e.by else 'nobody answered'}: {_label(run, e)}",
    CancelAsked: lambda e, _: f"{e.by.mention} cancelled{why(e.reason)}",
    Recovering: lambda e, _: f"on the way back: {escape(e.reason)}",
    Stopped: lambda e, _: f"stopped: {escape(e.reason)}",
    Resumed: lambda e, _: f"resumed by {e.by.mention}{why(e.reason)}",
    Ended: lambda e, _: f"{e.how}{f' by {e.by.mention}' if e.by else ''}{why(e.reason)}",
}


def one_run_card(run: Run, progress: Progress | None, events: list[Event], at: float) -> Card:
    """Its card without the buttons, and the newest events with their times."""
    card = run_card(
        progress if progress is not None and not run.over else Progress(run, None, "", None, "", at)
    )
    told = "\n".join(f"{day(e.at)} {TOLD[type(e)](e, run)}" for e in events[-NEWEST:])
    shown = [b for b in card.blocks if b["type"] != "actions"]
    return Card(card.text, (*shown, section(f"*What happened*\n{told}")))


def _title(run: Run, step: int) -> str:
    return run.steps[step].title() if step < len(run.steps) else "a step that was replaced"


def _label(run: Run, answer: Answered) -> str:
    if not answer.choice:
        return "it settled itself"
    return f"“{escape(run.labels.get((answer.question, answer.choice), answer.choice))}”"
