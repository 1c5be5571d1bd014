"""Runs that are over: the state people care about, what changed, how long, what to do next."""

from collections.abc import Iterator

from handlers.slack.blocks import Block, Card, actions, context, escape, fields, header, section
from handlers.slack.markup import date_time, time_of_day
from handlers.views.links import NO_LINKS, ClusterLinks, link_buttons
from handlers.views.next_steps import needs_restore, next_buttons
from handlers.views.run_steps import done_lines
from handlers.views.service import attention, service_line
from handlers.views.terraform import patch_button
from handlers.views.text import (
    MOST_IN_TEXT,
    MOST_WORDS,
    attribution,
    full_stop,
    italic_reason,
    sentence,
    without_formatting,
    word_count,
    words_on,
)
from services.common.text import duration
from services.procedures import Shutdown
from services.runs.run import Run, State

LABELS = {State.DONE: "Done"}  # of what was changed
OLD = 120.0  # seconds after which the time of a look is shown


def outcome(run: Run) -> str:
    """Return `acme is down`, `acme-17 was cancelled`."""
    match run.state:
        case State.DONE:
            return escape(run.outcome or run.plan.outcome)
        case State.CANCELLED:
            return f"{run.id} was cancelled"
        case State.ABANDONED:
            return f"{run.id} was abandoned"
        case State.ROLLED_BACK if run.turned_back:
            return f"{run.cluster} stays in service"
        case State.ROLLED_BACK if run.end_text != run.recovering:
            # The end has more to say than why it was rolled back: not everything is as before.
            return f"{run.id} failed, and {run.cluster} was restored"
        case State.ROLLED_BACK:
            return f"{run.id} failed and was rolled back"
        case _:
            return f"{run.id} was stopped, to be finished manually"


def end_title(run: Run) -> str:
    """Return the state people care about: `acme needs you: 3 media nodes take no meetings`."""
    if run.state is State.DONE:
        return outcome(run)
    return attention(run.cluster, run.service, hosted=run.plan.hosts_meetings) or outcome(run)


def end_card(run: Run, links: ClusterLinks = NO_LINKS) -> Card:
    """Return the card of a run that is over."""
    title, deciding = end_title(run), _deciding(run)
    took = duration(run.ended_at - run.opened_at)
    changed = escape("; ".join(run.stays_done)) or "nothing"
    ended = f"{took}, until {time_of_day(run.ended_at)}"
    label = LABELS.get(run.state, "Changed")
    blocks: list[Block] = [header(without_formatting(title))]
    if deciding:
        blocks.append(section("\n".join(deciding)))
    blocks.append(fields((label, changed), ("Took", ended)))
    more = _more(run)
    if to_do := _to_do(run):
        line = section("\n".join(f"*{name}* {text}" for name, text in to_do))
        if words_on([*blocks, line]) <= MOST_WORDS:
            blocks.append(line)
        else:
            more.insert(0, line["text"]["text"])
    blocks.append(actions(*next_buttons(run), *patch_button(run), *link_buttons(run, links)))
    if more:
        blocks.append(section("\n".join(more)))
    if steps := done_lines(run):
        blocks.append(section("\n".join(steps)))
    record = ""
    if run.state is not State.DONE:
        record = f" · `/openvidu timeline {run.id}` records what happened"
    blocks.append(context(f"{attribution(run)} · `{run.id}`{record}"))
    return Card(_fitting_text(run, f"{label}: {changed}."), tuple(blocks))


def _fitting_text(run: Run, changed: str) -> str:
    """Return the fullest text with few enough words; what is to do goes last."""
    title, took = without_formatting(end_title(run)), duration(run.ended_at - run.opened_at)
    text = ""
    for sentences in _texts(run, changed):
        spoken = without_formatting(" ".join(sentences))
        text = f"{title} · took {took}. {spoken} {run.id}"
        if word_count(text) <= MOST_IN_TEXT:
            break
    return text


def _texts(run: Run, changed: str) -> Iterator[list[str]]:
    """Yield the sentences of a text, each time without the least important ones."""
    deciding, by = _deciding(run), full_stop(attribution(run))
    to_do = [text for _, text in _to_do(run)]
    if to_do:
        yield [*deciding, *to_do, changed, by]
        yield [*deciding, *to_do, changed]
        yield [*deciding, *to_do]
    yield [*deciding, changed, by]
    yield [*deciding, changed]


