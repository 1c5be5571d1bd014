"""Open runs: what is done, what is being waited for and until when, and what people can do."""

from typing import NamedTuple

from handlers.slack.blocks import Block, Card, actions, button, context, escape, header, section
from handlers.slack.markup import time_of_day
from handlers.views.ended_run import end_card
from handlers.views.links import NO_LINKS, ClusterLinks, link_buttons
from handlers.views.plan import alert_lines
from handlers.views.run_steps import WORTH_SAYING, current_lines, current_step_text, step_lines
from handlers.views.service import service_line
from handlers.views.text import (
    attribution,
    full_stop,
    italic_reason,
    run_place,
    sentence,
    without_formatting,
)
from services.access.policy import Actor
from services.cluster.model import Cluster
from services.cluster.service_state import ServiceState, service_state
from services.common.errors import OBSERVES
from services.common.text import count_of, duration, join_words, plural
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
from services.steps import Choice, Question

CANCEL, RESUME, ABANDON, ANSWER = "cancel", "resume", "abandon", "answer"
KEEP_RUN = "Keep running"


class _Parts(NamedTuple):
    """A card: what its header says, its blocks above the steps, and its text."""

    title: str
    above: tuple[Block, ...]
    text: str


def run_card(progress: Progress, links: ClusterLinks = NO_LINKS, *, whole: bool = False) -> Card:
    """Return the one message of a run. `whole`: with every step, however many there are."""
    run = progress.run
    if run.over:
        return end_card(run, links)
    if run.state is State.STOPPED:
        parts = _stopped(run, links)
    elif run.question is not None:
        parts = _asking(run, run.question)
    else:
        parts = _running(progress)
    blocks = [header(parts.title), *parts.above]
    lines = step_lines(progress, whole=whole)
    if not run.steps:
        lines = ["no steps"]
    if lines:
        blocks.append(section("\n".join(lines)))
    blocks.append(context(f"{attribution(run)} · `{run.id}`"))
    return Card(f"{parts.text} {full_stop(without_formatting(attribution(run)))}", tuple(blocks))


def _running(progress: Progress) -> _Parts:
    run = progress.run
    place = run_place(run)
    doing = run.plan.doing
    title, text = f"{doing} · {place}", f"{escape(doing)} · {place}"
    if run.cancel is not None:
        title = f"Cancelling {run.id} · {place}"
        text = f"Cancelling {run.id}: {escape(doing)}, {place}"
    lines = [*alert_lines(run.plan, "the plan"), *current_lines(progress)]
    above = [section("\n".join(lines)), context(_foot(progress))]
    if run.cancel is None:
        above.append(actions(cancel_button(run, progress.cluster)))
    now = without_formatting(current_step_text(progress))
    running = duration(progress.at - run.opened_at)
    text = f"{text}. {now}. {run.id} running for {running}."
    if progress.trouble:
        trouble = sentence(_trouble(progress), (run.cluster,))
        text = f"{text} {without_formatting(trouble)}"
    return _Parts(title, tuple(above), text)


def _stopped(run: Run, links: ClusterLinks) -> _Parts:
    why = run.stopped_brief
    title = f"{run.id} is paused: {why}"
    if not why:
        title = f"{run.id} is paused at {run_place(run)}"
    reason = section(f"{_why_stopped(run)}\n{_while_stopped(run)}")
    record = f"`/openvidu timeline {run.id}` records it"
    foot = f"Paused at {time_of_day(run.stopped_at)} · any operator can decide · {record}"
    buttons = [*stopped_buttons(run), *link_buttons(run, links)]
    above = (reason, actions(*buttons), context(foot))
    lead = f"{run.id} is paused. {_why_stopped(run)}"
    return _Parts(without_formatting(title), above, f"{lead} {_locked(run)}")


def _why_stopped(run: Run) -> str:
    return sentence(escape(run.stopped), (run.cluster,))


