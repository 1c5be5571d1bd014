"""A cluster's nodes by SSH: what runs on them, and the commands that change something there."""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from services.cloud import config_scripts, update_scripts
from services.cloud import node_scripts as scripts
from services.cloud.clients.ssh import Host, Output
from services.cloud.condition import CONDITION, read_condition
from services.cloud.condition import SECONDS as CONDITION_SECONDS
from services.cloud.config_look import parse_configuration, parse_content
from services.cloud.installation_look import parse_installation
from services.cloud.node_look import parse_look
from services.cluster.configuration import NodeConfiguration
from services.cluster.installation import Installation
from services.cluster.model import Droplet, MediaNode, NodeStatus
from services.cluster.node_condition import NodeCondition, unseen_condition
from services.common import eager
from services.common.clock import Clock
from services.common.errors import Refused, Rejected, Unreachable
from services.common.observed import Observed, UnknownSince, Unobserved
from services.common.text import strip_invisible
from services.config_files import ConfigFile, ConfigText

SSH_SECONDS = 20.0
RESTART_SECONDS = 180.0
# More than both timeouts of `scripts.logs`.
LOGS_SECONDS = 40.0
FETCH_SECONDS = 90.0
NODES_AT_ONCE = 16
# Looks this many seconds apart share what a node answered, as they share DigitalOcean's listings.
SHARED = 0.9
HTTP_OK = 200
NO_SSH = "SSH is not configured for this cluster"
# The first words that `scripts.drain` prints.
DRAIN_RESULTS = ("begun", "already", "other-start", "unmarked", "refused")
# What `systemctl is-active` prints.
UNIT_STATES = (
    *("active", "inactive", "failed", "activating", "deactivating", "reloading", "maintenance"),
    "unknown",
)
CONFIG_RESULTS = ("written", "changed", "failed")
NOT_SIGNALLED = ("unmarked", "refused")


class Shell(Protocol):
    """Runs a command on a node."""

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        """Run a command and wait for it."""
        ...


