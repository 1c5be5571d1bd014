"""What differs between two files, by name, and what it means for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.secrets_env.file import SecretsFile
from services.secrets_env.keys import CLUSTER, KEYS, MEET, NODE, Policy


class Kind(StrEnum):
    """How a key differs."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    LAYOUT = "layout"  # no value differs; order, comments, line ends or earlier duplicates do


@dataclass(frozen=True)
class Change:
    """One key that differs; `name` is "" for layout."""

    name: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.name} {self.kind}" if self.name else "only order, comments or line ends"


@dataclass(frozen=True)
class Impact:
    """What a change of keys does: sentences for the card, in the order of the keys."""

    restarts: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    refused: tuple[
        str, ...
    ] = ()  # keys that must not change; an older version of the file can bring them


def changes(before: SecretsFile, after: SecretsFile) -> tuple[Change, ...]:
    """The keys whose value differs, in the order of the files; never a value."""
    found = []
    for name in dict.fromkeys((*before.names(), *after.names())):
        old, new = before.value(name), after.value(name)
        if old != new:
            found.append(
                Change(
                    name,
                    Kind.ADDED if old is None else Kind.REMOVED if new is None else Kind.CHANGED,
                )
            )
    if not found and before.data != after.data:
        return (Change("", Kind.LAYOUT),)
    return tuple(found)


def effects(names: Iterable[str]) -> Impact:
    """What it restarts and breaks when these keys change."""
    keys = [KEYS[name] for name in dict.fromkeys(names) if name in KEYS]
    restarts: tuple[str, ...] = ()
    if any(key.goes_to in {CLUSTER, MEET, NODE} for key in keys):
        restarts = (
            "OpenVidu on master 1, and after it whatever OpenVidu applies the change to on the other nodes",
        )
    return Impact(
        restarts=restarts,
        breaks=tuple(f"{key.name}: {key.breaks}" for key in keys if key.breaks),
        todo=tuple(dict.fromkeys(key.todo for key in keys if key.todo)),
        refused=tuple(f"{key.name}: {key.why}" for key in keys if key.policy is Policy.REFUSED),
    )
