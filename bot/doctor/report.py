"""What was found, for people and for scripts. Pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from bot.doctor.check import Finding, Verdict, exit_code

MARKS = {
    Verdict.FINE: "fine",
    Verdict.WRONG: "WRONG",
    Verdict.UNKNOWN: "could not check",
    Verdict.SKIPPED: "not checked",
}


def line(finding: Finding) -> str:
    """One finding in a line, and its remedy in a second."""
    first = f"{MARKS[finding.verdict]:<16}{finding.name}: {finding.said}"
    return f"{first}\n{'':<16}→ {finding.remedy}" if finding.remedy else first


def closing(findings: Sequence[Finding]) -> str:
    """The last line: how many of each, and what to do next."""
    counted = Counter(f.verdict for f in findings)
    said = ", ".join(f"{counted[v]} {MARKS[v].lower()}" for v in Verdict if counted[v])
    nexts = {
        0: "`openvidu-bot serve` can be started",
        1: "fix what is wrong (→) and run the doctor again",
        2: "nothing is known to be wrong, but not everything could be looked at",
    }
    return f"{said}; {nexts[exit_code(findings)]}"


def as_json(findings: Sequence[Finding]) -> str:
    """The same for scripts."""
    return json.dumps(
        {"exit_code": exit_code(findings), "findings": [asdict(f) for f in findings]},
        ensure_ascii=False,
        indent=2,
    )
