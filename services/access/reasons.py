"""Reasons for decisions: when one is required, and how it is stored and shown. Pure."""

from services.access.policy import Actor, Decision, Rules
from services.common.errors import Refused
from services.common.markers import without_markers
from services.common.text import printable

MOST = 300
MARKS = str.maketrans("<>&`*_~", "‹›+'···")


def reason_of(text: str, decision: Decision, by: Actor, whose: Actor, rules: Rules) -> str:
    """Return a typed reason as it is stored: one line. Refused if one is required and missing."""
    reason = " ".join(printable(text).split())[:MOST]
    if not reason and rules.asks_why(decision, by, whose):
        raise Refused(
            f"{decision.doing} needs a reason, which {whose.mention} reads: "
            'add `--reason "…"`; nothing was changed'
        )
    return reason


def harmless(reason: str, most: int = 100) -> str:
    """Return a reason as it may stand in any sentence: short, and without markup characters."""
    line = without_markers(" ".join(printable(reason).split()).translate(MARKS))
    if len(line) <= most:
        return line
    return f"{line[: most - 1]}…"
