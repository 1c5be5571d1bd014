"""A cluster as it is now."""

from dataclasses import replace

from handlers.slack.blocks import Card, clock, escape, section
from handlers.views.act import heading
from handlers.views.certificates import certificate_words
from handlers.views.later import later_line
from handlers.views.text import asked, behind, health, people, plain
from services.billing.prices import hourly, money, per_hour, summed
from services.cluster.model import Cluster, Droplet, Fact, FleetKind, MediaNode, short
from services.common.observed import NotSeen
from services.common.text import count, listed
from services.operations.results import Status
from services.procedures import boot_file as bootfile
from services.procedures import fleet
from services.procedures.backup import newest_words
from services.steps.node_text import meets, not_ready

UNTOLD = {
    FleetKind.MIXED: "two things keep them at once.",
    FleetKind.UNKNOWN: "what keeps them is unknown.",
}
UNREAD = "runs and requests are not known: the bot's memory does not answer. Nothing can be changed until it does"


def status_card(status: Status, at: float, hours: str = "") -> Card:
    """A cluster as it is now. `hours`: what its windows say, if there are any."""
    cluster = status.cluster
    head = f"*{cluster.name}* · {state_of(cluster)} · {clock(at)}"
    if cluster.problem:
        head += f"\n:warning: {escape(cluster.problem)}. Nothing can be changed here."
    lines = [_masters_line(m, cluster) for m in cluster.masters]
    blocks = [section(head)]
    if lines:
        blocks.append(section("*Masters*\n" + "\n".join(lines)))
    blocks.append(section("*Media nodes* " + _pool_lines(cluster)))
    meetings = "none: nobody can meet while it is down" if cluster.down else people(cluster.load)
    blocks.append(section(f"*Meetings* {meetings}."))
    blocks.append(section(f"*Cost now* {_cost(cluster)}"))
    kept = newest_words(cluster)
    backups = f"*Backups* {kept}. " if kept else _not_seen(cluster)
    if backups:
        blocks.append(section(backups.strip()))
    hours = f"*Hours* {hours}. " if hours else ""
    if hours:
        blocks.append(section(hours.strip()))
    certificate = certificate_words(status.certificate, cluster, at)
    if certificate:
        blocks.append(section(certificate))
        hours += f"{certificate} "
    file = _file_line(cluster)
    if file:
        blocks.append(section(file.strip()))
    run = _run_lines(status)
    blocks.append(section(run))
    well = len([m for m in cluster.masters if m.well])
    masters = (
        f"Masters: {well} of {len(cluster.masters)} healthy. "
        if cluster.masters and not cluster.down
        else ""
    )
    media = f"Media nodes: {plain(_pool_lines(cluster))}. Meetings: {meetings}.".replace("..", ".")
    told = plain(f"{masters}{media} Cost now: {_cost(cluster)} {backups}{hours}{file}{run}")
    return Card(f"{plain(head).rstrip('.')}. {told}", tuple(blocks))


def state_of(cluster: Cluster) -> str:
    """`up`, `down`, or what is missing in between."""
    if cluster.lacking(frozenset({Fact.DROPLETS})):
        return "not all of it was seen"
    if not cluster.masters:
        return "not found"
    if cluster.down:
        return "down"
    if cluster.up and all(m.well for m in cluster.masters):
        if cluster.lacking(frozenset({Fact.POOL})):
            return "masters up, not all media nodes were seen"
        if not cluster.serving and any(not n.seen and n.droplet.active for n in cluster.media):
            return "masters up; whether anyone can meet is unknown: no media node is proved to be in service"
        if not cluster.serving and any(n.draining for n in cluster.media):
            return "masters up, no new meetings: the media nodes drain"
        if not cluster.serving:
            return "masters up, no one can meet: no media node is in service"
        if isinstance(cluster.front, NotSeen) and cluster.front.since:
            return f"up; the public address is not seen ({escape(cluster.front.reason)})"
        return (
            "up"
            if cluster.front is not False
            else "up, but the public address does not answer through the load balancer"
        )
    return "partly up"


