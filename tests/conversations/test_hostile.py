"""Hostile input from Slack and DigitalOcean: no mention, no shell, no error; one answer each."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config.values import Roles
from services.access.policy import Actor
from services.procedures import Shutdown
from services.runs.request import RequestState
from services.runs.run import State
from simulators.node import ShellOutput
from simulators.responses import HttpResponse, json_response
from simulators.slack import payloads
from simulators.slack.blockkit import check_view
from simulators.slack.model import Message
from tests.laws.test_cards import DATE, texts_of
from tests.support import virtual
from tests.support.coverage_level import FULL
from tests.support.scene import Scene

attack = settings(
    max_examples=100 if FULL else 6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
FRAGMENTS = (
    "<!channel>", "<!here|now>", "<!everyone>", "<!subteam^S1>", "<@UDORA>", "<@U666|ana>",
    "<#CGENERAL>", "<https://evil.example|click>",
    "&lt;!channel&gt;", "&amp;lt;!here&amp;gt;", "@channel", "`rm -rf /`", "$(reboot)",
    "; reboot #", "| sh", "&& halt", "'", '"', "\\",
    "*bold*", "_it_", "~no~", "```", "\u202egnp.exe", "\u2066\u2069", "\u200b\u200d\u200f",
    "\ufeff", "\n",
    "\r\n> quoted", "\u2028", "\x00", "\x1b[31m",
    "😀" * 300, "a" * 3000, "--cluster", "--reason", "--dry-run", "--no-drain", "acme", "%s%n",
    "{0.__class__}", "../../etc/passwd",
)  # fmt: skip
NASTY = "<!channel> <@U666> `$(reboot)` *b* \u202e\x1b[31m ;reboot\nacme is down"
COMMANDS = (
    "", "status", "shutdown --reason", "shutdown --cluster", "scale", "startup", "hold 2h",
    "window add", "window forecast", "cancel",
    "run", "node", "config set", "config show", "backup create --reason", "restart", "drain",
    "resize media", "resize masters", "help",
    "keepup", "cost", "runs",
)  # fmt: skip
words = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=12), min_size=1, max_size=6).map(
    " ".join
)
PEOPLE = {"<@UANA>", "<@UBEN>", "<@UCARLA>"}
MARK = re.compile(r"<[^<>]*>")
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
LINKS = re.compile(
    r"<https://(github\.com|openvidu\.io|slack\.com|t0sim\.slack)[^|<>]*(\|[^<>]*)?>"
)


def said(scene: Scene) -> Iterator[Message]:
    for channel in scene.slack.workspace.channels.values():
        yield from (m for m in channel.messages.values() if m.bot_id or m.ephemeral_to)


def harmless(scene: Scene, *, people: set[str] = PEOPLE) -> None:
    """Check that no text of the bot pings, links, hides or breaks anything."""
    for message in said(scene):
        for text in (message.text, *texts_of(message.blocks)):
            for mark in MARK.findall(text):
                assert mark in people or DATE.fullmatch(mark) or LINKS.fullmatch(mark), (
                    f"{mark} in {text[:300]!r}"
                )
            assert not INVISIBLE.search(text), f"{INVISIBLE.search(text)} in {text[:300]!r}"
            assert "The bot failed here" not in text, text


@pytest.fixture(autouse=True)
def _nothing_breaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    broken = [r for r in caplog.get_records("call") if r.exc_info or r.levelno >= logging.ERROR]
    assert not broken, [f"{r.getMessage()} {r.exc_info}" for r in broken]


def answers(scene: Scene, user: str) -> int:
    """Return all private answers to one person."""
    private = len(
        [
            m
            for m in said(scene)
            if m.ephemeral_to == user or scene.slack.workspace.channels[m.channel].im_with == user
        ]
    )
    public = len([m for m in said(scene) if not m.ephemeral_to])
    return private + public + len(scene.slack.workspace.views.get(user, []))


# What people type


@attack
@given(st.lists(st.tuples(st.sampled_from(COMMANDS), words), min_size=8, max_size=8))
def test_whatever_is_typed_has_one_answer(typed: list[tuple[str, str]]) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            heard = heard_by_shells(scene)
            for command, rest in typed:
                scene.slack.workspace.views.clear()
                before = answers(scene, "UANA")
                assert await scene.ana.type_text("COPS", f"/openvidu {command} {rest}") is None
                await scene.wait(4)
                assert answers(scene, "UANA") > before, f"no answer to {command} {rest[:80]!r}"
            await scene.ana.mention_bot("COPS", typed[0][1])
            await scene.wait(4)
            harmless(scene)
            assert not [h for h in heard if "reboot" in h or "halt" in h]

    virtual.run(story())


def heard_by_shells(scene: Scene) -> list[str]:
    """Everything that any node's shell is given from now on."""
    heard: list[str] = []
    execute = scene.environment.shell.execute

    def listen(droplet_id: int, command: str, stdin: str = "") -> ShellOutput:
        heard.append(command)
        return execute(droplet_id, command, stdin)

    scene.environment.shell.execute = listen  # type: ignore[method-assign]
    return heard


