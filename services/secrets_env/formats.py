"""What a value may look like. A form says what is wrong with a value in words that never repeat it."""

import ipaddress
import re
import string
from collections.abc import Callable
from dataclasses import dataclass

MODULES = ("observability", "openviduMeet", "v2compatibility")
ENGINES = ("pion", "mediasoup")
NOTHING = "none"  # what the masters' own scripts print for "no value"

_ALNUM = frozenset(string.ascii_letters + string.digits)
PLAIN = _ALNUM | frozenset("._,:/@+-")

# Why a character is kept out. Those without an entry are kept out because nobody has shown that every reader keeps them.
_HARM = {
    "=": "the programs that set up new nodes read a value only up to its '=', and the boot script drops one at the end",
    "|": "masters run what follows it as a command, as root, or stay stopped over it",
    "\\": "masters take it for an instruction, and may stay stopped over it",
    "&": "the boot script writes the old value in its place",
    "'": "quotes are not taken off and become part of the value",
    '"': "quotes are not taken off and become part of the value",
    "\n": "a value is one line",
    "\r": "a value is one line",
}
_NAMES = {
    " ": "a space",
    "\t": "a tab",
    "\n": "a line break",
    "\r": "a line break",
    "'": "a single quote",
    '"': "a double quote",
}


@dataclass(frozen=True)
class Form:
    """One shape of values: `hint` is shown where a value is typed, `complaint` says what is wrong with one ("" if nothing)."""

    hint: str
    complaint: Callable[[str], str]


def bad_character(value: str) -> str:
    """The first character that some reader may not keep, by its place; "" if there is none."""
    for place, character in enumerate(value, 1):
        if character not in PLAIN:
            why = _HARM.get(
                character,
                "only letters, digits and . _ , : / @ + - are read alike by every program that reads this file",
            )
            return f"character {place} is {_said(character)}: {why}"
    return ""


def _said(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if not character.isascii():
        return "not plain ASCII"
    return f"'{character}'" if character.isprintable() else "a control character"


def _word(what: str, extra: str, shortest: int, longest: int) -> Callable[[str], str]:
    """Begins with a letter or digit (a leading - is an option to echo, a leading @ an error in YAML), goes on with those and `extra`."""
    allowed = _ALNUM | frozenset(extra)
    listed = f"letters, digits and {' '.join(extra)}"

    def complaint(value: str) -> str:
        if not shortest <= len(value) <= longest:
            return f"{what} has {shortest} to {longest} characters, this has {len(value)}"
        if value[0] not in _ALNUM:
            return f"{what} begins with a letter or a digit"
        if value.lower() == NOTHING:
            return "the masters' scripts take that word for no value at all"
        wrong = next(
            (place for place, character in enumerate(value, 1) if character not in allowed), 0
        )
        if wrong:
            return f"character {wrong} is '{value[wrong - 1]}': {what} has only {listed}"
        return ""

    return complaint


def _password(value: str) -> str:
    # Shorter ones could not be kept out of logs: they would be found in ordinary words.
    if complaint := _word("a password", "._,:/@+-", 8, 128)(value):
        return complaint
    if value[-1] in ":,":
        return "a password does not end with : or , as configuration files would take that for their own"
    return ""


def _api_secret(value: str) -> str:
    if complaint := _word("the API secret", "._/@+-", 32, 128)(value):
        return complaint
    return (
        ""
        if any(c.isalpha() for c in value)
        else "the API secret has at least one letter, or configuration files take it for a number"
    )


def _api_key(value: str) -> str:
    if complaint := _word("the API key", "_-", 6, 64)(value):
        return complaint
    return "" if value[0].isalpha() else "the API key begins with a letter"


def _domain(value: str) -> str:
    if "/" in value or ":" in value:
        return "the name alone, without https://, port or path"
    if re.fullmatch(r"[0-9.]+", value):
        return (
            ""
            if _is_ipv4(value)
            else "four numbers from 0 to 255 with dots between make an address; this is something else"
        )
    labels = value.split(".")
    if len(value) > 253 or len(labels) < 2:
        return "a domain name has at least two parts with a dot between, and at most 253 characters"
    if value != value.lower():
        return "a domain name is written in small letters"
    for place, label in enumerate(labels, 1):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
            return f"part {place} of the name is not 1 to 63 letters, digits and inner hyphens"
    return (
        ""
        if re.fullmatch(r"[a-z][a-z0-9-]*", labels[-1])
        else "the last part of a domain name begins with a letter"
    )


def _is_ipv4(value: str) -> bool:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return True


def _modules(value: str) -> str:
    items = value.split(",")
    wrong = next((place for place, item in enumerate(items, 1) if item not in MODULES), 0)
    if wrong:
        return (
            f"item {wrong} is not a module: {', '.join(MODULES)}, with commas and no spaces between"
        )
    return "" if len(set(items)) == len(items) else "a module is named twice"


def _engine(value: str) -> str:
    return "" if value in ENGINES else f"it is {' or '.join(ENGINES)}, in small letters"


DOMAIN = Form("a domain name in small letters, or an IPv4 address", _domain)
USERNAME = Form("1 to 64 letters, digits and . _ @ + -", _word("a user name", "._@+-", 1, 64))
PASSWORD = Form("8 to 128 letters, digits and . _ , : / @ + -", _password)
API_KEY = Form("6 to 64 letters, digits, _ and -, a letter first", _api_key)
API_SECRET = Form("32 to 128 letters, digits and . _ / @ + -", _api_secret)
LICENSE = Form("4 to 512 letters, digits and . _ : / @ + -", _word("a licence", "._:/@+-", 4, 512))
MODULE_LIST = Form(
    f"one or more of {', '.join(MODULES)}, with commas and no spaces between", _modules
)
ENGINE = Form(" or ".join(ENGINES), _engine)
