"""Block Kit validation: one table of shapes and limits, and the rules that look across them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulators.slack.model import JSON

MESSAGE_BLOCKS, VIEW_BLOCKS, VIEW_BYTES = 50, 100, 250_000


@dataclass(frozen=True)
class SchemaViolation:
    """Something that Slack refuses, and where it is."""

    message: str
    pointer: str

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.pointer}]"


Check = Callable[[Any, str], Iterator[SchemaViolation]]


def string(most: int, least: int = 1, pattern: str = "") -> Check:
    """A text between two lengths, optionally of one form."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if not isinstance(value, str):
            yield SchemaViolation("must be a string", at)
        elif len(value) > most:
            yield SchemaViolation(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            yield SchemaViolation(f"must be more than {least - 1} characters", at)
        elif pattern and not re.fullmatch(pattern, value):
            yield SchemaViolation(f"does not match {pattern}", at)

    return check


def one_of(*allowed: str) -> Check:
    """One of a few words."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if value not in allowed:
            yield SchemaViolation(f"must be one of {', '.join(allowed)}", at)

    return check


def flag(value: Any, at: str) -> Iterator[SchemaViolation]:
    """True or false."""
    if not isinstance(value, bool):
        yield SchemaViolation("must be a boolean", at)


def number(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            yield SchemaViolation(f"must be an integer from {least} to {most}", at)

    return check


def many(item: Check, most: int, least: int = 1) -> Check:
    """A list of at most so many items."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if not isinstance(value, list):
            yield SchemaViolation("must be an array", at)
            return
        if len(value) > most:
            yield SchemaViolation(f"no more than {most} items allowed", at)
        if len(value) < least:
            yield SchemaViolation(f"no fewer than {least} items allowed", at)
        for index, one in enumerate(value):
            yield from item(one, f"{at}/{index}")

    return check


def shape(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """An object with these fields and no other."""
    fields = required | (optional or {})

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if not isinstance(value, dict):
            yield SchemaViolation("must be an object", at)
            return
        for key in required:
            if key not in value:
                yield SchemaViolation(f"missing required field: {key}", at)
        for key, inner in value.items():
            if key in fields:
                yield from fields[key](inner, f"{at}/{key}")
            else:
                yield SchemaViolation(f"invalid additional property: {key}", at)

    return check


def typed(table: dict[str, Check]) -> Check:
    """An object whose `type` says which shape it has."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in table:
            yield SchemaViolation(f"unsupported type: {kind}", at)
        else:
            yield from table[kind](value, at)

    return check


def also(first: Check, *others: Check) -> Check:
    """Every check; a later one only where the earlier ones found nothing."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        problems = list(first(value, at))
        yield from problems
        if not problems:
            for other in others:
                yield from other(value, at)

    return check


def anything(_value: Any, _at: str) -> Iterator[SchemaViolation]:
    """Any value."""
    return iter(())


def plain(most: int) -> Check:
    """A plain_text object."""
    return shape({"type": one_of("plain_text"), "text": string(most)}, {"emoji": flag})


def text(most: int) -> Check:
    """A mrkdwn or plain_text object."""
    return typed(
        {
            "plain_text": plain(most),
            "mrkdwn": shape({"type": anything, "text": string(most)}, {"verbatim": flag}),
        }
    )


def exactly_one(*keys: str) -> Check:
    """Exactly one of these fields."""

    def check(value: Any, at: str) -> Iterator[SchemaViolation]:
        if sum(key in value for key in keys) != 1:
            yield SchemaViolation(f"needs exactly one of {', '.join(keys)}", at)

    return check


def initial_is_offered(value: JSON, at: str) -> Iterator[SchemaViolation]:
    """The initial option is one of the options."""
    offered = [
        *value.get("options", []),
        *(o for group in value.get("option_groups", []) for o in group["options"]),
    ]
    chosen = [("initial_option", value["initial_option"])] if "initial_option" in value else []
    chosen += [
        (f"initial_options/{n}", option)
        for n, option in enumerate(value.get("initial_options", []))
    ]
    for key, option in chosen:
        if option not in offered:
            yield SchemaViolation("initial option is not one of the options", f"{at}/{key}")


def lengths_agree(value: JSON, at: str) -> Iterator[SchemaViolation]:
    """A minimum is not above its maximum."""
    if value.get("min_length", 0) > value.get("max_length", 3000):
        yield SchemaViolation("min_length must not be more than max_length", at)


ID = string(255)
# A page for a browser, or another program's address; a picture is fetched by Slack itself.
LINK = string(3000, 1, r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
PICTURE_LINK = string(3000, 1, r"https?://\S+")
DATE, TIME, NUMBER = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d", r"-?\d+(\.\d+)?"
CONFIRM = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
OPTION = shape({"text": text(75), "value": string(150)}, {"description": text(75)})
OVERFLOW_OPTION = shape(
    {"text": plain(75), "value": string(150)}, {"description": plain(75), "url": LINK}
)
OPTION_GROUP = shape({"label": plain(75), "options": many(OPTION, 100)})
FILE = also(shape({}, {"id": string(255), "url": string(3000)}), exactly_one("id", "url"))


def element(
    required: dict[str, Check] | None = None,
    optional: dict[str, Check] | None = None,
    *rules: Check,
) -> Check:
    """An interactive element: the common fields, and its own."""
    return also(
        shape({"type": anything} | (required or {}), {"action_id": ID} | (optional or {})), *rules
    )


_PLACED = {"placeholder": plain(150), "focus_on_load": flag}
_ASKED = _PLACED | {"confirm": CONFIRM}
_DISPATCH = {
    "dispatch_action_config": shape(
        {"trigger_actions_on": many(one_of("on_enter_pressed", "on_character_entered"), 2)}
    )
}
_CHOICES = {"options": many(OPTION, 100), "option_groups": many(OPTION_GROUP, 100)}
_SEVERAL = {"max_selected_items": number(1, 10_000)}
_BOXES = ({"options": many(OPTION, 10)}, {"confirm": CONFIRM, "focus_on_load": flag})
_LINE = _PLACED | _DISPATCH | {"initial_value": string(3000, 0)}
_LENGTHS = {"min_length": number(0, 3000), "max_length": number(1, 3000)}
_IMAGE = {"type": anything, "alt_text": string(2000)}
_PICTURE = {"image_url": PICTURE_LINK, "slack_file": FILE}


def _picker(initial: dict[str, Check]) -> tuple[Check, Check]:
    (key, check), *_ = initial.items()
    return element({}, _ASKED | initial), element(
        {}, _ASKED | _SEVERAL | {f"{key}s": many(check, 100)}
    )


_USERS, _MULTI_USERS = _picker({"initial_user": ID})
_CHANNELS, _MULTI_CHANNELS = _picker({"initial_channel": ID})
_CONVERSATIONS, _MULTI_CONVERSATIONS = _picker({"initial_conversation": ID})

BUTTON = element(
    {"text": plain(75)},
    {
        "value": string(2000),
        "url": LINK,
        "style": one_of("primary", "danger"),
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    },
)
IMAGE_ELEMENT = also(shape(_IMAGE, _PICTURE), exactly_one("image_url", "slack_file"))
ONE_CHOICE = exactly_one("options", "option_groups")
CHOOSERS: dict[str, Check] = {
    "static_select": element(
        {}, _ASKED | _CHOICES | {"initial_option": OPTION}, ONE_CHOICE, initial_is_offered
    ),
    "multi_static_select": element(
        {},
        _ASKED | _CHOICES | _SEVERAL | {"initial_options": many(OPTION, 100)},
        ONE_CHOICE,
        initial_is_offered,
    ),
    "users_select": _USERS,
    "multi_users_select": _MULTI_USERS,
    "channels_select": _CHANNELS,
    "multi_channels_select": _MULTI_CHANNELS,
    "conversations_select": _CONVERSATIONS,
    "multi_conversations_select": _MULTI_CONVERSATIONS,
    "radio_buttons": element(_BOXES[0], _BOXES[1] | {"initial_option": OPTION}, initial_is_offered),
    "checkboxes": element(
        _BOXES[0], _BOXES[1] | {"initial_options": many(OPTION, 10)}, initial_is_offered
    ),
    "datepicker": element({}, _ASKED | {"initial_date": string(10, 10, DATE)}),
    "timepicker": element(
        {}, _ASKED | {"initial_time": string(5, 5, TIME), "timezone": string(100)}
    ),
    "datetimepicker": element(
        {},
        {"confirm": CONFIRM, "focus_on_load": flag, "initial_date_time": number(10**9, 10**10 - 1)},
    ),
}
PRESSED: dict[str, Check] = {
    "button": BUTTON,
    "overflow": element({"options": many(OVERFLOW_OPTION, 5)}, {"confirm": CONFIRM}),
}
TYPED: dict[str, Check] = {
    "plain_text_input": element({}, _LINE | _LENGTHS | {"multiline": flag}, lengths_agree),
    "email_text_input": element({}, _LINE),
    "url_text_input": element({}, _LINE),
    "number_input": element(
        {"is_decimal_allowed": flag},
        _LINE | {key: string(50, 1, NUMBER) for key in ("initial_value", "min_value", "max_value")},
    ),
}


def unique_actions(value: JSON, at: str) -> Iterator[SchemaViolation]:
    """No two elements of a block share an action_id."""
    named = Counter(one.get("action_id") for one in value["elements"] if one.get("action_id"))
    for name, times in named.items():
        if times > 1:
            yield SchemaViolation(f"duplicate action_id: {name}", f"{at}/elements")


def says_something(value: JSON, at: str) -> Iterator[SchemaViolation]:
    """A section has a text or fields."""
    if "text" not in value and "fields" not in value:
        yield SchemaViolation("missing required field: text", at)


def block(
    required: dict[str, Check], optional: dict[str, Check] | None = None, *rules: Check
) -> Check:
    """A block: the common fields, and its own."""
    return also(shape({"type": anything} | required, {"block_id": ID} | (optional or {})), *rules)


BLOCKS: dict[str, Check] = {
    "section": block(
        {},
        {
            "text": text(3000),
            "fields": many(text(2000), 10),
            "accessory": typed(CHOOSERS | PRESSED | {"image": IMAGE_ELEMENT}),
            "expand": flag,
        },
        says_something,
    ),
    "header": block({"text": plain(150)}),
    "divider": block({}),
    "context": block(
        {
            "elements": many(
                typed({"image": IMAGE_ELEMENT, "plain_text": text(2000), "mrkdwn": text(2000)}), 10
            )
        }
    ),
    "actions": block({"elements": many(typed(CHOOSERS | PRESSED), 25)}, {}, unique_actions),
    "image": block(
        {"alt_text": string(2000)},
        _PICTURE | {"title": plain(2000)},
        exactly_one("image_url", "slack_file"),
    ),
    "input": block(
        {"label": plain(2000), "element": typed(CHOOSERS | TYPED)},
        {"hint": plain(2000), "optional": flag, "dispatch_action": flag},
    ),
}
MARKDOWN = block({"text": string(12_000)})

_VIEW: dict[str, Check] = {
    "private_metadata": string(3000, 0),
    "callback_id": string(255),
    "external_id": string(255),
}
_MODAL = _VIEW | {
    "submit": plain(24),
    "close": plain(24),
    "clear_on_close": flag,
    "notify_on_close": flag,
    "submit_disabled": flag,
}
VIEWS = typed(
    {
        "modal": shape(
            {"type": anything, "title": plain(24), "blocks": many(typed(BLOCKS), VIEW_BLOCKS)},
            _MODAL,
        ),
        "home": shape({"type": anything, "blocks": many(typed(BLOCKS), VIEW_BLOCKS)}, _VIEW),
    }
)
MESSAGE = many(typed(BLOCKS | {"markdown": MARKDOWN}), MESSAGE_BLOCKS, 0)


def check_blocks(blocks: Any) -> list[SchemaViolation]:
    """Return what Slack would refuse about the blocks of a message."""
    problems = list(MESSAGE(blocks, "/blocks"))
    return problems or [
        *_unique_blocks(blocks, "/blocks"),
        *_focus_once(blocks, "/blocks"),
        *_markdown_total(blocks),
    ]


def check_view(view: Any) -> list[SchemaViolation]:
    """Return what Slack would refuse about a modal or an App Home."""
    problems = list(VIEWS(view, "/view"))
    if problems:
        return problems
    problems = [
        *_unique_blocks(view["blocks"], "/view/blocks"),
        *_focus_once(view["blocks"], "/view/blocks"),
    ]
    asks = any(one["type"] == "input" for one in view["blocks"])
    if view["type"] == "modal" and asks and "submit" not in view:
        problems.append(SchemaViolation("missing required field: submit", "/view"))
    return problems


def _unique_blocks(blocks: list[JSON], at: str) -> Iterator[SchemaViolation]:
    named = Counter(one["block_id"] for one in blocks if "block_id" in one)
    yield from (
        SchemaViolation(f"block_id already exists: {name}", at)
        for name, times in named.items()
        if times > 1
    )


def _focus_once(blocks: list[JSON], at: str) -> Iterator[SchemaViolation]:
    inner = [
        one
        for block in blocks
        for one in (
            block.get("accessory", {}),
            block.get("element", {}),
            *block.get("elements", []),
        )
    ]
    if sum(bool(one.get("focus_on_load")) for one in inner) > 1:
        yield SchemaViolation("only one element can have focus_on_load", at)


def _markdown_total(blocks: list[JSON]) -> Iterator[SchemaViolation]:
    if sum(len(one["text"]) for one in blocks if one["type"] == "markdown") > 12_000:
        yield SchemaViolation("must be less than 12001 characters", "/blocks")
