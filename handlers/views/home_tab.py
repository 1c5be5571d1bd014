"""The Home tab: what waits for its reader, and each cluster at a glance.

Bounded in size, with the time it was read at, and explicit about what could not be read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlers.slack.blocks import (
    Block,
    actions,
    button,
    context,
    divider,
    escape,
    option,
    section,
    static_select,
    truncate,
)
from handlers.slack.markup import date_time, time_of_day
from handlers.views.act import difference, heading
from handlers.views.later import later_line
from handlers.views.notifications import notifications_button
from handlers.views.plan import impact
from handlers.views.request import REJECT, decide_buttons, waits_for
from handlers.views.run import answer_buttons, question_line, stopped_buttons, stopped_line
from handlers.views.status import state_of
from handlers.views.text import attribution, current_step, people, requested_by, sentence
from services.billing.prices import hourly, per_hour
from services.cluster.model import Cluster
from services.common.text import count_of, duration, join_words
from services.procedures.backup import newest_backup_text
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Run, State

REFRESH, MORE, WAKE = "home", "more", "wake"
# At most so many are shown; Slack takes 100 blocks.
DECISIONS, CLUSTERS = 12, 20
CANCEL_BUTTONS = 5  # of scheduled changes
LONGEST = 1400  # characters of a block; Slack takes 250 KB for the whole view
IS = {1: "is"}  # by number of clusters


@dataclass(frozen=True)
class ClusterOverview:
    """One cluster as the Home tab shows it.

    No `cluster`: it was not seen yet, or could not be read (`trouble` has the reason).
    """

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
    later: tuple[Request, ...] = ()  # approved, and waiting for their time
    closed: bool = False  # by its window alone


@dataclass(frozen=True)
class UserActions:
    """What the reader may do with a cluster.

    `decides`: ids of requests they may decide on. `offers`: pairs of label and value.
    `approvers`: who may approve, in words, by request. `wakes`: they may start it although its
    window closed it.
    """

    decides: frozenset[str] = frozenset()
    operates: bool = False
    offers: tuple[tuple[str, str], ...] = ()
    approvers: Mapping[str, str] = field(default_factory=dict)
    wakes: bool = False


def home_view(
    overviews: Sequence[tuple[ClusterOverview, UserActions]],
    at: float,
    hidden: int = 0,
    outsider: str = "",
) -> dict[str, Any]:
    """Return the whole view.

    `at`: now. `hidden`: number of clusters that the reader may not see. `outsider`: why the
    reader may see nothing at all; "" for members of the workspace.
    """
    blocks: list[Block] = [
        context(f"as of {time_of_day(at)} · changes by itself while something goes on")
    ]
    if outsider:
        return _view([*blocks, section(f"{sentence(outsider)} Nothing is shown here.")])
    blocks.append(actions(button("Refresh", REFRESH, "now"), notifications_button()))
    blocks += _decisions(overviews)
    shown = sorted(overviews, key=lambda both: (_quiet(both[0]), both[0].name))
    for overview, mine in shown[:CLUSTERS]:
        blocks += [divider(), *_cluster(overview, mine)]
    left = [o.name for o, _ in shown[CLUSTERS:]]
    if left:
        more = f"and {count_of(len(left), 'cluster')} more: {truncate(', '.join(left), LONGEST)}"
        blocks.append(context(f"{more}. `/openvidu status --cluster NAME` shows one"))
    if hidden:
        are = IS.get(hidden, "are")
        blocks.append(
            context(f"{count_of(hidden, 'cluster')} {are} not shown: you have no role there")
        )
    if not overviews and not hidden:
        blocks.append(section("There is no cluster in the settings."))
    return _view(blocks)


def _view(blocks: list[Block]) -> dict[str, Any]:
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _quiet(overview: ClusterOverview) -> bool:
    delayed = any(r.waits for r in overview.later)
    refused = overview.cluster is not None and bool(overview.cluster.problem)
    return not (overview.run or overview.waiting or delayed or overview.trouble or refused)


# What waits for the reader


def _decisions(overviews: Sequence[tuple[ClusterOverview, UserActions]]) -> list[Block]:
    decisions: list[list[Block]] = []
    for overview, mine in overviews:
        decisions += [_request(r, mine) for r in overview.waiting if r.id in mine.decides]
        if mine.operates and overview.run is not None and (asks := _question(overview.run)):
            decisions.append(asks)
    if not decisions:
        return [section(f"*Waits for you* {_nothing_waits(overviews)}.")]
    blocks = [section("*Waits for you*")]
    for decision in decisions[:DECISIONS]:
        blocks += decision
    if len(decisions) > DECISIONS:
        blocks.append(context(f"and {len(decisions) - DECISIONS} more, in their channels"))
    return blocks


def _nothing_waits(overviews: Sequence[tuple[ClusterOverview, UserActions]]) -> str:
    unread = [o.name for o, _ in overviews if not o.read]
    if not unread:
        return "nothing"
    return f"not known yet for {truncate(join_words(unread), LONGEST)}"


def _request(request: Request, mine: UserActions) -> list[Block]:
    requester = requested_by(request.requester, request.reason)
    lines = [f"*{heading(request)}* · {requester} · until {time_of_day(request.until)}"]
    if request.differs:
        lines.append(f":warning: {difference(request)}")
    lines.append(impact(request.plan))
    return [
        section(truncate("\n".join(lines), LONGEST)),
        context(sentence(waits_for(request, _approvers(request, mine)))),
        actions(*decide_buttons(request)),
    ]


def _approvers(request: Request, mine: UserActions) -> str:
    return mine.approvers.get(request.id, "an approver")


def _question(run: Run) -> list[Block]:
    if run.state is State.STOPPED:
        return [section(truncate(stopped_line(run), LONGEST)), actions(*stopped_buttons(run))]
    if run.question is None:
        return []
    line = question_line(run, run.question)
    return [section(truncate(line, LONGEST)), actions(*answer_buttons(run, run.question))]


# A cluster


def _cluster(overview: ClusterOverview, mine: UserActions) -> list[Block]:
    block = section(truncate("\n".join(_lines(overview, mine)), LONGEST))
    if mine.offers:
        offered = [option(label, value) for label, value in mine.offers]
        block["accessory"] = static_select(f"Do something with {overview.name}", MORE, offered)
    buttons = []
    if mine.wakes and overview.closed and overview.run is None:
        buttons.append(button(f"Wake up {overview.name}", WAKE, overview.name))
    if mine.operates:
        buttons += [_cancel_button(request) for request in overview.later[:CANCEL_BUTTONS]]
    if not buttons:
        return [block]
    return [block, actions(*buttons)]


def _lines(overview: ClusterOverview, mine: UserActions) -> list[str]:
    cluster = overview.cluster
    lines = [_head(overview)]
    if cluster is not None:
        lines += _health(cluster)
    if overview.run is not None:
        lines.append(f"*Run* {_run(overview.run, overview.progress)}")
    lines += [_waits(r, mine) for r in overview.waiting if r.id not in mine.decides]
    lines += [f"*Later* {later_line(r)}" for r in overview.later]
    if overview.hours:
        ahead = "".join(f" · then {edge}" for edge in overview.ahead)
        lines.append(f"*Hours* {overview.hours}{ahead}")
    if cluster is not None:
        unknown = "not known: the list of snapshots could not be read"
        lines.append(f"*Backups* {newest_backup_text(cluster) or unknown}")
        cost = f"*Cost* {per_hour(hourly(cluster).total)} now"
        lines.append(" · ".join(filter(None, (cost, overview.month))))
    return [*lines, *(f":warning: {escape(t)}" for t in overview.trouble)]


def _cancel_button(request: Request) -> Block:
    return button(truncate(f"Call off {clock_time(request)}", 75), REJECT, request.id)


def clock_time(request: Request) -> str:
    """Return `Shut down acme, 22:00`: which scheduled change a button is about."""
    return f"{heading(request)}, {request.moment.partition(', ')[2].partition(' ')[0]}"


def _head(overview: ClusterOverview) -> str:
    cluster = overview.cluster
    if cluster is None and overview.trouble:
        return f"*{overview.name}* · not readable now"
    if cluster is None:
        return f"*{overview.name}* · looking …"
    seen = time_of_day(cluster.seen_at)
    head = f"*{overview.name}* · {state_of(cluster)} · seen {seen}"
    if cluster.problem:
        head += f"\n:warning: {escape(cluster.problem)}. Nothing can be changed here."
    return head


def _health(cluster: Cluster) -> list[str]:
    if not cluster.masters:
        return []
    line = f"*Masters* {_masters(cluster)} · *Media* {_media(cluster)}"
    if cluster.is_down:
        return [line]
    return [line, f"*Meetings* {people(cluster.load)}"]


def _masters(cluster: Cluster) -> str:
    if cluster.is_down:
        return "all off"
    on = len([m for m in cluster.masters if m.active])
    well = len([m for m in cluster.masters if m.is_healthy])
    return f"{on} of {len(cluster.masters)} on, {well} healthy"


def _media(cluster: Cluster) -> str:
    media = "no nodes"
    if cluster.media:
        nodes = count_of(len(cluster.media), "node")
        media = f"{len(cluster.serving)} of {nodes} in service"
    unread = len([n for n in cluster.media if not n.is_observed and n.droplet.active])
    if unread:
        media += f" ({unread} not seen)"
    if cluster.pool:
        media += f", pool at {cluster.pool.target}"
    return media


def _run(run: Run, progress: Progress | None) -> str:
    what = f"{run.plan.procedure.doing} {escape(run.plan.procedure.target_text(run.cluster))}"
    now = current_step(run)
    if run.state is not State.RUNNING:
        now = f"{run.state}: {now}"
    line = f"`{run.id}` {what} · {attribution(run)} · {now}"
    if progress is None:
        return f"{line} · since {date_time(run.opened_at)}"
    if progress.waits_for:
        line += f" — {escape(progress.waits_for)}"
    if progress.until is not None:
        line += f" · until {time_of_day(progress.until)}"
    return f"{line} · running for {duration(progress.at - run.opened_at)}"


def _waits(request: Request, mine: UserActions) -> str:
    requester = requested_by(request.requester, request.reason)
    missing = waits_for(request, _approvers(request, mine))
    until = time_of_day(request.until)
    return f"*Waits for others* {heading(request)} · {requester} · {missing} · until {until}"
