"""openvidu-bot as a package: one name among those of other packages, whatever the bot's own packages are called.

In the wheel, `bot`, `config`, `handlers`, `services` and `simulators` stand in a folder beside this file that is no package. They come onto
the path when the command starts, in front of everything else, so that they can neither hide another package nor be hidden by one.
"""

import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent / "packages"


def main() -> int:
    """Run `openvidu-bot`."""
    # "" and ".": the folder in which the command was started, which anybody may have written into (an empty entry of PYTHONPATH means it).
    sys.path[:] = [str(PACKAGES), *(entry for entry in sys.path if entry not in ("", "."))]
    from bot.__main__ import main as run  # noqa: PLC0415

    return run()
