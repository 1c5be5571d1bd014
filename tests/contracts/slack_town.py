"""A small team and its app for the tests of the simulated Slack."""

import copy
from typing import Any

from simulators.clock import LoopClock
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.workspace import SlackWorkspace

MANIFEST: dict[str, Any] = {
    "features": {
        "bot_user": {"display_name": "openvidu"},
        "app_home": {"home_tab_enabled": True},
        "slash_commands": [
            {
                "command": "/openvidu",
                "description": "Operate OpenVidu",
                "usage_hint": "help | status",
                "should_escape": True,
            }
        ],
    },
    "oauth_config": {
        "scopes": {
            "bot": [
                *("commands", "chat:write", "users:read", "usergroups:read"),
                *("channels:read", "groups:read", "files:write", "app_mentions:read"),
            ]
        }
    },
    "settings": {
        "socket_mode_enabled": True,
        "event_subscriptions": {"bot_events": ["app_home_opened", "app_mention"]},
    },
}


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def team(clock: HandClock | LoopClock | None = None) -> FakeSlack:
    place = SlackWorkspace(clock or HandClock())
    place.add_user("UANA", "ana", "Ana Ruiz")
    place.add_user("UBEN", "ben", "Ben Okafor")
    place.add_group("SOPS", "operators", ["UANA", "UBEN"])
    place.add_channel("COPS", "ops", ["UANA", "UBEN"])
    place.add_channel("CQUIET", "quiet", ["UANA"], with_bot=False)
    return FakeSlack(place, copy.deepcopy(MANIFEST))  # a test may grant the app another scope


def button(label: str, action_id: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": label},
        "action_id": action_id,
    } | more


def card(text: str, *elements: dict[str, Any]) -> list[dict[str, Any]]:
    said = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return (
        [said, {"type": "actions", "block_id": "do", "elements": list(elements)}]
        if elements
        else [said]
    )


def modal(**more: Any) -> dict[str, Any]:
    why = {
        "type": "input",
        "block_id": "why",
        "label": {"type": "plain_text", "text": "Reason"},
        "element": {"type": "plain_text_input", "action_id": "text", "max_length": 20},
    }
    secret = {
        "type": "input",
        "block_id": "secret_value",
        "optional": True,
        "label": {"type": "plain_text", "text": "Value"},
        "element": {"type": "plain_text_input", "action_id": "v"},
    }
    words = {
        key: {"type": "plain_text", "text": text}
        for key, text in (("title", "Scale"), ("submit", "Send"))
    }
    return {"type": "modal", "callback_id": "scale", **words, "blocks": [why, secret]} | more
