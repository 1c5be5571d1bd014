"""Which Terraform variable to set after a change, so that the next apply does not revert it."""

WHERE = "in the Terraform variables"


def number(media: int) -> str:
    """Return the hint after a change of the number of media nodes."""
    return (
        f"set `fixedNumberOfMediaNodes = {media}` {WHERE} (or `ignore_changes = [config]` on the "
        "pool): otherwise the next apply puts the old number back"
    )


def media_size(slug: str) -> str:
    """Return the hint after a change of the media nodes' size."""
    return (
        f'set `mediaNodeInstanceType = "{slug}"` {WHERE}: otherwise the next apply puts the old '
        "size back and replaces every media node, without letting meetings finish"
    )


def fixed_size(slug: str) -> str:
    """Return the hint after a change of the size of fixed media nodes."""
    return (
        f'set `mediaNodeInstanceType = "{slug}"` {WHERE} before any apply: otherwise it cuts the '
        "power of every media node at once and resizes them back, disks included, whoever meets "
        "there"
    )


def masters_size(slug: str) -> str:
    """Return the hint after a change of the masters' size."""
    return (
        f'set `masterNodesInstanceType = "{slug}"` {WHERE}: otherwise the next apply powers all '
        "changed masters off at once and resizes them back"
    )
