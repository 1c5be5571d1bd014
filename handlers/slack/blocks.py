"""Block Kit, as much of it as the cards use. Pure. All user input is escaped here.

Plain dicts, not `slack_sdk.models`: those raise on a text that is too long, and the bot cuts it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handlers.slack.markup import markup
from services.common.text import strip_invisible

Block = dict[str, Any]
SECTION = 2900  # characters of a section
TEXT = 3900  # characters of a message's `text`
VIEW_TEXT = 24  # characters of a modal's title and buttons
OPTION, OPTIONS = 75, 100  # characters of one option, and how many fit into a list
# What truncation must not cut in two: opening mark, closing mark, longest distance.
UNDIVIDED = (("<", ">", 100), ("&", ";", 5))
HEADER, FIELD, FIELDS = 150, 2000, 10  # characters of a header and of a field; fields of a section
# One of the bot's own commands, an option or a run's id in code marks: they stay as they are, to be
# copied. In parentheses: `split` returns it, too.
COMMAND = re.compile(
    r"(`(?:(?:/openvidu|openvidu-bot)(?: [^`\n]*)?|--[a-z-]+(?: [^`\n]*)?|[a-z0-9-]+-\d+)`)"
)
# A formatting mark that could pair up: at least on one side no letter or digit. A zero-width space
# behind it prevents that.
EDGE_MARK = re.compile(r"(?<![^\W_])[*_~`]|[*_~`](?![^\W_])")


@dataclass(frozen=True)
class Card:
    """A message: `text` alone carries the whole meaning, for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", markup(self.text))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `chat.postMessage` and its kin."""
        return {
            "text": truncate(self.text, TEXT),
            "blocks": list(self.blocks),
            "unfurl_links": False,
            "unfurl_media": False,
        }


@dataclass(frozen=True)
class Picture:
    """A picture as PNG. `described`: its alternative text."""

    png: bytes
    title: str
    described: str


@dataclass(frozen=True)
class TextFile:
    """A file of plain text."""

    name: str
    title: str
    content: str


def escape(text: str) -> str:
    """Return user input such that it neither formats, mentions, hides nor reverses text.

    A command, an option or a run's id in code marks stays as it is, so that it can be copied. So
    does a mark inside a word (`MEET_ADMIN_USER`): Slack formats at the edges of words only.
    """
    safe = (
        strip_invisible(markup(text))
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
    return "".join(
        part if COMMAND.fullmatch(part) else EDGE_MARK.sub("\\g<0>\u200b", part)
        for part in COMMAND.split(safe)
    )


def code(text: str) -> str:
    """Return text in code marks, without a character that hides or ends the code."""
    safe = strip_invisible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{safe.replace('`', chr(39))}`"


def truncate(text: str, limit: int) -> str:
    """Cut a text to at most `limit` characters, ending in `…`.

    Never cuts a mention, a date or an entity in two.
    """
    text = markup(text)
    if len(text) <= limit:
        return text
    head = text[: limit - 2]
    for opening, closing, longest in UNDIVIDED:
        begins_at = head.rfind(opening, max(0, len(head) - longest))
        if begins_at > head.rfind(closing):
            head = head[:begins_at]
    return head + " …"


def section(text: str) -> Block:
    """Return a paragraph of mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": truncate(text, SECTION)}}


def context(text: str) -> Block:
    """Return a small grey line of mrkdwn."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": truncate(text, SECTION)}]}


def header(text: str) -> Block:
    """Return a heading. Plain text: formatting marks and mentions would show as they are."""
    return {"type": "header", "text": plain_text(text, HEADER)}


def fields(*pairs: tuple[str, str]) -> Block:
    """Return a section of label and value pairs in two columns (one on a phone), at most ten."""
    texts = (truncate(f"*{label}*\n{value}", FIELD) for label, value in pairs[:FIELDS])
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in texts]}


def button(
    label: str,
    action: str,
    value: str,
    *,
    style: str = "",
    confirm: str = "",
    keep: str = "Go back",
) -> Block:
    """Return a button. `confirm`: text of a dialog to confirm first.

    The dialog's own buttons are the label again, without its `…`, and `keep`.
    """
    element: Block = {
        "type": "button",
        "text": plain_text(label, 75),
        "action_id": action,
        "value": value,
    }
    if style:
        element["style"] = style
    if confirm:
        element["confirm"] = {
            "title": plain_text(label, 100),
            "text": {"type": "mrkdwn", "text": truncate(confirm, 300)},
            "confirm": plain_text(label.removesuffix("…"), 30),
            "deny": plain_text(keep, 30),
        }
        if style == "danger":
            element["confirm"]["style"] = "danger"
    return element


def link_button(label: str, action: str, url: str) -> Block:
    """Return a button that opens a page. Slack reports the press, too; it needs no answer."""
    return {
        "type": "button",
        "text": plain_text(label, 75),
        "action_id": action,
        "url": url,
    }


def actions(*elements: Block) -> Block:
    """Return a row of buttons and menus."""
    return {"type": "actions", "elements": list(elements)}


def plain_text(text: str, limit: int) -> Block:
    """Return text without formatting, of at most `limit` characters."""
    return {"type": "plain_text", "text": truncate(text, limit)}


def option(label: str, value: str, about: str = "") -> Block:
    """Return one option of a list. `about`: a line below its label."""
    element: Block = {"text": plain_text(label, OPTION), "value": value}
    if about:
        element["description"] = plain_text(about, OPTION)
    return element


def static_select(
    placeholder: str, action: str, options: Sequence[Block], initial: Block | None = None
) -> Block:
    """Return a list to pick one option from."""
    element: Block = {
        "type": "static_select",
        "action_id": action,
        "placeholder": plain_text(placeholder, 150),
        "options": list(options[:OPTIONS]),
    }
    if initial is not None:
        element["initial_option"] = initial
    return element


def divider() -> Block:
    """Return a line between two blocks."""
    return {"type": "divider"}


def modal(
    callback: str,
    title: str,
    blocks: Sequence[Block],
    *,
    metadata: str = "",
    submit: str = "",
    close: str = "Close",
) -> Block:
    """Return a modal. `metadata` comes back when it is sent; `submit` and `close` are labels."""
    view: Block = {
        "type": "modal",
        "callback_id": callback,
        "title": plain_text(title, VIEW_TEXT),
        "close": plain_text(close, VIEW_TEXT),
        "blocks": list(blocks),
    }
    if submit:
        view["submit"] = plain_text(submit, VIEW_TEXT)
    if metadata:
        view["private_metadata"] = metadata
    return view
