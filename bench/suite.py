"""Measures `make test`: alone on the machine, and beside two loops that keep both cores busy."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Unmeasured

ROOT = Path(__file__).parents[1]
QUIET, BUSY = 180.0, 400.0
LOOPS = 2
LOOP = "while True: pass"


def suite() -> list[Figure]:
    """Run it twice. Unmeasured when it fails: how long a failure takes says nothing."""
    quiet = run_suite()
    with busy_loops():
        busy = run_suite()
    group, may = "`make test`", "what it may take"
    return [
        Figure(group, "alone, two cores", quiet, QUIET, "s", may, 1.0),
        Figure(group, f"beside {LOOPS} busy loops", busy, BUSY, "s", may, 1.0),
    ]


def run_suite() -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    ended = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
        why = "; ".join(failed[:5]) or f"{ended.stdout[-300:]}{ended.stderr[-300:]}"
        raise Unmeasured(f"`make test` failed: {why}")
    return time.perf_counter() - began


@contextlib.contextmanager
def busy_loops() -> Iterator[None]:
    """Keep the cores busy meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
