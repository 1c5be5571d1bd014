"""The manifest to make the Slack app from, for Socket Mode or for requests over HTTP. Pure but for reading the file."""

from pathlib import Path
from typing import Any

import yaml

import config


def manifest(http: str = "") -> str:
    """As YAML. `http`: the public address that Slack sends its requests to; left out: Socket Mode, which needs none."""
    text = Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
    return (
        text
        if not http
        else yaml.safe_dump(
            _over_http(yaml.safe_load(text), http), sort_keys=False, allow_unicode=True
        )
    )


def _over_http(made: dict[str, Any], url: str) -> dict[str, Any]:
    for command in made["features"]["slash_commands"]:
        command["url"] = url
    made["settings"]["event_subscriptions"] = {
        "request_url": url,
        **made["settings"]["event_subscriptions"],
    }
    made["settings"]["interactivity"]["request_url"] = url
    made["settings"]["socket_mode_enabled"] = False
    return made
