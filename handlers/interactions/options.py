"""Options for a command's fields: sizes and numbers with prices, nodes with their state. Pure."""

from dataclasses import Field, dataclass
from decimal import Decimal
from typing import Any

from handlers.commands import INSTANT_COMMANDS
from handlers.views import node_state
from handlers.views.cluster_facts import DROPLET
from handlers.views.text import health
from services.billing.prices import money, per_hour
from services.cluster.model import Cluster, Droplet, MediaNode, NodeStatus, Size, short_name
from services.common.command import Command
from services.common.observed import Observed, Unobserved
from services.common.text import count_of
from services.procedures import PROCEDURES, ResizeMasters, Restart, Startup, fleet
from services.procedures.resize_masters import allowed_sizes
from services.procedures.sizes import by_price
from services.secrets_env import KEYS, may_change
from services.steps.node_text import meetings_text

NUMBERS = 20  # so many are offered at least; more are typed
MOST = 100


@dataclass(frozen=True)
class Option:
    """One option. `value` is the word of the command."""

    value: str
    label: str
    about: str = ""


LENGTHS = (
    Option("30m", "30 minutes"),
    Option("1h", "1 hour"),
    Option("2h", "2 hours"),
    Option("4h", "4 hours"),
    Option("8h", "8 hours"),
    Option("1d", "1 day"),
)


def command_of_action(command: str) -> type[Command] | None:
    """Return the command of an action id such as `resize-media`."""
    kinds = (*PROCEDURES, *INSTANT_COMMANDS)
    return next((k for k in kinds if k.command.replace(" ", "-") == command), None)


def options_for(kind: type[Command], field: Field[Any], cluster: Cluster) -> tuple[Option, ...]:
    """Return the options for a field; none where something is typed."""
    if choices := field.metadata.get("choices"):
        return tuple(Option(c, c) for c in choices)
    match field.name:
        case "number" | "media":
            return numbers(kind, cluster)
        case "size":
            return sizes(kind, cluster)
        case "node":
            return nodes(kind, cluster)
        case "key":
            return keys()
        case "length":
            return (*LENGTHS, Option("tonight", "Until it would open again"))
        case _:
            return ()


def initial_value(kind: type[Command], field: Field[Any], cluster: Cluster) -> str:
    """Return the value that is picked to begin with; "" for none."""
    if kind is Startup and field.name == "media":
        return _initial_nodes(cluster)
    if isinstance(field.default, str):
        return field.default
    return ""


def _initial_nodes(cluster: Cluster) -> str:
    if fleet.fleet_of(cluster).max_startup_nodes == 0:
        return ""
    number = Startup().number(cluster)
    if not number:
        return ""
    return str(number)


def numbers(kind: type[Command], cluster: Cluster) -> tuple[Option, ...]:
    """Return numbers of media nodes, with their cost."""
    now, least = len(cluster.members), 1
    if cluster.pool is not None:
        now = cluster.pool.target
    most = min(MOST, max(NUMBERS, 2 * now, 2 * (cluster.nodes_before_shutdown or 0)))
    if kind is Startup:
        bound = fleet.fleet_of(cluster).max_startup_nodes
        if bound is not None:
            # A fixed fleet costs the same, whether its nodes are on or off.
            return tuple(Option(str(n), count_of(n, "media node")) for n in range(1, bound + 1))
        least = max(1, len(cluster.members))
    return tuple(_number(n, now, cluster.media_price) for n in range(least, most + 1))


def _number(number: int, now: int, price: Decimal | None) -> Option:
    label = count_of(number, "media node")
    if price:
        label += f" · {money(price * number)}/h"
    return Option(str(number), label, _change(number, now, price))


def _change(number: int, now: int, price: Decimal | None) -> str:
    if number == now:
        return "as now"
    if not price:
        return "what a node costs is not known"
    nodes, hourly = count_of(abs(number - now), "node"), money(price * abs(number - now))
    if number > now:
        return f"{nodes} more: costs {hourly}/h"
    return f"{nodes} less: saves {hourly}/h"


def sizes(kind: type[Command], cluster: Cluster) -> tuple[Option, ...]:
    """Return the droplet sizes that are sold in the region and possible, cheapest first."""
    if kind is ResizeMasters:
        now = max((m.monthly for m in cluster.masters if m.monthly), default=None)
        return tuple(_size(s, now) for s in allowed_sizes(cluster)[:MOST])
    current = ""
    if cluster.pool is not None:
        current = cluster.pool.size
    sold = [s for s in cluster.sizes if s.available and cluster.region in s.regions]
    others = sorted((s for s in sold if s.slug != current), key=by_price)
    before = cluster.size(current)
    if before is None:
        return tuple(_size(s, None) for s in others[:MOST])
    return tuple(_size(s, before.monthly) for s in others[:MOST])


def _size(size: Size, now: Decimal | None) -> Option:
    label = f"{size.slug} · {per_hour(size.hourly)} · {money(size.monthly)}/month"
    about = f"{size.vcpus} vCPU, {size.memory / 1024:g} GB, disk {size.disk} GB"
    if now is None or size.monthly is None:
        return Option(size.slug, label, about)
    change, compared = size.monthly - now, "less"
    if change >= 0:
        compared = "more"
    return Option(size.slug, label, f"{about}, {money(abs(change))} {compared} each")


def nodes(kind: type[Command], cluster: Cluster) -> tuple[Option, ...]:
    """Return the nodes, with their state and their meetings."""
    if kind is Restart:
        restarted = [n for n in cluster.separate_media if n.member_status != "deleting"]
        masters = (_master(m, cluster) for m in cluster.masters)
        return (*masters, *(_media(n, cluster) for n in restarted))[:MOST]
    media = tuple(_media(n, cluster) for n in cluster.media if n.member_status != "deleting")
    if not cluster.separate_media:
        return media
    return (Option("all", f"All {count_of(len(media), 'media node')}"), *media)[:MOST]


def _master(master: Droplet, cluster: Cluster) -> Option:
    name = short_name(master.name, cluster.stack)
    label = f"{name} · {DROPLET.get(master.status, master.status)}"
    if master.status == "active":
        label += f", {health(master)}"
    return Option(name, label, master.size)


def _media(node: MediaNode, cluster: Cluster) -> Option:
    name = short_name(node.name, cluster.stack)
    value, label = name, f"{name} · {node_state(node)}"
    if len([n for n in cluster.media if short_name(n.name, cluster.stack) == name]) > 1:
        value = str(node.id)
    return Option(value, label, _meetings(node.look))


def _meetings(look: Observed[NodeStatus]) -> str:
    if isinstance(look, Unobserved):
        return "meetings unknown"
    meetings = meetings_text(look)
    if not meetings:
        return "meetings unknown"
    if look.rooms == 0:
        return "no meetings"
    return meetings


def keys() -> tuple[Option, ...]:
    """Return the keys of secrets.env that may be changed."""
    return tuple(Option(k, k) for k in sorted(KEYS) if may_change(k).ok)[:MOST]
