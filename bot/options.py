"""What every command that works on real clusters begins with: the settings, with the secrets of the environment and of a file."""

import argparse
import os
from pathlib import Path

from bot.reread import SettingsFile
from config.env_file import with_env_file
from config.settings import check_secrets, load
from config.values import Settings
from services.common.clock import Clock
from services.common.errors import Refused


def add_settings_to(parser: argparse.ArgumentParser) -> None:
    """The options that name the settings."""
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
    asked: argparse.Namespace, *, secrets: bool = True, slack: bool = True
) -> Settings:
    """The settings that were asked for. SettingsError when they, or the secrets they call for, are not right.

    `secrets` False: for who can do with some of them missing. `slack` False: for who does not speak to it.
    """
    settings = load(asked.config, with_env_file(asked.env_file, os.environ), own_zone, own_hours)
    if secrets:
        check_secrets(settings, slack=slack)
    return settings


def settings_file(asked: argparse.Namespace) -> SettingsFile | None:
    """The file that they stand in, to be read again; None where none was named."""
    named = asked.config or os.environ.get("OPENVIDU_BOT_CONFIG")
    return SettingsFile(Path(named), lambda: read_settings(asked)) if named else None


def own_zone(name: str) -> str:
    """The name that the zone itself has, judged as windows judge it. ValueError with what is allowed."""
    from services.windows.time_zones import zone_named  # noqa: PLC0415 - brings calendars along, for which --help need not wait

    try:
        return zone_named(name).key
    except Refused as error:
        hint = str(error).partition("; ")[2]
        near = f" ({hint})" if hint.startswith("did you mean") else ""
        raise ValueError(f"a time zone such as Europe/Madrid or UTC{near}") from None


def own_hours(text: str) -> str:
    """The same words, judged as windows judge them. ValueError with what is allowed."""
    from services.windows.approving import EXAMPLE, parse_hours  # noqa: PLC0415 - as above

    try:
        parse_hours(text, "UTC")
    except Refused as error:
        raise ValueError(f'days and times such as "{EXAMPLE}" ({error})') from None
    return text


def _clock(text: str) -> Clock:
    speed, origin, started = (float(part) for part in text.split(":"))
    return Clock(speed=speed, origin=origin, started=started)
