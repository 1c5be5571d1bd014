"""Checks whether `git add` would take a file of secrets.

It reads files only: running git would execute what the folder's configuration names.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path


def could_be_committed(file: Path) -> Path | None:
    """Return the top of a git tree that holds and does not clearly ignore this file, else None."""
    folder = file.absolute().parent
    top = next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)
    if top is None:
        return None
    lists = [
        (above, above / ".gitignore")
        for above in (folder, *folder.parents)
        if above.is_relative_to(top)
    ]
    lists.append((top, top / ".git" / "info" / "exclude"))
    ignored = any(
        _matches(pattern, file, place)
        for place, patterns in lists
        for pattern in _patterns(patterns)
    )
    if ignored:
        return None
    return top


def _patterns(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    if any(line.startswith("!") for line in lines):
        return  # exceptions: only git can tell whether they match this file, so warn
    yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _matches(pattern: str, file: Path, folder: Path) -> bool:
    """Match plain patterns only: a file name anywhere below, or anchored in the list's folder."""
    if "/" not in pattern:
        return fnmatch(file.name, pattern)
    anchored = pattern.startswith("/") and "/" not in pattern[1:]
    return (
        anchored and file.absolute().parent == folder.absolute() and fnmatch(file.name, pattern[1:])
    )
