"""App Home: what waits for this person, and each cluster at a glance. Bounded, dated, and open about what could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlers.slack.blocks import (
    Block,
    actions,
    button,
    clock,
    context,
    cut,
    day,
    divider,
    escape,
    menu,
    option,
    section,
)
from handlers.views.act import heading, unlike
from handlers.views.later import later_line
from handlers.views.plan import impact
from handlers.views.request import REJECT, decide_buttons, waits_for
from handlers.views.run import answer_buttons, stopped_buttons
from handlers.views.status import state_of
from handlers.views.text import asked, behind, people, sentence
from services.billing.prices import hourly, per_hour
from services.cluster.model import Cluster
from services.common.text import count, duration, listed
from services.procedures.backup import newest_words
from services.runs.executor import Progress
from services.runs.request import Request
from services.runs.run import Run, State

REFRESH, MORE, WAKE = "home", "more", "wake"
DECISIONS, CLUSTERS = 12, 20  # at most so many are shown; Slack takes 100 blocks
CALLED_OFF = 5  # buttons for what is planned for later
SAID = 1400  # characters of one of them; Slack takes 250 KB


@dataclass(frozen=True)
class ClusterOverview:
    """One cluster as App Home shows it. No `cluster`: it has not been seen yet, or not been readable (`trouble` says why)."""

    name: str
    cluster: Cluster | None = None
    run: Run | None = None
    progress: Progress | None = None
    waiting: tuple[Request, ...] = ()
    hours: str = ""  # its windows and holds, in words
    ahead: tuple[str, ...] = ()  # what its windows do after that
    read: bool = False  # runs, requests and windows are known
    held: bool = False
    windows: bool = False  # it has some
    month: str = ""  # what it cost this month
    trouble: tuple[str, ...] = ()  # what could not be read
    later: tuple[Request, ...] = ()  # approved, and waiting for their moment
    closed: bool = False  # by its window alone


@dataclass(frozen=True)
class UserActions:
    """What one person may do about a cluster: decide on these requests, operate it, and these offers (label, value)."""

    decides: frozenset[str] = frozenset()
    operates: bool = False
    offers: tuple[tuple[str, str], ...] = ()
    approvers: Mapping[str, str] = field(
        default_factory=dict
    )  # by request: who may approve it, in words
    wakes: bool = False  # may start it, where its window has closed it


def home_view(
    glances: Sequence[tuple[ClusterOverview, UserActions]],
    at: float,
    hidden: int = 0,
    outsider: str = "",
) -> dict[str, Any]:
    """The whole view. `hidden`: clusters that this person may not see."""
    blocks: list[Block] = [
        context(f"as of {clock(at)} · changes by itself while something goes on")
    ]
    if outsider:
        return _view([*blocks, section(f"{sentence(outsider)} Nothing is shown here.")])
    blocks.append(actions(button("Refresh", REFRESH, "now")))
    blocks += _decisions(glances)
    shown = sorted(glances, key=lambda both: (_quiet(both[0]), both[0].name))
    for glance, mine in shown[:CLUSTERS]:
        blocks += [divider(), *_cluster(glance, mine)]
    left = [g.name for g, _ in shown[CLUSTERS:]]
    if left:
        named = cut(", ".join(left), SAID)
        blocks.append(
            context(
                f"and {count(len(left), 'cluster')} more: {named}. `/openvidu status --cluster NAME` shows one"
            )
        )
    if hidden:
        blocks.append(
            context(
                f"{count(hidden, 'cluster')} {'is' if hidden == 1 else 'are'} not shown: you have no role there"
            )
        )
    if not glances and not hidden:
        blocks.append(section("There is no cluster in the settings."))
    return _view(blocks)


def _view(blocks: list[Block]) -> dict[str, Any]:
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _quiet(glance: ClusterOverview) -> bool:
    delayed = any(r.waits for r in glance.later)
    return not (
        glance.run
        or glance.waiting
        or delayed
        or glance.trouble
        or (glance.cluster and glance.cluster.problem)
    )


# What waits for this person


def _decisions(glances: Sequence[tuple[ClusterOverview, UserActions]]) -> list[Block]:
    made: list[list[Block]] = []
    for glance, mine in glances:
        made += [_request(r, mine) for r in glance.waiting if r.id in mine.decides]
        if mine.operates and glance.run is not None and (found := _question(glance.run)):
            made.append(found)
    if not made:
        unread = [g.name for g, _ in glances if not g.read]
        return [
            section(
                f"*Waits for you* {f'not known yet for {cut(listed(unread), SAID)}' if unread else 'nothing'}."
            )
        ]
    blocks = [section("*Waits for you*")]
    for some in made[:DECISIONS]:
        blocks += some
    if len(made) > DECISIONS:
        blocks.append(context(f"and {len(made) - DECISIONS} more, in their channels"))
    return blocks


def _request(request: Request, mine: UserActions) -> list[Block]:
    head = f"*{heading(request)}* · {asked(request.requester, request.reason)} · until {clock(request.until)}"
    differs = f":warning: {unlike(request)}\n" if request.differs else ""
    said = cut(f"{head}\n{differs}{impact(request.plan)}", SAID)
    waits = sentence(waits_for(request, mine.approvers.get(request.id, "an approver")))
    return [section(said), context(waits), actions(*decide_buttons(request))]


def _question(run: Run) -> list[Block]:
    if run.state is State.STOPPED:
        held = f"{run.cluster} stays claimed until somebody presses Resume or Abandon"
        said = f":warning: *{run.id} has stopped*: {escape(run.stopped)}. {held}."
        return [section(cut(said, SAID)), actions(*stopped_buttons(run))]
    if run.question is None:
        return []
    said = f":warning: *{run.id} needs a decision* · {escape(run.question.text)}"
    return [section(cut(said, SAID)), actions(*answer_buttons(run))]


# A cluster


def _cluster(glance: ClusterOverview, mine: UserActions) -> list[Block]:
    lines = [_head(glance)]
    if glance.cluster is not None:
        lines += _health(glance.cluster)
    if glance.run is not None:
        lines.append(f"*Run* {_run(glance.run, glance.progress)}")
    lines += [_waits(r, mine) for r in glance.waiting if r.id not in mine.decides]
    lines += [f"*Later* {later_line(r)}" for r in glance.later]
    if glance.hours:
        lines.append(f"*Hours* {glance.hours}{''.join(f' · then {a}' for a in glance.ahead)}")
    if glance.cluster is not None:
        kept = newest_words(glance.cluster)
        lines.append(f"*Backups* {kept or 'not known: the list of snapshots could not be read'}")
        month = f" · {glance.month}" if glance.month else ""
        lines.append(f"*Cost* {per_hour(hourly(glance.cluster).total)} now{month}")
    lines += [f":warning: {escape(t)}" for t in glance.trouble]
    block = section(cut("\n".join(lines), SAID))
    if mine.offers:
        offered = [option(label, value) for label, value in mine.offers]
        block["accessory"] = menu(f"Do something with {glance.name}", MORE, offered)
    wake = (
        [button(f"Wake up {glance.name}", WAKE, glance.name)]
        if mine.wakes and glance.closed and glance.run is None
        else []
    )
    off = wake + [
        button(cut(f"Call off {clock_time(r)}", 75), REJECT, r.id)
        for r in glance.later[:CALLED_OFF]
        if mine.operates
    ]
    return [block, *([actions(*off)] if off else [])]


def clock_time(request: Request) -> str:
    """`Shut down acme, 22:00`: which of them a button is about."""
    return f"{heading(request)}, {request.moment.partition(', ')[2].partition(' ')[0]}"


def _head(glance: ClusterOverview) -> str:
    cluster = glance.cluster
    if cluster is None:
        return f"*{glance.name}* · {'not readable now' if glance.trouble else 'looking …'}"
    head = f"*{glance.name}* · {state_of(cluster)} · seen {clock(cluster.seen_at)}"
    return (
        f"{head}\n:warning: {escape(cluster.problem)}. Nothing can be changed here."
        if cluster.problem
        else head
    )


def _health(cluster: Cluster) -> list[str]:
    if not cluster.masters:
        return []
    well = len([m for m in cluster.masters if m.well])
    on = len([m for m in cluster.masters if m.active])
    masters = "all off" if cluster.down else f"{on} of {len(cluster.masters)} on, {well} healthy"
    serving = len(cluster.serving)
    media = (
        f"{serving} of {count(len(cluster.media), 'node')} in service"
        if cluster.media
        else "no nodes"
    )
    unread = len([n for n in cluster.media if not n.seen and n.droplet.active])
    unknown = f" ({unread} not seen)" if unread else ""
    pool = f", pool at {cluster.pool.target}" if cluster.pool else ""
    lines = [f"*Masters* {masters} · *Media* {media}{unknown}{pool}"]
    return lines if cluster.down else [*lines, f"*Meetings* {people(cluster.load)}"]


def _run(run: Run, progress: Progress | None) -> str:
    doing = run.step.title() if run.step else "finishing"
    waits = (
        f" — {escape(progress.waits_for)}" if progress is not None and progress.waits_for else ""
    )
    until = (
        f" · until {clock(progress.until)}"
        if progress is not None and progress.until is not None
        else ""
    )
    state = f"{run.state}: " if run.state is not State.RUNNING else ""
    for_long = (
        f" · running for {duration(progress.at - run.opened_at)}"
        if progress is not None
        else f" · since {day(run.opened_at)}"
    )
    what = f"{run.plan.procedure.doing} {escape(run.plan.procedure.about(run.cluster))}"
    return f"`{run.id}` {what} · {behind(run)} · {state}{doing}{waits}{until}{for_long}"


def _waits(request: Request, mine: UserActions) -> str:
    whom = waits_for(request, mine.approvers.get(request.id, "an approver"))
    return f"*Waits for others* {heading(request)} · {asked(request.requester, request.reason)} · {whom} · until {clock(request.until)}"
