"""What can be picked for a command's fields: sizes and numbers with their prices, nodes with their state. Pure."""

from dataclasses import Field, dataclass
from decimal import Decimal
from typing import Any

from handlers.commands import TALKS
from handlers.views import node_state
from handlers.views.text import health
from services.billing.prices import money, per_hour
from services.cluster.model import Cluster, Droplet, MediaNode, NodeLook, Size, short
from services.common.command import Command
from services.common.observed import NotSeen
from services.common.text import count
from services.procedures import PROCEDURES, ResizeMasters, Restart, Startup, fleet
from services.procedures.resize import legal
from services.procedures.sizes import by_price
from services.secrets_env import KEYS, may_change
from services.steps.node_text import meets

NUMBERS = 20  # so many are offered at least; more are typed
MOST = 100


@dataclass(frozen=True)
class Pick:
    """One thing that can be picked. `value` is the word of the command."""

    value: str
    label: str
    about: str = ""


LENGTHS = tuple(
    Pick(value, label)
    for value, label in (
        ("30m", "30 minutes"),
        ("1h", "1 hour"),
        ("2h", "2 hours"),
        ("4h", "4 hours"),
        ("8h", "8 hours"),
        ("1d", "1 day"),
    )
)


def kind_of(command: str) -> type[Command] | None:
    """The command that an action's name means: `resize-media`."""
    return next((k for k in (*PROCEDURES, *TALKS) if k.command.replace(" ", "-") == command), None)


def picks(kind: type[Command], field: Field[Any], cluster: Cluster) -> tuple[Pick, ...]:
    """What can be picked for that field; empty where something is typed."""
    if choices := field.metadata.get("choices"):
        return tuple(Pick(c, c) for c in choices)
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
            return (*LENGTHS, Pick("tonight", "Until it would open again"))
        case _:
            return ()


def initial(kind: type[Command], field: Field[Any], cluster: Cluster) -> str:
    """What is picked to begin with."""
    if kind is Startup and field.name == "media":
        number = Startup().number(cluster) if fleet.of(cluster).most != 0 else None
        return str(number) if number else ""
    return str(field.default) if isinstance(field.default, str) else ""


def numbers(kind: type[Command], cluster: Cluster) -> tuple[Pick, ...]:
    """Numbers of media nodes, with what they cost."""
    now = cluster.pool.target if cluster.pool is not None else len(cluster.members)
    most = min(MOST, max(NUMBERS, 2 * now, 2 * (cluster.remembered or 0)))
    bound = fleet.of(cluster).most if kind is Startup else None
    if bound is not None:
        return tuple(
            Pick(str(n), count(n, "media node")) for n in range(1, bound + 1)
        )  # those there are; on or off they cost the same
    least = max(1, len(cluster.members)) if kind is Startup else 1
    return tuple(_number(n, now, cluster.media_price) for n in range(least, most + 1))


def _number(number: int, now: int, price: Decimal | None) -> Pick:
    cost = f" · {money(price * number)}/h" if price else ""
    if number == now:
        about = "as now"
    elif price:
        more, costs = ("more", "costs") if number > now else ("less", "saves")
        about = f"{count(abs(number - now), 'node')} {more}: {costs} {money(price * abs(number - now))}/h"
    else:
        about = "what a node costs is not known"
    return Pick(str(number), f"{count(number, 'media node')}{cost}", about)


def sizes(kind: type[Command], cluster: Cluster) -> tuple[Pick, ...]:
    """Droplet sizes, cheapest first: those that are sold where the cluster stands, and that its droplets can become."""
    if kind is ResizeMasters:
        now = max((m.monthly for m in cluster.masters if m.monthly), default=None)
        return tuple(_size(s, now) for s in legal(cluster)[:MOST])
    mine = cluster.pool.size if cluster.pool is not None else ""
    sold = [
        s for s in cluster.sizes if s.available and cluster.region in s.regions and s.slug != mine
    ]
    before = cluster.size(mine)
    cheapest = sorted(sold, key=by_price)[:MOST]
    return tuple(_size(s, before.monthly if before else None) for s in cheapest)


def _size(size: Size, now: Decimal | None) -> Pick:
    change = None if now is None or size.monthly is None else size.monthly - now
    compared = (
        "" if change is None else f", {money(abs(change))} {'more' if change >= 0 else 'less'} each"
    )
    about = f"{size.vcpus} vCPU, {size.memory / 1024:g} GB, disk {size.disk} GB{compared}"
    return Pick(
        size.slug, f"{size.slug} · {per_hour(size.hourly)} · {money(size.monthly)}/month", about
    )


def nodes(kind: type[Command], cluster: Cluster) -> tuple[Pick, ...]:
    """Nodes, with their state and who meets there."""
    media = tuple(_media(n, cluster) for n in cluster.media if n.member_status != "deleting")
    if kind is Restart:
        return (*(_master(m, cluster) for m in cluster.masters), *media)[:MOST]
    return (Pick("all", f"All {count(len(media), 'media node')}"), *media)[:MOST]


def _master(master: Droplet, cluster: Cluster) -> Pick:
    name = short(master.name, cluster.stack)
    return Pick(
        name,
        f"{name} · {master.status}{f', {health(master)}' if master.status == 'active' else ''}",
        master.size,
    )


def _media(node: MediaNode, cluster: Cluster) -> Pick:
    look, name = node.look, short(node.name, cluster.stack)
    unknown, empty = (
        isinstance(look, NotSeen) or not meets(look),
        isinstance(look, NodeLook) and look.rooms == 0,
    )
    carries = (
        "meetings unknown"
        if isinstance(look, NotSeen) or unknown
        else "no meetings"
        if empty
        else meets(look)
    )
    several = len([n for n in cluster.media if short(n.name, cluster.stack) == name]) > 1
    return Pick(str(node.id) if several else name, f"{name} · {node_state(node)}", carries)


def keys() -> tuple[Pick, ...]:
    """Keys of secrets.env that may be changed."""
    return tuple(Pick(k, k) for k in sorted(KEYS) if may_change(k).ok)[:MOST]
