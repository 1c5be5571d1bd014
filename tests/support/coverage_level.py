"""How much the tests cover.

A few cases of many in the usual run, every one in the full run (`make test-all`).
"""

import os
from collections.abc import Iterable

FULL = bool(os.environ.get("OPENVIDU_BOT_FULL"))
"""Whether this is the full run."""

PARTS = 4 if FULL else 1
"""Tests that share what is exhaustive, so that several processes can run it."""


def sample(points: int, few: int, part: int = 0) -> Iterable[int]:
    """Return points from 1 on.

    This part of all of them in the full run, otherwise `few`, spread evenly.
    """
    if FULL:
        return range(1 + part, points + 1, PARTS)
    return {1 + points * (2 * i + 1) // (2 * few) for i in range(few)}
