"""Text that a person typed becomes a typed command. Pure; what follows checks no strings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, replace
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_type_hints

from handlers.commands import COMMANDS, InstantCommand, suggestions
from handlers.commands.catalog import TOPICS, CommandGroup, Rank, common_options
from handlers.commands.config import NOT_HERE
from handlers.commands.help import Help
from handlers.commands.observed import Observed, without_days
from handlers.commands.scale_by import ScaleBy, read_change, without_to
from handlers.commands.typed_line import AT, PLAIN, WITH_VALUE, TypedLine, echo, read_line
from handlers.commands.typed_words import Word, is_dash, split_words, without_final_stop
from services.common.command import Command
from services.common.errors import Refused
from services.common.text import join_words
from services.procedures import Procedure, Scale

__all__ = ["COMMANDS", "ParsedCommand", "parse", "with_reason"]
from services.runs.authorization import ANY_PLAN

UNMARKED = str.maketrans({"<": "‹", ">": "›", "&": "+"})
LONGEST = 1000  # characters; Slack documents no limit of its own
# Options that loosen a check or end something: never proposed for another word.
NEVER_PROPOSED = ("now", "no-drain", "grow-disk", "all", "media-only")
# What people type for `forecast`, which is no number of nodes and no month.
FORECASTS = (("scale", "forecast"), ("cost", "forecast"))
# Commands about a node, and what they mean without one: the whole cluster.
WITHOUT_NODE = ("stop", "start")
NO_NODE = re.compile(r"\d{1,3}|up|down|now", re.IGNORECASE)
SHORT_NODE = re.compile(r"(media|master)(\d{1,4})", re.IGNORECASE)
HELP = ("--help", "-h", "-?", "--?")


@dataclass(frozen=True)
class ParsedCommand:
    """A command and the options that every command may have.

    A procedure is planned and, unless `dry` is set, run. An instant command is answered.
    `at`: when it is to be done, as typed; "" for now. `now`: start without asking, where no
    approval is needed. `shown`: the digest of the plan that a form showed. `synonym`: what
    was typed in place of the command; then `dry` is set where it changes something. `cluster` may
    name several, separated by commas; `label`: every cluster with it; `at_once` and `stop_after`
    are for these.
    """

    command: Procedure | InstantCommand
    cluster: str | None = None
    reason: str = ""
    dry: bool = False
    at: str = ""
    now: bool = False
    synonym: str = field(default="", compare=False)
    shown: str = ""
    label: str = ""
    at_once: int = 1
    stop_after: int = 1

    @property
    def several(self) -> bool:
        """Tell whether it is about several clusters, or about a label's, however many these are."""
        return bool(self.label) or "," in (self.cluster or "")

    @property
    def confirmed(self) -> str:
        """Return what its requester has confirmed: any plan, the one that was shown, or none."""
        return ANY_PLAN if self.now else self.shown


@dataclass(frozen=True)
class _Spoken:
    """The command that a line begins with, and what follows it."""

    kind: type[Command]
    rest: list[Word]
    synonym: str = ""


def parse(text: str) -> ParsedCommand:
    """Parse a command.

    Refused with what was not understood, the nearest command, and an example.
    """
    if len(text) > LONGEST:
        raise Refused(f"that is {len(text)} characters; the bot reads at most {LONGEST}")
    words = _without_front(without_final_stop(split_words(text)))
    if not words:
        words = [Word("menu", 4)]
    if (about := _asks_for_help(words)) is not None:
        line = read_line(about, all_options=True)
        return ParsedCommand(Help(_topic(line.plain)), line.options.get("cluster"))
    spoken = _spoken(words)
    return _synonymous(_parsed_line(spoken.kind, spoken.rest), spoken.synonym)


def _parsed_line(kind: type[Command], words: list[Word]) -> ParsedCommand:
    last = kind.parameters()[-1:]
    if last and last[0].metadata["kind"] == "rest":
        return _with_rest(kind, words)
    if kind is Observed:
        words = without_days(words)
    line = read_line(words, all_options=True, with_value=_option_names(kind))
    _check_options(kind, line.options)
    if kind is Scale:
        kind, line = _scaling(line)
    flags = _flags(kind, line.options)
    own = _own_options(kind, line.options)
    return _parsed(kind(**flags, **own, **_arguments(kind, line)), line.options)


