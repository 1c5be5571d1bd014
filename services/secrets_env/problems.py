"""Problems in `secrets.env`, reported by line and key, never by value."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.secrets_env.formats import ENGINES
from services.secrets_env.keys import ENGINE, IN_A_COMMAND, KEYS, READY_KEY
from services.secrets_env.readers import (
    SedEffect,
    may_run_in_shell,
    sed_effects,
    value_at_boot,
    value_at_install,
)

# Only what looks like a key is ever shown: a stray line can be half of a password.
_NAME = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)*")
_LONGEST_NAME = 40


class Harm(StrEnum):
    """The consequence, worst first."""

    # Part of it runs as a command, or writes a file, as root.
    RUNS = "runs"
    # OpenVidu may stay stopped on a master that boots.
    STOPS = "stops"
    # A master that boots takes another value, or changes others.
    CHANGES = "changes"
    # New nodes read another value, or do not install.
    INSTALL = "install"
    # The line has no effect.
    IGNORED = "ignored"


@dataclass(frozen=True)
class Problem:
    """A problem of one line, or of the whole file."""

    code: str
    harm: Harm
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        return self.text


# Code, consequence and text of a problem, before the line is known.
Hazard = tuple[str, Harm, str]


@dataclass(frozen=True, repr=False)
class Line:
    """A line with its line end. `name` is "" unless it is KEY=VALUE with a proper KEY."""

    number: int
    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.raw.removesuffix(b"\n").rstrip(b"\r").decode(errors="surrogateescape")

    @property
    def name(self) -> str:
        name, equals, _ = self.text.partition("=")
        if not equals or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            return ""
        return name

    @property
    def value(self) -> str:
        return self.text.partition("=")[2]

    @property
    def read(self) -> str:
        """Return the value as a master's boot script reads it."""
        line = self.raw.removesuffix(b"\n").decode(errors="surrogateescape")
        return value_at_boot(line.partition("=")[2])

    def __repr__(self) -> str:
        return f"Line({self.number}, {self.name or 'not a key'})"


def problems(lines: Sequence[Line], *, installs: bool = True) -> Iterator[Problem]:
    """Yield every problem, in the order of the lines; those of the whole file come last.

    `installs`: new media nodes read the file while they install.
    """
    seen: dict[str, int] = {}
    for line in lines:
        if line.name:
            yield from _of_key(line, seen)
            seen[line.name] = line.number
        else:
            yield from _of_stray(line)
    yield from _of_endings(lines)
    # As new nodes look for it.
    if installs and not any(line.raw.startswith(f"{READY_KEY}=true".encode()) for line in lines):
        number = next((line.number for line in reversed(lines) if line.name == READY_KEY), 0)
        text = f"{READY_KEY} is not true: new media nodes wait for it forever"
        yield Problem("gate", Harm.INSTALL, number, READY_KEY, text)


def _of_key(line: Line, seen: dict[str, int]) -> Iterator[Problem]:
    """Yield the problems of a KEY=VALUE line. `seen`: the lines of earlier keys."""
    for code, harm, text in _hazards_of_key(line, seen):
        where = f"line {line.number}, {line.name}"
        yield Problem(code, harm, line.number, line.name, f"{where}: {text}")


def _hazards_of_key(line: Line, seen: dict[str, int]) -> Iterator[Hazard]:
    name, value = line.name, line.value
    if name in seen:
        yield _duplicate(name, seen[name])
    if name not in KEYS:
        yield (
            "unknown",
            Harm.IGNORED,
            "is not a key of this file; ignored, unless a configuration file on the masters has it",
        )
    if not value:
        yield "empty", Harm.IGNORED, "is empty, so masters skip it and keep the value they have"
    yield from _of_sed(line.read)
    if name in IN_A_COMMAND:
        yield from _of_command_line(value_at_install(value))
    if name == ENGINE and value and value_at_boot(value) not in ENGINES:
        yield (
            "engine",
            Harm.STOPS,
            f"is not {' or '.join(ENGINES)}, so OpenVidu does not start",
        )
    for code, (pattern, harm, text) in _HAZARDS.items():
        if pattern.search(value):
            yield code, harm, text


_TAKEN_APART = re.compile(r"""['"\\ \t{]""")


def _duplicate(name: str, first: int) -> Hazard:
    if name not in IN_A_COMMAND:
        text = f"is on line {first} too; masters take the last, new nodes read both"
        return "duplicate", Harm.INSTALL, text
    text = (
        f"is on line {first} too: a new media node would run the second value as a command, as root"
    )
    return "duplicate", Harm.RUNS, text


def _of_command_line(value: str) -> Iterator[Hazard]:
    """Yield what a new media node's shell does with an unquoted value."""
    if may_run_in_shell(value):
        yield (
            "shell",
            Harm.RUNS,
            "part of it would run as a command, as root, on each new media node",
        )
    elif _TAKEN_APART.search(value):
        yield (
            "word",
            Harm.INSTALL,
            "has a blank, quote, backslash or brace, where a new media node's shell splits it",
        )


