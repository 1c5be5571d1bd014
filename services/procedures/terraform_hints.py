"""What several procedures have to say: what the vendor's Terraform would undo, and what the account has no room for."""

from services.cluster.model import Cluster
from services.common.errors import Refused

WHERE = "in the Terraform variables"


def number(media: int) -> str:
    """After the number of media nodes was changed."""
    instead = "or `ignore_changes = [config]` on the pool"
    return f"set `fixedNumberOfMediaNodes = {media}` {WHERE} ({instead}): otherwise the next apply puts the old number back"


def media_size(slug: str) -> str:
    """After the size of the media nodes was changed."""
    return (
        f'set `mediaNodeInstanceType = "{slug}"` {WHERE}: otherwise the next apply puts the old size back and replaces every media node, '
        "without letting meetings finish"
    )


def fixed_size(slug: str) -> str:
    """After the size of fixed media nodes was changed."""
    return (
        f'set `mediaNodeInstanceType = "{slug}"` {WHERE} before any apply: otherwise it cuts the power of every media node at once and '
        "resizes them back, disks included, whoever meets there"
    )


def masters_size(slug: str) -> str:
    """After the size of the masters was changed."""
    return (
        f'set `masterNodesInstanceType = "{slug}"` {WHERE}: otherwise the next apply powers all changed masters off at once and resizes '
        "them back"
    )


def room_for(cluster: Cluster, more: int, why: str) -> None:
    """Refuse what would go beyond the account's droplet limit, with the numbers."""
    limit, now = cluster.droplet_limit, cluster.droplets_in_account
    if limit is not None and now is not None and now + more > limit:
        raise Refused(
            f"{why} would make {now + more} droplets; the account's limit is {limit} and it has {now} now. Ask DigitalOcean to raise it, "
            "or take some away first"
        )
