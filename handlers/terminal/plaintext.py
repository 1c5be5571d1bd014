"""Cards as plain text for a terminal: without Slack's marks, with commands for buttons. Pure."""

import html
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from handlers.commands.parser import COMMANDS
from handlers.interactions.options import command_of_action
from handlers.slack.blocks import Block, Card
from handlers.slack.markup import COMMAND, EMOJI
from handlers.views import ABANDON, ANSWER, APPROVE, CANCEL, NEXT, REJECT, RESUME
from handlers.views.next_steps import typed_words
from handlers.views.terraform import OPEN_PULL, SHOW_PATCH
from services.common.markers import Marker, rendered
from services.procedures import Procedure

PROGRAM = "openvidu-bot"
SHORT = 8  # characters of a request's id that people type
# Commands that are commands of the program, too; procedures follow `run`, all others `say`.
AS_COMMANDS = ("status", "logs", "runs", "cancel", "resume", "abandon")
BUTTONS: Mapping[str, Callable[[str, str], str]] = {
    APPROVE: lambda _, value: f"approve {value[:SHORT]}",
    REJECT: lambda _, value: f"reject {value[:SHORT]} --reason “…”",
    CANCEL: lambda _, value: f"cancel {value}",
    RESUME: lambda _, value: f"resume {value}",
    ABANDON: lambda _, value: f"abandon {value}",
    NEXT: lambda _, value: f"run {typed_words(value)}",
    SHOW_PATCH: lambda _, value: f"say terraform patch --cluster {value.rpartition('-')[0]}",
    OPEN_PULL: lambda _, value: f"say terraform open {value.split('|')[1]}",
    ANSWER: lambda choice, value: f"answer {value.partition('|')[0]} {choice}",
}
PROCEDURES = sorted(
    (s.command for s in COMMANDS if issubclass(s, Procedure)), key=len, reverse=True
)
SAID = re.compile(rf"{COMMAND} ([a-z][a-z ]*)")
# User input must not control a terminal.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
PARTS = re.compile(r"<([^<>]*)>")
TYPED = re.compile("([*_~`])\u200b")
# Of Unicode's private use area: stands for a mark that a person typed while marks are removed.
HELD = 0xE000
# Such as *Money* saves $0.21/h
LABEL = re.compile(r"^\*([A-Z][^*\n]{0,39}[^*\n:])\* (?=[^\s·:,.])", re.MULTILINE)


@dataclass(frozen=True)
class TerminalReader:
    """How text is rendered: width, time zone, and names by Slack member id."""

    width: int = 100
    zone: str = "UTC"
    names: Mapping[str, str] = field(default_factory=dict)


def render_card(card: Card, reader: TerminalReader) -> str:
    """Return a whole card, one block below the other."""
    lines = (line for block in card.blocks for line in _block(block, reader))
    return CONTROL.sub("", "\n".join(lines))


def render_text(mrkdwn: str, reader: TerminalReader) -> str:
    """Return a text without Slack's marks and the services' markers, as a terminal shows it."""
    text = rendered(mrkdwn, lambda kind, value: _marker(kind, value, reader))
    parts = PARTS.split(LABEL.sub(r"\1: ", text.replace(EMOJI[Marker.WARNING], "!")))
    # What PARTS matched is at every second place.
    parts[::2] = map(_bare, parts[::2])
    parts[1::2] = (_mark(part, reader) for part in parts[1::2])
    text = html.unescape("".join(parts)).replace("\u200b", "")
    return CONTROL.sub("", SAID.sub(_command, text))


def _marker(kind: Marker, value: str, reader: TerminalReader) -> str:
    """Return a marker of a service's sentence; emphasis is removed with that of the cards."""
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
    """Return what is typed in a terminal for a command of Slack."""
    return SAID.sub(_command, f"{COMMAND} {words}")


