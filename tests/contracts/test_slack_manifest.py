"""The app's manifest against Slack's published rules, and against what the bot does.

Both ways: a scope, event, command or shortcut that nothing uses is found, and so is a call, event
or shortcut without what it needs.
"""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from bot.manifest import manifest
from config.values import SlackSettings
from handlers import app
from simulators.slack.webapi import METHODS

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
URL = "https://ops.example.com/slack/events"


def obj(required: str = "", **fields: Any) -> Json:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": required.split(),
        "additionalProperties": False,
    }


def text(most: int, pattern: str = "", least: int = 1) -> Json:
    shape: Json = {"type": "string", "minLength": least, "maxLength": most}
    return shape | {"pattern": pattern} if pattern else shape


def many(item: Json, most: int, least: int = 0) -> Json:
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


YES_NO = {"type": "boolean"}
WEB = text(3500, r"^https?://")
SCOPES = many(text(50), 255) | {"uniqueItems": True}
EVENTS = many(text(50), 100) | {"uniqueItems": True}
# What Slack's manifest-schema (github.com/slackapi/manifest-schema, version 2) allows in the parts
# that an app like this one has: keys, kinds, lengths. A part that is not here is not known to it,
# or belongs to apps that Slack itself runs.
RULES = obj(
    "display_information",
    _metadata=obj(major_version={"type": "integer", "const": 2}, minor_version={"type": "integer"}),
    display_information=obj(
        "name",
        name=text(35),
        description=text(140),
        background_color=text(7, r"^#([0-9a-fA-F]{3}){1,2}$"),
        long_description=text(4000, least=175),
    ),
    features=obj(
        app_home=obj(
            home_tab_enabled=YES_NO,
            messages_tab_enabled=YES_NO,
            messages_tab_read_only_enabled=YES_NO,
        ),
        bot_user=obj("display_name", display_name=text(80), always_online=YES_NO),
        shortcuts=many(
            obj(
                "name type callback_id description",
                name=text(24),
                type={"enum": ["message", "global"]},
                callback_id=text(255),
                description=text(150),
            ),
            10,
            1,
        ),
        slash_commands=many(
            obj(
                "command description",
                command=text(32, r"^/", least=2),
                url=text(3000, r"^https?://"),
                description=text(2000),
                usage_hint=text(1000),
                should_escape=YES_NO,
            ),
            50,
            1,
        ),
        unfurl_domains=many(text(255), 5, 1),
    ),
    oauth_config=obj(
        redirect_urls=many(text(2500), 1000),
        scopes=obj(user=SCOPES, bot=SCOPES, user_optional=SCOPES, bot_optional=SCOPES),
        token_management_enabled=YES_NO,
        pkce_enabled=YES_NO,
    ),
    settings=obj(
        event_subscriptions=obj(request_url=WEB, user_events=EVENTS, bot_events=EVENTS),
        incoming_webhooks=obj(incoming_webhooks_enabled=YES_NO),
        interactivity=obj(
            "is_enabled", is_enabled=YES_NO, request_url=WEB, message_menu_options_url=WEB
        ),
        org_deploy_enabled=YES_NO,
        socket_mode_enabled=YES_NO,
        token_rotation_enabled=YES_NO,
    ),
)

