"""Faults between the bot and Slack, on request."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.dice import dice_of

KINDS = ("429", "500", "lost", "slow")
"""Faults that may hit a call by chance."""


@dataclass
class SlackFault:
    """A fault of the next `times` calls of `method` (`*` for any).

    `lost` means that Slack did what was asked and the answer never arrived: the trap for a caller
    that repeats it.
    """

    method: str
    times: int = 1
    status: int = 200
    error: str = ""
    retry_after: int = 1
    delay: float = 0.0
    lost: bool = False


@dataclass
class SlackFaults:
    """The faults in force."""

    calls: list[SlackFault] = field(default_factory=list)
    drop_acks: int = 0
    fail_handshakes: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    """The chance per call of each of `KINDS`."""
    dice: random.Random = field(default_factory=lambda: dice_of(0), repr=False)

    def add(self, fault: SlackFault) -> None:
        """Add a fault."""
        self.calls.append(fault)

    def take(self, method: str) -> SlackFault | None:
        """Return the fault that hits this call, and count it."""
        for fault in self.calls:
            if fault.method in ("*", method) and fault.times > 0:
                fault.times -= 1
                return fault
        return self._by_chance(method)

    def _by_chance(self, method: str) -> SlackFault | None:
        kind = next((k for k, chance in self.rates.items() if self.dice.random() < chance), "")
        if kind == "429":
            return SlackFault(method, status=429, retry_after=self.dice.randint(1, 10))
        if kind == "500":
            return SlackFault(method, status=500)
        if kind == "slow":
            return SlackFault(method, delay=self.dice.uniform(1, 20))
        return SlackFault(method, lost=True) if kind == "lost" else None

    def take_ack(self) -> bool:
        """Return whether this ack is lost."""
        self.drop_acks, lost = max(0, self.drop_acks - 1), self.drop_acks > 0
        return lost

    def take_handshake(self) -> bool:
        """Return whether this socket is refused."""
        self.fail_handshakes, lost = max(0, self.fail_handshakes - 1), self.fail_handshakes > 0
        return lost
