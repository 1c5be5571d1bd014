"""Facts about a cluster that several views show. Each is worded in one function, here. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from handlers.slack.blocks import escape
from handlers.slack.markup import date, date_time, markup, time_of_day
from handlers.views.act import heading
from handlers.views.certificates import certificate_problem
from handlers.views.text import health, load_words, requested_by, run_place, sentence
from services.billing.prices import hourly, per_hour, total_price
from services.cluster.backups import backups
from services.cluster.certificates import CertificateSeen
from services.cluster.deployment import control_plane_of
from services.cluster.drills import is_left
from services.cluster.model import (
    Cluster,
    Droplet,
    Fact,
    FleetKind,
    Load,
    MediaNode,
    StoppedNode,
    short_name,
)
from services.common.observed import Unobserved
from services.common.text import count_of, duration, join_words, plural
from services.procedures import Shutdown, Startup, fleet
from services.procedures import secrets_env_check as bootfile
from services.runs.request import Request
from services.runs.run import Run, State
from services.steps.node_text import load_on_nodes

DAY = 86400.0
OLD = 7 * DAY  # age of the newest backup from which on it is shown with a warning
NAMED = 5  # nodes that are named in a sentence
NUMBERED = re.compile(r"(master|media)-(\d+)")
KEPT_BY = {
    FleetKind.MIXED: "Two things keep the media nodes at once.",
    FleetKind.UNKNOWN: "What keeps the media nodes is unknown.",
}
DROPLET = {"active": "on", "off": "powered off", "new": "being created"}
OBSERVES_ONLY = "observes only; nothing is changed"
UNREAD = (
    "Runs, requests and the schedule are unknown: the state store does not answer. "
    "Nothing can be changed until it does."
)


@dataclass(frozen=True)
class ClusterState:
    """What a cluster does for people now.

    `detail`: what is wrong with it, as a sentence. `remedy`: what to do about that.
    """

    mark: str
    words: str
    detail: str = ""
    remedy: str = ""

    def headline(self, name: str) -> str:
        """Return `acme is in service`."""
        return f"{name} {self.words}"


RESTART_MEDIA = "`/openvidu startup` puts media nodes back in service."
UNKNOWN = ClusterState("⚪", "is in an unknown state")
NOT_FOUND = ClusterState("⚪", "was not found", "DigitalOcean shows no master of it.")
CHANGING = ClusterState("🟡", "is starting or stopping")
OFF = ClusterState("⚫", "is shut down")
STOPPED = ClusterState("⚫", "is stopped")
IN_SERVICE = ClusterState("🟢", "is in service")
NO_NEW = ClusterState("🔴", "takes no new meetings", "The media nodes are draining.", RESTART_MEDIA)
NO_MEDIA = ClusterState("🔴", "cannot hold meetings", "No media node is in service.", RESTART_MEDIA)
# Of a Single Node, whose pages may go on answering.
NODE_DRAINS = ClusterState(
    "🔴",
    "takes no new meetings",
    "The node is draining.",
    "`/openvidu startup` restarts OpenVidu there once its last meeting has ended.",
)
NODE_DRAINED = ClusterState(
    "🔴",
    "cannot hold meetings",
    "OpenVidu on the node takes no meetings, although its pages may answer.",
    "`/openvidu startup` restarts OpenVidu there.",
)
UNPROVED = ClusterState(
    "⚪",
    "may or may not be in service",
    "No media node is proved to be in service.",
)
NODE_UNPROVED = replace(UNPROVED, detail="Whether the node takes meetings was not seen.")
UNREACHABLE = ClusterState(
    "🔴",
    "is not reachable",
    "The public address does not answer.",
)


def state_of(cluster: Cluster) -> ClusterState:
    """Return whether people can meet there, or what is missing."""
    if reason := cluster.missing_facts_reason(frozenset({Fact.DROPLETS})):
        return replace(UNKNOWN, detail=f"Not all droplets were seen: {escape(reason)}.")
    if not cluster.masters and cluster.problem:
        return UNKNOWN
    if not cluster.masters:
        return NOT_FOUND
    if cluster.is_down:
        return _powered_off(cluster)
    if any(not (m.active or m.off) for m in cluster.masters):
        return CHANGING
    if not cluster.is_up:
        on = len([m for m in cluster.masters if m.active])
        detail = f"{on} of {len(cluster.masters)} masters are on."
        return ClusterState("🟡", "is partly powered on", detail)
    if reason := cluster.missing_facts_reason(frozenset({Fact.POOL})):
        return replace(UNKNOWN, detail=f"Not all media nodes were seen: {escape(reason)}.")
    if all(m.id in stopped_nodes(cluster) for m in cluster.masters):
        plane = control_plane_of(cluster)
        where = plane.all_masters if plane.masters == 1 else "every master"
        return replace(STOPPED, detail=f"OpenVidu was stopped on {where}.")
    if not cluster.serving:
        return _without_service(cluster)
    return _in_service(cluster)


def _powered_off(cluster: Cluster) -> ClusterState:
    left = [n for n in cluster.media if n.droplet.active]
    if not left:
        return OFF
    verb = plural(len(left), "is", "are")
    detail = f"{count_of(len(left), 'media node')} {verb} still powered on."
    return replace(OFF, detail=detail, remedy="`/openvidu shutdown` drains what is left.")


def _without_service(cluster: Cluster) -> ClusterState:
    hosted = control_plane_of(cluster).hosts_meetings
    if any(not n.is_observed and n.droplet.active for n in cluster.media):
        return NODE_UNPROVED if hosted else UNPROVED
    if any(n.draining for n in cluster.media):
        return NODE_DRAINS if hosted else NO_NEW
    return NODE_DRAINED if hosted else NO_MEDIA


def _in_service(cluster: Cluster) -> ClusterState:
    if cluster.front is False:
        way = control_plane_of(cluster).front
        return replace(UNREACHABLE, detail=f"The public address does not answer through {way}.")
    stopped = stopped_nodes(cluster)
    unwell = [m for m in cluster.masters if not m.is_healthy and m.id not in stopped]
    if unwell or _missing(cluster):
        return ClusterState("🟡", "is partly in service", _unwell(cluster, unwell))
    front = cluster.front
    if isinstance(front, Unobserved) and front.since:
        detail = f"The public address was not seen: {escape(front.reason)}."
        return replace(IN_SERVICE, mark="🟡", detail=detail)
    return IN_SERVICE


def _unwell(cluster: Cluster, masters: Sequence[Droplet]) -> str:
    sick = [m for m in masters if m.healthy is False]
    silent = [m for m in masters if isinstance(m.healthy, Unobserved)]
    parts = []
    if sick:
        parts.append(f"Not healthy: {_names(cluster, sick)}.")
    if silent:
        reasons = [m.healthy.reason for m in silent if isinstance(m.healthy, Unobserved)]
        why = escape("; ".join(dict.fromkeys(reasons)))
        parts.append(f"Health unknown: {_names(cluster, silent)} ({why}).")
    return " ".join(parts)


def _names(cluster: Cluster, droplets: Sequence[Droplet]) -> str:
    names = [short_name(d.name, cluster.stack) for d in droplets]
    if len(names) <= NAMED:
        return join_words(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


# What is wrong


def problems(
    cluster: Cluster, certificate: CertificateSeen | None, at: float, *, busy: bool = False
) -> tuple[str, ...]:
    """Return what is wrong, most urgent first: each a sentence, with its remedy where one exists.

    `at`: now. `busy`: a run is open, so that nothing else can be changed.
    """
    state = state_of(cluster)
    lines = []
    if cluster.problem:
        lines.append(
            f"{sentence(escape(cluster.problem), (cluster.name,))} Nothing can be changed here."
        )
    if state.detail and not (busy or cluster.problem):
        lines.append(f"{state.detail} {state.remedy}".rstrip())
    elif state.detail:
        lines.append(state.detail)
    lines += stopped_lines(cluster)
    lines += _unseen_media(cluster)
    if fleet.is_known(cluster):
        warnings = fleet.status_of(cluster).warnings()
        lines += [sentence(escape(w), (cluster.name,)) for w in warnings]
    elif kept_by := KEPT_BY.get(cluster.kind):
        lines.append(kept_by)
    # App Home does not look into the file, which is not the same as that it cannot be read.
    if Fact.LINT in cluster.known and (fault := bootfile.file_problem(cluster)):
        lines.append(f"secrets.env: {sentence(escape(fault), (cluster.name,))}")
    if expiry := certificate_problem(certificate, cluster, at):
        lines.append(expiry)
    return tuple(" ".join(line.split()) for line in lines)


def stopped_nodes(cluster: Cluster) -> dict[int, StoppedNode]:
    """Return by droplet id the nodes that are on, and on which people stopped OpenVidu."""
    working = {m.id for m in cluster.masters if m.is_healthy}
    working |= {n.id for n in cluster.media if n.serving}
    on = {d.id for d in (*cluster.masters, *(n.droplet for n in cluster.media)) if d.active}
    return {s.id: s for s in cluster.stopped if s.id in on - working}


def stopped_lines(cluster: Cluster) -> list[str]:
    """Return who stopped OpenVidu on which node since when, with how it is started again."""
    lines = []
    for droplet_id, stop in stopped_nodes(cluster).items():
        node = cluster.node(droplet_id)
        if node is not None:
            name = short_name(node.name, cluster.stack)
            start = f"`/openvidu start {name}` starts it"
            lines.append(f"OpenVidu on {name} is {stopped_words(stop)}. {start}.")
    return lines


def stopped_words(stop: StoppedNode) -> str:
    """Return `stopped by @ana since 18:43`."""
    by = f" by {stop.by}" if stop.by else ""
    return markup(f"stopped{by} since {date_time(stop.at)}")


def _unseen_media(cluster: Cluster) -> list[str]:
    """Describe the media nodes that are on and could not be looked at, by reason."""
    by_reason: dict[str, list[Droplet]] = {}
    for node in cluster.media:
        look = node.look
        if isinstance(look, Unobserved) and look.since and node.droplet.active:
            by_reason.setdefault(look.reason, []).append(node.droplet)
    return [
        f"Not seen: {_names(cluster, droplets)} ({escape(reason)})."
        for reason, droplets in by_reason.items()
    ]


# Counts and costs


def service_fields(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """Return the facts of every overview, as pairs of label and value."""
    if control_plane_of(cluster).hosts_meetings and len(cluster.masters) == 1:
        return (
            ("Node", _node_words(cluster)),
            ("Meetings now", meetings_words(cluster)),
            ("Cost now", cost_words(cluster)),
        )
    return (
        (control_plane_of(cluster).label, masters_words(cluster)),
        ("Media nodes", media_words(cluster)),
        ("Meetings now", meetings_words(cluster)),
        ("Cost now", cost_words(cluster)),
    )


def masters_words(cluster: Cluster) -> str:
    """Return `4 of 4 healthy`, or how many are powered off, unknown or in between."""
    incomplete = cluster.missing_facts_reason(frozenset({Fact.DROPLETS}))
    if incomplete and not cluster.masters:
        return "unknown"
    if not cluster.masters:
        return "none seen"
    if cluster.is_down:
        return "powered off" if control_plane_of(cluster).masters == 1 else "all powered off"
    stopped = stopped_nodes(cluster)
    silent = [
        m
        for m in cluster.masters
        if m.active and isinstance(m.healthy, Unobserved) and m.id not in stopped
    ]
    parts = [
        f"{_healthy(cluster)} of {len(cluster.masters) + _missing(cluster)} healthy",
        _part(_missing(cluster), "missing"),
        _part(len([m for m in cluster.masters if m.off]), "powered off"),
        _part(len([m for m in cluster.masters if m.id in stopped]), "stopped"),
        _part(len([m for m in cluster.masters if not (m.active or m.off)]), "being changed"),
        _part(len(silent), "unknown"),
    ]
    if incomplete:
        parts.append("not all were seen")
    return ", ".join(filter(None, parts))


def _node_words(cluster: Cluster) -> str:
    """Return `healthy, in service`: of a Single Node's pages, and of its media server."""
    (node,) = cluster.masters
    if node.status != "active":
        return DROPLET.get(node.status, escape(node.status))
    if cluster.serving:
        return f"{health(node)}, in service"
    silent = any(not n.is_observed for n in cluster.media)
    return f"{health(node)}, {'meetings unknown' if silent else 'takes no meetings'}"


