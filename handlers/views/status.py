"""The status of a cluster."""

from dataclasses import replace

from handlers.slack.blocks import Block, Card, escape, section
from handlers.slack.markup import time_of_day
from handlers.views.act import heading
from handlers.views.certificates import certificate_words
from handlers.views.later import later_line
from handlers.views.text import (
    attribution,
    current_step,
    health,
    people,
    requested_by,
    without_formatting,
)
from services.billing.prices import hourly, money, per_hour, total_price
from services.cluster.model import Cluster, Droplet, Fact, FleetKind, MediaNode, short_name
from services.common.observed import Unobserved
from services.common.text import count_of, join_words
from services.operations.results import Status
from services.procedures import fleet
from services.procedures import secrets_env_check as bootfile
from services.procedures.backup import newest_backup_text
from services.runs.request import Request
from services.runs.run import Run
from services.steps.node_text import meetings_text, why_not_ready

NO_POOL = {
    FleetKind.MIXED: "two things keep them at once.",
    FleetKind.UNKNOWN: "what keeps them is unknown.",
}
UNREAD = (
    "runs and requests are not known: the bot's memory does not answer. "
    "Nothing can be changed until it does"
)


def status_card(status: Status, at: float, hours: str = "") -> Card:
    """Return the status of a cluster.

    `at`: now. `hours`: the state of its off-hours windows in words, "" without windows.
    """
    cluster = status.cluster
    head = f"*{cluster.name}* · {state_of(cluster)} · {time_of_day(at)}"
    if cluster.problem:
        head += f"\n:warning: {escape(cluster.problem)}. Nothing can be changed here."
    pool, meetings, cost = _pool_lines(cluster), _meetings(cluster), _cost(cluster)
    backups, certificate = _backups(cluster), certificate_words(status.certificate, cluster, at)
    windows, file, runs = _windows(hours), _file_line(cluster), _run_lines(status)
    sections = (
        head,
        _masters(cluster),
        f"*Media nodes* {pool}",
        f"*Meetings* {meetings}.",
        f"*Cost now* {cost}",
        backups.strip(),
        windows.strip(),
        certificate,
        file.strip(),
        runs,
    )
    blocks: tuple[Block, ...] = tuple(section(text) for text in sections if text)
    if certificate:
        windows += f"{certificate} "
    media = f"Media nodes: {without_formatting(pool)}. Meetings: {meetings}.".replace("..", ".")
    text = f"{_masters_aloud(cluster)}{media} Cost now: {cost} {backups}{windows}{file}{runs}"
    return Card(f"{without_formatting(head).rstrip('.')}. {without_formatting(text)}", blocks)


def _masters(cluster: Cluster) -> str:
    if not cluster.masters:
        return ""
    return "*Masters*\n" + "\n".join(_masters_line(m, cluster) for m in cluster.masters)


def _masters_aloud(cluster: Cluster) -> str:
    if not cluster.masters or cluster.is_down:
        return ""
    well = len([m for m in cluster.masters if m.is_healthy])
    return f"Masters: {well} of {len(cluster.masters)} healthy. "


def _meetings(cluster: Cluster) -> str:
    if cluster.is_down:
        return "none: nobody can meet while it is down"
    return people(cluster.load)


def _windows(hours: str) -> str:
    if not hours:
        return ""
    return f"*Hours* {hours}. "


def state_of(cluster: Cluster) -> str:
    """Return `up`, `down`, or what is missing in between."""
    if cluster.missing_facts_reason(frozenset({Fact.DROPLETS})):
        return "not all of it was seen"
    if not cluster.masters:
        return "not found"
    if cluster.is_down:
        return "down"
    if cluster.is_up and all(m.is_healthy for m in cluster.masters):
        return _state_with_masters_up(cluster)
    return "partly up"


def _state_with_masters_up(cluster: Cluster) -> str:
    if cluster.missing_facts_reason(frozenset({Fact.POOL})):
        return "masters up, not all media nodes were seen"
    if not cluster.serving and any(not n.is_observed and n.droplet.active for n in cluster.media):
        return (
            "masters up; whether anyone can meet is unknown: "
            "no media node is proved to be in service"
        )
    if not cluster.serving and any(n.draining for n in cluster.media):
        return "masters up, no new meetings: the media nodes drain"
    if not cluster.serving:
        return "masters up, no one can meet: no media node is in service"
    front = cluster.front
    if isinstance(front, Unobserved) and front.since:
        return f"up; the public address is not seen ({escape(front.reason)})"
    if front is False:
        return "up, but the public address does not answer through the load balancer"
    return "up"