HISTORY, READ = {"channels:history", "groups:history"}, {"channels:read", "groups:read"}
# The bot scopes that Slack's method pages name, for public and private channels.
SCOPES_OF: dict[str, set[str]] = {
    "api.test": set(),
    "auth.test": set(),
    "chat.getPermalink": set(),
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.history": HISTORY,
    "conversations.info": READ,
    "conversations.list": READ,
    "conversations.members": READ,
    "conversations.replies": HISTORY,
    "files.completeUploadExternal": {"files:write"},
    "files.getUploadURLExternal": {"files:write"},
    "usergroups.users.list": {"usergroups:read"},
    "users.info": {"users:read"},
    "users.list": {"users:read"},
    "views.open": set(),
    "views.publish": set(),
    "views.update": set(),
}
# What a call needs that the manifest leaves out on purpose.
WITHOUT = {
    "apps.connections.open": "it takes the app-level token, whose scope is given where it is made",
    "conversations.join": "`doctor --fix` looks at the token's scopes first; seldom wanted",
}
# One method of the SDK is two of the Web API.
OF_THE_SDK = {"files_upload_v2": ("files.getUploadURLExternal", "files.completeUploadExternal")}
SCOPES_OF_EVENTS = {"app_mention": {"app_mentions:read"}, "app_home_opened": set[str]()}
METHOD = re.compile(
    r"(api|apps|auth|bots|chat|conversations|dialog|emoji|files|pins|reactions|reminders|search|team"
    r"|usergroups|users|views)(\.[a-z][A-Za-z]*)+"
)
CALLERS = frozenset({"call", "read", "_send", "_call", "_pages", "api_call"})


@cache
def calls() -> frozenset[str]:
    """Every method of Slack's Web API that the bot calls."""
    sources = [path for part in ("bot", "handlers") for path in (ROOT / part).rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in sources if "demo" not in path.parts]
    return frozenset(method for tree in trees for method in called(tree))


def called(tree: ast.AST) -> Iterator[str]:
    """Methods by their name in a text, or as a method of the SDK's client."""
    in_sdk = {method.replace(".", "_"): method for method in (*SCOPES_OF, *WITHOUT, *METHODS)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in CALLERS:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and METHOD.fullmatch(str(argument.value)):
                    yield str(argument.value)
        elif name in in_sdk:
            yield in_sdk[name]
        yield from OF_THE_SDK.get(name, ())


def needed(methods: AbstractSet[str], made: Json) -> set[str]:
    """The bot scopes of these calls, and of the events and commands in the manifest."""
    events = made["settings"]["event_subscriptions"]["bot_events"]
    features = made["features"]
    interactive = {"commands"} if {"slash_commands", "shortcuts"} & features.keys() else set()
    return interactive.union(
        *(SCOPES_OF[method] for method in methods - WITHOUT.keys()),
        *(SCOPES_OF_EVENTS[event] for event in events),
    )


def problems(made: Json, methods: AbstractSet[str]) -> list[str]:
    """What is wrong with a manifest for a bot that calls these methods."""
    found = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(RULES).iter_errors(made)
    ]
    if found:
        return found
    scopes = made["oauth_config"]["scopes"]["bot"]
    wanted = needed(methods, made)
    found += [f"no call needs the scope {scope}" for scope in sorted(set(scopes) - wanted)]
    found += [f"the scope {scope} is missing" for scope in sorted(wanted - set(scopes))]
    settings, features = made["settings"], made["features"]
    events = set(settings["event_subscriptions"]["bot_events"])
    found += [
        f"{event}: subscribed and listened to by one side" for event in events ^ set(app.EVENTS)
    ]
    shortcuts = {shortcut["callback_id"] for shortcut in features.get("shortcuts", ())}
    found += [f"{name}: a shortcut of one side" for name in shortcuts ^ set(app.SHORTCUTS)]
    commands = {command["command"] for command in features.get("slash_commands", ())}
    found += [f"{name}: a command of one side" for name in commands ^ {default_command()}]
    if "views.publish" in methods and not features["app_home"]["home_tab_enabled"]:
        found.append("the Home tab is published and not enabled")
    if not settings["interactivity"]["is_enabled"]:
        found.append("buttons and forms are sent, and interactivity is not enabled")
    places = [
        *(command.get("url") for command in features["slash_commands"]),
        settings["interactivity"].get("request_url"),
        settings["event_subscriptions"].get("request_url"),
    ]
    if any((place is None) is not settings["socket_mode_enabled"] for place in places):
        found.append("it takes an address where it uses a socket, or none where it does not")
    return found


