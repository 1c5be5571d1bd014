"""Plays a year of nights with injected faults on every core, and writes docs/reliability.md.

`-m scripts.nights` plays the nights 0 to 364 of the year; `-m scripts.nights --night 12` plays one
of them again and shows its messages.
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
class Result:
    """The result of one night. `disconnected`: meetings ended by force without a decision."""

    number: int
    kind: str
    misfortunes: tuple[str, ...]
    long: bool
    ready: bool
    possible: bool
    called: bool
    disconnected: bool
    faults: tuple[str, ...]


def play_night(number: int) -> Result:
    """Play one night; return its result."""
    watched = play(night(number))
    it, faults = watched.night, tuple(watched.faults())
    long = any(m.until > it.closes for m in it.meetings)
    kinds = tuple(dict.fromkeys(s.kind for s in it.spells))
    return Result(
        number=number,
        kind=it.kind,
        misfortunes=kinds,
        long=long,
        ready=watched.ready,
        possible=watched.possible,
        called=watched.called,
        disconnected=bool(watched.thrown_out) and watched.forced == float("inf"),
        faults=faults,
    )


def main() -> int:
    arguments = argparse.ArgumentParser(prog="nights", description=__doc__)
    arguments.add_argument("nights", nargs="?", type=int, default=365, help="how many")
    arguments.add_argument("--night", type=int, help="play this one and show what was said")
    arguments.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    arguments.add_argument("--write", action="store_true", help="write docs/reliability.md")
    options = arguments.parse_args()
    if options.night is not None:
        return show(play(night(options.night)))
    began, year = time.monotonic(), list[Result]()
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=20) as pool:
        for one in pool.imap_unordered(play_night, range(options.nights)):
            year.append(one)
            for fault in one.faults:
                misfortunes = ", ".join(one.misfortunes) or "no fault"
                print(f"night {one.number} ({one.kind}; {misfortunes}): {fault}", flush=True)
    table = "\n".join(rows(year))
    broken = sum(bool(t.faults) for t in year)
    seconds = time.monotonic() - began
    print(f"\n{table}\n\n{len(year)} nights, {broken} with a broken promise, {seconds:.0f} s")
    if options.write:
        DOCUMENT.write_text(document(table, year))
    if broken:
        return 1
    return 0


def show(watched: Watched) -> int:
    """Print the messages, the states and the faults of one night."""
    it = watched.night
    print(f"{it.kind} of {it.media}, {it.zone}; minutes from the closing time")
    for spell in it.spells:
        since, until = (spell.since - it.closes) / 60, (spell.until - it.closes) / 60
        print(f"{since:7.1f} {spell.kind} until {until:.1f}")
    lines = [(at, text.replace("\n", " · ")) for at, text in watched.said]
    before = None
    for look in watched.looks:
        state = (look.serving, look.masters, look.people)
        if state != before:
            nodes = f"{look.serving} media nodes take meetings, {look.masters} masters"
            lines.append((look.at, f"== {nodes}, {look.people} people"))
        before = state
    for at, text in sorted(lines):
        print(f"{(at - it.closes) / 60:7.1f} {text[:240]}")
    faults = list(watched.faults())
    print("\n".join(faults) or "every promise kept")
    if faults:
        return 1
    return 0


def rows(year: Sequence[Result]) -> Iterable[str]:
    """Yield the rows of the table: one for each misfortune, one for all nights."""
    head = (
        "nights",
        "ready, where it was possible",
        "a person called, where it was not ready",
        "disconnected",
        "broken promises",
    )
    yield f"| Nights with | {' | '.join(head)} |"
    yield "|---|---:|---:|---:|---:|---:|"
    groups: list[tuple[str, list[Result]]] = [("no fault", [t for t in year if not t.misfortunes])]
    groups += [(kind, [t for t in year if kind in t.misfortunes]) for kind in CHANCES]
    groups += [("a meeting past the closing time", [t for t in year if t.long])]
    groups += [
        (f"a fleet of kind {kind}", [t for t in year if t.kind == kind])
        for kind in ("pool", "autoscaler", "fixed")
    ]
    for name, some in [*groups, ("**all**", list(year))]:
        possible = [t for t in some if t.possible]
        others = [t for t in some if not t.possible and not t.ready]
        ready, called = sum(t.ready for t in possible), sum(t.called for t in others)
        share = ""
        if possible:
            share = f" ({100 * ready / len(possible):.1f} %)"
        broken, cut = sum(bool(t.faults) for t in some), sum(t.disconnected for t in some)
        cells = (
            name,
            str(len(some)),
            f"{ready} of {len(possible)}{share}",
            f"{called} of {len(others)}",
            str(cut),
            str(broken),
        )
        yield f"| {' | '.join(cells)} |"


def document(table: str, year: Sequence[Result]) -> str:
    """Return the page of the documentation."""
    return f"""# A year of nights

What off-hours windows promise, and whether it holds when nights go wrong. Made by `make nights`, \
which plays {len(year)} nights of one year in virtual time:
a cluster with the window `nights Mon-Sun 20:00-07:30`, of each kind of fleet and in five time \
zones, with faults drawn from a
seed. An observer outside the bot looks every twenty seconds at who can meet.

{table}

- *Ready*: at 07:30 four masters are healthy and a media node takes meetings. *Possible*: in the \
45 minutes before, none of the faults
  lasted, and the bot ran.
- *Called*: the cluster's channel mentioned people before 07:30, or within five minutes of the \
bot's return.
- *Disconnected*: people lost their meeting, and no one had chosen that.
- *Broken promises* also counts: no media node in service after the closing time while people met \
and no one had decided; and an hour in
  which it should have been in service, could have been, was not, and no message said so.

`.venv/bin/python -m scripts.nights --night 12` plays one night again and shows its messages.
"""


if __name__ == "__main__":
    sys.exit(main())
