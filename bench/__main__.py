"""`make bench`: measure, print the tables, write them to docs/. `--short`: print the quick ones.

`compare`: measure, write nothing, and name what became worse than the committed figures.
"""

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

from bench.compare import regressions
from bench.droplet import droplet
from bench.figures import Figure, Unmeasured, as_markdown, as_text
from bench.fleets import closings, histories, idling
from bench.goals import goals_table
from bench.growth import growth, pictures
from bench.procedures import CASES, measure
from bench.processes import answers, weights
from bench.sharing import sharing
from bench.simulation import simulation
from bench.store_load import store_load
from bench.suite import suite

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
COMPARE = "compare"
SHORT = ("shutdown", "scale 3 → 2")
BY_NAME = ("suite",)  # ten minutes, and it wants a machine of its own: only where it is named
Section = Callable[[], list[Figure]]
SECTIONS: dict[str, Section] = {
    "procedures": measure,
    "answers": answers,
    "closings": closings,
    "idling": idling,
    "sharing": sharing,
    "store": store_load,
    "histories": histories,
    "growth": growth,
    "weights": weights,
    "droplet": droplet,
    "simulation": simulation,
    "suite": suite,
}


def main() -> int:
    """Run the measurements; return 0 also for slow results: a slow machine is no failure."""
    arguments = argparse.ArgumentParser(prog="bench", description=__doc__)
    arguments.add_argument(
        "sections",
        nargs="*",
        choices=[COMPARE, *SECTIONS, []],
        help="only these; left out: all but suite. Their tables are renewed, or compared",
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
    named = [name for name in options.sections if name != COMPARE]
    names = named or [name for name in SECTIONS if name not in BY_NAME]
    if COMPARE in options.sections:
        return compare({name: SECTIONS[name] for name in names}, DOCS)
    return renew({name: SECTIONS[name] for name in names}, DOCS)


def renew(sections: Mapping[str, Section], docs: Path) -> int:
    """Measure and write each; return 1 if one could not be measured: its page then tells why."""
    failed = 0
    for name, section in sections.items():
        figures, why = measured_or_why(section)
        failed += bool(why)
        print(why or as_text(figures), end="\n\n", flush=True)
        write(name, figures, why, docs)
    return min(failed, 1)


def compare(sections: Mapping[str, Section], docs: Path) -> int:
    """Measure each beside the committed figures; return 1 if one is worse or is not measured."""
    committed = json.loads((docs / "performance.json").read_text("utf-8"))
    worse: list[str] = []
    for name, section in sections.items():
        figures, why = measured_or_why(section)
        print(why or as_text(figures), end="\n\n", flush=True)
        if why:
            worse.append(f"{name}: {why}")
        elif name in committed:
            worse += regressions(committed[name]["figures"], figures)
        else:
            print(f"{name}: nothing is committed yet\n")
    print("\n".join(worse) or "Nothing is worse than the committed figures allow.")
    return bool(worse)


def measured_or_why(section: Section) -> tuple[list[Figure], str]:
    """Return the figures, or why they cannot be measured."""
    try:
        return section(), ""
    except Unmeasured as error:
        return [], f"not measured: {error}"


def write(section: str, figures: Sequence[Figure], why: str, docs: Path = DOCS) -> None:
    """Write a section to performance.json, and all sections from there to performance.md.

    `why` it was not measured replaces the figures of an earlier time.
    """
    file, page = docs / "performance.json", docs / "performance.md"
    parts = {}
    if file.is_file():
        parts = json.loads(file.read_text("utf-8"))
    parts[section] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "figures": [figure.record() for figure in figures],
    }
    if why:
        parts[section]["unmeasured"] = why
    parts = {name: parts[name] for name in SECTIONS if name in parts}
    file.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    head, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    known = [read(record) for part in parts.values() for record in part["figures"]]
    tables = "\n".join([goals_table(known), *(table(name, part) for name, part in parts.items())])
    page.write_text(f"{head}{BEGIN}\n\n{tables}\n{END}{tail}", "utf-8")
    for name, picture in pictures(known).items():
        (docs / "pictures" / f"{name}.svg").write_text(picture, "utf-8")


def table(name: str, part: Mapping[str, Any]) -> str:
    """Return the tables of a section, or why there are none."""
    what = as_markdown([read(record) for record in part["figures"]])
    if "unmeasured" in part:
        what = f"### {name}\n\n**{part['unmeasured']}**\n"
    return f"{what}\n*{part['date']}, {part['machine']}*\n"


def machine() -> str:
    """Return cores, processor, system and Python of this machine."""
    system = f"{platform.machine()}, {platform.system()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def read(record: Mapping[str, Any]) -> Figure:
    """Return the figure of a record, which an older version may have written."""
    return Figure(**{f.name: record[f.name] for f in fields(Figure) if f.name in record})


if __name__ == "__main__":
    sys.exit(main())
