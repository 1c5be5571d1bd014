"""What each simulated behaviour rests on: a recording, a schema, a source, or nothing yet.

Beside the code that simulates something, `rests_on` names its evidence. Whether a recording shows
it is added by `scripts/evidence.py`: the recordings themselves say so.
"""

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """The kinds of evidence, the best first."""

    RECORDING = "a recording"
    EXECUTED = "the real program"
    SCHEMA = "a schema"
    SOURCE = "a source"
    DOCUMENT = "a document"
    NOTHING = "nothing yet"


@dataclass(frozen=True)
class Evidence:
    """What one behaviour rests on. `where`: which schema, file or page; or what is open."""

    party: str
    what: str
    source: Source
    where: str


MARKS: dict[tuple[str, str], Evidence] = {}
"""By party and behaviour."""


def rests_on(party: str, source: Source, where: str, *behaviours: str) -> None:
    """Mark what these behaviours rest on; each is marked once."""
    for what in behaviours:
        assert (party, what) not in MARKS, f"{party} {what} is marked twice"
        assert where, "which schema, file or page it is; or what is open"
        MARKS[party, what] = Evidence(party, what, source, where)
