"""People in meetings are told before their node drains: once, only there, and counted."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import SettingsError
from config.values import MeetingMessagesSettings
from services.cluster.meeting_messages import MeetingMessages, MessageCounts, Room, payload_of
from services.cluster.room_places import rooms_on
from services.common.observed import Unobserved
from services.common.values import replace
from services.procedures import Shutdown
from services.runs.run import Asked, Run, State
from simulators.cloud import SimulatedMeeting
from tests.procedures.test_windows import add, down, until
from tests.procedures.test_windows import play as night
from tests.runs.test_crash import ANA, insist
from tests.support import virtual
from tests.support.absence import AT_ONCE
from tests.support.clusters import SERVING, ready
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import OFTEN, Scene
from tests.support.short_scene import short_scene
from tests.support.stories import (
    everything_read,
    in_full,
    question,
    request_and_approve,
    run_ended,
    with_buttons,
)

DRAIN = "This server takes no new meetings from now on. Yours may continue."
TELLS: dict[str, Any] = {"meeting_messages": {}}


def meeting(scene: Scene, minutes: float = 5, media: int | None = None) -> SimulatedMeeting:
    on = scene.estate.media("acme")[media] if media is not None else None
    found = scene.estate.open_meeting(people=2, minutes=minutes, recordings=0, on=on)
    assert found is not None
    return found


def heard(meeting: SimulatedMeeting) -> list[str]:
    """What its people read in OpenVidu Meet's chat."""
    return [json.loads(data)["message"] for topic, data, _ in meeting.received if topic == "chat"]


def notes(run: Run) -> list[str]:
    return [n.text for n in run.notes if n.text.startswith("meetings")]


def test_a_shutdown_tells_every_room_once_before_it_drains() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            rooms = [meeting(scene) for _ in range(3)]
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down")
            assert "no one; meetings get a message and finish first" in str(card.blocks)
            shown = await in_full(scene.ana, card)
            assert f"Meetings get a message before their node drains: “{DRAIN}”" in shown
            await scene.ben.press(card, "Approve")
            run = await run_ended(scene)
            assert [heard(r) for r in rooms] == [[DRAIN]] * 3
            assert notes(run) == ["meetings before the drain: message sent to 3 of 3 rooms"]
            assert "Meetings before the drain: message sent to 3 of 3 rooms." in everything_read(
                scene
            )
            asked = next(e for e in await scene.journal.events("acme-1") if isinstance(e, Asked))
            assert all(r.received[0][2] <= asked.at for r in rooms), "before it drains"

    virtual.run(story())


def test_no_one_is_told_without_the_setting() -> None:
    async def story() -> None:
        async with Scene() as scene:
            room = meeting(scene)
            await request_and_approve(scene, "shutdown", "Shut down")
            run = await run_ended(scene)
            assert room.received == []
            assert notes(run) == []

    virtual.run(story())


def test_rooms_on_nodes_that_stay_are_never_told() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            stays = meeting(scene, media=0)
            leaves = meeting(scene, media=2)
            await request_and_approve(scene, "scale 2", "Scale")
            run = await run_ended(scene)
            assert stays.received == []
            assert leaves.received == []
            assert notes(run) == [
                "meetings before the drain: no message sent: "
                "which of 2 rooms run on media-3 is not known"
            ]

    virtual.run(story())


def test_a_scale_down_tells_the_rooms_when_no_other_node_has_one() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            rooms = [meeting(scene, media=2) for _ in range(2)]
            await request_and_approve(scene, "scale 2", "Scale")
            run = await run_ended(scene)
            assert [heard(r) for r in rooms] == [[DRAIN]] * 2
            assert notes(run) == ["meetings before the drain: message sent to 2 of 2 rooms"]

    virtual.run(story())


@pytest.mark.parametrize(
    ("fault", "words", "received"),
    [
        ("503", "message sent to 1 of 2 rooms, may not have reached 1", 1),
        ("lost", "message sent to 1 of 2 rooms, may not have reached 1", 2),
        ("slow", "message sent to 1 of 2 rooms, may not have reached 1", 2),
    ],
)
def test_trouble_with_livekit_holds_nothing_up(fault: Any, words: str, received: int) -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            rooms = [meeting(scene) for _ in range(2)]
            scene.environment.livekit["acme"].send_faults = [fault]
            await request_and_approve(scene, "shutdown", "Shut down")
            run = await run_ended(scene)
            assert sum(len(r.received) for r in rooms) == received
            assert notes(run) == [f"meetings before the drain: {words}"]

    virtual.run(story())


