"""The options and the settings of every command that works on real clusters."""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bot.reread import SettingsFile
from bot.settings_files import CONFIG_VARIABLE, SETTINGS, FoundFiles, find_files
from config.env_file import with_env_file
from config.settings import MODE_VARIABLE, SettingsError, check_secrets, load
from config.values import Settings
from services.common.clock import Clock
from services.common.errors import Refused
from services.windows.approving import EXAMPLE, parse_hours
from services.windows.time_zones import zone_named


class Subcommands(Protocol):
    """What `add_subparsers` returns: each subcommand adds its own parser to it."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


def examples(*lines: str) -> dict[str, Any]:
    """Return the options of a parser that end its help with examples."""
    title = "example:" if len(lines) == 1 else "examples:"
    return {
        "epilog": "\n".join([title, *(f"  {line}" for line in lines)]),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def number_between(least: int, most: int) -> Callable[[str], float]:
    """Return the type of an option that is a number in this range."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return number

    return parse


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--env-file` and `--clock`."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"settings file (default: {CONFIG_VARIABLE}, else ./{SETTINGS}, "
        f"else /etc/openvidu-bot/{SETTINGS})",
    )
    group.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="secrets, one NAME=VALUE per line; the environment has precedence "
        "(default: bot.env beside settings.yaml; - for none)",
    )
    parser.add_argument("--clock", type=_clock, default=Clock(), help=argparse.SUPPRESS)


def given_files(options: argparse.Namespace) -> str:
    """Return the options that named the files, to go behind a command that is suggested."""
    named = (("--config", options.config), ("--env-file", options.env_file))
    return "".join(f" {option} {shlex.quote(str(value))}" for option, value in named if value)


def found_files(options: argparse.Namespace) -> FoundFiles:
    """Return the files of the options, or those that are found. SettingsError if there are none."""
    return find_files(options, os.environ)


def read_settings(
    options: argparse.Namespace, *, secrets: bool = True, slack: bool = True
) -> Settings:
    """Read the settings with their secrets. SettingsError when they are wrong or secrets lack.

    `secrets` False: the command works with some of them missing. `slack` False: it does not use
    Slack, so Slack's tokens may be missing.
    """
    files = found_files(options)
    try:
        settings = load_settings(files, "observe" if getattr(options, "observe", False) else "")
    except SettingsError as error:
        raise SettingsError([*error.problems, files.line]) from None
    if secrets:
        require_secrets(settings, files, slack=slack)
    return settings


def load_settings(files: FoundFiles, mode: str = "") -> Settings:
    """Read the settings of these files; secrets may be missing. SettingsError when wrong.

    `mode`: over that of the file and of the environment; "" for none.
    """
    env = {**with_env_file(files.secrets, os.environ)}
    if mode:
        env[MODE_VARIABLE] = mode
    return load(files.settings, env, own_zone, own_hours)


def require_secrets(settings: Settings, files: FoundFiles, *, slack: bool = True) -> None:
    """Raise SettingsError if secrets are missing; it says where they are looked for."""
    try:
        check_secrets(settings, slack=slack)
    except SettingsError as error:
        places = "the environment"
        if files.secrets is not None:
            places = f"{files.secrets}, or the environment"
        hint = f"Set them in {places}."
        raise SettingsError([*error.problems, *filter(None, (hint, files.passed_over))]) from None


def settings_file(options: argparse.Namespace) -> SettingsFile:
    """Return the settings file, which a running bot reads again."""
    return SettingsFile(found_files(options).settings, lambda: read_settings(options))


def say_files(options: argparse.Namespace) -> None:
    """Print on stderr which files a command took from the working directory."""
    files = found_files(options)
    if files.here:
        sys.stderr.write(f"{files.line}\n")


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
