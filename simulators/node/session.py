"""One command on one node while it runs.

How far it may still go, how long it has taken, and what it has printed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from simulators.cloud import Cloud, SimulatedDroplet
from simulators.faults import WorldFault
from simulators.node.files import Files

NEVER_ENDS = float("inf")


class ConnectionLost(Exception):
    """The connection was lost; what the script has done so far is done."""


class Hang(Exception):
    """The script waits for something that never answers."""


class Session:
    """A script on its way. `faults` are those of the node, by kind.

    `budget` is the number of simple commands that still run before the connection is lost; None for
    all.
    """

    def __init__(
        self,
        estate: Cloud,
        droplet: SimulatedDroplet,
        faults: Mapping[str, WorldFault],
        budget: int | None = None,
        stdin: str = "",
    ) -> None:
        self.estate, self.droplet, self.faults, self.budget = estate, droplet, faults, budget
        self.stdin = stdin
        self.files = Files(droplet.node.files, faults)
        self.seconds = 0.0
        self.out: list[str] = []
        self.err: list[str] = []

    @property
    def stdout(self) -> str:
        """Everything printed so far."""
        return "".join(f"{line}\n" for line in self.out)

    @property
    def stderr(self) -> str:
        """Everything complained about so far."""
        return "".join(f"{line}\n" for line in self.err)

    def step(self) -> None:
        """Run one simple command of the script.

        Raises:
            Cut: when the connection is lost before it.
        """
        if self.budget is None:
            return
        if self.budget <= 0:
            raise ConnectionLost
        self.budget -= 1

    @contextmanager
    def subshell(self) -> Iterator[None]:
        """Run what is inside in a `$(...)` or a pipeline: it counts its commands on its own."""
        budget = self.budget
        yield
        self.budget = budget

    def substitute(self) -> None:
        """Run a `$(...)` or a pipeline of single commands."""
        with self.subshell():
            self.step()

    def echo(self, line: str) -> None:
        """Print a line."""
        self.step()
        self.out.append(line)

    def end(self) -> int:
        """Run `exit 0`."""
        self.step()
        return 0

    def fail(self, status: int, line: str) -> int:
        """Complain with this line, and return the status."""
        self.err.append(line)
        return status

    def spend(self, seconds: float) -> None:
        """Let a command take that long.

        Raises:
            Hang: when it never ends.
        """
        self.seconds += seconds
        if self.seconds == NEVER_ENDS:
            raise Hang

    def detached(self) -> "Session":
        """Return a session for what runs on without the connection."""
        return Session(self.estate, self.droplet, self.faults)
