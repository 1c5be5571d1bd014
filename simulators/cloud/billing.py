"""What the droplets of the pretend cloud are billed for."""

from dataclasses import dataclass

from simulators.cloud.catalog import SIZES
from simulators.cloud.events import DropletDestroying, DropletTouched
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

LEAST = 0.01
"""Dollars: the least that one droplet costs, however short it lives."""


@dataclass
class _Bill:
    name: str
    since: float
    hourly: float
    until: float | None = None


class Billing:
    """Bills each droplet by the second, at the price of the largest size that it had."""

    def __init__(self, state: CloudState) -> None:
        self.state = state
        self._bills: dict[int, _Bill] = {}

    def touched(self, event: DropletTouched) -> None:
        """Begin a droplet's bill, or note that it has become larger."""
        self._note(event.droplet)

    def destroying(self, event: DropletDestroying) -> None:
        """End a droplet's bill."""
        self._note(event.droplet)
        self._bills[event.droplet.id].until = self.state.now

    def cost(self, prefix: str) -> float:
        """Return what the droplets with names that begin like this have cost by now, in dollars."""
        return sum(
            max(LEAST, ((bill.until or self.state.now) - bill.since) / 3600 * bill.hourly)
            for bill in self._bills.values()
            if bill.name.startswith(prefix)
        )

    def count(self, prefix: str) -> int:
        """Return how many droplets with such names there ever were."""
        return sum(bill.name.startswith(prefix) for bill in self._bills.values())

    def _note(self, droplet: SimulatedDroplet) -> None:
        hourly = SIZES[droplet.size].price_hourly
        bill = self._bills.setdefault(droplet.id, _Bill(droplet.name, droplet.created_at, hourly))
        bill.hourly = max(bill.hourly, hourly)


rests_on(
    "cloud",
    Source.DOCUMENT,
    "DigitalOcean's pages on droplet pricing: billed by the second since 2026, powered off too",
    "the bill of a droplet",
)
