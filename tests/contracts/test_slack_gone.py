"""Closed channels and deactivated people: what Slack answers, and what the bot can see."""

from typing import Any

import pytest

from simulators.slack.elements import NotPossible
from tests.contracts.slack_town import button, card, team
from tests.support.virtual import run

BOT = "xoxb-sim"


def call(slack: Any, method: str, **args: Any) -> str:
    answer = slack.webapi.handle(method, BOT, args).json
    return "" if answer["ok"] else str(answer["error"])


def seen(slack: Any, user: str, channel: str = "COPS") -> list[str]:
    place = slack.workspace
    return [m.text for m in place.visible(user, place.channels[channel])]


def test_an_ephemeral_in_a_thread_without_replies_is_ok_and_not_visible() -> None:
    slack = team()
    root = slack.workspace.post(slack.workspace.channels["COPS"], "UANA", "@openvidu status")
    message = {"channel": "COPS", "user": "UANA", "thread_ts": root.ts}
    assert call(slack, "chat.postEphemeral", **message, text="acme serves") == ""
    assert seen(slack, "UANA") == ["@openvidu status"]
    assert (
        call(slack, "chat.postEphemeral", channel="COPS", user="UANA", text="without a thread")
        == ""
    )
    slack.workspace.post(slack.workspace.channels["COPS"], "UBEN", "a reply", thread_ts=root.ts)
    assert call(slack, "chat.postEphemeral", **message, text="now it is a thread") == ""
    assert seen(slack, "UANA") == [
        "@openvidu status",
        "without a thread",
        "a reply",
        "now it is a thread",
    ]


def test_an_archived_channel_can_be_read_only() -> None:
    slack = team()
    place = slack.workspace
    message = place.post(
        place.channels["COPS"], place.bot.id, "acme-1", card("acme-1", button("Cancel", "x"))
    )
    slack.connect(_takes)
    place.archive("COPS")
    assert call(slack, "chat.postMessage", channel="COPS", text="x") == "is_archived"
    assert call(slack, "chat.postEphemeral", channel="COPS", user="UANA", text="x") == "is_archived"
    assert call(slack, "chat.update", channel="COPS", ts=message.ts, text="x") == "is_inactive"
    assert seen(slack, "UANA") == ["acme-1"]
    with pytest.raises(NotPossible):
        run(slack.user("UANA").type_text("COPS", "/openvidu status"))


@pytest.mark.parametrize(
    ("private", "code"), [(False, "not_in_channel"), (True, "channel_not_found")]
)
def test_a_removed_bot_reaches_no_one_in_the_channel(*, private: bool, code: str) -> None:
    slack = team()
    place = slack.workspace
    place.add_channel("CNEW", "new", ["UANA"], private=private)
    message = place.post(place.channels["CNEW"], place.bot.id, "acme-1")
    place.leave("CNEW")
    for method, more in (
        ("chat.postMessage", {}),
        ("chat.update", {"ts": message.ts}),
        ("chat.postEphemeral", {"user": "UANA"}),
    ):
        assert call(slack, method, channel="CNEW", text="x", **more) == code
    place.join("CNEW")
    assert call(slack, "chat.postMessage", channel="CNEW", text="x") == ""


def test_two_people_talk_where_no_app_is() -> None:
    slack = team()
    place = slack.workspace
    here = place.add_direct("UANA", "UBEN")
    told: list[Any] = []

    async def takes(kind: str, payload: Any) -> None:
        told.append(payload)

    slack.connect(takes)
    run(slack.user("UANA").type_text(here.id, "/openvidu status"))
    assert told[0]["channel_name"] == "directmessage"
    assert call(slack, "chat.postMessage", channel=here.id, text="x") == "channel_not_found"
    assert slack.responses.handle(told[0]["response_url"], {"text": "acme serves"}) == (200, "ok")
    assert seen(slack, "UANA", here.id) == ["acme serves"]
    assert seen(slack, "UBEN", here.id) == []


