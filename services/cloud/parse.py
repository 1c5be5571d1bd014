"""What the outside answers, read into our values: names made harmless, prices made exact, and nothing kept that holds a credential.

Each entry of a list is read once, as it arrives. What cannot be read is `Unread`: not an entry, and not nothing either.
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
class Unread:
    """An entry that cannot be read, and what of it tells whose it is. None: not even that can be read."""

    why: Unreadable
    name: str | None
    droplet: int | None  # the droplet that it is, or is about
    tags: frozenset[str] | None


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A list as it was read."""

    entries: tuple[T, ...] = ()
    unread: tuple[Unread, ...] = ()

    def __len__(self) -> int:
        return len(self.entries) + len(self.unread)


@dataclass(frozen=True)
class DropletEntry:
    """A droplet of the account, with its tags."""

    droplet: Droplet
    tags: frozenset[str]


@dataclass(frozen=True)
class PoolEntry:
    """An autoscale pool of the account. `pool` is None when it scales by load."""

    id: str
    name: str
    pool: Pool | None
    count: int  # droplets that it holds
    about: tuple[str, ...]  # differs when anything about the pool has changed, but for its template


@dataclass(frozen=True)
class Member:
    """A droplet of a pool."""

    droplet: int
    status: str  # provisioning, active, deleting, off; unknown values are carried
    created_at: str = ""


@dataclass(frozen=True)
class Namespace:
    """A functions namespace that the token's user sees."""

    id: str
    label: str


@dataclass(frozen=True)
class Trigger:
    """What starts a function by the clock. Times in epoch seconds."""

    enabled: bool
    last_run: float  # 0: it has not run yet
    next_run: float | None


@dataclass(frozen=True)
class Action:
    """What was asked of a droplet."""

    id: int
    type: str
    status: str
    started_at: float


def listed(read: Callable[[Json], T], raw: Iterable[Json], about: str = "id") -> Listed[T]:
    """Read every entry of a list. `about`: the field that names the droplet an entry is about."""
    entries, unread = [], []
    for item in raw:
        try:
            entries.append(read(item))
        except Unreadable as why:
            unread.append(_unread(why, item, about))
    return Listed(tuple(entries), tuple(unread))


def _unread(why: Unreadable, item: Json, about: str) -> Unread:
    fields = Fields(why.listing, item)
    name = next(
        (n for n in (_or_none(fields.text, key) for key in ("name", "slug", "label")) if n), None
    )
    tags = _or_none(fields.texts, "tags")
    return Unread(
        why, name, _or_none(fields.whole, about), None if tags is None else frozenset(tags)
    )


def _or_none(read: Callable[[str], T], key: str) -> T | None:
    try:
        return read(key)
    except Unreadable:
        return None


# Droplets


def droplet_entry(raw: Json) -> DropletEntry:
    """A droplet of the account's list."""
    fields = Fields("listing droplets", raw)
    return DropletEntry(droplet_of(fields), frozenset(fields.texts("tags")))


def droplet_of(fields: Fields) -> Droplet:
    """A droplet as the API shows it. Its addresses, its price and its region may be unknown; everything else is needed."""
    fields.moment("created_at")  # which members of a pool are the newest is told from it
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
    )


def _inner(fields: Fields, key: str) -> Fields | None:
    return _or_none(fields.inner, key)


def _addresses(fields: Fields) -> tuple[str, str]:
    """The public and the private address; "" while there is none, and when it cannot be read."""
    listed = (_or_none(fields.object, "networks") or {}).get("v4")
    found = {"public": "", "private": ""}
    for raw in listed if isinstance(listed, list) else ():
        try:
            network = Fields(fields.listing, raw)
            found[network.text("type")] = network.name("ip_address")
        except Unreadable:
            continue
    return found["public"], found["private"]


def _region(fields: Fields) -> str:
    region = _inner(fields, "region")
    return (region and _or_none(region.name, "slug")) or ""


def _price(fields: Fields | None) -> tuple[Decimal | None, Decimal | None]:
    """Per hour and per month; None where it is not known. DigitalOcean gives nothing away: 0 is no price."""
    if fields is None:
        return None, None
    hourly = _or_none(lambda key: fields.amount(key, "0.00001"), "price_hourly")
    monthly = _or_none(lambda key: fields.amount(key, "0.01"), "price_monthly")
    return hourly or None, monthly or None


# Pools


