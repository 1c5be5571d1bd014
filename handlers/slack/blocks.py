"""Block Kit, as much of it as the cards use. Pure. Everything that people typed is escaped here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.slack.markup import date_time, markup
from services.common.text import printable

Block = dict[str, Any]
SECTION = 2900
TEXT = 3900
VIEW_WORDS = 24  # characters of a modal's title and buttons
OPTION, OPTIONS = 75, 100  # characters of one, and how many fit into a list


@dataclass(frozen=True)
class Card:
    """A message: `text` alone carries the whole meaning, for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", markup(self.text))

    def arguments(self) -> dict[str, Any]:
        """As the Web API takes it."""
        return {
            "text": cut(self.text, TEXT),
            "blocks": list(self.blocks),
            "unfurl_links": False,
            "unfurl_media": False,
        }


def escape(text: str) -> str:
    """What somebody typed, so that it neither formats nor mentions anything, nor hides or turns around what stands beside it."""
    safe = printable(markup(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space keeps the marks from pairing up.
    return "".join(f"{c}\u200b" if c in "*_~`" else c for c in safe)


def cut(text: str, limit: int) -> str:
    """At most that many characters, with a mark where something was left out; never half a mention, date or entity."""
    text = markup(text)
    if len(text) <= limit:
        return text
    head = text[: limit - 2]
    for opening, closing, longest in (("<", ">", 100), ("&", ";", 5)):
        begun = head.rfind(opening, max(0, len(head) - longest))
        if begun > head.rfind(closing):
            head = head[:begun]
    return head + " …"


def section(text: str) -> Block:
    """A paragraph of mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION)}}


def context(text: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(text, SECTION)}]}


def button(label: str, action: str, value: str, *, style: str = "", confirm: str = "") -> Block:
    """A button. `confirm`: the words of a dialog that asks again before it is sent."""
    made: Block = {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(label, 75)},
        "action_id": action,
        "value": value,
    }
    if style:
        made["style"] = style
    if confirm:
        made["confirm"] = {
            "title": {"type": "plain_text", "text": cut(label, 100)},
            "text": {"type": "mrkdwn", "text": cut(confirm, 300)},
            "confirm": {"type": "plain_text", "text": "Yes"},
            "deny": {"type": "plain_text", "text": "No, go back"},
        }
    return made


def actions(*elements: Block) -> Block:
    """A row of buttons and menus."""
    return {"type": "actions", "elements": list(elements)}


def words(text: str, limit: int) -> Block:
    """Text without any formatting."""
    return {"type": "plain_text", "text": cut(text, limit)}


def option(label: str, value: str, about: str = "") -> Block:
    """One thing that can be picked."""
    more = {"description": words(about, OPTION)} if about else {}
    return {"text": words(label, OPTION), "value": value, **more}


def menu(
    placeholder: str, action: str, options: Sequence[Block], initial: Block | None = None
) -> Block:
    """A list to pick one thing from."""
    begins = {"initial_option": initial} if initial is not None else {}
    return {
        "type": "static_select",
        "action_id": action,
        "placeholder": words(placeholder, 150),
        "options": list(options[:OPTIONS]),
        **begins,
    }


def divider() -> Block:
    """A line between two things."""
    return {"type": "divider"}


def modal(
    callback: str,
    title: str,
    blocks: Sequence[Block],
    *,
    meant: str = "",
    submit: str = "",
    close: str = "Close",
) -> Block:
    """A modal. `meant` travels with it; `submit` is what sending it is called."""
    more: Block = {"submit": words(submit, VIEW_WORDS)} if submit else {}
    if meant:
        more["private_metadata"] = meant
    return {
        "type": "modal",
        "callback_id": callback,
        "title": words(title, VIEW_WORDS),
        "close": words(close, VIEW_WORDS),
        "blocks": list(blocks),
        **more,
    }


def clock(moment: float) -> str:
    """The time of day, in each reader's own zone."""
    return f"<!date^{int(moment)}^{{time}}|{_utc(moment, '%H:%M UTC')}>"


def day(moment: float) -> str:
    """Day and time, in each reader's own zone."""
    return date_time(moment)


def date(moment: float) -> str:
    """The date, in each reader's own zone."""
    return f"<!date^{int(moment)}^{{date_short}}|{_utc(moment, '%d %b')}>"


def _utc(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)
