"""Which droplet sizes there are for media nodes, and what is said of another."""

from decimal import Decimal
from difflib import get_close_matches

from services.cluster.model import Cluster, Droplet, Fact, Size
from services.common.errors import Refused

NEAR = 4
UNPRICED = Decimal("Infinity")  # where sizes are put in order, one of unknown price comes last
NEW_PLANS = (
    "g5-",
    "s5-",
)  # DigitalOcean resizes these only among themselves, and all others only among themselves


def must_be_sold(cluster: Cluster, slug: str) -> None:
    """Refused unless DigitalOcean sells it where the cluster stands."""
    if not cluster.sizes:
        must_be_whole(cluster)
        raise Refused(
            "DigitalOcean's list of sizes could not be read (the token needs sizes:read); nothing is resized unseen"
        )
    size = cluster.size(slug)
    region = cluster.region
    sold = [s.slug for s in cluster.sizes if s.available and region in s.regions]
    near = get_close_matches(slug, sold, NEAR, 0.5)
    hint = f"; near it: {', '.join(f'`{s}`' for s in near)}" if near else ""
    if size is None:
        must_be_whole(cluster)
        raise Refused(f"DigitalOcean has no size {slug} for this account{hint}")
    if slug not in sold:
        raise Refused(f"{slug} is not to be had in {region} now{hint}")


def must_be_whole(cluster: Cluster) -> None:
    """Refused, with the reason, unless the whole list of sizes was read: one that was not seen may be sold all the same."""
    if why := cluster.lacking(frozenset({Fact.SIZES})):
        raise Refused(
            f"DigitalOcean's list of sizes was not seen in full ({why}); nothing is resized unseen"
        )


def by_price(size: Size) -> tuple[Decimal, str]:
    """Puts sizes in order, cheapest first."""
    return (UNPRICED if size.monthly is None else size.monthly, size.slug)


def must_fit(cluster: Cluster, droplets: tuple[Droplet, ...], slug: str) -> None:
    """Refused where a droplet that stays cannot become of that size."""
    size = cluster.size(slug)
    disk = max((d.disk for d in droplets), default=0)
    if size is not None and size.disk < disk:
        raise Refused(
            f"{slug} has {size.disk} GB of disk and the media nodes have {disk} GB; a disk cannot shrink"
        )
    if any(d.size.startswith(NEW_PLANS) != slug.startswith(NEW_PLANS) for d in droplets):
        raise Refused(
            f"DigitalOcean does not resize these media nodes to {slug}: g5- and s5- sizes and the others do not mix"
        )
