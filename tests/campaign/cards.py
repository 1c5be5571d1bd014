"""What a message says of people who lose their meeting, read from its text alone."""

import re
from dataclasses import dataclass
from functools import lru_cache

MARKS = re.compile(r"[*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
NEGATED = re.compile(
    r"(?:nobody|no one|nothing|no person|none)\s+(?:is|are|will be|gets?)?\s*"
    r"(?:cut off|disconnected|disturbed|thrown out)"
    r"|(?:disconnected|disconnects?|cut off):?\s*(?:nobody|no one|none|nothing|0\b)"
    r"|(?:running )?meetings are never ended|without ending (?:any )?meetings?"
    r"|no meetings? (?:is|are) ended|not disconnected",
    re.IGNORECASE,
)
ENDS = re.compile(
    r"\bends? (?:now )?(?:these |the |all |\d+ |running |still )*"
    r"(?:meetings?|calls?|recordings?|what still runs)"
    r"|\bends now\b|\bcuts? off\b|\bdisconnect(?:s|ed)?\b|\bthrows? out\b"
    r"|without (?:letting meetings finish|draining)|ends running meetings|\bends immediately\b"
    r"|recordings? (?:that are running )?(?:is|are) lost",
    re.IGNORECASE,
)
PEOPLE = re.compile(r"(\d+) (?:people|persons?|participants?)\b", re.IGNORECASE)
RECORDINGS = re.compile(r"(\d+) recordings?\b", re.IGNORECASE)
NODE = re.compile(r"\b(?:media|node)-[\w-]+:")
UNKNOWN = re.compile(
    r"(?:how many|number of(?: running)?) (?:meetings|people|recordings)\b"
    r"[^.;]*\b(?:unknown|not known)",
    re.IGNORECASE,
)
AGENTS = re.compile(r"\bcaptions?\b|\bagents?\b", re.IGNORECASE)
HARMLESS = re.compile(
    (
        r"^(?:reject|details|cancel|wait|stop|leave|abandon|resume|continue "
        r"from|keep|yes|no|restore|undo|open|refresh|later)"
    ),
    re.IGNORECASE,
)
"""Buttons whose text agrees to no loss, unless their own dialog says that something ends."""


@dataclass(frozen=True)
class Named:
    """The people and recordings that a message says will be lost; captions and agents.

    With `unknown` it says that they may be more, because no one can see how many.
    """

    people: int = 0
    recordings: int = 0
    agents: bool = False
    unknown: bool = False

    def plus(self, other: "Named") -> "Named":
        """Return both."""
        agents, unknown = self.agents or other.agents, self.unknown or other.unknown
        return Named(
            self.people + other.people, self.recordings + other.recordings, agents, unknown
        )


@lru_cache(maxsize=1000)
def named(text: str) -> Named:
    """Return what this text names. Without an end of meetings or a number, no one is named."""
    plain = NEGATED.sub(" ", MARKS.sub("", text))
    if not ENDS.search(plain):
        return Named(agents=bool(AGENTS.search(plain)))
    sentences = SENTENCES.split(plain)
    people = max((_count(PEOPLE, s) for s in sentences), default=0)
    recordings = max((_count(RECORDINGS, s) for s in sentences), default=0)
    return Named(people, recordings, bool(AGENTS.search(plain)), bool(UNKNOWN.search(plain)))


def _count(pattern: re.Pattern[str], sentence: str) -> int:
    """Return the sum of a sentence that lists node by node, else the largest number.

    The same people may be named twice.
    """
    numbers = [int(n) for n in pattern.findall(sentence)]
    if len(NODE.findall(sentence)) > 1:
        return sum(numbers)
    return max(numbers, default=0)


@lru_cache(maxsize=1000)
def ends_something(text: str) -> bool:
    """Return whether a button, or its dialog, says that something ends for people."""
    return bool(ENDS.search(NEGATED.sub(" ", MARKS.sub("", text))))


def agrees(label: str, confirm: str) -> bool:
    """Return whether pressing this agrees to what the message says."""
    return ends_something(f"{label}. {confirm}") or not HARMLESS.match(label.strip())
