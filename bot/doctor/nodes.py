"""Each node by SSH: the way in, the host key, the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from bot.doctor.clocks import APART, apart
from bot.doctor.context import Case, Patient
from services.cloud import node_scripts as scripts
from services.cloud.clients.keyfile import read_key
from services.cloud.clients.ssh import Host, Output, Ssh
from services.cloud.clients.ssh_host_keys import described
from services.cloud.node_look import parse_look
from services.cluster.model import Droplet, Fact, NodeLook, Quit, short
from services.common.clock import Clock
from services.common.errors import Forbidden, Refused, Unreachable
from services.common.observed import NotSeen
from services.steps.media_nodes import not_ready

SECONDS = 20.0
NODES_AT_ONCE = 16
NOW = "date +%s"
ROOT = "set ssh.user to root, as the deployment's key is for"
DOCKER = (
    "set ssh.user to root, or add that user to the group docker; see whether dockerd runs there"
)
HEARS = "handle SIGQUIT in the agent as SIGTERM, as OpenVidu's own speech agent does"


def checks(case: Case) -> Iterator[Check]:
    """One for each cluster: which nodes there are is seen first."""
    for patient in case.patients:
        if patient.settings.ssh.key_file is not None:
            yield Check(
                f"{patient.name}: SSH key",
                partial(_key_file, patient.name, patient.settings.ssh.key_file),
            )
        yield Check(f"{patient.name}: SSH", partial(_nodes, case, patient), seconds=90.0)


@dataclass(frozen=True)
class Node:
    """One node that accepts the bot's login: the argument of every check on a node."""

    name: str  # of the check: `acme: SSH to master-1`
    patient: Patient
    droplet: Droplet
    clock: Clock
    media: bool

    async def run(self, command: str) -> Output:
        """Run a command there, as the user that the bot logs in as."""
        return await self.patient.shell.run(self.host, command, timeout=SECONDS)

    @property
    def host(self) -> Host:
        return Host(self.droplet.id, self.patient.address_of(self.droplet))


Look = Callable[[Node], Awaitable[Sequence[Finding]]]


async def _key_file(cluster: str, file: Path) -> Sequence[Finding]:
    """The file alone: whether the nodes take that key is seen at each of them."""
    key = await asyncio.to_thread(read_key, file)
    kind = key.get_algorithm().removeprefix("ssh-")
    return [
        fine(f"{cluster}: SSH key", f"{file} holds a private key ({kind} {key.get_fingerprint()})")
    ]


async def _nodes(case: Case, patient: Patient) -> Sequence[Finding]:
    if (file := patient.settings.ssh.key_file) is not None:
        try:
            await asyncio.to_thread(read_key, file)
        except Refused:
            return [skipped(f"{patient.name}: SSH", "the key file cannot be used (see above)")]
    cluster = await patient.world.observe(frozenset({Fact.POOL}))
    media = {n.id for n in cluster.media}
    droplets = [*cluster.masters, *(n.droplet for n in cluster.media)]
    if not droplets:
        return [skipped(f"{patient.name}: SSH", "no node of it was seen")]
    at_once = asyncio.Semaphore(NODES_AT_ONCE)

    async def one(droplet: Droplet) -> list[Finding]:
        async with at_once:
            name = f"{patient.name}: SSH to {short(droplet.name, cluster.stack)}"
            return await _node(Node(name, patient, droplet, case.clock, media=droplet.id in media))

    return [f for found in await asyncio.gather(*(one(d) for d in droplets)) for f in found]


async def _node(node: Node) -> list[Finding]:
    """Check the login; then run every check on the node."""
    if not node.droplet.active:
        return [skipped(node.name, f"it is {node.droplet.status}")]
    try:
        await node.run(NOW)
        return [f for look in LOOKS for f in await look(node)]
    except (Forbidden, Refused) as error:
        return [
            wrong(
                node.name, str(error), error.remedy or "see what it names, and run the doctor again"
            )
        ]
    except Unreachable as error:
        opened = f"open port {node.patient.settings.ssh.port} of {node.host.address} to this machine (firewall, VPC)"
        return [
            unknown(
                node.name, str(error), f"{error.remedy}; or {opened}" if error.remedy else opened
            )
        ]


