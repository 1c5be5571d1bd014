"""Checks of the droplet size that media nodes are to have."""

from decimal import Decimal
from difflib import get_close_matches

from services.cluster.model import Cluster, Droplet, Fact, Size
from services.common.errors import Refused

SUGGESTED = 4
# Sorts a size of unknown price last.
UNPRICED = Decimal("Infinity")
# DigitalOcean resizes these only among themselves, and all others only among themselves.
NEW_PLANS = ("g5-", "s5-")


def is_new_plan(slug: str) -> bool:
    """Return whether the size is of the newer plans, which cannot be mixed with the others."""
    return slug.startswith(NEW_PLANS)


def is_sold(size: Size, region: str) -> bool:
    """Return whether DigitalOcean sells the size in the region. `region` empty: in any."""
    return size.available and (not region or region in size.regions)


def check_sold(cluster: Cluster, slug: str) -> None:
    """Refuse a size that DigitalOcean does not sell in the cluster's region."""
    if not cluster.sizes:
        check_list_complete(cluster)
        raise Refused(
            "DigitalOcean's list of sizes could not be read, so no size can be verified. "
            "Add sizes:read to the token"
        )
    region = cluster.region
    sold = [s.slug for s in cluster.sizes if s.available and region in s.regions]
    hint = _similar(slug, sold)
    if cluster.size(slug) is None:
        check_list_complete(cluster)
        raise Refused(f"DigitalOcean has no size {slug} for this account{hint}")
    if slug not in sold:
        raise Refused(f"DigitalOcean does not offer {slug} in {region} now{hint}")


def _similar(slug: str, sold: list[str]) -> str:
    similar = get_close_matches(slug, sold, SUGGESTED, 0.5)
    if not similar:
        return ""
    return f". Similar sizes: {', '.join(f'`{s}`' for s in similar)}"


def check_list_complete(cluster: Cluster) -> None:
    """Refuse unless the whole list of sizes was read: a size not seen may still be sold."""
    if why := cluster.missing_facts_reason(frozenset({Fact.SIZES})):
        raise Refused(f"DigitalOcean's list of sizes is incomplete ({why}). Nothing was changed")


def by_price(size: Size) -> tuple[Decimal, str]:
    """Sort sizes by price, cheapest first."""
    if size.monthly is None:
        return UNPRICED, size.slug
    return size.monthly, size.slug


def check_fits(cluster: Cluster, droplets: tuple[Droplet, ...], slug: str) -> None:
    """Refuse a size that one of these existing droplets cannot be resized to."""
    size = cluster.size(slug)
    disk = max((d.disk for d in droplets), default=0)
    if size is not None and size.disk < disk:
        raise Refused(
            f"{slug} has a {size.disk} GB disk and the media nodes have {disk} GB; "
            "a disk cannot shrink"
        )
    if any(is_new_plan(d.size) != is_new_plan(slug) for d in droplets):
        raise Refused(
            f"DigitalOcean does not resize these media nodes to {slug}: "
            "g5- and s5- sizes cannot be combined with others"
        )
