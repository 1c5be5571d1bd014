"""An operator's words become a small typed value. Pure; behind this door there are no strings to check."""

import re
import shlex
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_type_hints

from services.errors import Refused
from services.procedures import PROCEDURES, Procedure

LONGEST = 1000  # characters; Slack documents no limit of its own
CURLY = str.maketrans({"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "\N{EN DASH}": "--", "\N{EM DASH}": "--"})


@dataclass(frozen=True)
class Ask:
    """A procedure to plan and, unless `dry`, to run."""

    procedure: Procedure
    cluster: str | None
    reason: str
    dry: bool


@dataclass(frozen=True)
class Read:
    """A question that changes nothing: help, status, runs; `about` is a run's name."""

    what: str
    cluster: str | None
    about: str = ""


@dataclass(frozen=True)
class Tell:
    """A decision about a run: cancel, resume, abandon."""

    what: str
    run: str


Words = Ask | Read | Tell
READS = {
    "help": "what can be asked for, and how",
    "status": "masters, media nodes, meetings, the open run, cost per hour",
    "runs": "the newest runs; with a name, one run in full",
}
TELLS = {
    "cancel": "stop a run at its next safe point; what is done stays done and is named",
    "resume": "go on with a run that has stopped",
    "abandon": "give up a run that has stopped, and free the cluster",
}


def usages() -> list[tuple[str, str]]:
    """Every command with its one-line meaning, from the procedures themselves."""
    reads = [("runs [RUN]" if w == "runs" else w, text) for w, text in READS.items()]
    return reads + [(p.usage(), p.summary()) for p in PROCEDURES] + [(f"{w} RUN", text) for w, text in TELLS.items()]


def parse(text: str) -> Words:
    """The value that the words mean. Refused with what was not understood, the nearest command, and an example."""
    words = _split(text)
    words, options = _options(words)
    if not words:
        return Read("help", options.get("cluster"))
    first = words[0].lower()
    if first in READS:
        return _read(first, words[1:], options)
    if first in TELLS:
        if len(words) != 2 or options:
            raise Refused(f"`{first}` takes the name of one run, as in `/openvidu {first} acme-17`")
        return Tell(first, words[1])
    kind, rest = _procedure(words)
    return Ask(_build(kind, rest, options), options.get("cluster"), options.get("reason", ""), "dry-run" in options)


def _split(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise Refused(f"that is {len(text)} characters; at most {LONGEST} are read")
    try:
        return shlex.split(text.translate(CURLY))
    except ValueError:
        raise Refused('a quote is not closed; write it as in --reason "power work in ams3"') from None


def _options(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Plain words apart from `--options`. Options that take a value swallow the next word."""
    plain: list[str] = []
    options: dict[str, str] = {}
    left = iter(words)
    for word in left:
        if not word.startswith("--"):
            plain.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if name in ("reason", "cluster"):
            value = value if equals else next(left, "")
            if not value or value.startswith("--"):
                raise Refused(f"--{name} needs a value after it")
        elif equals:
            raise Refused(f"--{name} takes no value")
        options[name] = value
    return plain, options


def _read(what: str, rest: list[str], options: dict[str, str]) -> Read:
    unknown = set(options) - {"cluster"}
    most = 1 if what == "runs" else 0
    if unknown or len(rest) > most:
        raise Refused(f"`{what}` takes {'one run at most' if most else 'nothing else'}; this was not understood: {_said(rest, unknown)}")
    return Read("run" if what == "runs" and rest else what, options.get("cluster"), rest[0] if rest else "")


def _procedure(words: list[str]) -> tuple[type[Procedure], list[str]]:
    for kind in sorted(PROCEDURES, key=lambda p: -len(p.command)):
        name = kind.command.split()
        if [w.lower() for w in words[: len(name)]] == name:
            return kind, words[len(name) :]
    known = [*READS, *TELLS, *(p.command for p in PROCEDURES)]
    near = get_close_matches(" ".join(words[:2]).lower(), known, 1, 0.6) or get_close_matches(words[0].lower(), known, 1, 0.5)
    hint = f"did you mean `/openvidu {near[0]}`?" if near else "`/openvidu help` lists what there is"
    raise Refused(f"“{words[0]}” is not a command; {hint}")


def _build(kind: type[Procedure], rest: list[str], options: dict[str, str]) -> Procedure:
    values: dict[str, Any] = {}
    hints = get_type_hints(kind)
    arguments = [f for f in kind.parameters() if f.metadata["kind"] == "argument"]
    flags = {f.name.replace("_", "-"): f.name for f in kind.parameters() if f.metadata["kind"] == "flag"}
    unknown = set(options) - set(flags) - {"reason", "cluster", "dry-run"}
    if unknown or len(rest) > len(arguments):
        raise Refused(f"this was not understood: {_said(rest[len(arguments) :], unknown)}; usage: `/openvidu {kind.usage()}`")
    values |= {field: True for name, field in flags.items() if name in options}
    for field, word in zip(arguments, rest, strict=False):
        values[field.name] = _value(word, hints[field.name], field.name, kind)
    missing = [f.name.upper() for f in arguments[len(rest) :] if f.default is MISSING]
    if missing:
        raise Refused(f"{' and '.join(missing)} is missing; usage: `/openvidu {kind.usage()}`")
    return kind(**values)


def _value(word: str, hint: Any, name: str, kind: type[Procedure]) -> Any:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if int in options:
        if not re.fullmatch(r"\d{1,6}", word):
            raise Refused(f"{name.upper()} is a whole number, not “{word}”; usage: `/openvidu {kind.usage()}`")
        return int(word)
    field = next(f for f in fields(kind) if f.name == name)
    choices = field.metadata.get("choices") or ()
    if choices and word.lower() not in choices:
        raise Refused(f"{name.upper()} is one of {', '.join(choices)}, not “{word}”; usage: `/openvidu {kind.usage()}`")
    return word.lower() if choices else word


def _said(words: list[str], options: set[str]) -> str:
    return ", ".join([f"“{w}”" for w in words] + [f"--{o}" for o in sorted(options)])
