"""Builds an OpenVidu stack as the vendor's Terraform does.

With a pool (3.6), fixed media nodes or the autoscaler (3.7); with four masters, with one, or all in
one droplet.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from simulators.cloud import boot_script, configuration
from simulators.cloud.droplets import Droplets
from simulators.cloud.functions import Functions
from simulators.cloud.model import (
    QUORUMS,
    AutoscalerCode,
    Deployment,
    Edition,
    Kind,
    LoadBalancer,
    Role,
    SimulatedCluster,
    SimulatedDroplet,
    SimulatedMember,
    SimulatedPool,
    ZeroMode,
)
from simulators.cloud.nodes import FIRST_VERSION, INFO, NodeSystem, deployment_info
from simulators.cloud.state import CloudState

Addresses = Callable[[int], str]
IMAGE = "ubuntu-24-04-x64"
VERSIONS: dict[Deployment, str] = {
    "high availability": "3.6.1",
    "elastic": "3.6.1",
    "single node": "3.7.0",
}
"""Single Node's bucket has held a `secrets.env` only since 3.6.1."""


@dataclass(frozen=True)
class Blueprint:
    """What a stack is built like.

    `addresses` returns the public address of the n-th droplet of the account.

    `edition`: of Single Node alone; the others are always pro. A single node has no media fleet:
    `media`, `size` and `kind` mean nothing there.

    `autoscaler`: numbers in the function's code that differ from the usual ones (fields of
    `AutoscalerCode`).
    """

    stack: str = "acme"
    region: str = "ams3"
    media: int = 3
    size: str = "s-4vcpu-8gb"
    masters_size: str = "s-4vcpu-8gb"
    allow_zero: ZeroMode = "yes"
    addresses: Addresses | None = None
    domain: str | None = None
    kind: Kind = "pool"
    deployment: Deployment = "high availability"
    edition: Edition = "pro"
    autoscaler: dict[str, Any] = field(default_factory=dict)


