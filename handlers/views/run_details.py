"""One run in full: its card as it stands, and its events with their times. Pure."""

from handlers.slack.blocks import Card, date_time, escape, section
from handlers.views import run_card
from handlers.views.text import why
from services.access.policy import Actor
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


def describe_event(event: Event, run: Run) -> str:
    """Describe one event of a run in a few words, as mrkdwn."""
    match event:
        case Opened():
            return f"opened by {event.requester.mention}"
        case Taken(again=True):
            return f"picked up again by {escape(event.worker)}"
        case Taken():
            return f"driven by {escape(event.worker)}"
        case Asked() if event.again:
            return f"asked again: {_title(run, event.step)}"
        case Asked():
            return f"asked: {_title(run, event.step)}"
        case Reached():
            return f"reached: {_title(run, event.step)}"
        case Noted():
            return escape(event.text)
        case Questioned():
            return f"asked people: {escape(event.question.text)}"
        case Answered():
            return f"{_mention(event.by, 'nobody answered')}: {_label(run, event)}"
        case CancelAsked():
            return f"{event.by.mention} cancelled{why(event.reason)}"
        case Recovering():
            return f"on the way back: {escape(event.reason)}"
        case Stopped():
            return f"stopped: {escape(event.reason)}"
        case Resumed():
            return f"resumed by {event.by.mention}{why(event.reason)}"
        case Ended(by=Actor() as by):
            return f"{event.how} by {by.mention}{why(event.reason)}"
        case Ended():
            return f"{event.how}{why(event.reason)}"


def one_run_card(run: Run, progress: Progress | None, events: list[Event], at: float) -> Card:
    """Return the run's card without its buttons, and its newest events. `at`: now."""
    if progress is None or run.over:
        progress = Progress(run, None, "", None, "", at)
    card = run_card(progress)
    history = "\n".join(f"{date_time(e.at)} {describe_event(e, run)}" for e in events[-NEWEST:])
    shown = [b for b in card.blocks if b["type"] != "actions"]
    return Card(card.text, (*shown, section(f"*What happened*\n{history}")))


def _title(run: Run, step: int) -> str:
    if step >= len(run.steps):
        return "a step that was replaced"
    return run.steps[step].title()


def _mention(actor: Actor | None, otherwise: str) -> str:
    if actor is None:
        return otherwise
    return actor.mention


def _label(run: Run, answer: Answered) -> str:
    if not answer.choice:
        return "it settled itself"
    return f"“{escape(run.labels.get((answer.question, answer.choice), answer.choice))}”"
