"""What is wrong with a `secrets.env` as it lies there, in words that name lines and keys and never what stands behind them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.secrets_env.formats import ENGINES
from services.secrets_env.keys import ENGINE, GATE, IN_A_COMMAND, KEYS
from services.secrets_env.readers import Sed, boot_value, install_value, sed_makes, shell_runs

# Only what looks like a key is ever shown. A stray line can be half of somebody's password.
_NAME = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)*")
_LONGEST_NAME = 40


class Harm(StrEnum):
    """What comes of it, worst first."""

    RUNS = "runs"  # part of it runs as a command, or writes a file, as root
    STOPS = "stops"  # OpenVidu may stay stopped on a master that boots
    CHANGES = "changes"  # a master that boots takes another value, or changes others
    INSTALL = "install"  # new nodes read another value, or do not install
    IGNORED = "ignored"  # the line has no effect


@dataclass(frozen=True)
class Problem:
    """One hazard. `mended` tells that the next edit of the file takes it away by itself."""

    code: str
    harm: Harm
    line: int
    key: str
    text: str
    mended: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Line:
    """One line with what ends it. `name` is "" for a line that is not KEY=VALUE with a proper KEY."""

    number: int
    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.raw.removesuffix(b"\n").rstrip(b"\r").decode(errors="surrogateescape")

    @property
    def name(self) -> str:
        name, equals, _ = self.text.partition("=")
        return name if equals and len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else ""

    @property
    def value(self) -> str:
        return self.text.partition("=")[2]

    @property
    def read(self) -> str:
        """The value as a master's boot reads it."""
        return boot_value(
            self.raw.removesuffix(b"\n").decode(errors="surrogateescape").partition("=")[2]
        )

    def __repr__(self) -> str:
        return f"Line({self.number}, {self.name or 'not a key'})"


def problems(lines: Sequence[Line]) -> Iterator[Problem]:
    """Every hazard, in the order of the lines; those of the whole file come last."""
    seen: dict[str, int] = {}
    for line in lines:
        if line.name:
            yield from _of_key(line, seen)
            seen[line.name] = line.number
        else:
            yield from _of_stray(line)
    yield from _of_endings(lines)
    if not any(
        line.raw.startswith(f"{GATE}=true".encode()) for line in lines
    ):  # as new nodes look for it
        number = next((line.number for line in reversed(lines) if line.name == GATE), 0)
        words = f"{GATE} is not true: new media nodes wait for it in vain"
        yield Problem("gate", Harm.INSTALL, number, GATE, words)


def _of_key(line: Line, seen: dict[str, int]) -> Iterator[Problem]:
    name, value = line.name, line.value

    def problem(code: str, harm: Harm, words: str) -> Problem:
        return Problem(code, harm, line.number, name, f"line {line.number}, {name}: {words}")

    if name in seen:
        yield problem("duplicate", *_twice(name, seen[name]))
    if name not in KEYS:
        yield problem(
            "unknown",
            Harm.IGNORED,
            "is no key of this file; ignored, unless a configuration file on the masters has it",
        )
    if not value:
        yield problem(
            "empty", Harm.IGNORED, "is empty, which masters skip: the value they have stays"
        )
    for code, harm, words in _of_sed(line.read):
        yield problem(code, harm, words)
    if name in IN_A_COMMAND and shell_runs(install_value(value)):
        yield problem(
            "shell", Harm.RUNS, "part of it would run as a command, as root, on each new media node"
        )
    elif name in IN_A_COMMAND and _TAKEN_APART.search(install_value(value)):
        yield problem(
            "word",
            Harm.INSTALL,
            "has a blank, quote, backslash or brace, where a new media node's shell takes it apart",
        )
    if name == ENGINE and value and boot_value(value) not in ENGINES:
        yield problem(
            "engine",
            Harm.STOPS,
            f"is not {' or '.join(ENGINES)}, and OpenVidu starts with nothing else",
        )
    for code, (pattern, harm, words) in _HAZARDS.items():
        if pattern.search(value):
            yield problem(code, harm, words)


_TAKEN_APART = re.compile(r"""['"\\ \t{]""")


