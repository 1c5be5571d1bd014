"""How programs talk, and how a session can end."""

from dataclasses import dataclass, field


class Exit(Exception):
    """The script ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Cut(Exception):
    """The connection is gone; what has been done is done."""


class Overdue(Exception):
    """The time that `timeout` gave is over, or something would never have ended."""


@dataclass
class Time:
    """How long a session has taken so far, in seconds; `ends` is when whoever started the present command loses patience."""

    spent: float = 0.0
    ends: float = float("inf")

    def spend(self, seconds: float) -> None:
        """Something takes that long.

        Raises:
            Overdue: when that is longer than anybody waits for it.
        """
        self.spent += seconds
        if self.spent >= self.ends or self.spent == float("inf"):
            self.spent = self.ends
            raise Overdue


@dataclass
class Streams:
    """Where a command reads and writes. Text is appended to the lists."""

    stdin: list[str] = field(default_factory=lambda: [""])
    """One string, shared by the commands that read from it in turn."""
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def read(self) -> str:
        """Everything that is left."""
        text, self.stdin[0] = self.stdin[0], ""
        return text

    def say(self, line: str) -> None:
        """A line to standard output."""
        self.out.append(line + "\n")

    def complain(self, line: str) -> None:
        """A line to standard error."""
        self.err.append(line + "\n")
