"""One run in full: its card as it stands, and its events with their times. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from handlers.slack.blocks import Card, escape, section
from handlers.slack.markup import date_time
from handlers.views import run_card
from handlers.views.text import italic_reason
from services.runs.progress import Progress
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


def describe_event(event: Event, run: Run) -> str:
    """Describe one event of a run in a few words and one line, as mrkdwn."""
    return " ".join(DESCRIPTIONS[type(event)](event, run).split())


def one_run_card(run: Run, progress: Progress | None, events: list[Event], at: float) -> Card:
    """Return the run's card without its buttons, and its newest events. `at`: now."""
    if progress is None or run.over:
        progress = Progress(run, None, "", None, "", at)
    card = run_card(progress, whole=True)
    history = "\n".join(f"{date_time(e.at)} {describe_event(e, run)}" for e in events[-NEWEST:])
    shown = [b for b in card.blocks if b["type"] != "actions"]
    return Card(card.text, (*shown, section(f"*Events*\n{history}")))


def _title(run: Run, step: int) -> str:
    if step >= len(run.steps):
        return "a step that was replaced"
    return run.steps[step].title()


def _taken(event: Taken, _: Run) -> str:
    if event.again:
        return f"continued by {escape(event.worker)}"
    return f"started by {escape(event.worker)}"


def _asked(event: Asked, run: Run) -> str:
    if event.again:
        return f"requested again: {_title(run, event.step)}"
    return f"requested: {_title(run, event.step)}"


def _answered(event: Answered, run: Run) -> str:
    who = "no one answered"
    if event.by is not None:
        who = event.by.mention
    if not event.choice:
        return f"{who}: no answer was needed any more"
    label = run.labels.get((event.question, event.choice), event.choice)
    return f"{who}: “{escape(label)}”"


def _ended(event: Ended, _: Run) -> str:
    if event.by is None:
        return f"{event.how}{italic_reason(event.reason)}"
    return f"{event.how} by {event.by.mention}{italic_reason(event.reason)}"


DESCRIPTIONS: Mapping[type, Callable[[Any, Run], str]] = {
    Opened: lambda event, _: f"opened by {event.requester.mention}",
    Taken: _taken,
    Asked: _asked,
    Reached: lambda event, run: f"reached: {_title(run, event.step)}",
    Noted: lambda event, _: escape(event.text),
    Questioned: lambda event, _: f"question: {escape(event.question.text)}",
    Answered: _answered,
    CancelAsked: lambda event, _: f"{event.by.mention} cancelled{italic_reason(event.reason)}",
    Recovering: lambda event, _: f"rolling back: {escape(event.reason)}",
    Stopped: lambda event, _: f"paused: {escape(event.reason)}",
    Resumed: lambda event, _: f"resumed by {event.by.mention}{italic_reason(event.reason)}",
    Ended: _ended,
}
