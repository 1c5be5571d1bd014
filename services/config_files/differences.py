"""The difference between two contents of a file, with what may be shown of it."""

import difflib
from collections.abc import Iterator

from services.common.errors import Refused
from services.config_files.catalog import ConfigFile
from services.config_files.masking import HIDDEN, shown_lines

CONTEXT = 2
LONGEST = 160
# As many as the details of a plan show: a longer difference is not approved unread.
MOST = 40


def difference(file: ConfigFile, before: str, after: str) -> tuple[str, ...]:
    """Return the changed lines, `-` before and `+` after, with two lines around them.

    Of a hidden value only its key is shown, and that it changed. Refused if it is too long.
    """
    lines = tuple(_cut(line) for line in _whole(file, before, after))
    if len(lines) > MOST:
        raise Refused(
            f"the difference of {file.name} has {len(lines)} lines, and an approver is shown "
            f"{MOST} at most. Change it in parts. Nothing was written"
        )
    return lines


def hides(file: ConfigFile, before: str, after: str) -> bool:
    """Return whether something changes that the difference does not show."""
    changed = (line for line in _whole(file, before, after) if line[:1] in "+-")
    return any(HIDDEN in line or _cut(line) != line for line in changed)


def _whole(file: ConfigFile, before: str, after: str) -> Iterator[str]:
    old, new = before.split("\n"), after.split("\n")
    begin, end = _same(old, new)
    one, other = slice(begin, len(old) - end), slice(begin, len(new) - end)
    shown = (shown_lines(file, before)[one], shown_lines(file, after)[other])
    return _lines(old[one], new[other], *shown)


def _same(old: list[str], new: list[str]) -> tuple[int, int]:
    """Return how many lines need no comparison, at the begin and at the end.

    They are equal and no context. A comparison of many equal lines would take minutes.
    """
    most = min(len(old), len(new))
    begin = next((n for n in range(most) if old[n] != new[n]), most)
    left = most - begin
    end = next((n for n in range(left) if old[-1 - n] != new[-1 - n]), left)
    return max(0, begin - CONTEXT), max(0, end - CONTEXT)


def _lines(
    old: list[str], new: list[str], old_shown: list[str], new_shown: list[str]
) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number:
            yield "…"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f"  {line}" for line in old_shown[i1:i2])
            else:
                yield from (f"- {line}" for line in old_shown[i1:i2])
                yield from (f"+ {line}" for line in new_shown[j1:j2])


def _cut(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return line[: LONGEST - 1] + "…"