def _while_stopped(run: Run) -> str:
    """Say what holds until someone decides."""
    if run.service is None:
        return _locked(run)
    line = service_line(run.cluster, run.service, hosted=run.plan.hosts_meetings)
    return f"{_locked(run)} {line}"


def _locked(run: Run) -> str:
    return f"{run.cluster} stays locked until you choose Resume run or Abandon run."


def _asking(run: Run, question: Question) -> _Parts:
    title = f"{run.cluster} needs a decision"
    if question.headline:
        title += f": {question.headline}"
    text = section(full_stop(escape(question.text)))
    asked = f"Asked at {time_of_day(run.question_at)}"
    foot = f"{asked} · any operator can answer{_unanswered(question)}"
    above = (text, actions(*answer_buttons(run, question)), context(foot))
    choices = " · ".join(c.label for c in question.choices)
    head = escape(question.headline) or escape(question.text)
    lead = f"{run.id} needs a decision: {full_stop(head)} Answers: {choices}."
    unanswered = without_formatting(full_stop(f"Any operator can answer{_unanswered(question)}"))
    return _Parts(without_formatting(title), above, f"{lead} {unanswered}")


def stopped_line(run: Run) -> str:
    """Say why a run is paused, and that its cluster stays locked."""
    return f":warning: *{run.id} is paused.* {_why_stopped(run)} {_locked(run)}"


def question_line(run: Run, question: Question) -> str:
    """Return what a run asks, as a line of its card."""
    return f":warning: *{run.id} needs a decision* · {escape(question.text)}"


def cancel_button(run: Run, cluster: Cluster | None = None) -> Block:
    """Return the button that cancels a run, after saying what will be true afterwards.

    `cluster`: as the last look showed it.
    """
    confirm = after_cancel(run, service_state(cluster))
    return button("Cancel run…", CANCEL, run.id, confirm=confirm, keep=KEEP_RUN)


def after_cancel(run: Run, state: ServiceState | None = None) -> str:
    """Say what will be true when a run is cancelled now, and what is completed before."""
    return " ".join(part for part in (_left_by_cancel(run, state), _begun(run)) if part)


def _left_by_cancel(run: Run, state: ServiceState | None) -> str:
    if not run.stays_done:
        return f"Nothing was changed on {run.cluster} yet."
    if state is not None and state.masters_on and state.out:
        return _while_out(run, state)
    if state is not None and state.can_meet is False:
        return f"No new meetings on {run.cluster} until you restore service."
    return f"Stays as it is: {escape('; '.join(run.stays_done))}."


def _while_out(run: Run, state: ServiceState) -> str:
    cluster = run.cluster
    if run.plan.hosts_meetings:
        return (
            f"The node is already draining: no new meetings on {cluster} until you restore service."
        )
    nodes, are = count_of(state.out, "media node"), plural(state.out, "is", "are")
    if state.can_meet:
        takes = plural(state.out, "takes", "take")
        serving = count_of(state.serving, "media node")
        return (
            f"{nodes} {are} already draining and {takes} no new meetings until you restore "
            f"service; {serving} {plural(state.serving, 'stays', 'stay')} in service."
        )
    return (
        f"{nodes} {are} already draining: no new meetings on {cluster} until you restore service."
    )


def _begun(run: Run) -> str:
    step = run.step
    if step is None or not run.asks or step.interruptible:
        return ""
    return f"“{step.title()}” is completed first."


def _since(progress: Progress) -> str:
    running, as_of = progress.at - progress.run.opened_at, f"As of {time_of_day(progress.at)}"
    if running < WORTH_SAYING:
        return as_of
    return f"{as_of} · running for {duration(running)}"


def _unanswered(question: Question) -> str:
    """Return what happens without an answer, after who can answer."""
    if question.default:
        labels = {c.id: c.label for c in question.choices}
        label = escape(labels.get(question.default, question.default))
        after = duration(question.default_after)
        return f" · after {after} without an answer: “{label}”"
    if question.meanwhile:
        return " · the run continues by itself if this resolves without one"
    return " · nothing is changed until then"


