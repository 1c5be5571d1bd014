"""The menu: the state of a cluster, what waits for its reader, and what they may do now."""

from collections.abc import Sequence

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    context,
    option,
    section,
    static_select,
)
from handlers.slack.markup import date_time, time_of_day
from handlers.views.act import heading
from handlers.views.offers import MAIN, Offer
from handlers.views.request import decide_buttons
from handlers.views.run import answer_buttons, cancel_button, stopped_buttons
from handlers.views.status import UNREAD, state_of
from handlers.views.text import (
    attribution,
    current_step,
    people,
    requested_by,
    sentence,
    without_formatting,
)
from services.operations.results import Status
from services.runs.request import Request
from services.runs.run import Run, State
from services.windows import Hold

MORE, WHICH = "more", "which"
SHOWN = 3  # requests with their buttons


def menu_card(
    status: Status,
    offered: Sequence[Offer],
    hold: Hold | None,
    may_not: str,
    mine: frozenset[str],
    *,
    decides: bool | None = None,
) -> Card:
    """Return the answer to `/openvidu` alone.

    `may_not`: why the reader may only read, "" for an operator. `mine`: ids of requests they may
    decide on. `decides`: whether they may decide about the open run; None: operators may.
    """
    cluster = status.cluster
    lines = _head_lines(status, hold, may_not)
    blocks: list[Block] = [section("\n".join(lines))]
    if decides is None:
        decides = not may_not
    if status.run is not None:
        line = _run_line(status.run)
        lines.append(line)
        blocks.append(section(line))
        if decides and (buttons := _run_buttons(status.run)):
            blocks.append(actions(*buttons))
    for request in [r for r in status.waiting if r.id in mine][:SHOWN]:
        line = _waits(request)
        lines.append(line)
        blocks += [section(line), actions(*decide_buttons(request))]
    blocks.append(actions(*_offers(cluster.name, offered)))
    blocks.append(context(_foot(offered)))
    labels = ", ".join(o.label.rstrip("…") for o in offered)
    text = f"{'. '.join(line.rstrip('.') for line in lines)}. You may: {labels}."
    return Card(without_formatting(text), tuple(blocks))


def _head_lines(status: Status, hold: Hold | None, may_not: str) -> list[str]:
    cluster = status.cluster
    seen = time_of_day(cluster.seen_at)
    lines = [f"*{cluster.name}* · {state_of(cluster)} · {people(cluster.load)} · {seen}"]
    if cluster.problem:
        lines.append(f":warning: {sentence(cluster.problem)} Nothing can be changed here.")
    if not status.known:
        lines.append(f":warning: {UNREAD}.")
    if hold is not None:
        lines.append(
            f"*On hold* until {date_time(hold.until)} by {hold.by}: {hold.reason}. "
            "Nothing can be changed before."
        )
    if may_not:
        lines.append(f"You may read; {may_not}.")
    return lines


def _run_line(run: Run) -> str:
    doing = current_step(run)
    procedure = f"{run.plan.procedure.doing} {run.plan.procedure.target_text(run.cluster)}"
    what = f"`{run.id}` {procedure} · {attribution(run)}"
    if run.state is State.STOPPED:
        return f":warning: {what} · *stopped* at “{doing}”"
    if run.question is not None:
        return f":warning: {what} · *needs a decision*"
    return f"{what} · now: {doing}. Nothing else can be asked for until it has ended."


def _run_buttons(run: Run) -> list[Block]:
    if run.state is State.STOPPED:
        return stopped_buttons(run)
    if run.question is not None:
        return answer_buttons(run, run.question)
    if run.cancel is None:
        return [cancel_button(run)]
    return []


def _waits(request: Request) -> str:
    requester = requested_by(request.requester, request.reason)
    until = time_of_day(request.until)
    return f"*Waits for you* {heading(request)} · {requester} · until {until}"


def _offers(name: str, offered: Sequence[Offer]) -> list[Block]:
    first, rest = offered[:MAIN], offered[MAIN:]
    elements = [button(o.label, o.action, name) for o in first]
    if rest:
        options = [option(o.label, f"{o.action}|{name}") for o in rest]
        elements.append(static_select("More …", MORE, options))
    return elements


def _foot(offered: Sequence[Offer]) -> str:
    typed = "All of it can be typed, too: `/openvidu help`"
    if any(o.form for o in offered):
        return f"Whatever changes something shows its plan first. {typed}"
    return typed


def which_card(names: Sequence[str]) -> Card:
    """Ask which cluster is meant, where a channel has no default."""
    text = "Which cluster? This channel has no default."
    options = [option(name, name) for name in names]
    return Card(
        f"{text} There are: {', '.join(names)}.",
        (section(text), actions(static_select("Choose", WHICH, options))),
    )
