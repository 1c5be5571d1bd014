"""A sample of the campaign; the same seed is always the same story.

`make test-all` plays all of it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.coverage_level import by_level

ROOT = Path(__file__).parents[2]
SAMPLE, PARTS = by_level(12, 60, 60), by_level(1, 3, 3)


def played(*words: str, seed: str = "") -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONHASHSEED"}
    if seed:
        env["PYTHONHASHSEED"] = seed
    return subprocess.run(
        [sys.executable, "-m", "scripts.campaign", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_goes_wrong_no_promise_is_broken(part: int) -> None:
    seeds = SAMPLE // PARTS
    done = played(str(seeds), "--first", str(part * seeds), "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{seeds} seeds" in done.stdout
    assert "0 with a violation" in done.stdout


RATE_LIMITED = "16"
"""A seed in which Slack's client retries with jitter."""


@pytest.mark.thorough
@pytest.mark.parametrize("story", ["7", RATE_LIMITED])
def test_a_seed_is_the_same_story_every_time(story: str) -> None:
    traces = {
        re.findall(r"trace: (\w+)", played("--seed", story, seed=seed).stdout)[0]
        for seed in ("", "1", "random")
    }
    assert len(traces) == 1
    assert traces != set(re.findall(r"trace: (\w+)", played("--seed", "8").stdout))
