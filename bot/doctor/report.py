"""Prints findings, for people and for scripts. Pure."""

import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bot.doctor.check import CheckFinding, CheckVerdict, exit_code
from services.common.text import count_of, join_words

TITLES = {
    CheckVerdict.WRONG: "WRONG",
    CheckVerdict.UNKNOWN: "COULD NOT CHECK",
    CheckVerdict.SKIPPED: "NOT CHECKED",
    CheckVerdict.FINE: "FINE",
}
COUNTED = {
    CheckVerdict.WRONG: "wrong",
    CheckVerdict.UNKNOWN: "could not be checked",
    CheckVerdict.SKIPPED: "not checked",
    CheckVerdict.FINE: "fine",
}
# What is wrong comes first.
ORDER = tuple(TITLES)
DROPLET = re.compile(r"\b(connecting to )?droplet \d+ \([^)]*\): ")
ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b")
ON_A_NODE = re.compile(r"SSH to (?P<node>[^:]+)(: (?P<what>.+))?")
NODE = re.compile(r"SSH to (?P<node>[^:]+)")
WIDTH = 100  # columns
SUBJECT = 14  # columns


def report(findings: Sequence[CheckFinding], *, verbose: bool = False) -> str:
    """Return all findings in groups: what is wrong first, what is fine last."""
    blocked: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.blocked_by:
            blocked[finding.blocked_by].append(finding.name)
    shown = [f for f in findings if not f.blocked_by]
    blocks = []
    for verdict in ORDER:
        group = [f for f in shown if f.verdict is verdict]
        if not group:
            continue
        lines = [TITLES[verdict]]
        if verdict in (CheckVerdict.WRONG, CheckVerdict.UNKNOWN) or verbose:
            lines += _in_full(merged(group), blocked)
        else:
            lines += brief(group)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _in_full(
    findings: Sequence[CheckFinding], blocked: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield the lines of the findings; a fix of several in a row stands after the last of them."""
    for finding, following in zip(findings, [*findings[1:], None], strict=True):
        shown = finding
        if following is not None and following.remedy == finding.remedy:
            shown = replace(finding, remedy="")
        yield from full(shown, blocked.get(finding.name, ()))


def full(finding: CheckFinding, blocked: Iterable[str] = ()) -> Iterator[str]:
    """Yield the cause in one line, the fix in a second, and what was not checked because of it."""
    yield f"  {finding.name}: {finding.said}"
    if finding.remedy:
        yield f"      Fix: {finding.remedy}"
    if names := _names(blocked):
        yield f"      Not checked because of it: {names}"


def line(finding: CheckFinding) -> str:
    """Return a finding with its fix."""
    return "\n".join(full(finding))


def merged(findings: Sequence[CheckFinding]) -> list[CheckFinding]:
    """Return findings of several nodes with the same cause as one that names these nodes."""
    together: dict[tuple[str, str, str], list[CheckFinding]] = defaultdict(list)
    for finding in findings:
        key = (
            NODE.sub("SSH to {}", finding.name),
            _anywhere(finding.said),
            _anywhere(finding.remedy),
        )
        together[key].append(finding)
    return [_as_one(name, group) for (name, _, _), group in together.items()]


def _as_one(name: str, group: Sequence[CheckFinding]) -> CheckFinding:
    first = group[0]
    if len(group) == 1:
        return first
    nodes = [match["node"] for f in group if (match := NODE.search(f.name))]
    return CheckFinding(
        name.format(join_words(nodes)),
        first.verdict,
        _anywhere(first.said),
        _anywhere(first.remedy),
        first.notable,
    )


def _anywhere(text: str) -> str:
    """Return the text without droplet and address, which differ for each node."""
    return ADDRESS.sub("its address", DROPLET.sub("", text))


def brief(findings: Sequence[CheckFinding]) -> list[str]:
    """Return one line for each subject (Slack, DigitalOcean, a cluster), with what was checked."""
    subjects: dict[str, list[CheckFinding]] = defaultdict(list)
    for finding in findings:
        subjects[finding.name.partition(":")[0]].append(finding)
    return [
        textwrap.fill(
            _parts(group),
            WIDTH,
            initial_indent=f"  {subject:<{SUBJECT}}",
            subsequent_indent=" " * (SUBJECT + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for subject, group in subjects.items()
    ]


def _parts(group: Sequence[CheckFinding]) -> str:
    counts: Counter[str] = Counter()
    for finding in group:
        part = finding.name.partition(": ")[2] or finding.said
        if match := ON_A_NODE.fullmatch(part):
            counts[match["what"] or "SSH"] += 1
        elif finding.notable or finding.verdict is CheckVerdict.SKIPPED:
            counts[f"{part} ({finding.said.removeprefix('because ')})"] += 0
        else:
            counts[part] += 0
    return ", ".join(_on_nodes(part, number) for part, number in counts.items())


def _on_nodes(part: str, number: int) -> str:
    if not number:
        return part
    return f"{part} on {count_of(number, 'node')}"


def _names(names: Iterable[str]) -> str:
    """Return `acme: stack, health, SSH; clock: against DigitalOcean`."""
    subjects: dict[str, list[str]] = defaultdict(list)
    for name in names:
        subject, _, part = name.partition(": ")
        subjects[subject].append(part)
    return "; ".join(
        f"{subject}: {', '.join(parts)}".removesuffix(": ") for subject, parts in subjects.items()
    )


def closing(findings: Sequence[CheckFinding], files: str = "") -> str:
    """Return the last line: the number of each verdict, and what to do next.

    `files`: the options with which `serve` finds the same files.
    """
    numbers: Counter[CheckVerdict] = Counter()
    for finding in findings:
        numbers[finding.verdict] += _things(finding)
    counts = ", ".join(f"{numbers[v]} {COUNTED[v]}" for v in ORDER if numbers[v])
    next_step = {
        0: f"Next: openvidu-bot serve{files}",
        1: "Fix what is wrong, then run doctor again.",
        2: "Nothing is known to be wrong, but not everything could be checked.",
    }
    return f"{counts}. {next_step[exit_code(findings)]}"


def _things(finding: CheckFinding) -> int:
    """Return how many names stand in the report: one finding can be about several scopes."""
    if finding.verdict is not CheckVerdict.SKIPPED:
        return 1
    return finding.name.partition(": ")[2].count(", ") + 1


def as_json(findings: Sequence[CheckFinding]) -> str:
    """Return the findings as JSON."""
    return json.dumps(
        {"exit_code": exit_code(findings), "findings": [_values(f) for f in findings]},
        ensure_ascii=False,
        indent=2,
    )


def _values(finding: CheckFinding) -> dict[str, str]:
    values = {
        "name": finding.name,
        "verdict": str(finding.verdict),
        "said": finding.said,
        "remedy": finding.remedy,
    }
    if finding.blocked_by:
        values["blocked_by"] = finding.blocked_by
    return values
