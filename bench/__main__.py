"""`make bench`: measure, print the table, and write it to docs/. `--short`: what takes seconds, printed only."""

import argparse
import datetime as dt
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

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
    reading.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="only these; left out: all, and docs/ is written")
    reading.add_argument("--short", action="store_true", help="what takes seconds, as `make test` shows it")
    said = reading.parse_args()
    if said.short:
        print(as_text(measure(tuple(c for c in CASES if c.name in SHORT))))
        return 0
    figures: list[Figure] = []
    for name in said.sections or SECTIONS:
        found = SECTIONS[name]()
        print(as_text(found), end="\n\n", flush=True)
        figures += found
    if not said.sections:
        write(figures)
    return 0


def write(figures: Sequence[Figure]) -> None:
    """The table into docs/performance.md and .json, growth into pictures beside them."""
    made = dt.datetime.now(dt.UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    content = {"date": made, "machine": machine, "figures": [f.record() for f in figures]}
    (DOCS / "performance.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    pictures = DOCS / "pictures"
    grown = [(int(f.name.split()[1].replace(",", "")), f.ours) for f in figures if "journal grows" in f.group]
    first = next((f.peer for f in figures if "journal grows" in f.group), 0.0)
    title = "Computing for one run, as the journal grows"
    (pictures / "history.svg").write_text(curve(title, "earlier runs", "milliseconds", [(10, first), *grown]), "utf-8")
    crowds = [(n, len(close(n).requests) / n) for n in CROWDS]
    title = "Requests to DigitalOcean for each cluster, as more close at the same minute"
    (pictures / "crowd.svg").write_text(curve(title, "clusters under one token", "requests each", crowds), "utf-8")
    page = DOCS / "performance.md"
    head, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n\nMeasured {made} on {machine}.\n\n{as_markdown(figures)}\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
