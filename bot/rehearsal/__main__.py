"""The process of a rehearsal: a scenario in, its result out, both as JSON.

`python -m bot.rehearsal SECONDS [BYTES]` sets its limits first, and ends within them.
"""

import gc
import logging
import sys
import time

from bot.rehearsal.limits import MEMORY, set_limits

NEEDS_MORE_MEMORY = 3  # the exit code
COLLECT_AFTER = 50_000  # objects; what a run leaves behind is collected less often


def main(arguments: list[str]) -> int:
    """Play the scenario of stdin; return the exit code."""
    began, seconds = time.monotonic(), float(arguments[0])
    set_limits(seconds, int(arguments[1]) if arguments[1:] else MEMORY)
    gc.set_threshold(COLLECT_AFTER)
    logging.disable(logging.CRITICAL)
    try:
        sys.stdout.write(_played(sys.stdin.read(), began + seconds))
    except MemoryError:
        return NEEDS_MORE_MEMORY
    return 0


def _played(text: str, until: float) -> str:
    # All that takes memory and time is imported within the limits.
    from dataclasses import replace  # noqa: PLC0415

    from bot.rehearsal.play import play_apart  # noqa: PLC0415
    from services.common.errors import BotError  # noqa: PLC0415
    from services.common.serialize import read, write  # noqa: PLC0415
    from services.operations.rehearsal import CLASSES, RefusedPlan  # noqa: PLC0415

    scenario = read(text, CLASSES, "the scenario")
    left = until - time.monotonic()
    try:
        return write(play_apart(replace(scenario, seconds=left)), CLASSES)
    except BotError as error:
        return write(RefusedPlan(str(error)), CLASSES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
