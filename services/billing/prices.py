"""What a cluster costs. DigitalOcean bills a droplet until it is destroyed: powered-off masters cost as much as running ones.

What a droplet costs depends on the family of its size. Bundled plans are billed for 672 hours of a month at most, and their IPv4 address
is part of it. The v5 plans (`g5-`, `s5-`) are billed for every hour, and their IPv4 address apart, at a price that the API does not tell.
A price of 0 is a price that is not known: nothing is free.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster.model import Cluster, Droplet

CAP_HOURS = Decimal(672)  # of a month are billed at most, for bundled plans
V5 = ("g5-", "s5-")


def is_v5(size: str) -> bool:
    """Whether a size is of the v5 family, which neither mixes with other sizes nor is billed as they are."""
    return size.startswith(V5)


def is_capped(size: str, monthly: Decimal | None) -> bool:
    """Whether a month is billed for 672 hours at most. Where the size was not recorded its monthly price tells: v5 plans have none."""
    return not is_v5(size) if size else bool(monthly)


@dataclass(frozen=True)
class Costs:
    """US dollars per hour; None where a price is not known."""

    media: Decimal | None
    masters: Decimal | None
    addresses: int = 0  # droplets whose IPv4 address is billed apart, and not counted here

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
    media = [n.droplet for n in cluster.media]
    return Costs(
        media=summed(d.hourly for d in media),
        masters=summed(m.hourly for m in cluster.masters),
        addresses=sum(1 for d in (*media, *cluster.masters) if is_v5(d.size)),
    )


def so_far(droplets: Iterable[Droplet], now: float) -> Decimal | None:
    """What these droplets have cost since the month (UTC) began. None: not known."""
    month = (
        datetime.fromtimestamp(now, UTC)
        .replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        .timestamp()
    )
    total = Decimal(0)
    for droplet in droplets:
        if droplet.hourly is None:
            return None
        since = max(month, _created(droplet, month))
        hours = Decimal(max(0.0, now - since)) / 3600
        total += droplet.hourly * (
            min(CAP_HOURS, hours) if is_capped(droplet.size, droplet.monthly) else hours
        )
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
