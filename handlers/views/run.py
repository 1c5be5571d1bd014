"""Open runs: what is done, what is being waited for and until when, and what people can do."""

from typing import NamedTuple

from handlers.slack.blocks import Block, Card, actions, button, context, escape, section
from handlers.slack.markup import EMOJI, markup, time_of_day
from handlers.views.ended_run import end_card
from handlers.views.text import attribution, italic_reason, without_formatting
from services.access.policy import Actor
from services.common.markers import Marker
from services.common.text import duration, join_words
from services.runs.progress import Progress
from services.runs.run import (
    CancelAsked,
    Event,
    Noted,
    Opened,
    Recovering,
    Resumed,
    Run,
    State,
)
from services.steps import Question

CANCEL, RESUME, ABANDON, ANSWER = "cancel", "resume", "abandon", "answer"


class _Parts(NamedTuple):
    """A card without its head and steps: what the text begins with, and the blocks below."""

    lead: str
    blocks: tuple[Block, ...]
    tail: str = ""


def run_card(progress: Progress) -> Card:
    """Return the one message of a run."""
    run = progress.run
    if run.over:
        return end_card(run)
    what = f"*{run.plan.procedure.doing} {escape(run.plan.procedure.target_text(run.cluster))}*"
    head = f"{what} · {attribution(run)} · run `{run.id}`"
    notes = [n for n in map(markup, run.plan.notes) if n.startswith(EMOJI[Marker.WARNING])]
    head += "".join(f"\n{note}." for note in notes)
    parts = _parts(progress)
    steps = without_formatting(_aloud(progress))
    text = f"{parts.lead}{without_formatting(head)}. {steps}{parts.tail}"
    blocks = (section(head), section("\n".join(_step_lines(progress))), *parts.blocks)
    return Card(text, blocks)


def _parts(progress: Progress) -> _Parts:
    run = progress.run
    if run.state is State.STOPPED:
        foot = (
            f"{_since(progress)} · operators may press; until then nothing more is changed, "
            f"and nobody else can change {run.cluster}"
        )
        blocks = (section(stopped_line(run)), actions(*stopped_buttons(run)), context(foot))
        lead = f"{run.id} has stopped: {escape(run.stopped)}. Press Resume or Abandon. "
        return _Parts(lead, blocks)
    if run.question is not None:
        question = run.question
        foot = f"{_since(progress)} · {_unanswered(question)}"
        blocks = (
            section(question_line(run, question)),
            actions(*answer_buttons(run, question)),
            context(foot),
        )
        choices = "; ".join(c.label for c in question.choices)
        asks = f"{run.id} needs a decision: {escape(question.text)} Answers: {choices}."
        return _Parts(f"{asks} {without_formatting(foot)}. ", blocks)
    foot = _foot(progress)
    if run.cancel is None:
        return _Parts(
            "", (context(foot), actions(cancel_button(run))), f" {without_formatting(foot)}"
        )
    return _Parts("", (context(foot),), f" {without_formatting(foot)}")


def stopped_line(run: Run) -> str:
    """Say why a run stopped, and that its cluster stays locked."""
    held = f"{run.cluster} stays claimed until somebody presses Resume or Abandon"
    return f":warning: *{run.id} has stopped*: {escape(run.stopped)}. {held}."


def question_line(run: Run, question: Question) -> str:
    """Return what a run asks, as a line of its card."""
    return f":warning: *{run.id} needs a decision* · {escape(question.text)}"


def cancel_button(run: Run) -> Block:
    """Return the button that cancels a run, after naming what stays done."""
    stays = "; ".join(run.stays_done) or "nothing so far"
    confirm = f"It stops at the next safe point. Stays done: {stays}. {_begun(run)}".rstrip()
    return button("Cancel…", CANCEL, run.id, confirm=confirm)


def _begun(run: Run) -> str:
    step = run.step
    if step is None or not run.asks or step.interruptible:
        return ""
    return f"“{step.title()}” is brought to its end first."


def _step_lines(progress: Progress) -> list[str]:
    run = progress.run
    reached = {r.step: r.at for r in run.reached}
    lines = []
    for index, step in enumerate(run.steps):
        if index in run.skipped:
            lines.append(f"– {step.title()} (skipped)")
        elif index in reached:
            lines.append(f"✓ {step.title()} · {time_of_day(reached[index])}")
        elif index == run.position:
            lines.append(f"▸ *{step.title()}*{_waiting(progress)}")
        else:
            lines.append(f"○ {step.title()}")
    return lines


def _aloud(progress: Progress) -> str:
    """List the steps for screen readers: the current one, then those left, then those done."""
    run, sentences = progress.run, []
    left: list[str] = []
    done: list[str] = []
    reached = {r.step for r in run.reached} | set(run.skipped)
    for index, step in enumerate(run.steps):
        if index in reached:
            done.append(step.title())
        elif index == run.position:
            sentences.append(f"Now: {step.title()}{_waiting(progress)}.")
        else:
            left.append(step.title())
    if left:
        sentences.append(f"Then: {'; '.join(left)}.")
    if done:
        sentences.append(f"Done: {'; '.join(done)}.")
    return " ".join(sentences)


def _since(progress: Progress) -> str:
    running = duration(progress.at - progress.run.opened_at)
    return f"as of {time_of_day(progress.at)} · running for {running}"


