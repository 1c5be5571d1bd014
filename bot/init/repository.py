"""Whether a file of secrets lies where `git add` would take it. Reads files only: git itself would obey what it finds in the folder."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path


def could_be_committed(file: Path) -> Path | None:
    """The top of the git tree that holds this file and does not clearly ignore it; None when there is no such tree."""
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
        _names(pattern, file, place) for place, patterns in lists for pattern in _patterns(patterns)
    )
    return None if ignored else top


def _patterns(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    if any(line.startswith("!") for line in lines):
        return  # exceptions: whether they are about this file is git's to say, so the warning is given
    yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _names(pattern: str, file: Path, folder: Path) -> bool:
    """Only plain patterns: a name anywhere below, or one that is anchored in the list's own folder."""
    if "/" not in pattern:
        return fnmatch(file.name, pattern)
    anchored = pattern.startswith("/") and "/" not in pattern[1:]
    return (
        anchored and file.absolute().parent == folder.absolute() and fnmatch(file.name, pattern[1:])
    )
