"""A cluster as it is now."""

from decimal import Decimal

from handlers.blocks import Card, clock, escape, section
from handlers.cards.plans import title
from handlers.cards.words import asked, behind, people, plain
from services.cluster import Cluster, Droplet, FleetKind, MediaNode, short
from services.desk import Status
from services.prices import Costs, at_least, hourly, money
from services.procedures import fleet
from services.procedures.backup import newest_words
from services.steps.base import count

UNTOLD = {FleetKind.MIXED: "two things keep them at once.", FleetKind.UNKNOWN: "what keeps them is unknown."}
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
    backups = f"*Backups* {kept}. " if kept else ""
    if backups:
        blocks.append(section(backups.strip()))
    hours = f"*Hours* {hours}. " if hours else ""
    if hours:
        blocks.append(section(hours.strip()))
    run = _run_lines(status)
    blocks.append(section(run))
    well = len([m for m in cluster.masters if m.healthy])
    masters = f"Masters: {well} of {len(cluster.masters)} healthy. " if cluster.masters and not cluster.down else ""
    media = f"Media nodes: {plain(_pool_lines(cluster))}. Meetings: {meetings}.".replace("..", ".")
    told = plain(f"{masters}{media} Cost now: {_cost(cluster)} {backups}{hours}{run}")
    return Card(f"{plain(head).rstrip('.')}. {told}", tuple(blocks))


def state_of(cluster: Cluster) -> str:
    """`up`, `down`, or what is missing in between."""
    if not cluster.masters:
        return "not found"
    if cluster.down:
        return "down"
    if cluster.up and all(m.healthy for m in cluster.masters):
        if not cluster.serving and any(n.draining for n in cluster.media):
            return "masters up, no new meetings: the media nodes let theirs finish"
        if not cluster.serving:
            return "masters up, nobody can meet: no media node serves"
        return "up" if cluster.front is not False else "up, but the public address does not answer through the load balancer"
    return "partly up"


def _masters_line(master: Droplet, cluster: Cluster) -> str:
    health = {True: "healthy", False: "not healthy", None: "health unknown"}[master.healthy]
    state = f"{master.status}{', being changed' if master.locked else ''}"
    return f"{short(master.name, cluster.stack)} · {state} · {master.size}" + (f" · {health}" if master.status == "active" else "")


def node_state(node: MediaNode) -> str:
    """What a media node does now: `serving`, `finishing its meetings`."""
    if node.member_status == "deleting":
        return "going"
    if node.serving:
        return "serving"
    if node.draining:
        return "finishing its meetings"
    if node.drained:
        return "drained, takes no meetings"
    if node.look is None:
        return f"{node.droplet.status}, not reachable by SSH" if node.droplet.active else (node.member_status or node.droplet.status)
    return node.member_status or node.droplet.status


def _pool_lines(cluster: Cluster) -> str:
    media, pool = fleet.of(cluster), cluster.pool
    known = fleet.known(cluster)
    lines = [media.words() if known else UNTOLD.get(cluster.kind, "no pool is known.")]
    if known and (means := media.means()):
        lines.append(f"_{means}_")
    lines += [f"{short(n.name, cluster.stack)} · {node_state(n)}{_carries(n)}" for n in cluster.media]
    if pool is not None and pool.trouble:
        lines.append(f":warning: DigitalOcean says: {escape(pool.trouble)}")
    lines += [f":warning: {escape(w)}" for w in (media.warnings() if known else ())]
    return "\n".join(lines)


def _carries(node: MediaNode) -> str:
    look = node.look
    if look is None or not look.rooms:
        return ""
    said = [count(look.rooms, "meeting"), count(look.people or 0, "person")]
    return f" · {', '.join([*said, *([count(look.recordings, 'recording')] if look.recordings else [])])}"


def _cost(cluster: Cluster) -> str:
    if not cluster.masters and not cluster.media:
        return "not known: no droplet of it was seen."
    costs = hourly(cluster)
    off = sum((m.hourly for m in cluster.masters if m.off and m.hourly), Decimal(0))
    billed = f"; {money(off)}/h of it for masters that are off" if off else ""
    total = at_least(costs.total, costs.unpriced, "/h")
    return f"{total} (media {money(costs.media)}, masters {money(costs.masters)}{billed}){_not_counted(costs)}."


def _not_counted(costs: Costs) -> str:
    unpriced = f", without {count(costs.unpriced, 'droplet')} whose price is unknown" if costs.unpriced else ""
    return unpriced + (f", IPv4 of {count(costs.addresses, 'droplet')} billed apart" if costs.addresses else "")


def _run_lines(status: Status) -> str:
    if not status.known:
        return f":warning: {UNREAD}"
    lines = []
    if status.run is not None:
        run = status.run
        doing = run.step.title() if run.step else "finishing"
        lines.append(f"*Open run* `{run.id}` {run.plan.procedure.words()} · {behind(run)} · {run.state}: {doing}")
    lines += [f"*Waits for approval* {title(w.plan)} · {asked(w.requester, w.reason)} · until {clock(w.until)}" for w in status.waiting]
    lines = lines or ["*Open run* none."]
    return "\n".join([*lines, *(f":warning: {escape(c)}." for c in status.cautions)])