def _of_sed(value: str) -> Iterator[Hazard]:
    """Yield what the boot script's sed does with a value."""
    effects = sed_effects(value)
    if SedEffect.COMMANDS in effects:
        yield (
            "command",
            Harm.RUNS,
            "what follows its pipe character would run as a command, as root",
        )
    elif SedEffect.FAILS in effects:
        code, name = "backslash", "backslash"
        if "|" in re.sub(r"\\.", "", value):
            code, name = "pipe", "pipe character"
        yield (
            code,
            Harm.STOPS,
            f"has a {name}, which ends the boot script and leaves OpenVidu stopped",
        )
    elif SedEffect.LINES in effects:
        yield (
            "lines",
            Harm.RUNS,
            "its escape sequence would add lines to a master's configuration",
        )
    elif SedEffect.CHANGES in effects and "\\" in value:
        yield (
            "backslash",
            Harm.CHANGES,
            "has a backslash, which the boot script changes",
        )
    elif SedEffect.CHANGES in effects:
        yield (
            "ampersand",
            Harm.CHANGES,
            "has an ampersand, which the boot script replaces by the old value",
        )


_HAZARDS = {
    "quoted": (
        re.compile(r"""^["']|["']$"""),
        Harm.CHANGES,
        "has quotes around it, which become part of the value",
    ),
    "control": (re.compile(r"[\x00-\x1f\x7f]"), Harm.CHANGES, "has a control character"),
    "foreign": (re.compile(r"[^\x00-\x7f]"), Harm.CHANGES, "has a character outside plain ASCII"),
    "trailing-equals": (
        re.compile(r"^[^=]*=$"),
        Harm.CHANGES,
        "ends with its only '=', which the boot script removes",
    ),
    "equals": (
        re.compile("="),
        Harm.INSTALL,
        "has an '=', where programs that set up new nodes stop reading",
    ),
    "blank": (
        re.compile(r"^\s|\s$"),
        Harm.CHANGES,
        "begins or ends with a blank, which becomes part of the value",
    ),
    "nothing": (
        re.compile("^none$"),
        Harm.CHANGES,
        "is the word that the masters' scripts print for no value",
    ),
}


def _of_stray(line: Line) -> Iterator[Problem]:
    """Yield the problems of a line that is not KEY=VALUE.

    The boot script still looks for what precedes its '=' in configuration files.
    """
    text, place = line.text.strip(), f"line {line.number}"
    key, equals, _ = line.text.partition("=")
    is_comment = text.startswith("#")
    if not text or (is_comment and not equals):
        return
    name = _exported_name(text)
    named = f"{place}, {name}" if name else place
    hazards = list(_of_sed(line.read)) if equals and line.read else []
    stops = [(code, words) for code, harm, words in hazards if harm is Harm.STOPS]
    if (equals and "|" in key) or any(harm is Harm.RUNS for _, harm, _ in hazards):
        words = f"{named}: may run as a command, as root, when a master boots"
        yield Problem("command", Harm.RUNS, line.number, name, words)
    elif equals and _is_pattern(key):
        # `.*=x` would overwrite every line of a configuration file.
        words = (
            f"{place}: the text before '=' is not a key, "
            "and the boot script uses it as a search pattern"
        )
        yield Problem("pattern", Harm.STOPS, line.number, "", words)
    elif stops and re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII):
        for code, words in stops:
            yield Problem(code, Harm.STOPS, line.number, "", f"{place}: {words}")
    elif name:
        words = f"{named}: has `export` before it, and is ignored"
        yield Problem("export", Harm.IGNORED, line.number, name, words)
    elif not is_comment:
        words = f"{place}: is not KEY=VALUE, and is ignored"
        yield Problem("stray", Harm.IGNORED, line.number, "", words)


def _exported_name(text: str) -> str:
    """Return the key of an `export KEY=VALUE` line, else ""."""
    if not text.startswith("export "):
        return ""
    name = text.removeprefix("export ").partition("=")[0]
    if not _NAME.fullmatch(name):
        return ""
    return name


def _is_pattern(key: str) -> bool:
    """Return whether sed and grep, taking it for a pattern, may find lines it does not begin."""
    if key.startswith("#"):
        # Whatever else follows, it finds comments only.
        return key.startswith("#*") or "\\" in key
    return bool(re.search(r"[\\.*\[\]^$]", key))


def _of_endings(lines: Sequence[Line]) -> Iterator[Problem]:
    crlf = [line for line in lines if line.raw.removesuffix(b"\n").endswith(b"\r")]
    if crlf:
        first = crlf[0]
        text = (
            f"{len(crlf)} lines end with CR LF, and the CR becomes part of every value; "
            f"the first is line {first.number}"
        )
        yield Problem("crlf", Harm.CHANGES, first.number, first.name, text)
    if lines and not lines[-1].raw.endswith(b"\n"):
        last = lines[-1]
        text = (
            f"line {last.number}, {last.name or 'the last one'}: has no line end, "
            "so masters ignore it now, and read it after an edit"
        )
        yield Problem("no-final-newline", Harm.IGNORED, last.number, last.name, text)
