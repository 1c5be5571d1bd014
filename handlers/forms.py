"""What forms look like. Pure."""

import json
from typing import Any

from handlers.blocks import Block
from services.secrets_env import KEYS

CONFIG = "config_set"
VALUE, REASON = "secret_value", "reason"


def config_form(cluster: str, key: str, channel: str, reason: str = "") -> dict[str, Any]:
    """The form for one key's new value."""
    known = KEYS[key]
    return {
        "type": "modal",
        "callback_id": CONFIG,
        "private_metadata": json.dumps({"cluster": cluster, "key": key, "channel": channel}),
        "title": _plain(f"Change {cluster}"[:24]),
        "submit": _plain("Ask for it"),
        "close": _plain("Leave it"),
        "blocks": [
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": f"*{key}* of {cluster}. The value goes to the private bucket and nowhere else; the plan shows names only.",
                },
            },
            _input(VALUE, "New value", known.form.hint[:2000] if known.form else ""),
            _input(REASON, "Why (optional, shown to others)", "", optional=True, initial=reason[:300]),
        ],
    }


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _input(block: str, label: str, hint: str, *, optional: bool = False, initial: str = "") -> Block:
    made: Block = {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": _plain(label),
        "element": {"type": "plain_text_input", "action_id": block, "max_length": 1000 if block == VALUE else 300},
    }
    if initial:
        made["element"]["initial_value"] = initial
    if hint:
        made["hint"] = _plain(hint)
    return made
