"""What a card says of people who lose their meeting, read from its words as people see them and from nothing else."""

import re
from dataclasses import dataclass

MARKS = re.compile(r"[*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
NEGATED = re.compile(
    r"(?:nobody|no one|nothing|no person|none)\s+(?:is|are|will be|gets?)?\s*(?:cut off|disconnected|disturbed|thrown out)"
    r"|(?:disconnected|disconnects?|cut off):?\s*(?:nobody|no one|none|nothing|0\b)"
    r"|(?:running )?meetings are never ended|without ending (?:any )?meetings?|no meetings? (?:is|are) ended|not disconnected",
    re.IGNORECASE,
)
ENDS = re.compile(
    r"\bends? (?:now )?(?:these |the |all |\d+ |running |still )*(?:meetings?|calls?|recordings?|what still runs)"
    r"|\bends now\b|\bcuts? off\b|\bdisconnect(?:s|ed)?\b|\bthrows? out\b|without letting meetings finish|ends running meetings"
    r"|recordings? (?:that are running )?(?:is|are) lost",
    re.IGNORECASE,
)
PEOPLE = re.compile(r"(\d+) (?:people|persons?|participants?)\b", re.IGNORECASE)
RECORDINGS = re.compile(r"(\d+) recordings?\b", re.IGNORECASE)
NODE = re.compile(r"\b(?:media|node)-[\w-]+:")
UNKNOWN = re.compile(
    r"how many (?:meetings|people|recordings)\b[^.;]*\b(?:unknown|not known)", re.IGNORECASE
)
AGENTS = re.compile(r"\bcaptions?\b|\bagents?\b", re.IGNORECASE)
HARMLESS = re.compile(
    r"^(?:reject|details|cancel|wait|stop|leave|abandon|resume|go on from|keep|yes|no|restore|undo|open|refresh|later)",
    re.IGNORECASE,
)
"""Buttons that agree to no loss by what stands on them; unless their own dialog says that something ends."""


@dataclass(frozen=True)
class Named:
    """How many people and recordings a card says that lose their meeting, and whether it speaks of captions or agents that end.

    With `unknown` it says that they may be more, because no one can see how many.
    """

    people: int = 0
    recordings: int = 0
    agents: bool = False
    unknown: bool = False

    def plus(self, other: "Named") -> "Named":
        """Both."""
        agents, unknown = self.agents or other.agents, self.unknown or other.unknown
        return Named(
            self.people + other.people, self.recordings + other.recordings, agents, unknown
        )


def named(text: str) -> Named:
    """What is named in this text. Where it does not say that meetings end, or not how many people, nobody is named."""
    plain = NEGATED.sub(" ", MARKS.sub("", text))
    if not ENDS.search(plain):
        return Named(agents=bool(AGENTS.search(plain)))
    sentences = SENTENCES.split(plain)
    people = max((_count(PEOPLE, s) for s in sentences), default=0)
    recordings = max((_count(RECORDINGS, s) for s in sentences), default=0)
    return Named(people, recordings, bool(AGENTS.search(plain)), bool(UNKNOWN.search(plain)))


def _count(pattern: re.Pattern[str], sentence: str) -> int:
    """Of a sentence that lists node by node the sum, else the largest number: the same people may be named twice."""
    found = [int(n) for n in pattern.findall(sentence)]
    if len(NODE.findall(sentence)) > 1:
        return sum(found)
    return max(found, default=0)


def ends_something(text: str) -> bool:
    """Whether a button, or its dialog, says that something ends for people."""
    return bool(ENDS.search(NEGATED.sub(" ", MARKS.sub("", text))))


def agrees(label: str, confirm: str) -> bool:
    """Whether pressing this agrees to what stands on the card."""
    return ends_something(f"{label}. {confirm}") or not HARMLESS.match(label.strip())