def _missing(cluster: Cluster) -> int:
    """Return how many masters a complete list of droplets does not have."""
    if cluster.missing_facts_reason(frozenset({Fact.DROPLETS})):
        return 0
    return control_plane_of(cluster).missing(len(cluster.masters))


def _healthy(cluster: Cluster) -> int:
    return len([m for m in cluster.masters if m.is_healthy])


def _part(number: int, words: str) -> str:
    if not number:
        return ""
    return f"{number} {words}"


def media_words(cluster: Cluster) -> str:
    """Return `3 of 3 in service`, with those that drain, are powered off or were not seen."""
    unseen = cluster.missing_facts_reason(frozenset({Fact.DROPLETS, Fact.POOL}))
    if unseen and not cluster.media:
        return "unknown"
    media = cluster.media
    stopped = stopped_nodes(cluster)
    media_on = [n for n in media if n.droplet.active and n.id not in stopped]
    silent = [n for n in media_on if not n.is_observed]
    parts = ["none"]
    if media:
        parts = [
            f"{len(cluster.serving)} of {len(media)} in service",
            _part(len([n for n in media if n.draining]), "draining"),
            _part(len([n for n in media_on if n.parked]), "drained"),
            _part(len([n for n in media if n.id in stopped]), "stopped"),
            _part(len([n for n in media if n.droplet.off]), "powered off"),
            _part(len(silent), "not seen"),
        ]
    if cluster.pool is not None and cluster.pool.target != len(cluster.members):
        parts.append(f"pool at {cluster.pool.target}")
    if unseen:
        parts.append("not all were seen")
    return ", ".join(filter(None, parts))


