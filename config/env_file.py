"""A file of NAME=VALUE lines for secrets, as Docker and systemd read it too."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from config.settings import SettingsError

LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def read_env_file(path: Path) -> dict[str, str]:
    """What it sets; names without a value are left out. SettingsError tells the line, never what stands in it."""
    try:
        others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            [f"{path}: cannot be read; allowed: a file of NAME=VALUE lines"]
        ) from None
    if others:
        raise SettingsError(
            [
                f"{path}: found a file with secrets that others may open; allowed: one that only you can (chmod 600 {path})"
            ]
        )
    found, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        match = LINE.fullmatch(said)
        if match is None:
            problems.append(
                f"{path}:{number}: found a line of another kind; allowed: NAME=VALUE, without `export` and spaces around ="
            )
        elif value := _unquoted(match[2]):
            found[match[1]] = value
    if problems:
        raise SettingsError(problems)
    return found


def with_env_file(path: Path | None, env: Mapping[str, str]) -> dict[str, str]:
    """The environment, completed from that file: what is set already counts."""
    return {**(read_env_file(path) if path is not None else {}), **env}


def _unquoted(value: str) -> str:
    # Docker and systemd take one pair of quotes away.
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
