"""How much the tests cover, in three levels.

`make test` plays a few cases where many cost a lot: every law and every kind of scene, each value
of each parameter. `make test-all` plays every case, with more examples. pytest by hand is between:
every case, with usual examples.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar
from zlib import crc32

from hypothesis import HealthCheck, settings

T = TypeVar("T")

FULL = bool(os.environ.get("OPENVIDU_BOT_FULL"))
"""Whether this is the full run."""

QUICK = not FULL and bool(os.environ.get("OPENVIDU_BOT_QUICK"))
"""Whether this is the run of `make test`."""

PARTS = 4 if FULL else 1
"""Tests that share what is exhaustive, so that several processes can run it."""


def by_level(quick: int, usual: int, full: int) -> int:
    """Return the number for this run: of examples, rounds or seeds."""
    if FULL:
        return full
    if QUICK:
        return quick
    return usual


LAW = settings(
    max_examples=by_level(10, 30, 500),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""The same examples every time, everywhere: a failing law must fail for everyone."""


def sample(points: int, few: int, part: int = 0) -> Iterable[int]:
    """Return points from 1 on.

    This part of all of them in the full run, otherwise `few`, spread evenly; a quarter of them in
    `make test`.
    """
    if FULL:
        return range(1 + part, points + 1, PARTS)
    if QUICK:
        few = -(-few // 4)
    return {1 + index for index in spread(points, few)}


def share(cases: Sequence[T], number: int, of: int) -> Sequence[T]:
    """Return the part of this number in `make test`, otherwise all.

    For a product that costs too much: with as many parts as there are tests, each case is played
    by one of them.
    """
    if QUICK:
        return cases[number % of :: of]
    return cases


def spread(count: int, few: int) -> set[int]:
    """Return at most `few` of the indices below `count`, spread evenly."""
    if count <= few:
        return set(range(count))
    return {count * (2 * i + 1) // (2 * few) for i in range(few)}


def rotated(count: int, few: int, name: str) -> set[int]:
    """Return at most `few` of the indices below `count`; another name begins with another one.

    Tests of one family so play different kinds.
    """
    first = crc32(name.encode())
    return {(first + index) % count for index in spread(count, few)}


def cases(family: Sequence[Mapping[str, object]]) -> list[dict[str, int]]:
    """Return for each case which value each parameter has, as a number.

    The same object is the same value: stacked parametrizations give each case the objects that
    they list. (pytest's own `callspec.indices` count the cases.)
    """
    listed: dict[str, dict[int, int]] = {}
    return [
        {
            name: (known := listed.setdefault(name, {})).setdefault(id(value), len(known))
            for name, value in case.items()
        }
        for case in family
    ]


def covering(cases: Sequence[Mapping[str, object]]) -> set[int]:
    """Return the indices of cases in which each value of each parameter occurs."""
    left = {pair for case in cases for pair in case.items()}
    chosen: set[int] = set()
    while left:
        index = max(range(len(cases)), key=lambda i: (len(left & set(cases[i].items())), -i))
        left -= set(cases[index].items())
        chosen.add(index)
    return chosen