async def _host_keys(node: Node) -> Sequence[Finding]:
    """The login succeeded, so the host key is the expected one. Every kind is listed, to compare or to pin another."""
    patient, shell = node.patient, node.patient.shell
    offered = await shell.host_keys(node.host, timeout=SECONDS) if isinstance(shell, Ssh) else ()
    keys = f"; it offers {', '.join(described(key) for key in offered)}" if offered else ""
    if patient.settings.ssh.known_hosts is not None:
        return [fine(node.name, f"lets the bot in; its host key is in ssh.known_hosts{keys}")]
    if patient.pins.unknown:
        said = f"lets the bot in, but whether its host key is the pinned one is unknown ({patient.pins.unknown}){keys}"
        return [unknown(node.name, said, "see what is said about the state")]
    pinned = node.droplet.id not in patient.pins.seen
    words = "is the pinned one" if pinned else "will be pinned when the bot first comes"
    return [fine(node.name, f"lets the bot in; its host key {words}{keys}")]


async def _time(node: Node) -> Sequence[Finding]:
    asked_at = node.clock.now()
    output = await node.run(NOW)
    return _clock(node.name, output.stdout, asked_at, node.clock.now())


async def _rights(node: Node) -> Sequence[Finding]:
    """Restarting OpenVidu is for root: systemctl refuses everyone else, at the moment when it is needed."""
    output = await node.run("id -u")
    if output.exit_status == 0 and output.stdout.strip() == "0":
        return []
    user = node.patient.settings.ssh.user
    return [
        wrong(
            f"{node.name}: rights",
            f"user {user} is not root, so systemctl will refuse to restart OpenVidu there",
            ROOT,
        )
    ]


async def _inside(node: Node) -> Sequence[Finding]:
    """What the bot itself runs on a media node, as the user that it logs in as: docker, /run, LiveKit's port, agents."""
    if not node.media:
        return []
    output = await node.run(scripts.LOOK)
    look = (
        parse_look(output.stdout)
        if output.exit_status == 0
        else f"its shell ended with status {output.exit_status}"
    )
    if isinstance(look, str):
        return [
            wrong(f"{node.name}: docker", f"the bot cannot see what runs there: {look}", DOCKER)
        ]
    if not look.start and not look.contradiction:
        return [skipped(f"{node.name}: docker", "no media server runs there yet")]
    return [*_drains(node, look), *_agents(node, look)]


def _drains(node: Node, look: NodeLook) -> Iterator[Finding]:
    """Whether it can be drained, and whether it is in service."""
    if look.unmarked:
        yield wrong(f"{node.name}: /run", f"it cannot be drained: {look.unmarked}", ROOT)
    if isinstance(look.livekit, NotSeen):
        yield wrong(
            f"{node.name}: LiveKit",
            f"it is never seen to be in service: {look.livekit.reason}",
            "install curl there",
        )
    elif look.contradiction:
        yield wrong(
            f"{node.name}: LiveKit",
            look.contradiction,
            "find out which media server answers there before anything else",
        )
    elif look.ready:
        yield fine(
            f"{node.name}: LiveKit", "in service: its container runs and LiveKit answers 200"
        )
    else:
        yield unknown(
            f"{node.name}: LiveKit",
            not_ready(look),
            "fine while it starts; else see `journalctl -u openvidu` there",
        )


def _agents(node: Node, look: NodeLook) -> Iterator[Finding]:
    for agent in look.agents:
        name = f"{node.name}: {agent.name}"
        if agent.quit is Quit.DRAINS:
            yield fine(name, "it hears SIGQUIT, and finishes its work before its node is removed")
        elif agent.quit is Quit.UNKNOWN:
            yield unknown(
                name,
                "whether it hears SIGQUIT is unknown",
                "see /proc/PID/status of its process (SigCgt)",
            )
        else:
            said = (
                "it ignores SIGQUIT" if agent.quit is Quit.DEAF else "SIGQUIT would end it at once"
            )
            yield wrong(
                name,
                f"{said}, so it ends with its node and captions may stop in running meetings",
                HEARS,
            )


# What is looked at on each node, in this order.
LOOKS: tuple[Look, ...] = (_host_keys, _time, _rights, _inside)


def _clock(name: str, said: str, asked_at: float, answered_at: float) -> list[Finding]:
    if not said.strip().isdigit():
        return [
            unknown(
                f"{name}: clock",
                "the node did not tell its time",
                "see whether a shell answers there",
            )
        ]
    # The second may have begun any time before it was told.
    theirs = float(said)
    off = theirs - answered_at if theirs > answered_at else min(0.0, theirs + 1 - asked_at)
    if abs(off) <= APART:
        return []
    return [
        wrong(
            f"{name}: clock",
            f"its clock is {apart(off)} this machine's",
            "run a time service (chrony, systemd-timesyncd) on both",
        )
    ]
