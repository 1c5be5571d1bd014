"""Backups on a schedule: taken once at their times, proven once a month, and missed ones told."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.cluster.backup_notes import BackupSchedule
from services.common.errors import Refused
from services.runs.run import State
from services.windows.backup_times import (
    backup_schedule_text,
    backup_times,
    next_backup,
    parse_backup_schedule,
)
from simulators.cloud.model import SimulatedDroplet
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve

DAY = 86400.0
HOUR_AND_MORE = 4500.0  # from the scene's begin until a backup of 09:00 is complete


def moments(schedule: BackupSchedule, begin: tuple[int, int, int]) -> list[tuple[str, str]]:
    """Return the nominal times of three days from that date on, with each one's time in UTC."""
    days = 3
    since = datetime(*begin, tzinfo=ZoneInfo(schedule.zone)).timestamp()
    return [
        (name.partition("@")[2], f"{datetime.fromtimestamp(at, UTC):%H:%M}")
        for name, at in backup_times(schedule, since, since + days * DAY)
    ]


def test_a_text_is_read_back_as_the_same_schedule() -> None:
    for text in ("weekly Sun 03:00 Europe/Madrid", "often Mon-Fri 23:05 UTC --drill"):
        assert backup_schedule_text(parse_backup_schedule(text, "UTC")) == text
    assert parse_backup_schedule("w sun 3:00", "Asia/Tokyo").zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write a schedule as"),
        ("weekly Sun", "write a schedule as"),
        ("weekly Sun 25:00", "24-hour clock"),
        ("weekly 2027-01-01 03:00", "weekdays"),
        ("we.ekly Sun 03:00", "name"),
        ("weekly Sunny 03:00", "not a day"),
        ("weekly Sun 03:00 Europe/Nowhere", "Europe/Nowhere"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        parse_backup_schedule(text, "UTC")


def test_the_clocks_change_and_each_night_has_one_backup() -> None:
    nightly = parse_backup_schedule("nightly daily 02:30 Europe/Madrid", "UTC")
    spring = moments(nightly, (2027, 3, 27))
    assert spring == [
        ("2027-03-27T02:30", "01:30"),
        ("2027-03-28T02:30", "01:00"),  # there is no 02:30: the first moment after the gap
        ("2027-03-29T02:30", "00:30"),
    ]
    autumn = moments(nightly, (2027, 10, 30))
    assert [night[5:10] for night, _ in autumn] == ["10-30", "10-31", "11-01"]
    assert autumn[1] == ("2027-10-31T02:30", "00:30"), "the first of both"


def test_the_next_time_is_always_ahead() -> None:
    weekly = parse_backup_schedule("weekly Sun 03:00 Europe/Madrid", "UTC")
    now = datetime(2027, 1, 13, 12, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(next_backup(weekly, now), UTC) == datetime(
        2027, 1, 17, 2, tzinfo=UTC
    )


# In a scene, which begins on a Friday morning: 2027-01-15 08:00 UTC


def taken(scene: Scene) -> list[str]:
    """Return the labels of the complete backups there are."""
    labels = [s.name.partition("-master-")[0] for s in scene.estate.snapshots.values()]
    return sorted({label for label in labels if labels.count(label) == 4})


async def scheduled(scene: Scene, times: str) -> None:
    await request_and_approve(scene, f"backup schedule {times}", "Add backup schedule")
    await scene.card("acme has backup schedule")


def test_a_backup_is_taken_at_its_time_and_the_older_ones_go() -> None:
    async def story() -> None:
        async with Scene(policy={"keep_backups": 1}) as scene:
            await scene.ana.type_text("COPS", "/openvidu backup schedule soon daily 09:00 UTC")
            card = await scene.card("Add backup schedule soon")
            assert "backup unschedule soon" in str(card.blocks)
            assert " (UTC), and deletes old ones" in str(card.blocks)
            assert "without further approval" in str(card.blocks)
            assert "$0.06 a month" in str(card.blocks)
            await scene.ben.press(card, "Approve")
            await scene.card("acme has backup schedule")
            assert taken(scene) == []
            await scene.wait(HOUR_AND_MORE)
            (first,) = taken(scene)
            await scene.card("acme is backed up ·")
            await scene.wait(DAY)
            (second,) = taken(scene)
            assert second > first, "the older one is deleted once the new one is complete"

    virtual.run(story())


def test_a_month_has_one_drill() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scheduled(scene, "nightly daily 09:00 UTC --drill")
            await scene.wait(2 * 3600)
            notes = await scene.bot.operations.memory.backups.read("acme")
            assert [d.proven for d in notes.drills] == [True]
            await scene.wait(DAY)
            notes = await scene.bot.operations.memory.backups.read("acme")
            assert len(notes.drills) == 1
            await scene.ana.type_text("COPS", "/openvidu backup list")
            answer = (await scene.ephemeral("UANA", "Backups of acme:")).text
            assert "proven" in answer
            assert "Schedule nightly daily 09:00 UTC --drill: next" in answer

    virtual.run(story())


def test_it_waits_for_a_run_and_tells_what_was_missed() -> None:
    """A hold of a day: it is tried for six hours, then people are told why there is none."""

    async def story() -> None:
        async with Scene() as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.ana.type_text("COPS", "/openvidu hold exams for 20h")
            await scene.wait(8 * 3600)
            assert taken(scene) == []
            card = await scene.card("acme: no backup was taken")
            assert "on hold" in card.text
            assert "/openvidu backup create" in card.text
            await scene.wait(3600)
            told = [
                m for m in scene.ana.visible_messages("COPS") if "no backup was taken" in m.text
            ]
            assert len(told) == 1

    virtual.run(story())


def test_a_closed_cluster_is_backed_up_as_it_is_and_stays_closed() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scheduled(scene, "soon daily 10:00 UTC")
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.card("acme is shut down")
            await scene.wait(2 * 3600 + 600)
            (label,) = taken(scene)
            assert all(s.name.endswith("-off") for s in scene.estate.snapshots.values()), label
            assert [m.on for m in scene.estate.masters("acme")] == [False] * 4

    virtual.run(story())


def test_a_backup_that_fails_is_told_and_older_ones_stay() -> None:
    def fails(kind: str, droplet: SimulatedDroplet) -> str:
        return "errored" if kind == "snapshot" and droplet.name.endswith("-2") else "done"

    async def story() -> None:
        async with Scene(policy={"keep_backups": 1}) as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.wait(HOUR_AND_MORE)
            (first,) = taken(scene)
            scene.estate.outcome = fails
            await scene.wait(DAY)
            await scene.card("is paused")
            assert taken(scene) == [first]

    virtual.run(story())


def test_without_its_approval_nothing_is_taken() -> None:
    async def story() -> None:
        async with Scene(policy={"confirm_windows_days": 1}) as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.wait(DAY + 8 * 3600)
            assert len(taken(scene)) == 1
            card = await scene.card("no backup was taken")
            assert "has expired and must be renewed" in card.text

    virtual.run(story())


def test_an_old_backup_is_alarmed_about_once_a_week() -> None:
    async def story() -> None:
        async with Scene(policy={"backup_alarm_days": 1}) as scene:
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            await scene.wait(DAY - 3600)
            assert not [m for m in scene.ana.visible_messages("COPS") if "newest" in m.text]
            await scene.wait(3 * 3600)
            card = await scene.card("The newest complete backup of acme is 1 day old")
            assert "/openvidu backup schedule" in card.text
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "Cost now")
            assert "old (live), never proven" in str(status.blocks)

    virtual.run(story())


def test_a_removed_schedule_takes_nothing_and_a_protected_backup_stays() -> None:
    async def story() -> None:
        async with Scene(policy={"keep_backups": 1}) as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.wait(HOUR_AND_MORE)
            (first,) = taken(scene)
            await scene.ana.type_text("COPS", f"/openvidu backup protect {first}")
            await scene.ephemeral("UANA", "is protected")
            await scene.wait(DAY)
            assert len(taken(scene)) == 2, "the older one is protected"
            await scene.ana.type_text("COPS", "/openvidu backup unschedule soon")
            await scene.ephemeral("UANA", "is removed")
            await scene.wait(DAY)
            assert len(taken(scene)) == 2
            await scene.ana.type_text("COPS", f"/openvidu backup unprotect {first}")
            await scene.ephemeral("UANA", "no longer protected")
            await scene.ana.type_text("COPS", "/openvidu audit 20")
            audit = await scene.ephemeral("UANA", "backups changed")
            assert str(audit.blocks).count("backups changed") == 4

    virtual.run(story())


def test_two_bots_take_one_backup() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.start_bot()
            await scene.wait(2 * 3600)
            assert len(taken(scene)) == 1
            assert len(scene.estate.snapshots) == 4

    virtual.run(story())


def test_a_bot_that_dies_at_the_time_is_replaced_by_one_that_goes_on() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scheduled(scene, "soon daily 09:00 UTC")
            while not any(a.type == "snapshot" for a in scene.estate.actions.values()):
                await scene.wait(5)
            scene.kill()
            await scene.wait(120)
            await scene.start_bot()
            newest = (await scene.journal.latest("acme", 1))[0]
            await scene.run_is(newest, State.DONE)
            assert len(scene.estate.snapshots) == 4

    virtual.run(story())


def test_a_backup_lets_a_window_go_first() -> None:
    """The cluster closes at 09:05: the backup of 09:00 is taken after that, of the closed disks."""

    async def story() -> None:
        async with Scene() as scene:
            await request_and_approve(
                scene, "window add nights daily 09:05-20:00 UTC", "Add window"
            )
            await scene.card("acme has window nights")
            await scheduled(scene, "soon daily 09:00 UTC")
            await scene.wait(2 * 3600)
            (label,) = taken(scene)
            assert all(s.name.endswith("-off") for s in scene.estate.snapshots.values()), label

    virtual.run(story())
