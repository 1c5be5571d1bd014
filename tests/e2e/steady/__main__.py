"""`python -m tests.e2e.steady [--seconds 600] [--seed N]`: exit code 0 when nothing grew."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.steady.story import steady
from tests.e2e.steady.weights import grown, table


def main() -> int:
    """Live, weigh, tell."""
    asked = argparse.ArgumentParser(
        prog="steady",
        description="one bot, a real Redis, and ordinary days, weighed every few seconds",
    )
    asked.add_argument("--seconds", type=float, default=600.0)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    words = asked.parse_args()
    if shutil.which("redis-server") is None and shutil.which("valkey-server") is None:
        return _say("redis-server is missing: apt-get install redis-server", 2)
    _say(f"steady: seed {words.seed}, {words.seconds:.0f} s")
    folder = Path(tempfile.mkdtemp(prefix="steady-"))
    weights = asyncio.run(steady(folder, words.seconds, words.seed, lambda _: None))
    _say(table(weights))
    problems = grown(weights)
    if problems:
        return _say("\n".join([*problems, f"its log is in {folder}"]), 1)
    shutil.rmtree(folder, ignore_errors=True)
    return _say("nothing grew")


def _say(text: str, code: int = 0) -> int:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
