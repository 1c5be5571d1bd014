"""Approvals that count at certain hours: outside them a press is refused, and the request waits."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.runs.run import State
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import rejects

FRIDAY = datetime(2026, 11, 27, 19, 0, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
MONDAY = datetime(2026, 11, 30, 8, 58, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
HOURS = {"approvals_when": ["Mon-Fri 09:00-18:00"]}


def play(story: Callable[[Scene], Awaitable[None]], origin: float = FRIDAY, **more: Any) -> None:
    async def whole() -> None:
        site = {"timezone": "Europe/Madrid", "channel": "COPS"}
        async with Scene(
            media=2, pydo=False, origin=origin, policy=HOURS, site=site, **more
        ) as scene:
            await story(scene)

    virtual.run(whole())


def test_asked_for_on_a_friday_evening_it_is_approved_on_monday() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        assert "<@UCARLA>, Mon-Fri 09:00-18:00 (Europe/Madrid)" in card.text
        await scene.ben.press(card, "Approve")
        await scene.ephemeral(
            "UBEN",
            "Approvals count Mon-Fri 09:00-18:00 (Europe/Madrid), again from Mon 30 Nov "
            "09:00 (Europe/Madrid)",
        )
        (waiting,) = await scene.bot.operations.reader.waiting("acme")
        assert waiting.until == FRIDAY + 62 * 3600 + 1800, "half an hour after they count again"
        assert not waiting.approvals
        assert await scene.journal.latest("acme", 1) == []

    play(story)


def test_in_their_hours_they_count_as_ever() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "again from Mon 30 Nov 09:00 (Europe/Madrid)")
        await scene.wait(121)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story, MONDAY)


def test_rejecting_and_break_glass_know_no_hours() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await rejects(scene.ben, await scene.card("Shut down acme"), "in the night")
        await scene.card("rejected by <@UBEN>")
        await scene.ana.type_text(
            "COPS", '/openvidu break-glass shutdown --reason "smoke in the rack"'
        )
        await scene.ana.press(
            await scene.card("without approval: Shut down acme"),
            "Run without approval",
        )
        await scene.run_is("acme-1", State.DONE)

    play(story, roles={"break_glass": ["UANA"]})


def test_what_needs_no_approval_runs_at_any_hour() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        await scene.run_is("acme-1", State.DONE)

    play(story)