def _scaling(line: TypedLine) -> tuple[type[Command], TypedLine]:
    """Return what `scale` means: a number, or a change such as +1."""
    line = TypedLine(without_to(line.plain), line.options, line.tail)
    change = read_change(line.plain)
    if change is None:
        return Scale, line
    if "now" in line.options:
        raise Refused(f"`scale {change}` shows the plan only; with `--now`, write the number")
    return ScaleBy, TypedLine([change], line.options)


def _synonymous(parsed: ParsedCommand, synonym: str) -> ParsedCommand:
    """Return what a synonym means: of a command that changes something, its plan only."""
    if not synonym or TOPICS[parsed.command.command].rank is Rank.READING:
        return parsed
    typed = f"/openvidu {parsed.command.command_line()}"
    if parsed.now:
        raise Refused(f"“{synonym}” shows the plan only; to start at once, type `{typed} --now`")
    return replace(parsed, dry=True, now=False, shown="", synonym=synonym)


def _parsed(command: Command, options: Mapping[str, str]) -> ParsedCommand:
    assert isinstance(command, Procedure | InstantCommand), "every command is one of the two"
    at = options.get("at", "")
    if at and isinstance(command, Procedure) and not command.schedulable:
        raise Refused(f"`{command.command}` takes no `--at`: {command.not_schedulable_reason}")
    if "now" in options and "dry-run" in options:
        raise Refused("`--dry-run` changes nothing and `--now` starts at once; use one of them")
    parsed = ParsedCommand(
        command,
        options.get("cluster"),
        options.get("reason", ""),
        "dry-run" in options,
        at,
        "now" in options,
        label=options.get("label", ""),
        at_once=int(options.get("at-once", "1")),
        stop_after=int(options.get("stop-after", "1")),
    )
    if parsed.label and parsed.cluster:
        raise Refused("`--cluster` and `--label` both choose clusters; use one of them")
    for name in ("at-once", "stop-after"):
        if name in options and not parsed.several:
            raise Refused(f"`--{name}` is for several clusters: add `--cluster a,b` or `--label`")
    return parsed


def _with_rest(kind: type[Command], words: list[Word]) -> ParsedCommand:
    """Parse a command whose last field takes all remaining words.

    These include options, except for those that every command knows.
    """
    line = read_line(words, all_options=False)
    rest, options = line.plain, line.options
    _check_options(kind, options)
    fields = kind.parameters()
    head, tail = rest[: len(fields) - 1], rest[len(fields) - 1 :]
    if not tail and fields[-1].default is MISSING:
        raise Refused(f"{_placeholder(fields[-1])} is missing; {_usage(kind)}")
    values = _arguments(kind, TypedLine(head), fields[:-1])
    if tail:
        # Services know no Slack and quote these words in refusals: none may be a mention by then.
        values[fields[-1].name] = " ".join(tail).translate(UNMARKED)
    return _parsed(kind(**values), options)


def with_reason(text: str) -> tuple[str, str]:
    """Read words that are no command, and their reason: `3f2a --reason "not tonight"`."""
    line = read_line(split_words(text), all_options=False)
    unknown = [w for w in line.plain if w.startswith("--")]
    unknown += [f"--{o}" for o in line.options if o != "reason"]
    if unknown:
        raise Refused(f'{echo(unknown[0])} is not understood here; there is `--reason "…"`')
    return " ".join(line.plain), line.options.get("reason", "")


def _without_front(words: list[Word]) -> list[Word]:
    """Remove what may stand in front of a command: a dash, and a slash command of another name."""
    while words and words[0].text and all(map(is_dash, words[0].text)):
        words = words[1:]
    first = words[0].text if words else ""
    if re.fullmatch(r"/[\w-]+", first):
        bare = first.removeprefix("/")
        if any(k.command.split()[0] == bare.casefold() for k in COMMANDS):
            return [Word(bare, len(bare)), *words[1:]]
        return words[1:]
    return words


# Help


def _asks_for_help(words: list[Word]) -> list[Word] | None:
    """Return the words that help is asked about; None when the line asks for none.

    Understood: `--help`, `-h`, `help shutdown`, `shutdown help`, `shutdown --help`.
    """
    texts = [w.text.casefold() for w in words]
    if texts[0] in HELP or suggestions.synonym(texts[:1]) == ("help", 1) or texts[0] == "help":
        return words[1:]
    asked = texts[-1] in HELP and words[-1].plain and texts[-2] not in _VALUED
    if asked or (len(words) > 1 and texts[-1] == "help" and _is_command(texts[:-1])):
        return words[:-1]
    return None


_VALUED = tuple(f"--{name}" for name in WITH_VALUE)


def _is_command(texts: Sequence[str]) -> bool:
    return " ".join(texts) in {k.command for k in COMMANDS} | {
        k.command.split()[0] for k in COMMANDS
    }


