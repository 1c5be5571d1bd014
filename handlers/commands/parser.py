"""An operator's words become a small typed value. Pure; behind this door there are no strings to check."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_type_hints

from handlers.commands import TALKS, InstantCommand
from handlers.commands.config import NOT_HERE
from handlers.slack.blocks import cut, escape
from services.common.command import Command
from services.common.errors import Refused
from services.procedures import PROCEDURES, Procedure

UNMARKED = str.maketrans({"<": "‹", ">": "›", "&": "+"})
LONGEST = 1000  # characters; Slack documents no limit of its own
CURLY = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "\N{EN DASH}": "--", "\N{EM DASH}": "--"}
)
SPOKEN: tuple[type[Command], ...] = (*TALKS[:3], *PROCEDURES, *TALKS[3:])
COMMON = ("reason", "cluster", "dry-run", "at")
TIME = re.compile(r"\d{1,2}:\d{2}|\d{1,2}:\d{2}[ap]m|\d{1,2}\s?[aph]m?|noon|midnight|utc", re.I)
PLAIN = re.compile(
    r"[\w.,:;@/+=#%-]{1,80}"
)  # a name, a size, a time: nothing that formats or mentions


@dataclass(frozen=True)
class Words:
    """What was said: a procedure to plan and, unless `dry`, to run; or a talk to answer."""

    said: Procedure | InstantCommand
    cluster: str | None = None
    reason: str = ""
    dry: bool = False
    at: str = ""  # when it is to be done, as it was typed; "": now


def parse(text: str) -> Words:
    """The value that the words mean. Refused with what was not understood, the nearest command, and an example."""
    if len(text) > LONGEST:
        raise Refused(f"that is {len(text)} characters; at most {LONGEST} are read")
    words = _split(text) or ["menu"]
    kind, rest = _kind(words)
    last = kind.parameters()[-1:]
    if last and last[0].metadata["kind"] == "rest":
        return _with_rest(kind, rest)
    plain, options = _options(rest)
    _known(kind, options)
    said = kind(**_flags(kind, options), **_arguments(kind, plain))
    return _words(said, options)


def _words(said: Command, options: dict[str, str]) -> Words:
    assert isinstance(said, Procedure | InstantCommand), (
        "everything that is spoken is one of the two"
    )
    at = options.get("at", "")
    if at and isinstance(said, Procedure) and not said.schedulable:
        raise Refused(f"`{said.command}` takes no `--at`: {said.why_not_later}")
    return Words(said, options.get("cluster"), options.get("reason", ""), "dry-run" in options, at)


def _with_rest(kind: type[Command], words: list[str]) -> Words:
    """A kind whose last field takes the remaining words keeps their options too, but for those that every command knows."""
    rest, options = _common(words)
    _known(kind, options)
    fields = kind.parameters()
    head, tail = rest[: len(fields) - 1], rest[len(fields) - 1 :]
    if not tail and fields[-1].default is MISSING:
        raise Refused(f"{fields[-1].name.upper()} is missing; usage: `/openvidu {kind.usage()}`")
    values = _arguments(kind, head, fields[:-1])
    if tail:
        # What is behind this door knows no Slack and quotes words when it refuses them: none of them may be a mention by then.
        values[fields[-1].name] = " ".join(tail).translate(UNMARKED)
    said = kind(**values)
    return _words(said, options)


def _common(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The options that every command knows, apart from everything else as it stands."""
    rest: list[str] = []
    options: dict[str, str] = {}
    left = iter(words)
    for word in left:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in COMMON:
            rest.append(word)
        elif name == "dry-run":
            options[name] = ""
        else:
            value = value if equals else next(left, "")
            if not value:
                raise Refused(f"--{name} needs a value after it")
            options[name] = (
                _cluster(value) if name == "cluster" else _moment(value) if name == "at" else value
            )
    return rest, options


def with_reason(text: str) -> tuple[str, str]:
    """Words that are no command, and the reason given with them: `3f2a --reason "not tonight"`."""
    rest, options = _common(_split(text))
    if left := [w for w in rest if w.startswith("--")] + [
        f"--{o}" for o in options if o != "reason"
    ]:
        raise Refused(f'{_echo(left[0])} is not understood here; there is `--reason "…"`')
    return " ".join(rest), options.get("reason", "")


def _split(text: str) -> list[str]:
    try:
        # Slack sends what was typed with these three escaped.
        typed = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return _joined(shlex.split(typed.translate(CURLY)))
    except ValueError:
        raise Refused(
            'a quote is not closed; write it as in --reason "power work in ams3"'
        ) from None


def _joined(words: list[str]) -> list[str]:
    """With the day and the time after `--at` as one word, also where they were not quoted."""
    made = list(words)
    for index in range(len(made) - 1, -1, -1):
        if made[index] == "--at":
            end = index + 2
            while end < len(made) and TIME.fullmatch(made[end]):
                end += 1
            made[index + 1 : end] = [" ".join(made[index + 1 : end])] if made[index + 1 :] else []
    return made