def meetings_words(cluster: Cluster) -> str:
    """Return `3 (14 people, 1 recording)`, `none`, or why that is unknown.

    LiveKit counts; where it counts none and the nodes do, both are named.
    """
    if cluster.is_down:
        return "none while shut down"
    on_nodes = load_on_nodes(cluster)
    if cluster.idle and on_nodes.rooms:
        return f"{load_words(on_nodes)} on the nodes; LiveKit counts none"
    if isinstance(cluster.load, Load) and cluster.load.people and _none_runs(cluster):
        return f"{load_words(cluster.load)} by LiveKit; no media server runs"
    return load_words(cluster.load)


def _none_runs(cluster: Cluster) -> bool:
    return bool(cluster.media) and all(n.drained for n in cluster.media)


def cost_words(cluster: Cluster) -> str:
    """Return `$0.50/h`, and what is special about it."""
    if not cluster.masters and not cluster.media:
        return "unknown: no droplet was seen"
    costs = hourly(cluster)
    if cluster.missing_facts_reason(frozenset({Fact.DROPLETS, Fact.POOL})):
        costs = replace(costs, media=None)
    words = per_hour(costs.total)
    if costs.total is None and costs.masters:
        words = f"unknown, masters {per_hour(costs.masters)}"
    off = total_price(m.hourly for m in cluster.masters if m.off)
    noun = control_plane_of(cluster).noun
    which = f"the powered-off {noun}" if len(cluster.masters) == 1 else f"powered-off {noun}s"
    if costs.total and off == costs.total:
        words += f" for {which}"
    elif off:
        words += f", {per_hour(off)} of it for {which}"
    if costs.addresses:
        words += f", plus IPv4 of {count_of(costs.addresses, 'droplet')}"
    return words


