"""Each node by SSH: the way in, the host key, the clock."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.case import Case, Patient
from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from bot.doctor.clocks import APART, apart
from services.clients.ssh import Host
from services.clock import Clock
from services.cluster import Cluster, Droplet, Fact, short
from services.errors import Forbidden, Refused, Unreachable

SECONDS = 20.0
NOW = "date +%s"


def checks(case: Case) -> Iterator[Check]:
    """One for each cluster: which nodes there are is seen first."""
    for patient in case.patients:
        yield Check(f"{patient.name}: SSH", partial(_nodes, case, patient), seconds=90.0)


async def _nodes(case: Case, patient: Patient) -> Sequence[Finding]:
    cluster = await patient.world.observe(frozenset({Fact.POOL}))
    droplets = [*cluster.masters, *(n.droplet for n in cluster.media)]
    if not droplets:
        return [skipped(f"{patient.name}: SSH", "no node of it was seen")]
    return [f for found in await asyncio.gather(*(_node(case.clock, patient, cluster, d) for d in droplets)) for f in found]


async def _node(clock: Clock, patient: Patient, cluster: Cluster, droplet: Droplet) -> list[Finding]:
    name = f"{patient.name}: SSH to {short(droplet.name, cluster.stack)}"
    if not droplet.active:
        return [skipped(name, f"it is {droplet.status}")]
    address = droplet.private_address if patient.settings.ssh.use_private_address else droplet.address
    try:
        asked_at = clock.now()
        output = await patient.shell.run(Host(droplet.id, address), NOW, timeout=SECONDS)
        answered_at = clock.now()
    except Forbidden as error:
        remedy = "give the bot the deployment's private key, <STACK>-ssh-key (clusters.NAME.ssh.key_file)"
        return [wrong(name, str(error), remedy)]
    except Refused as error:
        remedy = "make sure that the droplet was rebuilt by you; then forget the old key (the how-to on incidents tells how)"
        return [wrong(name, str(error), "make the key file one without a passphrase" if "ssh key" in str(error) else remedy)]
    except Unreachable as error:
        return [unknown(name, str(error), f"open port {patient.settings.ssh.port} of {address} to this machine (firewall, VPC)")]
    return [_key(name, patient, droplet), *_clock(name, output.stdout, asked_at, answered_at)]


def _key(name: str, patient: Patient, droplet: Droplet) -> Finding:
    if patient.settings.ssh.known_hosts is not None:
        return fine(name, "lets the bot in; its host key is in ssh.known_hosts")
    pinned = droplet.id not in patient.pins.seen
    return fine(name, f"lets the bot in; its host key {'is the pinned one' if pinned else 'will be pinned when the bot first comes'}")


def _clock(name: str, said: str, asked_at: float, answered_at: float) -> list[Finding]:
    if not said.strip().isdigit():
        return [unknown(f"{name}: clock", "the node did not tell its time", "see whether a shell answers there")]
    # The second may have begun any time before it was told.
    theirs = float(said)
    off = theirs - answered_at if theirs > answered_at else min(0.0, theirs + 1 - asked_at)
    if abs(off) <= APART:
        return []
    return [wrong(f"{name}: clock", f"its clock is {apart(off)} this machine's", "run a time service (chrony, systemd-timesyncd) on both")]
