"""scripts/env.py: the lock is shared out whole, and what pip reports is counted."""

import sys
from pathlib import Path

import pytest

from scripts import env

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_a_lock_is_shared_out_whole(kind: str) -> None:
    lock = (ROOT / env.LOCKS[kind]).read_text()
    packages = env.requirements(lock)
    assert all("==" in one and "--hash=sha256:" in one for one in packages)
    kept = [line for line in lock.splitlines() if line.strip() and not line.startswith("#")]
    assert "".join(packages).splitlines() == kept
    for shares in range(1, env.MOST_AT_ONCE + 1):
        parts = [packages[number::shares] for number in range(shares)]
        assert sorted(one for part in parts for one in part) == sorted(packages)


def test_progress_is_what_pip_reports() -> None:
    progress = env.Progress(3)
    assert progress.line(1.0) == "installing 3 packages, 1 s: looking for them"
    words = "print('Collecting a==1'); print('x'); print('Collecting b==2 (from c)')"
    progress.follow([sys.executable, "-c", words])
    assert progress.line(2.4) == "installing 3 packages, 2 s: 2 found, now b"
    progress.follow([sys.executable, "-c", "print('Installing collected packages: a')"])
    assert progress.line(3.0).endswith("2 found, now b"), "one of two still looks"
    assert progress.failed == []
    progress.follow([sys.executable, "-c", "print('No matching'); raise SystemExit(1)"])
    assert progress.failed == ["No matching\n"]


def test_a_fuller_installation_is_enough_for_less() -> None:
    assert env.ENOUGH == {"demo": ("demo", "run", "dev"), "run": ("run", "dev"), "dev": ("dev",)}
    assert env.LOCKS.keys() == env.ENOUGH.keys()