def _topic(words: Sequence[str]) -> str | None:
    """Return a command, a group, or `all`. Refused where the words are none of these."""
    texts = [w.casefold() for w in words]
    joined = " ".join(texts)
    if not texts or joined == "all" or joined in [*CommandGroup]:
        return joined or None
    families = {k.command.split()[0] for k in COMMANDS if not k.hidden}
    exact = any(" ".join(texts[:count]) in _NAMES for count in (3, 2, 1))
    if not exact and (family := texts[0].removesuffix("s")) in families:
        return family
    if found := _command_of(texts):
        return found
    raise Refused(f"there is no command “{echo(joined)}”; {_hint(texts, shown='help ')}")


_NAMES = {k.command for k in COMMANDS}


def _command_of(texts: Sequence[str]) -> str:
    """Return the command that the first words are, or mean."""
    for count in (3, 2, 1):
        if (name := " ".join(texts[:count])) in _NAMES:
            return name
    found = suggestions.spelled_differently(texts) or suggestions.synonym(texts)
    return found[0] if found else ""


# The command


def _spoken(words: list[Word]) -> _Spoken:
    """Find the command that a line begins with."""
    if words[0].text.casefold() == "skip":
        words = [Word("window", 6), *words]
    texts = [w.text.casefold() for w in words]
    if tuple(texts[:2]) in FORECASTS:
        words, texts = words[1:], texts[1:]
    means_cluster = texts[0] in WITHOUT_NODE and _names_no_node(words[1:])
    for kind in sorted(COMMANDS, key=lambda s: -len(s.command.split())):
        name = kind.command.split()
        if texts[: len(name)] == name and not (means_cluster and name == texts[:1]):
            return _Spoken(kind, words[len(name) :])
    found = suggestions.spelled_differently(texts)
    if found and not (means_cluster and found[0] == texts[0]):
        return _Spoken(_kind(found[0]), words[found[1] :])
    if meant := suggestions.synonym(texts):
        command, count = meant
        rest = words[count:]
        if command != "status" or not rest or rest[0].is_option:
            return _Spoken(_kind(command), rest, " ".join(texts[:count]))
    raise Refused(_unknown_command(words))


def _names_no_node(words: Sequence[Word]) -> bool:
    """Return whether the first word after `stop` or `start` is none that can name a node.

    Options may stand before it.
    """
    plain = read_line(words, all_options=True).plain
    return all(NO_NODE.fullmatch(word) for word in plain[:1])


def _kind(command: str) -> type[Command]:
    return next(k for k in COMMANDS if k.command == command)


def _unknown_command(words: list[Word]) -> str:
    texts = [w.text.casefold() for w in words]
    typed = echo(words[0].text)
    if longer := [k.command for k in COMMANDS if k.command.split()[0] == texts[0] and not k.hidden]:
        if len(texts) > 1 and (near := suggestions.hint(texts)) and near in longer:
            return f"“{echo(' '.join(texts[:2]))}” is not a command; did you mean {_said(near)}?"
        choices = ", ".join(f"`{c}`" for c in longer)
        return f"“{typed}” needs a second word: {choices}"
    return f"“{typed}” is not a command; {_hint(texts)}"


def _hint(texts: Sequence[str], shown: str = "") -> str:
    if near := suggestions.hint(texts):
        if shown and not near.startswith(shown):
            near = f"{shown}{near}"
        return f"did you mean {_said(near)}?"
    return "`/openvidu help` lists the commands"


def _said(command: str) -> str:
    return f"`/openvidu {command}`"


def _usage(kind: type[Command]) -> str:
    return f"usage: `/openvidu {kind.usage()}`"


# The words after it


def _flag_names(kind: type[Command]) -> dict[str, str]:
    flags = [f for f in kind.parameters() if f.metadata["kind"] == "flag"]
    return {f.name.replace("_", "-"): f.name for f in flags}


def _check_options(kind: type[Command], options: Mapping[str, str]) -> None:
    """Refuse options that a command does not have."""
    known = [*_flag_names(kind), *_option_names(kind), *common_options(kind)]
    for name in options:
        if name not in known:
            hint = _usage(kind)
            if near := _near_option(name, known):
                hint = f"did you mean --{near}?"
            raise Refused(f"`{kind.command}` does not know --{echo(name)}; {hint}")


