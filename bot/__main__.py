"""Entry point of `openvidu-bot`: handle stop signals first, then load the command line."""

import importlib
import sys
from collections.abc import Sequence

from bot.early import handle_stop_signals

COMMAND_LINE = "bot.command_line"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong arguments or settings."""
    words = sys.argv[1:] if arguments is None else arguments
    handle_stop_signals(words)
    # Imported by name and only now: importing takes a second, and a stop must be heard meanwhile.
    try:
        return int(importlib.import_module(COMMAND_LINE).run(words))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
