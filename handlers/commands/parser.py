"""Text that a person typed becomes a typed command. Pure; what follows checks no strings."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_type_hints

from handlers.commands import INSTANT_COMMANDS, InstantCommand
from handlers.commands.config import NOT_HERE
from handlers.slack.blocks import escape, truncate
from services.common.command import Command
from services.common.errors import Refused
from services.procedures import PROCEDURES, Procedure
from services.runs.authorization import ANY_PLAN

UNMARKED = str.maketrans({"<": "‹", ">": "›", "&": "+"})
LONGEST = 1000  # characters; Slack documents no limit of its own
CURLY = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "\N{EN DASH}": "--", "\N{EM DASH}": "--"}
)
COMMANDS: tuple[type[Command], ...] = (*INSTANT_COMMANDS[:3], *PROCEDURES, *INSTANT_COMMANDS[3:])
# Options that every command knows, or that many do.
COMMON = ("reason", "cluster", "dry-run", "now", "at")
WITH_VALUE = ("reason", "cluster", "at")
TIME = re.compile(r"\d{1,2}:\d{2}|\d{1,2}:\d{2}[ap]m|\d{1,2}\s?[aph]m?|noon|midnight|utc", re.I)
# A name, a size, a time: nothing that formats or mentions.
PLAIN = re.compile(r"[\w.,:;@/+=#%-]{1,80}")


@dataclass(frozen=True)
class ParsedCommand:
    """A command and the options that every command may have.

    A procedure is planned and, unless `dry` is set, run. An instant command is answered.
    `at`: when it is to be done, as typed; "" for now. `now`: start without asking, where no
    approval is needed. `shown`: the digest of the plan that a form showed.
    """

    command: Procedure | InstantCommand
    cluster: str | None = None
    reason: str = ""
    dry: bool = False
    at: str = ""
    now: bool = False
    shown: str = ""

    @property
    def confirmed(self) -> str:
        """Return what its requester has confirmed: any plan, the one that was shown, or none."""
        return ANY_PLAN if self.now else self.shown


def parse(text: str) -> ParsedCommand:
    """Parse a command.

    Refused with what was not understood, the nearest command, and an example.
    """
    if len(text) > LONGEST:
        raise Refused(f"that is {len(text)} characters; at most {LONGEST} are read")
    kind, rest = _kind(_split(text) or ["menu"])
    last = kind.parameters()[-1:]
    if last and last[0].metadata["kind"] == "rest":
        return _with_rest(kind, rest)
    plain, options = _options(rest)
    _check_options(kind, options)
    return _parsed(kind(**_flags(kind, options), **_arguments(kind, plain)), options)


def _parsed(command: Command, options: Mapping[str, str]) -> ParsedCommand:
    assert isinstance(command, Procedure | InstantCommand), "every command is one of the two"
    at = options.get("at", "")
    if at and isinstance(command, Procedure) and not command.schedulable:
        raise Refused(f"`{command.command}` takes no `--at`: {command.not_schedulable_reason}")
    if "now" in options and "dry-run" in options:
        raise Refused("`--dry-run` changes nothing and `--now` starts at once; use one of them")
    return ParsedCommand(
        command,
        options.get("cluster"),
        options.get("reason", ""),
        "dry-run" in options,
        at,
        "now" in options,
    )


def _with_rest(kind: type[Command], words: list[str]) -> ParsedCommand:
    """Parse a command whose last field takes all remaining words.

    These include options, except for those that every command knows.
    """
    rest, options = _common(words)
    _check_options(kind, options)
    fields = kind.parameters()
    head, tail = rest[: len(fields) - 1], rest[len(fields) - 1 :]
    if not tail and fields[-1].default is MISSING:
        raise Refused(f"{fields[-1].name.upper()} is missing; usage: `/openvidu {kind.usage()}`")
    values = _arguments(kind, head, fields[:-1])
    if tail:
        # Services know no Slack and quote these words in refusals: none may be a mention by then.
        values[fields[-1].name] = " ".join(tail).translate(UNMARKED)
    return _parsed(kind(**values), options)


def _common(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the common options from everything else, which stays as it is."""
    rest: list[str] = []
    options: dict[str, str] = {}
    left = iter(words)
    for word in left:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in COMMON:
            rest.append(word)
            continue
        if name in WITH_VALUE and not equals:
            value = next(left, "")
        if name in WITH_VALUE and not value:
            raise Refused(f"--{name} needs a value after it")
        options[name] = _checked(name, value)
    return rest, options


