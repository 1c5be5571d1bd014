"""The state store is emptied, replaced or set back: nothing is guessed, people are asked."""

import json
from typing import Any

import pytest

from services.common.errors import Refused
from services.runs.run import State
from services.store.keys import STATE
from services.store.sqlite import SqliteStore
from tests.golden.make import dump as state_of
from tests.golden.state import put
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended, with_buttons

HOURS = {"windows": ["nights Mon-Sun 20:00-07:30 UTC"], "channel": "COPS"}


def emptied(scene: Scene) -> None:
    """FLUSHALL."""
    assert isinstance(scene.store, SqliteStore)
    for table in ("value", "entry", "done", "life"):
        scene.store._db.execute(f"delete from {table}")


async def replaced(scene: Scene, state: dict[str, Any]) -> None:
    emptied(scene)
    await put(scene.store, state)


def test_emptied_in_the_middle_of_a_drain_it_is_said_and_nothing_goes_on() -> None:
    """The card waited for ever, and neither the run nor anybody knew of it."""

    async def story() -> None:
        async with Scene(sqlite=True, media=2, site={"channel": "COPS"}) as scene:
            for _ in range(2):
                scene.estate.open_meeting(people=3, minutes=20)
            card = await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(300)
            signals = len(scene.estate.signals)
            emptied(scene)
            await scene.wait(60)
            said = scene.slack.workspace.find(scene.slack.workspace.channels["COPS"], card.ts)
            assert "The bot lost acme-1: nothing drives it now" in said.text
            assert "acme-1 (shutdown) was last seen at step 1 of 4" in said.text
            assert "actions" not in [b["type"] for b in said.blocks]
            (news,) = [
                m.text
                for m in scene.ana.visible_messages("COPS")
                if "The bot lost its state of acme" in m.text
            ]
            assert "he state store was emptied" in news
            assert "acme-1 (shutdown) was at step 1 of 4: Drain 2 media nodes" in news
            await scene.wait(3600)
            assert [m.on for m in scene.estate.masters("acme")] == [True] * 4
            assert scene.estate.pool("acme").target == 2
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await scene.ephemeral("UANA", "on hold for another")
            await scene.ana.type_text("COPS", "/openvidu unhold")
            await scene.wait(5)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await run_ended(scene, run="acme-2")
            assert run.id == "acme-2", "old buttons carry acme-1"
            assert len(scene.estate.signals) == signals, (
                "the marker on the nodes stands where the ledger does not"
            )

    virtual.run(story())


def test_emptied_windows_come_back_from_the_settings_and_wait_for_people() -> None:
    """A window was removed, but the settings name it: it closes nothing before people look."""

    async def story() -> None:
        async with Scene(
            sqlite=True, media=1, site=HOURS, origin=1_800_000_000.0 + 9 * 3600
        ) as scene:  # 17:00
            await scene.wait(20)
            await scene.ana.type_text("COPS", "/openvidu window remove nights")
            await scene.wait(20)
            emptied(scene)
            await scene.wait(6 * 3600)
            assert [m.on for m in scene.estate.masters("acme")] == [True] * 4
            _, book = await scene.bot.operations.memory.books.read("acme")
            assert [w.name for w in book.windows] == ["nights"]
            assert book.exceptions.hold(scene.clock.now()) is not None
            assert everything_read(scene).count("The bot lost its state of acme") == 2, (
                "once: as words, and as blocks"
            )

    virtual.run(story())


def test_a_request_that_waited_says_that_it_is_gone() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1, site={"channel": "COPS"}) as scene:
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            await scene.wait(20)
            emptied(scene)
            await scene.wait(30)
            said = scene.slack.workspace.find(scene.slack.workspace.channels["COPS"], card.ts)
            assert "The bot lost this request of acme" in said.text
            assert "Nothing was changed. Request it again" in said.text
            assert await scene.bot.operations.reader.waiting("acme") == []

    virtual.run(story())


def test_two_bots_say_it_once() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1, site={"channel": "COPS"}) as scene:
            await scene.start_bot()
            await scene.wait(30)
            emptied(scene)
            await scene.wait(120)
            assert (
                len(
                    [
                        m
                        for m in scene.ana.visible_messages("COPS")
                        if "The bot lost its state of acme" in m.text
                    ]
                )
                == 1
            )
            _, book = await scene.bot.operations.memory.books.read("acme")
            assert len(book.exceptions.holds) == 1

    virtual.run(story())


def test_another_state_in_its_place_is_noticed_too() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1, site={"channel": "COPS"}) as scene:
            await scene.wait(30)
            await replaced(
                scene,
                {
                    "values": {
                        STATE: [json.dumps({"id": "another", "schema": 2, "needs": 1}), None]
                    },
                    "logs": {},
                },
            )
            await scene.wait(60)
            assert "he state store was replaced by another" in everything_read(scene)

    virtual.run(story())


def test_put_back_to_an_earlier_time_people_are_told_and_runs_go_on() -> None:
    """An older copy, or a lost last second: decisions since then are missing."""

    async def story() -> None:
        async with Scene(sqlite=True, media=2, site={"channel": "COPS"}) as scene:
            scene.estate.open_meeting(people=3, minutes=40)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(60)
            earlier = state_of(scene)
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            await scene.wait(15)
            await replaced(scene, earlier)
            await scene.wait(60)
            assert "state store of acme went back in time" in everything_read(scene)
            run = await run_ended(scene)
            assert run.state is State.DONE, "the cancel was lost, and that is said"

    virtual.run(story())


def test_the_bucket_remembers_for_a_bot_that_was_not_there() -> None:
    """Every bot was down when the store was emptied: the bucket's newest audit head shows it."""

    async def story() -> None:
        async with Scene(sqlite=True, media=1, site=HOURS) as scene:
            await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
            await run_ended(scene)
            await scene.wait(300)  # the head is in the bucket
            scene.kill()
            await scene.wait(1)
            emptied(scene)
            await scene.start_bot()
            await scene.wait(60)
            assert "he bucket of acme records" in everything_read(scene)
            _, book = await scene.bot.operations.memory.books.read("acme")
            assert book.exceptions.hold(scene.clock.now()) is not None
            with pytest.raises(Refused, match="on hold"):
                await scene.bot.operations.guards.must_be_free("acme")
            before = everything_read(scene).count("lost its state")
            scene.kill()
            await scene.wait(1)
            await scene.start_bot()
            await scene.wait(120)
            assert everything_read(scene).count("lost its state") == before, (
                "what was told is not told at each start"
            )
            (number,) = await scene.store.get("number:acme")
            assert int(number or 0) >= 1, "no run is called as an earlier one"

    virtual.run(story())


def test_a_new_state_where_nothing_was_is_no_loss() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1, site=HOURS) as scene:
            await scene.wait(120)
            scene.kill()
            await scene.wait(1)
            await scene.start_bot()
            await scene.wait(120)
            assert "lost its state" not in everything_read(scene)
            _, book = await scene.bot.operations.memory.books.read("acme")
            assert book.exceptions.holds == ()

    virtual.run(story())


def test_an_old_button_names_what_is_not_known_any_more() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            scene.estate.open_meeting(people=1, minutes=60)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            card = await with_buttons(scene, "Shutting down acme")
            scene.kill()
            emptied(scene)
            await scene.start_bot()
            await scene.ana.press(card, "Cancel run…")
            await scene.ephemeral("UANA", "There is no run acme-1")

    virtual.run(story())