def test_every_room_is_slow_and_the_drain_goes_on() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            for _ in range(100):
                meeting(scene, minutes=2)
            scene.environment.livekit["acme"].send_faults = ["slow"] * 100
            await request_and_approve(scene, "shutdown", "Shut down")
            approved = scene.clock.now()
            run = await run_ended(scene)
            asked = next(e for e in await scene.journal.events("acme-1") if isinstance(e, Asked))
            assert asked.at - approved < 20
            said = (
                "message sent to 0 of 100 rooms, could not be sent to 40, may not have reached 60"
            )
            assert notes(run) == [f"meetings before the drain: {said}"]

    virtual.run(story())


def test_killed_between_sending_and_its_note_nothing_is_sent_again() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            room = meeting(scene)
            scene.environment.livekit["acme"].send_faults = ["slow"]
            await request_and_approve(scene, "shutdown", "Shut down")
            while not room.received:
                await scene.wait(0.1)
            scene.kill()
            await scene.start_bot()
            run = await run_ended(scene)
            assert len(room.received) == 1
            said = "message sent to 0 of 1 room, may not have reached 1"
            assert notes(run) == [f"meetings before the drain: {said}"]

    virtual.run(story())


def test_the_deadline_is_told_once_and_before_people_are_asked() -> None:
    async def story() -> None:
        site = {"meeting_messages": {"languages": ["en", "es"]}, "drain": {"deadline_minutes": 30}}
        async with Scene(site={**OFTEN, **site}) as scene:
            room = meeting(scene, minutes=60)
            await request_and_approve(scene, "shutdown", "Shut down")
            running = await with_buttons(scene, "Shutting down acme", 300)
            await scene.wait(60)
            assert "Meetings before the drain: message sent to 1 of 1 room" in str(running.blocks)
            await question(scene)
            now, later = heard(room)
            assert now.startswith(DRAIN)
            english, spanish = later.split("\n")
            assert english == "This server waits for your meeting. End it by 08:30 if you can."
            assert spanish.startswith("Este servidor espera")
            told = room.received[1][2]
            run = await scene.journal.run("acme-1")
            assert 9 * 60 < run.question_at - told < 11 * 60
            await run_ended(scene)
            assert len(room.received) == 2

    virtual.run(story())


def test_a_cancel_while_meetings_are_told_drains_nothing() -> None:
    async def story() -> None:
        async with Scene(site=TELLS) as scene:
            room = meeting(scene, minutes=30)
            scene.environment.livekit["acme"].send_faults = ["slow"]
            await request_and_approve(scene, "shutdown", "Shut down")
            while not room.received:
                await scene.wait(0.5)
            await scene.by_bot(scene.bot.operations.service.cancel("acme-1", ANA))
            run = await scene.run_is("acme-1", State.CANCELLED, State.DONE, timeout=3600.0)
            assert run.state is State.CANCELLED
            assert scene.estate.signals == {}
            assert len(room.received) == 1

    virtual.run(story())


CLOSING = "This server closes for new meetings at 20:00. Yours may continue."


def test_a_window_tells_every_room_of_its_closing_once() -> None:
    """Two bots look after it; a room that began after the first notice hears the second."""

    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await scene.start_bot()
        early = [meeting(scene, minutes=90) for _ in range(2)]
        await until(scene, "2026-11-25T19:31")
        notice = await scene.card("acme closes at 20:00 (in 30 min)")
        assert "Meetings: message sent to 2 of 2 rooms." in str(notice.blocks)
        late = meeting(scene, minutes=60)
        await until(scene, "2026-11-25T19:56")
        assert [heard(r) for r in (*early, late)] == [[CLOSING]] * 3
        notice = await scene.card("acme closes at 20:00 (in 5 min)")
        assert "Meetings: message sent to 3 of 3 rooms." in str(notice.blocks)
        await until(scene, "2026-11-25T21:20")
        assert down(scene)

    night(story, site=TELLS)


