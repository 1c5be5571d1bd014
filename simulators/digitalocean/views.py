"""The JSON that the API shows."""

import json
from typing import TYPE_CHECKING, Any

from simulators.cloud.catalog import SIZES, image, region
from simulators.cloud.model import (
    LoadBalancer,
    PoolEvent,
    SimulatedAction,
    SimulatedDroplet,
    SimulatedMember,
    SimulatedPool,
    SimulatedSnapshot,
    stamp,
    stamp_or_none,
)

if TYPE_CHECKING:
    from simulators.cloud import Cloud

Json = dict[str, Any]
API = "https://api.digitalocean.com"


def droplet(thing: SimulatedDroplet) -> Json:
    """Return a droplet, with every field that the schema requires and the optional ones."""
    size = SIZES[thing.size]
    v4 = [
        {
            "ip_address": thing.private_ip,
            "netmask": "255.255.255.0",
            "gateway": "10.10.10.1",
            "type": "private",
        },
        {
            "ip_address": thing.public_ip,
            "netmask": "255.255.240.0",
            "gateway": "127.0.0.1",
            "type": "public",
        },
    ]
    if thing.reserved_ip:
        v4.append(v4[-1] | {"ip_address": thing.reserved_ip})
    return {
        "id": thing.id, "name": thing.name, "memory": size.memory, "vcpus": size.vcpus,
        "disk": thing.disk, "disk_info": [{"type": "local", "size": {"amount": thing.disk,
        "unit": "gib"}}], "locked": thing.locked, "status": thing.status, "kernel": None,
        "created_at": stamp(thing.created_at), "features": ["droplet_agent", "private_networking"],
        "backup_ids": [], "next_backup_window": None, "snapshot_ids": list(thing.snapshot_ids),
        "image": image(thing.image), "volume_ids": [], "size": size.view(), "size_slug": thing.size,
        "networks": {"v4": [] if thing.creating else v4, "v6": []}, "region": region(thing.region),
        "tags": list(thing.tags), "vpc_uuid": thing.vpc_uuid,
    }  # fmt: skip


def droplet_text(thing: SimulatedDroplet, *, tags: bool = True) -> str:
    """Return a droplet as JSON text, made again only when it has changed.

    Most reads see nothing new.
    """
    shown = (
        thing.name, thing.status, thing.locked, thing.creating, thing.size, thing.disk,
            tuple(thing.tags) if tags else (), tuple(thing.snapshot_ids), thing.public_ip,
            thing.private_ip, thing.reserved_ip, thing.created_at, thing.image, thing.region,
            thing.vpc_uuid,
    )  # fmt: skip
    before = _TEXTS.get(thing.id)
    if before is None or before[0] != shown:
        if len(_TEXTS) > MOST_TEXTS:
            _TEXTS.clear()
        before = _TEXTS[thing.id] = (
            shown,
            json.dumps(droplet(thing) if tags else droplet(thing) | {"tags": []}),
        )
    return before[1]


_TEXTS: dict[int, tuple[object, str]] = {}
MOST_TEXTS = 5000


def action(thing: SimulatedAction, ahead: float = 0.0) -> Json:
    """Return an action: it has no text, even when it errored.

    `ahead`: by how many seconds DigitalOcean's clock is ahead of the others'.
    """
    completed = None if thing.completed_at is None else thing.completed_at + ahead
    return {
        "id": thing.id, "status": thing.status, "type": thing.type,
        "started_at": stamp(thing.started_at + ahead),
        "completed_at": stamp_or_none(completed),
        "resource_id": thing.droplet_id, "resource_type": "droplet", "region": region(thing.region),
        "region_slug": thing.region,
    }  # fmt: skip


def pool(estate: "Cloud", thing: SimulatedPool) -> Json:
    """Return a pool; the template includes the secrets in its user_data."""
    config = {"target_number_instances": thing.target}
    if thing.target == 0 and thing.allow_zero == "omitted":
        config = {}
    return {
        "id": thing.id, "name": thing.name,
        "config": config,
        "droplet_template": estate.pool_scaler.shown_template(thing),
        "created_at": stamp(thing.created_at), "updated_at": stamp(thing.updated_at),
        "status": thing.status,
        "active_resources_count": sum(m.status == "active" for m in thing.members),
    }  # fmt: skip


