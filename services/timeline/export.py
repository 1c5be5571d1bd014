"""A timeline as a chain of lines, which an entry of the audit vouches for. Pure.

Each line's hash covers its content and the hash of the line before it; the first one covers the
head: cluster, span, clocks and what is missing. The audit has the last hash, so that a line that is
changed, dropped, moved or added afterwards is found, and so is a chain that is replaced.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.audit.entries import AuditAction, Entry
from services.timeline.moments import OURS, entry_digest
from services.timeline.order import Timeline

FORMAT = "openvidu-bot timeline 1"
LINE_KEYS = frozenset(
    {
        "number",
        "time",
        "at",
        "told",
        "within",
        "until",
        "source",
        "about",
        "user",
        "text",
        "proof",
        "previous",
        "hash",
    }
)
HEAD_KEYS = frozenset(
    {"format", "cluster", "subject", "begins", "ends", "clocks", "missing", "left_out", "made"}
)
JOURNAL = re.compile(r"journal (?P<run>.{1,80})/(?P<place>\d{1,9}):(?P<digest>[0-9a-f]{64})")
LONGEST = 32 * 1024 * 1024  # characters of an export that is read


@dataclass(frozen=True)
class Export:
    """An export as it is stored in a file. `head`: cluster, span, clocks and what is missing."""

    head: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]

    @property
    def last_hash(self) -> str:
        """Return the hash that covers all of it, which the audit has."""
        return str(self.lines[-1]["hash"]) if self.lines else _sha(_canonical(self.head))

    @property
    def text(self) -> str:
        """Return it as the text of a file, one line of JSON for each line."""
        body = [_canonical(self.head), *(_canonical(line) for line in self.lines)]
        return "\n".join([*body, ""])


@dataclass(frozen=True)
class ExportFlaw:
    """What is wrong with an export, and in which line; 0: with all of it."""

    line: int
    problem: str


def export_of(
    cluster: str, subject: str, begins: float, ends: float, timeline: Timeline, made: float
) -> Export:
    """Return a timeline as an export. `made`: when."""
    head = {
        "format": FORMAT,
        "cluster": cluster,
        "subject": subject,
        "begins": _iso(begins),
        "ends": _iso(ends),
        "clocks": [clock.words for clock in timeline.clocks],
        "missing": list(timeline.missing),
        "left_out": timeline.left_out,
        "made": _iso(made),
    }
    previous, lines = _sha(_canonical(head)), []
    for number, (moment, told) in enumerate(zip(timeline.moments, timeline.told, strict=True), 1):
        line: dict[str, Any] = {
            "number": number,
            "time": _iso(moment.at),
            "at": round(moment.at, 3),
            "told": round(told, 3),
            "within": timeline.within(moment.source),
            "until": None if moment.until is None else round(moment.until, 3),
            "source": str(moment.source),
            "about": moment.about,
            "user": moment.user,
            "text": moment.text,
            "proof": moment.proof,
            "previous": previous,
        }
        previous = line["hash"] = _sha(_canonical(line))
        lines.append(line)
    return Export(head, tuple(lines))


def read_export(text: str) -> Export:
    """Return the export in the text of a file.

    Raises:
        ValueError: it is no export; the message says why.
    """
    if len(text) > LONGEST:
        raise ValueError("it is too long to be a timeline")
    parsed = []
    for number, line in enumerate(text.splitlines()):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is not JSON") from None
        if not isinstance(value, dict):
            raise ValueError(f"line {number} is not an object")  # noqa: TRY004 - it is about a file
        parsed.append(value)
    if not parsed or parsed[0].get("format") != FORMAT:
        raise ValueError("it is not a timeline that this version can read")
    if set(parsed[0]) != HEAD_KEYS:
        raise ValueError("its first line is not as the bot writes it")
    return Export(parsed[0], tuple(parsed[1:]))


def check_export(
    export: Export, entries: Sequence[Entry], journals: Mapping[str, Sequence[str]]
) -> list[ExportFlaw]:
    """Return everything that is wrong with an export.

    `entries`: the audit's, of its cluster. `journals`: the entries of its runs as stored; a run
    that was removed since, as old ones are, is not compared.
    """
    flaws: list[ExportFlaw] = []
    previous, number = _sha(_canonical(export.head)), 0
    known = {e.number: e for e in entries}
    for line in export.lines:
        place = line.get("number")
        if set(line) != LINE_KEYS or not isinstance(place, int):
            flaws.append(ExportFlaw(number + 1, "is not as the bot writes it"))
            continue
        if place != number + 1:
            flaws.append(ExportFlaw(place, _misplaced(place, number + 1)))
        content = {key: value for key, value in line.items() if key != "hash"}
        if line["hash"] != _sha(_canonical(content)):
            flaws.append(ExportFlaw(place, "was changed: its content does not match its hash"))
        elif line["previous"] != previous and place == number + 1:
            what = "follows a line that was changed" if number else "does not belong to this head"
            flaws.append(ExportFlaw(place, what))
        flaws += [*_against_audit(line, place, known), *_against_journal(line, place, journals)]
        previous, number = str(line["hash"]), place
    return flaws or _vouched(export, entries)


def unproven(export: Export) -> int:
    """Return how many lines only others reported: nothing of the bot's vouches for them."""
    ours = {str(source) for source in OURS}
    return sum(line.get("source") not in ours for line in export.lines)


def _misplaced(place: int, expected: int) -> str:
    if place > expected:
        missing = (
            f"line {expected}" if place == expected + 1 else f"lines {expected} to {place - 1}"
        )
        return f"comes where {missing} should be: it was removed"
    return "is there twice, or in the wrong place"


def _against_audit(
    line: Mapping[str, Any], place: int, known: Mapping[int, Entry]
) -> list[ExportFlaw]:
    kind, _, rest = str(line["proof"]).partition(" ")
    if kind != "audit":
        return []
    number, _, digest = rest.partition(":")
    entry = known.get(int(number)) if number.isdigit() else None
    if entry is None:
        return [ExportFlaw(place, f"names entry {number}, which the audit does not have any more")]
    if entry.hash != digest:
        return [ExportFlaw(place, f"names another entry {number} than the audit has")]
    return []


def _against_journal(
    line: Mapping[str, Any], place: int, journals: Mapping[str, Sequence[str]]
) -> list[ExportFlaw]:
    parts = JOURNAL.fullmatch(str(line["proof"]))
    if parts is None or not journals.get(parts["run"]):
        return []
    stored = journals[parts["run"]]
    index = int(parts["place"])
    if index >= len(stored) or entry_digest(stored[index]) != parts["digest"]:
        return [ExportFlaw(place, f"is not what the journal of {parts['run']} has")]
    return []


def runs_in(export: Export) -> set[str]:
    """Return the runs whose journals the lines name."""
    found = (JOURNAL.fullmatch(str(line.get("proof", ""))) for line in export.lines)
    return {parts["run"] for parts in found if parts is not None}


def _vouched(export: Export, entries: Sequence[Entry]) -> list[ExportFlaw]:
    """Check that a decision of the audit has the last hash."""
    made = [e for e in entries if e.what == AuditAction.EXPORTED]
    if any(e.proof == export.last_hash for e in made):
        return []
    last = len(export.lines)
    return [
        ExportFlaw(
            last,
            "is the last one, and no entry of the audit vouches for it: lines were removed after "
            "it, or all of it was replaced",
        )
    ]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
