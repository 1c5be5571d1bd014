"""A closed channel or a refused token: people are notified, retries are bounded, recovery works."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.common.metrics import METRICS
from services.runs.run import State
from simulators.slack.faults import SlackFault
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, with_buttons

HOURS = 3600.0


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def alone(scene: Scene, user: str) -> list[Message]:
    """What one person reads in their own conversation with the bot."""
    return scene.person(user).visible_messages(scene.slack.workspace.direct(user).id)


def with_words(messages: list[Message], words: str) -> list[Message]:
    return [m for m in messages if words in m.shown()]


def sent_to_the_channel(scene: Scene) -> int:
    """Messages and edits that the bot has tried there."""
    calls = [
        e
        for e in scene.slack.journal.entries
        if e.kind == "api" and e.name in ("chat.postMessage", "chat.update")
    ]
    return len([e for e in calls if e.sent.get("channel") == "COPS"])


def archives(place: Any) -> None:
    place.archive("COPS")


def leaves(place: Any) -> None:
    place.leave("COPS")


def comes_back(place: Any) -> None:
    place.channels["COPS"].is_archived = False
    place.join("COPS")


@pytest.mark.parametrize(
    ("happens", "why"),
    [(archives, "<#COPS> is archived"), (leaves, "the bot is not in <#COPS>: invite it there")],
)
def test_a_question_reaches_the_runs_people_and_their_answer_counts(
    happens: Callable[[Any], None], why: str
) -> None:
    async def story(scene: Scene) -> None:
        scene.promises = False  # Ben ends the meeting
        scene.estate.open_meeting(people=3, minutes=600)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("Shutting down acme")
        happens(scene.slack.workspace)
        before = sent_to_the_channel(scene)
        await scene.run_is("acme-1", State.ASKING)
        await scene.wait(120)
        for user in ("UANA", "UBEN"):
            assert [
                m
                for m in alone(scene, user)
                if "<@UANA>" in m.text and "needs a decision" in m.text and len(m.blocks) == 1
            ], user
        assert not with_words(alone(scene, "UCARLA"), "needs a decision"), (
            "she is none of the run's people"
        )
        (copy,) = [m for m in alone(scene, "UBEN") if "acme needs a decision:" in m.shown()]
        assert why in copy.shown()
        choice = next(
            e
            for b in copy.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if e["action_id"] == "answer:force"
        )
        await scene.ben.press(copy, choice["text"]["text"])
        await scene.run_is("acme-1", State.DONE)
        await scene.wait(3 * HOURS)
        for user in ("UANA", "UBEN"):
            assert with_words(alone(scene, user), "acme is shut down")
            assert not with_words(alone(scene, user), "running for"), "the copy is true to the end"
        assert sent_to_the_channel(scene) - before <= 2, (
            "a closed channel is not tried again and again"
        )
        for user in ("UANA", "UBEN", "UCARLA"):
            (told,) = with_words(alone(scene, user), "No card of acme can be shown, because")
            assert why in told.text
            assert "clusters.acme.channel" in told.text
        assert not with_words(alone(scene, "UDORA"), "can be shown"), "she is no operator"
        comes_back(scene.slack.workspace)
        await scene.card("acme is shut down", timeout=300)
        assert with_words(alone(scene, "UBEN"), "is shown in <#COPS> again")
        assert len(scene.cards_of(await scene.journal.run("acme-1"))) == 1

    play(story, site={"drain": {"deadline_minutes": 5}})


def test_a_run_that_stopped_meanwhile_is_shown_in_the_channel_once_it_is_open() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("Shutting down acme")
        archives(scene.slack.workspace)
        scene.environment.faults.switch("api_down")
        await scene.run_is("acme-1", State.STOPPED)
        assert with_words(alone(scene, "UANA"), "acme-1 is paused")
        comes_back(scene.slack.workspace)
        await scene.card("acme-1 is paused", timeout=900)
        scene.environment.faults.clear()
        await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Abandon run…")
        await scene.run_is("acme-1", State.ABANDONED)

    play(story)


def test_health_and_metrics_say_it_and_say_when_it_is_over() -> None:
    async def story(scene: Scene) -> None:
        doors = scene.bot.closed_channels
        await scene.wait(700)
        assert (doors.problems(), doors.cautions()) == ([], [])
        scene.slack.workspace.archive("COPS")
        await scene.wait(700)  # no one typed anything: the bot has checked
        (problem,) = doors.problems()
        assert "no card of acme can be shown: <#COPS> is archived (since 2027-01-15" in problem
        assert doors.cautions() == [problem]
        second = await scene.start_bot()
        await scene.wait(30)
        assert second.closed_channels.problems() == [problem], "any bot says it"
        comes_back(scene.slack.workspace)
        await scene.wait(120)
        assert (second.closed_channels.problems(), second.closed_channels.cautions()) == ([], [])
        assert len(with_words(alone(scene, "UANA"), "No card of acme can be shown, because")) == 1
        scene.slack.workspace.archive("COPS")
        await scene.wait(700)
        assert (
            len(with_words(alone(scene, "UANA"), "No card of acme can be shown, because")) == 2
        ), "it is news again"

    play(story)


def test_one_cluster_of_two_is_a_caution_only() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.workspace.add_channel("CBETA", "beta", ["UANA"])
        scene.slack.workspace.archive("CBETA")
        await scene.wait(120)
        assert scene.bot.closed_channels.problems() == []
        (caution,) = scene.bot.closed_channels.cautions()
        assert "no card of beta can be shown" in caution

    play(story, stacks=("acme", "beta"), sites={"beta": {"channel": "CBETA"}})


def test_another_channel_is_taken_from_the_settings_without_a_restart() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        place.add_channel("CNEW", "new-ops", ["UANA", "UBEN"])
        scene.estate.open_meeting(people=3, minutes=30)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("Shutting down acme")
        place.archive("COPS")
        await scene.wait(120)
        assert scene.file is not None
        good = scene.file.path.read_text()
        scene.file.path.write_text("clusters: {")
        await scene.wait(60)
        assert "has changed and is not valid; the channels read before stay in use" in scene.bot.reread.problem
        scene.file.path.write_text(good)
        scene.change_channel("CNEW")
        await scene.wait(60)
        assert scene.bot.reread.problem == ""
        await scene.card("Shutting down acme", channel="CNEW")
        ended = await scene.card("acme is shut down", channel="CNEW")
        assert ended.thread_ts is None
        assert not with_words(alone(scene, "UANA"), "running for")
        await scene.ana.type_text("CNEW", "/openvidu startup --now")
        await scene.wait(20)
        assert with_words(scene.ana.visible_messages("CNEW"), "Start up acme") or with_words(
            scene.ana.visible_messages("CNEW"), "Starting up acme"
        )

    play(story, reread=True)


def test_a_request_that_nobody_can_read_any_more_is_told_to_whoever_asked() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.faults.add(SlackFault("chat.postMessage", status=500))
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(1)
        scene.slack.workspace.archive("COPS")
        await scene.wait(1700)
        (told,) = with_words(alone(scene, "UANA"), "no one can read your request")
        assert "<#COPS> is archived" in told.text
        await scene.wait(600)
        assert with_words(alone(scene, "UANA"), "your request is expired")

    play(story)


def test_a_revoked_token_is_tried_seldom_and_everything_is_made_true_with_a_new_one() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("Shutting down acme")
        scene.slack.webapi.revoked = True
        scene.slack.journal.entries.clear()
        await scene.run_is("acme-1", State.DONE)
        await scene.wait(3 * HOURS)
        (problem,) = scene.bot.closed_channels.problems()
        assert "Slack refuses the bot's token since 2027-01-15" in problem
        assert "token_revoked" in problem
        assert len(scene.slack.journal.entries) < 40, "about one call in ten minutes"
        scene.slack.webapi.revoked = False
        await scene.card("acme is shut down", timeout=1200)
        assert scene.bot.closed_channels.problems() == []

    play(story)


def test_a_message_that_slack_finds_too_long_goes_as_plain_words() -> None:
    async def story(scene: Scene) -> None:
        scene.allowed_complaints = ["msg_too_long"]
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        scene.slack.faults.add(SlackFault("chat.update", error="msg_too_long"))
        await scene.ben.press(card, "Approve")
        await scene.card("acme is shut down")

    play(story)


def test_a_card_that_can_never_be_edited_is_not_posted_for_ever() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=60)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("Shutting down acme")
        scene.slack.faults.add(SlackFault("chat.update", error="cant_update_message", times=10_000))
        await scene.run_is("acme-1", State.DONE)
        await scene.wait(HOURS)
        assert len(scene.cards_of(await scene.journal.run("acme-1"))) < 12
        assert with_words(alone(scene, "UANA"), "acme is shut down")

    play(story)


def test_metrics_tell_which_cluster_shows_no_cards() -> None:
    async def story(scene: Scene) -> None:
        from bot.metrics import MetricsCollector  # noqa: PLC0415 - its counters are of the process

        measures = MetricsCollector(scene.bot.operations, scene.clock.now, "test")
        scene.slack.workspace.archive("COPS")
        await scene.wait(700)
        measures.slack(
            closed=frozenset(scene.bot.closed_channels.closed()),
            refused=bool(scene.bot.slack.access.token),
        )
        assert 'openvidu_bot_channel_closed{cluster="acme"} 1' in METRICS.text()
        assert "openvidu_bot_slack_token_refused 0" in METRICS.text()

    play(story)