def pool_entry(raw: Json, listing: str = "listing autoscale pools") -> PoolEntry:
    """A pool as the API shows it, without its template: that holds credentials."""
    fields = Fields(listing, raw)
    name, identity, status = fields.name("name"), fields.text("id"), fields.name("status")
    count = fields.whole("active_resources_count")
    target = _target(fields, count)
    digest, size = (
        template_digest(fields.object("droplet_template")),
        fields.inner("droplet_template").name("size"),
    )
    about = (status, str(raw.get("updated_at")), _dumped(raw.get("config")))
    pool = (
        None
        if target is None
        else Pool(identity, name, target, status=status, size=size, template=digest)
    )
    return PoolEntry(identity, name, pool, count, about)


def pool_of(raw: Json, listing: str) -> Pool | None:
    """One pool as the API shows it; None when it scales by load."""
    return pool_entry(raw, listing).pool


def _target(fields: Fields, count: int) -> int | None:
    """A config without the number is 0: the server leaves zero values out. Without its config, a pool is at 0 only when it is empty."""
    if not fields.has("config") and count == 0:
        return 0
    config = fields.inner("config")
    if config.has("min_instances") or config.has("max_instances"):
        return None
    return config.whole("target_number_instances") if config.has("target_number_instances") else 0


def template_digest(template: Json) -> str:
    """Tells two templates apart without keeping either: they hold credentials.

    Its lists are sets (tags, SSH keys): DigitalOcean returns them in any order.
    """
    return hashlib.sha256(_dumped(_ordered(template)).encode()).hexdigest()


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: _ordered(inner) for key, inner in value.items()}
    return (
        sorted((_ordered(inner) for inner in value), key=_dumped)
        if isinstance(value, list)
        else value
    )


def _dumped(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def member_of(raw: Json) -> Member:
    """A member of a pool: neither its name nor its address."""
    fields = Fields("listing the members of the pool", raw)
    fields.moment("created_at")
    return Member(
        fields.whole("droplet_id", least=1), fields.name("status"), fields.text("created_at")
    )


def failure_of(events: Iterable[Json]) -> str:
    """The error that the newest event of a pool's history ended in; "" when it did not."""
    read = [Fields("listing the history of the pool", e) for e in events]
    newest = max(read, key=lambda e: e.moment("created_at"), default=None)
    if newest is None or newest.text("status").lower() != "error":
        return ""
    return next(
        (newest.text(k) for k in ("error_reason", "reason") if newest.has(k)),
        "scaling ended in an error",
    )


# Functions


def namespace_of(raw: Json) -> Namespace:
    """A functions namespace."""
    fields = Fields("listing functions namespaces", raw)
    return Namespace(fields.text("namespace"), fields.text("label"))


def trigger_of(raw: Json, name: str) -> Trigger:
    """A trigger as the API shows it."""
    fields = Fields(f"reading the trigger {name}", raw, f"trigger {name}")
    enabled = fields.flag("is_enabled")
    if not fields.has("scheduled_runs"):
        return Trigger(enabled, 0.0, None)
    runs = fields.inner("scheduled_runs")
    return Trigger(
        enabled,
        runs.moment("last_run_at") if runs.has("last_run_at") else 0.0,
        runs.moment("next_run_at") if runs.has("next_run_at") else None,
    )


# Actions


def actions_of(raw: Iterable[Json], droplet: int, kind: str = "") -> list[Action]:
    """What was asked of a droplet; of one kind, when it is named. One that may be of that kind and cannot be read is not overlooked."""
    found = []
    for item in raw:
        fields = Fields(f"listing actions of droplet {droplet}", item)
        if not kind or fields.text("type") == kind:
            found.append(
                Action(
                    fields.whole("id"),
                    fields.text("type"),
                    fields.text("status"),
                    fields.moment("started_at"),
                )
            )
    return found


# Prices, snapshots, the account


def size_of(raw: Json) -> Size:
    """A size from the price list. Its price may be unknown."""
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
    """A snapshot as the API shows it."""
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
    """Whose token it is, by an id that stays: the team's, or the person's where there is none; "" where neither is told."""
    for whose in (account.get("team"), account) if isinstance(account, dict) else ():
        if isinstance(whose, dict) and isinstance(whose.get("uuid"), str) and whose["uuid"]:
            return str(whose["uuid"])
    return ""


def limit_of(raw: Json) -> int:
    """How many droplets the account may have."""
    return Fields("reading the account", raw).whole("droplet_limit")
