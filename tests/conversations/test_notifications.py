"""How people want to be notified: chosen in App Home, kept for all bots, respected."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.common.clock import loop_clock
from services.memory.notifications import (
    DEFAULT,
    Delivery,
    NotificationRepository,
    NotificationSettings,
)
from simulators.slack.model import Message
from simulators.slack.user import SimulatedUser
from tests.conversations.test_menu import modal
from tests.support import virtual
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene
from tests.support.stories import run_ended, with_buttons

MADRID = ZoneInfo("Europe/Madrid")
SUNDAY = datetime(2026, 11, 29, 23, 30, tzinfo=MADRID).timestamp()
MONDAY = datetime(2026, 11, 30, 7, 50, tzinfo=MADRID).timestamp()
NEEDED = "needs your approval"


def play(story: Callable[[Scene], Awaitable[None]], **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, "pydo": False, **scene}) as made:
            await story(made)

    virtual.run(whole())


async def choose(who: SimulatedUser, **choices: object) -> None:
    """Choose in App Home."""
    await who.open_home()
    home = await who.wait_for(who.home, 60)
    await who.press(home, "Notifications…")
    form = await modal(who, "A request needs my approval")
    await who.fill_and_submit(form, choices)
    await modal(who, "Saved.")


async def in_thread(scene: Scene, words: str) -> list[Message]:
    await scene.wait(30)
    return [m for m in scene.ana.visible_messages("COPS") if m.thread_ts and words in m.text]


def direct(scene: Scene, user: str, words: str) -> list[str]:
    channel = scene.slack.workspace.direct(user).id
    return [m.text for m in scene.person(user).visible_messages(channel) if words in m.text]


def test_an_approver_who_prefers_it_reads_it_in_private() -> None:
    async def story(scene: Scene) -> None:
        await choose(scene.ben, approvals=Delivery.DIRECT)
        await scene.start_bot()
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await with_buttons(scene, "Shut down acme")
        (asked,) = await in_thread(scene, NEEDED)
        assert asked.text.startswith("<@UCARLA>: ")
        (told,) = direct(scene, "UBEN", NEEDED)
        assert "|Open>" in told, "with a link to the card"
        await scene.wait(25 * 60)
        assert len(direct(scene, "UBEN", "expires at")) == 1
        assert len(direct(scene, "UBEN", NEEDED)) == 1

    play(story)


def test_an_approver_who_wants_none_is_not_mentioned() -> None:
    async def story(scene: Scene) -> None:
        await choose(scene.ben, approvals=Delivery.OFF)
        await choose(scene.person("UCARLA"), approvals=Delivery.OFF)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await with_buttons(scene, "Shut down acme")
        assert await in_thread(scene, NEEDED) == []
        assert direct(scene, "UBEN", NEEDED) == []
        assert not [m for m in scene.ana.visible_messages("COPS") if "UBEN" in m.notified]

    play(story)


def test_a_group_is_mentioned_one_by_one_once_a_member_has_chosen_something_else() -> None:
    async def whole() -> None:
        roles = {"operators": ["UANA", "UBEN"], "approvers": ["S0SEC"]}
        async with Scene(media=1, pydo=False, start=False, roles=roles) as scene:
            scene.slack.workspace.add_group("S0SEC", "sec", ["UBEN", "UCARLA"])
            await scene.start_bot()
            await scene.wait(5)
            await choose(scene.person("UCARLA"), approvals=Delivery.OFF)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            await with_buttons(scene, "Shut down acme")
            (asked,) = await in_thread(scene, NEEDED)
            assert asked.text.startswith("<@UBEN>: ")

    virtual.run(whole())


def test_a_stop_is_told_as_people_have_chosen_and_an_escalation_to_everyone() -> None:
    async def story(scene: Scene) -> None:
        await choose(scene.ben, stops=Delivery.DIRECT)
        await choose(scene.person("UCARLA"), stops=Delivery.OFF)
        for action in ("shutdown", "power_off"):
            match = f"{action} acme-master-node-2"
            scene.environment.faults.add("action", "ignored", match=match, times=99)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await with_buttons(scene, "Shut down acme"), "approve")
        run = await scene.run_is("acme-1", "stopped")
        stopped = [m for m in await in_thread(scene, "<@UANA>") if "acme-1" in m.text]
        assert stopped
        assert not [m for m in stopped if "<@UBEN>" in m.text or "<@UCARLA>" in m.text]
        assert len(direct(scene, "UBEN", run.id)) == 1
        assert direct(scene, "UCARLA", run.id) == []
        await scene.wait(2 * 3600 + 600)
        everything = "\n".join(m.text for m in scene.ana.visible_messages("COPS"))
        assert "<@UCARLA>" in everything, "escalated to everyone"

    play(story)


def test_break_glass_names_everyone_whatever_they_have_chosen() -> None:
    async def story(scene: Scene) -> None:
        await choose(scene.ben, approvals=Delivery.OFF, stops=Delivery.OFF)
        await scene.ana.type_text("COPS", '/openvidu break-glass shutdown --reason "smoke"')
        card = await with_buttons(scene, "Break-glass")
        assert "<@UBEN>" in f"{card.text} {card.blocks}"

    play(story, roles={"break_glass": ["UANA"]})


def test_settings_are_kept_for_the_next_bot_and_forgotten_when_set_back() -> None:
    async def story() -> None:
        store = MemoryStore(loop_clock(0.0))
        first, second = NotificationRepository(store), NotificationRepository(store)
        chosen = NotificationSettings(stops=Delivery.OFF, digest=Delivery.DIRECT)
        await first.put("UBEN", chosen)
        await second.put("UANA", NotificationSettings(approvals=Delivery.OFF))
        assert await second.of("UBEN") == chosen
        assert await second.of("UDORA") == DEFAULT
        await second.put("UBEN", DEFAULT)
        assert list(await first.all()) == ["UANA"]
        await first.forget(["UANA", "UNEVER"])
        assert await first.all() == {}

    virtual.run(story())


@pytest.mark.parametrize("text", ['{"UBEN": {"stops": "pigeon", "more": "x"}}', '{"UBEN": {}}'])
def test_what_another_version_stored_is_read(text: str) -> None:
    async def story() -> None:
        store = MemoryStore(loop_clock(0.0))
        store.set(NotificationRepository.KEY, text)
        assert await NotificationRepository(store).of("UBEN") == DEFAULT

    virtual.run(story())


# The weekly digest


def digests(scene: Scene) -> list[Message]:
    return [m for m in scene.ana.visible_messages("COPS") if "acme: week" in m.text]


@pytest.mark.parametrize("bots", [1, 3])
def test_on_monday_morning_the_week_is_reported_once(bots: int) -> None:
    async def story(scene: Scene) -> None:
        await choose(scene.ben, digest=Delivery.CHANNEL)
        await choose(scene.person("UCARLA"), digest=Delivery.DIRECT)
        await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
        await run_ended(scene)
        scene.kill()
        await scene.wait(MONDAY - scene.clock.now())
        for _ in range(bots):
            await scene.start_bot()
        await scene.wait(300)
        assert digests(scene) == []
        await scene.wait(900)
        (week,) = digests(scene)
        assert "acme: week 23 Nov to 29 Nov" in week.text
        assert "1 done (1 by people)" in str(week.blocks)
        assert "<@UBEN>" in str(week.blocks)
        assert len(direct(scene, "UCARLA", "acme: week")) == 1
        await scene.wait(300)
        assert len(digests(scene)) == 1

    play(story, origin=SUNDAY, site={"timezone": "Europe/Madrid"})


@pytest.mark.parametrize("quiet", [{"digest": False}, {}])
def test_it_is_off_by_setting_and_an_empty_week_is_not_reported(quiet: dict[str, Any]) -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(900)
        assert digests(scene) == []

    play(story, origin=MONDAY, site={"timezone": "Europe/Madrid", **quiet})
