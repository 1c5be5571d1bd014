"""What a cluster costs.

DigitalOcean bills a droplet until it is destroyed, whether it is on or off. The price depends on
the family of the size. Bundled plans are billed for at most 672 hours a month, with their IPv4
address. The v5 plans (`g5-`, `s5-`) are billed for every hour, and their IPv4 address separately,
at a price that the API does not tell. A price of 0 is an unknown price: nothing is free.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster.leftovers import per_day
from services.cluster.model import Cluster, Droplet

CAP_HOURS = Decimal(672)  # billed at most in a month, for bundled plans
V5 = ("g5-", "s5-")


def is_v5(size: str) -> bool:
    """Return whether a size is of the v5 family.

    It does not mix with other sizes, and is billed differently.
    """
    return size.startswith(V5)


def is_capped(size: str, monthly: Decimal | None) -> bool:
    """Return whether a month is billed for at most 672 hours.

    Without a recorded size the monthly price tells: v5 plans have none.
    """
    if not size:
        return bool(monthly)
    return not is_v5(size)


def droplet_per_day(droplet: Droplet) -> Decimal | None:
    """Return what a droplet that is never destroyed costs on an average day; None if unknown."""
    if droplet.monthly and is_capped(droplet.size, droplet.monthly):
        return per_day(droplet.monthly)
    return None if droplet.hourly is None else droplet.hourly * 24


@dataclass(frozen=True)
class Costs:
    """US dollars per hour; None where a price is unknown.

    `addresses`: droplets whose IPv4 address is billed separately, which is not included.
    """

    media: Decimal | None
    masters: Decimal | None
    addresses: int = 0

    @property
    def total(self) -> Decimal | None:
        """Both together; None if one is unknown."""
        return total_price((self.media, self.masters))


def total_price(prices: Iterable[Decimal | None]) -> Decimal | None:
    """Return their sum; None if one of them is unknown."""
    total = Decimal(0)
    for price in prices:
        if price is None:
            return None
        total += price
    return total


def hourly(cluster: Cluster) -> Costs:
    """Return the cost per hour of everything that exists now, on or off."""
    media = [n.droplet for n in cluster.separate_media]
    return Costs(
        media=total_price(d.hourly for d in media),
        masters=total_price(m.hourly for m in cluster.masters),
        addresses=sum(1 for d in (*media, *cluster.masters) if is_v5(d.size)),
    )


def cost_this_month(droplets: Iterable[Droplet], now: float) -> Decimal | None:
    """Return what these droplets have cost since the month (UTC) began; None if unknown."""
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
        if is_capped(droplet.size, droplet.monthly):
            hours = min(CAP_HOURS, hours)
        total += droplet.hourly * hours
    return total


def _created(droplet: Droplet, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(droplet.created_at).timestamp()
    except ValueError:
        return otherwise


def money(amount: Decimal | None) -> str:
    """Return `$0.21`, or `unknown`."""
    return "unknown" if amount is None else f"${amount:,.2f}"


def per_hour(amount: Decimal | None) -> str:
    """Return `$0.21/h`, or `unknown`."""
    if amount is None:
        return money(amount)
    return f"{money(amount)}/h"
