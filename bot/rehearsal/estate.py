"""Builds a simulated world that looks like the cluster of a scenario."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from services.cluster.installation import Installation
from services.cluster.model import (
    Cluster,
    Deployment,
    Droplet,
    FleetKind,
    Load,
    MediaNode,
    NodeStatus,
    SigquitEffect,
)
from services.cluster.model import Size as SoldSize
from services.operations.rehearsal import Scenario, least_media
from simulators.clock import LoopClock
from simulators.cloud import SimulatedDroplet
from simulators.cloud.catalog import REGIONS, SIZES, CatalogSize
from simulators.cloud.delays import Delays
from simulators.cloud.model import Deployment as SimulatedDeployment
from simulators.cloud.model import (
    Edition,
    Kind,
    RemovalOrder,
    SigquitBehaviour,
    SimulatedSnapshot,
    ZeroMode,
)
from simulators.cloud.nodes import INFO, deployment_info
from simulators.environment import SimulatedEnvironment

KINDS: dict[FleetKind, Kind] = {
    FleetKind.POOL: "pool",
    FleetKind.FIXED: "fixed",
    FleetKind.AUTOSCALER: "autoscaler",
    FleetKind.CO_LOCATED: "co-located",
}
DEPLOYMENTS: dict[Deployment, SimulatedDeployment] = {
    Deployment.HIGH_AVAILABILITY: "high availability",
    Deployment.ELASTIC: "elastic",
    Deployment.SINGLE_NODE: "single node",
}
COMMUNITY = "-vm-ce"  # the end of the name of its only droplet
SIGQUIT: dict[SigquitEffect, SigquitBehaviour] = {
    SigquitEffect.DEAF: "deaf",
    SigquitEffect.DIES: "dies",
}
# By the answers of probes.
ZERO: dict[str, ZeroMode] = {"ignored": "ignored"}
REMOVAL: dict[str, RemovalOrder] = {"oldest": "oldest", "other": "random"}
MAXIMUM = 6  # media nodes of an autoscaler, as the vendor's template has it
ROOM = 25  # droplets, where the account's limit is unknown
PEOPLE = 3  # in a meeting of which only that it runs is known, or assumed


def build_world(scenario: Scenario, seed: int, delays: Delays) -> SimulatedEnvironment:
    """Return a world with this one cluster in it: its droplets, their states, and its meetings.

    Meetings have no end yet: who plays it decides when they end.
    """
    cluster = scenario.cluster
    world = SimulatedEnvironment(LoopClock(scenario.at), seed)
    estate = world.estate
    estate.delays = delays
    estate.droplet_limit = 1000
    kind = _kind(cluster)
    size, masters_size = _sizes(cluster)
    numbers = {}
    if kind == "autoscaler":
        least = least_media(cluster)
        numbers = {"minimum": least, "initial": least, "maximum": max(MAXIMUM, least)}
    media = [n for n in cluster.media if n.member_status is not None or kind != "pool"]
    world.build_cluster(
        cluster.stack,
        media=len(media),
        kind=kind,
        deployment=DEPLOYMENTS.get(cluster.deployment, "high availability"),
        edition=_edition(cluster),
        region=cluster.region or "ams3",
        size=size,
        masters_size=masters_size,
        **numbers,
    )
    _take_identities(world, cluster, media)
    _set_states(world, cluster, media)
    _take_versions(world, cluster)
    estate.resize_powers_off = cluster.account.answer("resize_on") != "refused"
    _leave_room(world, cluster)
    _keep_snapshots(world, cluster)
    return world


def _kind(cluster: Cluster) -> Kind:
    """Return the simulated kind of its fleet; of one that is parked, the kind it had before."""
    if cluster.kind in KINDS:
        return KINDS[cluster.kind]
    if cluster.last_seen is not None and cluster.last_seen.kind in KINDS:
        return KINDS[cluster.last_seen.kind]
    return "fixed"


def _edition(cluster: Cluster) -> Edition:
    """Return `community` where its only droplet is named so; everything else is pro."""
    is_community = any(m.name == cluster.stack + COMMUNITY for m in cluster.masters)
    return "community" if is_community else "pro"


def _sizes(cluster: Cluster) -> tuple[str, str]:
    media = next((n.droplet.size for n in cluster.media if n.droplet.size), "")
    if cluster.pool is not None and cluster.pool.size:
        media = cluster.pool.size
    masters = next((m.size for m in cluster.masters if m.size), "")
    usual = "s-4vcpu-8gb"
    return media or usual, masters or usual


@contextmanager
def sold(cluster: Cluster) -> Iterator[None]:
    """Let the simulated DigitalOcean sell what the real one sells this cluster, for a while."""
    before, regions = dict(SIZES), dict(REGIONS)
    if cluster.region:
        REGIONS.setdefault(cluster.region, cluster.region)
    droplets = (*cluster.masters, *(n.droplet for n in cluster.media))
    for size in (*cluster.sizes, *(_size_of(d) for d in droplets if d.size)):
        if size.slug not in SIZES or size in cluster.sizes:
            SIZES[size.slug] = _catalog_size(size)
    if cluster.pool is not None and cluster.pool.size and cluster.pool.size not in SIZES:
        SIZES[cluster.pool.size] = _catalog_size(SoldSize(cluster.pool.size, 4, 8192, 160))
    try:
        yield
    finally:
        SIZES.clear()
        SIZES.update(before)
        REGIONS.clear()
        REGIONS.update(regions)


def _size_of(droplet: Droplet) -> SoldSize:
    return SoldSize(
        droplet.size,
        droplet.vcpus,
        droplet.memory,
        droplet.disk,
        droplet.hourly,
        droplet.monthly,
    )


def _catalog_size(size: SoldSize) -> CatalogSize:
    return CatalogSize(
        size.slug,
        size.memory,
        size.vcpus,
        size.disk,
        float(size.hourly or Decimal(0)),
        float(size.monthly or Decimal(0)),
        float(size.vcpus + 1),
        "as seen",
        size.available,
    )


# Droplets


def _take_identities(world: SimulatedEnvironment, cluster: Cluster, media: list[MediaNode]) -> None:
    """Give the simulated droplets the ids, names, sizes and ages of the real ones."""
    estate = world.estate
    stack = estate.clusters[cluster.stack]
    fleet = [d for d in estate.droplets.values() if d.role == "media"]
    masters = estate.masters(cluster.stack)
    pairs = [
        *zip(masters, sorted(cluster.masters, key=lambda m: m.name), strict=False),
        *zip(fleet, (n.droplet for n in sorted(media, key=_age)), strict=False),
    ]
    new_ids = {simulated.id: real.id for simulated, real in pairs}
    for simulated, real in pairs:
        simulated.id, simulated.name = real.id, real.name
        simulated.size, simulated.disk = real.size or simulated.size, real.disk or simulated.disk
        simulated.created_at = _moment(real.created_at, simulated.created_at)
    estate.droplets = {droplet.id: droplet for droplet in estate.droplets.values()}
    stack.master_ids = [new_ids.get(i, i) for i in stack.master_ids]
    stack.started = {new_ids.get(i, i) for i in stack.started}
    pool = estate.pools.get(stack.pool_id)
    if pool is not None:
        for member in pool.members:
            member.droplet_id = new_ids.get(member.droplet_id, member.droplet_id)
            member.created_at = estate.droplets[member.droplet_id].created_at
        if cluster.pool is not None:
            pool.name = cluster.pool.name
            pool.target = cluster.pool.target
            if cluster.pool.status != "active":
                estate.pool_scaler.fail(pool)
            zero = cluster.account.answer("zero")
            if cluster.zero_refused or zero == "refused":
                pool.allow_zero = ZERO.get(zero, "refused")
            order = REMOVAL.get(cluster.account.answer("removal"), "newest")
            estate.pool_scaler.removal_order = order


def _take_versions(world: SimulatedEnvironment, cluster: Cluster) -> None:
    """Give nodes and secrets.env the versions of OpenVidu that were seen."""
    estate, bucket = world.estate, world.estate.clusters[cluster.stack].bucket
    for droplet in (*cluster.masters, *(n.droplet for n in cluster.media)):
        simulated, seen = estate.droplets.get(droplet.id), droplet.installation
        if simulated is not None and isinstance(seen, Installation):
            simulated.node.files[INFO] = deployment_info(seen.version)
    version = cluster.secrets.version if cluster.secrets is not None else ""
    file = world.spaces.read(bucket, "secrets.env")
    if version and file is not None:
        named = re.sub(rb"(?m)^OPENVIDU_VERSION=.*$", b"OPENVIDU_VERSION=" + version.encode(), file)
        world.spaces.write(bucket, "secrets.env", named)


def _age(node: MediaNode) -> tuple[str, int]:
    return node.droplet.created_at, node.droplet.id


def _moment(text: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return otherwise


def _set_states(world: SimulatedEnvironment, cluster: Cluster, media: list[MediaNode]) -> None:
    estate = world.estate
    with estate.timeline.caused_by("world", "so it was seen"):
        _open_meetings(world, cluster)
        for node in media:
            _set_node(world, estate.droplets[node.id], node)
        for master in cluster.masters:
            simulated = estate.droplets.get(master.id)
            if simulated is not None and not master.active and master.status == "off":
                _power_off(world, simulated)
            elif simulated is not None and master.healthy is False:
                simulated.ready_at = float("inf")
    stack = estate.clusters[cluster.stack]
    trigger = estate.functions.trigger_of(cluster.stack)
    if trigger is not None and cluster.autoscaler is not None:
        if not cluster.autoscaler.trigger:
            estate.functions.remove(cluster.stack)
        else:
            trigger.is_enabled = cluster.autoscaler.enabled
            trigger.last_run_at = cluster.autoscaler.last_run or None
    elif trigger is not None and stack.kind == "autoscaler" and cluster.kind is FleetKind.NONE:
        estate.functions.remove(cluster.stack)


def _set_node(world: SimulatedEnvironment, droplet: SimulatedDroplet, node: MediaNode) -> None:
    estate, look = world.estate, node.look
    if node.droplet.off:
        _power_off(world, droplet)
        return
    if not isinstance(look, NodeStatus):
        return
    if look.agents:
        agents = {
            a.name.removeprefix("agent-"): SIGQUIT.get(a.on_sigquit, "drains") for a in look.agents
        }
        estate.containers.set_agents(droplet, **agents)
    if "openvidu" in look.restarting:
        estate.crashes.begin(droplet)
    elif look.drain_marked or not look.runs_media_server:
        estate.containers.signal_workers(droplet, "SIGQUIT")


def _power_off(world: SimulatedEnvironment, droplet: SimulatedDroplet) -> None:
    world.estate.nodes.power_down(droplet, "so it was seen")
    droplet.status = "off"


def _leave_room(world: SimulatedEnvironment, cluster: Cluster) -> None:
    """Leave as much room for droplets as the account has."""
    estate = world.estate
    there = len(estate.droplets)
    limit, used = cluster.droplet_limit, cluster.droplets_in_account
    if limit is None or used is None:
        estate.droplet_limit = there + ROOM
    else:
        estate.droplet_limit = there + max(0, limit - used)


def _keep_snapshots(world: SimulatedEnvironment, cluster: Cluster) -> None:
    estate = world.estate
    for snapshot in cluster.snapshots or ():
        droplet = estate.droplets.get(snapshot.droplet)
        if droplet is None or not snapshot.id.isdecimal():
            continue
        made = _moment(snapshot.created_at, estate.now)
        estate.snapshots[int(snapshot.id)] = SimulatedSnapshot(
            int(snapshot.id), snapshot.name, droplet.id, droplet.region, droplet.disk, made
        )
        droplet.snapshot_ids.append(int(snapshot.id))


# Meetings


def _open_meetings(world: SimulatedEnvironment, cluster: Cluster) -> None:
    """Open the meetings that were seen: on their nodes where these report them."""
    estate = world.estate
    blind: list[SimulatedDroplet] = []
    counted = [0, 0, 0]
    for node in cluster.media:
        droplet = estate.droplets.get(node.id)
        if droplet is None or node.droplet.off:
            continue
        look = node.look
        if isinstance(look, NodeStatus) and isinstance(look.rooms, int):
            seen = (look.rooms, _number(look.people), _number(look.recordings))
            _meet(world, droplet, *seen)
            counted = [a + b for a, b in zip(counted, seen, strict=True)]
        elif not isinstance(look, NodeStatus) or look.runs_media_server:
            blind.append(droplet)
    load = cluster.load
    if not blind:
        return
    if not isinstance(load, Load):
        for droplet in blind:
            _meet(world, droplet, 1, PEOPLE, 0)
        return
    rest = [
        max(0, n - c)
        for n, c in zip((load.rooms, load.people, load.recordings), counted, strict=True)
    ]
    for index, droplet in enumerate(blind):
        _meet(world, droplet, *(_share(n, index, len(blind)) for n in rest))


def _number(seen: object) -> int:
    return seen if isinstance(seen, int) else 0


def _share(number: int, index: int, of: int) -> int:
    """Return the part of a number that the `index`th of several gets."""
    return number // of + (index < number % of)


def _meet(
    world: SimulatedEnvironment, droplet: SimulatedDroplet, rooms: int, people: int, recordings: int
) -> None:
    """Open so many meetings on a node; people and recordings are spread over them."""
    estate = world.estate
    if not rooms and recordings:
        estate.record_page(
            minutes=FOREVER, cluster=droplet.stack, recordings=recordings, on=droplet
        )
    for n in range(rooms):
        estate.people.open(
            droplet.stack,
            max(1, _share(people, n, rooms)),
            FOREVER,
            _share(recordings, n, rooms),
            0,
            on=droplet,
        )


FOREVER = 60 * 24 * 365.0  # minutes