def _moment(text: str) -> str:
    """A moment as it may be typed: what it means is known where the cluster's time zone is."""
    if not re.fullmatch(r"[\w:,. +-]{1,40}", text):
        raise Refused(f"--at takes a time such as 22:00 or Fri 22:00, not “{_echo(text)}”")
    return text


def _kind(words: list[str]) -> tuple[type[Command], list[str]]:
    if words[0].lower() == "skip":
        words = ["window", *words]
    for kind in sorted(SPOKEN, key=lambda s: -len(s.command.split())):
        name = kind.command.split()
        if [w.lower() for w in words[: len(name)]] == name:
            return kind, words[len(name) :]
    known = [s.command for s in SPOKEN]
    near = get_close_matches(" ".join(words[:2]).lower(), known, 1, 0.6) or get_close_matches(
        words[0].lower(), known, 1, 0.5
    )
    begun = [k for k in known if k.split()[0] == words[0].lower()]
    if begun:
        raise Refused(
            f"“{_echo(words[0])}” needs a second word: {', '.join(f'`{k}`' for k in begun)}"
        )
    hint = (
        f"did you mean `/openvidu {near[0]}`?" if near else "`/openvidu help` lists what there is"
    )
    raise Refused(f"“{_echo(words[0])}” is not a command; {hint}")


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
        if name in ("reason", "cluster", "at"):
            value = value if equals else next(left, "")
            if not value or value.startswith("--"):
                raise Refused(f"--{name} needs a value after it")
        elif equals:
            raise Refused(f"--{_echo(name)} takes no value")
        options[name] = (
            _cluster(value) if name == "cluster" else _moment(value) if name == "at" else value
        )
    return plain, options


def _cluster(name: str) -> str:
    if not PLAIN.fullmatch(name):
        raise Refused(f"--cluster takes a cluster's name, not “{_echo(name)}”")
    return name


def _echo(word: str) -> str:
    """User input, truncated and escaped for echoing in Slack. Behind `KEY=` stands a value, which is never repeated."""
    key, equals, _ = word.partition("=")
    return escape(cut(f"{key}=…" if equals else word, 40))


def _flag_names(kind: type[Command]) -> dict[str, str]:
    return {
        f.name.replace("_", "-"): f.name for f in kind.parameters() if f.metadata["kind"] == "flag"
    }


def _known(kind: type[Command], options: dict[str, str]) -> None:
    talk = kind if issubclass(kind, InstantCommand) else None
    planned = talk is None or talk.plans
    common = (
        ("reason", "cluster", "dry-run")
        if planned
        else ("reason", "cluster")
        if talk and talk.reasons
        else ("cluster",)
    )
    common = (*common, "at") if talk is None or talk.later else common
    known = [*_flag_names(kind), *common]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean --{near[0]}?" if near else f"usage: `/openvidu {kind.usage()}`"
            raise Refused(f"`{kind.command}` does not know --{_echo(name)}; {hint}")


def _flags(kind: type[Command], options: dict[str, str]) -> dict[str, Any]:
    return {field: True for name, field in _flag_names(kind).items() if name in options}


def _arguments(
    kind: type[Command], words: list[str], fields: Sequence[Field[Any]] | None = None
) -> dict[str, Any]:
    arguments = [
        f
        for f in (kind.parameters() if fields is None else fields)
        if f.metadata["kind"] == "argument"
    ]
    if len(words) > len(arguments) and kind.command.split()[0] == "config":
        raise Refused(NOT_HERE)
    if len(words) > len(arguments):
        extra = ", ".join(f"“{_echo(w)}”" for w in words[len(arguments) :][:5])
        raise Refused(f"this was not understood: {extra}; usage: `/openvidu {kind.usage()}`")
    missing = [f.name.upper() for f in arguments[len(words) :] if f.default is MISSING]
    if missing:
        raise Refused(f"{' and '.join(missing)} is missing; usage: `/openvidu {kind.usage()}`")
    hints = get_type_hints(kind)
    return {
        f.name: _value(word, hints[f.name], f, kind)
        for f, word in zip(arguments, words, strict=False)
    }


def _value(word: str, hint: Any, field: Field[Any], kind: type[Command]) -> Any:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if int in options:
        if not re.fullmatch(r"[0-9]{1,6}", word):
            raise Refused(
                f"{field.name.upper()} is a whole number, not “{_echo(word)}”; usage: `/openvidu {kind.usage()}`"
            )
        return int(word)
    choices = field.metadata.get("choices") or ()
    if choices and word.lower() not in choices:
        raise Refused(
            f"{field.name.upper()} is one of {', '.join(choices)}, not “{_echo(word)}”; usage: `/openvidu {kind.usage()}`"
        )
    if not choices and not PLAIN.fullmatch(word):
        raise Refused(
            f"{field.name.upper()} is a plain word, not “{_echo(word)}”; usage: `/openvidu {kind.usage()}`"
        )
    return word.lower() if choices else word
