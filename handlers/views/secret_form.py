"""What forms look like. Pure."""

import json
from typing import Any

from handlers.slack.blocks import Block, day
from services.secrets_env import KEYS

CONFIG = "config_set"
VALUE, REASON = "secret_value", "reason"


def config_form(
    cluster: str, key: str, channel: str, reason: str = "", later: tuple[float, str] | None = None
) -> dict[str, Any]:
    """The form for one key's new value. `later`: when the change is to be made, and the zone that this was said in."""
    known = KEYS[key]
    meant = {
        "cluster": cluster,
        "key": key,
        "channel": channel,
        **({"at": later[0], "zone": later[1]} if later else {}),
    }
    when = f" It is changed {day(later[0])} ({later[1]})." if later else ""
    return {
        "type": "modal",
        "callback_id": CONFIG,
        "private_metadata": json.dumps(meant),
        "title": _plain(f"Change {cluster}"[:24]),
        "submit": _plain("Ask for it"),
        "close": _plain("Leave it"),
        "blocks": [
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": f"*{key}* of {cluster}. The value goes to the private bucket only; the plan shows names, never values.{when}",
                },
            },
            _input(VALUE, "New value", known.form.hint[:2000] if known.form else ""),
            _input(
                REASON, "Why (optional, shown to others)", "", optional=True, initial=reason[:300]
            ),
        ],
    }


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _input(
    block: str, label: str, hint: str, *, optional: bool = False, initial: str = ""
) -> Block:
    made: Block = {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": _plain(label),
        "element": {
            "type": "plain_text_input",
            "action_id": block,
            "max_length": 1000 if block == VALUE else 300,
        },
    }
    if initial:
        made["element"]["initial_value"] = initial
    if hint:
        made["hint"] = _plain(hint)
    return made
