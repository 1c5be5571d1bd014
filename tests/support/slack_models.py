"""What Slack's own SDK and its published limits say of a message or a view.

The SDK's models parse every block, check their own limits, and write it again: what they do not
know is lost on the way, and that is a complaint too. `LIMITS` has what Slack documents and the
models do not check (docs.slack.dev, Block Kit reference).
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

Json = dict[str, Any]
MESSAGE_BLOCKS, VIEW_BLOCKS, VIEW_BYTES, MESSAGE_TEXT = 50, 100, 250_000, 4000
# By type: the longest list or text of a field.
LIMITS: dict[str, dict[str, int]] = {
    "section": {"fields": 10, "block_id": 255},
    "context": {"elements": 10},
    "actions": {"elements": 25},
    "button": {"text": 75, "value": 2000, "url": 3000, "action_id": 255, "accessibility_label": 75},
    "static_select": {"options": 100, "option_groups": 100, "placeholder": 150, "action_id": 255},
    "external_select": {"placeholder": 150, "action_id": 255},
    "users_select": {"placeholder": 150, "action_id": 255},
    "overflow": {"options": 5, "action_id": 255},
    "checkboxes": {"options": 10, "action_id": 255},
    "radio_buttons": {"options": 10, "action_id": 255},
    "plain_text_input": {"placeholder": 150, "initial_value": 3000, "action_id": 255},
    "header": {"text": 150},
    "input": {"label": 2000, "hint": 2000, "block_id": 255},
}
OPTION = {"text": 75, "value": 150, "description": 75}
CONFIRM = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
VIEW = {"title": 24, "submit": 24, "close": 24, "private_metadata": 3000, "callback_id": 255}


def complaints_about_message(text: str, blocks: list[Json]) -> list[str]:
    """What is wrong with a message; [] when nothing is."""
    problems = [*_modelled(blocks), *_limited(blocks)]
    if len(blocks) > MESSAGE_BLOCKS:
        problems.append(f"{len(blocks)} blocks")
    if not 0 < len(text) <= MESSAGE_TEXT:
        problems.append(f"a text of {len(text)} characters")
    return problems


def complaints_about_view(view: Json) -> list[str]:
    """What is wrong with a modal or a home; [] when nothing is."""
    problems = [*_modelled(view["blocks"]), *_limited(view["blocks"]), *_longer(view, VIEW, "view")]
    try:
        again = View(**view).to_dict()
    except (SlackObjectFormationError, TypeError, ValueError) as error:
        return [*problems, f"view: {error}"]
    if _bare(again) != _bare(view):
        problems.append(f"view: the SDK makes of it {sorted(again)}")
    if len(view["blocks"]) > VIEW_BLOCKS or len(json.dumps(view)) > VIEW_BYTES:
        problems.append("view: too large")
    return problems


def _modelled(blocks: list[Json]) -> Iterator[str]:
    for number, block in enumerate(blocks):
        where = f"block {number} ({block.get('type')})"
        said: list[str] = []
        handler = _Listener(said)
        logging.getLogger("slack_sdk").addHandler(handler)
        try:
            parsed = Block.parse(block)
            if parsed is None:
                yield f"{where}: the SDK does not know it"
                continue
            again = parsed.to_dict()  # checks the limits of the block and of all within
        except (SlackObjectFormationError, TypeError, ValueError) as error:
            yield f"{where}: {error}"
            continue
        finally:
            logging.getLogger("slack_sdk").removeHandler(handler)
        yield from (f"{where}: {line}" for line in said)
        if _bare(again) != _bare(block):
            yield f"{where}: the SDK makes of it {json.dumps(again)[:300]}"


class _Listener(logging.Handler):
    """Keeps what the SDK logs: it warns of keys that it does not know."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


def _bare(value: Any) -> Any:
    """The value without what the SDK adds or leaves out because it holds anyway."""
    if isinstance(value, dict):
        return {
            key: _bare(inner)
            for key, inner in value.items()
            if inner is not None
            and not (key == "emoji" and "text" in value)
            and not (key == "initial_value" and inner == "")
        }
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    return value


def _limited(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _limited(item)
    elif isinstance(value, dict):
        yield from _longer(value, LIMITS.get(str(value.get("type")), {}), str(value.get("type")))
        for option in value.get("options") or ():
            yield from _longer(option, OPTION, "option")
        if isinstance(value.get("confirm"), dict) and "title" in value["confirm"]:
            yield from _longer(value["confirm"], CONFIRM, "confirm")
        for inner in value.values():
            yield from _limited(inner)


def _longer(value: Json, limits: dict[str, int], what: str) -> Iterator[str]:
    for key, most in limits.items():
        found = value.get(key)
        if isinstance(found, dict):
            found = found.get("text")
        if isinstance(found, str | list) and len(found) > most:
            yield f"{what}: {key} has {len(found)} of at most {most}"
