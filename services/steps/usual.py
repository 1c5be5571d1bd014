"""How long things usually take at DigitalOcean, as recordings of real accounts show it. Pure.

`durations.json` is written by `scripts/durations.py` from tests/recordings: for each thing the
least, the median and the most seconds. What no recording shows has its figure in the step.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("durations.json")


@cache
def medians(file: Path = FILE) -> Mapping[str, float]:
    """Return the median seconds, by what happened."""
    found: dict[str, list[float]] = json.loads(file.read_text("utf-8"))
    return {what: times[1] for what, times in found.items()}


def usual(what: str, otherwise: float) -> float:
    """Return the usual seconds of what recordings call so; `otherwise` where none shows it."""
    return medians().get(what, otherwise)
