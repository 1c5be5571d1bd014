"""What a command over SSH does to a node."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulators.cloud import Cloud, SimulatedDroplet
from simulators.faults import WorldFault, WorldFaults
from simulators.node.scripts import UnknownScript, recognised
from simulators.node.session import ConnectionLost, Hang, Session

ENDLESS = 86400.0
"""Seconds that a session takes which never ends."""


@dataclass(frozen=True)
class ShellOutput:
    """What came back, after `seconds`.

    `exit_status` is None when the connection was lost: everything, a part or nothing was done.
    """

    exit_status: int | None
    stdout: str
    stderr: str
    seconds: float = 0.0


class KeyRefused(Exception):
    """The node does not accept this key."""


class NodeShell:
    """Runs the scripts of the table on the nodes of a cloud, at once."""

    def __init__(self, estate: Cloud, faults: WorldFaults | None = None) -> None:
        self.estate, self.faults = estate, faults or WorldFaults()
        self.commands: list[tuple[int, str, float]] = []
        """What was run: droplet id, command, moment."""
        self.unknown: list[str] = []
        """Scripts that no node knew: a test with one of them has tested nothing."""

    def execute(self, droplet_id: int, command: str, stdin: str = "") -> ShellOutput:
        """Run a script as root, with this standard input.

        Raises:
            ConnectionRefusedError: when the droplet is off, or does not exist.
            KeyRefused: when it does not accept the key.
            UnknownScript: when it is none of the scripts of the table.
        """
        self.estate.settle()
        droplet = self.estate.droplets.get(droplet_id)
        label = str(droplet_id)
        if droplet is not None:
            label = droplet.name
        fault = self.faults.pick("ssh", f"{label} {command}")
        if droplet is None:
            raise ConnectionRefusedError(f"[Errno 111] Connect call failed ({droplet_id}, 22)")
        if not droplet.on or (fault is not None and fault.kind == "refuse"):
            address = droplet.public_ip
            raise ConnectionRefusedError(f"[Errno 111] Connect call failed ({address}, 22)")
        node_faults = self._node_faults(droplet, command)
        if "key-refused" in node_faults:
            raise KeyRefused(droplet.name)
        self.commands.append((droplet_id, command, self.estate.now))
        if fault is not None and fault.kind == "cut-before":
            return ShellOutput(None, "", "")
        with self.estate.timeline.caused_by("operator", f"ssh {droplet.name}"):
            return self._run(droplet, command, fault, node_faults, stdin)

    def _node_faults(self, droplet: SimulatedDroplet, command: str) -> dict[str, WorldFault]:
        """Return the faults of the node: the lasting ones, and one of this session alone."""
        lasting = self.faults.lasting_faults(droplet.name)
        passing = self.faults.pick("node", f"{droplet.name} {command}")
        if passing is None:
            return lasting
        return lasting | {passing.kind: passing}

    def _run(
        self,
        droplet: SimulatedDroplet,
        command: str,
        fault: WorldFault | None,
        node_faults: Mapping[str, WorldFault],
        stdin: str,
    ) -> ShellOutput:
        try:
            answer = recognised(command)
        except UnknownScript:
            self.unknown.append(command)
            raise
        session = Session(self.estate, droplet, node_faults, stdin=stdin)
        if fault is not None and fault.kind in ("cut-middle", "ended-early"):
            session.budget = fault.commands
        status: int | None = None
        try:
            status = answer(session)
        except ConnectionLost:
            if fault is not None and fault.kind == "ended-early":
                status = 0
        except Hang:
            session.seconds = ENDLESS
        output = ShellOutput(status, session.stdout, session.stderr, session.seconds)
        if status is None:
            return output
        return self._spoiled(output, droplet, fault)

    def _spoiled(
        self, output: ShellOutput, droplet: SimulatedDroplet, fault: WorldFault | None
    ) -> ShellOutput:
        """Return what arrives of an output."""
        if fault is not None and fault.kind == "truncated":
            length = int(len(output.stdout) * fault.share)
            return ShellOutput(output.exit_status, output.stdout[:length], "", output.seconds)
        lost = fault is not None and fault.kind.startswith("cut")
        if lost or droplet.id not in self.estate.droplets:
            return ShellOutput(None, "", "")
        return output