def with_reason(text: str) -> tuple[str, str]:
    """Read words that are no command, and their reason: `3f2a --reason "not tonight"`."""
    rest, options = _common(_split(text))
    unknown = [w for w in rest if w.startswith("--")]
    unknown += [f"--{o}" for o in options if o != "reason"]
    if unknown:
        raise Refused(f'{_echo(unknown[0])} is not understood here; there is `--reason "…"`')
    return " ".join(rest), options.get("reason", "")


def _split(text: str) -> list[str]:
    try:
        # Slack sends these three characters escaped.
        typed = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return _joined(shlex.split(typed.translate(CURLY)))
    except ValueError:
        raise Refused(
            'a quote is not closed; write it as in --reason "power work in ams3"'
        ) from None


def _joined(words: list[str]) -> list[str]:
    """Join the day and the time after `--at` to one word, also where they were not quoted."""
    joined = list(words)
    for index in range(len(joined) - 1, -1, -1):
        if joined[index] == "--at" and joined[index + 1 :]:
            end = index + 2
            while end < len(joined) and TIME.fullmatch(joined[end]):
                end += 1
            joined[index + 1 : end] = [" ".join(joined[index + 1 : end])]
    return joined


def _kind(words: list[str]) -> tuple[type[Command], list[str]]:
    """Find the command that words begin with; return it and the words after it."""
    if words[0].lower() == "skip":
        words = ["window", *words]
    for kind in sorted(COMMANDS, key=lambda s: -len(s.command.split())):
        name = kind.command.split()
        if [w.lower() for w in words[: len(name)]] == name:
            return kind, words[len(name) :]
    raise Refused(_unknown_command(words))


def _unknown_command(words: list[str]) -> str:
    first = words[0].lower()
    commands = [s.command for s in COMMANDS]
    if longer := [c for c in commands if c.split()[0] == first]:
        choices = ", ".join(f"`{c}`" for c in longer)
        return f"“{_echo(words[0])}” needs a second word: {choices}"
    two_words = get_close_matches(" ".join(words[:2]).lower(), commands, 1, 0.6)
    hint = "`/openvidu help` lists what there is"
    if near := two_words or get_close_matches(first, commands, 1, 0.5):
        hint = f"did you mean `/openvidu {near[0]}`?"
    return f"“{_echo(words[0])}” is not a command; {hint}"