def _masters_line(master: Droplet, cluster: Cluster) -> str:
    status = master.status
    if master.locked:
        status += ", being changed"
    line = f"{short_name(master.name, cluster.stack)} · {status} · {master.size}"
    if master.status != "active":
        return line
    return f"{line} · {health(master)}"


def node_state(node: MediaNode) -> str:
    """Return the state of a media node: `in service`, `draining`."""
    look = node.look
    if node.member_status == "deleting":
        return "being deleted"
    if node.serving:
        return "in service"
    if isinstance(look, Unobserved):
        return _unseen_state(node, look)
    if node.contradiction:
        return f"unknown: {node.contradiction}"
    if node.draining:
        return "draining"
    if node.busy_with:
        return f"drained, held by {escape(join_words(node.busy_with))}"
    if node.drained and look.start:
        return "drained, takes no meetings"
    return escape(why_not_ready(look))


def _unseen_state(node: MediaNode, look: Unobserved) -> str:
    if node.droplet.active and look.since:
        return f"{node.droplet.status}, not seen: {escape(look.reason)}"
    if node.droplet.off:
        return "powered off"
    return node.member_status or node.droplet.status


def _pool_lines(cluster: Cluster) -> str:
    media = fleet.status_of(cluster)
    known = fleet.is_known(cluster)
    lines, warnings = [_untold(cluster)], []
    if known:
        lines, warnings = [media.summary()], [f":warning: {escape(w)}" for w in media.warnings()]
        if means := media.explanation():
            lines.append(f"_{means}_")
    lines += [_node_line(node, cluster) for node in cluster.media]
    return "\n".join([*lines, *warnings])


def _untold(cluster: Cluster) -> str:
    """Explain why the kind of media fleet is unknown."""
    if reason := cluster.missing_facts_reason(frozenset({Fact.POOL})):
        return f"what keeps them was not seen: {escape(reason)}."
    return NO_POOL.get(cluster.kind, "no pool is known.")


def _node_line(node: MediaNode, cluster: Cluster) -> str:
    return f"{short_name(node.name, cluster.stack)} · {node_state(node)}{_carries(node)}"


def _carries(node: MediaNode) -> str:
    look = node.look
    if isinstance(look, Unobserved) or not look.running:
        return ""
    meetings = meetings_text(look)
    if not meetings or (look.rooms == 0 and look.people == 0 and look.recordings == 0):
        return ""
    return f" · {escape(meetings)}"


def _file_line(cluster: Cluster) -> str:
    """Describe the problem of secrets.env; "" without one, or without a configured bucket."""
    problem = bootfile.file_problem(cluster)
    if not problem:
        return ""
    return f"*secrets.env* :warning: {escape(problem)}. "


def _cost(cluster: Cluster) -> str:
    if not cluster.masters and not cluster.media:
        return "not known: no droplet of it was seen."
    costs = hourly(cluster)
    if cluster.missing_facts_reason(frozenset({Fact.DROPLETS, Fact.POOL})):
        costs = replace(costs, media=None)
    off = total_price(m.hourly for m in cluster.masters if m.off)
    masters, apart = f"masters {money(costs.masters)}", ""
    if off:
        masters += f"; {per_hour(off)} of it for masters that are off"
    if costs.addresses:
        apart = f", IPv4 of {count_of(costs.addresses, 'droplet')} billed apart"
    return f"{per_hour(costs.total)} (media {money(costs.media)}, {masters}){apart}."


def _backups(cluster: Cluster) -> str:
    if newest := newest_backup_text(cluster):
        return f"*Backups* {newest}. "
    if reason := cluster.missing_facts_reason(frozenset({Fact.SNAPSHOTS})):
        return f"*Backups* not seen: {escape(reason)}. "
    return ""


def _run_lines(status: Status) -> str:
    if not status.known:
        return f":warning: {UNREAD}"
    lines = []
    if status.run is not None:
        lines.append(_run_line(status.run))
    lines += [_waiting_line(request) for request in status.waiting]
    lines += [f"*Later* {later_line(request)}" for request in status.later]
    if not lines:
        lines.append("*Open run* none.")
    return "\n".join([*lines, *(f":warning: {escape(c)}." for c in status.cautions)])


def _run_line(run: Run) -> str:
    what = f"*Open run* `{run.id}` {run.plan.procedure.command_line()}"
    return f"{what} · {attribution(run)} · {run.state}: {current_step(run)}"


def _waiting_line(request: Request) -> str:
    requester = requested_by(request.requester, request.reason)
    until = time_of_day(request.until)
    return f"*Waits for approval* {heading(request)} · {requester} · until {until}"
