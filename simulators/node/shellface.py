"""What a command over SSH does to a node."""

from dataclasses import dataclass

from simulators.estate import Droplet, Estate
from simulators.faults import Fault, Faults
from simulators.node.files import Files
from simulators.node.programs import builtins
from simulators.node.shell import Shell
from simulators.node.streams import Cut, Streams
from simulators.node.system import BOOT_ID, System
from simulators.node.textutils import TEXT


@dataclass(frozen=True)
class Output:
    """What came back. `exit_status` is None when the connection was lost: everything, something or nothing was done."""

    exit_status: int | None
    stdout: str
    stderr: str


class NodeShell:
    """Runs commands on the nodes of an estate, at once."""

    def __init__(self, estate: Estate, faults: Faults | None = None) -> None:
        self.estate, self.faults = estate, faults or Faults()
        self.commands: list[tuple[int, str, float]] = []
        """What was run: droplet id, command, moment."""
        self.looks: set[str] = set()
        """Commands that are known to change nothing: on a node that has not changed they show the same, and are not run again."""
        self._shown: dict[object, Output] = {}

    def execute(self, droplet_id: int, command: str, stdin: bytes = b"") -> Output:
        """Run a command as root.

        Raises:
            ConnectionRefusedError: when the droplet is off, or gone.
        """
        self.estate.settle()
        droplet = self.estate.droplets.get(droplet_id)
        fault = self.faults.pick("ssh", f"{droplet.name if droplet else droplet_id} {command}")
        if droplet is None or not droplet.on or (fault is not None and fault.kind == "refuse"):
            raise ConnectionRefusedError(f"[Errno 111] Connect call failed ({droplet.public_ip if droplet else droplet_id}, 22)")
        self.commands.append((droplet_id, command, self.estate.moment))
        if fault is not None and fault.kind == "cut-before":
            return Output(None, "", "")
        if fault is None and command in self.looks:
            return self._look(droplet, command)
        return self._run(droplet, command, stdin, fault)

    def _look(self, droplet: Droplet, command: str) -> Output:
        key = (command, self._state(droplet))
        if key not in self._shown:
            self._shown[key] = self._run(droplet, command, b"", None)
        return self._shown[key]

    def _state(self, droplet: Droplet) -> object:
        """Everything of a node that a look can show."""
        node = droplet.node
        containers = tuple((c.name, c.running, c.started_at, c.draining, c.restarts, c.exit_code) for c in node.containers.values())
        meetings = tuple((m.people, m.recordings, m.ingresses) for m in self.estate.meetings_on(droplet.id))
        return droplet.id, node.boot_id, node.installed, node.unit, node.invocation, containers, meetings, frozenset(node.files)

    def _run(self, droplet: Droplet, command: str, stdin: bytes, fault: Fault | None) -> Output:
        shell = self.shell(droplet)
        if fault is not None and fault.kind == "cut-middle":
            shell.budget = fault.commands
        streams = Streams([stdin.decode(errors="replace")])
        try:
            status = shell.run(command, streams)
        except Cut:
            return Output(None, "".join(streams.out), "".join(streams.err))
        if (fault is not None and fault.kind.startswith("cut")) or droplet.id not in self.estate.droplets:
            return Output(None, "", "")
        return Output(status, "".join(streams.out), "".join(streams.err))

    def shell(self, droplet: Droplet) -> Shell:
        """A shell on that droplet."""
        files = Files(droplet.node.files, {BOOT_ID: lambda: droplet.node.boot_id + "\n"})
        programs = System(self.estate, droplet).table() | builtins(lambda: self.estate.moment) | TEXT
        return Shell(files, programs.get)