def _options(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate plain words from `--options`. One that takes a value takes the next word."""
    plain: list[str] = []
    options: dict[str, str] = {}
    left = iter(words)
    for word in left:
        if word.startswith("--"):
            name, value = _option(word[2:], left)
            options[name] = _checked(name, value)
        else:
            plain.append(word)
    return plain, options


def _option(text: str, left: Iterator[str]) -> tuple[str, str]:
    """Return name and value of `NAME=VALUE`, or of `NAME` and the next word."""
    name, equals, value = text.partition("=")
    if name not in WITH_VALUE:
        if equals:
            raise Refused(f"--{_echo(name)} takes no value")
        return name, value
    if not equals:
        value = next(left, "")
    if not value or value.startswith("--"):
        raise Refused(f"--{name} needs a value after it")
    return name, value


def _checked(name: str, value: str) -> str:
    """Return the value of an option; Refused when its form is wrong."""
    check = CHECKS.get(name)
    if check is None:
        return value
    return check(value)


def _cluster(name: str) -> str:
    if not PLAIN.fullmatch(name):
        raise Refused(f"--cluster takes a cluster's name, not “{_echo(name)}”")
    return name


def _moment(text: str) -> str:
    """Check the form of a time. Its meaning depends on the cluster's time zone."""
    if not re.fullmatch(r"[\w:,. +-]{1,40}", text):
        raise Refused(f"--at takes a time such as 22:00 or Fri 22:00, not “{_echo(text)}”")
    return text


CHECKS: Mapping[str, Callable[[str], str]] = {"cluster": _cluster, "at": _moment}


def _echo(word: str) -> str:
    """Return user input, truncated and escaped for echoing in Slack.

    What follows `KEY=` is a value, and is never repeated.
    """
    key, equals, _ = word.partition("=")
    if equals:
        word = f"{key}=…"
    return escape(truncate(word, 40))


def _flag_names(kind: type[Command]) -> dict[str, str]:
    flags = [f for f in kind.parameters() if f.metadata["kind"] == "flag"]
    return {f.name.replace("_", "-"): f.name for f in flags}


def _common_options(kind: type[Command]) -> tuple[str, ...]:
    if not issubclass(kind, InstantCommand):
        return COMMON
    names = ["cluster"]
    if kind.reasons or kind.plans:
        names.insert(0, "reason")
    if kind.changes or kind.plans:
        names.append("now")
    if kind.plans:
        names.append("dry-run")
    if kind.later:
        names.append("at")
    return tuple(names)


def _check_options(kind: type[Command], options: Mapping[str, str]) -> None:
    """Refuse options that a command does not have."""
    known = [*_flag_names(kind), *_common_options(kind)]
    for name in options:
        if name not in known:
            hint = f"usage: `/openvidu {kind.usage()}`"
            if near := get_close_matches(name, known, 1):
                hint = f"did you mean --{near[0]}?"
            raise Refused(f"`{kind.command}` does not know --{_echo(name)}; {hint}")


def _flags(kind: type[Command], options: Mapping[str, str]) -> dict[str, Any]:
    return {field: True for name, field in _flag_names(kind).items() if name in options}


def _arguments(
    kind: type[Command], words: list[str], fields: Sequence[Field[Any]] | None = None
) -> dict[str, Any]:
    """Return the values of a command's arguments. `fields`: of these only; None means all."""
    if fields is None:
        fields = kind.parameters()
    arguments = [f for f in fields if f.metadata["kind"] == "argument"]
    extra = words[len(arguments) :]
    if extra and kind.command.split()[0] == "config":
        raise Refused(NOT_HERE)
    if extra:
        shown = ", ".join(f"“{_echo(w)}”" for w in extra[:5])
        raise Refused(f"this was not understood: {shown}; usage: `/openvidu {kind.usage()}`")
    missing = [f.name.upper() for f in arguments[len(words) :] if f.default is MISSING]
    if missing:
        raise Refused(f"{' and '.join(missing)} is missing; usage: `/openvidu {kind.usage()}`")
    hints = get_type_hints(kind)
    pairs = zip(arguments, words, strict=False)
    return {field.name: _value(word, hints[field.name], field, kind) for field, word in pairs}


def _value(word: str, hint: Any, field: Field[Any], kind: type[Command]) -> Any:
    name, usage = field.name.upper(), f"usage: `/openvidu {kind.usage()}`"
    if int in _types(hint):
        if not re.fullmatch(r"[0-9]{1,6}", word):
            raise Refused(f"{name} is a whole number, not “{_echo(word)}”; {usage}")
        return int(word)
    choices = field.metadata.get("choices") or ()
    if choices and word.lower() not in choices:
        raise Refused(f"{name} is one of {', '.join(choices)}, not “{_echo(word)}”; {usage}")
    if choices:
        return word.lower()
    if not PLAIN.fullmatch(word):
        raise Refused(f"{name} is a plain word, not “{_echo(word)}”; {usage}")
    return word


def _types(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, UnionType):
        return get_args(hint)
    return (hint,)
