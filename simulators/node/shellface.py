"""What a command over SSH does to a node."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from simulators.estate import Droplet, Estate
from simulators.faults import Fault, Faults
from simulators.node.docker_views import child_status, children, process_status
from simulators.node.files import DENIED, Files
from simulators.node.programs import builtins
from simulators.node.shell import Program, Shell
from simulators.node.streams import Cut, Overdue, Streams
from simulators.node.system import BOOT_ID, System
from simulators.node.textutils import TEXT


@dataclass(frozen=True)
class Output:
    """What came back, after `seconds`. `exit_status` is None when the connection was lost: everything, something or nothing was done."""

    exit_status: int | None
    stdout: str
    stderr: str
    seconds: float = 0.0


class KeyRefused(Exception):
    """The node does not let this key in."""


FULL = "No space left on device"
BARS = {"run-denied": DENIED, "unprivileged": DENIED, "run-full": FULL}
NONE: dict[str, Fault] = {}
FOR_EVER = 86400.0
"""How long a session takes that never ends."""


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
            KeyRefused: when it does not let the key in.
        """
        self.estate.settle()
        droplet = self.estate.droplets.get(droplet_id)
        fault = self.faults.pick("ssh", f"{droplet.name if droplet else droplet_id} {command}")
        if droplet is None or not droplet.on or (fault is not None and fault.kind == "refuse"):
            raise ConnectionRefusedError(
                f"[Errno 111] Connect call failed ({droplet.public_ip if droplet else droplet_id}, 22)"
            )
        troubles = self._troubles(droplet, command)
        if "key-refused" in troubles:
            raise KeyRefused(droplet.name)
        self.commands.append((droplet_id, command, self.estate.moment))
        if fault is not None and fault.kind == "cut-before":
            return Output(None, "", "")
        if fault is None and not troubles and command in self.looks:
            return self._look(droplet, command)
        with self.estate.timeline.because("operator", f"ssh {droplet.name}"):
            return self._run(droplet, command, stdin, fault, troubles)

    def _troubles(self, droplet: Droplet, command: str) -> dict[str, Fault]:
        """What is wrong with the node: for as long as it is not healed, and in this session."""
        lasting = self.faults.ails(droplet.name)
        passing = self.faults.pick("node", f"{droplet.name} {command}")
        return lasting | {passing.kind: passing} if passing is not None else lasting

    def _look(self, droplet: Droplet, command: str) -> Output:
        key = (command, self._state(droplet))
        if key not in self._shown:
            self._shown[key] = self._run(droplet, command, b"", None, NONE)
        return self._shown[key]

    def _state(self, droplet: Droplet) -> object:
        """Everything of a node that a look can show."""
        node = droplet.node
        moment = self.estate.moment
        containers = tuple(
            (
                c.name,
                c.running,
                c.restarting,
                c.started_at,
                c.draining,
                c.restarts,
                c.exit_code,
                c.shown,
                c.quits,
                c.ready_at <= moment,
            )
            for c in node.containers.values()
        )
        meetings = tuple(
            (m.people, m.recordings, m.ingresses, m.hidden, m.roomless)
            for m in self.estate.meetings_on(droplet.id)
        )
        return (
            droplet.id,
            node.boot_id,
            node.installed,
            node.unit,
            node.invocation,
            containers,
            meetings,
            frozenset(node.files),
        )

    def _run(
        self,
        droplet: Droplet,
        command: str,
        stdin: bytes,
        fault: Fault | None,
        troubles: Mapping[str, Fault],
    ) -> Output:
        shell = self.shell(droplet, troubles)
        if fault is not None and fault.kind in ("cut-middle", "ended-early"):
            shell.budget = fault.commands
        streams = Streams([stdin.decode(errors="replace")])
        status: int | None = None
        try:
            status = shell.run(command, streams)
        except Cut:
            status = 0 if fault is not None and fault.kind == "ended-early" else None
        except Overdue:
            shell.time.spent = FOR_EVER
        said = Output(status, "".join(streams.out), "".join(streams.err), shell.time.spent)
        return self._spoiled(said, droplet, fault) if status is not None else said

    def _spoiled(self, said: Output, droplet: Droplet, fault: Fault | None) -> Output:
        if fault is not None and fault.kind == "truncated":
            return Output(
                said.exit_status,
                said.stdout[: int(len(said.stdout) * fault.share)],
                "",
                said.seconds,
            )
        if (
            fault is not None and fault.kind.startswith("cut")
        ) or droplet.id not in self.estate.droplets:
            return Output(None, "", "")
        return said

    def shell(self, droplet: Droplet, troubles: Mapping[str, Fault] = NONE) -> Shell:
        """A shell on that droplet."""
        live = {BOOT_ID: lambda: droplet.node.boot_id + "\n"}
        for c in (c for c in droplet.node.containers.values() if c.up):
            live |= {
                f"/proc/{c.pid}/status": partial(process_status, c),
                f"/proc/{c.pid}/task/{c.pid}/children": partial(children, c),
            }
            live |= {f"/proc/{c.pid + 1}/status": partial(child_status, c)} if children(c) else {}
        files = Files(droplet.node.files, live)
        files.bars = {
            place: BARS[kind] for kind in BARS if kind in troubles for place in ("/run", "/var/run")
        }
        programs: dict[str, Program] = {}
        programs |= (
            System(self.estate, droplet, troubles, programs).table()
            | builtins(lambda: self.estate.moment)
            | TEXT
        )
        if "unprivileged" in troubles:
            programs["sudo"] = _no_sudo
        return Shell(files, programs.get)


def _no_sudo(_shell: Shell, _fields: list[str], streams: Streams) -> int:
    streams.complain("sudo: a password is required")
    return 1
