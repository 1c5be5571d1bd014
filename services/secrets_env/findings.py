"""Findings in `secrets.env` that keep nodes from starting, or would run as root.

They name lines and keys, never values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.secrets_env.file import SecretsFile
from services.secrets_env.keys import (
    IN_A_COMMAND,
    INSTALLED_KEYS,
    KEYS,
    LOGIN_KEYS,
    READY_KEY,
)
from services.secrets_env.lint import may_change
from services.secrets_env.problems import Harm, Problem

# Findings of one file at most.
MOST = 50
SHOWN = 3


class Danger(StrEnum):
    """The consequence, worst first."""

    # Part of the line runs as a command, or writes a file, as root.
    RUNS = "runs"
    # The node that reads the line does not start.
    STOPS = "stops"
    # A key is missing or has no value.
    MISSING = "missing"
    # No key is left at all.
    EMPTIED = "emptied"
    # There is no such file.
    ABSENT = "absent"


class Reader(StrEnum):
    """Which reader of the file is affected."""

    # Each master that boots.
    MASTERS = "masters"
    # Each media node that installs.
    NODES = "nodes"
    # Neither; but the file is damaged, and must not be edited like that.
    EDITS = "edits"


@dataclass(frozen=True)
class Finding:
    """A finding. `line` 0: the whole file; `settable`: `config set` of that key repairs it."""

    danger: Danger
    reader: Reader
    text: str
    line: int = 0
    key: str = ""
    settable: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class SecretsFindings:
    """`secrets.env` was read, with these findings."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class SecretsUnread:
    """`secrets.env` was not read, and why."""

    reason: str = field(default="not observed")


ABSENT = Finding(
    Danger.ABSENT,
    Reader.MASTERS,
    "it is not in the bucket: a master that boots without it leaves OpenVidu stopped",
)
EMPTIED = Finding(
    Danger.EMPTIED,
    Reader.NODES,
    "it is empty: none of its keys exists, and new media nodes wait for them",
)


def findings(file: SecretsFile, *, pool: bool = False) -> tuple[Finding, ...]:
    """Return all findings, worst first.

    `pool`: the deployment is of a generation whose media nodes read the masters' addresses from
    this file.
    """
    is_empty = not any(name in KEYS for name in file.names())
    problems = [p for p in file.problems() if not (is_empty and p.code == "gate")]
    results = [f for p in problems if (f := _of_problem(file, p)) is not None]
    if is_empty:
        results.append(EMPTIED)
    else:
        results += [*_missing(file, pool), *_lost(file)]
    if not file.layout.installs:
        results = [f for f in results if f.reader is not Reader.NODES]
    if b"\0" in file.data and file.layout.installs:
        line = file.data[: file.data.index(b"\0")].count(b"\n") + 1
        text = f"line {line}: has a NUL byte: new media nodes read nothing of the file"
        results.append(Finding(Danger.STOPS, Reader.NODES, text, line))
    order = list(Danger)
    return tuple(sorted(results, key=lambda f: (order.index(f.danger), f.line))[:MOST])


def worst_consequence(found: Sequence[Finding]) -> str:
    """Return the consequence of the worst finding."""
    if any(f.danger is Danger.RUNS for f in found):
        return "a start with this secrets.env is not safe"
    if any(f.reader is Reader.MASTERS for f in found):
        return "a master that boots with this secrets.env would stay stopped"
    if any(f.reader is Reader.NODES for f in found):
        return "no new media node would start with this secrets.env"
    return "this secrets.env has lost keys that the installation wrote"


def findings_text(found: Sequence[Finding]) -> str:
    """Return a list of the findings: the first few by line and key, and the missing keys."""
    missing = [f.key for f in found if f.danger is Danger.MISSING and not f.line]
    texts = [f.text for f in found if f.key not in missing]
    parts = texts[:SHOWN]
    if len(texts) > SHOWN:
        parts.append(f"and {len(texts) - SHOWN} more")
    if missing:
        parts.append(_missing_keys(missing))
    return "; ".join(parts)


def _missing_keys(keys: Sequence[str]) -> str:
    names = ", ".join(keys[:SHOWN])
    if len(keys) > SHOWN:
        return f"{names} and {len(keys) - SHOWN} other keys are missing"
    if len(keys) == 1:
        return f"{names} is missing"
    return f"{names} are missing"