def test_a_person_who_was_deactivated_is_nowhere() -> None:
    slack = team()
    place = slack.workspace
    slack.connect(_takes)
    place.deactivate("UBEN")
    assert slack.webapi.handle("users.info", BOT, {"user": "UBEN"}).json["user"]["deleted"] is True
    assert slack.webapi.handle("usergroups.users.list", BOT, {"usergroup": "SOPS"}).json[
        "users"
    ] == ["UANA"]
    assert (
        call(slack, "chat.postEphemeral", channel="COPS", user="UBEN", text="x")
        == "user_not_in_channel"
    )
    assert call(slack, "chat.postMessage", channel="UBEN", text="x") == "user_disabled"
    with pytest.raises(NotPossible):
        run(slack.user("UBEN").type_text("COPS", "/openvidu status"))


def test_a_token_that_was_revoked() -> None:
    slack = team()
    slack.webapi.revoked = True
    assert call(slack, "chat.postMessage", channel="COPS", text="x") == "token_revoked"


def test_a_press_is_kept_with_what_stood_there() -> None:
    slack = team()
    place = slack.workspace
    slack.connect(_takes)
    blocks = card("*Ends 3 running meetings*: 14 people", button("Approve", "approve", value="r1"))
    message = place.post(place.channels["COPS"], place.bot.id, "Shut down acme?", blocks)
    run(slack.user("UBEN").press(message, "Approve"))
    place.edit(message, "approved", [])
    (press,) = place.presses
    assert (press.user, press.channel, press.ts, press.label, press.value) == (
        "UBEN",
        "COPS",
        message.ts,
        "Approve",
        "r1",
    )
    assert press.text.splitlines()[:2] == [
        "Shut down acme?",
        "*Ends 3 running meetings*: 14 people",
    ]
    assert press.readers == {"UANA", "UBEN", place.bot.id}
    only = place.post_ephemeral(
        "UANA", "COPS", "only you", card("only you", button("Start", "start"))
    )
    run(slack.user("UANA").press(only, "Start"))
    assert place.presses[-1].readers == {"UANA"}


async def _takes(_kind: str, _payload: Any) -> None:
    """Accepts everything, and does nothing."""


def test_history_returns_metadata_on_request_and_in_pages() -> None:
    slack = team()
    place = slack.workspace
    data = {"event_type": "openvidu_card", "event_payload": {"of": "acme-1"}}
    assert (
        call(slack, "chat.postMessage", channel="COPS", text="x", metadata={"event_type": "x"})
        == "invalid_metadata_format"
    )
    assert call(slack, "conversations.history", channel="COPS") == "missing_scope"
    slack.webapi.manifest["oauth_config"]["scopes"]["bot"].append("channels:history")
    assert call(slack, "chat.postMessage", channel="COPS", text="first", metadata=data) == ""
    for number in range(3):
        assert call(slack, "chat.postMessage", channel="COPS", text=f"{number}") == ""

    def page(**more: Any) -> Any:
        return slack.webapi.handle(
            "conversations.history", BOT, {"channel": "COPS", "limit": 2, **more}
        ).json

    newest = page(include_all_metadata=True)
    assert [m["text"] for m in newest["messages"]] == ["2", "1"]
    older = page(include_all_metadata=True, cursor=newest["response_metadata"]["next_cursor"])
    assert [(m["text"], m.get("metadata")) for m in older["messages"]] == [
        ("0", None),
        ("first", data),
    ]
    assert not older["has_more"]
    assert all("metadata" not in m for m in page(limit=10)["messages"])
    message = next(iter(place.channels["COPS"].messages.values()))
    assert call(slack, "chat.update", channel="COPS", ts=message.ts, text="later") == ""
    assert page(limit=10, include_all_metadata=True)["messages"][-1]["metadata"] == data, (
        "an edit without any keeps it"
    )
    place.leave("COPS")
    assert call(slack, "conversations.history", channel="COPS") == "not_in_channel"
