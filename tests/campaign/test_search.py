"""The campaign finds what it is for.

Each restored fault is found within so many stories, from the first seed on.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.search import FAULTS
from tests.support.coverage_level import by_level

ROOT = Path(__file__).parents[2]
PARTS = by_level(10, 4, 4)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_is_found_within_so_many_stories(part: int) -> None:
    names = list(FAULTS)[part::PARTS]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # The order of sets is part of what happens.
    words = [sys.executable, "-m", "tests.campaign.search", *names]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in names if f"{name}: found by seed" not in done.stdout] == []
