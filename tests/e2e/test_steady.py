"""A running bot does not grow: a short run shows that `-m tests.e2e.steady` would notice."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.steady.story import steady
from tests.e2e.steady.weights import Weight, grown, table
from tests.support.coverage_level import FULL, by_level
from tests.support.tools import redis_server

SECONDS = by_level(5, 45, 600)
EVERY = by_level(1, 5, 5)
FLAT = [Weight(5.0 * n, 100_000 + n % 3 * 400, 30 + n % 4, 40, 120, 6) for n in range(40)]


def test_it_lives_on_and_nothing_grows(tmp_path: Path) -> None:
    redis_server()
    weights = asyncio.run(steady(tmp_path, SECONDS, 7, lambda _: None, EVERY))
    assert len(weights) >= 4
    if FULL:
        assert grown(weights) == [], table(weights)
    assert {"rss", "tasks", "descriptors", "keys"} <= set(table(weights).split()), (
        "less than a minute is no time to grow in"
    )


@pytest.mark.parametrize(
    ("name", "each"), [("rss", 800), ("tasks", 1), ("descriptors", 1), ("keys", 4)]
)
def test_what_grows_is_told(name: str, each: int) -> None:
    assert grown(FLAT) == []
    growing = [replace(w, **{name: getattr(w, name) + n * each}) for n, w in enumerate(FLAT)]
    (told,) = grown(growing)
    assert told.startswith(f"{name} grew by")
    assert grown(growing[:6]) == [], "too little to tell"
    more_runs = [replace(w, runs=w.runs + n) for n, w in enumerate(growing)]
    assert (grown(more_runs) == []) == (name == "keys"), "keys that come with runs go with them"
