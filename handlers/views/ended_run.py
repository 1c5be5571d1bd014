"""Runs that are over: what changed, who approved, how long, what to do next."""

import re
from collections.abc import Iterable
from itertools import groupby

from handlers.slack.blocks import Card, clock, cut, day, escape, section
from handlers.views.text import REASON, behind, plain, sentence, why
from services.common.text import duration
from services.runs.run import Run, State


def outcome(run: Run) -> str:
    """`acme is down`, `acme-17 was cancelled`."""
    match run.state:
        case State.DONE:
            return escape(run.plan.procedure.ended(run.cluster))
        case State.CANCELLED:
            return f"{run.id} was cancelled"
        case State.ABANDONED:
            return f"{run.id} was given up"
        case State.ROLLED_BACK if run.turned_back:
            return f"{run.cluster} stays up"
        case State.ROLLED_BACK:
            if (
                run.end_text != run.recovering
            ):  # something more has to be said: not everything is as it was
                return f"{run.id} did not work, and {run.cluster} was brought back"
            return f"{run.id} did not work and was put back as it was"
        case _:
            return f"{run.id} was left to be finished by hand"


def end_card(run: Run) -> Card:
    """A run that is over."""
    what = outcome(run)
    by = (
        f" by {run.ended_by.mention}{why(run.why_ended or run.why_cancelled)}"
        if run.ended_by
        else ""
    )
    head = f"*{what}*{by} · {clock(run.ended_at)}, took {duration(run.ended_at - run.opened_at)} · {behind(run)} · run `{run.id}`"
    changed = "; ".join(together(run.stays_done)) or "nothing"
    lines = (
        [f"*{cut(sentence(_ready(run)), REASON)}*"] if run.by and run.state is State.DONE else []
    )
    lines.append(f"*Changed* {changed}.")
    if run.end_text and run.end_text != changed:
        lines.append(
            f"*{'Because' if run.state is State.ROLLED_BACK else 'As it stands'}* {escape(run.end_text)}."
        )
    lines += [
        f"*Note* {escape(n.text)}." for n in run.notes if not n.text.startswith("still waiting")
    ]
    if run.state is State.DONE:
        lines += [
            f"*Terraform* {line}." if "terraform" in line.lower() else f"{line}."
            for line in run.plan.afterwards
        ]
    lines.append(f"*Next* {_next(run)}")
    return Card(
        f"{plain(head)}. {plain(' '.join(lines))}", (section(head), section("\n".join(lines)))
    )


def together(done: Iterable[str]) -> list[str]:
    """`master 1 on`, `master 2 on` as `masters 1-2 on`."""
    said: list[str] = []
    for same, found in groupby(
        done, key=lambda d: re.sub(r"^master \d ", "", d) if re.match(r"master \d ", d) else ""
    ):
        each = list(found)
        if same and len(each) > 1:
            said.append(f"masters {each[0][7]}-{each[-1][7]} {same}")
        else:
            said += each
    return said


def _ready(run: Run) -> str:
    """`ready 2 min before 07:30 · start-up took 5 min`: a window says when it serves, not when it starts."""
    early = run.by - run.ended_at
    if early < 0 and run.takes > 1:
        return f"in service by {clock(run.ended_at)}; no bot watched all of it, so when it was ready is unknown"
    when = (
        f"{duration(abs(early))} {'before' if early >= 0 else 'after'}"
        if abs(early) >= 1
        else "just at"
    )
    return f"ready {when} {run.edge.partition('T')[2][:5]} · start-up took {duration(run.ended_at - run.opened_at)}"


def _next(run: Run) -> str:
    if run.state is State.DONE and run.opens:
        return f"{run.cluster} opens by itself {day(run.opens)}"
    if run.state is State.DONE:
        return run.following or f"`/openvidu status` shows {run.cluster} now"
    if run.plan.effects.blocks and not run.turned_back:
        return "`/openvidu status` shows what serves; `/openvidu startup` brings everything back"
    return f"`/openvidu status` shows {run.cluster} now"


def end_notice(run: Run) -> str:
    """The one line that calls the requester back, in the thread."""
    why_ended = (
        f" by {run.ended_by.mention}{why(run.why_ended)}" if run.ended_by and run.why_ended else ""
    )
    return f"{run.requester.mention}, {outcome(run)} ({duration(run.ended_at - run.opened_at)}){why_ended}."
