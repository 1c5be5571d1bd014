"""Reads a file of NAME=VALUE lines for secrets, in the format of Docker and systemd."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from config.settings import SettingsError

LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of the file; names without a value are ignored.

    SettingsError names the line, never its content.
    """
    try:
        open_to_others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            [f"{path}: cannot be read; allowed: a file of NAME=VALUE lines"]
        ) from None
    if open_to_others:
        raise SettingsError(
            [
                f"{path}: other users may read these secrets; "
                f"allowed: its owner alone (chmod 600 {path})"
            ]
        )
    variables, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = LINE.fullmatch(content)
        if match is None:
            problems.append(
                f"{path}:{number}: found a line that is not NAME=VALUE; "
                "allowed: NAME=VALUE, without `export`, without blanks around ="
            )
        elif value := _unquoted(match[2]):
            variables[match[1]] = value
    if problems:
        raise SettingsError(problems)
    return variables


def with_env_file(path: Path | None, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, with the variables of the file that it does not set itself."""
    if path is None:
        return dict(env)
    return {**read_env_file(path), **env}


def _unquoted(value: str) -> str:
    # Docker and systemd remove one pair of quotes.
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
