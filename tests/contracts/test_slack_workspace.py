"""The simulated Slack against Slack's rules: its Web API, its people, and its ways to an app."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from simulators.clock import LoopClock
from simulators.slack.elements import NotPossible
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.faults import SlackFault
from simulators.slack.httpmode import HttpMode
from simulators.slack.inprocess import InProcessWebClient, bolt_receiver
from simulators.slack.server import SlackServer
from tests.contracts.slack_town import MANIFEST, HandClock, button, card, modal, team
from tests.support.virtual import run

BOT, APP = "xoxb-sim", "xapp-sim"


def call(slack: FakeSlack, method: str, token: str = BOT, **args: Any) -> dict[str, Any]:
    return slack.webapi.handle(method, token, args).json


# The Web API


@pytest.mark.parametrize(
    ("method", "token", "args", "error"),
    [
        ("chat.shout", BOT, {}, "unknown_method"),
        ("chat.postMessage", "", {}, "not_authed"),
        ("chat.postMessage", "xoxb-other", {}, "invalid_auth"),
        ("chat.postMessage", APP, {}, "not_allowed_token_type"),
        ("apps.connections.open", BOT, {}, "not_allowed_token_type"),
        ("chat.postMessage", BOT, {"text": "x"}, "channel_not_found"),
        ("chat.postMessage", BOT, {"channel": "CNONE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", BOT, {"channel": "CQUIET", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", BOT, {"channel": "COPS"}, "no_text"),
        (
            "chat.postMessage",
            BOT,
            {"channel": "COPS", "text": "x", "blocks": '[{"type":"nonsense"}]'},
            "invalid_blocks",
        ),
        (
            "chat.postMessage",
            BOT,
            {"channel": "COPS", "text": "x", "blocks": "[{"},
            "invalid_arguments",
        ),
        (
            "chat.postMessage",
            BOT,
            {"channel": "COPS", "text": "x", "thread_ts": "1.0"},
            "thread_not_found",
        ),
        ("chat.update", BOT, {"channel": "COPS", "ts": "1.0", "text": "x"}, "message_not_found"),
        (
            "chat.postEphemeral",
            BOT,
            {"channel": "COPS", "user": "UNONE", "text": "x"},
            "user_not_found",
        ),
        ("views.open", BOT, {"trigger_id": "1", "view": modal()}, "invalid_trigger_id"),
        ("views.open", BOT, {"trigger_id": "1", "view": {"type": "modal"}}, "invalid_arguments"),
        ("views.update", BOT, {"view_id": "VNONE", "view": modal()}, "not_found"),
        ("users.info", BOT, {"user": "UNONE"}, "user_not_found"),
        ("usergroups.users.list", BOT, {"usergroup": "SNONE"}, "no_such_subteam"),
        ("conversations.open", BOT, {"users": "UANA"}, "missing_scope"),
        ("conversations.history", BOT, {"channel": "COPS"}, "missing_scope"),
        (
            "reactions.add",
            BOT,
            {"channel": "COPS", "timestamp": "1.0", "name": "eyes"},
            "missing_scope",
        ),
    ],
)
def test_refusals_carry_slacks_code(
    method: str, token: str, args: dict[str, Any], error: str
) -> None:
    assert call(team(), method, token, **args)["error"] == error


def test_a_missing_scope_names_the_needed_and_the_granted_ones() -> None:
    answer = call(team(), "conversations.open", users="UANA")
    assert answer["needed"] == "im:write"
    assert "chat:write" in answer["provided"]


def test_a_message_is_posted_edited_and_linked() -> None:
    slack = team()
    answer = call(
        slack,
        "chat.postMessage",
        channel="#ops",
        text="one",
        blocks=card("one", button("Go", "go")),
    )
    assert answer["channel"] == "COPS"
    call(slack, "chat.update", channel="COPS", ts=answer["ts"], text="two")
    (message,) = slack.workspace.channels["COPS"].messages.values()
    assert (message.text, message.blocks, bool(message.edited)) == ("two", [], True)
    assert (
        answer["ts"].replace(".", "")
        in call(slack, "chat.getPermalink", channel="COPS", message_ts=answer["ts"])["permalink"]
    )
    call(slack, "chat.update", channel="COPS", ts=answer["ts"], text="x" * 4001)
    with pytest.raises(AssertionError, match="msg_too_long"):
        slack.journal.assert_clean()


def test_timestamps_differ_even_when_the_clock_stands_still() -> None:
    slack = team()
    stamps = [call(slack, "chat.postMessage", channel="COPS", text="x")["ts"] for _ in range(3)]
    assert len(set(stamps)) == 3
    assert stamps == sorted(stamps)


def test_an_app_may_post_about_once_a_second_and_edit_fifty_times_a_minute() -> None:
    slack, clock = team(), HandClock()
    slack.webapi.limits._steady = clock.now
    answers = [
        slack.webapi.handle("chat.postMessage", BOT, {"channel": "COPS", "text": "x"})
        for _ in range(6)
    ]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "1"
    clock.time += 1
    ts = call(slack, "chat.postMessage", channel="COPS", text="x")["ts"]
    edits = [
        slack.webapi.handle("chat.update", BOT, {"channel": "COPS", "ts": ts, "text": "y"})
        for _ in range(51)
    ]
    assert [edits[49].status, edits[50].status, edits[50].json["error"]] == [
        200,
        429,
        "ratelimited",
    ]
    clock.time += 60
    assert call(slack, "chat.update", channel="COPS", ts=ts, text="y")["ok"]


def test_a_trigger_opens_one_modal_within_three_seconds() -> None:
    slack = team()
    clock = slack.workspace.clock
    assert isinstance(clock, HandClock)
    first = slack.workspace.issue_trigger("UANA")
    assert (
        call(slack, "views.open", trigger_id=first, view=modal())["view"]["callback_id"] == "scale"
    )
    assert (
        call(slack, "views.open", trigger_id=first, view=modal())["error"] == "exchanged_trigger_id"
    )
    late = slack.workspace.issue_trigger("UANA")
    clock.time += 3.1
    assert call(slack, "views.push", trigger_id=late, view=modal())["error"] == "expired_trigger_id"
    with pytest.raises(AssertionError, match="trigger used wrongly"):
        slack.journal.assert_clean()


def test_three_modals_are_the_most_and_an_old_hash_conflicts() -> None:
    slack = team()
    place = slack.workspace
    view = call(slack, "views.open", trigger_id=place.issue_trigger("UANA"), view=modal())["view"]
    for _ in range(2):
        assert call(slack, "views.push", trigger_id=place.issue_trigger("UANA"), view=modal())["ok"]
    assert (
        call(slack, "views.push", trigger_id=place.issue_trigger("UANA"), view=modal())["error"]
        == "push_limit_reached"
    )
    assert call(slack, "views.update", view_id=view["id"], hash=view["hash"], view=modal())["ok"]
    assert (
        call(slack, "views.update", view_id=view["id"], hash=view["hash"], view=modal())["error"]
        == "hash_conflict"
    )


def test_a_response_url_answers_five_times_in_half_an_hour() -> None:
    slack = team()
    url = slack.workspace.issue_response_url("UANA", "COPS")
    statuses = [slack.responses.handle(url, {"text": f"{n}"})[0] for n in range(6)]
    assert statuses == [200] * 5 + [404]
    assert len(slack.workspace.visible("UANA", slack.workspace.channels["COPS"])) == 5
    assert slack.workspace.visible("UBEN", slack.workspace.channels["COPS"]) == []


def test_faults_refuse_or_lose_an_answer_after_the_deed() -> None:
    slack = team()
    slack.faults.add(SlackFault("chat.postMessage", status=429, retry_after=7))
    slack.faults.add(SlackFault("chat.postMessage", lost=True))
    refused = slack.webapi.handle("chat.postMessage", BOT, {"channel": "COPS", "text": "x"})
    assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
    assert slack.webapi.handle("chat.postMessage", BOT, {"channel": "COPS", "text": "x"}).lost
    assert len(slack.workspace.channels["COPS"].messages) == 1
    slack.journal.assert_clean()


# People


def received(
    slack: FakeSlack, answer: Callable[[str, dict[str, Any]], Any] = lambda _k, _p: None
) -> list[tuple[str, dict[str, Any]]]:
    got: list[tuple[str, dict[str, Any]]] = []

    async def receive(kind: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        got.append((kind, payload))
        said: dict[str, Any] | None = answer(kind, payload)
        return said

    slack.connect(receive)
    return got


def test_people_cannot_do_what_a_client_does_not_offer() -> None:
    slack = team()
    received(slack)
    call(
        slack,
        "chat.postMessage",
        channel="COPS",
        text="x",
        blocks=card("x", button("Approve", "ok", confirm=CONFIRM)),
    )
    (message,) = slack.workspace.channels["COPS"].messages.values()
    ana = slack.user("UANA")

    async def story() -> None:
        with pytest.raises(NotPossible, match="not a valid command"):
            await ana.type_text("ops", "/nonsense")
        with pytest.raises(NotPossible, match="not supported in threads"):
            await ana.type_text("ops", "/openvidu status", thread_ts=message.ts)
        with pytest.raises(NotPossible, match="there is: Approve"):
            await ana.press(message, "Reject")
        with pytest.raises(NotPossible, match="declined: Sure"):
            await ana.press(message, "Approve", confirm=False)
        call(slack, "chat.update", channel="COPS", ts=message.ts, text="done")
        with pytest.raises(NotPossible, match="nothing to use"):
            await ana.press(message, "Approve")
        with pytest.raises(NotPossible, match="ben is not in #quiet"):
            await slack.user("UBEN").type_text("quiet", "hello")

    asyncio.run(story())


CONFIRM = {
    key: {"type": "plain_text", "text": text}
    for key, text in (("title", "Sure"), ("text", "?"), ("confirm", "y"), ("deny", "n"))
}


def test_payloads_look_like_slacks() -> None:
    slack = team()
    got = received(slack)

    async def story() -> None:
        ana = slack.user("UANA")
        await ana.type_text("ops", "/openvidu scale @ben #ops")
        call(
            slack,
            "chat.postMessage",
            channel="COPS",
            text="x",
            blocks=card("x", button("Approve", "ok", value="p1")),
        )
        await ana.press(ana.visible_messages("ops")[-1], "Approve")
        await ana.mention_bot("ops", "status")
        await ana.open_home()

    asyncio.run(story())
    (_, command), (_, click), (_, mention), (_, home) = got
    assert command["text"] == "scale <@UBEN> <#COPS|ops>"
    assert {
        "team_id",
        "channel_id",
        "user_id",
        "trigger_id",
        "response_url",
        "is_enterprise_install",
    } <= set(command)
    assert click["container"] == {
        "type": "message",
        "message_ts": click["message"]["ts"],
        "channel_id": "COPS",
        "is_ephemeral": False,
    }
    assert click["actions"][0]["value"] == "p1"
    assert click["state"] == {"values": {}}
    assert mention["event"]["text"] == "<@U0BOT> status"
    assert home["event"]["tab"] == "home"


def test_a_modal_is_filled_and_submitted_and_secrets_stay_out_of_the_journal() -> None:
    slack = team()
    answers: list[Any] = [{"response_action": "errors", "errors": {"why": "say more"}}, None]
    got = received(slack, lambda _kind, _payload: answers.pop(0))
    ana = slack.user("UANA")
    slack.workspace.open_view("UANA", modal())

    async def story() -> None:
        with pytest.raises(NotPossible, match="complete this required field: Reason"):
            await ana.fill_and_submit(None, {})
        with pytest.raises(NotPossible, match="at most 20"):
            await ana.fill_and_submit(None, {"Reason": "x" * 21})
        again = await ana.fill_and_submit(None, {"Reason": "no", "Value": "hunter2"})
        assert again is not None
        assert again.errors == {"why": "say more"}
        assert await ana.fill_and_submit(again, {"why": "power work"}) is None

    asyncio.run(story())
    values = got[-1][1]["view"]["state"]["values"]
    assert values["why"]["text"]["value"] == "power work"
    assert values["secret_value"]["v"]["value"] == "hunter2"
    assert "hunter2" not in str([entry.as_json() for entry in slack.journal.entries])
    slack.journal.assert_clean()


# Bolt without a socket


def bolt(client: AsyncWebClient) -> AsyncApp:
    app = AsyncApp(client=client, signing_secret="s", request_verification_enabled=False)
    register(app)
    return app


def register(app: AsyncApp) -> None:
    @app.command("/openvidu")
    async def command(ack: Any, body: Any, client: Any, respond: Any) -> None:
        if body["text"] == "hang":
            return
        await ack()
        if body["text"] == "modal":
            await client.views_open(trigger_id=body["trigger_id"], view=modal())
        elif body["text"] == "quietly":
            await respond("only you")
        else:
            await client.chat_postMessage(
                channel=body["channel_id"],
                text="plan",
                blocks=card("plan", button("Approve", "ok", value="1")),
            )

    @app.action("ok")
    async def pressed(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text=f"approved by {body['user']['id']}",
        )

    @app.view("scale")
    async def sent(ack: Any, body: Any, client: Any) -> None:
        await ack()
        reason = body["view"]["state"]["values"]["why"]["text"]["value"]
        await client.chat_postMessage(channel="COPS", text=f"because {reason}")

    @app.event("app_home_opened")
    async def home(event: Any, client: Any) -> None:
        await client.views_publish(
            user_id=event["user"], view={"type": "home", "blocks": card("welcome")}
        )


async def story_of_an_app(slack: FakeSlack) -> None:
    ana, ben = slack.user("UANA"), slack.user("UBEN")
    await ana.type_text("ops", "/openvidu shutdown")
    plan = await ben.wait_for_message("ops", "plan", 2)
    await ben.press(plan, "Approve")
    await ana.wait_for_message("ops", "approved by UBEN", 2)
    await ana.type_text("ops", "/openvidu quietly")
    await ana.wait_for_message("ops", "only you", 2)
    assert not any(message.text == "only you" for message in ben.visible_messages("ops"))
    await ana.type_text("ops", "/openvidu modal")
    view = await ana.wait_for(ana.modal, 2)
    await ana.fill_and_submit(view, {"Reason": "power work"})
    await ben.wait_for_message("ops", "because power work", 2)
    await ana.open_home()
    await ana.wait_for(ana.home, 2)
    slack.journal.assert_clean()


def test_bolt_in_process() -> None:
    async def story() -> None:
        slack = team(LoopClock())
        slack.connect(bolt_receiver(bolt(InProcessWebClient(slack.webapi)), slack.webapi))
        await story_of_an_app(slack)

    asyncio.run(story())


def test_an_upload_in_process() -> None:
    async def story() -> None:
        slack = team(LoopClock())
        client = InProcessWebClient(slack.webapi)
        await client.files_upload_v2(
            channel="COPS", filename="plot.png", content=b"png", initial_comment="a plot"
        )
        (message,) = slack.workspace.channels["COPS"].messages.values()
        assert slack.workspace.files[message.files[0]].data == b"png"
        slack.faults.add(SlackFault("chat.postMessage", error="channel_not_found"))
        with pytest.raises(SlackApiError, match="channel_not_found"):
            await client.chat_postMessage(channel="COPS", text="x")

    asyncio.run(story())


# Bolt over sockets


class Connected:
    """Run a real Bolt app on a real socket."""

    async def __aenter__(self) -> "Connected":
        slack = team(LoopClock())
        self.server = SlackServer(slack.workspace, MANIFEST, slack.workspace.clock)
        await self.server.start()
        client = AsyncWebClient(token=BOT, base_url=self.server.api_url)
        client.proxy = None
        self.handler = cast("Any", AsyncSocketModeHandler(bolt(client), APP, ping_interval=1))
        await self.handler.connect_async()
        await self.sockets(1)
        return self

    async def sockets(self, number: int) -> None:
        await asyncio.wait_for(self.server.sockets.until(lambda sockets: len(sockets) == number), 5)

    async def __aexit__(self, *_: object) -> None:
        await self.handler.close_async()
        await self.server.stop()


def test_bolt_over_a_socket() -> None:
    async def story() -> None:
        async with Connected() as there:
            await story_of_an_app(there.server.slack)

    asyncio.run(story())


def test_bolt_over_signed_http() -> None:
    async def story() -> None:
        slack = team(LoopClock())
        server = SlackServer(slack.workspace, MANIFEST, slack.workspace.clock)
        await server.start()
        client = AsyncWebClient(token=BOT, base_url=server.api_url)
        client.proxy = None
        app = AsyncApp(client=client, signing_secret=server.signing_secret)
        register(app)
        runner = web.AppRunner(app.web_app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        road = HttpMode(
            f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events", server.slack.journal
        )
        assert await road.verify()
        server.slack.connect(road)
        await story_of_an_app(server.slack)
        forged = HttpMode(road.url, server.slack.journal, signing_secret="somebody else's")
        assert not await forged.verify()
        await runner.cleanup()
        await server.stop()

    asyncio.run(story())


def test_an_event_that_was_not_acked_comes_again_and_a_command_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slack = team()
    got = received(slack)
    slack.faults.drop_acks = 2

    async def story() -> None:
        ana = slack.user("UANA")
        await ana.type_text("ops", "/openvidu status")
        assert "operation_timeout" in ana.visible_messages("ops")[-1].text
        await ana.mention_bot("ops", "status")
        await asyncio.sleep(600)

    run(story())
    assert [kind for kind, _ in got] == ["slash_commands", "events_api", "events_api"]
    assert got[1][1]["event_id"] == got[2][1]["event_id"]
    slack.journal.assert_clean()


def test_bolt_in_virtual_time() -> None:
    async def story() -> None:
        slack = team(LoopClock())
        slack.connect(bolt_receiver(bolt(InProcessWebClient(slack.webapi)), slack.webapi))
        await story_of_an_app(slack)
        ana = slack.user("UANA")
        await ana.type_text("ops", "/openvidu hang")
        assert "operation_timeout" in ana.visible_messages("ops")[-1].text

    run(story())


def test_a_refresh_replaces_the_socket() -> None:
    async def story() -> None:
        async with Connected() as there:
            before = there.server.sockets.sockets[0]
            await there.server.sockets.refresh(0.0)
            await asyncio.wait_for(
                there.server.sockets.until(lambda sockets: bool(sockets) and before not in sockets),
                5,
            )
            await story_of_an_app(there.server.slack)

    asyncio.run(story())


def test_no_ack_in_three_seconds_is_shown_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.slack.delivery.ACK_SECONDS", 0.3)

    async def story() -> None:
        async with Connected() as there:
            ana = there.server.human("UANA")
            await ana.type_text("ops", "/openvidu hang")
            assert (
                ana.visible_messages("ops")[-1].text
                == '/openvidu failed with the error "operation_timeout"'
            )
            await there.handler.close_async()
            await there.sockets(0)
            await ana.type_text("ops", "/openvidu status")
            assert (
                ana.visible_messages("ops")[-1].text
                == '/openvidu failed with the error "dispatch_failed"'
            )
            with pytest.raises(AssertionError, match="not acked"):
                there.server.slack.journal.assert_clean()

    asyncio.run(story())


def test_the_ports_answer_only_this_machines_own_pages() -> None:
    async def story() -> None:
        slack = team(LoopClock())
        server = SlackServer(slack.workspace, MANIFEST, slack.workspace.clock)
        await server.start()
        async with aiohttp.ClientSession() as session:
            page = await session.get(server.url)
            assert page.status == 200
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            assert (await session.get(server.url, headers={"Host": "evil.test"})).status == 403
            assert (
                await session.post(
                    f"{server.url}/_ui/act", json={}, headers={"Origin": "http://evil.test"}
                )
            ).status == 403
            assert (await session.post(f"{server.url}/_ui/act", data="{}")).status == 415
            reply = await session.post(
                f"{server.url}/_control/act",
                json={"as": "UANA", "kind": "say", "channel": "ops", "text": "hi"},
            )
            assert (await reply.json()) == {"ok": True}
        await server.stop()

    asyncio.run(story())
