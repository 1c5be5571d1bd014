"""Formats of values. A complaint about a value never repeats it."""

import ipaddress
import re
import string
from collections.abc import Callable
from dataclasses import dataclass

MODULES = ("observability", "openviduMeet", "v2compatibility")
ENGINES = ("pion", "mediasoup")
# What the masters' own scripts print for "no value".
NOTHING = "none"

_ALNUM = frozenset(string.ascii_letters + string.digits)
PLAIN = _ALNUM | frozenset("._,:/@+-")

# Why a character is not allowed. For those without an entry it was not shown that every reader of
# the file keeps them.
_HARM = {
    "=": ("new nodes read a value only up to its '=', and the boot script removes one at the end"),
    "|": "masters run what follows it as a command, as root, or fail to start",
    "\\": "masters interpret it as an instruction, and may fail to start",
    "&": "the boot script replaces it by the old value",
    "'": "quotes are not removed and become part of the value",
    '"': "quotes are not removed and become part of the value",
    "\n": "a value is one line",
    "\r": "a value is one line",
}
_NOT_PLAIN = "every program that reads this file accepts only letters, digits and . _ , : / @ + -"
_NAMES = {
    " ": "a space",
    "\t": "a tab",
    "\n": "a line break",
    "\r": "a line break",
    "'": "a single quote",
    '"': "a double quote",
}


@dataclass(frozen=True)
class ValueFormat:
    """A format: `hint` is shown where a value is typed, `complaint` returns what is wrong with one.

    "" if nothing is.
    """

    hint: str
    complaint: Callable[[str], str]


def forbidden_character(value: str) -> str:
    """Return the place of the first character that some reader may not keep, and why; else ""."""
    for place, character in enumerate(value, 1):
        if character not in PLAIN:
            why = _HARM.get(character, _NOT_PLAIN)
            return f"character {place} is {_shown(character)}: {why}"
    return ""


def _shown(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if not character.isascii():
        return "not plain ASCII"
    if not character.isprintable():
        return "a control character"
    return f"'{character}'"


def _word(what: str, extra: str, shortest: int, longest: int) -> Callable[[str], str]:
    """Return the check for a letter or digit, followed by letters, digits and `extra`.

    A leading - would be an option to echo, a leading @ an error in YAML.
    """
    allowed = _ALNUM | frozenset(extra)
    listed = f"letters, digits and {' '.join(extra)}"

    def complaint(value: str) -> str:
        if not shortest <= len(value) <= longest:
            return f"{what} has {shortest} to {longest} characters, this has {len(value)}"
        if value[0] not in _ALNUM:
            return f"{what} begins with a letter or a digit"
        if value.lower() == NOTHING:
            return "the masters' scripts interpret this word as no value"
        wrong = next(
            (place for place, character in enumerate(value, 1) if character not in allowed), 0
        )
        if wrong:
            return f"character {wrong} is '{value[wrong - 1]}': {what} has only {listed}"
        return ""

    return complaint


def _password(value: str) -> str:
    # Shorter ones could not be masked in logs: they would match parts of ordinary words.
    if complaint := _word("a password", "._,:/@+-", 8, 128)(value):
        return complaint
    if value[-1] in ":,":
        return (
            "a password does not end with : or , "
            "because configuration files interpret it as their own syntax"
        )
    return ""


def _api_secret(value: str) -> str:
    if complaint := _word("the API secret", "._/@+-", 32, 128)(value):
        return complaint
    if not any(c.isalpha() for c in value):
        return (
            "the API secret needs at least one letter; else configuration files read it as a number"
        )
    return ""


def _api_key(value: str) -> str:
    if complaint := _word("the API key", "_-", 6, 64)(value):
        return complaint
    if not value[0].isalpha():
        return "the API key begins with a letter"
    return ""


def _domain(value: str) -> str:
    if "/" in value or ":" in value:
        return "the name alone, without https://, port or path"
    if re.fullmatch(r"[0-9.]+", value):
        return _ipv4(value)
    labels = value.split(".")
    if len(value) > 253 or len(labels) < 2:
        return "a domain name has at least two parts with a dot between, and at most 253 characters"
    if value != value.lower():
        return "a domain name is written in lower case"
    for place, label in enumerate(labels, 1):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
            return f"part {place} of the name is not 1 to 63 letters, digits and inner hyphens"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", labels[-1]):
        return "the last part of a domain name begins with a letter"
    return ""


def _ipv4(value: str) -> str:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return "an IPv4 address is four numbers from 0 to 255, separated by dots"
    return ""


def _modules(value: str) -> str:
    items = value.split(",")
    wrong = next((place for place, item in enumerate(items, 1) if item not in MODULES), 0)
    if wrong:
        return (
            f"item {wrong} is not a module: {', '.join(MODULES)}, with commas and no spaces between"
        )
    if len(set(items)) != len(items):
        return "a module is named twice"
    return ""


def _engine(value: str) -> str:
    if value in ENGINES:
        return ""
    return f"it is {' or '.join(ENGINES)}, in lower case"


DOMAIN = ValueFormat("a domain name in lower case, or an IPv4 address", _domain)
USERNAME = ValueFormat(
    "1 to 64 letters, digits and . _ @ + -", _word("a user name", "._@+-", 1, 64)
)
PASSWORD = ValueFormat("8 to 128 letters, digits and . _ , : / @ + -", _password)
API_KEY = ValueFormat("6 to 64 letters, digits, _ and -, a letter first", _api_key)
API_SECRET = ValueFormat("32 to 128 letters, digits and . _ / @ + -", _api_secret)
LICENSE = ValueFormat(
    "4 to 512 letters, digits and . _ : / @ + -", _word("a licence", "._:/@+-", 4, 512)
)
MODULE_LIST = ValueFormat(
    f"one or more of {', '.join(MODULES)}, with commas and no spaces between", _modules
)
ENGINE = ValueFormat(" or ".join(ENGINES), _engine)