def _near_option(name: str, known: Sequence[str]) -> str:
    """Return the option that was meant; "" where it is not certain.

    One that loosens a check is proposed only for a single mistake in a long word.
    """
    for near in get_close_matches(name, known, 1):
        negated = near.startswith("no-") != name.startswith("no")
        harsh = near in NEVER_PROPOSED
        if not harsh or (not negated and len(near) > 4 and suggestions.mistakes(name, near, 1) < 2):
            return near
    return ""


def _flags(kind: type[Command], options: Mapping[str, str]) -> dict[str, Any]:
    return {field: True for name, field in _flag_names(kind).items() if name in options}


def _option_names(kind: type[Command]) -> dict[str, str]:
    options = [f for f in kind.parameters() if f.metadata["kind"] == "option"]
    return {f.name.replace("_", "-"): f.name for f in options}


def _own_options(kind: type[Command], options: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the options that only this command has."""
    values = {f: options[name] for name, f in _option_names(kind).items() if name in options}
    for name, value in values.items():
        if not PLAIN.fullmatch(value):
            raise Refused(f"--{name} takes a plain word, not “{echo(value)}”; {_usage(kind)}")
    return values


def _arguments(
    kind: type[Command], line: TypedLine, fields: Sequence[Field[Any]] | None = None
) -> dict[str, Any]:
    """Return the values of a command's arguments. `fields`: of these only; None means all."""
    if fields is None:
        fields = kind.parameters()
    arguments = [f for f in fields if f.metadata["kind"] == "argument"]
    words = line.plain
    if arguments and len(words) > 1 and words[0].casefold() == "to":
        words = words[1:]
    if any(f.name == "node" for f in arguments):
        words = _with_whole_nodes(words)
    if extra := words[len(arguments) :]:
        raise Refused(_not_understood(kind, extra, line))
    missing = [_placeholder(f) for f in arguments[len(words) :] if f.default is MISSING]
    if missing:
        are = "are" if len(missing) > 1 else "is"
        raise Refused(f"{join_words(missing)} {are} missing; {_usage(kind)}")
    hints = get_type_hints(kind)
    pairs = zip(arguments, words, strict=False)
    return {field.name: _value(word, hints[field.name], field, kind) for field, word in pairs}


def _with_whole_nodes(words: Sequence[str]) -> list[str]:
    """Join `master 1` and `master1` to `master-1`."""
    joined: list[str] = []
    for word in words:
        if short := SHORT_NODE.fullmatch(word):
            joined.append("-".join(short.groups()).casefold())
            continue
        if joined and joined[-1].casefold() in ("master", "media") and word.isdigit():
            joined[-1] = f"{joined[-1].casefold()}-{word}"
        else:
            joined.append(word)
    return joined


def _not_understood(kind: type[Command], extra: Sequence[str], line: TypedLine) -> str:
    """Describe words that a command does not take, and what may be meant by them."""
    if kind.command.split()[0] == "config":
        return NOT_HERE
    shown = ", ".join(f"“{echo(w)}”" for w in extra[:5])
    if line.tail:
        reason = echo(" ".join([line.options["reason"], *line.tail]), 80)
        return f'this was not understood: {shown}; put the reason in quotes: --reason "{reason}"'
    if extra[0].casefold() == "now":
        about = _said(f"help {kind.command}")
        return f"this was not understood: {shown}; leave it out, or see {about}"
    when = " ".join(extra[1:])
    if extra[0].casefold() == "at" and "at" in common_options(kind) and AT.fullmatch(when):
        begun = kind.command
        return f"this was not understood: {shown}; did you mean {_said(f'{begun} --at {when}')}?"
    return f"this was not understood: {shown}; {_usage(kind)}"


def _placeholder(parameter: Field[Any]) -> str:
    if parameter.metadata["kind"] == "rest":
        return str(parameter.metadata["syntax"])
    return parameter.name.replace("_", "-").upper()


def _value(word: str, hint: Any, field: Field[Any], kind: type[Command]) -> Any:
    name, usage = field.name.upper(), _usage(kind)
    if int in _types(hint):
        if not re.fullmatch(r"[0-9]{1,6}", word):
            raise Refused(f"{name} is a whole number, not “{echo(word)}”; {usage}")
        return int(word)
    choices = field.metadata.get("choices") or ()
    if choices and word.lower() not in choices:
        raise Refused(f"{name} is one of {', '.join(choices)}, not “{echo(word)}”; {usage}")
    if choices:
        return word.lower()
    if not PLAIN.fullmatch(word):
        raise Refused(f"{name} is a plain word, not “{echo(word)}”; {usage}")
    return word


def _types(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, UnionType):
        return get_args(hint)
    return (hint,)
