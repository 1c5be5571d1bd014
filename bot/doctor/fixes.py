"""What `doctor --fix` does: local files and directories, and public channels of the bot.

Nothing here changes DigitalOcean, a node, or the value of a secret. Without `--fix`, the fixes are
only listed.
"""

import asyncio
import re
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.clusters import news_channels
from bot.doctor.context import DoctorContext
from bot.file_writing import PRIVATE, ChangedMeanwhile, content_of, write_whole
from bot.settings_files import FoundFiles
from config.values import Settings
from services.common.causes import cause_of

JOIN = "channels:join"
SECONDS = 10.0
LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>.*?)\s*")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class SafeFix:
    """One fix. `what`: the infinitive, such as "set bot.env to mode 600"."""

    what: str
    apply: Callable[[], Awaitable[None]]


def secrets_file_fixes(files: FoundFiles) -> Iterator[SafeFix]:
    """Yield the fixes of the file of secrets: its mode, and the form of its lines."""
    path = files.secrets
    if path is None or not path.is_file():
        return
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield SafeFix(f"set {path} to mode 600", partial(_set_mode, path, PRIVATE))
    text = _readable(path)
    if text is not None and tidy(text) != text:
        what = f"remove `export` and blanks from the lines of {path} (values stay the same)"
        yield SafeFix(what, partial(_tidy_file, path))


def tidy(text: str) -> str:
    """Return a file of secrets in the form that Docker and systemd read, with the same values."""
    return "\n".join(map(_tidy_line, text.removeprefix(BYTE_ORDER_MARK).split("\n")))


def _tidy_line(line: str) -> str:
    if match := LINE.fullmatch(line):
        return f"{match['name']}={match['value']}"
    return line.rstrip()


def local_fixes(settings: Settings) -> Iterator[SafeFix]:
    """Yield the fixes of directories and of the SSH keys' modes."""
    folders = [settings.control_socket.parent]
    if settings.state.redis_url is None:
        folders.insert(0, settings.state.path.parent)
    for folder in dict.fromkeys(folders):
        if not folder.exists():
            yield SafeFix(f"create the directory {folder}", partial(_make_directory, folder))
    keys = (cluster.ssh.key_file for cluster in settings.clusters.values())
    for key in dict.fromkeys(filter(None, keys)):
        if key.stat().st_mode & stat.S_IRWXO:
            mode = stat.S_IMODE(key.stat().st_mode) & ~stat.S_IRWXO
            yield SafeFix(f"set {key} to mode {mode:o}", partial(_set_mode, key, mode))


async def channel_fixes(context: DoctorContext) -> list[SafeFix]:
    """Return the public channels to join. Empty if the token may not join, or Slack fails."""
    named = dict.fromkeys([*context.settings.channels, *news_channels(context.settings).values()])
    fixes = []
    for channel in named:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await context.slack.conversations_info(channel=channel)
        except (SlackApiError, aiohttp.ClientError, OSError, TimeoutError):
            continue
        info = answer["channel"]
        closed = info.get("is_member") or info.get("is_private") or info.get("is_archived")
        if closed or JOIN not in _scopes(answer.headers):
            continue
        join = partial(_join, context, channel)
        fixes.append(SafeFix(f"join the channel #{info.get('name')}", join))
    return fixes


def _scopes(headers: Mapping[str, str]) -> set[str]:
    """Return the scopes of the token, which Slack names in each answer."""
    named = next((v for name, v in headers.items() if name.lower() == "x-oauth-scopes"), "")
    return {scope.strip() for scope in str(named).split(",")}


async def applied(fixes: Sequence[SafeFix]) -> list[str]:
    """Apply the fixes; return a line for each."""
    lines = []
    for fix in fixes:
        try:
            await fix.apply()
        except ChangedMeanwhile as error:
            lines.append(f"Not fixed: {fix.what}: {error}")
        except SlackApiError as error:
            lines.append(f"Not fixed: {fix.what}: Slack answered {error.response.get('error')}")
        except OSError as error:
            lines.append(f"Not fixed: {fix.what}: {cause_of(error).text}")
        else:
            lines.append(f"Fixed: {fix.what}")
    return lines


def offered(fixes: Sequence[SafeFix]) -> list[str]:
    """Return what `--fix` would do, a line for each."""
    return [f"doctor --fix would {fix.what}" for fix in fixes]


def _readable(path: Path) -> str | None:
    try:
        return content_of(path)
    except (OSError, UnicodeDecodeError):
        return None


async def _set_mode(path: Path, mode: int) -> None:
    await asyncio.to_thread(path.chmod, mode)


async def _tidy_file(path: Path) -> None:
    before = await asyncio.to_thread(content_of, path)
    if before is not None:
        await asyncio.to_thread(write_whole, path, tidy(before), PRIVATE, before)


async def _make_directory(folder: Path) -> None:
    await asyncio.to_thread(partial(folder.mkdir, mode=0o700, parents=True, exist_ok=True))


async def _join(context: DoctorContext, channel: str) -> None:
    await context.slack.conversations_join(channel=channel)
