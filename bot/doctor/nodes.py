"""Checks each node by SSH: login, host key, clock, rights, docker."""

import asyncio
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.doctor.check import Check, CheckFinding, fine, skipped, unknown, wrong
from bot.doctor.clocks import MAX_OFFSET, offset_text
from bot.doctor.cloud import account_needs
from bot.doctor.context import DoctorContext, Target
from services.cloud import node_scripts as scripts
from services.cloud.clients.keyfile import read_key
from services.cloud.clients.read_only import ReadingShell
from services.cloud.clients.ssh import Host, Output, SshClient
from services.cloud.clients.ssh_host_keys import fingerprint_of
from services.cloud.node_look import parse_look
from services.cluster.model import Droplet, Fact, NodeStatus, SigquitEffect, short_name
from services.common.clock import Clock
from services.common.errors import Forbidden, Refused, Unreachable
from services.common.observed import Unobserved
from services.steps.node_text import why_not_ready

SECONDS = 20.0
NODES_AT_ONCE = 16
ROOT = "set ssh.user to root; the deployment's key is for root"
DOCKER = "set ssh.user to root, or add that user to the group docker; check that dockerd runs there"
HEARS = "make the agent handle SIGQUIT like SIGTERM, as OpenVidu's own speech agent does"


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of each cluster. The nodes are listed when the check runs."""
    for target in context.targets:
        if target.settings.ssh.key_file is not None:
            yield Check(
                f"{target.name}: SSH key",
                partial(_key_file, target.name, target.settings.ssh.key_file),
            )
        needs = (*account_needs(context, target), f"{target.name}: stack")
        yield Check(f"{target.name}: SSH", partial(_nodes, context, target), 90.0, needs)


@dataclass(frozen=True)
class CheckedNode:
    """One node, as each check on a node gets it. `name`: the check's, `acme: SSH to master-1`."""

    name: str
    target: Target
    droplet: Droplet
    clock: Clock
    media: bool

    async def run(self, command: str) -> Output:
        """Run a command on the node, as the bot's SSH user."""
        return await self.target.shell.run(self.host, command, timeout=SECONDS)

    @property
    def host(self) -> Host:
        return Host(self.droplet.id, self.target.address_of(self.droplet))


NodeCheck = Callable[[CheckedNode], Awaitable[Sequence[CheckFinding]]]


async def _key_file(cluster: str, file: Path) -> Sequence[CheckFinding]:
    """Check the key file; whether nodes accept the key is checked on each node."""
    key = await asyncio.to_thread(read_key, file)
    status = await asyncio.to_thread(file.stat)
    if status.st_mode & stat.S_IRWXO:
        problem = f"every user of this machine may read {file}"
        return [wrong(f"{cluster}: SSH key", problem, f"chmod o= {file} (or doctor --fix)")]
    kind = key.get_algorithm().removeprefix("ssh-")
    return [
        fine(f"{cluster}: SSH key", f"{file} holds a private key ({kind} {key.get_fingerprint()})")
    ]


async def _nodes(context: DoctorContext, target: Target) -> Sequence[CheckFinding]:
    if (file := target.settings.ssh.key_file) is not None:
        try:
            await asyncio.to_thread(read_key, file)
        except Refused:
            return [skipped(f"{target.name}: SSH", "the key file cannot be used")]
    cluster = await target.world.observe(frozenset({Fact.POOL}))
    media = {n.id for n in cluster.media}
    everything = (*cluster.masters, *(n.droplet for n in cluster.media))
    droplets = {droplet.id: droplet for droplet in everything}.values()
    if not droplets:
        return [skipped(f"{target.name}: SSH", "no node was found")]
    at_once = asyncio.Semaphore(NODES_AT_ONCE)

    async def one(droplet: Droplet) -> list[CheckFinding]:
        async with at_once:
            name = f"{target.name}: SSH to {short_name(droplet.name, cluster.stack)}"
            return await _node(
                CheckedNode(name, target, droplet, context.clock, media=droplet.id in media)
            )

    by_node = await asyncio.gather(*(one(droplet) for droplet in droplets))
    return [finding for findings in by_node for finding in findings]


async def _node(node: CheckedNode) -> list[CheckFinding]:
    """Check the login; then run every check on the node."""
    if not node.droplet.active:
        return [skipped(node.name, f"it is {node.droplet.status}")]
    try:
        await node.run(scripts.CLOCK)
        return [f for check in NODE_CHECKS for f in await check(node)]
    except (Forbidden, Refused) as error:
        return [
            wrong(node.name, str(error), error.remedy or "fix what it names, then run doctor again")
        ]
    except Unreachable as error:
        port = f"port {node.target.settings.ssh.port} of {node.host.address}"
        remedies = (error.remedy, f"open {port} to this machine (firewall, VPC)")
        return [unknown(node.name, str(error), "; or ".join(filter(None, remedies)))]


