"""Half a minute of `make chaos`."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.chaos.story import chaos
from tests.e2e.chaos.tally import Tally
from tests.support.tools import redis_server


@pytest.mark.slow
def test_half_a_minute_of_everything_going_wrong(tmp_path: Path) -> None:
    tally = Tally(seed=5, seconds=25.0)
    asyncio.run(chaos(tmp_path, redis_server(), tally))
    assert tally.problems == [], tally.told()
    assert sum(tally.faults.values()) >= 5, tally.told()
    assert sum(tally.runs.values()) >= 1, tally.told()
