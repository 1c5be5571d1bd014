"""What the programs that read `secrets.env` make of a value, apart from keeping it as it is.

Neither quotes anything. A master's boot puts key and value into a program for GNU sed, `s|^KEY=.*|KEY=VALUE|`, and runs it as root. A media
node that installs itself puts some values into a command line for bash. The reader contract tests hold this to the real programs.
"""

import re
from enum import StrEnum


class Sed(StrEnum):
    """What a value does to sed, worst first. A value that does none of it is stored as it stands."""

    COMMANDS = "commands"  # what follows a pipe is taken for flags and commands: `e` runs a program, `w` writes a file
    LINES = "lines"  # an escape writes further lines into the configuration file
    FAILS = "fails"  # sed refuses the program, and the boot script ends
    CHANGES = "changes"  # an escape or an ampersand is replaced by something else


def boot_value(text: str) -> str:
    """The value as `IFS='=' read -r key value` hands it over: without NULs, and without a last '=' that is its only one."""
    text = text.replace("\0", "")
    return text[:-1] if text.endswith("=") and text.count("=") == 1 else text


def install_value(text: str) -> str:
    """The value as `cut -d= -f2` hands it over to a node that installs itself: up to the next '='."""
    return text.partition("=")[0].replace("\0", "")


_SHELL = frozenset(";&|<>()$`\n")


def shell_runs(value: str) -> bool:
    """Whether bash may run part of a value that stands in a command line without quotes."""
    return not _SHELL.isdisjoint(value)


def sed_makes(value: str) -> frozenset[Sed]:
    """What sed makes of a value behind `s|^KEY=.*|KEY=`, with the closing pipe after it."""
    replacement, pipe, tail = _split(value)
    found = _escapes(replacement)
    if pipe:
        found |= {Sed.COMMANDS if _may_parse(tail) else Sed.FAILS}
    elif len(replacement) - len(replacement.rstrip("\\")) & 1:
        found |= {Sed.FAILS}  # the last backslash takes the closing pipe away
    return found


_PIECE = re.compile(r"\\.|.", re.DOTALL)


def _split(value: str) -> tuple[str, bool, str]:
    """The replacement, whether a pipe ends it early, and what follows that pipe."""
    for piece in _PIECE.finditer(value):
        if piece[0] == "|":
            return value[: piece.start()], True, value[piece.end() :]
    return value, False, ""


def _may_parse(tail: str) -> bool:
    """Whether sed may take what follows the pipe for flags and commands. Only where it certainly refuses it is the answer no.

    The closing pipe stands at the end of the line: a program that parses has to swallow it, in a comment, a file's name or a command.
    """
    rest = re.sub(r"^[egiImMp0-9\s]*", "", tail)
    return rest[:1] in ("w", ";", "#")


_ESCAPE = re.compile(r"\\(?:c(\\.|.)|d(\d{1,3})|o([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)


def _escapes(replacement: str) -> frozenset[Sed]:
    found = {Sed.CHANGES} if "&" in re.sub(r"\\.", "", replacement, flags=re.DOTALL) else set()
    for control, decimal, octal, hexadecimal, plain in _ESCAPE.findall(replacement):
        found.add(Sed.CHANGES)
        code = (
            int(decimal or octal or hexadecimal or "0", 10 if decimal else 8 if octal else 16)
            & 0xFF
        )
        if plain == "n" or code == ord("\n") or control in ("J", "j"):
            found.add(Sed.LINES)
        # A number after a backslash means a group, and the program has none; an escape cannot be made of another one.
        if plain in set("123456789") or (control.startswith("\\") and control != "\\\\"):
            found.add(Sed.FAILS)
    return frozenset(found)
