"""Approvers are reached: once when it is requested, once before it expires, wherever bots die."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.slack.faults import SlackFault
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene
from tests.support.stories import with_buttons

NEEDED, EXPIRES, EXPIRED = "needs your approval", "expires at", "expired at"
MADRID = ZoneInfo("Europe/Madrid")
MONDAY = datetime(2026, 11, 30, 8, 50, tzinfo=MADRID).timestamp()


def play(story: Callable[[Scene], Awaitable[None]], **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, "pydo": False, **scene}) as made:
            await story(made)

    virtual.run(whole())


async def requested(scene: Scene, words: str = "shutdown", sees: str = "Shut down acme") -> Message:
    await scene.ana.type_text("COPS", f"/openvidu {words}")
    card = await with_buttons(scene, sees)
    await scene.wait(30)
    return card


def calls(scene: Scene, card: Message, words: str) -> list[str]:
    """Return what stands in the card's thread with these words."""
    return [
        m.text
        for m in scene.ana.visible_messages("COPS")
        if m.thread_ts == card.ts and m.ts != card.ts and words in m.text
    ]


def test_approvers_are_mentioned_in_the_thread_once_and_again_before_it_expires() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene, 'shutdown --reason "power work"')
        (asked,) = calls(scene, card, NEEDED)
        assert asked.startswith("<@UBEN> <@UCARLA>: *shut down acme* needs your approval until")
        assert "power work" in asked
        await scene.wait(18 * 60)
        assert calls(scene, card, EXPIRES) == []
        await scene.wait(3 * 60)
        (reminder,) = calls(scene, card, EXPIRES)
        assert reminder.startswith("<@UBEN> <@UCARLA>: *shut down acme* expires at")
        assert "It still needs 1 approval" in reminder
        await scene.wait(12 * 60)
        (over,) = calls(scene, card, EXPIRED)
        assert over.startswith("<@UANA>: *shut down acme* expired at")
        assert "No one approved it. Nothing was changed" in over
        await scene.wait(120)
        counts = [len(calls(scene, card, words)) for words in (NEEDED, EXPIRES, EXPIRED)]
        assert counts == [1, 1, 1]

    play(story)


def notified(scene: Scene, who: str) -> list[Message]:
    """Return the messages in the channel that mentioned someone when they were posted."""
    return [m for m in scene.ana.visible_messages("COPS") if who in m.notified]


def test_a_posting_notifies_each_approver_once_and_the_card_names_them_all_the_same() -> None:
    """The card is edited to name them: an edit notifies no one, and the thread calls them."""

    async def story(scene: Scene) -> None:
        card = await requested(scene)
        assert "needs <@UBEN> or <@UCARLA>" in card.shown()
        for who in ("UBEN", "UCARLA"):
            (asked,) = notified(scene, who)
            assert (asked.thread_ts, NEEDED in asked.text) == (card.ts, True)
            assert "back in service after" in asked.text, "what decides is in the notification"
        await scene.wait(21 * 60)
        assert [EXPIRES in m.text for m in notified(scene, "UBEN")] == [False, True]
        scene.slack.webapi.faults.add(SlackFault("chat.update", times=1, lost=True))
        await scene.ana.type_text("COPS", "/openvidu restart master-2")
        await with_buttons(scene, "Restart master-2")
        await scene.wait(120)
        assert len(notified(scene, "UBEN")) == 3

    play(story)


def test_a_card_that_a_bot_left_without_its_approvers_names_them_soon() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.webapi.faults.add(SlackFault("chat.update", times=99, status=503))
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        assert "needs 1 approval" in card.shown()
        scene.kill()
        scene.slack.webapi.faults.calls.clear()
        await scene.start_bot()
        await scene.wait(120)
        assert "needs <@UBEN> or <@UCARLA>" in card.shown()
        assert len(notified(scene, "UBEN")) == 1

    play(story)


