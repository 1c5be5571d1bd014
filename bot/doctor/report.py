"""Prints findings, for people and for scripts. Pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from bot.doctor.check import CheckFinding, CheckVerdict, exit_code

MARKS = {
    CheckVerdict.FINE: "fine",
    CheckVerdict.WRONG: "WRONG",
    CheckVerdict.UNKNOWN: "could not check",
    CheckVerdict.SKIPPED: "not checked",
}


def line(finding: CheckFinding) -> str:
    """Return a finding in one line, and its remedy in a second."""
    first = f"{MARKS[finding.verdict]:<16}{finding.name}: {finding.said}"
    if not finding.remedy:
        return first
    return f"{first}\n{'':<16}→ {finding.remedy}"


def closing(findings: Sequence[CheckFinding]) -> str:
    """Return the last line: the number of each verdict, and what to do next."""
    numbers = Counter(f.verdict for f in findings)
    counts = ", ".join(f"{numbers[v]} {MARKS[v].lower()}" for v in CheckVerdict if numbers[v])
    next_step = {
        0: "`openvidu-bot serve` can be started",
        1: "fix what is wrong (→) and run the doctor again",
        2: "nothing is known to be wrong, but not everything could be looked at",
    }
    return f"{counts}; {next_step[exit_code(findings)]}"


def as_json(findings: Sequence[CheckFinding]) -> str:
    """Return the findings as JSON."""
    return json.dumps(
        {"exit_code": exit_code(findings), "findings": [asdict(f) for f in findings]},
        ensure_ascii=False,
        indent=2,
    )