@attack
@given(words)
def test_a_reason_is_only_ever_text(reason: str) -> None:
    reason = (
        reason.replace('"', "").replace("'", "").replace("\\", "").replace("`", "")[:600]
        + " ;reboot;"
    )

    async def story() -> None:
        async with Scene(media=1) as scene:
            heard = heard_by_shells(scene)
            await scene.bot.operations.service.request(
                Actor("UANA", "T0ACME"), "acme", Shutdown(), reason=reason, channel="COPS"
            )
            card = await scene.card("Shut down acme")
            await scene.ben.press(card, "Approve")
            await scene.run_is("acme-1", State.DONE)
            await scene.wait(10)
            await scene.ana.type_text("COPS", "/openvidu runs")
            await scene.ana.type_text("COPS", "/openvidu run acme-1")
            await scene.ana.type_text("COPS", "/openvidu audit")
            await scene.wait(10)
            harmless(scene)
            assert not [h for h in heard if ";reboot;" in h]

    virtual.run(story())


@pytest.mark.parametrize(
    "words",
    ["x" * 100_000, "scale " * 20_000, "--reason " + '"' * 50_001, "\\" * 99_999, "🎥" * 50_000],
)
def test_100_kilobytes_are_answered(words: str) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            assert await scene.ana.type_text("COPS", f"/openvidu {words}") is None
            await scene.ephemeral("UANA", "characters")
            await scene.ana.mention_bot("COPS", words)
            await scene.wait(5)
            harmless(scene)

    virtual.run(story())


# What people are called


def test_names_in_slack_are_only_names() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            for user in scene.slack.workspace.users.values():
                if not user.is_bot:
                    user.name = user.real_name = NASTY
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            await scene.ben.press(await scene.card("Shut down acme"), "Approve")
            await scene.run_is("acme-1", State.DONE)
            for words in ("status", "runs", "run acme-1", "audit", "cost"):
                await scene.dora.type_text("COPS", f"/openvidu {words}")
            await scene.wait(30)
            harmless(scene)

    virtual.run(story())


# What DigitalOcean and LiveKit say


def test_values_of_the_api_are_only_values() -> None:
    async def story() -> None:
        async with Scene(media=2, start=False) as scene:
            spoil(scene)
            await scene.start_bot()
            heard = heard_by_shells(scene)
            scene.estate.open_meeting(people=3, minutes=4, recordings=1)
            for meeting in scene.estate.meetings.values():
                meeting.name = NASTY
            for looked in ("status", "node master-1", "node media-1", "backup list", "cost"):
                await scene.ana.type_text("COPS", f"/openvidu {looked}")
                await scene.wait(5)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            await scene.ben.press(await scene.card("Shut down acme"), "Approve")
            await scene.run_is("acme-1", State.DONE)
            scene.environment.faults.switch("no_capacity")
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await scene.wait(1200)
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.wait(10)
            scene.environment.faults.switch("no_capacity", value=False)
            await scene.run_is("acme-2", State.DONE, State.STOPPED)
            await scene.wait(30)
            harmless(scene)
            assert not [h for h in heard if "reboot" in h]

    virtual.run(story())


