"""Each node by SSH: the way in, the host key, the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.doctor.case import Case, Patient
from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from bot.doctor.clocks import APART, apart
from services.clients.keyfile import read_key
from services.clients.ssh import Host, Output, Ssh, described
from services.clock import Clock
from services.cluster import Droplet, Fact, short
from services.errors import Forbidden, Refused, Unreachable

SECONDS = 20.0
NODES_AT_ONCE = 16
NOW = "date +%s"


def checks(case: Case) -> Iterator[Check]:
    """One for each cluster: which nodes there are is seen first."""
    for patient in case.patients:
        if patient.settings.ssh.key_file is not None:
            yield Check(f"{patient.name}: SSH key", partial(_key_file, patient.name, patient.settings.ssh.key_file))
        yield Check(f"{patient.name}: SSH", partial(_nodes, case, patient), seconds=90.0)


@dataclass(frozen=True)
class Node:
    """One node that accepts the bot's login: the argument of every check on a node."""

    name: str  # of the check: `acme: SSH to master-1`
    patient: Patient
    droplet: Droplet
    clock: Clock

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
    return [fine(f"{cluster}: SSH key", f"{file} holds a private key ({kind} {key.get_fingerprint()})")]


async def _nodes(case: Case, patient: Patient) -> Sequence[Finding]:
    if (file := patient.settings.ssh.key_file) is not None:
        try:
            await asyncio.to_thread(read_key, file)
        except Refused:
            return [skipped(f"{patient.name}: SSH", "the key file cannot be used (see above)")]
    cluster = await patient.world.observe(frozenset({Fact.POOL}))
    droplets = [*cluster.masters, *(n.droplet for n in cluster.media)]
    if not droplets:
        return [skipped(f"{patient.name}: SSH", "no node of it was seen")]
    at_once = asyncio.Semaphore(NODES_AT_ONCE)

    async def one(droplet: Droplet) -> list[Finding]:
        async with at_once:
            return await _node(Node(f"{patient.name}: SSH to {short(droplet.name, cluster.stack)}", patient, droplet, case.clock))

    return [f for found in await asyncio.gather(*(one(d) for d in droplets)) for f in found]


async def _node(node: Node) -> list[Finding]:
    """Check the login; then run every check on the node."""
    if not node.droplet.active:
        return [skipped(node.name, f"it is {node.droplet.status}")]
    try:
        await node.run(NOW)
        return [f for look in LOOKS for f in await look(node)]
    except (Forbidden, Refused) as error:
        return [wrong(node.name, str(error), error.remedy or "see what it names, and run the doctor again")]
    except Unreachable as error:
        opened = f"open port {node.patient.settings.ssh.port} of {node.host.address} to this machine (firewall, VPC)"
        return [unknown(node.name, str(error), f"{error.remedy}; or {opened}" if error.remedy else opened)]


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


# What is looked at on each node, in this order. A look at what the bot itself runs there (docker, /run, systemctl) is one more of them.
LOOKS: tuple[Look, ...] = (_host_keys, _time)


def _clock(name: str, said: str, asked_at: float, answered_at: float) -> list[Finding]:
    if not said.strip().isdigit():
        return [unknown(f"{name}: clock", "the node did not tell its time", "see whether a shell answers there")]
    # The second may have begun any time before it was told.
    theirs = float(said)
    off = theirs - answered_at if theirs > answered_at else min(0.0, theirs + 1 - asked_at)
    if abs(off) <= APART:
        return []
    return [wrong(f"{name}: clock", f"its clock is {apart(off)} this machine's", "run a time service (chrony, systemd-timesyncd) on both")]