def damaged_keys(file: SecretsFile) -> frozenset[str]:
    """Return the keys that are missing or harmful; an earlier version may bring them back."""
    lost = {name for name in file.layout.keys if not file.value(name)}
    return frozenset(lost | {f.key for f in findings(file) if f.key})


def remedy(found: Sequence[Finding]) -> str:
    """Return how to fix all of these findings, by a command or manually."""
    keys = {f.key for f in found}
    if len(keys) == 1 and all(f.settable for f in found):
        return f"Fix it with [[command config set {keys.pop() or 'KEY'}]]"
    lines = sorted({f.line for f in found if f.line})
    by_hand = "restore the file from a master's copy"
    if lines:
        by_hand = f"correct line {', '.join(map(str, lines[:5]))} in the bucket"
    return (
        "Restore a version of [[command config history]] with [[command config rollback]], "
        f"or {by_hand}"
    )


def _of_problem(file: SecretsFile, problem: Problem) -> Finding | None:
    """Return the finding for a problem of the file; None if it keeps no node from starting."""
    affected = _danger_and_reader(file, problem)
    if affected is None:
        return None
    danger, reader = affected
    if problem.code == "crlf":
        # Any edit writes the line ends anew.
        return Finding(danger, reader, problem.text, problem.line, settable=True)
    settable = (
        may_change(problem.key).ok
        and problem.code != "duplicate"
        and _last_line(file, problem.key) == problem.line
    )
    return Finding(danger, reader, problem.text, problem.line, problem.key, settable)


def _danger_and_reader(file: SecretsFile, problem: Problem) -> tuple[Danger, Reader] | None:
    match problem.harm, problem.code:
        case Harm.RUNS, "shell" | "duplicate":
            return Danger.RUNS, Reader.NODES
        case Harm.RUNS, _:
            return Danger.RUNS, Reader.MASTERS
        case Harm.STOPS, _:
            return Danger.STOPS, Reader.MASTERS
        case _, "gate":
            return Danger.MISSING, Reader.NODES
        case _, "crlf" if _has_crlf_credential(file):
            return Danger.STOPS, Reader.MASTERS
        case _, "ampersand" | "backslash" | "trailing-equals" if problem.key in LOGIN_KEYS:
            return Danger.STOPS, Reader.MASTERS
        case _, "word" | "equals" | "trailing-equals" | "nothing" if problem.key in IN_A_COMMAND:
            return Danger.STOPS, Reader.NODES
        case _:
            return None


def _has_crlf_credential(file: SecretsFile) -> bool:
    return any(line.raw.endswith(b"\r\n") and line.name in LOGIN_KEYS for line in file.lines)


def _last_line(file: SecretsFile, key: str) -> int:
    """Return the number of the last line with a key, which `config set` replaces; 0 for none."""
    return max((line.number for line in file.lines if line.name == key), default=0)


def _missing(file: SecretsFile, pool: bool) -> Iterator[Finding]:
    """Yield what a media node that installs would not find."""
    names = file.names()
    addresses = file.layout.addresses
    required = ["REDIS_PASSWORD", "OPENVIDU_VERSION"]
    if pool or file.layout.always or any(name in names for name in addresses):
        required += addresses
    for name in required:
        if name not in names:
            text = f"{name} is missing, and new media nodes do not install without it"
            yield Finding(Danger.MISSING, Reader.NODES, text, key=name)
        elif not file.value(name):
            line = _last_line(file, name)
            text = f"line {line}, {name}: is empty, and new media nodes do not install without it"
            yield Finding(Danger.MISSING, Reader.NODES, text, line, name)


def _lost(file: SecretsFile) -> Iterator[Finding]:
    """Yield keys of the installation that are missing: masters keep the values they have."""
    expected = file.layout.keys - IN_A_COMMAND - {READY_KEY}
    for name in INSTALLED_KEYS:
        if name in expected and name not in file.names():
            text = f"{name} is missing; masters keep the value they have"
            yield Finding(Danger.MISSING, Reader.EDITS, text, 0, name, may_change(name).ok)