@pytest.mark.parametrize("meetings", ["ask", "skip"])
def test_no_one_is_told_of_a_closing_that_may_not_come(meetings: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, f"nights Mon-Fri 20:00-07:30 Europe/Madrid --meetings {meetings}")
        room = meeting(scene, minutes=90)
        await until(scene, "2026-11-25T19:59")
        assert room.received == []

    night(story, site=TELLS)


def shutdown(die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=2, away=AT_ONCE, site=TELLS) as scene:
            rooms = [meeting(scene, minutes=3) for _ in range(2)]
            await scene.start_bot(die_at)
            run = await insist(scene, Shutdown())
            assert run.state is State.DONE, run.stopped
            said = notes(run)[-1]
            told = sum(len(r.received) for r in rooms)
            assert all(len(r.received) <= 1 for r in rooms), "told twice"
            counted = int(said.partition("sent to ")[2].split(" ")[0])
            unsure = int(said.rpartition("may not have reached ")[2]) if "may not" in said else 0
            assert counted <= told <= counted + unsure, f"{said}, and {told} were"
            return scene.crash_injectors[0].points

    return virtual.run(story())


def test_killed_anywhere_no_room_is_told_twice_or_counted_wrongly() -> None:
    assert_survives_any_crash("a shutdown that tells its meetings", shutdown, 12)


ROOMS = (Room("RM_1", "a", 0.0), Room("RM_2", "b", 0.0))


def counting(*numbers: int | None) -> Any:
    cluster = replace(ready(len(numbers)), seen_at=100.0)
    looks: Sequence[Any] = [
        replace(SERVING, rooms=Unobserved("silent") if n is None else n) for n in numbers
    ]
    media = tuple(replace(m, look=k) for m, k in zip(cluster.media, looks, strict=True))
    return replace(cluster, media=media)


@pytest.mark.parametrize(
    ("numbers", "leaving", "expected"),
    [
        ((1, 1), (0, 1), 2),
        ((2, 0), (0,), 2),
        ((None, 0), (0,), 2),
        ((0, 2), (0,), 0),
        ((1, 1), (0,), None),
        ((2, None), (0,), None),
        ((0, None), (0,), 0),
        ((0, 0), (0,), None),
    ],
)
def test_which_rooms_are_on_a_node_is_proved_or_unknown(
    numbers: tuple[int | None, ...], leaving: tuple[int, ...], expected: int | None
) -> None:
    cluster = counting(*numbers)
    found = rooms_on(cluster, ROOMS, [cluster.media[i].id for i in leaving])
    assert (None if isinstance(found, Unobserved) else len(found)) == expected


def test_a_room_that_began_after_the_look_is_left_out() -> None:
    cluster = counting(1, 0)
    new = Room("RM_3", "c", 101.0)
    assert rooms_on(cluster, (*ROOMS, new), [cluster.media[0].id]) == ROOMS


def test_counts_in_words() -> None:
    assert (
        MessageCounts(3, 2, failed=1).words
        == "message sent to 2 of 3 rooms, could not be sent to 1"
    )


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"languages": ["en", "it"]}, "texts.closing.it: not set; required: a text"),
        ({"texts": {"drain": {"en": "Until {when}"}}}, "placeholders {time} and {cluster}"),
        ({"payload": "hello"}, "a text with {text} once"),
        ({"occasions": []}, "occasions"),
        ({"occasions": ["start"]}, "occasions"),
    ],
)
def test_a_message_that_could_not_be_sent_is_refused(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as error:
        MeetingMessagesSettings.model_validate(settings)
    assert wrong in str(error.value)


def test_messages_need_livekit() -> None:
    async def story() -> None:
        with pytest.raises(SettingsError, match=r"livekit_url: not set; required for meeting_mess"):
            Scene(site=TELLS, livekit=False)

    virtual.run(story())


def test_own_texts_replace_the_built_in_ones() -> None:
    mine = MeetingMessagesSettings.model_validate(
        {"languages": ["it", "en"], "occasions": ["drain"], "texts": {"drain": {"it": "Ciao"}}}
    )
    assert mine.text("drain") == f"Ciao\n{DRAIN}"


def test_quotes_in_a_text_keep_the_payload_json() -> None:
    sent = payload_of(MeetingMessages(()), 'a "word"\nand a \\')
    assert json.loads(sent) == {"message": 'a "word"\nand a \\'}
