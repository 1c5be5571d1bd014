"""Markers: the parts of a sentence that look different in Slack, in a terminal and in a log. Pure.

A service does not know where its sentences are read. It writes `[[kind value]]`, and `handlers`
render that: handlers/slack/markup.py for Slack, handlers/terminal/plaintext.py for a terminal. The
kinds are those of `Marker`. Markers nest: `[[strong by [[person U1]]]]`. Text that people typed
holds none, because `without_markers` and the escaping of handlers/slack/blocks.py take them away.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum


class Marker(StrEnum):
    """What a marker stands for. The text after it is its value."""

    PERSON = "person"  # a Slack member id
    GROUP = "group"  # a Slack user group's id
    MOMENT = "moment"  # seconds since the epoch
    COMMAND = "command"  # a command and its arguments, without what a reader types before it
    STRONG = "strong"  # the words that decide
    WARNING = "warning"  # no value: a sentence that needs attention follows
    ALARM = "alarm"  # no value: a sentence that needs a person now follows


# The innermost marker. A pair of single brackets may be part of its value, as in `[[command scale
# [N]]]`.
_MARKER = re.compile(
    r"\[\[(?:(moment) (-?\d{1,12})|(person|group) (\w+)|(warning|alarm)"
    r"|(command|strong) ((?:[^\[\]]|\[[^\[\]]*\])*))\]\]"
)
_OPENING = re.compile(r"\[{2,}")
_PERSON = re.compile(r"(?:<@|\[\[person )(\w+)(?:>|\]\])")


def person(member: str) -> str:
    """A person, by Slack member id."""
    return f"[[{Marker.PERSON} {member}]]"


def user_group(ident: str) -> str:
    """A user group, by its Slack id."""
    return f"[[{Marker.GROUP} {ident}]]"


def moment(at: float) -> str:
    """A moment (seconds since the epoch), which each reader sees in their own time zone."""
    return f"[[{Marker.MOMENT} {int(at)}]]"


def command(words: str) -> str:
    """A command to type: `config history`."""
    return f"[[{Marker.COMMAND} {words}]]"


def strong(words: str) -> str:
    """Words that stand out."""
    return f"[[{Marker.STRONG} {words}]]"


WARNING = f"[[{Marker.WARNING}]]"


def rendered(text: str, render: Callable[[Marker, str], str]) -> str:
    """Return the text with each marker replaced by `render(kind, value)`, the innermost first."""
    if "[[" not in text:
        return text

    def replace(found: re.Match[str]) -> str:
        kind, *value = (group for group in found.groups() if group is not None)
        return render(Marker(kind), "".join(value))

    count = 1
    while count:
        text, count = _MARKER.subn(replace, text)
    return text


def plain_text(text: str) -> str:
    """Return the text for a reader that renders nothing.

    `@U1`, `2027-11-01 20:00 UTC`, commands as they are.
    """
    return rendered(text, _plain)


def _plain(kind: Marker, value: str) -> str:
    match kind:
        case Marker.PERSON | Marker.GROUP:
            return f"@{value}"
        case Marker.MOMENT:
            return f"{datetime.fromtimestamp(int(value), UTC):%Y-%m-%d %H:%M UTC}"
        case Marker.COMMAND | Marker.STRONG:
            return value
        case Marker.WARNING | Marker.ALARM:
            return "!"


def without_markers(text: str) -> str:
    """Return text from outside without anything that reads as a marker."""
    return _OPENING.sub("[", text)


def person_in(name: str) -> str:
    """Return a stored name of a person as a marker, if it holds a member id; else the name."""
    found = _PERSON.fullmatch(name)
    return person(found[1]) if found else name


def member_of(name: str) -> str:
    """Return the member id in a stored name of a person.

    The name is a marker, or `<@U1>` as versions up to 0.1 wrote it; else the name itself.
    """
    found = _PERSON.fullmatch(name)
    return found[1] if found else name
