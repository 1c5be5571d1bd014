"""Compares rehearsals with what then happens.

`python -m tests.rehearsal.proof SEEDS RUNS FIRST` prints the table.
"""

import logging
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from bot.rehearsal.play import play
from services.common.errors import Refused
from services.operations.rehearsal import Rehearsal
from tests.rehearsal.hidden import Happened, Hidden, happened, hidden, seen

# How much a run may differ from the range by its own rhythm of looks, in seconds.
RHYTHM = 15.0


@dataclass(frozen=True)
class Compared:
    """One hidden world: what was forecast, and what happened."""

    about: Hidden
    forecast: Rehearsal
    happened: Happened

    @property
    def foreseen(self) -> bool:
        return self.happened.kinds <= self.forecast.kinds

    @property
    def in_range(self) -> bool | None:
        """None: it has no duration, as people had to decide."""
        seconds = self.happened.seconds
        if seconds is None:
            return None
        low, high = self.forecast.range
        return low - RHYTHM <= seconds <= high + RHYTHM

    @property
    def within(self) -> bool | None:
        """Whether it took no longer than the card says of 19 of 20; None without a duration."""
        if self.happened.seconds is None or self.forecast.of_twenty < 19:
            return None
        return self.happened.seconds <= self.forecast.slowest + RHYTHM

    @property
    def width(self) -> float:
        low, high = self.forecast.range
        return high / max(1.0, low)


def compare(seed: int, runs: int) -> Compared:
    """Rehearse, then run it."""
    logging.disable(logging.CRITICAL)
    about = hidden(seed)
    scenario = replace(seen(about), runs=runs)
    try:
        forecast = play(scenario)
    except Refused as error:
        raise AssertionError(f"hidden world {seed}: {error}") from error
    return Compared(about, forecast, happened(about))


def compare_all(seeds: Iterable[int], runs: int, workers: int = 1) -> list[Compared]:
    """Do so for many hidden worlds."""
    if workers == 1:
        return [compare(seed, runs) for seed in seeds]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(compare, runs=runs), seeds))


def share(flags: Iterable[bool]) -> float:
    """Return the share of True; 1 of nothing."""
    found = list(flags)
    return sum(found) / len(found) if found else 1.0


def table(compared: list[Compared]) -> str:
    """Return what was found as a table, by kind of fleet."""
    lines = [
        "| fleet | worlds | foreseen | durations | in range | within the card's figure "
        "| longest : shortest | kinds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in ("pool", "fixed", "autoscaler", ""):
        mine = [c for c in compared if kind in ("", c.about.kind)]
        if not mine:
            continue
        timed = [c.in_range for c in mine if c.in_range is not None]
        bounded = [c.within for c in mine if c.within is not None]
        cells = (
            kind or "all",
            len(mine),
            f"{share(c.foreseen for c in mine):.0%}",
            len(timed),
            f"{share(timed):.0%}",
            f"{share(bounded):.0%}",
            f"{median(c.width for c in mine):.1f}",
            f"{median(len(c.forecast.kinds) for c in mine):.0f}",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    seeds, runs, first = (int(a) for a in [*arguments, *("60", "200", "0")[len(arguments) :]])
    compared: list[Compared] = []
    with ProcessPoolExecutor(2) as pool:
        for each in pool.map(partial(compare, runs=runs), range(first, first + seeds)):
            compared.append(each)
            if not each.foreseen or each.in_range is False:
                _say(*_miss(each))
            if len(compared) % 10 == 0:
                _say(table(compared))
    _say(table(compared))
    return 0


def _miss(each: Compared) -> list[object]:
    """Return a world that was not foreseen, with what happened there."""
    about, took = each.about, each.happened.seconds
    return [
        about.seed,
        about.kind,
        about.procedure.command_line(),
        *about.misfortunes,
        "with history" if about.history else "without history",
        sorted(each.happened.kinds),
        took and round(took),
        [round(seconds) for seconds in each.forecast.range],
        sorted(each.forecast.kinds),
        each.happened.words[:100],
    ]


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