def _deciding(run: Run) -> list[str]:
    """Return the sentences that tell whether a person has something to do."""
    if run.state is State.DONE:
        return [*_ready(run), *_until(run)]
    lines = [_ended(run)]
    if needs_restore(run) or run.service is not None:
        lines.append(_service(run))
    lines.append(_why(run))
    return [line for line in lines if line]


def _ended(run: Run) -> str:
    """Return who ended it, and how where the title does not tell."""
    by = _by(run, run.why_ended or run.why_cancelled)
    if end_title(run) != outcome(run):
        return f"{outcome(run)}{by}."
    if not by:
        return ""
    return f"Ended{by}."


def _service(run: Run) -> str:
    """Say whether people can meet; of an earlier look, with its time."""
    line = service_line(run.cluster, run.service, hosted=run.plan.hosts_meetings)
    if run.service is None or run.ended_at - run.service.at < OLD:
        return line
    return f"As of {time_of_day(run.service.at)}: {line}"


def _by(run: Run, reason: str) -> str:
    if run.ended_by is None:
        return ""
    return f" by {run.ended_by.mention}{italic_reason(reason)}"


def _why(run: Run) -> str:
    """Return why a run did not end as planned, and what is left of it."""
    names = (run.cluster,)
    match run.state:
        case State.ABANDONED if run.stopped:
            return f"Paused: {sentence(escape(run.stopped), names)}"
        case State.ROLLED_BACK if run.end_text:
            return f"Reason: {sentence(escape(run.end_text), names)}"
        case State.LEFT if run.end_text:
            return sentence(escape(run.end_text), names)
        case _:
            return ""


def _until(run: Run) -> list[str]:
    """Return what comes next by itself, or that nothing does."""
    if run.opens:
        return [f"Opens by itself {date_time(run.opens)}."]
    if isinstance(run.plan.procedure, Shutdown):
        return [f"No one can meet on {run.cluster} until someone starts it."]
    return []


def _to_do(run: Run) -> list[tuple[str, str]]:
    """Return what is left for people once it is done: `Later`, `Next`, each with a sentence."""
    if run.state is not State.DONE:
        return []
    lines = [("Later", sentence(line, (run.cluster,))) for line in run.plan.afterwards]
    if run.following:
        lines.append(("Next", sentence(run.following, (run.cluster,))))
    return lines


def _more(run: Run) -> list[str]:
    """Return what people should know later, and where to look."""
    lines = [
        f"*Note* {sentence(escape(n.text), (run.cluster,))}" for n in run.notes if n.is_lasting
    ]
    if run.state is not State.DONE and needs_restore(run):
        if run.service is not None:
            lines.append("*Next* `/openvidu status` shows what is in service.")
    elif run.state is not State.DONE:
        lines.append(f"*Next* `/openvidu status` shows {run.cluster} now.")
    return lines


def _ready(run: Run) -> list[str]:
    """Return `Ready 2 min before 07:30; start-up took 5 min`, for the opening of a window.

    A window names when the cluster is in service, not when the start-up begins.
    """
    if not run.by:
        return []
    early = run.by - run.ended_at
    if early < 0 and run.takes > 1:
        at = time_of_day(run.ended_at)
        return [f"In service by {at}; no bot watched all of it, so when exactly is unknown."]
    edge, took = run.edge.partition("T")[2][:5], duration(run.ended_at - run.opened_at)
    return [f"Ready {_distance(early)} {edge}; start-up took {took}."]


def _distance(early: float) -> str:
    if early >= 1:
        return f"{duration(early)} before"
    if early <= -1:
        return f"{duration(-early)} after"
    return "just at"


def end_notice(run: Run) -> str:
    """Return the line in the thread that notifies the requester of the end.

    A window is no one to mention.
    """
    took, by = duration(run.ended_at - run.opened_at), ""
    if run.why_ended:
        by = _by(run, run.why_ended)
    state = ""
    if run.state is not State.DONE and run.service is not None:
        state = f" {_service(run)}"
    text = f"{outcome(run)} ({took}){by}.{state}"
    if run.requester.is_window:
        return text
    return f"{run.requester.mention}, {text}"
