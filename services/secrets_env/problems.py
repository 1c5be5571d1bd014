"""What is wrong with a `secrets.env` as it lies there, in words that name lines and keys and never what stands behind them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.secrets_env.keys import KEYS

# Only what looks like a key is ever shown. A stray line can be half of somebody's password.
_NAME = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)*")
_LONGEST_NAME = 40


class Harm(StrEnum):
    """What comes of it, worst first."""

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
    gate = [line for line in lines if line.name == "ALL_SECRETS_GENERATED"]
    if not gate or gate[-1].value != "true":
        number = gate[-1].number if gate else 0
        words = "ALL_SECRETS_GENERATED is not true: new media nodes wait for it in vain"
        yield Problem("gate", Harm.INSTALL, number, "ALL_SECRETS_GENERATED", words)


def _of_key(line: Line, seen: dict[str, int]) -> Iterator[Problem]:
    name, value = line.name, line.value

    def problem(code: str, harm: Harm, words: str) -> Problem:
        return Problem(code, harm, line.number, name, f"line {line.number}, {name}: {words}")

    if name in seen:
        words = f"is on line {seen[name]} too; masters take the last, new nodes read both"
        yield problem("duplicate", Harm.INSTALL, words)
    if name not in KEYS:
        yield problem("unknown", Harm.IGNORED, "is no key of this file; ignored, unless a configuration file on the masters has it")
    if not value:
        yield problem("empty", Harm.IGNORED, "is empty, which masters skip: the value they have stays")
    for code, (pattern, harm, words) in _HAZARDS.items():
        if pattern.search(value):
            yield problem(code, harm, words)


_HAZARDS = {
    "pipe": (re.compile(r"\|"), Harm.STOPS, "has a pipe character, which ends the boot script and leaves OpenVidu stopped"),
    "backslash": (re.compile(r"\\"), Harm.STOPS, "has a backslash, which ends the boot script or is lost"),
    "ampersand": (re.compile("&"), Harm.CHANGES, "has an ampersand, for which the boot script writes the old value"),
    "quoted": (re.compile(r"""^["']|["']$"""), Harm.CHANGES, "has quotes around it, which become part of the value"),
    "control": (re.compile(r"[\x00-\x1f\x7f]"), Harm.CHANGES, "has a control character"),
    "foreign": (re.compile(r"[^\x00-\x7f]"), Harm.CHANGES, "has a character outside plain ASCII"),
    "trailing-equals": (re.compile(r"^[^=]*=$"), Harm.CHANGES, "ends with its only '=', which the boot script drops"),
    "equals": (re.compile("="), Harm.INSTALL, "has an '=', where programs that set up new nodes stop reading"),
    "blank": (re.compile(r"^\s|\s$"), Harm.CHANGES, "begins or ends with a blank, which becomes part of the value"),
    "nothing": (re.compile("^none$"), Harm.CHANGES, "is the word that the masters' scripts print for no value"),
}


def _of_stray(line: Line) -> Iterator[Problem]:
    text, place = line.text.strip(), f"line {line.number}"
    if not text or (text.startswith("#") and "=" not in text):
        return
    if text.startswith("export ") and _NAME.fullmatch(name := text.removeprefix("export ").partition("=")[0]):
        yield Problem("export", Harm.IGNORED, line.number, name, f"{place}, {name}: stands behind `export`, and is ignored for it")
    elif re.search(r"[\\.*\[\]^$]", text.partition("=")[0]) and "=" in text:
        # The boot script looks keys up as patterns: `.*=x` would overwrite every line of a configuration file.
        words = "what stands before '=' is no key, and the boot script takes it for a search pattern"
        yield Problem("pattern", Harm.STOPS, line.number, "", f"{place}: {words}")
    elif not text.startswith("#"):
        yield Problem("stray", Harm.IGNORED, line.number, "", f"{place}: is not KEY=VALUE, and is ignored")


def _of_endings(lines: Sequence[Line]) -> Iterator[Problem]:
    crlf = [line for line in lines if line.raw.removesuffix(b"\n").endswith(b"\r")]
    if crlf:
        words = f"{len(crlf)} lines end with CR LF, and the CR becomes part of every value; the first is line {crlf[0].number}"
        yield Problem("crlf", Harm.CHANGES, crlf[0].number, crlf[0].name, words, mended=True)
    if lines and not lines[-1].raw.endswith(b"\n"):
        last = lines[-1]
        words = f"line {last.number}, {last.name or 'the last one'}: has no line end, so masters do not read it; after an edit they will"
        yield Problem("no-final-newline", Harm.IGNORED, last.number, last.name, words, mended=True)