async def _host_keys(node: CheckedNode) -> Sequence[CheckFinding]:
    """Report the host key, with all keys that the node offers, for comparison or pinning.

    The login succeeded, so the host key is the expected one.
    """
    target, shell = node.target, node.target.shell
    offered = (
        await shell.host_keys(node.host, timeout=SECONDS)
        if isinstance(shell, SshClient | ReadingShell)
        else ()
    )
    keys = ""
    if offered:
        keys = f"; it offers {', '.join(fingerprint_of(key) for key in offered)}"
    if target.settings.ssh.known_hosts is not None:
        return [fine(node.name, f"login works; its host key is in ssh.known_hosts{keys}")]
    if target.pins.unknown:
        why = f"whether its host key is the pinned one is unknown ({target.pins.unknown})"
        remedy = "fix the state store first"
        return [unknown(node.name, f"login works, but {why}{keys}", remedy)]
    status = "is the pinned one"
    if node.droplet.id in target.pins.seen:
        status = "will be pinned at the bot's first login"
    return [fine(node.name, f"login works; its host key {status}{keys}")]


async def _time(node: CheckedNode) -> Sequence[CheckFinding]:
    asked_at = node.clock.now()
    output = await node.run(scripts.CLOCK)
    return _clock(node.name, output.stdout, asked_at, node.clock.now())


async def _rights(node: CheckedNode) -> Sequence[CheckFinding]:
    """Check for root: systemctl refuses to restart OpenVidu for any other user."""
    output = await node.run(scripts.USER)
    if output.exit_status == 0 and output.stdout.strip() == "0":
        return []
    user = node.target.settings.ssh.user
    return [
        wrong(
            f"{node.name}: rights",
            f"user {user} is not root, so systemctl refuses to restart OpenVidu",
            ROOT,
        )
    ]


async def _inside(node: CheckedNode) -> Sequence[CheckFinding]:
    """Run what the bot runs on a media node: docker, /run, LiveKit's port, agents."""
    if not node.media:
        return []
    output = await node.run(scripts.LOOK)
    look: NodeStatus | str = f"the shell ended with status {output.exit_status}"
    if output.exit_status == 0:
        look = parse_look(output.stdout)
    if isinstance(look, str):
        problem = f"the bot cannot read what runs there: {look}"
        return [wrong(f"{node.name}: docker", problem, DOCKER)]
    if not look.start and not look.contradiction:
        return [skipped(f"{node.name}: docker", "no media server runs there yet")]
    return [*_drains(node, look), *_agents(node, look)]


def _drains(node: CheckedNode, look: NodeStatus) -> Iterator[CheckFinding]:
    """Check whether the node can be drained, and whether it is in service."""
    if look.marker_problem:
        yield wrong(f"{node.name}: /run", f"it cannot be drained: {look.marker_problem}", ROOT)
    if isinstance(look.livekit, Unobserved):
        yield wrong(
            f"{node.name}: LiveKit",
            f"whether it is in service is unknown: {look.livekit.reason}",
            "install curl there",
        )
    elif look.contradiction:
        yield wrong(
            f"{node.name}: LiveKit",
            look.contradiction,
            "find out which media server answers there, before any change",
        )
    elif look.ready:
        yield fine(
            f"{node.name}: LiveKit", "in service: its container runs and LiveKit answers 200"
        )
    else:
        yield unknown(
            f"{node.name}: LiveKit",
            why_not_ready(look),
            "wait if it is starting; otherwise read `journalctl -u openvidu` there",
        )


def _agents(node: CheckedNode, look: NodeStatus) -> Iterator[CheckFinding]:
    for agent in look.agents:
        name = f"{node.name}: {agent.name}"
        if agent.on_sigquit is SigquitEffect.DRAINS:
            yield fine(name, "it handles SIGQUIT, and finishes its work before its node is removed")
        elif agent.on_sigquit is SigquitEffect.UNKNOWN:
            yield unknown(
                name,
                "whether it handles SIGQUIT is unknown",
                "read SigCgt in /proc/PID/status of its process",
            )
        else:
            problem = "SIGQUIT ends it at once"
            if agent.on_sigquit is SigquitEffect.DEAF:
                problem = "it ignores SIGQUIT"
            effect = "so it ends with its node, and captions may stop in running meetings"
            yield wrong(name, f"{problem}, {effect}", HEARS)


# The checks of each node, in this order.
NODE_CHECKS: tuple[NodeCheck, ...] = (_host_keys, _time, _rights, _inside)


def _clock(name: str, printed: str, asked_at: float, answered_at: float) -> list[CheckFinding]:
    if not printed.strip().isdigit():
        return [
            unknown(
                f"{name}: clock",
                "the node did not print its time",
                "check that a shell answers there",
            )
        ]
    # `date` prints whole seconds: the second may have begun any time before.
    theirs = float(printed)
    off = min(0.0, theirs + 1 - asked_at)
    if theirs > answered_at:
        off = theirs - answered_at
    if abs(off) <= MAX_OFFSET:
        return []
    return [
        wrong(
            f"{name}: clock",
            f"its clock is {offset_text(off)} this machine's",
            "run a time service (chrony, systemd-timesyncd) on both",
        )
    ]
