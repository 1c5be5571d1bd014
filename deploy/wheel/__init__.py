"""The installed package `openvidu_bot`: one name in site-packages.

In the wheel, `bot`, `config`, `handlers`, `services` and `simulators` are in a folder beside this
file that is no package. It is put first on the path when the command starts: the packages neither
hide others nor are hidden by them.
"""

import importlib
import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent / "packages"


def main() -> int:
    """Run `openvidu-bot`."""
    # "" and "." (also an empty entry of PYTHONPATH) are the current folder, into which any user may
    # have written.
    sys.path[:] = [str(PACKAGES), *(entry for entry in sys.path if entry not in ("", "."))]
    # By name: not there before the line above, and found nowhere else.
    return int(importlib.import_module("bot.__main__").main())
