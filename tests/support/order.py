"""In which order several workers play the tests, so that none of them ends long after the others.

pytest-xdist's `worksteal` gives each worker a block of the list, and an idle worker the second half
of what another has left: what takes longest belongs at the beginning of every block.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def blocks(count: int, workers: int) -> list[int]:
    """Return how many of so many tests each worker is given at first."""
    sizes: list[int] = []
    for left in range(workers, 0, -1):
        sizes.append((count - sum(sizes)) // left)
    return sizes


def dealt(units: Sequence[Sequence[T]], others: Sequence[T], workers: int, first: int) -> list[T]:
    """Return all of them, the blocks of the first workers beginning with their share of the units.

    A unit stays together; units are dealt in turns.
    """
    heads = [[one for unit in units[n::first] for one in unit] for n in range(first)]
    heads += [[] for _ in range(workers - first)]
    sizes = blocks(sum(map(len, units)) + len(others), workers)
    if any(len(head) > size for head, size in zip(heads, sizes, strict=True)):
        return [one for unit in units for one in unit] + list(others)
    rest = iter(others)
    return [
        one
        for head, size in zip(heads, sizes, strict=True)
        for one in (*head, *islice(rest, size - len(head)))
    ]
