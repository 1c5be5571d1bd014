"""Finds the Slack ids of names in a settings file that is refused because it has names."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.init.discovery import Suggestion, look_up_workspace
from config.settings import SLACK_SECRETS
from config.yaml_file import NotYaml, read_yaml
from services.common.errors import BotError

CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")
MEMBER = re.compile(r"[UWSCG][A-Z0-9]{2,}")
NAMELESS = ("everyone",)


async def ids_of_names(settings: Path, env: Mapping[str, str]) -> list[str]:
    """Return `clusters.acme.channel: #ops is C0123OPS` for each name that Slack knows.

    Empty without a bot token, or if Slack does not answer: the settings' own errors remain.
    """
    token = env.get(SLACK_SECRETS["bot_token"], "")
    raw = _raw(settings)
    names = [*_channels(raw), *_members(raw)]
    if not token or not names:
        return []
    try:
        workspace = await look_up_workspace(token, str(_part(raw, "slack").get("api_url") or ""))
    except BotError:
        return []
    ids = {**_ids(workspace.people), **_ids(workspace.channels)}
    return [
        f"{at}: {name} is {ids[_plain(name)]}" for at, name in names if ids.get(_plain(name), "")
    ]


def _raw(settings: Path) -> dict[str, Any]:
    try:
        raw, _ = read_yaml(settings)
    except (OSError, NotYaml):
        return {}
    return raw if isinstance(raw, dict) else {}


def _part(raw: Any, key: str) -> dict[str, Any]:
    part = raw.get(key) if isinstance(raw, dict) else None
    return part if isinstance(part, dict) else {}


def _channels(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _part(raw, "channels"):
        if isinstance(name, str) and not CHANNEL.fullmatch(name):
            yield "channels", name
    for cluster in _part(raw, "clusters"):
        channel = _part(_part(raw, "clusters"), cluster).get("channel")
        if isinstance(channel, str) and not CHANNEL.fullmatch(channel):
            yield f"clusters.{cluster}.channel", channel


def _members(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for cluster in _part(raw, "clusters"):
        roles = _part(_part(_part(raw, "clusters"), cluster), "roles")
        for role, people in roles.items():
            for who in people if isinstance(people, list) else ():
                if isinstance(who, str) and not MEMBER.fullmatch(who) and who not in NAMELESS:
                    yield f"clusters.{cluster}.roles.{role}", who
    for user, who in _part(_part(raw, "terminal"), "users").items():
        if isinstance(who, str) and not MEMBER.fullmatch(who):
            yield f"terminal.users.{user}", who


def _ids(offers: tuple[Suggestion, ...]) -> dict[str, str]:
    """Return the id of each name; no id for a name of several."""
    ids: dict[str, str] = {}
    for offer in offers:
        for name in {_plain(name) for name in offer.names if name}:
            ids[name] = "" if name in ids else offer.value
    return ids


def _plain(name: str) -> str:
    return name.strip().lstrip("@#").casefold()
