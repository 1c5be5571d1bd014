"""Random numbers that repeat."""

import random


def dice_of(seed: str | int) -> random.Random:
    """Return random numbers that are the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - repeatable, not secret
