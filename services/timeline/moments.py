"""What one source tells: a moment by its own clock. Pure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Who tells it. The bots' own records are the clock that the others are compared with."""

    RUN = "run"
    AUDIT = "audit"
    DIGITALOCEAN = "DigitalOcean"
    POOL = "autoscale pool"
    SLACK = "Slack"


# Written by bots, in an order that is certain.
OURS = frozenset({Source.RUN, Source.AUDIT})


@dataclass(frozen=True)
class Moment:
    """Something that happened. Times in epoch seconds.

    `at`: by the clock of its source. `after` and `before`: by the bots' clock, between what caused
    it and what it caused; None: not known. `until`: when it was over, by its source; None: it has
    no length, or is not over. `user`: the Slack id of the person who did it; "" for none.
    `proof`: what the audit or the journal holds about it: `audit 12:HASH`, `journal acme-1/3:HASH`;
    "" for what was only read elsewhere. `place`: its position among the moments of one run.
    `sees`: it is what a bot saw, so what it saw comes before it.
    """

    at: float
    source: Source
    text: str
    about: str = ""
    user: str = ""
    proof: str = ""
    after: float | None = None
    before: float | None = None
    until: float | None = None
    place: int = 0
    sees: bool = False


def entry_digest(text: str) -> str:
    """Return the digest of one journal entry as stored."""
    return hashlib.sha256(text.encode()).hexdigest()
