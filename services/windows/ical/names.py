"""Names of events, fit to be said anywhere: calendars come from anywhere."""

import re

from services.common.markers import without_markers
from services.common.text import printable

NAME = 60  # characters of a name that are kept
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def harmless(text: str) -> str:
    """On one line, short, and without a meaning of its own where it is said."""
    line = printable(text.replace("<", "‹").replace(">", "›").replace("&", "+"))
    return without_markers(" ".join(re.sub(r"[*_~`]", "", line).split()))[:NAME].strip()


def unescaped(text: str) -> str:
    """A text value without its escapes: `\\,` is a comma, `\\n` a new line."""
    return _ESCAPED.sub(lambda m: "\n" if m[1] in "nN" else m[1], text)