def test_a_refusal_of_the_api_is_only_text() -> None:
    async def story() -> None:
        async with Scene(media=2, start=False) as scene:
            handle = scene.environment.digitalocean.handle

            def refusing(method: str, path: str, *more: Any) -> HttpResponse:
                if method == "PUT":
                    return json_response(422, {"id": "unprocessable_entity", "message": NASTY})
                return handle(method, path, *more)

            scene.environment.digitalocean.handle = refusing  # type: ignore[method-assign, assignment]
            await scene.start_bot()
            await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
            await scene.run_is("acme-1", State.STOPPED, State.DONE)
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ana.type_text("COPS", "/openvidu run acme-1")
            await scene.wait(30)
            harmless(scene)

    virtual.run(story())


def spoil(scene: Scene) -> None:
    """Make every free text in DigitalOcean's answers hostile, except what identifies clusters."""
    handle = scene.environment.digitalocean.handle

    def nasty(method: str, path: str, *more: Any) -> HttpResponse:
        answer = handle(method, path, *more)
        if not answer.body:
            return answer
        # A template has to be sent back as it was read.
        free = (
            {"error_reason", "reason"}
            if "autoscale" in path
            else {"description", "message", "distribution", "name"}
        )
        return replace(answer, body=json.dumps(_spoiled(answer.json(), free)).encode())

    scene.environment.digitalocean.handle = nasty  # type: ignore[method-assign, assignment]


def _spoiled(found: Any, free: set[str]) -> Any:
    if isinstance(found, list):
        return [_spoiled(one, free) for one in found]
    if isinstance(found, dict):
        return {key: _nasty(key, value, free) for key, value in found.items()}
    return found


def _nasty(key: str, value: Any, free: set[str]) -> Any:
    told_by = (
        key == "name" and isinstance(value, str) and ("master" in value or "openvidu-bot" in value)
    )
    return (
        f"{value} {NASTY}"
        if key in free and isinstance(value, str) and not told_by
        else _spoiled(value, free)
    )


# What is pressed


FORGED_VALUES: tuple[Any, ...] = (
    "", "none", "acme-1", "acme-1|q|c", "|", "||||", "acme|" + "x" * 1999, "<!channel>",
    "../../state",
    "*", "%s", "\u202e", "a" * 100_000, "{}", "null", 5, None,
)  # fmt: skip
FORGED_ACTIONS = (
    "approve", "reject", "details", "cancel", "resume", "abandon", "answer", "answer:force",
    "keepup:1", "keepup:tonight",
    "keepup:nan", "keepup:-5", "keepup:1e308", "closenow", "approve:evil", "menu", "more", "ask",
    "nothing", "refresh", "show", "dialog",
)  # fmt: skip


forged = st.tuples(
    st.sampled_from(FORGED_ACTIONS),
    st.sampled_from(FORGED_VALUES) | words,
    st.sampled_from(("UANA", "UDORA")),
)


@attack
@given(st.lists(forged, min_size=8, max_size=8))
def test_a_changed_button_does_nothing(presses: list[tuple[str, Any, str]]) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await scene.card("Shut down acme")
            (request,) = await scene.bot.operations.reader.waiting("acme")
            for action, value, user in presses:
                before = answers(scene, user)
                assert await pressed(scene, user, card, {"action_id": action, "value": value}), (
                    f"{action} {value!r} was not acknowledged"
                )
                await scene.wait(4)
                assert answers(scene, user) >= before
            assert await scene.journal.latest("acme", 10) == []
            assert (await scene.journal.request(request.id)).state is RequestState.OPEN
            harmless(scene)

    virtual.run(story())


