"""Why somebody decided as they did: when a reason is required, and how it is kept. Pure."""

from services.access.policy import Actor, Decision, Rules
from services.common.errors import Refused
from services.common.markers import without_markers
from services.common.text import printable

MOST = 300
MARKS = str.maketrans("<>&`*_~", "‹›+'···")


def reason_of(said: str, decision: Decision, by: Actor, whose: Actor, rules: Rules) -> str:
    """The reason as it is kept: one line. Refused when one is required and none was given."""
    reason = " ".join(printable(said).split())[:MOST]
    if not reason and rules.asks_why(decision, by, whose):
        raise Refused(
            f'{decision.doing} needs a reason, which {whose.mention} reads: add `--reason "…"`; nothing was changed'
        )
    return reason


def harmless(reason: str, most: int = 100) -> str:
    """A reason as it may stand in a sentence anywhere: short, and without a meaning of its own to whoever shows it."""
    line = without_markers(" ".join(printable(reason).split()).translate(MARKS))
    return line if len(line) <= most else f"{line[: most - 1]}…"
