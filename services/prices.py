"""What a cluster costs. DigitalOcean bills a droplet until it is destroyed: powered-off masters cost as much as running ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster import Cluster, Droplet

CAP_HOURS = Decimal(672)  # of a month are billed at most


@dataclass(frozen=True)
class Costs:
    """US dollars per hour."""

    media: Decimal
    masters: Decimal

    @property
    def total(self) -> Decimal:
        return self.media + self.masters


def hourly(cluster: Cluster) -> Costs:
    """Per hour, of everything that exists now, on or off."""
    return Costs(
        media=sum((n.droplet.hourly for n in cluster.media), Decimal(0)),
        masters=sum((m.hourly for m in cluster.masters), Decimal(0)),
    )


def so_far(droplets: Iterable[Droplet], now: float) -> Decimal:
    """What these droplets have cost since the month (UTC) began, by the hour and at most for 672 hours of it."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    total = Decimal(0)
    for droplet in droplets:
        since = max(month, _created(droplet, month))
        total += droplet.hourly * min(CAP_HOURS, Decimal(max(0.0, now - since)) / 3600)
    return total


def _created(droplet: Droplet, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(droplet.created_at).timestamp()
    except ValueError:
        return otherwise


def money(amount: Decimal) -> str:
    """`$0.21`."""
    return f"${amount:,.2f}"
