"""Runs under way: what is done, what is waited for and until when, what people can do about it."""

from handlers.slack.blocks import Block, Card, actions, button, clock, context, escape, section
from handlers.views.ended_run import end_card
from handlers.views.text import behind, plain, why
from services.access.policy import Actor
from services.common.text import duration, listed
from services.runs.executor import Progress
from services.runs.run import CancelAsked, Event, Noted, Opened, Recovering, Resumed, Run, State

CANCEL, RESUME, ABANDON, ANSWER = "cancel", "resume", "abandon", "answer"


def run_card(progress: Progress) -> Card:
    """A run in one message: what is done, what is being waited for and until when, what people can do about it."""
    run = progress.run
    if run.over:
        return end_card(run)
    head = f"*{run.plan.procedure.doing} {escape(run.plan.procedure.about(run.cluster))}* · {behind(run)} · run `{run.id}`"
    head += "".join(f"\n{note}." for note in run.plan.notes if note.startswith(":warning:"))
    lines = "\n".join(_step_lines(progress))
    told = plain(_aloud(progress))
    blocks: list[Block] = [section(head), section(lines)]
    if run.state is State.STOPPED:
        held = f"{run.cluster} stays claimed until somebody presses Resume or Abandon"
        said = f":warning: *{run.id} has stopped*: {escape(run.stopped)}. {held}."
        foot = f"{_since(progress)} · operators may press; until then nothing more is changed, and nobody else can change {run.cluster}"
        blocks += [section(said), actions(*stopped_buttons(run)), context(foot)]
        return Card(
            f"{run.id} has stopped: {escape(run.stopped)}. Press Resume or Abandon. {plain(head)}. {told}",
            tuple(blocks),
        )
    if run.question is not None:
        said = f":warning: *{run.id} needs a decision* · {escape(run.question.text)}"
        choices = "; ".join(c.label for c in run.question.choices)
        foot = f"{_since(progress)} · {_unanswered(run)}"
        blocks += [section(said), actions(*answer_buttons(run)), context(foot)]
        words = f"{run.id} needs a decision: {escape(run.question.text)} Answers: {choices}. {plain(foot)}. {plain(head)}. {told}"
        return Card(words, tuple(blocks))
    foot = _foot(progress)
    blocks.append(context(foot))
    if run.cancel is None:
        blocks.append(actions(cancel_button(run)))
    return Card(f"{plain(head)}. {told} {plain(foot)}", tuple(blocks))


def cancel_button(run: Run) -> Block:
    """Stops it, after saying what stays done."""
    stays = "; ".join(run.stays_done) or "nothing so far"
    return button(
        "Cancel…",
        CANCEL,
        run.id,
        confirm=f"It stops at the next safe point. Stays done: {stays}. {_begun(run)}".rstrip(),
    )


def _begun(run: Run) -> str:
    step = run.step
    if step is None or not run.asks:
        return ""
    return "" if step.breakable else f"“{step.title()}” is brought to its end first."


def _step_lines(progress: Progress) -> list[str]:
    run = progress.run
    reached = {r.step: r.at for r in run.reached}
    lines = []
    for index, step in enumerate(run.steps):
        if index in run.skipped:
            lines.append(f"– {step.title()} (skipped)")
        elif index in reached:
            lines.append(f"✓ {step.title()} · {clock(reached[index])}")
        elif index == run.position:
            lines.append(f"▸ *{step.title()}*{_waiting(progress)}")
        else:
            lines.append(f"○ {step.title()}")
    return lines


def _aloud(progress: Progress) -> str:
    """The steps for somebody who hears them: what is waited for first, then what is left, then what is done."""
    run, now, left, done = progress.run, "", [], []
    reached = {r.step for r in run.reached} | set(run.skipped)
    for index, step in enumerate(run.steps):
        if index in reached:
            done.append(step.title())
        elif index == run.position:
            now = f"Now: {step.title()}{_waiting(progress)}. "
        else:
            left.append(step.title())
    said = (
        now
        + (f"Then: {'; '.join(left)}. " if left else "")
        + (f"Done: {'; '.join(done)}. " if done else "")
    )
    return said.rstrip()


def _since(progress: Progress) -> str:
    return (
        f"as of {clock(progress.at)} · running for {duration(progress.at - progress.run.opened_at)}"
    )


def _unanswered(run: Run) -> str:
    """What comes of it when nobody answers."""
    question = run.question
    assert question is not None, "only asked while there is one"
    if question.default:
        label = next(
            (c.label for c in question.choices if c.id == question.default), question.default
        )
        return f"operators may answer; without an answer “{escape(label)}” is chosen after {duration(question.default_after)}"
    if question.meanwhile:
        return "operators may answer; it is looked at meanwhile, and goes on by itself when what is waited for has come"
    return "operators may answer; until then nothing more is changed"


