"""Reasons for decisions: when one is required, and how it is stored and shown. Pure."""

from services.access.policy import Actor, ClusterPolicy, DecisionKind
from services.common.errors import Refused
from services.common.markers import without_markers
from services.common.text import strip_invisible

MOST = 300
MARKS = str.maketrans("<>&`*_~", "‹›+'···")


def reason_of(
    text: str, decision: DecisionKind, by: Actor, whose: Actor, rules: ClusterPolicy
) -> str:
    """Return a typed reason as it is stored: one line. Refused if one is required and missing."""
    reason = " ".join(strip_invisible(text).split())[:MOST]
    if not reason and rules.needs_reason(decision, by, whose):
        raise Refused(
            f"{decision.doing} needs a reason, which {whose.mention} reads. "
            'Add `--reason "…"`. Nothing was changed'
        )
    return reason


def safe_reason(reason: str, most: int = 100) -> str:
    """Return a reason as it may stand in any sentence: short, and without markup characters."""
    line = without_markers(" ".join(strip_invisible(reason).split()).translate(MARKS))
    if len(line) <= most:
        return line
    return f"{line[: most - 1]}…"
