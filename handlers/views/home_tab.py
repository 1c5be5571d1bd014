"""The Home tab: what waits for its reader, what runs, each cluster at a glance, what comes next.

Bounded in size, with the time it was read at, and explicit about what could not be read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlers.slack.blocks import (
    Block,
    actions,
    button,
    context,
    divider,
    escape,
    fields,
    header,
    link_button,
    option,
    section,
    static_select,
    truncate,
)
from handlers.slack.markup import time_of_day
from handlers.views.act import difference
from handlers.views.batch import batch_line
from handlers.views.certificates import certificate_days
from handlers.views.cluster_facts import (
    OBSERVES_ONLY,
    backup_words,
    problems,
    run_line,
    service_fields,
    started_words,
    state_of,
    waiting_line,
)
from handlers.views.fleet import NO_LABEL, group
from handlers.views.later import later_line
from handlers.views.links import LINK
from handlers.views.lists import ended_run_line
from handlers.views.notifications import notifications_button
from handlers.views.plan import deciding_facts
from handlers.views.request import REJECT, decide_buttons, waits_for
from handlers.views.run import (
    answer_buttons,
    cancel_button,
    question_line,
    stopped_buttons,
    stopped_line,
)
from handlers.views.run_steps import waiting_words
from handlers.views.schedule import edge_words
from handlers.views.text import sentence
from services.cluster.certificates import CertificateSeen
from services.cluster.model import Cluster
from services.common.text import count_of, join_words, plural
from services.runs.batch import Batch
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Run, State
from services.windows import Row

REFRESH, MORE, WAKE, OPEN = "home", "more", "wake", f"{LINK}:message"
# At most so many are shown; Slack takes 100 blocks.
BLOCKS = 100
DECISIONS, RUNNING, LATER, RECENT, COMING = 8, 5, 5, 5, 5
CLUSTERS = 20
BATCHES = 3
FULL = 4  # blocks of a cluster with its facts and buttons; one without them takes 1
AROUND = 11  # blocks below the clusters: their headings, lists and the foot
WRONG = 3  # problems of a cluster that are shown
LIKELY = 2  # offers that are buttons of their own; the rest is in a list
OLD_LOOK = 60.0  # seconds after which the time of a look is shown
LONGEST = 1400  # characters of a block; Slack takes 250 KB for the whole view


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
    schedule: str = ""  # its windows and holds, in words
    coming: tuple[Row, ...] = ()  # its next openings and closings
    read: bool = False  # runs, requests and windows are known
    held: bool = False
    windows: bool = False  # it has some
    month: str = ""  # what it cost this month
    forecast: str = ""  # the media nodes that the coming day needs
    promises: str = ""  # how well promises were kept lately
    trouble: tuple[str, ...] = ()  # what could not be read
    later: tuple[Request, ...] = ()  # approved, and waiting for their time
    closed: bool = False  # by its window alone
    certificate: CertificateSeen | None = None
    recent: tuple[Run, ...] = ()  # the newest that are over, newest first
    links: Mapping[str, str] = field(default_factory=dict)  # to the messages of runs
    labels: tuple[str, ...] = ()


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


Shown = tuple[ClusterOverview, UserActions]


def home_view(
    overviews: Sequence[Shown],
    at: float,
    hidden: int = 0,
    outsider: str = "",
    *,
    observes: bool = False,
    batches: Sequence[tuple[Batch, Sequence[Block]]] = (),
) -> dict[str, Any]:
    """Return the whole view.

    `at`: now. `hidden`: number of clusters that the reader may not see. `outsider`: why the
    reader may see nothing at all; "" for members of the workspace. `observes`: this bot only
    observes. `batches`: changes of several clusters that are not over, with the reader's buttons.
    """
    if outsider:
        return _view([header("No cluster is shown"), section(sentence(outsider, ())), *_foot(at)])
    shown = sorted(overviews, key=_place)
    above = [*_batches(batches), *_decisions(shown), *_running(shown)]
    below = [*_scheduled(shown), *_coming(shown), *_recent(shown), *_hidden(hidden)]
    room = BLOCKS - len(above) - len(below) - AROUND
    blocks = [*above, *_clusters(shown, at, room), *below]
    if not overviews:
        why = _hidden(hidden) or [section("There is no cluster in the settings.")]
        blocks = [header("No cluster is shown"), *why]
    head = [context(f"This bot {OBSERVES_ONLY}. See `/openvidu observed`")] if observes else []
    return _view([*head, *blocks, *_foot(at)])


def _view(blocks: list[Block]) -> dict[str, Any]:
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _foot(at: float) -> list[Block]:
    """Return the time of drawing and Refresh: the last blocks, which are drawn anew with others."""
    return [
        divider(),
        context(f"As of {time_of_day(at)} · updates by itself while something changes"),
        actions(button("Refresh", REFRESH, "now"), notifications_button()),
    ]


def content_of(view: Mapping[str, Any]) -> str:
    """Return what a view shows without the time of drawing, to compare two of them."""
    return str([b for b in view["blocks"] if not _is_time(b)])


def _is_time(block: Block) -> bool:
    return block["type"] == "context" and str(block["elements"][0]["text"]).startswith("As of ")


def _urgency(overview: ClusterOverview) -> int:
    """Return 0 for what needs a person, 1 for what changes, 2 for a quiet cluster."""
    run, cluster = overview.run, overview.cluster
    needs_person = run is not None and (run.state is State.STOPPED or run.question is not None)
    refused = cluster is not None and bool(cluster.problem)
    delayed = any(r.waits for r in overview.later)
    if needs_person or refused or delayed or overview.trouble:
        return 0
    if run is not None or overview.waiting:
        return 1
    if cluster is not None and problems(cluster, overview.certificate, cluster.seen_at):
        return 1
    return 2


def _place(both: Shown) -> tuple[int, bool, str, str]:
    """Return what sorts clusters: what needs a person first, then by label."""
    overview = both[0]
    return (_urgency(overview), *group(overview.labels), overview.name)


def _batches(batches: Sequence[tuple[Batch, Sequence[Block]]]) -> list[Block]:
    """Return the changes of several clusters, with what the reader may do about each."""
    rows = []
    for batch, buttons in batches:
        lines = [batch_line(batch), f"Requested by {batch.requester.mention} · `{batch.id}`"]
        row = [section(truncate("\n".join(lines), LONGEST))]
        rows.append([*row, actions(*buttons)] if buttons else row)
    return _listed("Several clusters", rows, BATCHES, "in their channels")


def _listed(title: str, rows: Sequence[list[Block]], most: int, where: str) -> list[Block]:
    """Return a heading and the first rows; nothing without rows."""
    if not rows:
        return []
    blocks = [header(title), *(block for row in rows[:most] for block in row)]
    if len(rows) > most:
        blocks.append(context(f"And {len(rows) - most} more, {where}"))
    return blocks


# What waits for the reader


def _decisions(shown: Sequence[Shown]) -> list[Block]:
    rows: list[list[Block]] = []
    for overview, mine in shown:
        run = overview.run
        if mine.operates and run is not None and (asks := _question(run)):
            rows.append(asks)
        rows += [_request(r, mine) for r in overview.waiting if r.id in mine.decides]
    return [*_listed("Waiting for you", rows, DECISIONS, "in their channels"), *_unread(shown)]


def _unread(shown: Sequence[Shown]) -> list[Block]:
    """Name the clusters of which it is unknown whether something waits."""
    unread = [o.name for o, _ in shown if not o.read]
    if not unread:
        return []
    return [context(f"Requests are not known yet for {truncate(join_words(unread), LONGEST)}")]


def _request(request: Request, mine: UserActions) -> list[Block]:
    lines = [waiting_line(request)]
    if request.differs:
        lines.append(f":warning: {difference(request)}")
    lines.append(deciding_facts(request.plan))
    return [
        section(truncate("\n".join(lines), LONGEST)),
        context(sentence(waits_for(request, _approvers(request, mine)), (request.plan.cluster,))),
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


# What runs


def _running(shown: Sequence[Shown]) -> list[Block]:
    rows = [_run(overview, mine) for overview, mine in shown if overview.run is not None]
    return _listed("Running now", rows, RUNNING, "at their clusters below")


def _run(overview: ClusterOverview, mine: UserActions) -> list[Block]:
    run, progress = overview.run, overview.progress
    assert run is not None, "only clusters with an open run are listed"
    line = run_line(run)
    if progress is not None and (waits := waiting_words(progress)):
        line += f"\n{waits}"
    buttons = []
    if link := overview.links.get(run.id):
        buttons.append(link_button("Open", OPEN, link))
    if mine.operates and run.cancel is None and run.state is State.RUNNING:
        buttons.append(cancel_button(run, overview.cluster))
    row = [section(truncate(line, LONGEST))]
    if buttons:
        row.append(actions(*buttons))
    return row


# The clusters


def _clusters(shown: Sequence[Shown], at: float, room: int) -> list[Block]:
    """Return as many clusters as fit with their facts and buttons, the others as one line."""
    listed = shown[:CLUSTERS]
    full = max(0, min(len(listed), (room - len(listed)) // (FULL - 1)))
    blocks: list[Block] = []
    for number, (overview, mine) in enumerate(listed):
        if number < full:
            blocks += _cluster(overview, mine, at)
        else:
            blocks.append(_cluster_line(overview, mine, at))
    left = [overview for overview, _ in shown[CLUSTERS:]]
    if left:
        more = f"And {count_of(len(left), 'cluster')} more: {truncate(_counted(left), LONGEST)}"
        blocks.append(context(f"{more}. `/openvidu status --all` lists them"))
    return blocks


def _counted(overviews: Sequence[ClusterOverview]) -> str:
    """Return the states of clusters by label: `production: 30 in service, 2 shut down`."""
    by_label: dict[str, Counter[str]] = {}
    for overview in overviews:
        label = overview.labels[0] if overview.labels else NO_LABEL
        words = "not read yet"
        if overview.cluster is not None:
            words = state_of(overview.cluster).words.removeprefix("is ")
        if _urgency(overview) == 0:
            words = "need attention"
        by_label.setdefault(label, Counter())[words] += 1
    return "; ".join(
        f"{label}: {', '.join(f'{number} {words}' for words, number in counts.most_common())}"
        for label, counts in by_label.items()
    )


def _cluster(overview: ClusterOverview, mine: UserActions, at: float) -> list[Block]:
    cluster = overview.cluster
    facts = []
    if cluster is not None:
        facts = _facts(overview, cluster)
    state, since = head_line(overview)
    lines = [line for line in (since, *_lines(overview, mine, at)) if line]
    blocks = [header(state), *_paragraph(lines, facts)]
    if foot := _details(overview, at):
        blocks.append(context(truncate(foot, LONGEST)))
    if buttons := _buttons(overview, mine):
        blocks.append(actions(*buttons))
    return blocks


def _paragraph(lines: Sequence[str], facts: Sequence[tuple[str, str]]) -> list[Block]:
    """Return the lines and the facts of a cluster as one block; nothing without them."""
    block: Block = {"type": "section"}
    if lines:
        block |= section(truncate("\n".join(lines), LONGEST))
    if facts:
        block |= {"fields": fields(*facts)["fields"]}
    if not (lines or facts):
        return []
    return [block]


def _cluster_line(overview: ClusterOverview, mine: UserActions, at: float) -> Block:
    state, since = head_line(overview)
    mark, _, words = state.partition(" ")
    first = " · ".join(filter(None, (f"{mark} *{escape(words)}*", since)))
    lines = [first, *_lines(overview, mine, at)]
    block = section(truncate("\n".join(lines), LONGEST))
    if mine.offers:
        block["accessory"] = _select(mine.offers)
    return block


def _facts(overview: ClusterOverview, cluster: Cluster) -> list[tuple[str, str]]:
    facts = [*service_fields(cluster)]
    if overview.month:
        label, value = facts[-1]
        facts[-1] = (label, f"{value} · {overview.month}")
    return facts


def _lines(overview: ClusterOverview, mine: UserActions, at: float) -> list[str]:
    """Return what is wrong, and what waits for others."""
    cluster, lines = overview.cluster, []
    wrong: list[str] = [escape(t) for t in overview.trouble]
    if cluster is not None:
        busy = overview.run is not None
        wrong += problems(cluster, overview.certificate, at, busy=busy)
    lines += [f":warning: {line}" for line in wrong[:WRONG]]
    if len(wrong) > WRONG:
        more = f"and {len(wrong) - WRONG} more"
        lines.append(f"{more}: `/openvidu status --cluster {overview.name}`")
    if overview.promises:
        lines.append(overview.promises)
    return lines + [_waits(r, mine) for r in overview.waiting if r.id not in mine.decides]


def head_line(overview: ClusterOverview) -> tuple[str, str]:
    """Return `🟢 acme is in service` as plain text, and `started today 07:29 by @ana`."""
    cluster = overview.cluster
    if cluster is None and overview.trouble:
        return f"⚪ {overview.name} could not be read", ""
    if cluster is None:
        return f"⚪ {overview.name} is being checked …", ""
    state, since = state_of(cluster), started_words(cluster, overview.recent)
    return f"{state.mark} {state.headline(cluster.name)}", since[:1].upper() + since[1:]


def _details(overview: ClusterOverview, at: float) -> str:
    """Return schedule, backups and certificate, and when it was seen if that is not now."""
    parts = []
    if overview.schedule:
        parts.append(f"Schedule: {overview.schedule}")
    cluster = overview.cluster
    if overview.forecast:
        parts.append(f"Forecast: {overview.forecast}")
    if cluster is not None:
        parts.append(f"Backups: {backup_words(cluster)}")
        if days := certificate_days(overview.certificate, at):
            parts.append(f"Certificate: {days}")
        if overview.trouble or at - cluster.seen_at > OLD_LOOK:
            parts.append(f"seen {time_of_day(cluster.seen_at)}")
    return " · ".join(parts)


def _waits(request: Request, mine: UserActions) -> str:
    missing = waits_for(request, _approvers(request, mine))
    return f"Waiting for others: {waiting_line(request)} · {missing}"


def _buttons(overview: ClusterOverview, mine: UserActions) -> list[Block]:
    """Return the most likely changes as buttons, and everything else as a list."""
    buttons = []
    if mine.wakes and overview.closed and overview.run is None:
        buttons.append(button(f"Wake up {overview.name}", WAKE, overview.name))
    likely = [offer for offer in mine.offers if offer[1].startswith("form:")][:LIKELY]
    for label, value in likely:
        action, _, name = value.partition("|")
        buttons.append(button(label, action, name))
    rest = [offer for offer in mine.offers if offer not in likely]
    if rest:
        buttons.append(_select(rest))
    return buttons


def _select(offers: Iterable[tuple[str, str]]) -> Block:
    return static_select("More", MORE, [option(label, value) for label, value in offers])


# What comes next, and what was


def _scheduled(shown: Sequence[Shown]) -> list[Block]:
    both = [(r, mine) for overview, mine in shown for r in overview.later]
    both.sort(key=lambda pair: pair[0].later)
    rows = [[_scheduled_row(r, mine)] for r, mine in both]
    return _listed("Scheduled changes", rows, LATER, "in `/openvidu later`")


def _scheduled_row(request: Request, mine: UserActions) -> Block:
    row = section(truncate(later_line(request), LONGEST))
    if mine.operates:
        row["accessory"] = button("Cancel…", REJECT, request.id)
    return row


def _coming(shown: Sequence[Shown]) -> list[Block]:
    edges = [(r.edge, o.name) for o, _ in shown for r in o.coming if r.edge.changes]
    edges.sort(key=lambda both: (both[0].at, both[1]))
    lines = [f"*{name}* {edge_words(edge)}" for edge, name in edges[:COMING]]
    if not lines:
        return []
    return [header("Next openings and closings"), section("\n".join(lines))]


def _recent(shown: Sequence[Shown]) -> list[Block]:
    runs = [(run, o.links.get(run.id, "")) for o, _ in shown for run in o.recent]
    runs.sort(key=lambda both: -both[0].ended_at)
    lines = [ended_run_line(run, link) for run, link in runs[:RECENT]]
    if not lines:
        return []
    return [header("Last runs"), section(truncate("\n".join(lines), LONGEST))]


def _hidden(hidden: int) -> list[Block]:
    if not hidden:
        return []
    verb = plural(hidden, "is", "are")
    return [context(f"{count_of(hidden, 'cluster')} {verb} not shown: you have no role there")]
