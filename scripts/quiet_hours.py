"""Plays months of arrivals and writes the table of docs/how-to/quiet-hours.md.

`-m scripts.quiet_hours` prints it, `--write` writes it. The same seeds give the same table.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from services.billing.prices import money
from tests.nights.quiet_months import Months, Outcome, Play, draw

PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "quiet-hours.md"
BLOCK = re.compile(r"(<!-- made: quiet hours -->\n).*?(<!-- end of quiet hours -->\n)", re.DOTALL)
SEEDS, WEEKS = 6, 12
WINDOWS = (
    "nights daily 20:00-08:00",
    "nights daily 18:00-08:00",
    "quiet daily 18:00-08:00 --when-empty 15m",
    "quiet daily 18:00-08:00 --when-empty 30m",
    "quiet daily 18:00-08:00 --when-empty 60m",
)


@cache
def months(seed: int, weeks: int = WEEKS) -> Months:
    """Return what happens with that seed."""
    return draw(seed, weeks)


@dataclass(frozen=True)
class Row:
    """One window, over all seeds."""

    window: str
    outcomes: tuple[Outcome, ...]
    never: Decimal

    def cells(self) -> Iterator[str]:
        """Yield the cells of its row."""
        outs = self.outcomes
        together = Outcome(waits=[w for o in outs for w in o.waits])
        saved = self.never - sum((o.cost for o in outs), Decimal(0))
        yield f"`{self.window}`"
        yield f"{money(saved)} ({100 * saved / self.never:.0f} %)"
        yield str(len(together.waits))
        yield f"{together.p95 / 60:.0f} min"
        yield str(sum(o.refused for o in outs))
        yield str(max(o.most_a_night(o.wakes) for o in outs))
        yield str(max(o.most_a_night(o.closings) for o in outs))
        yield str(sum(o.disconnected for o in outs))


def row(window: str, seeds: int = SEEDS, weeks: int = WEEKS) -> Row:
    """Play one window with every seed."""
    outcomes = [Play(months(seed, weeks), [window]).run() for seed in range(seeds)]
    never = [Play(months(seed, weeks), []).run().cost for seed in range(seeds)]
    return Row(window, tuple(outcomes), sum(never, Decimal(0)))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    head = (
        "Window",
        "saved, against never closing",
        "came while closed",
        "p95 of their wait",
        "without a wake-up left",
        "wake-ups a night, most",
        "closings a night, most",
        "disconnected",
    )
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(r.cells())} |" for r in rows)]) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(prog="quiet_hours", description=__doc__)
    arguments.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = arguments.parse_args()
    made = table([row(window) for window in WINDOWS])
    print(made)
    if options.write:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(BLOCK.sub(lambda m: f"{m[1]}\n{made}\n{m[2]}", page), "utf-8")


if __name__ == "__main__":
    main()
