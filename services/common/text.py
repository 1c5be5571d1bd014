"""Text from elsewhere, without what cannot be seen or turns the rest of a line around. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Control characters but tab and line feed, marks of direction, and the mark that begins a file.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
NAMELIKE = re.compile(r"[^A-Za-z0-9._:/+ -]")
LONGEST_NAME = 255


def printable(text: str) -> str:
    """The same words, as they may stand in a line with others."""
    return UNSEEN.sub("", text)


def namelike(text: str) -> str:
    """A name, size or state of somebody else's as it may be shown anywhere: DigitalOcean's own are made of these characters only."""
    return NAMELIKE.sub("?", text)[:LONGEST_NAME]


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def count(number: int, noun: str) -> str:
    """`1 meeting`, `3 meetings`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {'people' if noun == 'person' else noun + 's'}"


def plural(number: int, one: str, many: str) -> str:
    """Return the form that agrees with the number: `plural(2, "is", "are")` is `are`."""
    if number == 1:
        return one
    return many


def duration(seconds: float) -> str:
    """`40 s`, `5 min`, `1 h 12 min`, as people say it."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
