"""English phrases, and text from elsewhere made safe to show. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Control characters except tab and line feed, direction marks, and the byte order mark.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2060-\u2064\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
NAMELIKE = re.compile(r"[^A-Za-z0-9._:/+ -]")
LONGEST_NAME = 255


def strip_invisible(text: str) -> str:
    """Remove characters that are invisible or change the direction of the rest of a line."""
    return UNSEEN.sub("", text)


def sanitize_name(text: str) -> str:
    """Make an external name safe to show: characters DigitalOcean never uses become `?`."""
    return NAMELIKE.sub("?", text)[:LONGEST_NAME]


def join_words(words: Iterable[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def or_words(words: Iterable[str]) -> str:
    """Return `a`, `a or b`, or `a, b or c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} or {items[-1]}"


def count_of(number: int, noun: str) -> str:
    """Return `1 meeting`, `3 meetings`."""
    if number == 1:
        return f"1 {noun}"
    if noun == "person":
        return f"{number} people"
    return f"{number} {noun}s"


def plural(number: int, one: str, many: str) -> str:
    """Return the form that agrees with the number: `plural(2, "is", "are")` is `are`."""
    if number == 1:
        return one
    return many


def duration(seconds: float) -> str:
    """Return `40 s`, `5 min`, `1 h 12 min`."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    if not hours:
        return f"{minutes} min"
    if not minutes:
        return f"{hours} h"
    return f"{hours} h {minutes} min"
