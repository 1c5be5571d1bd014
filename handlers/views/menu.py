"""The menu: where a cluster stands, what waits for this person, and what they may do now."""

from collections.abc import Sequence

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    clock,
    context,
    day,
    menu,
    option,
    section,
)
from handlers.views.act import heading
from handlers.views.offers import MAIN, Offer
from handlers.views.request import decide_buttons
from handlers.views.run import answer_buttons, cancel_button, stopped_buttons
from handlers.views.status import UNREAD, state_of
from handlers.views.text import asked, behind, people, plain, sentence
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
    """What `/openvidu` alone answers. `may_not`: why this person may only read; `mine`: requests that they may decide on.

    `decides`: whether they may decide about the run that is open; left out, whoever may change something may.
    """
    cluster = status.cluster
    head = f"*{cluster.name}* · {state_of(cluster)} · {people(cluster.load)} · {clock(cluster.seen_at)}"
    lines = [head]
    if cluster.problem:
        lines.append(f":warning: {sentence(cluster.problem)} Nothing can be changed here.")
    if not status.known:
        lines.append(f":warning: {UNREAD}.")
    if hold is not None:
        lines.append(
            f"*On hold* until {day(hold.until)} by {hold.by}: {hold.reason}. Nothing can be changed before."
        )
    if may_not:
        lines.append(f"You may read; {may_not}.")
    blocks: list[Block] = [section("\n".join(lines))]
    said = list(lines)
    if status.run is not None:
        words, buttons = _run(status.run, operates=not may_not if decides is None else decides)
        said.append(words)
        blocks += [section(words), *([actions(*buttons)] if buttons else [])]
    for request in [r for r in status.waiting if r.id in mine][:SHOWN]:
        words = _waits(request)
        said.append(words)
        blocks += [section(words), actions(*decide_buttons(request))]
    blocks.append(actions(*_offers(cluster.name, offered)))
    blocks.append(context(_foot(offered)))
    labels = ", ".join(o.label.rstrip("…") for o in offered)
    return Card(
        plain(f"{'. '.join(s.rstrip('.') for s in said)}. You may: {labels}."), tuple(blocks)
    )


def _run(run: Run, *, operates: bool) -> tuple[str, list[Block]]:
    doing = run.step.title() if run.step else "finishing"
    what = f"`{run.id}` {run.plan.procedure.doing} {run.plan.procedure.about(run.cluster)} · {behind(run)}"
    if run.state is State.STOPPED:
        return f":warning: {what} · *stopped* at “{doing}”", stopped_buttons(
            run
        ) if operates else []
    if run.question is not None:
        return f":warning: {what} · *needs a decision*", answer_buttons(run) if operates else []
    cancel = [cancel_button(run)] if operates and run.cancel is None else []
    return f"{what} · now: {doing}. Nothing else can be asked for until it has ended.", cancel


def _waits(request: Request) -> str:
    return f"*Waits for you* {heading(request)} · {asked(request.requester, request.reason)} · until {clock(request.until)}"


def _offers(name: str, offered: Sequence[Offer]) -> list[Block]:
    first, rest = offered[:MAIN], offered[MAIN:]
    made = [button(o.label, o.action, name) for o in first]
    if rest:
        made.append(menu("More …", MORE, [option(o.label, f"{o.action}|{name}") for o in rest]))
    return made


def _foot(offered: Sequence[Offer]) -> str:
    seen = (
        "Whatever changes something shows its plan first. " if any(o.form for o in offered) else ""
    )
    return f"{seen}All of it can be typed, too: `/openvidu help`"


def which_card(names: Sequence[str]) -> Card:
    """Which cluster is meant, where a channel has no default."""
    text = "Which cluster? This channel has no default."
    return Card(
        f"{text} There are: {', '.join(names)}.",
        (section(text), actions(menu("Choose", WHICH, [option(n, n) for n in names]))),
    )
