"""Finds the settings file and the file of secrets that a command uses, and says which it took.

Order: the option, the environment variable, the working directory, `/etc/openvidu-bot`. The file of
secrets lies beside the settings: `bot.env` beside `settings.yaml`, `NAME.env` beside `NAME.yaml`.
"""

import argparse
import difflib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import NO_SETTINGS, SettingsError

CONFIG_VARIABLE = "OPENVIDU_BOT_CONFIG"
ENV_FILE_VARIABLE = "OPENVIDU_BOT_ENV_FILE"
SETTINGS = "settings.yaml"
SECRETS = "bot.env"
# Where deploy/droplet/install.sh puts them.
INSTALLED = Path("/etc/openvidu-bot")
NO_FILE = "-"
HERE = "working directory"
ORDER = f"--config, {CONFIG_VARIABLE}, ./{SETTINGS}, {INSTALLED}/{SETTINGS}"


@dataclass(frozen=True)
class FoundFiles:
    """The files that a command uses.

    `origin`: why these settings. `secrets` None: the environment alone. `passed_over`: a file of
    secrets beside the settings that is not used, with the reason.
    """

    settings: Path
    origin: str
    secrets: Path | None = None
    passed_over: str = ""

    @property
    def here(self) -> bool:
        """Whether the settings are those of the working directory."""
        return self.origin == HERE

    @property
    def line(self) -> str:
        """What was taken, in one line."""
        secrets = "the environment"
        if self.secrets is not None:
            secrets = f"{self.secrets} (the environment has precedence)"
        return f"Settings: {self.settings} ({self.origin}). Secrets: {secrets}."


def find_files(
    options: argparse.Namespace,
    env: Mapping[str, str],
    folder: Path = Path(),
    installed: Path = INSTALLED,
) -> FoundFiles:
    """Return the files to use. SettingsError when there is no settings file to take."""
    settings, origin = _settings(options, env, folder, installed)
    named = options.env_file or env.get(ENV_FILE_VARIABLE) or None
    if named is not None:
        if str(named) == NO_FILE:
            return FoundFiles(settings, origin)
        return FoundFiles(settings, origin, Path(named))
    beside = secrets_beside(settings)
    if not os.path.isfile(beside):  # noqa: PTH113 - Path.is_file raises where a folder is closed
        return FoundFiles(settings, origin)
    if reason := _why_not(beside):
        return FoundFiles(settings, origin, passed_over=f"{beside} is not used: it {reason}.")
    return FoundFiles(settings, origin, beside)


def secrets_beside(settings: Path) -> Path:
    """Return the file of secrets that belongs to a settings file."""
    if settings.name == SETTINGS:
        return settings.with_name(SECRETS)
    return settings.with_suffix(".env")


def _settings(
    options: argparse.Namespace, env: Mapping[str, str], folder: Path, installed: Path
) -> tuple[Path, str]:
    if options.config is not None:
        return _there(Path(options.config)), "--config"
    if named := env.get(CONFIG_VARIABLE):
        return _there(Path(named)), CONFIG_VARIABLE
    here = folder / SETTINGS
    if here.is_file():
        if reason := _foreign(here):
            raise SettingsError(
                [f"{here} in the working directory {reason}. To use it, name it with --config."]
            )
        return here, HERE
    there = installed / SETTINGS
    if os.path.isfile(there):  # noqa: PTH113 - Path.is_file raises where a folder is closed
        return there, "installed"
    raise SettingsError([NO_SETTINGS, *_closed(installed), "To make one: openvidu-bot init"])


def _closed(installed: Path) -> list[str]:
    """Return why installed settings are not found although there may be some."""
    if installed.is_dir() and not os.access(installed, os.X_OK):
        return [f"You may not open {installed}: ask for its group, or use sudo."]
    return []


def _there(path: Path) -> Path:
    """Return a named file. SettingsError with a similar name if it does not exist."""
    if path.exists() or not path.parent.is_dir():
        return path  # a file that cannot be read is reported when it is read
    others = [other.name for other in path.parent.glob("*.y*ml")]
    similar = difflib.get_close_matches(path.name, others, n=1, cutoff=0.6)
    if similar:
        raise SettingsError([f"{path}: no such file. Did you mean {path.with_name(similar[0])}?"])
    raise SettingsError([f"{path}: no such file. To make one: openvidu-bot init --config {path}"])


def _foreign(path: Path) -> str:
    """Return why a file of the working directory may not be the user's own; "" if it is."""
    status = path.stat()
    if status.st_uid not in (os.getuid(), 0):
        return f"belongs to {_user(status.st_uid)}, not to you"
    if status.st_mode & stat.S_IWOTH:
        return "can be changed by every user of this machine"
    return ""


def _why_not(path: Path) -> str:
    """Return why a file of secrets beside the settings is not taken; "" if it is."""
    if not os.access(path, os.R_OK):
        return f"may not be read by {_user(os.getuid())}"
    owner = path.stat().st_uid
    if owner not in (os.getuid(), 0):
        return f"belongs to {_user(owner)}, not to you"
    return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