def backup_words(cluster: Cluster) -> str:
    """Return how old the newest complete backup is, or why that is unknown."""
    if cluster.snapshots is None:
        reason = cluster.missing_facts_reason(frozenset({Fact.SNAPSHOTS}))
        return f"unknown ({escape(reason or 'snapshots not seen')})"
    complete = [b for b in backups(cluster) if b.complete]
    if not complete:
        return "none complete; `/openvidu backup create` takes one"
    newest, how = complete[0], "live"
    if newest.offline:
        how = "offline"
    since = cluster.seen_at - newest.at
    words = f"{age(since)} old ({how}), {_proven(cluster, newest.label)}"
    left = any(is_left(d.name, cluster.seen_at) for d in cluster.drill_droplets)
    if left:
        words += "; a drill left a droplet: `/openvidu drill --clean`"
    if since > OLD:
        words += "; `/openvidu backup create` takes one"
    if since > OLD or left:
        return f":warning: {words}"
    return words


def _proven(cluster: Cluster, newest: str) -> str:
    """Return whether the newest backup is proven, or when one was last."""
    proof = cluster.backup_notes.proof_of(newest)
    if proof is not None and not proof.proven:
        return f"*not proven*: {escape(proof.reason)}"
    last = next((d for d in reversed(cluster.backup_notes.drills) if d.proven), None)
    if last is None:
        return "never proven"
    return f"{'proven' if last.label == newest else 'an older one proven'} {date(last.at)}"