def _bare(text: str) -> str:
    """Remove bold, italics and code; a mark inside a word, or one that was typed, stays."""
    text = TYPED.sub(lambda m: chr(HELD + ord(m[1])), text)
    text = re.sub(r"`([^`]*)`", r"\1", text)
    text = re.sub(r"(?<!\w)\*(.+?)\*(?!\w)", r"\1", text)
    text = re.sub(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    return re.sub(rf"[\u{HELD:04x}-\u{HELD + 0x7F:04x}]", lambda m: chr(ord(m[0]) - HELD), text)


def _mark(inside: str, reader: TerminalReader) -> str:
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
    if not label:
        return url
    return f"{label} ({url})"


def _date(inside: str, reader: TerminalReader) -> str:
    _, moment, form = inside.partition("|")[0].split("^")[:3]
    if "date" in form:
        return _day_and_time(int(moment), reader)
    return f"{datetime.fromtimestamp(int(moment), ZoneInfo(reader.zone)):%H:%M}"


def _day_and_time(moment: int, reader: TerminalReader) -> str:
    at = datetime.fromtimestamp(moment, ZoneInfo(reader.zone))
    return f"{at:%a} {at.day} {at:%b %H:%M}"


def _command(match: re.Match[str]) -> str:
    """Return `openvidu-bot run startup` for `/openvidu startup`."""
    words = match[1]
    if _begins_with_one_of(PROCEDURES, words):
        return f"{PROGRAM} run {words}"
    if _begins_with_one_of(AS_COMMANDS, words):
        return f"{PROGRAM} {words}"
    return f"{PROGRAM} say {words}"


def _begins_with_one_of(names: Sequence[str], words: str) -> bool:
    return any(words == name or words.startswith(f"{name} ") for name in names)


def _block(block: Block, reader: TerminalReader) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield _wrapped(block["text"]["text"], reader)
        case "section":
            if "text" in block:
                yield _wrapped(_words(block["text"], reader), reader)
            yield from _fields(block.get("fields", ()), reader)
        case "context":
            texts = [_words(e, reader) for e in block["elements"] if "text" in e]
            yield _wrapped("  ".join(texts), reader)
        case "divider":
            yield "─" * min(reader.width, 40)
        case "actions":
            yield from _buttons(block)


def _fields(texts: Sequence[Mapping[str, Any]], reader: TerminalReader) -> Iterator[str]:
    """Yield a line per field, the values below each other in one column."""
    pairs = [_words(text, reader).partition("\n")[::2] for text in texts]
    column = max((len(label) for label, value in pairs if value), default=0) + 2
    for label, value in pairs:
        if not value:
            yield _wrapped(label, reader)
            continue
        line = f"{label:<{column}}{' '.join(value.split())}"
        yield _filled(line, reader, " " * column)


def _words(text: Mapping[str, Any], reader: TerminalReader) -> str:
    if text["type"] == "mrkdwn":
        return render_text(text["text"], reader)
    return str(text["text"])


def _buttons(block: Block) -> Iterator[str]:
    """Yield each button that has a command, as that command."""
    for element in block["elements"]:
        action = str(element.get("action_id", ""))
        name, _, choice = action.partition(":")
        command = BUTTONS.get(name)
        if "url" in element:
            yield f"  {_label(element)}: {element['url']}"
        elif command is not None and element["type"] == "button":
            yield f"  {_label(element)}: {PROGRAM} {command(choice, str(element['value']))}"
        yield from _offer(element, action)
        for option in element.get("options", ()):
            yield from _offer(option, str(option.get("value", "")))


def _offer(element: Mapping[str, Any], action: str) -> Iterator[str]:
    """Yield the command of an action such as `form:scale`, or of a value `form:scale|acme`."""
    kind = command_of_action(action.partition(":")[2].partition("|")[0])
    if kind is not None:
        yield f"  {_label(element)}: {_typed(kind.command)}"


def _label(element: Mapping[str, Any]) -> str:
    return str(element["text"]["text"]).removesuffix("…")


def _wrapped(text: str, reader: TerminalReader) -> str:
    return "\n".join(_wrapped_line(line, reader) for line in text.splitlines())


def _wrapped_line(line: str, reader: TerminalReader) -> str:
    indent = ""
    if re.match(r"[✓▸○–•\d]", line):
        indent = "    "
    return _filled(line, reader, indent)


def _filled(line: str, reader: TerminalReader, indent: str) -> str:
    return textwrap.fill(
        line,
        reader.width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
