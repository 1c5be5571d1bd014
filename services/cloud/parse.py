"""Parses DigitalOcean's answers into values: safe names, exact prices, no credentials.

Each entry of a list is parsed once, as it arrives. What cannot be read is an `UnreadableEntry`: it
is no entry, and it is not absent either.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from services.cloud.fields import Fields
from services.cluster.model import Droplet, Pool, Size, Snapshot
from services.common.errors import Unreadable

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class UnreadableEntry:
    """An entry that cannot be read, and what shows whose it is; None where that is unreadable too.

    `droplet`: the id of the droplet that it is, or is about.
    """

    why: Unreadable
    name: str | None
    droplet: int | None
    tags: frozenset[str] | None


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A list: the entries that could be read, and those that could not."""

    entries: tuple[T, ...] = ()
    unread: tuple[UnreadableEntry, ...] = ()

    def __len__(self) -> int:
        return len(self.entries) + len(self.unread)


@dataclass(frozen=True)
class DropletEntry:
    """A droplet of the account, with its tags."""

    droplet: Droplet
    tags: frozenset[str]


@dataclass(frozen=True)
class PoolEntry:
    """An autoscale pool of the account. `pool` is None when it scales by load.

    `count`: droplets that it holds; `about`: differs when anything but its template has changed.
    """

    id: str
    name: str
    pool: Pool | None
    count: int
    about: tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """A droplet of a pool. `status`: provisioning, active, deleting, off, or an unknown one."""

    droplet: int
    status: str
    created_at: str = ""


@dataclass(frozen=True)
class Namespace:
    """A functions namespace that the token's user sees."""

    id: str
    label: str


@dataclass(frozen=True)
class Trigger:
    """What runs a function on a schedule. Times in epoch seconds; `last_run` 0: not run yet."""

    enabled: bool
    last_run: float
    next_run: float | None


@dataclass(frozen=True)
class Action:
    """An action on a droplet. `started_at`: epoch seconds."""

    id: int
    type: str
    status: str
    started_at: float


def listed(read: Callable[[Json], T], raw: Iterable[Json], about: str = "id") -> Listed[T]:
    """Parse every entry of a list. `about`: the field with the droplet that an entry is about."""
    entries, unread = [], []
    for item in raw:
        try:
            entries.append(read(item))
        except Unreadable as why:
            unread.append(_unread(why, item, about))
    return Listed(tuple(entries), tuple(unread))


def _unread(why: Unreadable, item: Json, about: str) -> UnreadableEntry:
    fields = Fields(why.listing, item)
    names = (_or_none(fields.text, key) for key in ("name", "slug", "label"))
    name = next((name for name in names if name), None)
    tags = _or_none(fields.texts, "tags")
    droplet = _or_none(fields.whole, about)
    return UnreadableEntry(why, name, droplet, None if tags is None else frozenset(tags))


def _or_none(read: Callable[[str], T], key: str) -> T | None:
    try:
        return read(key)
    except Unreadable:
        return None


# Droplets


def droplet_entry(raw: Json) -> DropletEntry:
    """Parse a droplet of the account's list."""
    fields = Fields("listing droplets", raw)
    return DropletEntry(droplet_of(fields), frozenset(fields.texts("tags")))


def droplet_of(fields: Fields) -> Droplet:
    """Parse a droplet. Its addresses, price and region may be unknown; the rest is required."""
    fields.moment("created_at")  # which members of a pool are the newest depends on it
    public, private = _addresses(fields)
    hourly, monthly = _price(_inner(fields, "size"))
    return Droplet(
        id=fields.whole("id", least=1),
        name=fields.name("name"),
        status=fields.name("status"),
        locked=fields.flag("locked"),
        size=fields.name("size_slug"),
        address=public,
        private_address=private,
        disk=fields.whole("disk"),
        memory=fields.whole("memory"),
        vcpus=fields.whole("vcpus"),
        hourly=hourly,
        monthly=monthly,
        created_at=fields.text("created_at"),
        region=_region(fields),
        network=_or_none(fields.name, "vpc_uuid") or "",
    )


def _inner(fields: Fields, key: str) -> Fields | None:
    return _or_none(fields.inner, key)


def _addresses(fields: Fields) -> tuple[str, str]:
    """Return the public and the private address; "" while there is none or it cannot be read.

    The first of each kind: a reserved IP is listed after the droplet's own public address.
    """
    networks = (_or_none(fields.object, "networks") or {}).get("v4")
    addresses = {"public": "", "private": ""}
    if not isinstance(networks, list):
        return "", ""
    for raw in networks:
        try:
            network = Fields(fields.listing, raw)
            kind, address = network.text("type"), network.name("ip_address")
            addresses[kind] = addresses.get(kind) or address
        except Unreadable:
            continue
    return addresses["public"], addresses["private"]


def _region(fields: Fields) -> str:
    region = _inner(fields, "region")
    return (region and _or_none(region.name, "slug")) or ""


def _price(fields: Fields | None) -> tuple[Decimal | None, Decimal | None]:
    """Return the prices per hour and month; None where not known.

    0 is no price: nothing is free.
    """
    if fields is None:
        return None, None
    hourly = _or_none(lambda key: fields.amount(key, "0.00001"), "price_hourly")
    monthly = _or_none(lambda key: fields.amount(key, "0.01"), "price_monthly")
    return hourly or None, monthly or None


