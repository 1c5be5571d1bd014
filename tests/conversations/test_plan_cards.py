"""A plan in Slack: its details in a modal, and a dry run that is requested with a button."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers.views import REQUEST
from services.runs.run import State
from simulators.slack.elements import NotPossible
from simulators.slack.faults import SlackFault
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details, with_buttons

ONCE = "was requested already or is older than an hour"


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(media=2, pydo=False, **more) as scene:
            await story(scene)

    virtual.run(whole())


async def dry_run(scene: Scene, words: str = "shutdown", user: str = "UANA") -> Message:
    """A person's dry run."""
    who = scene.person(user)
    await who.type_text("COPS", f"/openvidu {words} --dry-run")
    return await scene.ephemeral(user, "Dry run: ")


def requests(scene: Scene) -> list[str]:
    """The texts of the messages that ask for approval."""
    shown = scene.ana.visible_messages("COPS")
    return [m.text for m in shown if "requests approval" in m.text]


def test_details_name_nodes_timeouts_and_what_happens_then() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=30)
        await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work"')
        view = await details(scene.ben, await scene.card("Shut down acme"))
        shown = str(view.body)
        for words in (
            "1. Drain 2 media nodes",
            "Nodes: media-1 and media-2",
            "Waits for: media-1: 1 meeting, 3 people",
            "Timeout: 2 h, then people choose: Wait 30 min more; End these meetings",
            "If cancelled here: 2 media nodes draining (no new meetings",
            "Nodes: master-1, master-2, master-3 and master-4",
            "the run pauses until an operator resumes or abandons it",
            "`/openvidu startup` restores what was before",
            "power work",
            "<@UBEN> or <@UCARLA> can approve it, once",
        ):
            assert words in shown, words

    play(story)


def test_where_no_modal_can_be_opened_details_are_text() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        scene.slack.webapi.faults.add(SlackFault("views.open", error="expired_trigger_id"))
        await scene.ben.press(card, "Details")
        answer = await scene.ephemeral("UBEN", "Details of: Shut down acme")
        assert "1. Drain 2 media nodes" in str(answer.blocks)
        await scene.ben.press(answer, "Approve with a note…")

    play(story)


def test_a_dry_run_is_requested_once() -> None:
    async def story(scene: Scene) -> None:
        plan = await dry_run(scene, 'shutdown --reason "power work"')
        await scene.ana.press(plan, "Request approval")
        card = await with_buttons(scene, "requests approval")
        assert "<@UANA> requests approval: Shut down acme: power work." in card.text
        await scene.ana.press(plan, "Request approval")
        await scene.ephemeral("UANA", ONCE)
        assert len(requests(scene)) == 1
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story)


def test_a_dry_run_is_requested_after_a_restart_and_planned_anew() -> None:
    async def story(scene: Scene) -> None:
        plan = await dry_run(scene)
        scene.kill()
        await scene.wait(1)
        await scene.start_bot()
        scene.estate.open_meeting(people=7, minutes=30)
        await scene.ana.press(plan, "Request approval")
        assert (
            "1 meeting (7 people, 1 recording)"
            in (await with_buttons(scene, "requests approval")).text
        )

    play(story)


def test_a_dry_run_is_too_old_after_an_hour() -> None:
    async def story(scene: Scene) -> None:
        plan = await dry_run(scene)
        await scene.wait(3700)
        await scene.ana.press(plan, "Request approval")
        await scene.ephemeral("UANA", ONCE)
        assert requests(scene) == []

    play(story)


@pytest.mark.parametrize(("user", "words"), [("UDORA", "shutdown"), ("UCARLA", "startup")])
def test_who_may_not_request_it_or_need_not_sees_no_button(user: str, words: str) -> None:
    async def story(scene: Scene) -> None:
        who = scene.person(user)
        await who.type_text("COPS", f"/openvidu {words} --dry-run")
        expected = {"shutdown": "Dry run: ", "startup": "nothing to do"}[words]
        answer = await scene.ephemeral(user, expected)
        with pytest.raises(NotPossible):
            await who.press(answer, REQUEST)

    play(story)