def test_what_is_decided_is_not_called_for_again() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene)
        await scene.ben.press(card, "Approve")
        await scene.wait(33 * 60)
        assert len(calls(scene, card, NEEDED)) == 1
        assert calls(scene, card, EXPIRES) + calls(scene, card, EXPIRED) == []

    play(story)


def test_who_has_approved_is_not_reminded() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene)
        await scene.ben.press(card, "Approve")
        await scene.wait(25 * 60)
        (reminder,) = calls(scene, card, EXPIRES)
        assert reminder.startswith("<@UCARLA>: ")
        await scene.wait(10 * 60)
        assert "1 of 2 approvals were given" in calls(scene, card, EXPIRED)[0]

    play(story, policy={"approvals": 2})


def test_user_groups_are_mentioned_as_groups() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene)
        (asked,) = calls(scene, card, NEEDED)
        assert asked.startswith("<@UBEN> <!subteam^S0SEC>: ")

    async def whole() -> None:
        roles = {"operators": ["UANA", "UBEN"], "approvers": ["UBEN", "S0SEC"]}
        async with Scene(media=1, pydo=False, start=False, roles=roles) as scene:
            scene.slack.workspace.add_group("S0SEC", "sec", ["UCARLA"])
            await scene.start_bot()
            await scene.wait(5)
            await story(scene)

    virtual.run(whole())


def test_outside_of_their_hours_nobody_is_called() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene)
        assert calls(scene, card, NEEDED) == []
        await scene.wait(8 * 60)
        assert calls(scene, card, NEEDED) == []
        await scene.wait(3 * 60)
        assert len(calls(scene, card, NEEDED)) == 1
        await scene.wait(30 * 60)
        assert len(calls(scene, card, EXPIRES)) == 1
        assert len(calls(scene, card, EXPIRED)) == 1

    policy = {"approvals_when": ["Mon-Fri 09:00-18:00"]}
    play(story, origin=MONDAY, policy=policy, site={"timezone": "Europe/Madrid"})


def test_a_short_request_calls_once() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene)
        await scene.wait(9 * 60)
        assert len(calls(scene, card, NEEDED)) == 1
        assert calls(scene, card, EXPIRES) == []

    play(story, policy={"approval_minutes": 8})


def test_what_its_requester_starts_calls_no_approver() -> None:
    async def story(scene: Scene) -> None:
        card = await requested(scene, "scale 2", "Scale acme to 2")
        await scene.wait(31 * 60)
        assert calls(scene, card, NEEDED) + calls(scene, card, EXPIRES) == []
        assert "You did not start it" in calls(scene, card, EXPIRED)[0]

    play(story)


@pytest.mark.parametrize("bots", [1, 3])
def test_an_answer_of_slack_that_is_lost_calls_no_one_twice(bots: int) -> None:
    async def story(scene: Scene) -> None:
        for _ in range(bots - 1):
            await scene.start_bot()
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        scene.slack.webapi.faults.add(SlackFault("chat.postMessage", times=1, lost=True))
        await scene.wait(300)
        assert len(calls(scene, card, NEEDED)) == 1

    play(story)


def called_for(die_at: CrashPoint) -> int:
    """Where the bot dies is not known to the next one; each message comes once all the same."""

    async def story() -> int:
        async with short_scene(media=1) as scene:
            await scene.start_bot()
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            scene.kill()
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            for _ in range(20):
                await scene.wait(120)
                if scene.crash_injectors[-1].is_dead:
                    await scene.start_bot()
            counts = [len(calls(scene, card, words)) for words in (NEEDED, EXPIRES, EXPIRED)]
            assert counts == [1, 1, 1]
            return life.points

    return virtual.run(story())


@pytest.mark.parametrize("part", range(PARTS))
def test_a_bot_that_dies_over_it_calls_no_one_twice(part: int) -> None:
    assert_survives_any_crash("calls", called_for, 40, part)
