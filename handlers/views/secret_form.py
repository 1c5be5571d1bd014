"""The form of `config set`, for the new value of one key. Pure."""

import json
from typing import Any

from handlers.slack.blocks import Block, section
from handlers.slack.markup import date_time
from services.secrets_env import KEYS

CONFIG = "config_set"
VALUE, REASON = "secret_value", "reason"
MOST_CHARACTERS = {VALUE: 1000, REASON: 300}


def config_form(
    cluster: str, key: str, channel: str, reason: str = "", later: tuple[float, str] | None = None
) -> dict[str, Any]:
    """Return the form for one key.

    `later`: when the change is made (epoch seconds), and the time zone it was entered in.
    """
    metadata: dict[str, str | float] = {"cluster": cluster, "key": key, "channel": channel}
    intro = (
        f"*{key}* of {cluster}. The value goes to the private bucket only; "
        "the plan shows names, never values."
    )
    if later:
        at, zone = later
        metadata |= {"at": at, "zone": zone}
        intro += f" It is changed {date_time(at)} ({zone})."
    hint = ""
    if form := KEYS[key].form:
        hint = form.hint[:2000]
    why = _input(REASON, "Reason (shown to others)", optional=True, initial=reason[:300])
    return {
        "type": "modal",
        "callback_id": CONFIG,
        "private_metadata": json.dumps(metadata),
        "title": _plain(f"Change {cluster}"[:24]),
        "submit": _plain("Request change"),
        "close": _plain("Cancel"),
        "blocks": [section(intro), _input(VALUE, "New value", hint), why],
    }


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _input(
    block_id: str, label: str, hint: str = "", *, optional: bool = False, initial: str = ""
) -> Block:
    element = {
        "type": "plain_text_input",
        "action_id": block_id,
        "max_length": MOST_CHARACTERS[block_id],
    }
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "optional": optional,
        "label": _plain(label),
        "element": element,
    }
    if initial:
        element["initial_value"] = initial
    if hint:
        block["hint"] = _plain(hint)
    return block
