"""Names of events, sanitized for display: calendar files are untrusted."""

import re

from services.common.markers import without_markers
from services.common.text import strip_invisible

NAME = 60  # characters of a name that are kept
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def sanitize_name(text: str) -> str:
    """Return a name on one line, short, and without markup."""
    line = strip_invisible(text.replace("<", "‹").replace(">", "›").replace("&", "+"))
    return without_markers(" ".join(re.sub(r"[*_~`]", "", line).split()))[:NAME].strip()


def unescaped(text: str) -> str:
    """Return a text value without its escapes: `\\,` is a comma, `\\n` a new line."""
    return _ESCAPED.sub(_character, text)


def _character(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] in "nN" else escaped[1]
