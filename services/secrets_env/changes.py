"""Differences between two `secrets.env` by key, and their consequences."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.secrets_env.file import SecretsFile
from services.secrets_env.keys import CLUSTER, KEYS, MEET, NODE, ChangePolicy


class ChangeKind(StrEnum):
    """How a key differs."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    # No value differs; order, comments, line ends or earlier duplicates do.
    LAYOUT = "layout"


@dataclass(frozen=True)
class Change:
    """A key that differs; `name` is "" for layout."""

    name: str
    kind: ChangeKind

    def __str__(self) -> str:
        if not self.name:
            return "only order, comments or line ends"
        return f"{self.name} {self.kind}"


@dataclass(frozen=True)
class Consequences:
    """Consequences of changed keys: sentences for the plan, in the order of the keys.

    `refused`: keys that must not change; an older version of the file can bring them back.
    """

    restarts: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def changes(before: SecretsFile, after: SecretsFile) -> tuple[Change, ...]:
    """Return the keys whose value differs, in the order of the files; never a value."""
    differing = [
        Change(name, _kind(before.value(name), after.value(name)))
        for name in dict.fromkeys((*before.names(), *after.names()))
        if before.value(name) != after.value(name)
    ]
    if not differing and before.data != after.data:
        return (Change("", ChangeKind.LAYOUT),)
    return tuple(differing)


def _kind(old: str | None, new: str | None) -> ChangeKind:
    if old is None:
        return ChangeKind.ADDED
    if new is None:
        return ChangeKind.REMOVED
    return ChangeKind.CHANGED


def consequences(names: Iterable[str]) -> Consequences:
    """Return the consequences of changing these keys."""
    keys = [KEYS[name] for name in dict.fromkeys(names) if name in KEYS]
    restarts: tuple[str, ...] = ()
    if any(key.goes_to in {CLUSTER, MEET, NODE} for key in keys):
        restarts = (
            "OpenVidu on master 1, and then the services on other nodes that use the change",
        )
    return Consequences(
        restarts=restarts,
        breaks=tuple(f"{key.name}: {key.breaks}" for key in keys if key.breaks),
        todo=tuple(dict.fromkeys(key.todo for key in keys if key.todo)),
        refused=tuple(
            f"{key.name}: {key.why}" for key in keys if key.policy is ChangePolicy.REFUSED
        ),
    )