# Pools


def pool_entry(raw: Json, listing: str = "listing autoscale pools") -> PoolEntry:
    """Parse a pool, without its template: that holds credentials."""
    fields = Fields(listing, raw)
    name, identity, status = fields.name("name"), fields.text("id"), fields.name("status")
    count = fields.whole("active_resources_count")
    target = _target(fields, count)
    digest = template_digest(fields.object("droplet_template"))
    size = fields.inner("droplet_template").name("size")
    about = (status, str(raw.get("updated_at")), _dumped(raw.get("config")))
    pool = None
    if target is not None:
        pool = Pool(identity, name, target, status=status, size=size, template=digest)
    return PoolEntry(identity, name, pool, count, about)


def pool_of(raw: Json, listing: str) -> Pool | None:
    """Parse one pool; None when it scales by load."""
    return pool_entry(raw, listing).pool


def _target(fields: Fields, count: int) -> int | None:
    """Return the pool's number; None when it scales by load.

    A config without the number means 0: the server omits zero values. Without its config, a pool is
    at 0 only when it is empty.
    """
    if not fields.has("config") and count == 0:
        return 0
    config = fields.inner("config")
    if config.has("min_instances") or config.has("max_instances"):
        return None
    if not config.has("target_number_instances"):
        return 0
    return config.whole("target_number_instances")


def template_digest(template: Json) -> str:
    """Return what identifies a template without keeping it: it holds credentials.

    Its lists are sets (tags, SSH keys): DigitalOcean returns them in any order.
    """
    return hashlib.sha256(_dumped(_ordered(template)).encode()).hexdigest()


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: _ordered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(inner) for inner in value), key=_dumped)
    return value


def _dumped(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def member_of(raw: Json) -> Member:
    """Parse a member of a pool. It has neither name nor address."""
    fields = Fields("listing the members of the pool", raw)
    fields.moment("created_at")
    return Member(
        fields.whole("droplet_id", least=1), fields.name("status"), fields.text("created_at")
    )


def failure_of(events: Iterable[Json]) -> str:
    """Return the error of the newest event in a pool's history; "" when it has none."""
    parsed = [Fields("listing the history of the pool", event) for event in events]
    newest = max(parsed, key=lambda event: event.moment("created_at"), default=None)
    if newest is None or newest.text("status").lower() != "error":
        return ""
    for key in ("error_reason", "reason"):
        if newest.has(key):
            return newest.text(key)
    return "scaling ended in an error"


# Functions


def namespace_of(raw: Json) -> Namespace:
    """Parse a functions namespace."""
    fields = Fields("listing functions namespaces", raw)
    return Namespace(fields.text("namespace"), fields.text("label"))


def trigger_of(raw: Json, name: str) -> Trigger:
    """Parse a trigger."""
    fields = Fields(f"reading the trigger {name}", raw, f"trigger {name}")
    enabled = fields.flag("is_enabled")
    if not fields.has("scheduled_runs"):
        return Trigger(enabled, 0.0, None)
    runs = fields.inner("scheduled_runs")
    return Trigger(
        enabled, _moment_or_none(runs, "last_run_at") or 0.0, _moment_or_none(runs, "next_run_at")
    )


def _moment_or_none(fields: Fields, key: str) -> float | None:
    return fields.moment(key) if fields.has(key) else None


# Actions


def actions_of(raw: Iterable[Json], droplet: int, kind: str = "") -> list[Action]:
    """Parse the actions of a droplet; those of one kind, when it is named.

    Unreadable when one that may be of that kind cannot be read.
    """
    actions = []
    for item in raw:
        fields = Fields(f"listing actions of droplet {droplet}", item)
        if not kind or fields.text("type") == kind:
            actions.append(_action(fields))
    return actions


def _action(fields: Fields) -> Action:
    return Action(
        id=fields.whole("id"),
        type=fields.text("type"),
        status=fields.text("status"),
        started_at=fields.moment("started_at"),
    )


# Prices, snapshots, the account


def size_of(raw: Json) -> Size:
    """Parse a size of the price list. Its price may be unknown."""
    fields = Fields("listing droplet sizes", raw)
    hourly, monthly = _price(fields)
    return Size(
        slug=fields.name("slug"),
        vcpus=fields.whole("vcpus"),
        memory=fields.whole("memory"),
        disk=fields.whole("disk"),
        hourly=hourly,
        monthly=monthly,
        regions=fields.texts("regions"),
        available=fields.flag("available"),
    )


def snapshot_of(raw: Json) -> Snapshot:
    """Parse a snapshot."""
    fields = Fields("listing snapshots", raw)
    fields.moment("created_at")
    return Snapshot(
        id=fields.identity("id"),
        name=fields.name("name"),
        droplet=fields.whole("resource_id"),
        created_at=fields.text("created_at"),
        size=fields.amount("size_gigabytes", "0.01"),
    )


def owner_of(account: Any) -> str:
    """Return the lasting id of the token's owner: the team, else the person; "" where not shown."""
    if not isinstance(account, dict):
        return ""
    for owner in (account.get("team"), account):
        uuid = owner.get("uuid") if isinstance(owner, dict) else None
        if isinstance(uuid, str) and uuid:
            return uuid
    return ""


def limit_of(raw: Json) -> int:
    """Return how many droplets the account may have."""
    return Fields("reading the account", raw).whole("droplet_limit")
