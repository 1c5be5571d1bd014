"""Writes small files whole or not at all, with the mode that they had."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

PRIVATE = 0o600


class ChangedMeanwhile(Exception):
    """The file is not what it was when it was read; the message names it."""


def write_whole(path: Path, text: str, mode: int, before: str | None) -> None:
    """Write a file atomically. ChangedMeanwhile if its content is no longer `before`.

    `before` None: the file must not exist. An existing file keeps its mode and owner, and a link
    stays a link.
    """
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is None:
            temporary.chmod(mode)
            _place_new(temporary, path)
            return
        if content_of(path) != before:
            raise ChangedMeanwhile(f"{path} was changed meanwhile, and was not overwritten")
        _like(temporary, path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def content_of(path: Path) -> str | None:
    """Return the text of a file; None if there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _place_new(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise ChangedMeanwhile(f"{path} was created meanwhile, and was not overwritten") from None


def _like(temporary: Path, path: Path) -> None:
    """Give the new file the mode and, where permitted, the owner of the old one."""
    status = path.stat()
    with contextlib.suppress(PermissionError):
        os.chown(temporary, status.st_uid, status.st_gid)
    temporary.chmod(stat.S_IMODE(status.st_mode))
