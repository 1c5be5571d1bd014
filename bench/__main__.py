"""`make bench`: measure, print the table, and write it to docs/. `--short`: what takes seconds, printed only."""

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
    """0, whatever was measured: a slow machine is no mistake."""
    reading = argparse.ArgumentParser(prog="bench", description=__doc__)
    reading.add_argument(
        "sections",
        nargs="*",
        choices=[*SECTIONS, []],
        help="only these; left out: all. Their tables are renewed",
    )
    reading.add_argument(
        "--short",
        action="store_true",
        help="what takes seconds, as `make test` shows it; nothing is written",
    )
    said = reading.parse_args()
    logging.disable(
        logging.WARNING
    )  # a crowd in one channel is told often that Slack limits the rate
    if said.short:
        print(as_text(measure(tuple(c for c in CASES if c.name in SHORT))))
        return 0
    for name in said.sections or SECTIONS:
        found = SECTIONS[name]()
        print(as_text(found), end="\n\n", flush=True)
        keep(name, found)
    return 0


def keep(section: str, figures: Sequence[Figure]) -> None:
    """The section's tables into docs/performance.json, with date and machine, and all of them from there into docs/performance.md."""
    file, page = DOCS / "performance.json", DOCS / "performance.md"
    kept = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    made = dt.datetime.now(dt.UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    kept[section] = {"date": made, "machine": machine, "figures": [f.record() for f in figures]}
    kept = {name: kept[name] for name in SECTIONS if name in kept}
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    head, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = "\n".join(
        f"{as_markdown([read(r) for r in part['figures']])}\n{measured(part)}\n"
        for part in kept.values()
    )
    page.write_text(f"{head}{BEGIN}\n\n{tables}\n{END}{tail}", "utf-8")
    if section in GROWTH:
        name, made_of = GROWTH[section]
        (DOCS / "pictures" / f"{name}.svg").write_text(made_of(figures), "utf-8")


def measured(part: Mapping[str, Any]) -> str:
    """When, and on what."""
    return f"*{part['date']}, {part['machine']}*"


def read(record: Mapping[str, Any]) -> Figure:
    """The figure that a record was made of."""
    return Figure(**{f.name: record[f.name] for f in fields(Figure)})


def long_history(figures: Sequence[Figure]) -> str:
    """The cost of a run as its journal grows."""
    grown = [(int(f.name.split()[1].replace(",", "")), f.ours) for f in figures]
    return curve(
        "Computing for one run, as the journal grows",
        "earlier runs",
        "milliseconds",
        [(10, figures[0].peer), *grown],
    )


def crowds(_: Sequence[Figure]) -> str:
    """What each cluster of a crowd asks for."""
    points = [(n, len(close(n).requests) / n) for n in CROWDS]
    title = "Requests to DigitalOcean for each cluster, as more close at the same minute"
    return curve(title, "clusters under one token", "requests each", points)


GROWTH = {"histories": ("history", long_history), "closings": ("crowd", crowds)}


if __name__ == "__main__":
    sys.exit(main())
