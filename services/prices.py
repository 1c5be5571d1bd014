"""What a cluster costs. DigitalOcean bills a droplet until it is destroyed: powered-off masters cost as much as running ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster import Cluster, Droplet

CAP_HOURS = Decimal(672)  # of a month are billed at most


@dataclass(frozen=True)
class Costs:
    """US dollars per hour; None where a price is not known."""

    media: Decimal | None
    masters: Decimal | None

    @property
    def total(self) -> Decimal | None:
        return summed((self.media, self.masters))


def summed(prices: Iterable[Decimal | None]) -> Decimal | None:
    """Their sum; None when one of them is not known: it is not 0."""
    total = Decimal(0)
    for price in prices:
        if price is None:
            return None
        total += price
    return total


def hourly(cluster: Cluster) -> Costs:
    """Per hour, of everything that exists now, on or off."""
    return Costs(
        media=summed(n.droplet.hourly for n in cluster.media),
        masters=summed(m.hourly for m in cluster.masters),
    )


def so_far(droplets: Iterable[Droplet], now: float) -> Decimal | None:
    """What these droplets have cost since the month (UTC) began, by the hour and at most for 672 hours of it. None: not known."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    total = Decimal(0)
    for droplet in droplets:
        if droplet.hourly is None:
            return None
        since = max(month, _created(droplet, month))
        total += droplet.hourly * min(CAP_HOURS, Decimal(max(0.0, now - since)) / 3600)
    return total


def _created(droplet: Droplet, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(droplet.created_at).timestamp()
    except ValueError:
        return otherwise


def money(amount: Decimal | None) -> str:
    """`$0.21`, or `unknown`."""
    return "unknown" if amount is None else f"${amount:,.2f}"


def per_hour(amount: Decimal | None) -> str:
    """`$0.21/h`, or `unknown`."""
    return money(amount) if amount is None else f"{money(amount)}/h"
