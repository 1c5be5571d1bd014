"""The packages that are imported when they are first used, and whether they are installed.

Checked at the start: a package that is missing must not become known in the middle of a run.
"""

from collections.abc import Sequence
from importlib.util import find_spec

# Imported late: by a request to DigitalOcean, to a node, to a bucket, and so on.
LATE = (
    "asyncssh",
    "azure.core",
    "boto3",
    "cryptography",
    "icalendar",
    "jwt",
    "PIL",
    "pydo",
    "redis",
)


def missing_packages(names: Sequence[str] = LATE) -> list[str]:
    """Return those that cannot be imported, without importing any."""
    # The parent of a dotted name is imported; azure is only a folder.
    return [name for name in names if find_spec(name) is None]
