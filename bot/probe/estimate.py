"""What a probe creates, how long it takes, and what it costs at most. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from bot.probe.questions import ProbeQuestion
from services.cluster.model import Size
from services.common.errors import Refused

LIMIT = Decimal("0.10")  # dollars
LEAST = Decimal("0.01")  # dollars: DigitalOcean bills no droplet for less
CREATE = 300.0  # seconds for the first droplet of a pool
CLEAN = 300.0
LONGEST = 6000.0  # seconds: whatever is not answered by then is not known
# Plans whose price does not include the address, or that have none.
OTHER_PLANS = ("g5-", "s5-", "gpu-")


@dataclass(frozen=True)
class ProbeSizes:
    """The droplet size that is used, and the one that a droplet is resized to."""

    small: Size
    larger: Size


@dataclass(frozen=True)
class ProbeEstimate:
    """What is announced before anything is created. `droplets`: at most so many, altogether."""

    region: str
    sizes: ProbeSizes | None
    pool: int
    droplets: int
    usual: float
    longest: float
    cost: Decimal


def choose_sizes(sizes: Sequence[Size], region: str) -> ProbeSizes:
    """Return the cheapest size of a region, and the cheapest that it can be resized to.

    Refused where there is none with a price.
    """
    usable = sorted(
        (
            size
            for size in sizes
            if size.hourly and size.available and region in size.regions and _is_bundled(size)
        ),
        key=lambda size: (size.hourly or 0, size.disk, size.slug),
    )
    for small in usable:
        for larger in usable:
            if (larger.hourly or 0) > (small.hourly or 0) and larger.disk >= small.disk:
                return ProbeSizes(small, larger)
    raise Refused(f"DigitalOcean lists no two droplet sizes with a price in {region}")


def _is_bundled(size: Size) -> bool:
    return not size.slug.startswith(OTHER_PLANS)


def estimate(
    questions: Sequence[ProbeQuestion], region: str, sizes: ProbeSizes | None
) -> ProbeEstimate:
    """Return what these questions take. Refused if that may cost more than the limit."""
    pool = max((q.pool for q in questions), default=0)
    extra = sum(q.extra for q in questions)
    single = any(q.droplet for q in questions)
    usual = sum(q.usual for q in questions) + (60.0 if pool or single else 5.0)
    pooled = sum(q.longest for q in questions if q.pool) + (CREATE if pool else 0.0)
    others = sum(q.longest for q in questions if not q.pool)
    longest = min(pooled + others, LONGEST) + CLEAN
    cost = Decimal(0)
    if sizes is not None:
        # At once there are at most the pool's members and one that is being replaced.
        lasting = _price(sizes.small, min(pooled, LONGEST) + CLEAN)
        at_once = min(pool + 1, pool + extra)
        cost = at_once * lasting + (pool + extra - at_once) * LEAST
        if single:
            cost += _price(sizes.larger, sum(q.longest for q in questions if q.droplet) + CLEAN)
    cost = cost.quantize(Decimal("0.01"), ROUND_UP)
    if cost > LIMIT:
        raise Refused(
            f"this may cost ${cost} with {sizes.small.slug if sizes else ''} in {region}, and a "
            f"probe costs at most ${LIMIT}. Name fewer questions, or another --region"
        )
    droplets = pool + extra + (1 if single else 0)
    return ProbeEstimate(region, sizes, pool, droplets, usual, longest, cost)


def _price(size: Size, seconds: float) -> Decimal:
    """Return what one droplet costs that exists for so long."""
    return max(LEAST, (size.hourly or Decimal(0)) * int(seconds) / 3600)