def default_command() -> str:
    """The command that the settings have by default."""
    return str(SlackSettings.model_fields["command"].default)


def plain() -> Json:
    return yaml.safe_load(manifest())  # type: ignore[no-any-return]


@pytest.mark.parametrize("http", ["", URL])
def test_the_manifest_is_what_slack_takes_and_what_the_bot_uses(http: str) -> None:
    assert problems(yaml.safe_load(manifest(http)), calls()) == []


def test_the_calls_that_are_found_are_those_that_are_known() -> None:
    found = calls()
    assert found - WITHOUT.keys() == SCOPES_OF.keys(), "a call without its scopes, or no call"
    assert found >= WITHOUT.keys(), "left out, and not called any more"
    assert {"chat.postMessage", "files.getUploadURLExternal", "auth.test"} <= found


def test_the_simulated_slack_asks_for_the_same_scopes() -> None:
    for method, scopes in SCOPES_OF.items():
        scope = METHODS[method].scope
        assert {scope} - {""} <= scopes, method
        # Which scope a channel needs depends on the channel: `require_scope` checks it there.
        assert scope or not scopes or method.startswith("conversations."), method


def without_scope(made: Json, scope: str) -> None:
    made["oauth_config"]["scopes"]["bot"].remove(scope)


@pytest.mark.parametrize("scope", plain()["oauth_config"]["scopes"]["bot"])
def test_each_scope_that_is_missing_is_found(scope: str) -> None:
    made = plain()
    without_scope(made, scope)
    assert problems(made, calls()) == [f"the scope {scope} is missing"]


def without_mentions(made: Json) -> None:
    made["settings"]["event_subscriptions"]["bot_events"].remove("app_mention")
    without_scope(made, "app_mentions:read")


CHANGES: dict[str, Callable[[Json], object]] = {
    "no call needs the scope pins:write": lambda made: made["oauth_config"]["scopes"]["bot"].append(
        "pins:write"
    ),
    "app_mention: subscribed": without_mentions,
    "operate: a shortcut": lambda made: made["features"]["shortcuts"][0].update(
        callback_id="other"
    ),
    "/ops: a command": lambda made: made["features"]["slash_commands"][0].update(command="/ops"),
    "Home tab": lambda made: made["features"]["app_home"].update(home_tab_enabled=False),
    "interactivity": lambda made: made["settings"]["interactivity"].update(is_enabled=False),
    "an address": lambda made: made["settings"].update(socket_mode_enabled=False),
    "too long": lambda made: made["display_information"].update(description="d" * 141),
    "unexpected": lambda made: made["features"].update(slash_comands=[]),
    "does not match": lambda made: made["features"]["slash_commands"][0].update(command="ops"),
    "is not of type": lambda made: made["settings"].update(socket_mode_enabled="yes"),
    "required property": lambda made: made["features"]["slash_commands"][0].pop("description"),
    "non-unique": lambda made: made["oauth_config"]["scopes"]["bot"].append("commands"),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_manifest_that_does_not_fit_is_found(words: str) -> None:
    made = copy.deepcopy(plain())
    CHANGES[words](made)
    assert any(words in problem for problem in problems(made, calls())), problems(made, calls())


def test_a_call_or_an_event_of_the_bot_that_the_manifest_does_not_know_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = ast.parse(
        "api.call('reactions.add', {})\nclient.pins_add(channel=1)\nself.read(what='chat.delete')"
    )
    assert set(called(tree)) == {"reactions.add", "pins.add"}
    monkeypatch.setitem(SCOPES_OF, "reactions.add", {"reactions:write"})
    assert problems(plain(), calls() | {"reactions.add"}) == [
        "the scope reactions:write is missing"
    ]
    monkeypatch.setattr(app, "EVENTS", (*app.EVENTS, "message"))
    assert any("message: subscribed" in problem for problem in problems(plain(), calls()))
