"""Builds a whole OpenVidu stack the way the vendor's Terraform does: with a pool (3.6), fixed media nodes or the autoscaler (3.7)."""

from typing import TYPE_CHECKING, Any

from simulators.estate import secrets
from simulators.estate.things import (
    Autoscaler,
    Balancer,
    Cluster,
    Droplet,
    Kind,
    Member,
    Pool,
    ZeroMode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.estate.estate import Estate


INFO, VERSION = "/opt/openvidu/deployment-info.yaml", b"edition: pro\nversion: 3.6.1\n"


def build(
    estate: "Estate",
    stack: str,
    region: str,
    media: int,
    size: str,
    masters_size: str,
    allow_zero: ZeroMode,
    addresses: "Callable[[int], str] | None",
    domain: str | None,
    kind: Kind,
    autoscaler: dict[str, Any],
) -> Cluster:
    """Masters, media nodes and load balancer, all up and healthy."""
    vpc, hexadecimal = estate.uuid(), estate.uuid().replace("-", "")[:10]
    cluster = Cluster(
        stack,
        region,
        [],
        "",
        "",
        domain or f"{stack}.example.com",
        f"{stack}-space-clusterdata-{hexadecimal}",
    )
    cluster.kind = kind
    estate.clusters[stack] = cluster
    count = len(estate.droplets)

    def public(offset: int) -> str | None:
        return addresses(count + offset) if addresses else None

    for n in range(1, 5):
        template = {
            "region": region,
            "size": masters_size,
            "tags": [f"{stack}-master-node-tag"],
            "vpc_uuid": vpc,
        }
        master = estate.create_droplet(f"{stack}-master-node-{n}", template, public(n))
        master.role, master.stack = "master", stack
        master.private_ip = f"10.10.10.{n + 1}"
        cluster.master_ids.append(master.id)
    if kind == "pool":
        pool = _pool(estate, stack, region, size, vpc, allow_zero, media)
        cluster.pool_id = pool.id
        for n in range(1, media + 1):
            _member(estate, pool, public(4 + n))
    else:
        estate.tags.add(cluster.draining_tag)
        _nodes(estate, cluster, [public(4 + n) for n in range(1, media + 1)], size, vpc)
    if kind == "autoscaler":
        estate.functions.deploy(
            Autoscaler(
                stack, region, vpc, size, **{"minimum": media, "initial": media, **autoscaler}
            )
        )
    cluster.balancer_id = _balancer(estate, stack, region, vpc)
    _wake(estate, cluster)
    return cluster


def plant(estate: "Estate", kind: str) -> str:
    """A secret that must never be seen in anything the operator writes."""
    secret = f"{kind}_{estate.dice.getrandbits(160):040x}"
    estate.canaries.append(secret)
    return secret


def _pool(
    estate: "Estate",
    stack: str,
    region: str,
    size: str,
    vpc: str,
    allow_zero: ZeroMode,
    target: int,
) -> Pool:
    user_data = f"#!/bin/bash -x\nexport DO_TOKEN={plant(estate, 'dop_v1')}\nexport SPACES_SECRET_KEY={plant(estate, 'spaces')}\n"
    template: dict[str, Any] = {
        "name": "", "region": region, "size": size, "image": "ubuntu-24-04-x64", "ssh_keys": ["372862"],
        "tags": [f"{stack}-media-node-tag"], "vpc_uuid": vpc, "with_droplet_agent": True, "project_id": "",
        "ipv6": False, "user_data": user_data, "public_networking": True,
    }  # fmt: skip
    moment = estate.moment
    pool = Pool(
        estate.uuid(), f"{stack}-media-node-pool", target, template, moment, moment, allow_zero
    )
    estate.pools[pool.id] = pool
    return pool


def _member(estate: "Estate", pool: Pool, public_ip: str | None) -> None:
    pool.serial += 1
    droplet = estate.create_droplet(
        f"{pool.name}-{estate.uuid()}-{pool.serial:03d}", pool.template, public_ip
    )
    pool.members.append(
        Member(droplet.id, estate.moment, estate.moment, pool.generation, pool.serial, "active")
    )


def _nodes(
    estate: "Estate", cluster: Cluster, addresses: list[str | None], size: str, vpc: str
) -> None:
    """Media nodes as Terraform numbers them, or as the function names them: four minutes apart, in its own time."""
    plain = ["openvidu", cluster.stack, "media-node"] if cluster.kind == "fixed" else []
    template = {
        "region": cluster.region,
        "size": size,
        "tags": [*plain, cluster.media_tag],
        "vpc_uuid": vpc,
    }
    for n, address in enumerate(addresses, 1):
        name = (
            f"{int(estate.moment) - 7200 + 240 * n}-{1000 + n}"
            if cluster.kind == "autoscaler"
            else f"node-{n}"
        )
        estate.create_droplet(f"{cluster.stack}-media-{name}", template, address)


def _balancer(estate: "Estate", stack: str, region: str, vpc: str) -> str:
    address = f"203.0.113.{10 + len(estate.balancers)}"
    balancer = Balancer(
        estate.uuid(),
        f"{stack}-lb",
        region,
        address,
        f"{stack}-master-node-tag",
        vpc,
        estate.moment,
    )
    estate.balancers[balancer.id] = balancer
    return balancer.id


def _wake(estate: "Estate", cluster: Cluster) -> None:
    """Everything has been running for a while already."""
    ago = estate.moment - 3600
    masters = estate.masters(cluster.stack)
    values = secrets.seed(
        cluster.domain, plant(estate, "dash"), [m.private_ip for m in masters], *keys(cluster.stack)
    )
    for master in masters:
        master.node.files |= secrets.first_files(values) | {
            "/opt/openvidu/secrets.env": secrets.text(values),
            INFO: VERSION,
        }
    for droplet in [*masters, *estate.media(cluster.stack)]:
        droplet.creating, droplet.status, droplet.node.installed = False, "active", True
        _boot(estate, droplet)
        droplet.created_at = ago
        if droplet.role == "master":
            droplet.ready_at = ago
    cluster.quorum_at = ago


def _boot(estate: "Estate", droplet: Droplet) -> None:
    if droplet.role == "master":
        reader, estate.read_secrets = (
            estate.read_secrets,
            None,
        )  # the installer wrote the files; no boot script read them yet
        estate.nodes.power_up(droplet)
        estate.read_secrets = reader
    else:
        droplet.on, droplet.node.boot_id = True, estate.uuid()
        droplet.node.watcher = estate.clusters[droplet.stack].kind == "autoscaler"
        estate.nodes.start_unit(droplet)


def keys(stack: str) -> tuple[str, str]:
    """The LiveKit key and secret of a stack."""
    return f"API{stack[:6]:x<6}dummy", f"{stack}-{secrets.RANDOM44}"


__all__ = ["build", "keys", "plant"]
