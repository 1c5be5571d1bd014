"""The menu: the state of a cluster, what waits for its reader, and what they may do now."""

from collections.abc import Sequence

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    context,
    fields,
    header,
    option,
    section,
    static_select,
)
from handlers.slack.markup import time_of_day
from handlers.views.cluster_facts import (
    UNREAD,
    problems,
    run_line,
    service_fields,
    state_of,
    waiting_line,
)
from handlers.views.offers import MAIN, Offer
from handlers.views.request import decide_buttons
from handlers.views.run import answer_buttons, cancel_button, stopped_buttons
from handlers.views.schedule import hold_words
from handlers.views.text import without_formatting
from services.cluster.model import Cluster
from services.operations.results import Status
from services.runs.run import Run, State
from services.windows import Hold

MORE, WHICH = "more", "which"
SHOWN = 3  # requests with their buttons
SPOKEN = ("Meetings now", "Cost now")  # facts of the notification


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
    headline = state_of(cluster).headline(cluster.name)
    facts, lines = service_fields(cluster), _head_lines(status, hold, may_not)
    blocks: list[Block] = [header(headline), fields(*facts)]
    if lines:
        blocks.append(section("\n".join(lines)))
    if decides is None:
        decides = not may_not
    if status.run is not None:
        line = run_line(status.run)
        lines.append(f"{line}.")
        blocks.append(section(line))
        if decides and (buttons := _run_buttons(status.run, cluster)):
            blocks.append(actions(*buttons))
    for request in [r for r in status.waiting if r.id in mine][:SHOWN]:
        line = f"Waiting for you: {waiting_line(request)}"
        lines.append(f"{line}.")
        blocks += [section(line), actions(*decide_buttons(request))]
    blocks.append(actions(*_offers(cluster.name, offered)))
    blocks.append(context(_foot(offered, cluster.seen_at)))
    labels = ", ".join(o.label.rstrip("…") for o in offered[:MAIN])
    if len(offered) > MAIN:
        labels += f" and {len(offered) - MAIN} more"
    short = [f"{label}: {value}." for label, value in facts if label in SPOKEN]
    spoken = [f"{headline}.", *lines, *short]
    text = f"{' '.join(spoken)} You may: {labels}."
    return Card(without_formatting(text), tuple(blocks))


def _head_lines(status: Status, hold: Hold | None, may_not: str) -> list[str]:
    """Return what is wrong, and what keeps the reader from changing something."""
    cluster, busy = status.cluster, status.run is not None
    wrong = [*problems(cluster, status.certificate, cluster.seen_at, busy=busy)]
    if not status.known:
        wrong.append(UNREAD)
    lines = [f":warning: {line}" for line in wrong]
    if hold is not None:
        lines.append(f"{cluster.name} is {hold_words(hold)}. Nothing can be changed before.")
    if busy:
        lines.append("Nothing else can be changed until this run has ended.")
    if may_not:
        lines.append(f"You may read; {may_not}.")
    return lines


def _run_buttons(run: Run, cluster: Cluster) -> list[Block]:
    if run.state is State.STOPPED:
        return stopped_buttons(run)
    if run.question is not None:
        return answer_buttons(run, run.question)
    if run.cancel is None:
        return [cancel_button(run, cluster)]
    return []


def _offers(name: str, offered: Sequence[Offer]) -> list[Block]:
    first, rest = offered[:MAIN], offered[MAIN:]
    elements = [button(o.label, o.action, name) for o in first]
    if rest:
        options = [option(o.label, f"{o.action}|{name}") for o in rest]
        elements.append(static_select("More", MORE, options))
    return elements


def _foot(offered: Sequence[Offer], seen_at: float) -> str:
    parts = [f"As of {time_of_day(seen_at)}"]
    if any(o.form for o in offered):
        parts.append("a change shows its plan first")
    return " · ".join([*parts, "everything can be typed: `/openvidu help`"])


def which_card(names: Sequence[str]) -> Card:
    """Ask which cluster is meant, where a channel has no default."""
    text = "Which cluster? This channel has no default."
    options = [option(name, name) for name in names]
    return Card(
        f"{text} There are: {', '.join(names)}.",
        (section(text), actions(static_select("Choose", WHICH, options))),
    )
