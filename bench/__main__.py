"""`make bench`: measure, print the tables, write them to docs/. `--short`: print the quick ones."""

import argparse
import datetime as dt
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.curves import curve
from bench.figures import Figure, as_markdown, as_text
from bench.fleets import close, closings, histories, idling
from bench.procedures import CASES, measure
from bench.processes import answers, weights
from bench.simulation import simulation

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
CROWDS = (1, 10, 25, 50)
SHORT = ("shutdown", "scale 3 → 2")
SECTIONS: dict[str, Callable[[], list[Figure]]] = {
    "procedures": measure,
    "answers": answers,
    "closings": closings,
    "idling": idling,
    "histories": histories,
    "weights": weights,
    "simulation": simulation,
}


def main() -> int:
    """Run the measurements; return 0 also for slow results: a slow machine is no failure."""
    arguments = argparse.ArgumentParser(prog="bench", description=__doc__)
    arguments.add_argument(
        "sections",
        nargs="*",
        choices=[*SECTIONS, []],
        help="only these; left out: all. Their tables are renewed",
    )
    arguments.add_argument(
        "--short",
        action="store_true",
        help="what takes seconds, as `make test` shows it; nothing is written",
    )
    options = arguments.parse_args()
    # Slack's rate limit on one channel is logged again and again when many clusters use it.
    logging.disable(logging.WARNING)
    if options.short:
        print(as_text(measure(tuple(c for c in CASES if c.name in SHORT))))
        return 0
    for name in options.sections or SECTIONS:
        figures = SECTIONS[name]()
        print(as_text(figures), end="\n\n", flush=True)
        write(name, figures)
    return 0


def write(section: str, figures: Sequence[Figure]) -> None:
    """Write a section to docs/performance.json, and all sections from there to performance.md."""
    file, page = DOCS / "performance.json", DOCS / "performance.md"
    parts = {}
    if file.is_file():
        parts = json.loads(file.read_text("utf-8"))
    parts[section] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "figures": [figure.record() for figure in figures],
    }
    parts = {name: parts[name] for name in SECTIONS if name in parts}
    file.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    head, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = "\n".join(
        f"{as_markdown([read(r) for r in part['figures']])}\n{measured(part)}\n"
        for part in parts.values()
    )
    page.write_text(f"{head}{BEGIN}\n\n{tables}\n{END}{tail}", "utf-8")
    if section in GROWTH:
        name, draw = GROWTH[section]
        (DOCS / "pictures" / f"{name}.svg").write_text(draw(figures), "utf-8")


def machine() -> str:
    """Return cores, processor, system and Python of this machine."""
    system = f"{platform.machine()}, {platform.system()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def measured(part: Mapping[str, Any]) -> str:
    """Return when and on what a section was measured."""
    return f"*{part['date']}, {part['machine']}*"


def read(record: Mapping[str, Any]) -> Figure:
    """Return the figure of a record."""
    return Figure(**{f.name: record[f.name] for f in fields(Figure)})


def long_history(figures: Sequence[Figure]) -> str:
    """Draw the cost of a run as its journal grows."""
    points = [(int(f.name.split()[1].replace(",", "")), f.ours) for f in figures]
    return curve(
        "Computing for one run, as the journal grows",
        "earlier runs",
        "milliseconds",
        [(10, figures[0].peer), *points],
    )


def crowds(_: Sequence[Figure]) -> str:
    """Draw the requests of each of many clusters that close at the same minute."""
    points = [(n, len(close(n).requests) / n) for n in CROWDS]
    title = "Requests to DigitalOcean for each cluster, as more close at the same minute"
    return curve(title, "clusters under one token", "requests each", points)


GROWTH = {"histories": ("history", long_history), "closings": ("crowd", crowds)}


if __name__ == "__main__":
    sys.exit(main())
