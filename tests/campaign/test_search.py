"""The campaign finds what it is for: each fault that is put back is found within so many seeds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.search import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_within_so_many_seeds(name: str) -> None:
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # the order of sets is part of what happens
    words = [sys.executable, "-m", "tests.campaign.search", name]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}: found by seed" in done.stdout
