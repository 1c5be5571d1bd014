"""One parser for the three ways in which arguments reach the Web API."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from simulators.slack.model import JSON, SlackError

# Arguments that travel as JSON text inside a form.
NESTED = frozenset({"blocks", "attachments", "view", "metadata", "files", "message", "unfurls"})
FLAGS = frozenset(
    {
        "as_user",
        "exclude_archived",
        "include_all_metadata",
        "inclusive",
        "is_app_unfurl",
        "include_users",
        "include_count",
    }
)
FLAGS_TOO = frozenset(
    {
        "include_disabled",
        "link_names",
        "mrkdwn",
        "reply_broadcast",
        "return_im",
        "unfurl_links",
        "unfurl_media",
    }
)
NUMBERS = frozenset({"length", "limit"})


def parse_args(content_type: str, body: bytes, query: Mapping[str, str]) -> JSON:
    """Return the arguments of a call, from the query, a form or a JSON body, as values."""
    args: JSON = dict(query)
    if "json" in content_type:
        try:
            sent = json.loads(body or b"{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(sent, dict):
            raise SlackError("json_not_object")
        args |= sent
    else:
        args |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return {key: read_value(key, value) for key, value in args.items() if value is not None}


def read_value(key: str, value: Any) -> Any:
    """Return an argument as a value."""
    if not isinstance(value, str):
        return value
    if key in NESTED and value:
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(
                "invalid_arguments", [f"[ERROR] invalid JSON [json-pointer:/{key}]"]
            ) from None
    if key in FLAGS or key in FLAGS_TOO:
        return value.lower() in ("1", "true")
    return int(value) if key in NUMBERS and value.isdigit() else value
