"""The difference between two contents of a file, with what may be shown of it."""

import difflib
from collections.abc import Iterator

from services.config_files.catalog import ConfigFile
from services.config_files.masking import shown_lines

CONTEXT = 2
LONGEST = 160
MOST = 60


def difference(file: ConfigFile, before: str, after: str) -> tuple[str, ...]:
    """Return the changed lines, `-` before and `+` after, with two lines around them.

    Of a hidden value only its key is shown, and that it changed.
    """
    old, new = before.split("\n"), after.split("\n")
    shown = (shown_lines(file, before), shown_lines(file, after))
    lines = list(_lines(old, new, *shown))
    if len(lines) > MOST:
        left = len(lines) - MOST
        lines = [*lines[:MOST], f"… {left} more lines"]
    return tuple(lines)


def _lines(
    old: list[str], new: list[str], old_shown: list[str], new_shown: list[str]
) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number:
            yield "…"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f"  {_cut(line)}" for line in old_shown[i1:i2])
            else:
                yield from (f"- {_cut(line)}" for line in old_shown[i1:i2])
                yield from (f"+ {_cut(line)}" for line in new_shown[j1:j2])


def _cut(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return line[: LONGEST - 1] + "…"