def _unanswered(question: Question) -> str:
    """Describe what happens when a question gets no answer."""
    if question.default:
        labels = {c.id: c.label for c in question.choices}
        label = escape(labels.get(question.default, question.default))
        after = duration(question.default_after)
        return f"operators may answer; without an answer “{label}” is chosen after {after}"
    if question.meanwhile:
        return (
            "operators may answer; it is looked at meanwhile, "
            "and goes on by itself when what is waited for has come"
        )
    return "operators may answer; until then nothing more is changed"


def _waiting(progress: Progress) -> str:
    run, step = progress.run, progress.run.step
    waited = progress.watched
    if waited is None:
        waited = progress.at - run.step_began
    line = ""
    if progress.waits_for:
        line = f" — {escape(progress.waits_for)}"
    line += f" · waiting {duration(waited)}"
    if progress.until is None or step is None or run.question is not None:
        return line
    at_timeout = "stops and says so"
    if "finish" in step.title():
        at_timeout = "asks you"
    return f"{line}, {at_timeout} at {time_of_day(progress.until)}"


def _foot(progress: Progress) -> str:
    run = progress.run
    parts = [_since(progress)]
    if progress.cluster is not None:
        seconds = sum(s.expected_seconds(progress.cluster) for s in run.steps[run.position :])
        left = f"about {duration(seconds)} left"
        if run.plan.effects.blocks and run.position == 0:
            left += " after the last meeting"
        parts.append(left)
    if run.cancel is not None:
        cancelled = f"{run.cancel.mention} cancelled it{italic_reason(run.why_cancelled)}"
        parts.append(f"{cancelled}; it stops at the next safe point")
    if progress.trouble:
        parts.append(f"{escape(progress.trouble)}; looking again, nothing is lost")
    return " · ".join(parts)


def answer_buttons(run: Run, question: Question) -> list[Block]:
    """Return one button per answer. An answer that loses something has to be confirmed."""
    buttons = []
    for choice in question.choices:
        style, confirm = "", ""
        if choice.loses:
            style, confirm = "danger", f"{choice.label}: {escape(choice.loses)}."
        value = f"{run.id}|{question.id}|{choice.id}"
        buttons.append(
            button(choice.label, f"{ANSWER}:{choice.id}", value, style=style, confirm=confirm)
        )
    return buttons


def stopped_buttons(run: Run) -> list[Block]:
    """Return Resume and Abandon."""
    stays = "; ".join(run.stays_done) or "nothing was changed"
    confirm = f"Nothing more is done and {run.cluster} is free. Stays done: {stays}."
    return [
        button("Resume", RESUME, run.id, style="primary"),
        button("Abandon", ABANDON, run.id, confirm=confirm),
    ]


def picked_up(run: Run) -> str:
    """Say in the thread that a restarted bot drives the run."""
    where = "the end"
    if run.step is not None:
        where = f"“{run.step.title()}”"
    return f"bot restarted; picked up at {where}; no drain signal was sent again"


def turned_notice(run: Run, event: Recovering) -> str:
    """Say why the run rolls back, and its steps from here."""
    steps = escape(" · ".join(s.title() for s in event.steps))
    return f"{run.id} goes back to a safe state. {escape(event.reason)}. Steps now: {steps}"


def stopped_notice(run: Run, people: str = "") -> str:
    """Notify people of a run that stopped.

    `people`: those of the cluster, for a run of a window that no one approved.
    """
    reason = escape(run.stopped)
    return f"{_called(run, people)}, {run.id} has stopped: {reason}. Press Resume or Abandon above."


def question_notice(run: Run, people: str = "") -> str:
    """Notify people of a question. One that the run answers at once mentions no one."""
    question = run.question
    if question is None:
        return f"{_called(run, people, *run.approvers)}, {run.id} needs a decision: "
    if question.default and not question.default_after:
        return f"{run.id}: {escape(question.text)}"
    called = _called(run, people, *run.approvers)
    return f"{called}, {run.id} needs a decision: {escape(question.text)}"


def _called(run: Run, people: str = "", *others: Actor) -> str:
    """Mention the requester and others; for a window its approvers, as no requester exists."""
    actors: tuple[Actor, ...] = (run.requester, *others)
    if run.requester.is_window:
        actors = run.approvers
    return join_words(dict.fromkeys(a.mention for a in actors)) or people or run.requester.mention


def reason_notice(event: Event, run: Run) -> str:
    """Tell the requester why someone else decided about their run.

    Returns "" when no reason was given, or for the requester's own decision.
    """
    match event:
        case CancelAsked(by=by, reason=reason) if reason and by.key != run.requester.key:
            return f"{_called(run)}, {by.mention} cancelled {run.id}{italic_reason(reason)}"
        case Resumed(by=by, reason=reason) if reason and by.key != run.requester.key:
            return f"{_called(run)}, {by.mention} goes on with {run.id}{italic_reason(reason)}"
        case Opened(remarks=remarks) if remarks:
            by_key = dict(remarks)
            noted = [a for a in run.approvers if a.key in by_key]
            approved = " ".join(
                f"{a.mention} approved it{italic_reason(by_key[a.key])}." for a in noted
            )
            return f"{run.requester.mention}, {approved}"
        case _:
            return ""


def note(event: Noted) -> str:
    """Return a remark for the thread."""
    return escape(event.text)
