"""Off-hours windows through Slack."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.common.metrics import METRICS
from services.runs.run import State
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details, whole

pytestmark = pytest.mark.nights(3)  # each is a night or more, and costs seconds

MADRID = ZoneInfo("Europe/Madrid")
Story = Callable[[Scene], Awaitable[None]]
KINDS = ("pool", "fixed", "autoscaler", "elastic pool", "elastic fixed", "elastic autoscaler")


def every_kind(test: Callable[..., None]) -> Callable[..., None]:
    """Play it with each kind of fleet, in High Availability and Elastic.

    In `make test` with one of them, another one in the next test.
    """
    of_each: Callable[..., None] = pytest.mark.parametrize("kind", KINDS)(test)
    few: Callable[..., None] = pytest.mark.sampled(1)(of_each)
    return few


def at(text: str) -> float:
    """Return a time in Madrid, in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def play(
    story: Story,
    start: str = "2026-11-25T19:00",
    windows: Sequence[str] = (),
    site: Mapping[str, object] = MappingProxyType({}),
    kind: str = "pool",
    **more: Any,
) -> None:
    deployment, _, fleet = kind.rpartition(" ")
    more |= {"deployment": deployment or "high availability", "kind": fleet}

    async def scene_of_it() -> None:
        about = {
            "timezone": "Europe/Madrid",
            "channel": "COPS",
            "windows": list(windows),
            "autoscaler": {"minimum": 2},
            **site,
        }
        async with Scene(media=2, origin=at(start), site=about, pydo=False, **more) as scene:
            await story(scene)

    virtual.run(scene_of_it())


def _kind(scene: Scene) -> str:
    return scene.estate.clusters["acme"].kind


async def add(scene: Scene, command: str) -> None:
    anyway = " --saves-nothing" if _kind(scene) == "fixed" else ""
    await scene.ana.type_text("COPS", f"/openvidu window add {command}{anyway}")
    card = await scene.card("Add window nights to acme")
    assert "every time without further approval. Running meetings are never ended" in card.text
    await scene.ben.press(card, "Approve")
    await scene.card("acme has window nights ·")


async def until(scene: Scene, when: str) -> None:
    await scene.wait(at(when) - scene.clock.now())


def down(scene: Scene) -> bool:
    media = scene.estate.media("acme")
    gone = all(d.status == "off" for d in media) if _kind(scene) == "fixed" else not media
    return all(m.status == "off" for m in scene.estate.masters("acme")) and gone


def up(scene: Scene) -> bool:
    return len(scene.estate.serving("acme")) == 2 and scene.estate.front_is_up("acme")


@every_kind
def test_a_night(kind: str) -> None:
    """Added, announced, closed without a question, in service by the time it shows."""

    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-25T19:31")
        notice = await scene.card("acme closes at 20:00 (in 30 min)")
        assert "No meetings now" in notice.text
        await until(scene, "2026-11-25T19:56")
        await scene.card("acme closes at 20:00 (in 5 min)")
        await until(scene, "2026-11-25T20:20")
        assert down(scene)
        card = await scene.card("acme is shut down · took")
        assert "cheduled by window nights (approved by <@UBEN>, " in card.text
        assert "UBEN" not in card.notified, "no mention every night of who approved it once"
        stale = [b for b in notice.blocks if b["type"] == "actions"]
        assert not stale
        await until(scene, "2026-11-26T07:30")
        assert up(scene)
        card = await scene.card("acme is back in service · took")
        assert "in service by 07:30" in card.text
        assert re.search(r"Ready \d+ min before 07:30; start-up took \d+ min", card.text)
        assert not [
            m
            for m in scene.ana.visible_messages("COPS")
            if "did not" in m.text or "will not" in m.text
        ]

    play(story, kind=kind)


