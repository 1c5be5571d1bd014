"""Which Terraform variable to set after a change, so that the next apply does not revert it."""

from services.cluster.deployment import ControlPlane

WHERE = "in the Terraform variables"


def number(media: int) -> str:
    """Return the hint after a change of the number of media nodes."""
    return (
        f"Set `fixedNumberOfMediaNodes = {media}` {WHERE} (or `ignore_changes = [config]` on the "
        "pool). Otherwise the next apply restores the old number"
    )


def media_size(slug: str) -> str:
    """Return the hint after a change of the media nodes' size."""
    return (
        f'Set `mediaNodeInstanceType = "{slug}"` {WHERE}. Otherwise the next apply restores the '
        "old size and replaces every media node without draining"
    )


def fixed_size(slug: str) -> str:
    """Return the hint after a change of the size of fixed media nodes."""
    return (
        f'Set `mediaNodeInstanceType = "{slug}"` {WHERE} before any apply. Otherwise it powers off '
        "every media node at once and resizes them back, disks included. All meetings then end"
    )


def masters_size(slug: str, plane: ControlPlane) -> str:
    """Return the hint after a change of the masters' size."""
    back = "all changed masters at once and resizes them back"
    if plane.masters == 1:
        back = f"{plane.all_masters} and resizes it back"
    return (
        f'Set `{plane.size_variable} = "{slug}"` {WHERE}. Otherwise the next apply '
        f"powers off {back}"
    )