def _trouble(progress: Progress) -> str:
    trouble = escape(" ".join(progress.trouble.split()))
    if OBSERVES in progress.trouble:
        return trouble
    return f"{trouble}; trying again, nothing is lost"


def _foot(progress: Progress) -> str:
    run = progress.run
    parts = [_since(progress)]
    if progress.cluster is not None:
        seconds = sum(s.expected_seconds(progress.cluster) for s in run.steps[run.position :])
        left = f"about {duration(seconds)} left"
        if run.step is not None and run.step.waits_for_meetings:
            left += " after the last meeting"
        parts.append(left)
    if run.cancel is not None:
        cancelled = f"cancelled by {run.cancel.mention}{italic_reason(run.why_cancelled)}"
        parts.append(f"{cancelled}; it stops at the next safe point")
    if progress.trouble:
        parts.append(f":warning: {_trouble(progress)}")
    return " · ".join(parts)


def answer_buttons(run: Run, question: Question) -> list[Block]:
    """Return one button per answer. An answer that loses or ends something has to be confirmed."""
    buttons = []
    for choice in question.choices:
        style = ""
        if choice.loses:
            style = "danger"
        value = f"{run.id}|{question.id}|{choice.id}"
        action = f"{ANSWER}:{choice.id}"
        buttons.append(
            button(choice.label, action, value, style=style, confirm=_consequence(run, choice))
        )
    return buttons


def _consequence(run: Run, choice: Choice) -> str:
    """Return what of an answer is not reversible; "" where it needs no confirmation."""
    if choice.loses:
        return f"{choice.label}: {escape(choice.loses)}."
    if choice.ends:
        return f"{run.id} ends here: {escape(choice.ends)}."
    return ""


def stopped_buttons(run: Run) -> list[Block]:
    """Return Resume and Abandon."""
    return [
        button("Resume run", RESUME, run.id, style="primary", confirm=_resumes(run)),
        button("Abandon run…", ABANDON, run.id, confirm=after_abandon(run), keep="Keep paused"),
    ]


def after_abandon(run: Run) -> str:
    """Say what will be true when a run is abandoned."""
    stays = escape("; ".join(run.stays_done)) or "nothing was changed"
    return f"{run.id} ends and {run.cluster} is unlocked. Stays as it is: {stays}."


def _resumes(run: Run) -> str:
    """Say what is requested again; "" where that takes no one out of service."""
    effects = run.shown.effects
    if run.step is None or not (effects.blocks or effects.down or effects.cuts_off):
        return ""
    left = len(run.to_come) - 1
    then = ""
    if left:
        then = f", then {count_of(left, 'more step')}"
    return f"{run.id} continues with “{run.step.title()}”{then}."


# The thread


def picked_up(run: Run) -> str:
    """Say in the thread that a restarted bot drives the run."""
    where = "at the end"
    if run.step is not None:
        where = f"with “{run.step.title()}”"
    return f"The bot restarted and continues {where}. No drain signal was sent twice."


def turned_notice(run: Run, event: Recovering) -> str:
    """Say why the run rolls back, and its steps from here."""
    steps = escape(" · ".join(s.title() for s in event.steps))
    return f"{run.id} goes back to a safe state: {full_stop(escape(event.reason))} Steps: {steps}."


def stopped_notice(run: Run, people: str = "") -> str:
    """Notify people of a run that stopped.

    `people`: those of the cluster, for a run of a window that no one approved.
    """
    return f"{_called(run, people)}, {run.id} is paused. {_why_stopped(run)} {_locked(run)}"


def question_notice(run: Run, people: str = "") -> str:
    """Notify people of a question. One that the run answers at once mentions no one."""
    question = run.question
    if question is None:
        return f"{_called(run, people, *run.approvers)}, {run.id} needs a decision."
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
            return f"{_called(run)}, {by.mention} resumed {run.id}{italic_reason(reason)}"
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
