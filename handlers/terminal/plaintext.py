"""A card as plain text, for a terminal. Pure: what Slack is sent, without its marks, and with commands in the place of buttons."""

import html
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from handlers.commands.parser import SPOKEN
from handlers.interactions.options import kind_of
from handlers.slack.blocks import Block, Card
from handlers.slack.markup import COMMAND, EMOJI
from handlers.views import ABANDON, ANSWER, APPROVE, CANCEL, REJECT, RESUME
from services.common.markers import Marker, rendered
from services.procedures import Procedure

PROGRAM = "openvidu-bot"
SHORT = 8  # characters of a request's id that tell it from the others
AS_COMMANDS = (
    "status",
    "runs",
    "cancel",
    "resume",
    "abandon",
)  # what is a command of its own; procedures are said after `run`
BUTTONS: Mapping[str, Callable[[str, str], str]] = {
    APPROVE: lambda _, value: f"approve {value[:SHORT]}",
    REJECT: lambda _, value: f"reject {value[:SHORT]} --reason “…”",
    CANCEL: lambda _, value: f"cancel {value}",
    RESUME: lambda _, value: f"resume {value}",
    ABANDON: lambda _, value: f"abandon {value}",
    ANSWER: lambda choice, value: f"answer {value.partition('|')[0]} {choice}",
}
PROCEDURES = sorted((s.command for s in SPOKEN if issubclass(s, Procedure)), key=len, reverse=True)
SAID = re.compile(rf"{COMMAND} ([a-z][a-z ]*)")
CONTROL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"
)  # what somebody typed must not steer a terminal
PARTS = re.compile(r"<([^<>]*)>")
TYPED = re.compile("([*_~`])\u200b")
HELD = 0xE000  # of Unicode's private use: where those are kept meanwhile
LABEL = re.compile(r"^\*([A-Z][^*\n]{1,40})\* (?=[^\s·:,.])", re.MULTILINE)  # *Money* saves $0.21/h


@dataclass(frozen=True)
class Reader:
    """Who reads: how wide, in which time zone, and what people are called there (by Slack id)."""

    width: int = 100
    zone: str = "UTC"
    names: Mapping[str, str] = field(default_factory=dict)


def text_of(card: Card, reader: Reader) -> str:
    """The whole card, its blocks one below the other."""
    return CONTROL.sub(
        "", "\n".join(line for block in card.blocks for line in _block(block, reader))
    )


def words_of(mrkdwn: str, reader: Reader) -> str:
    """One text without Slack's marks: people, moments, commands and links as a terminal can show them."""
    text = rendered(mrkdwn, lambda kind, value: _marker(kind, value, reader))
    parts = PARTS.split(LABEL.sub(r"\1: ", text.replace(EMOJI[Marker.WARNING], "!")))
    shown = [
        _mark(part, reader) if number % 2 else _bare(part) for number, part in enumerate(parts)
    ]
    return CONTROL.sub("", SAID.sub(_command, html.unescape("".join(shown)).replace("\u200b", "")))


def _marker(kind: Marker, value: str, reader: Reader) -> str:
    """A marker of a service's sentence, as a terminal shows it. Emphasis goes with that of the cards."""
    match kind:
        case Marker.PERSON:
            return f"@{reader.names.get(value, value)}"
        case Marker.GROUP:
            return f"@{value}"
        case Marker.MOMENT:
            return _day_and_time(int(value), reader)
        case Marker.COMMAND:
            return _typed(value)
        case Marker.STRONG:
            return f"*{value}*"
        case Marker.WARNING | Marker.ALARM:
            return EMOJI[kind]


def _typed(words: str) -> str:
    return SAID.sub(_command, f"{COMMAND} {words}")


def _bare(text: str) -> str:
    """Without bold, italics and code; an underscore or star inside of a word is part of it."""
    text = TYPED.sub(
        lambda m: chr(HELD + ord(m[1])), text
    )  # marks that somebody typed mean nothing, and stay
    text = re.sub(r"`([^`]*)`", r"\1", text)
    text = re.sub(
        r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)",
        r"\2",
        re.sub(r"(?<!\w)\*(.+?)\*(?!\w)", r"\1", text),
    )
    return re.sub(rf"[\u{HELD:04x}-\u{HELD + 0x7F:04x}]", lambda m: chr(ord(m[0]) - HELD), text)


def _mark(inside: str, reader: Reader) -> str:
    if inside.startswith("@"):
        return f"@{reader.names.get(inside[1:], inside[1:])}"
    if inside.startswith("#"):
        return f"#{inside[1:].partition('|')[2] or inside[1:]}"
    if inside.startswith("!date^"):
        return _date(inside, reader)
    if inside.startswith("!subteam^"):
        group, _, name = inside.removeprefix("!subteam^").partition("|")
        return name or f"@{group}"
    url, _, label = inside.partition("|")
    return f"{label} ({url})" if label else url


def _date(inside: str, reader: Reader) -> str:
    _, moment, form = inside.partition("|")[0].split("^")[:3]
    if "date" in form:
        return _day_and_time(int(moment), reader)
    return f"{datetime.fromtimestamp(int(moment), ZoneInfo(reader.zone)):%H:%M}"


def _day_and_time(moment: int, reader: Reader) -> str:
    at = datetime.fromtimestamp(moment, ZoneInfo(reader.zone))
    return f"{at:%a} {at.day} {at:%b %H:%M}"


def _command(found: re.Match[str]) -> str:
    """`/openvidu startup` is `openvidu-bot run startup` in a terminal."""
    words = found[1]
    if any(words == name or words.startswith(f"{name} ") for name in PROCEDURES):
        return f"{PROGRAM} run {words}"
    own = any(words == name or words.startswith(f"{name} ") for name in AS_COMMANDS)
    return f"{PROGRAM} {words}" if own else f"{PROGRAM} say {words}"


def _block(block: Block, reader: Reader) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield _wrapped(block["text"]["text"], reader)
        case "section":
            for text in (block.get("text"), *block.get("fields", ())):
                if text is not None:
                    yield _wrapped(_words(text, reader), reader)
        case "context":
            yield _wrapped(
                "  ".join(_words(e, reader) for e in block["elements"] if "text" in e), reader
            )
        case "divider":
            yield "─" * min(reader.width, 40)
        case "actions":
            yield from _buttons(block)


def _words(text: Mapping[str, Any], reader: Reader) -> str:
    return words_of(text["text"], reader) if text["type"] == "mrkdwn" else str(text["text"])


def _buttons(block: Block) -> Iterator[str]:
    """Each button that has a command, as that command."""
    for element in block["elements"]:
        name, _, choice = str(element.get("action_id", "")).partition(":")
        said = BUTTONS.get(name)
        if said is not None and element["type"] == "button":
            yield f"  {element['text']['text'].removesuffix('…')}: {PROGRAM} {said(choice, str(element['value']))}"
        for offered in (element, *element.get("options", ())):
            kind = kind_of(
                str(offered.get("value" if offered is not element else "action_id", ""))
                .partition(":")[2]
                .partition("|")[0]
            )
            if kind is not None:
                yield f"  {offered['text']['text'].removesuffix('…')}: {_typed(kind.command)}"


def _wrapped(text: str, reader: Reader) -> str:
    lines = []
    for line in text.splitlines():
        inner = "    " if re.match(r"[✓▸○–\d]", line) else ""
        lines.append(
            textwrap.fill(
                line,
                reader.width,
                subsequent_indent=inner,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)
