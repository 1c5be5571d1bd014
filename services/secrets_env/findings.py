"""What in a `secrets.env` keeps masters or media nodes from starting, or would run as root: lines and keys, never values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.secrets_env.file import SecretsFile
from services.secrets_env.keys import ADDRESSES, AGREED, ALWAYS, GATE, IN_A_COMMAND, KEYS
from services.secrets_env.lint import may_change
from services.secrets_env.problems import Harm, Problem

MOST = 50  # are kept of one file
SHOWN = 3


class Danger(StrEnum):
    """What comes of it, worst first."""

    RUNS = "runs"  # part of the line runs as a command, or writes a file, as root
    STOPS = "stops"  # whoever reads the line does not start
    MISSING = "missing"  # a key is not there, or has no value
    EMPTIED = "emptied"  # no key is left at all
    ABSENT = "absent"  # there is no such file


class Reader(StrEnum):
    """Who meets it."""

    MASTERS = "masters"  # each master that boots
    NODES = "nodes"  # each media node that installs itself
    EDITS = "edits"  # none of them; but the file is damaged, and no edit goes on top of that


@dataclass(frozen=True)
class Finding:
    """One of them. `line` is 0 where it is about the whole file; `settable`: `config set` of that key repairs it."""

    danger: Danger
    reader: Reader
    text: str
    line: int = 0
    key: str = ""
    settable: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Linted:
    """`secrets.env` was read."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Unread:
    """`secrets.env` was not read, and why."""

    reason: str = field(default="it was not looked at")


ABSENT = Finding(
    Danger.ABSENT,
    Reader.MASTERS,
    "it is not in the bucket, and a master that boots without it leaves OpenVidu stopped",
)
EMPTIED = Finding(
    Danger.EMPTIED,
    Reader.NODES,
    "it is empty: none of its keys is there, and new media nodes wait for them",
)


def findings(file: SecretsFile, *, pool: bool = False) -> tuple[Finding, ...]:
    """All of them, worst first. `pool`: the deployment is of a generation whose media nodes take the masters' addresses from this file."""
    is_empty = not any(name in KEYS for name in file.names())
    told = [p for p in file.problems() if not (is_empty and p.code == "gate")]
    last = {
        line.name: line.number for line in file.lines
    }  # `config set` replaces the last line of its key
    found = [f for p in told if (f := _of_problem(file, p, last)) is not None]
    found += [EMPTIED] if is_empty else [*_missing(file, pool), *_lost(file)]
    if b"\0" in file.data:
        line = file.data[: file.data.index(b"\0")].count(b"\n") + 1
        words = f"line {line}: has a NUL byte, and new media nodes read nothing of the file"
        found.append(Finding(Danger.STOPS, Reader.NODES, words, line))
    order = list(Danger)
    return tuple(sorted(found, key=lambda f: (order.index(f.danger), f.line))[:MOST])


def would(found: Sequence[Finding]) -> str:
    """What the worst of them would do."""
    if any(f.danger is Danger.RUNS for f in found):
        return "this secrets.env is not safe to start with"
    if any(f.reader is Reader.MASTERS for f in found):
        return "a master that boots with this secrets.env would stay stopped"
    if any(f.reader is Reader.NODES for f in found):
        return "no new media node would come up with this secrets.env"
    return "this secrets.env has lost keys that the installation wrote"


def described(found: Sequence[Finding]) -> str:
    """Which they are: the first few by line and key, and the keys that are missing."""
    missing = [f.key for f in found if f.danger is Danger.MISSING and not f.line]
    texts = [f.text for f in found if f.key not in missing]
    said = texts[:SHOWN] + ([f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else [])
    if missing:
        others = f" and {len(missing) - SHOWN} other keys" if len(missing) > SHOWN else ""
        names = f"{', '.join(missing[:SHOWN])}{others}"
        said.append(f"{names} {'is' if len(missing) == 1 else 'are'} missing")
    return "; ".join(said)


def damaged(file: SecretsFile) -> frozenset[str]:
    """Keys that the file has lost, or has in a line that goes wrong: an earlier version may bring them back."""
    lost = {name for name in KEYS if not file.value(name)}
    return frozenset(lost | {f.key for f in findings(file) if f.key})


def remedy(found: Sequence[Finding]) -> str:
    """How to repair all of these from here, or by hand."""
    keys = {f.key for f in found}
    if len(keys) == 1 and all(f.settable for f in found):
        return f"[[command config set {keys.pop() or 'KEY'}]] repairs it"
    lines = sorted({f.line for f in found if f.line})
    where = (
        f"correct line {', '.join(map(str, lines[:5]))} in the bucket"
        if lines
        else "put the file back from a master's copy"
    )
    return f"[[command config history]] lists versions that [[command config rollback]] puts back; or {where}"


def _of_problem(file: SecretsFile, problem: Problem, last: Mapping[str, int]) -> Finding | None:
    danger, reader = Danger.STOPS, Reader.MASTERS
    match problem.harm, problem.code:
        case Harm.RUNS, code:
            danger, reader = (
                Danger.RUNS,
                Reader.NODES if code in {"shell", "duplicate"} else Reader.MASTERS,
            )
        case Harm.STOPS, _:
            pass
        case _, "gate":
            danger, reader = Danger.MISSING, Reader.NODES
        case _, "crlf":
            if not any(line.raw.endswith(b"\r\n") and line.name in AGREED for line in file.lines):
                return None
        case _, "ampersand" | "backslash" | "trailing-equals" if problem.key in AGREED:
            pass
        case _, "word" | "equals" | "trailing-equals" | "nothing" if problem.key in IN_A_COMMAND:
            reader = Reader.NODES
        case _:
            return None
    if problem.code == "crlf":
        return Finding(
            danger, reader, problem.text, problem.line, settable=True
        )  # any edit writes the line ends anew
    settable = (
        may_change(problem.key).ok
        and last.get(problem.key) == problem.line
        and problem.code != "duplicate"
    )
    return Finding(danger, reader, problem.text, problem.line, problem.key, settable)


def _missing(file: SecretsFile, pool: bool) -> Iterator[Finding]:
    """What a media node that installs itself would not find."""
    names = file.names()
    addresses = ADDRESSES if pool or any(name in names for name in ADDRESSES) else ()
    for name in ("REDIS_PASSWORD", "OPENVIDU_VERSION", *addresses):
        if name not in names:
            yield Finding(
                Danger.MISSING,
                Reader.NODES,
                f"{name} is missing, and new media nodes do not install without it",
                0,
                name,
            )
        elif not file.value(name):
            line = max(n.number for n in file.lines if n.name == name)
            words = f"line {line}, {name}: is empty, and new media nodes do not install without it"
            yield Finding(Danger.MISSING, Reader.NODES, words, line, name)


def _lost(file: SecretsFile) -> Iterator[Finding]:
    """What the installation has written and is not there any more: masters keep the values they have."""
    for name in ALWAYS:
        if name not in file.names() and name not in IN_A_COMMAND and name != GATE:
            text = f"{name} is missing; masters keep the value they have"
            yield Finding(Danger.MISSING, Reader.EDITS, text, 0, name, may_change(name).ok)