def age(seconds: float) -> str:
    """Return `5 min`, `11 h`, `9 days`."""
    if seconds < 2 * DAY:
        return duration(seconds)
    return count_of(int(seconds // DAY), "day")


# Runs and requests


def run_line(run: Run) -> str:
    """Return what a run does, at which step it is and since when, as one line."""
    what = f"*{escape(run.plan.doing)}*"
    line = f"{what} · {run_step(run)} · since {time_of_day(run.opened_at)} · `{run.id}`"
    if run.glass:
        line += f" · no approval: break-glass by {markup(run.requester.mention)}"
    if run.state is State.STOPPED:
        return f":warning: {line} · *paused*"
    if run.question is not None:
        return f":warning: {line} · *needs a decision*"
    if run.cancel is not None:
        return f"{line} · {markup(run.cancel.mention)} cancelled it"
    return line


def run_step(run: Run) -> str:
    """Return `step 2 of 4: Set media pool to 0`; `finishing` after the last one."""
    if run.step is None:
        return run_place(run)
    return f"{run_place(run)}: {escape(run.step.title())}"


def waiting_line(request: Request) -> str:
    """Return which request waits for approval, whose it is and until when, as one line."""
    requester = requested_by(request.requester, request.reason)
    return f"*{heading(request)}* · {requester} · expires {time_of_day(request.until)}"


def started_words(cluster: Cluster, ended: Iterable[Run]) -> str:
    """Return `started 07:29 by @ana` or `shut down …`; "" if no recent run led to this state."""
    for run in ended:
        match run.plan.procedure:
            case Startup() if run.state is State.DONE and cluster.is_up:
                return _changed("started", run)
            case Shutdown() if run.state is State.DONE and cluster.is_down:
                return _changed("shut down", run)
            case Startup() | Shutdown():
                return ""
            case _:
                continue
    return ""


def _changed(verb: str, run: Run) -> str:
    return markup(f"{verb} {date_time(run.ended_at)} by {run.requester.mention}")


# Nodes


def node_lines(cluster: Cluster, describe_media: Sequence[tuple[MediaNode, str]]) -> list[str]:
    """Return one line per group of nodes that are alike, masters first.

    `describe_media`: each media node with its description.
    """
    ids, stopped = {m.id for m in cluster.masters}, stopped_nodes(cluster)
    # A Single Node is one line: its droplet is both.
    hosted = {n.id: f" · {words}" for n, words in describe_media if n.id in ids}
    described = [
        (
            short_name(m.name, cluster.stack),
            _master(m, stopped=m.id in stopped) + hosted.get(m.id, ""),
        )
        for m in cluster.masters
    ]
    described += [
        (short_name(n.name, cluster.stack), words) for n, words in describe_media if n.id not in ids
    ]
    groups = groupby(described, key=lambda pair: (pair[0].partition("-")[0], pair[1]))
    return [f"{_together([name for name, _ in pairs])} · {key[1]}" for key, pairs in groups]


def _together(names: list[str]) -> str:
    """Return `master-1 to master-4` for nodes in a row, else the names."""
    if len(names) <= 2 or not _in_a_row(names):
        return join_words(names)
    return f"{names[0]} to {names[-1]}"


def _in_a_row(names: Sequence[str]) -> bool:
    matches = [NUMBERED.fullmatch(name) for name in names]
    numbers = [int(m[2]) for m in matches if m]
    if len(numbers) != len(names):
        return False
    return all(b - a == 1 for a, b in pairwise(numbers))


def _master(master: Droplet, *, stopped: bool) -> str:
    status = DROPLET.get(master.status, escape(master.status))
    if master.locked:
        status += ", being changed"
    if stopped:
        status += ", OpenVidu stopped"
    elif master.status == "active":
        status += f", {health(master)}"
    return f"{status} · {master.size}"
