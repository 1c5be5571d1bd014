#!/usr/bin/env python3
"""Takes over the durations that tests/recordings show.

They become the delays of the simulators and the estimates of the steps. The same data is written
beside each: neither may read the other's.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bot.replay.command import durations_of
from services.steps.usual import FILE
from simulators.cloud.delays import MEASURED

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT / "tests" / "recordings"


def write(files: Iterable[Path], targets: Sequence[Path] = (MEASURED, FILE)) -> int:
    """Write what the files show; return how many durations."""
    durations = durations_of(files)
    rows = [f" {json.dumps(what)}: {json.dumps(times)}" for what, times in durations.items()]
    text = "{\n" + ",\n".join(rows) + "\n}\n" if rows else "{}\n"
    for target in targets:
        target.write_text(text, "utf-8")
    return len(durations)


def main() -> int:
    print(f"{write(sorted(RECORDINGS.glob('*.jsonl')))} durations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
