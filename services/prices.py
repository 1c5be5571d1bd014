"""What a cluster costs. DigitalOcean bills a droplet until it is destroyed: powered-off masters cost as much as running ones."""

from dataclasses import dataclass
from decimal import Decimal

from services.cluster import Cluster


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


def money(amount: Decimal) -> str:
    """`$0.21`."""
    return f"${amount:,.2f}"
