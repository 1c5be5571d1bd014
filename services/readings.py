"""What the outside answers, read into our values: names made harmless, prices made exact, and nothing kept that holds a credential."""

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from services.cluster import Droplet, Size, Snapshot
from services.printable import namelike

Json = dict[str, Any]


def target_of(pool: Json) -> int | None:
    """The fixed number of a pool as it was read; None for a pool that scales by load.

    A config without the number is 0: the server leaves zero values out.
    """
    config = pool.get("config") or {}
    if "min_instances" in config or "max_instances" in config:
        return None
    return int(config.get("target_number_instances") or 0)


def template_digest(template: Json) -> str:
    """Tells two templates apart without keeping either: they hold credentials."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def droplet_of(raw: Json) -> Droplet:
    """A droplet as the API shows it."""
    size = raw.get("size") or {}
    addresses = {n.get("type"): n.get("ip_address", "") for n in (raw.get("networks") or {}).get("v4", [])}
    return Droplet(
        id=int(raw["id"]),
        name=namelike(str(raw["name"])),
        status=namelike(str(raw["status"])),
        locked=bool(raw.get("locked")),
        size=namelike(str(raw.get("size_slug", ""))),
        address=addresses.get("public", ""),
        private_address=addresses.get("private", ""),
        disk=int(raw.get("disk") or 0),
        memory=int(raw.get("memory") or 0),
        vcpus=int(raw.get("vcpus") or 0),
        hourly=_exact(size.get("price_hourly"), "0.00001"),
        monthly=_exact(size.get("price_monthly"), "0.01"),
        created_at=str(raw.get("created_at", "")),
        region=str((raw.get("region") or {}).get("slug", "")),
    )


def size_of(raw: Json) -> Size:
    """A size from the price list."""
    return Size(
        slug=namelike(str(raw.get("slug", ""))),
        vcpus=int(raw.get("vcpus") or 0),
        memory=int(raw.get("memory") or 0),
        disk=int(raw.get("disk") or 0),
        hourly=_exact(raw.get("price_hourly"), "0.00001"),
        monthly=_exact(raw.get("price_monthly"), "0.01"),
        regions=tuple(raw.get("regions") or ()),
        available=bool(raw.get("available", True)),
    )


def snapshot_of(raw: Json) -> Snapshot:
    """A snapshot as the API shows it."""
    return Snapshot(
        id=str(raw.get("id", "")),
        name=namelike(str(raw.get("name", ""))),
        droplet=int(raw.get("resource_id") or 0),
        created_at=str(raw.get("created_at", "")),
        size=_exact(raw.get("size_gigabytes"), "0.01"),
    )


def moment_of(text: object) -> float:
    """Epoch seconds of a moment in the API's words; 0 when there is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _exact(price: object, places: str) -> Decimal:
    # The API's prices are floats with noise: 0.00743999984115362.
    return Decimal(str(price or 0)).quantize(Decimal(places))