def _waiting(progress: Progress) -> str:
    run, step = progress.run, progress.run.step
    said = f" — {escape(progress.waits_for)}" if progress.waits_for else ""
    said += f" · waiting {duration(progress.at - run.step_began if progress.watched is None else progress.watched)}"
    if progress.until is not None and step is not None and run.question is None:
        said += f", {'asks you' if 'finish' in step.title() else 'stops and says so'} at {clock(progress.until)}"
    return said


def _foot(progress: Progress) -> str:
    run = progress.run
    said = _since(progress)
    if progress.cluster is not None:
        left = sum(s.expected_seconds(progress.cluster) for s in run.steps[run.position :])
        meetings = (
            " after the last meeting" if run.plan.effects.blocks and run.position == 0 else ""
        )
        said += f" · about {duration(left)} left{meetings}"
    if run.cancel is not None:
        said += f" · {run.cancel.mention} cancelled it{why(run.why_cancelled)}; it stops at the next safe point"
    if progress.trouble:
        said += f" · {escape(progress.trouble)}; looking again, nothing is lost"
    return said


def answer_buttons(run: Run) -> list[Block]:
    """One button for each answer to its question."""
    question = run.question
    assert question is not None, "only asked while there is one"
    made = []
    for choice in question.choices:
        confirm = f"{choice.label}: {escape(choice.loses)}." if choice.loses else ""
        value = f"{run.id}|{question.id}|{choice.id}"
        made.append(
            button(
                choice.label,
                f"{ANSWER}:{choice.id}",
                value,
                style="danger" if choice.loses else "",
                confirm=confirm,
            )
        )
    return made


def stopped_buttons(run: Run) -> list[Block]:
    """What can be done about a run that has stopped."""
    stays = "; ".join(run.stays_done) or "nothing was changed"
    return [
        button("Resume", RESUME, run.id, style="primary"),
        button(
            "Abandon",
            ABANDON,
            run.id,
            confirm=f"Nothing more is done and {run.cluster} is free. Stays done: {stays}.",
        ),
    ]


def picked_up(run: Run) -> str:
    """The grey line after a restart."""
    where = f"“{run.step.title()}”" if run.step else "the end"
    return f"bot restarted; picked up at {where}; no drain signal was sent again"


def turned_notice(run: Run, event: Recovering) -> str:
    """Says why the run turns back, and what it does now."""
    ways = " · ".join(s.title() for s in event.steps)
    return f"{run.id} goes back to a safe state. {escape(event.reason)}. Steps now: {escape(ways)}"


def stopped_notice(run: Run, people: str = "") -> str:
    """Calls people to a run that cannot go on. `people`: those of the cluster, for a window that nobody approved."""
    return f"{_called(run, people)}, {run.id} has stopped: {escape(run.stopped)}. Press Resume or Abandon above."


def question_notice(run: Run, people: str = "") -> str:
    """Calls people to a question; of one that the run answers at once, they only read."""
    question = run.question
    if question is not None and question.default and not question.default_after:
        return f"{run.id}: {escape(question.text)}"
    return f"{_called(run, people, *run.approvers)}, {run.id} needs a decision: {escape(run.question.text) if run.question else ''}"


def _called(run: Run, people: str = "", *others: Actor) -> str:
    """Who asked for it, and others; for a window those who approved it, as nobody is behind it at this hour."""
    asked = run.approvers if run.requester.window else (run.requester, *others)
    return listed(dict.fromkeys(a.mention for a in asked)) or people or run.requester.mention


def reason_notice(event: Event, run: Run) -> str:
    """Tells whoever asked for a run why somebody else decided about it; "" when no reason was given, or it was their own decision."""
    match event:
        case CancelAsked(by=by, reason=reason) if reason and by.key != run.requester.key:
            return f"{_called(run)}, {by.mention} cancelled {run.id}{why(reason)}"
        case Resumed(by=by, reason=reason) if reason and by.key != run.requester.key:
            return f"{_called(run)}, {by.mention} goes on with {run.id}{why(reason)}"
        case Opened(remarks=remarks) if remarks:
            said = " ".join(
                f"{a.mention} approved it{why(dict(remarks)[a.key])}."
                for a in run.approvers
                if a.key in dict(remarks)
            )
            return f"{run.requester.mention}, {said}"
        case _:
            return ""


def note(event: Noted) -> str:
    """A remark in the thread."""
    return escape(event.text)
