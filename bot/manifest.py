"""The manifest of the Slack app, for Socket Mode or for requests over HTTP."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

import config

NEXT = """
Next: https://api.slack.com/apps, Create New App, From a manifest; paste the text above. Then
  Install App: SLACK_BOT_TOKEN (xoxb-...)
  Basic Information, App-Level Tokens, scope connections:write: SLACK_APP_TOKEN (xapp-...)
  in the Slack channel: /invite @openvidu
Then: openvidu-bot init
"""


def run(options: argparse.Namespace) -> int:
    """Print the manifest (`openvidu-bot manifest`); on a terminal also what to do with it."""
    sys.stdout.write(manifest(options.http))
    if sys.stdout.isatty():
        sys.stderr.write(NEXT)
    return 0


def manifest(http: str = "") -> str:
    """Return the manifest as YAML.

    `http` is the public address that Slack sends requests to; without it, the app uses Socket Mode.
    """
    text = Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
    if not http:
        return text
    over_http = _over_http(yaml.safe_load(text), http)
    return yaml.safe_dump(over_http, sort_keys=False, allow_unicode=True)


def _over_http(app: dict[str, Any], url: str) -> dict[str, Any]:
    for command in app["features"]["slash_commands"]:
        command["url"] = url
    app["settings"]["event_subscriptions"] = {
        "request_url": url,
        **app["settings"]["event_subscriptions"],
    }
    app["settings"]["interactivity"]["request_url"] = url
    app["settings"]["socket_mode_enabled"] = False
    return app
