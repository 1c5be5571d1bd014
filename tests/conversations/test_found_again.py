"""A card that Slack took but no bot stored is found again; a press on a copy updates the copy."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.memory.message_refs import CardPlace
from services.runs.run import State
from simulators.slack.faults import SlackFault
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import MANIFEST, Scene
from tests.support.stories import request_and_approve

CARDS = ("Shut down acme", "Shutting down acme", "acme is shut down")


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def marked(scene: Scene) -> list[Message]:
    """Return the channel's cards. What a thread says has marks, too, and is none of them."""
    messages = scene.slack.workspace.channels["COPS"].messages.values()
    return [m for m in messages if m.metadata and m.thread_ts in (None, m.ts)]


def dies_before_remembering(scene: Scene) -> None:
    """From here on: Slack takes the next card, and the bot is killed before its place is kept."""
    cards = scene.bot.operations.message_refs
    put = cards.put

    async def die(name: str, place: CardPlace) -> None:
        if place.ts:
            scene.kill()
            await asyncio.sleep(3600)
        await put(name, place)

    cards.put = die  # type: ignore[method-assign]


def test_a_runs_first_message_is_its_card_for_whichever_bot_comes() -> None:
    async def story(scene: Scene) -> None:
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
        await scene.wait(10)
        (first,) = marked(scene)
        assert "Cancel" in first.shown()
        await scene.start_bot()
        done = await scene.card("acme has 2 media nodes ·")
        assert done.ts == first.ts
        assert marked(scene) == [done]

    play(story)


def test_a_requests_message_is_its_card_for_whichever_bot_comes_and_then_its_runs() -> None:
    async def story(scene: Scene) -> None:
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(10)
        (first,) = marked(scene)
        await scene.start_bot()
        await scene.wait(120)
        assert marked(scene) == [first]
        await scene.ben.press(first, "Approve")
        down = await scene.card("acme is shut down")
        assert (down.ts, marked(scene)) == (first.ts, [down])

    play(story)


def test_a_press_on_a_card_that_nobody_remembers_makes_it_the_card() -> None:
    async def story(scene: Scene) -> None:
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(10)
        await scene.start_bot()
        (first,) = marked(scene)
        await scene.ben.press(first, "Approve")
        down = await scene.card("acme is shut down")
        assert (down.ts, marked(scene)) == (first.ts, [down])

    play(story)


@pytest.mark.parametrize("method", ["chat.postMessage"])
def test_a_message_whose_answer_was_lost_is_not_posted_twice(method: str) -> None:
    async def story(scene: Scene) -> None:
        scene.slack.faults.add(SlackFault(method, lost=True))
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(30)
        (first,) = marked(scene)
        await scene.ben.press(first, "Approve")
        await scene.card("acme is shut down")
        assert [m.ts for m in marked(scene)] == [first.ts]

    play(story)


def test_it_is_found_behind_hundreds_of_messages() -> None:
    async def story(scene: Scene) -> None:
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(10)
        place = scene.slack.workspace
        for number in range(450):
            place.post(place.channels["COPS"], "UBEN", f"chat {number}")
        await scene.start_bot()
        await scene.wait(120)
        assert len(marked(scene)) == 1

    play(story)


def test_without_the_scope_it_stands_there_twice_and_both_become_true() -> None:
    """The bot may read no history: a second card is better than none. A press on it counts."""

    async def story(scene: Scene) -> None:
        scene.allowed_complaints = ["missing_scope"]
        wanted = MANIFEST["oauth_config"]["scopes"]["bot"]
        less = [s for s in wanted if s != "channels:history"]
        scene.slack.webapi.manifest = {**MANIFEST, "oauth_config": {"scopes": {"bot": less}}}
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.wait(10)
        await scene.start_bot()
        await scene.wait(120)
        old, new = marked(scene)
        await scene.ben.press(old, "Approve")
        await scene.card("acme is shut down")
        copy = next(m for m in scene.ben.visible_messages("COPS") if m.ts == old.ts)
        assert "This copy is outdated" in copy.text
        assert "actions" not in [b["type"] for b in copy.blocks]
        assert (
            "acme is shut down"
            in next(m for m in scene.ben.visible_messages("COPS") if m.ts == new.ts).text
        )

    play(story)


def test_other_peoples_metadata_is_nobodys_card() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        dies_before_remembering(scene)
        await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
        await scene.wait(5)
        (first,) = marked(scene)
        fake = {"event_type": "openvidu_card", "event_payload": {"of": "acme-1"}}
        place.post(place.channels["COPS"], "UDORA", "not a card", metadata=fake)
        await scene.start_bot()
        await scene.run_is("acme-1", State.DONE)
        await scene.card("acme has 2 media nodes ·")
        assert next(
            m for m in scene.ana.visible_messages("COPS") if m.ts == first.ts
        ).text.startswith("acme has 2 media nodes")

    play(story)


def test_an_old_copy_of_a_runs_card_says_where_to_look() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=30)
        card = await request_and_approve(scene, "shutdown", "Shut down acme")
        running = await scene.card("Shutting down acme")
        assert running.ts == card.ts
        place = scene.slack.workspace
        copy = place.post(
            place.channels["COPS"],
            place.bot.id,
            running.text,
            running.blocks,
            metadata=running.metadata,
        )
        await scene.ana.press(copy, "Cancel run…")
        await scene.run_is("acme-1", State.CANCELLED)
        await scene.card("This copy is outdated")
        assert (
            "/archives/COPS/p"
            in next(m for m in scene.ana.visible_messages("COPS") if m.ts == copy.ts).text
        )

    play(story)
