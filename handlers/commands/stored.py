"""Commands in the form in which they are stored before they are acknowledged."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from handlers.commands.parser import ParsedCommand, parse
from handlers.commands.typed_words import quote_word
from handlers.slack.client import ReplyTarget
from services.common.command import Command

PLAIN = re.compile(r"\w[\w.:-]*")


def stored_text(
    text: str, body: Mapping[str, Any], reply_to: ReplyTarget
) -> dict[str, str | float]:
    """Return a typed command for the store: its text, its sender, and where the answer goes."""
    return {"kind": "command", "text": text, **sender(body, reply_to)}


def stored_command(
    parsed: ParsedCommand, body: Mapping[str, Any], reply_to: ReplyTarget
) -> dict[str, str | float]:
    """Return a command that was picked for the store, as if it had been typed."""
    stored = stored_text(_typed(parsed), body, reply_to)
    if parsed.shown:
        stored["shown"] = parsed.shown
    return stored


def parse_stored(entry: Mapping[str, str | float]) -> ParsedCommand:
    """Return a stored command. Refused when it is no command of this version."""
    return replace(parse(str(entry["text"])), shown=str(entry.get("shown", "")))


def sender(body: Mapping[str, Any], reply_to: ReplyTarget) -> dict[str, str | float]:
    """Return the sender of a payload for the store, from which `SlackClient.actor` is made."""
    user, team = body.get("user") or {}, body.get("team") or {}
    workspace = user.get("team_id") or body.get("team_id") or team.get("id") or ""
    enterprise = body.get("enterprise_id") or (body.get("enterprise") or {}).get("id") or ""
    return {
        "user": reply_to.user,
        "channel": reply_to.channel,
        "thread": reply_to.thread,
        "url": reply_to.url,
        "team": str(workspace),
        "enterprise": str(enterprise),
    }


def as_typed(parsed: ParsedCommand) -> str:
    """Return the text that requests the same, without `--dry-run`."""
    return _typed(parsed)


def _typed(parsed: ParsedCommand) -> str:
    parts = [parsed.command.command, *_values(parsed.command)]
    if parsed.cluster:
        parts.append(f"--cluster {parsed.cluster}")
    if parsed.label:
        parts.append(f"--label {parsed.label}")
    if parsed.at_once != 1:
        parts.append(f"--at-once {parsed.at_once}")
    if parsed.stop_after != 1:
        parts.append(f"--stop-after {parsed.stop_after}")
    if parsed.at:
        parts.append(f"--at {quote_word(parsed.at)}")
    if parsed.now:
        parts.append("--now")
    if parsed.reason:
        parts.append(f"--reason {quote_word(parsed.reason)}")
    return " ".join(parts)


def _values(command: Command) -> Iterator[str]:
    """Yield a command's values such that parsing finds the same, whatever is in them."""
    for parameter in command.parameters():
        value = getattr(command, parameter.name)
        if parameter.metadata["kind"] == "flag":
            if value:
                yield f"--{parameter.name.replace('_', '-')}"
        elif value is not None and value != parameter.default:
            text = str(value)
            if parameter.metadata["kind"] == "option":
                yield f"--{parameter.name.replace('_', '-')}"
            yield text if PLAIN.fullmatch(text) else quote_word(text)
