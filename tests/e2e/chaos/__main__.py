"""`python -m tests.e2e.chaos [--seconds 600] [--seed N]`: exit code 0 when nothing was found."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path

from tests.e2e.chaos.story import chaos
from tests.e2e.chaos.tally import ChaosTally


def main() -> int:
    """Play it and tell what was found."""
    asked = argparse.ArgumentParser(
        prog="chaos", description="three bots, a real Redis, and everything that can go wrong"
    )
    asked.add_argument("--seconds", type=float, default=600.0)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--keep", action="store_true", help="keep the folder with the bots' logs")
    words = asked.parse_args()
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        return _say("redis-server is missing: apt-get install redis-server", 2)
    # The same seed throws the same dice; how fast this machine is, no seed repeats.
    tally = ChaosTally(words.seed, words.seconds, say=_line)
    _say(f"chaos: seed {words.seed}, {words.seconds:.0f} s")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        asyncio.run(_until_told(chaos(folder, program, tally)))
    finally:
        _say(tally.told())
        if words.keep or tally.problems:
            _say(f"the bots' logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if tally.problems else 0


async def _until_told(story: Coroutine[None, None, None]) -> None:
    """Ctrl-C and SIGTERM end it in order: no process is left behind."""
    task = asyncio.create_task(story)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _say(text: str, code: int = 0) -> int:
    _line(text)
    return code


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