async def pressed(scene: Scene, user: str, card: Message, changes: dict[str, Any]) -> bool:
    place = scene.slack.workspace
    action = {
        "type": "button",
        "block_id": "b",
        "action_ts": "1.1",
        "text": {"type": "plain_text", "text": "x"},
    } | changes
    payload = payloads.message_action(place, place.users[user], card, action, {"values": {}})
    return (await scene.slack.delivery.deliver("interactive", payload)).acked


def test_another_clusters_button_gives_no_power_over_it() -> None:
    """Dora operates beta: her press on a request of acme, from anywhere, changes nothing."""

    async def story() -> None:
        async with Scene(stacks=("acme", "beta"), media=1, start=False) as scene:
            beta = scene.settings.clusters["beta"].model_copy(
                update={"roles": Roles(operators=("UDORA", "UCARLA"))}
            )
            clusters = {**scene.settings.clusters, "beta": beta}
            scene.settings = scene.settings.model_copy(update={"clusters": clusters})
            await scene.start_bot()
            operations = scene.bot.operations
            await scene.ana.type_text("COPS", "/openvidu shutdown --cluster acme")
            acme_card = await scene.card("Shut down acme")
            await scene.person("UCARLA").type_text("COPS", "/openvidu shutdown --cluster beta")
            beta_card = await scene.card("Shut down beta")
            (acme,), (beta_request,) = (
                await operations.reader.waiting("acme"),
                await operations.reader.waiting("beta"),
            )
            for action in ("approve", "reject"):
                assert await pressed(
                    scene, "UDORA", beta_card, {"action_id": action, "value": acme.id}
                )
                await scene.wait(5)
            await scene.ephemeral("UDORA", "acme")
            assert (await scene.journal.request(acme.id)).state is RequestState.OPEN
            # And a press of her own cluster's id on acme's card is about her own cluster.
            assert await pressed(
                scene, "UDORA", acme_card, {"action_id": "approve", "value": beta_request.id}
            )
            await scene.run_is("beta-1", State.DONE)
            assert await scene.journal.latest("acme", 10) == []
            # A run's buttons are checked against that run's cluster, too.
            await scene.ben.press(acme_card, "Approve")
            await scene.wait(2)
            assert await pressed(
                scene, "UDORA", beta_card, {"action_id": "cancel", "value": "acme-1"}
            )
            assert (await scene.run_is("acme-1", State.DONE)).cancel is None
            harmless(scene, people={*PEOPLE, "<@UDORA>"})

    virtual.run(story())


# What is filled in


FORGED_METADATA = (
    "", "{}", "[]", "null", "x", "[" * 100_000,
    '{"cluster": "beta", "key": "X", "channel": "COPS"}', '{"cluster": "acme"}', "\x00",
)  # fmt: skip


@pytest.mark.parametrize("opened", ["config set DOMAIN_NAME", "window add"])
@pytest.mark.parametrize("metadata", FORGED_METADATA, ids=lambda m: m[:12])
def test_a_changed_form_does_nothing(opened: str, metadata: str) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.ana.type_text("COPS", f"/openvidu {opened}")
            view = await scene.ana.wait_for(scene.ana.modal, 60)
            view.body["private_metadata"] = metadata
            fields = {f"b{n}": {f"b{n}": {"type": "x", "value": NASTY}} for n in range(3000)}
            for values in ({}, {"x" * 100: {"y": {"value": "z"}}}, fields):
                payload = payloads.view_submission(
                    scene.slack.workspace, scene.ana.user, view, {"values": values}
                )
                done = await scene.slack.delivery.deliver(
                    "interactive", payload, accepts_response_payload=True
                )
                assert done.acked
                answer = done.payload or {}
                assert answer["response_action"] in ("errors", "update"), answer
                assert check_view(answer["view"]) == [] if "view" in answer else answer["errors"]
            await scene.wait(10)
            assert await scene.journal.latest("acme", 10) == []
            assert await scene.bot.operations.reader.waiting("acme") == []
            harmless(scene)

    virtual.run(story())