def member(estate: "Cloud", thing: SimulatedMember) -> Json:
    """Return a member: it has neither a name nor an address."""
    machine = estate.droplets.get(thing.droplet_id)
    status: str = thing.status
    if status == "active" and machine is not None and machine.status == "off":
        status = "off"
    return {
        "droplet_id": thing.droplet_id, "created_at": stamp(thing.created_at),
        "updated_at": stamp(thing.updated_at), "health_status": "healthy",
        "status": status, "current_utilization": {"cpu": 0.1,
        "memory": 0.2},
    }  # fmt: skip


def event(thing: PoolEvent, ahead: float = 0.0) -> Json:
    """Return a line of a pool's history.

    `error_reason` is not in the published schema, but client libraries know it.
    """
    line = {
        "history_event_id": thing.id, "current_instance_count": thing.current,
        "desired_instance_count": thing.desired, "reason": thing.reason, "status": thing.status,
        "created_at": stamp(thing.created_at + ahead),
        "updated_at": stamp(thing.updated_at + ahead),
    }  # fmt: skip
    return line | {"error_reason": thing.error_reason} if thing.error_reason else line


def snapshot(thing: SimulatedSnapshot) -> Json:
    """Return a snapshot as /v2/snapshots shows it."""
    return _snapshot(thing) | {
        "id": str(thing.id),
        "resource_id": str(thing.droplet_id),
        "resource_type": "droplet",
        "tags": [],
    }


def droplet_snapshot(thing: SimulatedSnapshot) -> Json:
    """Return a snapshot as a droplet's own list shows it."""
    return _snapshot(thing) | {"id": thing.id, "type": "snapshot"}


def _snapshot(thing: SimulatedSnapshot) -> Json:
    return {"name": thing.name, "created_at": stamp(thing.created_at), "regions": [thing.region],
        "min_disk_size": thing.disk,
            "size_gigabytes": 5.2}  # fmt: skip


def balancer(estate: "Cloud", thing: LoadBalancer) -> Json:
    """Return a load balancer that forwards TCP to the droplets with its tag."""
    rules = [{"entry_protocol": "tcp", "entry_port": port, "target_protocol": "tcp",
        "target_port": port, "certificate_id": "",
              "tls_passthrough": False} for port in (443, 80, 1935)]  # fmt: skip
    health = {"protocol": "tcp", "port": 7880, "path": "", "check_interval_seconds": 10,
        "response_timeout_seconds": 5,
              "healthy_threshold": 3, "unhealthy_threshold": 3}  # fmt: skip
    return {
        "id": thing.id, "name": thing.name, "ip": thing.ip, "ipv6": "", "size_unit": 1,
        "algorithm": "round_robin", "status": "active", "created_at": stamp(thing.created_at),
        "forwarding_rules": rules, "health_check": health, "sticky_sessions": {"type": "none"},
        "region": region(thing.region), "tag": thing.tag,
        "droplet_ids": [d.id for d in estate.droplets.values() if thing.tag in d.tags],
        "redirect_http_to_https": False, "enable_proxy_protocol": False,
        "enable_backend_keepalive": False, "vpc_uuid": thing.vpc_uuid,
        "firewall": {"deny": [], "allow": []},
        "disable_lets_encrypt_dns_records": False, "http_idle_timeout_seconds": 60,
        "network": "EXTERNAL", "type": "REGIONAL_NETWORK",
        "project_id": "4de7ac8b-495b-4884-9a69-1050c6793cd6",
    }  # fmt: skip


def tag(estate: "Cloud", name: str) -> Json:
    """Return a tag and how many droplets carry it."""
    ids = [d.id for d in estate.droplets.values() if name in d.tags]
    last = {"last_tagged_uri": f"{API}/v2/droplets/{ids[-1]}"} if ids else {}
    none = {"count": 0}
    kinds = {"images": none, "volumes": none, "volume_snapshots": none, "databases": none}
    return {
        "name": name,
        "resources": {"count": len(ids), **last, "droplets": {"count": len(ids), **last}, **kinds},
    }
