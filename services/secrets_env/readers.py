"""How the programs that read `secrets.env` misread a value.

None of them quotes anything. The boot script of a master puts key and value into a program for GNU
sed, `s|^KEY=.*|KEY=VALUE|`, and runs it as root. A media node that installs puts some values into a
command line for bash. The reader contract tests compare this module with the real programs.
"""

import re
from enum import StrEnum


class SedEffect(StrEnum):
    """What a value does to sed, worst first; one that does none of it is stored unchanged."""

    # What follows a pipe is taken for flags and commands: `e` runs a program, `w` writes a file.
    COMMANDS = "commands"
    # An escape writes further lines into the configuration file.
    LINES = "lines"
    # sed rejects the program, and the boot script ends.
    FAILS = "fails"
    # An escape or an ampersand is replaced by something else.
    CHANGES = "changes"


def value_at_boot(text: str) -> str:
    """Return the value that `IFS='=' read -r key value` yields on a master.

    It drops NULs, and a last '=' that is the only one.
    """
    text = text.replace("\0", "")
    if text.endswith("=") and text.count("=") == 1:
        return text[:-1]
    return text


def value_at_install(text: str) -> str:
    """Return the value that `cut -d= -f2` yields on an installing node: up to the next '='."""
    return text.partition("=")[0].replace("\0", "")


_SHELL = frozenset(";&|<>()$`\n")


def may_run_in_shell(value: str) -> bool:
    """Return whether bash may run part of a value that is in a command line without quotes."""
    return not _SHELL.isdisjoint(value)


def sed_effects(value: str) -> frozenset[SedEffect]:
    """Return what sed does with a value between `s|^KEY=.*|KEY=` and the closing pipe."""
    replacement, pipe, tail = _split(value)
    effects = _escapes(replacement)
    if pipe and _may_parse(tail):
        return effects | {SedEffect.COMMANDS}
    trailing_backslashes = len(replacement) - len(replacement.rstrip("\\"))
    # An odd one escapes the closing pipe.
    if pipe or trailing_backslashes % 2:
        return effects | {SedEffect.FAILS}
    return effects


_PIECE = re.compile(r"\\.|.", re.DOTALL)


def _split(value: str) -> tuple[str, bool, str]:
    """Return the replacement, whether a pipe ends it early, and what follows that pipe."""
    for piece in _PIECE.finditer(value):
        if piece[0] == "|":
            return value[: piece.start()], True, value[piece.end() :]
    return value, False, ""


def _may_parse(tail: str) -> bool:
    """Return whether sed may parse what follows the pipe as flags and commands; in doubt True.

    The closing pipe is at the end of the line: a program that parses must contain it in a comment,
    a file name or a command.
    """
    rest = re.sub(r"^[egiImMp0-9\s]*", "", tail)
    return rest[:1] in ("w", ";", "#")


_ESCAPE = re.compile(r"\\(?:c(\\.|.)|d(\d{1,3})|o([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)


def _escapes(replacement: str) -> frozenset[SedEffect]:
    effects: set[SedEffect] = set()
    if "&" in re.sub(r"\\.", "", replacement, flags=re.DOTALL):
        effects.add(SedEffect.CHANGES)
    for control, decimal, octal, hexadecimal, plain in _ESCAPE.findall(replacement):
        effects.add(SedEffect.CHANGES)
        code = _character_code(decimal, octal, hexadecimal)
        if plain == "n" or code == ord("\n") or control in ("J", "j"):
            effects.add(SedEffect.LINES)
        # A digit after a backslash is a group, of which the program has none; and a control
        # character cannot be made of another escape.
        if plain in set("123456789") or (control.startswith("\\") and control != "\\\\"):
            effects.add(SedEffect.FAILS)
    return frozenset(effects)


def _character_code(decimal: str, octal: str, hexadecimal: str) -> int:
    """Return the code of a numeric escape; 0 if it is of another kind."""
    for digits, base in ((decimal, 10), (octal, 8), (hexadecimal, 16)):
        if digits:
            return int(digits, base) & 0xFF
    return 0