@every_kind
def test_keep_up_an_hour_by_a_button(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-25T19:31")
        notice = await scene.card("acme closes at 20:00 (in 30 min)")
        await scene.dora.press(notice, "Keep running 1 h")
        await scene.ephemeral("UDORA", "Only operators")
        await scene.ben.press(notice, "Keep running 1 h")
        await scene.card("acme stays in service")
        await until(scene, "2026-11-25T20:30")
        assert up(scene)
        await until(scene, "2026-11-25T21:20")
        assert down(scene)

    play(story, kind=kind)


@every_kind
def test_keep_up_tonight_ends_by_itself(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        before = METRICS.value("openvidu_bot_missed_edges_total", cluster="acme", kind="close")
        await until(scene, "2026-11-25T19:40")
        await scene.ana.type_text("COPS", "/openvidu keepup tonight")
        await scene.ephemeral("UANA", "acme stays up until")
        await until(scene, "2026-11-26T07:00")
        assert up(scene)
        assert not [m for m in scene.ana.visible_messages("COPS") if "did not close" in m.text], (
            "a person kept it up, in front of everybody"
        )
        assert (
            not METRICS.value("openvidu_bot_missed_edges_total", cluster="acme", kind="close")
            - before
        )
        await until(scene, "2026-11-26T20:20")
        assert down(scene)

    play(story, kind=kind)


def test_keep_up_until_a_moment_and_skip_tomorrow() -> None:
    """As people type it, in the cluster's time zone; only closed time counts as saved."""

    async def story(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ana.type_text("COPS", "/openvidu keepup 22:00")
        await scene.ephemeral(
            "UANA", "22:00 can be read in two ways: write `until 22:00`, or `for 22h00`"
        )
        await scene.ana.type_text("COPS", "/openvidu keepup until 22:00")
        await scene.ephemeral("UANA", "acme stays up until")
        await until(scene, "2026-11-25T21:55")
        assert up(scene)
        await until(scene, "2026-11-25T22:20")
        assert down(scene)
        facts = await scene.bot.scheduler.usage.facts("acme")
        assert facts is not None
        assert [(k.since, k.until) for k in facts.kept] == [
            (at("2026-11-25T20:00"), at("2026-11-25T22:00"))
        ]
        await scene.ana.type_text("COPS", "/openvidu skip tomorrow")
        await scene.card("acme stays in service on 2026-11-26")
        await until(scene, "2026-11-26T23:00")
        assert up(scene)

    play(story, windows=["nights Mon-Fri 20:00-07:30"])


def test_a_hold_until_20h_ends_at_20_00() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu hold exam week until 20h")
        await scene.card("acme is on hold until")
        _, book = await scene.bot.scheduler.books.read("acme")
        assert [h.until for h in book.exceptions.holds] == [at("2026-11-25T20:00")]

    play(story, "2026-11-25T15:00")


@every_kind
def test_a_meeting_may_finish_without_an_answer(kind: str) -> None:
    """It waits as long as the window allows, asks, and stays up without an answer; posted once."""

    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid --meetings wait:5")
        await until(scene, "2026-11-25T19:58")
        scene.estate.open_meeting(people=4, minutes=55)
        await until(scene, "2026-11-25T20:04")
        assert not down(scene)
        await until(scene, "2026-11-25T20:07")
        card = await scene.card("needs a decision")
        assert "in time. Still running: " in whole(card)
        assert [
            m
            for m in scene.ana.visible_messages("COPS")
            if "<@UBEN>, acme-2 needs a decision" in m.text
        ]
        await until(scene, "2026-11-25T21:00")
        assert up(scene)
        assert scene.estate.people_disconnected == 0
        run = await scene.run_is("acme-2", State.ROLLED_BACK)
        assert run.end_text == "meetings continued; acme stays in service"
        ended = await scene.card("acme stays in service ·")
        assert "within about" not in whole(ended), "it is over: nothing is foretold"
        messages = [
            m for m in scene.ana.visible_messages("COPS") if "Window nights · acme-2" in m.text
        ]
        assert len(messages) == 1

    play(story, kind=kind)


@every_kind
def test_a_meeting_that_ends_in_time(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-25T19:58")
        scene.estate.open_meeting(people=4, minutes=20)
        await until(scene, "2026-11-25T20:10")
        assert not down(scene)
        await until(scene, "2026-11-25T20:40")
        assert down(scene)
        assert scene.estate.people_disconnected == 0

    play(story, kind=kind)


@every_kind
def test_skip_tonight_when_people_meet(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid --meetings skip")
        await until(scene, "2026-11-25T19:58")
        scene.estate.open_meeting(people=4, minutes=20)
        await until(scene, "2026-11-25T20:01")
        await scene.card("acme did not close at 20:00")
        await until(scene, "2026-11-26T07:00")
        assert up(scene)
        assert (
            len([m for m in scene.ana.visible_messages("COPS") if "did not close" in m.text]) == 1
        )

    play(story, kind=kind)


@every_kind
@pytest.mark.parametrize("answer", [True, False])
def test_ask_first_when_people_meet(answer: bool, kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid --meetings ask")
        await until(scene, "2026-11-25T19:58")
        scene.estate.open_meeting(people=4, minutes=20)
        await until(scene, "2026-11-25T20:01")
        card = await scene.card("Close acme now?")
        assert "1 meeting with 4 people is running" in card.text
        if answer:
            await scene.ben.press(card, "Close now")
        await until(scene, "2026-11-25T20:45")
        assert down(scene) == answer
        assert scene.estate.people_disconnected == 0
        messages = [
            m
            for m in scene.ana.visible_messages("COPS")
            if "acme did not close at 20:00" in m.text and "no one answered" in m.text
        ]
        assert len(messages) == (0 if answer else 1)
        (asked,) = [m for m in scene.ana.visible_messages("COPS") if "Close acme now?" in m.text]
        assert not [b for b in asked.blocks if b["type"] == "actions"], (
            "no button is left that does nothing"
        )
        if answer:
            run = await scene.run_is("acme-2", State.DONE)
            assert [a.user for a in run.approvers] == ["UBEN"]

    play(story, kind=kind)


@every_kind
def test_media_only_leaves_the_masters_on(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid --media-only")
        await until(scene, "2026-11-25T20:20")
        assert {m.status for m in scene.estate.masters("acme")} == {"active"}
        assert scene.estate.serving("acme") == []
        await until(scene, "2026-11-26T07:30")
        assert up(scene)

    play(story, kind=kind)


@every_kind
def test_a_manual_start_inside_a_window_is_respected_until_the_next_edge(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-25T21:00")
        assert down(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await until(scene, "2026-11-25T22:00")
        assert up(scene)
        await scene.ana.type_text("COPS", "/openvidu window list")
        await scene.ephemeral("UANA", "<@UANA>")
        await until(scene, "2026-11-26T07:00")
        assert up(scene)
        await until(scene, "2026-11-26T20:20")
        assert down(scene)

    play(story, kind=kind)


def test_a_cluster_stopped_and_started_again_is_shown_as_started() -> None:
    """Status, list and Home tab show the same."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await scene.card("Shut down acme"), "Approve")
        await until(scene, "2026-11-29T18:50")
        assert down(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await until(scene, "2026-11-29T19:35")
        assert up(scene)
        await scene.ana.open_home()
        await scene.wait(30)
        view = scene.ana.home()
        assert view is not None
        home = str(view.blocks)
        for typed, found in (("status", "Schedule"), ("window list", "Windows of acme")):
            await scene.ana.type_text("COPS", f"/openvidu {typed}")
            answer = await scene.ephemeral("UANA", found)
            assert "started manually by <@UANA>" in answer.text
            assert "stopped" not in answer.text
        assert "started manually by <@UANA>" in home
        assert "stopped" not in home

    play(story, "2026-11-29T18:40", windows=["nights daily 20:01-22:31"])


@every_kind
def test_a_hold_stops_every_change_and_shows_who_and_why(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await scene.ana.type_text(
            "COPS", '/openvidu hold "exam week <@UCARLA>" until tomorrow 12:00'
        )
        await scene.card("acme is on hold")
        await scene.ben.type_text("COPS", "/openvidu shutdown")
        answer = await scene.ephemeral("UBEN", "is on hold for another")
        assert "exam week ‹@UCARLA›" in answer.text
        assert "<@UCARLA>" not in answer.text, "nobody is called by somebody else's reason"
        await until(scene, "2026-11-26T07:00")
        assert up(scene)
        told_once = [
            m for m in scene.ana.visible_messages("COPS") if "did not close at 20:00" in m.text
        ]
        assert len(told_once) == 1
        assert "exam week" in told_once[0].text
        await until(scene, "2026-11-26T12:01")
        await scene.card("The hold on acme is over")
        await until(scene, "2026-11-26T20:20")
        assert down(scene)

    play(story, kind=kind)


@pytest.mark.parametrize(("minutes", "closes"), [(10, True), (300, True), (690, False)])
def test_the_bot_was_down_at_the_closing_time(minutes: int, closes: bool) -> None:
    """A late closing happens only while enough of the night is left, and is always posted."""

    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-25T19:59")
        scene.kill()
        await scene.wait(minutes * 60)
        await scene.start_bot()
        await scene.wait(1200)
        assert down(scene) == closes
        if not closes:
            await scene.card("acme did not close at 20:00")
        await until(scene, "2026-11-26T08:00")
        assert up(scene)

    play(story)


@pytest.mark.parametrize(
    ("start", "close", "opens"),
    [
        ("2026-10-24T19:00", "2026-10-25T02:30", "2026-10-25T07:30"),
        ("2027-03-27T19:00", "2027-03-28T02:30", "2027-03-28T07:30"),
    ],
)
def test_the_night_when_the_clocks_change(start: str, close: str, opens: str) -> None:
    """02:30 occurs twice or not at all; it closes once and opens once."""

    async def story(scene: Scene) -> None:
        await add(scene, "nights Sun 02:30-07:30 Europe/Madrid")
        await until(scene, close.replace("02:30", "05:00"))
        assert down(scene)
        await until(scene, opens)
        assert up(scene)
        runs = [await scene.journal.run(r) for r in await scene.journal.latest("acme", 10)]
        assert [r.plan.procedure.command for r in reversed(runs)] == [
            "window add",
            "shutdown",
            "startup",
        ]

    play(story, start)


def test_holidays_and_forecast() -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid --except 2026-11-26")
        await scene.ana.type_text("COPS", "/openvidu window forecast 3d")
        answer = await scene.ephemeral("UANA", "Forecast for acme")
        assert "2026-11-25 19:00Z" in answer.text
        assert "stays as it is" in answer.text
        await until(scene, "2026-11-26T21:00")
        assert up(scene)

    play(story)


def test_removing_a_window_needs_no_approval() -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await scene.ana.type_text("COPS", "/openvidu window remove nights")
        await scene.card("acme no longer has window nights")
        await until(scene, "2026-11-26T07:00")
        assert up(scene)

    play(story)


def test_what_was_saved_to_the_cent() -> None:
    """Two nodes of $0.07143/h are deleted from about 20:02 until the morning.

    The record of droplet hours decides.
    """

    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await until(scene, "2026-11-26T09:00")
        await scene.ana.type_text("COPS", "/openvidu cost 2026-11")
        answer = await scene.ephemeral("UANA", "saved so far")
        assert "still billed" in answer.text
        # 20:00 to about 07:20, two nodes: as recorded, not as the window planned
        found = re.search(r"away: (\d+\.\d) node-hours", answer.text)
        assert found is not None
        assert 20 < float(found[1]) < 24
        records = await scene.bot.operations.usage.newest("acme", 100)
        assert len(records) >= 3

    play(story)


def test_a_window_is_written_as_people_type_it() -> None:
    """The cluster's time zone where none is named, and the em dashes that phones type."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", "/openvidu window add nights Mon\N{EN DASH}Fri 20:00\N{EN DASH}07:30 --dry-run"
        )
        answer = await scene.ephemeral("UANA", "dry run")
        assert "nights 20:00-07:30 (Mon-Fri, Europe/Madrid)" in answer.text
        assert "saves about $" in answer.text
        assert "starting takes minutes" in whole(answer)
        await scene.ana.type_text(
            "COPS", "/openvidu window add nights Mon-Fri 20:00-07:30 --media-only"
        )
        card = await scene.card("Approve or reject")
        shown = str((await details(scene.ben, card)).body)
        assert "closes the cluster by itself from now on" in shown
        assert "starting is quicker" in whole(card)
        assert "Closes first on Wed 2026-11-25 20:00 (Europe/Madrid, UTC+1)" in shown
        await scene.ana.type_text(
            "COPS", "/openvidu window add nights Mon-Fri 20:00-07:30 Europe/Madrid now"
        )
        await scene.ephemeral("UANA", "rite a window as NAME DAYS")

    play(story)


def test_a_second_window_names_the_first_and_shows_what_it_adds() -> None:
    """In the plan and in the list."""

    async def story(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ana.type_text("COPS", "/openvidu window add late Mon-Fri 22:00-09:00 --dry-run")
        answer = await scene.ephemeral("UANA", "dry run")
        # 30 h x 2 x $0.07143
        plan = whole(answer)
        assert "saves about $4.29 in four weeks, in addition to what nights saves" in plan
        assert "late overlaps nights: it opens at 09:00 instead of 07:30 on Tue-Sat" in plan
        assert "Closes first on Mon 2026-11-23 20:00" in plan

    async def listed(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ana.type_text("COPS", "/openvidu window list")
        answer = await scene.ephemeral("UANA", "Windows of acme")
        assert "early overlaps nights: it closes at 19:00 instead of 20:00 on Fri" in answer.text

    play(story, "2026-11-23T12:00", windows=["nights Mon-Fri 20:00-07:30"])
    play(
        listed, "2026-11-23T12:00", windows=["nights Mon-Fri 20:00-07:30", "early Fri 19:00-21:00"]
    )


def test_adding_one_inside_its_own_hours_closes_nothing_before_its_next_edge() -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 18:00-19:40 Europe/Madrid")
        await until(scene, "2026-11-25T19:35")
        assert up(scene)

    play(story)


def test_days_off_status_and_what_people_type_is_harmless() -> None:
    async def story(scene: Scene) -> None:
        await add(scene, "nights Mon-Fri 20:00-07:30 Europe/Madrid")
        await scene.ana.type_text("COPS", "/openvidu window skip 2026-11-25,2026-12-24..2026-12-26")
        await scene.card("acme stays in service on 2026-11-25")
        await scene.ana.type_text("COPS", '/openvidu hold "<!channel> look" for 30m')
        card = await scene.card("acme is on hold")
        assert "<!channel>" not in card.text + str(card.blocks)
        await scene.ana.type_text("COPS", "/openvidu status")
        card = await scene.ephemeral("UANA", "Schedule: on hold until")
        await scene.dora.type_text("COPS", "/openvidu unhold")
        await scene.ephemeral("UDORA", "Only operators")
        await scene.ana.type_text("COPS", "/openvidu unhold")
        await scene.card("acme is no longer on hold")
        await until(scene, "2026-11-25T20:05")
        assert up(scene)
        card = await scene.card("acme did not close at 20:00")
        assert "2026-11-25 is a day off" in card.text

    play(story)


def test_windows_of_the_settings_file_are_taken_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ana.type_text("COPS", "/openvidu window list")
        answer = await scene.ephemeral("UANA", "Windows of acme")
        assert "from the settings file" in answer.text
        await scene.ana.type_text("COPS", "/openvidu window remove nights")
        await scene.card("acme no longer has window nights")
        scene.kill()
        await scene.start_bot()
        await scene.wait(60)
        await scene.ana.type_text("COPS", "/openvidu window list")
        await scene.ephemeral("UANA", "acme has no off-hours windows")

    play(story, windows=["nights Mon-Fri 20:00-07:30"])


def test_the_month_is_posted_with_a_chart() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(15)
        await until(scene, "2026-12-01T09:30")
        card = await scene.card("acme 2026-11:")
        assert "saved" in card.text
        assert "still billed" in card.text
        (file,) = scene.slack.workspace.files.values()
        assert file.data is not None
        assert file.data.startswith(b"\x89PNG\r\n")
        assert file.title == ("acme 2026-11: hours closed per day, people by hour of the day")
        assert "People in meetings by hour, mean and most. " in file.alt
        assert (
            len([m for m in scene.ana.visible_messages("COPS") if "acme 2026-11:" in m.text]) == 1
        )

    play(story, "2026-11-30T19:50", windows=["nights Mon-Fri 20:00-07:30"])


REYES = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//town hall//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTART;VALUE=DATE:20261126\r
DTEND;VALUE=DATE:20261127\r
SUMMARY:Local feast\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_holidays_of_a_calendar_file(tmp_path: Path) -> None:
    """The cluster stays up on these days, with the reason.

    The file is read again each hour, and a broken one changes nothing.
    """
    file = tmp_path / "holidays.ics"
    file.write_bytes(REYES)

    async def story(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ana.type_text("COPS", "/openvidu window list")
        answer = await scene.ephemeral("UANA", "Windows of acme")
        assert "2026-11-26 Local feast" in answer.text
        await scene.ana.type_text("COPS", "/openvidu window forecast 3d")
        answer = await scene.ephemeral("UANA", "Forecast for acme")
        assert "stays as it is · nights · day off; holiday: Local feast" in answer.text
        file.write_bytes(REYES.replace(b"DTSTART;VALUE=DATE:20261126", b"DTSTART;VALUE=DATE:26"))
        await scene.card(
            "The holidays of acme could not be read · holidays.ics: line 4, the event “Local feast”"
        )
        await until(scene, "2026-11-26T21:00")
        assert up(scene)
        await scene.card(
            "acme did not close at 20:00 · Holiday: Local feast. · window nights (Europe/Madrid)"
        )
        file.write_bytes(
            REYES.replace(b"20261126", b"20261127").replace(
                b"20261127\r\nSUMMARY", b"20261128\r\nSUMMARY"
            )
        )
        await until(scene, "2026-11-27T21:00")
        assert up(scene)
        assert (
            len([m for m in scene.ana.visible_messages("COPS") if "could not be read" in m.text])
            == 1
        )

    play(story, windows=["nights Mon-Fri 20:00-07:30"], site={"holidays": str(file)})


def test_an_unreadable_calendar_is_posted_and_the_bot_starts_with_the_known_days(
    tmp_path: Path,
) -> None:
    """No days at the first start; after a start with a broken file, those of before."""
    file = tmp_path / "holidays.ics"
    file.write_bytes(b"<html>404</html>")

    async def story(scene: Scene) -> None:
        card = await scene.card(
            "The holidays of acme could not be read · holidays.ics: this is not a calendar"
        )
        assert "No holidays are known until then" in card.text
        file.write_bytes(REYES)
        await until(scene, "2026-11-25T20:05")
        await scene.ana.type_text("COPS", "/openvidu window list")
        listed = await scene.ephemeral("UANA", "Windows of acme")
        assert "2026-11-26 Local feast" in listed.text
        assert "could not be read" not in listed.text
        scene.kill()
        file.write_bytes(
            REYES.replace(b"BEGIN:VEVENT", b"RRULE:FREQ=YEARLY;INTERVAL=0\r\nBEGIN:VEVENT").replace(
                b"END:VCALENDAR\r\n", b""
            )
        )
        await scene.start_bot()
        card = await scene.card(
            "The holidays of acme could not be read · holidays.ics: "
            "this calendar (.ics) is incomplete"
        )
        assert "Those read before still count" in card.text
        await scene.ana.type_text("COPS", "/openvidu window list")
        listed = await scene.ephemeral("UANA", "Windows of acme")
        assert "2026-11-26 Local feast" in listed.text
        assert "holidays.ics could not be read: this calendar (.ics) is incomplete" in listed.text
        scene.kill()
        file.unlink()
        await scene.start_bot()
        await scene.card(
            "The holidays of acme could not be read · holidays.ics: no such file or directory"
        )
        await until(scene, "2026-11-26T21:00")
        assert up(scene)

    play(story, windows=["nights Mon-Fri 20:00-07:30"], site={"holidays": str(file)})


ENDLESS = REYES.replace(b"DTEND;VALUE=DATE:20261127", b"RRULE:FREQ=YEARLY;INTERVAL=0")


def test_a_rule_without_an_end_blocks_nothing(tmp_path: Path) -> None:
    """At the start, and in the hourly sweep."""
    file = tmp_path / "holidays.ics"
    file.write_bytes(ENDLESS)

    async def story(scene: Scene) -> None:
        await scene.card("RRULE: INTERVAL=0 must be a whole number from 1")
        file.write_bytes(REYES)
        await until(scene, "2026-11-25T20:05")
        file.write_bytes(ENDLESS)
        await until(scene, "2026-11-25T21:30")
        assert down(scene)
        assert len([m for m in scene.ana.visible_messages("COPS") if "INTERVAL=0" in m.text]) == 2

    play(story, windows=["nights Mon-Fri 20:00-07:30"], site={"holidays": str(file)})


def test_a_file_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe that never ends, like a hanging network drive: windows go on, and it is posted."""
    file = tmp_path / "holidays.ics"
    os.mkfifo(file)

    async def story(scene: Scene) -> None:
        await scene.card(
            "The holidays of acme could not be read · holidays.ics: it is not a regular file"
        )
        await until(scene, "2026-11-25T20:20")
        assert down(scene)

    play(story, windows=["nights Mon-Fri 20:00-07:30"], site={"holidays": str(file)})


def test_a_calendar_without_a_day_off_ahead_is_posted_once(tmp_path: Path) -> None:
    """The calendar's last event was years ago, which looks like no holidays.

    The list shows skipped lines.
    """
    file = tmp_path / "spain.ics"
    file.write_bytes(REYES.replace(b"2026", b"2024").replace(b"SUMMARY", b"garbage\r\nSUMMARY"))

    async def story(scene: Scene) -> None:
        await scene.card("spain.ics has no day off ahead · acme closes on every day of its windows")
        await scene.ana.type_text("COPS", "/openvidu window list")
        listed = await scene.ephemeral("UANA", "Windows of acme")
        assert "spain.ics has no day off ahead" in listed.text
        assert "spain.ics: 1 line skipped (line 8: no name and value)" in listed.text
        scene.kill()
        await scene.start_bot()
        await until(scene, "2026-11-25T22:10")
        messages = [
            m
            for m in scene.ana.visible_messages("COPS")
            if "no day off ahead" in m.text and m.ephemeral_to is None
        ]
        assert len(messages) == 1

    play(story, windows=["nights Mon-Fri 20:00-07:30"], site={"holidays": str(file)})


def event(*lines: str) -> bytes:
    return "\r\n".join(
        ["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    ).encode()


def test_in_a_change_freeze_only_break_glass_changes_anything(tmp_path: Path) -> None:
    """Windows neither: the cluster is up when the freeze begins, and stays up.

    A necessary change is made in public.
    """
    file = tmp_path / "changes.ics"
    begins, ends = (
        "DTSTART;TZID=Europe/Madrid:20261126T023000",
        "DTEND;TZID=Europe/Madrid:20261126T210000",
    )
    file.write_bytes(event("SUMMARY:Election night", begins, ends))

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:20")
        assert down(scene)
        await until(scene, "2026-11-26T02:30")
        assert up(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ephemeral("UANA", "acme is in a change freeze for another 18 h")
        await scene.ana.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UANA", "Schedule: change freeze until")
        await scene.ana.type_text("COPS", '/openvidu break-glass scale 3 --reason "people wait"')
        card = await scene.card("Run without approval")
        shown = f"{whole(card)} {(await details(scene.ana, card)).body}"
        assert "a change freeze lasts until 2026-11-26 20:00 UTC (Election night)" in shown
        await scene.ana.press(card, "Run without approval")
        await scene.wait(1200)
        assert len(scene.estate.serving("acme")) == 3
        await until(scene, "2026-11-26T20:30")
        assert not down(scene)
        stayed = "acme did not close at 20:00"
        await scene.card(f"{stayed} · Change freeze until Thu 2026-11-26 21:00: Election night")
        await until(scene, "2026-11-26T21:20")
        assert down(scene)

    site = {"freezes": str(file)}
    play(story, windows=["nights Mon-Fri 20:00-07:30"], site=site, roles={"break_glass": ["UANA"]})


def test_it_is_in_service_by_each_meeting_sized_for_its_people_and_never_closes_under_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "team.ics"
    people = [f"ATTENDEE:mailto:{n}@example.com" for n in range(250)]
    file.write_bytes(
        event(
            "SUMMARY:All hands APAC", "DTSTART:20261125T230000Z", "DTEND:20261126T003000Z", *people
        )
    )

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:20")
        assert down(scene)
        await scene.ana.type_text("COPS", "/openvidu window forecast 1d")
        answer = await scene.ephemeral("UANA", "Forecast for acme")
        assert "Thu 2026-11-26 00:00 CET" in answer.text
        assert (
            "meeting from Thu 2026-11-26 00:00 until Thu 2026-11-26 01:30: All hands APAC"
            in answer.text
        )
        await until(scene, "2026-11-26T00:00")
        assert len(scene.estate.serving("acme")) == 3  # 250 people, 100 a node
        await until(scene, "2026-11-26T01:29")
        assert len(scene.estate.serving("acme")) == 3
        await until(scene, "2026-11-26T01:50")
        assert down(scene)
        await until(scene, "2026-11-26T07:30")
        assert len(scene.estate.serving("acme")) >= 2

    play(
        story,
        windows=["nights Mon-Fri 20:00-07:30"],
        site={"meetings": str(file), "people_per_node": 100},
    )


def test_the_cost_of_all_clusters_with_its_chart() -> None:
    """Each cluster and the sum, exact to the cent; and the chart in private."""

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-26T09:00")
        await scene.ana.type_text("COPS", "/openvidu cost --all")
        answer = await scene.ephemeral("UANA", "2 clusters · 2026-11")
        sums = [float(s) for s in re.findall(r"\$(\d+\.\d\d) saved", answer.text)]
        assert len(sums) == 3
        assert round(sums[1] + sums[2], 2) == sums[0]
        assert sums[0] > 0
        assert re.search(
            r"beta \$\S+ saved, media nodes away 22\.\d node-hours, "
            r"masters off 11\.\d h and still billed \$\d",
            answer.text,
        )
        assert "Kept up by <@UBEN>: 1 time, 1.0 h, $0.14" in answer.text
        assert "your own conversation" in answer.text
        (own,) = [c for c in scene.slack.workspace.channels.values() if c.im_with == "UANA"]
        words, picture = scene.ana.visible_messages(own.id)
        assert words.text.startswith("2 clusters · 2026-11")
        files = list(scene.slack.workspace.files.values())
        assert picture.files == [file.id for file in files], "all in one message"
        by_hour = "hours closed per day, people by hour of the day"
        together, *each = [file.title for file in files]
        assert together == "2026-11, mean of 2 clusters: hours closed per day"
        assert sorted(each) == [f"{name} 2026-11: {by_hour}" for name in ("acme", "beta")]
        assert all((file.data or b"").startswith(b"\x89PNG\r\n") for file in files)
        assert not [m for m in scene.ben.visible_messages("COPS") if m.files]

    async def begun(scene: Scene) -> None:
        await scene.wait(15)
        await scene.ben.type_text("COPS", "/openvidu keepup 1h --cluster acme")
        await story(scene)

    play(begun, windows=["nights Mon-Fri 20:00-07:30"], stacks=("acme", "beta"))


def test_the_chart_of_one_cluster_shows_when_people_meet() -> None:
    """Counted every ten minutes while it is up; at night it is not counted, and not as no one."""

    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=25)
        await until(scene, "2026-11-25T20:40")
        assert down(scene)
        counts = await scene.bot.operations.meetings.read("acme")
        assert list(counts) == ["2026-11-25"]
        seen = {hour: h for hour, h in enumerate(counts["2026-11-25"]) if h[0]}
        assert sum(total for _, total, _ in seen.values()) >= 10
        assert max(seen) < 20, "not long after 20:00 in Madrid, which is 19:00"
        await scene.ana.type_text("COPS", "/openvidu cost")
        await scene.ephemeral("UANA", "your own conversation")
        (file,) = scene.slack.workspace.files.values()
        assert file.title == "acme 2026-11: hours closed per day, people by hour of the day"
        assert "People in meetings by hour, mean and most. " in file.alt
        assert "most 5" in file.alt
        assert "20:00: closed" in file.alt
        assert "Not counted at 0, 1, " in file.alt

    play(story, "2026-11-25T19:00", windows=["nights Mon-Fri 20:00-07:30"])


def test_the_sum_covers_the_clusters_that_a_person_may_see() -> None:
    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-26T09:00")
        await scene.dora.type_text("COPS", "/openvidu cost --all")
        await scene.ephemeral("UDORA", "You have no role for any cluster")

    play(
        story,
        windows=["nights Mon-Fri 20:00-07:30"],
        stacks=("acme", "beta"),
        roles={"viewers": ["UBEN"]},
    )


def test_a_hold_is_posted_each_day_until_it_ends() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", '/openvidu hold "exam week" until 2026-11-28 12:00')
        await scene.card("acme is on hold until")
        await until(scene, "2026-11-26T18:59")
        assert not [m for m in scene.ana.visible_messages("COPS") if "still on hold" in m.text]
        await until(scene, "2026-11-28T12:01")
        again = [
            m
            for m in scene.ana.visible_messages("COPS")
            if m.text.startswith("acme is still on hold")
        ]
        assert len(again) == 2
        assert all("exam week" in m.text for m in again)
        await scene.card("The hold on acme is over")

    play(story)
