"""Plays a year of nights on every core and writes docs/reliability.md: what the windows kept, under which misfortunes.

`nights.py` plays the nights 0 to 364 of the year; `nights.py --night 12` plays one of them again and shows what was said in it.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.nights.luck import CHANCES, night
from tests.nights.play import play
from tests.nights.watch import Watched

ROOT = Path(__file__).parents[1]

DOCUMENT = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True)
class Told:
    """A night, as far as the table needs it."""

    number: int
    kind: str
    misfortunes: tuple[str, ...]
    long: bool
    ready: bool
    possible: bool
    called: bool
    cut_off: bool  # nobody had decided that
    faults: tuple[str, ...]


def told(number: int) -> Told:
    """Play one and tell of it."""
    watched = play(night(number))
    it, faults = watched.night, tuple(watched.faults())
    long = any(m.until > it.closes for m in it.meetings)
    kinds = tuple(dict.fromkeys(s.kind for s in it.spells))
    cut = bool(watched.thrown_out) and watched.forced == float("inf")
    return Told(
        number, it.kind, kinds, long, watched.ready, watched.possible, watched.called, cut, faults
    )


def main() -> int:
    reading = argparse.ArgumentParser(prog="nights", description=__doc__)
    reading.add_argument("nights", nargs="?", type=int, default=365, help="how many")
    reading.add_argument("--night", type=int, help="play this one and show what was said")
    reading.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    reading.add_argument("--write", action="store_true", help="write docs/reliability.md")
    asked = reading.parse_args()
    if asked.night is not None:
        return show(play(night(asked.night)))
    began, year = time.monotonic(), list[Told]()
    with multiprocessing.get_context("spawn").Pool(asked.jobs, maxtasksperchild=20) as pool:
        for one in pool.imap_unordered(told, range(asked.nights)):
            year.append(one)
            for fault in one.faults:
                print(
                    f"night {one.number} ({one.kind}; {', '.join(one.misfortunes) or 'no misfortune'}): {fault}",
                    flush=True,
                )
    table = "\n".join(rows(year))
    print(
        f"\n{table}\n\n{len(year)} nights, {sum(bool(t.faults) for t in year)} with a broken promise, {time.monotonic() - began:.0f} s"
    )
    if asked.write:
        DOCUMENT.write_text(document(table, year))
    return 1 if any(t.faults for t in year) else 0


def show(watched: Watched) -> int:
    """One night for a person to read: what was said, how many served, and what was wrong."""
    it = watched.night
    print(f"{it.kind} of {it.media}, {it.zone}; minutes from the closing time")
    for spell in it.spells:
        print(
            f"{(spell.since - it.closes) / 60:7.1f} {spell.kind} until {(spell.until - it.closes) / 60:.1f}"
        )
    lines = [(at, text.replace("\n", " · ")) for at, text in watched.said]
    before = None
    for look in watched.looks:
        state = (look.serving, look.masters, look.people)
        if state != before:
            lines.append(
                (
                    look.at,
                    f"== {look.serving} media nodes take meetings, {look.masters} masters, {look.people} people",
                )
            )
        before = state
    for at, text in sorted(lines):
        print(f"{(at - it.closes) / 60:7.1f} {text[:240]}")
    faults = list(watched.faults())
    print("\n".join(faults) or "every promise kept")
    return 1 if faults else 0


def rows(year: Sequence[Told]) -> Iterable[str]:
    """The table, a line for each misfortune and one for all."""
    head = (
        "nights",
        "ready, where it was possible",
        "a person called, where it was not ready",
        "cut off",
        "broken promises",
    )
    yield f"| Nights with | {' | '.join(head)} |"
    yield "|---|---:|---:|---:|---:|---:|"
    groups: list[tuple[str, list[Told]]] = [
        ("no misfortune", [t for t in year if not t.misfortunes])
    ]
    groups += [(kind, [t for t in year if kind in t.misfortunes]) for kind in CHANCES]
    groups += [("a meeting past the closing time", [t for t in year if t.long])]
    groups += [
        (f"a fleet of kind {kind}", [t for t in year if t.kind == kind])
        for kind in ("pool", "autoscaler", "fixed")
    ]
    for name, some in [*groups, ("**all**", list(year))]:
        possible = [t for t in some if t.possible]
        others = [t for t in some if not t.possible and not t.ready]
        share = (
            f" ({100 * sum(t.ready for t in possible) / len(possible):.1f} %)" if possible else ""
        )
        ready, called = sum(t.ready for t in possible), sum(t.called for t in others)
        broken, cut = sum(bool(t.faults) for t in some), sum(t.cut_off for t in some)
        yield f"| {name} | {len(some)} | {ready} of {len(possible)}{share} | {called} of {len(others)} | {cut} | {broken} |"


def document(table: str, year: Sequence[Told]) -> str:
    """The page of the documentation."""
    return f"""# A year of nights

What off-hours windows keep when nights go wrong. Made by `make nights`, which plays {len(year)} nights of one year in virtual time:
a cluster with the window `nights Mon-Sun 20:00-07:30`, of each kind of fleet and in five time zones, with misfortunes drawn from a
seed. An observer outside the bot looks every twenty seconds at who can meet.

{table}

- *Ready*: at 07:30 four masters are healthy and a media node takes meetings. *Possible*: in the 45 minutes before, none of the misfortunes
  went on, and the bot ran.
- *Called*: the cluster's channel mentioned people before 07:30, or within five minutes of the bot's return.
- *Cut off*: people lost their meeting, and nobody had chosen that.
- *Broken promises* also counts: no media node in service after the closing time while people met and nobody had decided; and an hour in
  which it should have been in service, could have been, was not, and nobody was told.

`.venv/bin/python scripts/nights.py --night 12` plays one night again and shows what was said in it.
"""


if __name__ == "__main__":
    sys.exit(main())
