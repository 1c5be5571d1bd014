"""Text from elsewhere, without what cannot be seen or turns the rest of a line around. Pure."""

import re

# Control characters but tab and line feed, marks of direction, and the mark that begins a file.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
NAMELIKE = re.compile(r"[^A-Za-z0-9._:/+ -]")
LONGEST_NAME = 255


def printable(text: str) -> str:
    """The same words, as they may stand in a line with others."""
    return UNSEEN.sub("", text)


def namelike(text: str) -> str:
    """A name, size or state of somebody else's as it may be shown anywhere: DigitalOcean's own are made of these characters only."""
    return NAMELIKE.sub("?", text)[:LONGEST_NAME]
