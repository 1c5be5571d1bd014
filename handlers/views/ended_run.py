"""Runs that are over: what changed, who approved, how long it took, what to do next."""

import re
from collections.abc import Iterable
from itertools import groupby

from handlers.slack.blocks import Card, escape, section, truncate
from handlers.slack.markup import date_time, time_of_day
from handlers.views.text import REASON, attribution, italic_reason, sentence, without_formatting
from services.common.text import duration
from services.runs.run import Run, State

EXPLAINS = {State.ROLLED_BACK: "Because"}  # what a run's last words are, by its state
MASTER = re.compile(r"master \d ")


def outcome(run: Run) -> str:
    """Return `acme is down`, `acme-17 was cancelled`."""
    match run.state:
        case State.DONE:
            return escape(run.plan.procedure.outcome_text(run.cluster))
        case State.CANCELLED:
            return f"{run.id} was cancelled"
        case State.ABANDONED:
            return f"{run.id} was given up"
        case State.ROLLED_BACK if run.turned_back:
            return f"{run.cluster} stays up"
        case State.ROLLED_BACK if run.end_text != run.recovering:
            # The end has more to say than why it was rolled back: not everything is as before.
            return f"{run.id} did not work, and {run.cluster} was brought back"
        case State.ROLLED_BACK:
            return f"{run.id} did not work and was put back as it was"
        case _:
            return f"{run.id} was left to be finished by hand"


def end_card(run: Run) -> Card:
    """Return the card of a run that is over."""
    took = duration(run.ended_at - run.opened_at)
    head = (
        f"*{outcome(run)}*{_by(run, run.why_ended or run.why_cancelled)} · "
        f"{time_of_day(run.ended_at)}, took {took} · {attribution(run)} · run `{run.id}`"
    )
    lines = _lines(run)
    return Card(
        f"{without_formatting(head)}. {without_formatting(' '.join(lines))}",
        (section(head), section("\n".join(lines))),
    )


def _by(run: Run, reason: str) -> str:
    if run.ended_by is None:
        return ""
    return f" by {run.ended_by.mention}{italic_reason(reason)}"


def _lines(run: Run) -> list[str]:
    done = run.state is State.DONE
    changed = "; ".join(together(run.stays_done)) or "nothing"
    lines = []
    if run.by and done:
        lines.append(f"*{truncate(sentence(_ready(run)), REASON)}*")
    lines.append(f"*Changed* {changed}.")
    if run.end_text and run.end_text != changed:
        label = EXPLAINS.get(run.state, "As it stands")
        lines.append(f"*{label}* {escape(run.end_text)}.")
    notes = [n for n in run.notes if not n.text.startswith("still waiting")]
    lines += [f"*Note* {escape(n.text)}." for n in notes]
    if done:
        lines += map(_follow_up, run.plan.afterwards)
    lines.append(f"*Next* {_next(run)}")
    return lines


def _follow_up(line: str) -> str:
    if "terraform" in line.lower():
        return f"*Terraform* {line}."
    return f"{line}."


def together(done: Iterable[str]) -> list[str]:
    """Join `master 1 on`, `master 2 on` to `masters 1-2 on`."""
    lines: list[str] = []
    for change, group in groupby(done, key=_change_of_master):
        each = list(group)
        if change and len(each) > 1:
            lines.append(f"masters {each[0][7]}-{each[-1][7]} {change}")
        else:
            lines += each
    return lines


def _change_of_master(line: str) -> str:
    """Return `on` for `master 1 on`; "" for anything else."""
    if not MASTER.match(line):
        return ""
    return MASTER.sub("", line, count=1)


def _ready(run: Run) -> str:
    """Return `ready 2 min before 07:30 · start-up took 5 min`.

    A window names when the cluster is in service, not when the start-up begins.
    """
    early = run.by - run.ended_at
    if early < 0 and run.takes > 1:
        at = time_of_day(run.ended_at)
        return f"in service by {at}; no bot watched all of it, so when it was ready is unknown"
    edge, took = run.edge.partition("T")[2][:5], duration(run.ended_at - run.opened_at)
    return f"ready {_distance(early)} {edge} · start-up took {took}"


def _distance(early: float) -> str:
    if early >= 1:
        return f"{duration(early)} before"
    if early <= -1:
        return f"{duration(-early)} after"
    return "just at"


def _next(run: Run) -> str:
    if run.state is State.DONE and run.opens:
        return f"{run.cluster} opens by itself {date_time(run.opens)}"
    if run.state is State.DONE:
        return run.following or f"`/openvidu status` shows {run.cluster} now"
    if run.plan.effects.blocks and not run.turned_back:
        return "`/openvidu status` shows what serves; `/openvidu startup` brings everything back"
    return f"`/openvidu status` shows {run.cluster} now"


def end_notice(run: Run) -> str:
    """Return the line in the thread that notifies the requester of the end."""
    took, by = duration(run.ended_at - run.opened_at), ""
    if run.why_ended:
        by = _by(run, run.why_ended)
    return f"{run.requester.mention}, {outcome(run)} ({took}){by}."
