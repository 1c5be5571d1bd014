"""What a cluster costs. DigitalOcean bills a droplet until it is destroyed: powered-off masters cost as much as running ones.

What a droplet costs depends on the family of its size. Bundled plans are billed for 672 hours of a month at most, and their IPv4 address
is part of it. The v5 plans (`g5-`, `s5-`) are billed for every hour, and their IPv4 address apart, at a price that the API does not tell.
A price of 0 is a price that is not known: nothing is free.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster import Cluster, Droplet

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
    """US dollars per hour, of droplets whose price is known. `unpriced`: how many others there are."""

    media: Decimal
    masters: Decimal
    unpriced: int = 0
    addresses: int = 0  # droplets whose IPv4 address is billed apart, and not counted here

    @property
    def total(self) -> Decimal:
        return self.media + self.masters


def hourly(cluster: Cluster) -> Costs:
    """Per hour, of everything that exists now, on or off."""
    media = [n.droplet for n in cluster.media]
    return Costs(
        media=_sum(media),
        masters=_sum(cluster.masters),
        unpriced=unpriced((*media, *cluster.masters)),
        addresses=sum(1 for d in (*media, *cluster.masters) if is_v5(d.size)),
    )


def _sum(droplets: Iterable[Droplet]) -> Decimal:
    return sum((d.hourly for d in droplets if d.hourly), Decimal(0))


def unpriced(droplets: Iterable[Droplet]) -> int:
    """How many of them have no known price."""
    return sum(1 for d in droplets if not d.hourly)


def so_far(droplets: Iterable[Droplet], now: float) -> Decimal:
    """What these droplets have cost since the month (UTC) began, as far as their prices are known."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    total = Decimal(0)
    for droplet in droplets:
        if not droplet.hourly:
            continue
        since = max(month, _created(droplet, month))
        hours = Decimal(max(0.0, now - since)) / 3600
        total += droplet.hourly * (min(CAP_HOURS, hours) if is_capped(droplet.size, droplet.monthly) else hours)
    return total


def _created(droplet: Droplet, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(droplet.created_at).timestamp()
    except ValueError:
        return otherwise


def money(amount: Decimal) -> str:
    """`$0.21`."""
    return f"${amount:,.2f}"


def at_least(amount: Decimal, without_price: int, per: str = "") -> str:
    """`$0.21/h`; `at least $0.21/h` where some prices are not known; `unknown` where all are."""
    if not without_price:
        return f"{money(amount)}{per}"
    return f"at least {money(amount)}{per}" if amount else "unknown"
