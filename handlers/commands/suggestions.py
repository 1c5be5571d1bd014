"""What people type instead of a command: synonyms, and hints for words that are none. Pure.

A hint never names the opposite of what was typed, nor a command that changes more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from handlers.commands import COMMANDS
from handlers.commands.catalog import SYNONYMS, TOPICS, Rank, opposite

# What is meant by words that are no command at all.
MEANINGS: Mapping[str, str] = {
    "errors": "status NODE",
    "containers": "status NODE",
    "what": "status",
    "how": "status",
    "is": "status",
    "who": "whoami",
    "when": "window forecast",
    "keep": "help keepup",
}
# In a sentence these describe the cluster: "is it down?"
STATES = ("up", "down", "on", "off")
# Letters that a typed word has at least, for a hint by its spelling.
SHORTEST = 4
PREFIX = 3


def letters(words: str) -> str:
    """Return a command without what parts its words: `window list`, `window-list`."""
    return "".join(c for c in words.casefold() if c not in " -_")


_BY_LETTERS = {letters(kind.command): kind.command for kind in COMMANDS}
_MEANT = {word: command for command, words in SYNONYMS.items() for word in words}
# Accepted, and never proposed.
_NOT_PROPOSED = ("rescale", "run", "config apply", "file apply", "module apply")
_NAMES = {k.command: k.command for k in COMMANDS if k.command not in _NOT_PROPOSED} | _MEANT


def spelled_differently(words: Sequence[str]) -> tuple[str, int] | None:
    """Return the command whose letters the first words have, and how many words: `shut down`."""
    for count in (3, 2, 1):
        if len(words) >= count and (found := _BY_LETTERS.get(letters("".join(words[:count])))):
            return found, count
    return None


def synonym(words: Sequence[str]) -> tuple[str, int] | None:
    """Return the command that the first words mean, and how many words those are."""
    for count in range(min(4, len(words)), 0, -1):
        typed = " ".join(words[:count]).casefold().rstrip("?!.") or words[0]
        if typed in _MEANT:
            return _MEANT[typed], count
    return None


def hint(words: Sequence[str]) -> str:
    """Return the command that was meant, as in `did you mean`; "" where that is not certain."""
    typed = " ".join(words).casefold()
    return _by_spelling(words) or _by_meaning(typed.replace("?", " ").replace("!", " ").split())


def _by_meaning(words: Sequence[str]) -> str:
    """Return a command that only reads, for a sentence."""
    if not words:
        return ""
    named = {_NAMES[word] for word in words if word in _NAMES and word not in STATES}
    if changing := {c for c in named if _rank(c) is not Rank.READING}:
        if len(changing) > 1:
            return ""
        return f"help {changing.pop()}"
    meant = {_MEANT[w] for w in words if w in _MEANT and w not in STATES and len(w) >= SHORTEST}
    if len(meant) == 1:
        return meant.pop()
    return MEANINGS.get(words[0], "")


@dataclass(frozen=True)
class _Near:
    """A command near to what was typed: by how many mistakes, in how many words."""

    command: str
    distance: int
    words: int

    @property
    def rank(self) -> Rank:
        return _rank(self.command)


def _by_spelling(words: Sequence[str]) -> str:
    """Return the one command that a mistyped word can be."""
    typed = words[0].casefold()
    near = list(_near(words))
    candidates = sorted(
        (n for n in near if n.distance <= _reach(n, typed)),
        key=lambda n: (n.distance, -n.words, n.rank),
    )
    if family := _family(typed, min([n.distance for n in candidates], default=2)):
        return f"help {family}"
    return next((n.command for n in candidates if _is_safe(n, near)), "")


def _family(typed: str, below: int) -> str:
    """Return the mistyped first word of several commands, if it is nearer than every command."""
    families = sorted({k.command.split()[0] for k in COMMANDS if " " in k.command and not k.hidden})
    return next((f for f in families if 0 < mistakes(typed, f, 1) < min(2, below)), "")


def _reach(near: _Near, typed: str) -> int:
    """Return how many mistakes a hint allows for: more where nothing is changed."""
    if near.rank is Rank.READING and len(typed) > 5:
        return 2
    return 1


def _is_safe(candidate: _Near, near: Iterable[_Near]) -> bool:
    """Return whether nothing else may be meant that changes less, or does the opposite."""
    for other in near:
        if opposite(candidate.command, other.command):
            return False
        if candidate.rank is Rank.READING or other.command == candidate.command:
            continue
        if other.words < candidate.words:
            # The second word tells commands of one family apart.
            continue
        if other.distance <= candidate.distance:
            return False
        if other.rank < candidate.rank and other.distance <= candidate.rank:
            return False
    return True


def _near(words: Sequence[str]) -> Iterable[_Near]:
    """Yield the commands that may be meant: up to two mistakes away, or begun."""
    for name, command in _NAMES.items():
        count = name.count(" ") + 1
        typed = " ".join(words[:count]).casefold()
        if len(name) < SHORTEST or len(typed) < PREFIX or len(words) < count:
            continue
        if name.startswith(typed):
            yield _Near(command, 1, name.count(" ") + 1)
        elif (distance := mistakes(typed, name, 2)) <= 2:
            yield _Near(command, distance, name.count(" ") + 1)


def _rank(command: str) -> Rank:
    return TOPICS[command].rank


def mistakes(typed: str, name: str, most: int) -> int:
    """Return how many letters were left out, added, swapped or wrong; more than `most`: `most + 1`.

    The optimal string alignment distance.
    """
    if abs(len(typed) - len(name)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(name) + 1))
    for i, a in enumerate(typed, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(name, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == name[j - 2] and typed[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return min(row[-1], most + 1)