def _twice(name: str, first: int) -> tuple[Harm, str]:
    if name in IN_A_COMMAND:
        return (
            Harm.RUNS,
            f"is on line {first} too: a new media node would run the second value as a command, as root",
        )
    return Harm.INSTALL, f"is on line {first} too; masters take the last, new nodes read both"


def _of_sed(value: str) -> Iterator[tuple[str, Harm, str]]:
    """What the boot script's sed makes of a value: a code, the harm, and words for it."""
    found = sed_makes(value)
    if Sed.COMMANDS in found:
        yield (
            "command",
            Harm.RUNS,
            "what follows its pipe character would run as a command, as root",
        )
    elif Sed.FAILS in found:
        code, name = (
            ("pipe", "pipe character")
            if "|" in re.sub(r"\\.", "", value)
            else ("backslash", "backslash")
        )
        yield (
            code,
            Harm.STOPS,
            f"has a {name}, which ends the boot script and leaves OpenVidu stopped",
        )
    elif Sed.LINES in found:
        yield (
            "lines",
            Harm.RUNS,
            "its escape would write lines of its own into a master's configuration",
        )
    elif Sed.CHANGES in found and "\\" in value:
        yield (
            "backslash",
            Harm.CHANGES,
            "has a backslash, which the boot script does not store as it stands",
        )
    elif Sed.CHANGES in found:
        yield (
            "ampersand",
            Harm.CHANGES,
            "has an ampersand, for which the boot script writes the old value",
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
        "ends with its only '=', which the boot script drops",
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
    """A line that is not KEY=VALUE may still match one of a configuration file, where somebody means it to."""
    text, place = line.text.strip(), f"line {line.number}"
    key, equals, _ = line.text.partition("=")
    is_comment = text.startswith("#")
    if not text or (is_comment and not equals):
        return
    exported = text.removeprefix("export ").partition("=")[0] if text.startswith("export ") else ""
    name = exported if _NAME.fullmatch(exported) else ""
    named = f"{place}, {name}" if name else place
    made = list(_of_sed(line.read)) if equals and line.read else []
    if (equals and "|" in key) or any(harm is Harm.RUNS for _, harm, _ in made):
        yield Problem(
            "command",
            Harm.RUNS,
            line.number,
            name,
            f"{named}: may run as a command, as root, when a master boots",
        )
    elif equals and _is_pattern(key):
        # The boot script looks keys up as patterns: `.*=x` would overwrite every line of a configuration file.
        words = (
            "what stands before '=' is no key, and the boot script takes it for a search pattern"
        )
        yield Problem("pattern", Harm.STOPS, line.number, "", f"{place}: {words}")
    elif re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) and (
        stops := [(c, w) for c, h, w in made if h is Harm.STOPS]
    ):
        yield from (
            Problem(code, Harm.STOPS, line.number, "", f"{place}: {words}") for code, words in stops
        )
    elif name:
        yield Problem(
            "export",
            Harm.IGNORED,
            line.number,
            name,
            f"{named}: stands behind `export`, and is ignored for it",
        )
    elif not is_comment:
        yield Problem(
            "stray", Harm.IGNORED, line.number, "", f"{place}: is not KEY=VALUE, and is ignored"
        )


def _is_pattern(key: str) -> bool:
    """Whether sed and grep may find other lines by it than those that begin with just these characters."""
    if key.startswith("#"):
        return key.startswith("#*") or "\\" in key  # whatever else follows, it finds comments only
    return bool(re.search(r"[\\.*\[\]^$]", key))


def _of_endings(lines: Sequence[Line]) -> Iterator[Problem]:
    crlf = [line for line in lines if line.raw.removesuffix(b"\n").endswith(b"\r")]
    if crlf:
        words = f"{len(crlf)} lines end with CR LF, and the CR becomes part of every value; the first is line {crlf[0].number}"
        yield Problem("crlf", Harm.CHANGES, crlf[0].number, crlf[0].name, words, mended=True)
    if lines and not lines[-1].raw.endswith(b"\n"):
        last = lines[-1]
        words = f"line {last.number}, {last.name or 'the last one'}: has no line end, so masters do not read it; after an edit they will"
        yield Problem("no-final-newline", Harm.IGNORED, last.number, last.name, words, mended=True)