class NodeAccess:
    """The nodes of one cluster. `shell` is None where SSH is not configured."""

    def __init__(self, shell: Shell | None, clock: Clock) -> None:
        self._shell = shell
        self._clock = clock
        self._silences = UnknownSince()
        self._at_once = asyncio.Semaphore(NODES_AT_ONCE)
        self._addresses: dict[int, str] = {}
        # By droplet: what the node showed last, and when that was asked.
        self._shown: dict[int, tuple[float, NodeStatus]] = {}
        # By droplet: the start of its media server that could not be marked as drained, and why.
        self._unmarked: dict[int, tuple[str, str]] = {}

    def note_addresses(self, addresses: dict[int, str]) -> None:
        """Take the addresses (by droplet id) that the last look showed."""
        self._addresses = addresses
        oldest = self._clock.now() - SHARED
        # Of droplets that are deleted, too: an autoscaled cluster has new ones each day.
        self._shown = {id_: shown for id_, shown in self._shown.items() if shown[0] >= oldest}

    # Reads

    async def look_at_all(
        self, media: Iterable[MediaNode], since: float | None = None
    ) -> dict[int, Observed[NodeStatus]]:
        """Return by droplet id what runs on each media node that is on.

        `since`: nothing from before that moment counts. None: nothing that was seen before counts;
        what a step asks for first rests on what its nodes show now.
        """
        active = [n for n in media if n.droplet.status == "active" and n.droplet.id > 0]
        looks = await eager.gather(*(self._shared_look(n.id, since) for n in active))
        return {node.id: look for node, look in zip(active, looks, strict=True)}

    async def starts(self, masters: Iterable[Droplet]) -> dict[int, Observed[str]]:
        """Return by droplet id which start of OpenVidu runs on each master that is on."""
        active = [m for m in masters if m.active]
        starts = await eager.gather(*(self._start(m.id) for m in active))
        return {master.id: start for master, start in zip(active, starts, strict=True)}

    @property
    def is_configured(self) -> bool:
        """Return whether nodes can be reached by SSH."""
        return self._shell is not None

    async def read(self, droplet_id: int, command: str) -> Output | str:
        """Return what a reading script printed, or why it could not run."""
        return await self._read(droplet_id, command)

    async def run(self, droplet_id: int, command: str) -> Output:
        """Run a script that changes something; `services.cloud.writer` alone calls it."""
        return await self._run(droplet_id, command, SSH_SECONDS)

    async def units(self, droplets: Iterable[Droplet]) -> dict[int, Observed[str]]:
        """Return by droplet id the state of OpenVidu's unit on each node that is on."""
        # The droplet of a Single Node is a master and a media node.
        active = {d.id: d for d in droplets if d.active and d.id > 0}.values()
        states = await eager.gather(*(self._unit(d.id) for d in active))
        return {droplet.id: state for droplet, state in zip(active, states, strict=True)}

    async def installations(self, nodes: Iterable[Droplet]) -> dict[int, Observed[Installation]]:
        """Return by droplet id what is installed on each node that is on."""
        active = [d for d in nodes if d.active and d.id > 0]
        found = await eager.gather(*(self._installation(d.id) for d in active))
        return {droplet.id: here for droplet, here in zip(active, found, strict=True)}

    async def health_pages(self, masters: Iterable[Droplet]) -> dict[int, Observed[bool]]:
        """Return by droplet id whether its health page answers on each master, asked there."""
        known = tuple(masters)
        answers = await eager.gather(*(self._health_page(m) for m in known))
        return {master.id: answer for master, answer in zip(known, answers, strict=True)}

    async def _health_page(self, master: Droplet) -> Observed[bool]:
        if not master.active:
            return False
        output = await self._read(master.id, scripts.HEALTH)
        if isinstance(output, str):
            return self._silences.note(("health", master.id), output, self._clock.now())
        if output.exit_status != 0 or not output.stdout.strip().isdigit():
            reason = "curl on the node did not report a status"
            return self._silences.note(("health", master.id), reason, self._clock.now())
        self._silences.over(("health", master.id))
        return int(output.stdout) == HTTP_OK

    async def conditions(
        self, nodes: Iterable[tuple[Droplet, str, bool]]
    ) -> tuple[NodeCondition, ...]:
        """Return what each node that is on reports of itself.

        `nodes`: droplet, short name, and whether it is a master.
        """
        on = {d.id: (d, name, master) for d, name, master in nodes if d.active and d.id > 0}
        return tuple(await eager.gather(*(self._condition(*node) for node in on.values())))

    async def _condition(self, droplet: Droplet, name: str, is_master: bool) -> NodeCondition:
        if self._shell is None:
            return unseen_condition(droplet.id, name, NO_SSH, is_master=is_master)
        try:
            async with self._at_once:
                asked = self._clock.now()
                output = await self._run(droplet.id, CONDITION, CONDITION_SECONDS)
                answered = self._clock.now()
        except (Unreachable, Refused, Rejected) as error:
            reason = error.cause or str(error)
            return unseen_condition(droplet.id, name, reason, is_master=is_master)
        read = read_condition(
            output.stdout, droplet.id, name, is_master=is_master, asked=asked, answered=answered
        )
        if isinstance(read, str):
            return unseen_condition(droplet.id, name, read, is_master=is_master)
        return read

    async def inspect(self, droplet_id: int) -> str:
        """Return what `scripts.INSPECT` prints. It holds log lines, which have to be masked."""
        return (await self._run(droplet_id, scripts.INSPECT, SSH_SECONDS)).stdout

    async def logs(self, droplet_id: int, service: str, seconds: int) -> str:
        """Return what `scripts.logs` prints. Its lines have to be masked."""
        command = scripts.logs(service, seconds)
        return (await self._run(droplet_id, command, LOGS_SECONDS)).stdout

    async def configurations(
        self, masters: Iterable[Droplet]
    ) -> tuple[tuple[int, Observed[NodeConfiguration]], ...]:
        """Return by droplet id the configuration of each master that is on."""
        active = [m for m in masters if m.active]
        looks = await eager.gather(*(self._configuration(m.id) for m in active))
        return tuple((master.id, look) for master, look in zip(active, looks, strict=True))

    async def _configuration(self, droplet_id: int) -> Observed[NodeConfiguration]:
        output = await self._read(droplet_id, config_scripts.LOOK)
        if isinstance(output, str):
            return Unobserved(output)
        if output.exit_status != 0:
            return Unobserved(f"its shell ended with status {output.exit_status}")
        look = parse_configuration(output.stdout)
        return Unobserved(look) if isinstance(look, str) else look

    async def config_file(self, droplet_id: int, file: ConfigFile) -> ConfigText:
        """Return the content of a configuration file. It holds secrets."""
        output = await self._run(droplet_id, config_scripts.read(file), SSH_SECONDS)
        if output.exit_status != 0:
            status = output.exit_status
            raise Unreachable(f"reading {file.name}: the shell ended with status {status}")
        return parse_content(file, output.stdout)

    async def _shared_look(self, droplet_id: int, since: float | None) -> Observed[NodeStatus]:
        """Return what the node showed a moment ago, or shows now. A silent node is asked anew."""
        now = self._clock.now()
        asked_at, shown = self._shown.pop(droplet_id, (float("-inf"), None))
        is_later = since is not None and asked_at > since
        if shown is None or asked_at < now - SHARED or not is_later:
            asked_at, look = now, await self._look_at(droplet_id)
            if isinstance(look, Unobserved):
                return look
            shown = look
        self._shown[droplet_id] = (asked_at, shown)
        return shown

    async def _look_at(self, droplet_id: int) -> Observed[NodeStatus]:
        """Return what runs on that node. Trouble there says something about this node alone."""
        output = await self._read(droplet_id, scripts.LOOK)
        if isinstance(output, str):
            return self._not_seen(droplet_id, output)
        if output.exit_status != 0:
            return self._not_seen(droplet_id, f"its shell ended with status {output.exit_status}")
        look = parse_look(output.stdout)
        if isinstance(look, str):
            return self._not_seen(droplet_id, look)
        self._silences.over(droplet_id)
        start, reason = self._unmarked.get(droplet_id, ("", ""))
        if reason and start == look.start and not look.drain_marked:
            return replace(look, marker_problem=reason)
        return look

    def _not_seen(self, droplet_id: int, reason: str) -> Unobserved:
        if self._shell is None:
            return Unobserved(reason)
        return self._silences.note(droplet_id, reason, self._clock.now())

    async def _start(self, droplet_id: int) -> Observed[str]:
        output = await self._read(droplet_id, scripts.START)
        if isinstance(output, str):
            return Unobserved(output)
        if output.exit_status != 0:
            return Unobserved(f"systemctl ended with status {output.exit_status}")
        return output.stdout.strip()

    async def _unit(self, droplet_id: int) -> Observed[str]:
        output = await self._read(droplet_id, scripts.UNIT)
        if isinstance(output, str):
            return self._not_seen(droplet_id, output)
        # Its exit status says the same as its word.
        state = output.stdout.strip()
        if state not in UNIT_STATES:
            return self._not_seen(droplet_id, "systemctl did not name the unit's state")
        return state

    async def _installation(self, droplet_id: int) -> Observed[Installation]:
        output = await self._read(droplet_id, update_scripts.INSTALLED)
        if isinstance(output, str):
            return Unobserved(output)
        if output.exit_status != 0:
            return Unobserved(f"its shell ended with status {output.exit_status}")
        found = parse_installation(output.stdout)
        return Unobserved(found) if isinstance(found, str) else found

    async def _read(self, droplet_id: int, command: str) -> Output | str:
        """Return what a command printed, or why it could not run."""
        if self._shell is None:
            return NO_SSH
        try:
            async with self._at_once:
                return await self._run(droplet_id, command, SSH_SECONDS)
        except (Unreachable, Refused, Rejected) as error:
            return error.cause or str(error)

    # Writes: `services.cloud.writer` alone calls them, after its fence

    async def signal_drain(self, droplet_id: int, look: NodeStatus, method: str) -> None:
        """Run the guarded drain script.

        Where the node reports that nothing was signalled, the next looks carry its reason, and the
        script runs again later.
        """
        self._shown.pop(droplet_id, None)
        command = scripts.drain(look.start, method, look.containers_to_drain, look.attempts)
        output = await self._run(droplet_id, command, SSH_SECONDS)
        result, _, reason = output.stdout.strip().partition(" ")
        self._unmarked.pop(droplet_id, None)
        if output.exit_status != 0 or result not in DRAIN_RESULTS:
            status = output.exit_status
            raise Unreachable(
                f"draining droplet {droplet_id}: its shell ended with status {status}"
            )
        if result in NOT_SIGNALLED:
            self._unmarked[droplet_id] = (look.start, strip_invisible(reason) or result)

    async def change_config(
        self, droplet_id: int, file: ConfigFile, script: str, content: bytes = b""
    ) -> None:
        """Run `config_scripts.write` or `restore`. Refused where others changed the file."""
        stdin = base64.encodebytes(content).decode()
        output = await self._run(droplet_id, script, SSH_SECONDS, stdin)
        result, _, reason = output.stdout.strip().partition(" ")
        if output.exit_status != 0 or result not in CONFIG_RESULTS:
            status = output.exit_status
            raise Unreachable(f"writing {file.name}: the shell ended with status {status}")
        if result == "changed":
            raise Refused(
                f"{file.name} was changed on the node since this was requested. Nothing was written"
            )
        if result == "failed":
            raise Rejected(f"writing {file.name}: {strip_invisible(reason) or 'the node failed'}")

    async def forget_config(self, droplet_id: int, change: str) -> None:
        """Delete what a change of the configuration keeps on the node."""
        output = await self._run(droplet_id, config_scripts.forget(change), SSH_SECONDS)
        if output.exit_status != 0:
            raise Rejected(f"deleting a kept file: rm ended with status {output.exit_status}")

    async def systemctl(self, droplet_id: int, doing: str, command: str) -> None:
        """Run a `systemctl` command. `doing`: what it does to OpenVidu, for an error."""
        self._shown.pop(droplet_id, None)
        output = await self._run(droplet_id, command, RESTART_SECONDS)
        if output.exit_status != 0:
            status = output.exit_status
            raise Rejected(
                f"{doing} openvidu on droplet {droplet_id}: systemctl ended with status {status}"
            )

    async def run_update(
        self, droplet_id: int, doing: str, command: str, accepts: tuple[str, ...]
    ) -> None:
        """Run a script of `update_scripts`. Rejected unless it prints one of `accepts`.

        `doing`: for an error, such as `updating OpenVidu`.
        """
        output = await self._run(droplet_id, command, FETCH_SECONDS)
        words = strip_invisible(output.stdout).strip()
        if output.exit_status != 0 or not words:
            status = output.exit_status
            raise Unreachable(
                f"{doing} on droplet {droplet_id}: its shell ended with status {status}"
            )
        if words.split(" ", 1)[0] not in accepts:
            raise Rejected(f"{doing} on droplet {droplet_id}: {words[:200]}")

    async def ask(self, droplet_id: int, command: str, sent: str = "") -> str:
        """Return what a command prints. `sent`: its standard input."""
        output = await self._run(droplet_id, command, SSH_SECONDS, sent)
        if output.exit_status != 0:
            raise Rejected(
                f"asking droplet {droplet_id}: its shell ended with status {output.exit_status}"
            )
        return output.stdout.strip()

    async def _run(self, droplet_id: int, command: str, seconds: float, sent: str = "") -> Output:
        if self._shell is None:
            raise Refused(f"{NO_SSH}, and this requires it")
        address = self._addresses.get(droplet_id, "")
        if not address:
            raise Unreachable(f"droplet {droplet_id} has no address yet", sent=False)
        return await self._shell.run(
            Host(droplet_id, address), command, stdin=sent, timeout=seconds
        )