class Builder:
    """Builds one stack after another in the same account."""

    def __init__(
        self, state: CloudState, droplets: Droplets, nodes: NodeSystem, functions: Functions
    ) -> None:
        self.state, self.droplets, self.nodes, self.functions = state, droplets, nodes, functions

    def build(self, blueprint: Blueprint) -> SimulatedCluster:
        """Create masters, media nodes and load balancer of a stack, all up and healthy."""
        state, stack = self.state, blueprint.stack
        assert blueprint.edition == "pro" or blueprint.deployment == "single node", "pro only"
        bucket, kind = f"{stack}-space-", blueprint.kind
        if blueprint.deployment == "high availability":
            bucket += "clusterdata-"
        if blueprint.deployment == "single node":
            blueprint, kind = replace(blueprint, media=0, kind="co-located"), "co-located"
        vpc, hexadecimal = state.uuid(), state.uuid().replace("-", "")[:10]
        cluster = SimulatedCluster(
            stack=stack,
            region=blueprint.region,
            master_ids=[],
            pool_id="",
            balancer_id="",
            domain=blueprint.domain or f"{stack}.example.com",
            bucket=bucket + hexadecimal,
            kind=kind,
            deployment=blueprint.deployment,
            edition=blueprint.edition,
        )
        state.clusters[stack] = cluster
        count = len(state.droplets)

        def public(offset: int) -> str | None:
            if blueprint.addresses is None:
                return None
            return blueprint.addresses(count + offset)

        _, masters = QUORUMS[blueprint.deployment]
        for n in range(1, masters + 1):
            cluster.master_ids.append(self._master(blueprint, vpc, n, public(n)).id)
        addresses = [public(masters + n) for n in range(1, blueprint.media + 1)]
        if blueprint.kind == "pool":
            pool = self._pool(blueprint, vpc)
            cluster.pool_id = pool.id
            for address in addresses:
                self._member(pool, address)
        elif blueprint.kind != "co-located":
            state.tags.add(cluster.draining_tag)
            self._media_nodes(cluster, addresses, blueprint.size, vpc)
        if blueprint.kind == "autoscaler":
            self._autoscaler(blueprint, vpc)
        if blueprint.deployment == "high availability":
            cluster.balancer_id = self._balancer(blueprint, vpc)
        self._start(cluster)
        return cluster

    def _master(
        self, blueprint: Blueprint, vpc: str, n: int, public_ip: str | None
    ) -> SimulatedDroplet:
        template: dict[str, Any] = {
            "region": blueprint.region,
            "size": blueprint.masters_size,
            "tags": [f"{blueprint.stack}-master-node-tag"],
            "vpc_uuid": vpc,
        }
        stack, name = blueprint.stack, f"{blueprint.stack}-master-node-{n}"
        role: Role = "master"
        if blueprint.deployment == "elastic":
            template["tags"] = ["openvidu", stack, "master-node"]
            name = f"{stack}-master-node"
        if blueprint.deployment == "single node":
            template["tags"] = []
            role, name = "single", f"{stack}-vm-ce"
            if blueprint.edition == "pro":
                name += "-pro"
        master = self.droplets.create(name, template, public_ip)
        master.role, master.stack = role, stack
        if blueprint.deployment != "high availability":
            master.reserved_ip = f"203.0.113.{110 + len(self.state.clusters)}"
        master.private_ip = self.state.vpc_address(stack, n + 1)
        return master

    def _pool(self, blueprint: Blueprint, vpc: str) -> SimulatedPool:
        state, stack = self.state, blueprint.stack
        token, key = state.plant("dop_v1"), state.plant("spaces")
        template: dict[str, Any] = {
            "name": "",
            "region": blueprint.region,
            "size": blueprint.size,
            "image": IMAGE,
            "ssh_keys": ["372862"],
            "tags": [f"{stack}-media-node-tag"],
            "vpc_uuid": vpc,
            "with_droplet_agent": True,
            "project_id": "",
            "ipv6": False,
            "user_data": (
                f"#!/bin/bash -x\nexport DO_TOKEN={token}\nexport SPACES_SECRET_KEY={key}\n"
            ),
            "public_networking": True,
        }
        pool = SimulatedPool(
            id=state.uuid(),
            name=f"{stack}-media-node-pool",
            target=blueprint.media,
            template=template,
            created_at=state.now,
            updated_at=state.now,
            allow_zero=blueprint.allow_zero,
        )
        state.pools[pool.id] = pool
        return pool

    def _member(self, pool: SimulatedPool, public_ip: str | None) -> None:
        state = self.state
        pool.serial += 1
        name = f"{pool.name}-{state.uuid()}-{pool.serial:03d}"
        droplet = self.droplets.create(name, pool.template, public_ip)
        pool.members.append(
            SimulatedMember(
                droplet.id, state.now, state.now, pool.generation, pool.serial, "active"
            )
        )

    def _media_nodes(
        self, cluster: SimulatedCluster, addresses: list[str | None], size: str, vpc: str
    ) -> None:
        """Create media nodes as Terraform numbers them, or as the autoscaler names them.

        Four minutes apart, in its own time.
        """
        tags = [cluster.media_tag]
        if cluster.kind == "fixed":
            tags = ["openvidu", cluster.stack, "media-node", cluster.media_tag]
        template = {"region": cluster.region, "size": size, "tags": tags, "vpc_uuid": vpc}
        for n, address in enumerate(addresses, 1):
            suffix = f"node-{n}"
            if cluster.kind == "autoscaler":
                suffix = f"{int(self.state.now) - 7200 + 240 * n}-{1000 + n}"
            self.droplets.create(f"{cluster.stack}-media-{suffix}", template, address)

    def _autoscaler(self, blueprint: Blueprint, vpc: str) -> None:
        numbers = {"minimum": blueprint.media, "initial": blueprint.media, **blueprint.autoscaler}
        self.functions.deploy(
            AutoscalerCode(blueprint.stack, blueprint.region, vpc, blueprint.size, **numbers)
        )

    def _balancer(self, blueprint: Blueprint, vpc: str) -> str:
        state = self.state
        address = f"203.0.113.{10 + len(state.balancers)}"
        balancer = LoadBalancer(
            state.uuid(),
            f"{blueprint.stack}-lb",
            blueprint.region,
            address,
            f"{blueprint.stack}-master-node-tag",
            vpc,
            state.now,
        )
        state.balancers[balancer.id] = balancer
        return balancer.id

    def _start(self, cluster: SimulatedCluster) -> None:
        """Put the stack into the state of one that has run for an hour."""
        state = self.state
        hour_ago = state.now - 3600
        masters = state.masters(cluster.stack)
        values = boot_script.seed(
            cluster.domain,
            state.plant("dash"),
            [m.private_ip for m in masters],
            *keys(cluster.stack),
            cluster.deployment,
            cluster.edition,
        )
        info = f"edition: {cluster.edition}\nversion: {VERSIONS[cluster.deployment]}\n".encode()
        is_single = cluster.deployment == "single node"
        global_env = boot_script.SINGLE_ENV if is_single else boot_script.CLUSTER_ENV
        turn = configuration.secret_of(cluster.stack)
        state.canaries.append(turn)
        host = "master-node" if cluster.deployment == "elastic" else "127.0.0.1"
        for master in masters:
            master.node.files |= boot_script.first_files(values, single=is_single)
            master.node.files |= configuration.first_files(turn, host, single=is_single)
            master.node.files[global_env] += configuration.ports()
            master.node.files |= {boot_script.SECRETS: boot_script.text(values), INFO: info}
        media = [d for d in state.media(cluster.stack) if not d.is_master]
        for droplet in [*masters, *media]:
            droplet.creating, droplet.status, droplet.node.installed = False, "active", True
            self._boot(droplet)
            droplet.created_at = hour_ago
            if droplet.is_master:
                droplet.ready_at = hour_ago
        cluster.quorum_at = hour_ago

    def _boot(self, droplet: SimulatedDroplet) -> None:
        state = self.state
        if droplet.is_master:
            # The installer wrote the files; no boot script has read them yet.
            reader, state.read_secrets = state.read_secrets, None
            self.nodes.power_up(droplet)
            state.read_secrets = reader
        else:
            droplet.on, droplet.node.boot_id = True, state.uuid()
            droplet.node.files[INFO] = deployment_info(FIRST_VERSION)
            droplet.node.has_tag_watcher = state.clusters[droplet.stack].kind == "autoscaler"
            self.nodes.start_unit(droplet)


def keys(stack: str) -> tuple[str, str]:
    """Return the LiveKit key and secret of a stack."""
    return f"API{stack[:6]:x<6}dummy", f"{stack}-{boot_script.RANDOM44}"