def _masters_line(master: Droplet, cluster: Cluster) -> str:
    state = f"{master.status}{', being changed' if master.locked else ''}"
    return f"{short(master.name, cluster.stack)} · {state} · {master.size}" + (
        f" · {health(master)}" if master.status == "active" else ""
    )


def node_state(node: MediaNode) -> str:
    """What a media node does now: `in service`, `draining`."""
    look = node.look
    if node.member_status == "deleting":
        return "being deleted"
    if node.serving:
        return "in service"
    if isinstance(look, NotSeen):
        if not node.droplet.active or not look.since:
            return "powered off" if node.droplet.off else node.member_status or node.droplet.status
        return f"{node.droplet.status}, not seen: {escape(look.reason)}"
    if node.contradiction:
        return f"unknown: {node.contradiction}"
    if node.draining:
        return "draining"
    if node.held:
        return f"drained, held by {escape(listed(node.held))}"
    if node.drained and look.start:
        return "drained, takes no meetings"
    return escape(not_ready(look))


def _pool_lines(cluster: Cluster) -> str:
    media = fleet.status_of(cluster)
    known = fleet.known(cluster)
    lines = [media.words() if known else _untold(cluster)]
    if known and (means := media.means()):
        lines.append(f"_{means}_")
    lines += [
        f"{short(n.name, cluster.stack)} · {node_state(n)}{_carries(n)}" for n in cluster.media
    ]
    lines += [f":warning: {escape(w)}" for w in (media.warnings() if known else ())]
    return "\n".join(lines)


def _untold(cluster: Cluster) -> str:
    """Why the look does not tell what keeps the media nodes."""
    if why := cluster.lacking(frozenset({Fact.POOL})):
        return f"what keeps them was not seen: {escape(why)}."
    return UNTOLD.get(cluster.kind, "no pool is known.")


def _carries(node: MediaNode) -> str:
    look = node.look
    if (
        isinstance(look, NotSeen)
        or not look.running
        or (look.rooms == 0 and look.people == 0 and look.recordings == 0)
    ):
        return ""
    words = meets(look)
    return f" · {escape(words)}" if words else ""


def _file_line(cluster: Cluster) -> str:
    """What is wrong with secrets.env; "" when nothing is, or no bucket is configured."""
    said = bootfile.state(cluster)
    return f"*secrets.env* :warning: {escape(said)}. " if said else ""


def _cost(cluster: Cluster) -> str:
    if not cluster.masters and not cluster.media:
        return "not known: no droplet of it was seen."
    costs = hourly(cluster)
    if cluster.lacking(frozenset({Fact.DROPLETS, Fact.POOL})):
        costs = replace(costs, media=None)
    off = summed(m.hourly for m in cluster.masters if m.off)
    billed = f"; {per_hour(off)} of it for masters that are off" if off else ""
    apart = f", IPv4 of {count(costs.addresses, 'droplet')} billed apart" if costs.addresses else ""
    return f"{per_hour(costs.total)} (media {money(costs.media)}, masters {money(costs.masters)}{billed}){apart}."


def _not_seen(cluster: Cluster) -> str:
    why = cluster.lacking(frozenset({Fact.SNAPSHOTS}))
    return f"*Backups* not seen: {escape(why)}. " if why else ""


def _run_lines(status: Status) -> str:
    if not status.known:
        return f":warning: {UNREAD}"
    lines = []
    if status.run is not None:
        run = status.run
        doing = run.step.title() if run.step else "finishing"
        lines.append(
            f"*Open run* `{run.id}` {run.plan.procedure.words()} · {behind(run)} · {run.state}: {doing}"
        )
    lines += [
        f"*Waits for approval* {heading(w)} · {asked(w.requester, w.reason)} · until {clock(w.until)}"
        for w in status.waiting
    ]
    lines += [f"*Later* {later_line(r)}" for r in status.later]
    lines = lines or ["*Open run* none."]
    return "\n".join([*lines, *(f":warning: {escape(c)}." for c in status.cautions)])
