"""The options and the settings of every command that works on real clusters."""

import argparse
import os
from pathlib import Path
from typing import Any, Protocol

from bot.reread import SettingsFile
from config.env_file import with_env_file
from config.settings import check_secrets, load
from config.values import Settings
from services.common.clock import Clock
from services.common.errors import Refused
from services.windows.approving import EXAMPLE, parse_hours
from services.windows.time_zones import zone_named


class Subcommands(Protocol):
    """What `add_subparsers` returns: each subcommand adds its own parser to it."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--env-file` and `--clock`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings (else OPENVIDU_BOT_CONFIG names them)",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="secrets, NAME=VALUE in each line; the environment counts first",
    )
    parser.add_argument("--clock", type=_clock, default=Clock(), help=argparse.SUPPRESS)


def read_settings(
    options: argparse.Namespace, *, secrets: bool = True, slack: bool = True
) -> Settings:
    """Read the settings with their secrets. SettingsError when they are wrong or secrets lack.

    `secrets` False: the command works with some of them missing. `slack` False: it does not use
    Slack, so Slack's tokens may be missing.
    """
    env = with_env_file(options.env_file, os.environ)
    settings = load(options.config, env, own_zone, own_hours)
    if secrets:
        check_secrets(settings, slack=slack)
    return settings


def settings_file(options: argparse.Namespace) -> SettingsFile | None:
    """Return the settings file, which a running bot reads again; None where none is named."""
    path = options.config or os.environ.get("OPENVIDU_BOT_CONFIG")
    if not path:
        return None
    return SettingsFile(Path(path), lambda: read_settings(options))


def own_zone(name: str) -> str:
    """Return the canonical name of a time zone. ValueError with what is allowed.

    The check is the one that windows use, so that settings and windows accept the same names.
    """
    try:
        return zone_named(name).key
    except Refused as error:
        hint = str(error).partition("; ")[2]
        allowed = "a time zone such as Europe/Madrid or UTC"
        if hint.startswith("did you mean"):
            allowed += f" ({hint})"
        raise ValueError(allowed) from None


def own_hours(text: str) -> str:
    """Return `text` if it names days and times as windows do. ValueError with what is allowed."""
    try:
        parse_hours(text, "UTC")
    except Refused as error:
        raise ValueError(f'days and times such as "{EXAMPLE}" ({error})') from None
    return text


def _clock(text: str) -> Clock:
    speed, origin, started = (float(part) for part in text.split(":"))
    return Clock(speed=speed, origin=origin, started=started)
