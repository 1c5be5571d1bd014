"""`openvidu-bot replay`: play recordings against the simulated world, list what is different."""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from bot.replay.compare import Difference, DifferenceKind, compare
from bot.replay.facts import Facts
from bot.replay.pretend import PretendWorld
from bot.replay.story import CannotRead, Story, read
from simulators.cloud.delays import Delays

Json = dict[str, Any]
KNOWN = "known.json"
MOST_SHOWN = 200


@dataclass
class Result:
    """What came of one file. `played` and `unplayed`: exchanges, by request."""

    file: Path
    differences: list[Difference] = field(default_factory=list)
    known: dict[Difference, str] = field(default_factory=dict)
    played: Counter[str] = field(default_factory=Counter)
    unplayed: Counter[str] = field(default_factory=Counter)
    broken: int = 0


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot replay`; return the exit code."""
    try:
        if options.durations:
            return _say_durations(options.files)
        results = [replay(file, known_of(file, options.known)) for file in options.files]
    except CannotRead as error:
        sys.stderr.write(_printable(f"{error}\n"))
        return 2
    sys.stdout.write(_printable(report(results, verbose=options.verbose)))
    return 1 if any(result.differences for result in results) else 0


def known_of(file: Path, given: Path | None = None) -> Mapping[str, str]:
    """Return the known differences with their reasons. CannotRead when the file is wrong."""
    path = given or file.with_name(KNOWN)
    if given is None and not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CannotRead(f"{path}: {type(error).__name__}") from None
    if not isinstance(known, dict) or not all(isinstance(v, str) and v for v in known.values()):
        raise CannotRead(f"{path}: expected an object of differences with their reasons")
    for key in known:
        kind = next((k.value for k in DifferenceKind if key.endswith(k.value)), "")
        if not key.removesuffix(kind).strip("*: "):
            raise CannotRead(f"{path}: {key!r} stands for every difference; name what it is about")
    return known


def replay(file: Path, known: Mapping[str, str], delays: Delays | None = None) -> Result:
    """Play one recording. CannotRead when it is none."""
    result = Result(file)
    found: dict[str, Difference] = {}
    for story in read(file):
        result.broken += story.broken
        with _of_another_form(file, result):
            for difference in compare(play(story, result, delays), story.published):
                found.setdefault(difference.key, difference)
    for key, difference in found.items():
        reason = reason_of(key, known)
        if reason:
            result.known[difference] = reason
        else:
            result.differences.append(difference)
    kinds = list(DifferenceKind)
    result.differences.sort(key=lambda d: (kinds.index(d.kind), d.where, d.what))
    return result


@contextmanager
def _of_another_form(file: Path, result: Result) -> Iterator[None]:
    """Turn what goes wrong with an exchange of an unexpected form into CannotRead.

    A recording comes from elsewhere: any field may be of any type.
    """
    try:
        yield
    except Exception as error:
        last = sum(result.played.values()) + sum(result.unplayed.values())
        raise CannotRead(
            f"{file}: cannot be played, near its exchange {last + 1}: "
            f"not as openvidu-bot writes it ({type(error).__name__})"
        ) from error


def reason_of(key: str, known: Mapping[str, str]) -> str:
    """Return why a difference is known; "" if it is not. `*` in a key stands for any text."""
    if key in known:
        return known[key]
    for pattern, reason in known.items():
        if "*" in pattern and re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), key):
            return reason
    return ""


def play(story: Story, result: Result, delays: Delays | None = None) -> Iterator[tuple[Json, Json]]:
    """Yield each recorded exchange with the simulated one."""
    world = PretendWorld(story, delays)
    for line in story.lines:
        ours = world.play(line)
        if ours is None:
            result.unplayed[line["ask"]] += 1
        else:
            result.played[line["ask"]] += 1
            yield line, ours


def report(results: Sequence[Result], *, verbose: bool = False) -> str:
    """Return the differences in groups, first what decides."""
    lines: list[str] = []
    for result in results:
        lines += _one(result, verbose=verbose)
    total = sum(len(result.differences) for result in results)
    known = sum(len(result.known) for result in results)
    said = f"{total} differences" if total != 1 else "1 difference"
    lines.append(f"{said if total else 'No difference'}, {known} known.")
    return "\n".join(lines) + "\n"


def _one(result: Result, *, verbose: bool) -> list[str]:
    played = sum(result.played.values())
    lines = [f"{result.file}: {played} exchanges played, {len(result.differences)} differences"]
    lines += _groups(result.differences)
    if verbose and result.known:
        lines.append("  known")
        lines += [f"    {d.where}: {d.what}: {d.kind} ({why})" for d, why in result.known.items()]
    if result.unplayed:
        asks = ", ".join(f"{ask} ({count})" for ask, count in sorted(result.unplayed.items()))
        lines.append(f"  not played: {asks}")
    if result.broken:
        lines.append(f"  {result.broken} lines could not be read")
    return lines


def _groups(differences: Iterable[Difference]) -> list[str]:
    lines: list[str] = []
    for kind, group in groupby(differences, lambda d: d.kind):
        members = list(group)
        lines.append(f"  {kind.value} ({len(members)})")
        lines += [f"    {d.where}: {d.what}: {d.said} ({d.count}x)" for d in members[:MOST_SHOWN]]
        if len(members) > MOST_SHOWN:
            lines.append(f"    and {len(members) - MOST_SHOWN} more")
    return lines


def durations_of(files: Iterable[Path]) -> dict[str, list[float]]:
    """Return the durations that recordings show: least, median and most seconds."""
    seen: dict[str, list[float]] = {}
    for file in files:
        for story in read(file):
            facts = Facts()
            with _of_another_form(file, Result(file)):
                for line in () if story.published else story.lines:
                    facts.add(line)
            for what, times in facts.durations.items():
                seen.setdefault(what, []).extend(times.values())
    return {
        what: [round(value, 1) for value in (min(times), median(times), max(times))]
        for what, times in sorted(seen.items())
    }


def _say_durations(files: Sequence[Path]) -> int:
    for what, (least, middle, most) in durations_of(files).items():
        said = f"{what}: {middle:.0f} s ({least:.0f} to {most:.0f} s)\n"
        sys.stdout.write(_printable(said))
    return 0


def _printable(text: str) -> str:
    """Return a text without what would control a terminal, or cannot be written at all."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
