"""Changes for later: approved now, checked again at their moment, done once or reported."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handlers.commands.help import Help
from handlers.commands.parser import COMMANDS, parse
from handlers.slack.markup import date_time
from services.access.policy import Actor
from services.common.command import Command
from services.common.errors import Refused
from services.operations.results import WaitingForApproval
from services.procedures import (
    AddBackupSchedule,
    AddWindow,
    BackupCreate,
    Procedure,
    Shutdown,
    Startup,
)
from services.runs.request import GRACE, Request, RequestState
from services.runs.run import State
from services.windows.times import parse_at
from simulators.slack.model import Message
from tests.support import entry_points, virtual
from tests.support.coverage_level import sample
from tests.support.scene import Scene
from tests.support.stories import everything_read, rejects, run_ended, with_buttons

ZONE = "Europe/Madrid"
MADRID = ZoneInfo(ZONE)
AT_FOUR = datetime(2026, 11, 25, 16, tzinfo=MADRID).timestamp()  # a Wednesday
BEFORE = datetime(2026, 11, 25, 21, 52, tzinfo=MADRID).timestamp()
AT_TEN = datetime(2026, 11, 25, 22, tzinfo=MADRID).timestamp()
ANA, BEN, CARLA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA"))
TITLE = "Shut down acme"


def scene_of(**more: Any) -> Scene:
    site = {"channel": "COPS", "timezone": ZONE, **more.pop("site", {})}
    return Scene(**{"media": 2, "origin": BEFORE, "pydo": False, "site": site, **more})


async def planned(scene: Scene, words: str = "shutdown --at 22:00") -> Message:
    """Asked for by Ana, approved by Ben."""
    await scene.ana.type_text("COPS", f"/openvidu {words}")
    card = await with_buttons(scene, TITLE)
    await scene.ben.press(card, "Approve")
    await with_buttons(scene, "counts until")
    return card


async def leaves(scene: Scene, user: str) -> None:
    """The account is deactivated; the bot's cached answer has expired by the planned moment."""
    scene.slack.workspace.users[user].deleted = True
    scene.kill()
    await scene.start_bot()


async def until(scene: Scene, at: float) -> None:
    await scene.wait(at - scene.clock.now())


async def only(scene: Scene) -> Request:
    (found,) = await scene.bot.operations.reader.scheduled("acme")
    return found


async def newest(scene: Scene, request: Request) -> Request:
    return await scene.journal.request(request.id)


def played(story: Callable[[Scene], Any], **more: Any) -> None:
    async def told_of() -> None:
        async with scene_of(**more) as scene:
            await story(scene)

    virtual.run(told_of())


# As planned


def test_approved_at_four_it_is_done_at_ten() -> None:
    async def story(scene: Scene) -> None:
        card = await planned(scene)
        request = await only(scene)
        assert (request.later, request.until) == (AT_TEN, AT_TEN + GRACE)
        shown = next(m for m in scene.ana.visible_messages("COPS") if m.ts == card.ts)
        assert "Wed 25 Nov 2026, 22:00 Europe/Madrid" in shown.text, (
            "the date and the zone stand on the card"
        )
        assert await scene.bot.operations.reader.open_run("acme") is None
        scene.kill()  # and nobody looks for hours
        await until(scene, AT_TEN - 60)
        await scene.start_bot()
        await until(scene, AT_TEN - 5)
        assert await scene.bot.operations.service.runs("acme", ANA) == [], "not early"
        await until(scene, AT_TEN + 15)
        run = await run_ended(scene)
        assert AT_TEN <= run.opened_at < AT_TEN + 11
        assert [a.user for a in run.approvers] == ["UBEN"]
        assert run.agreed < AT_FOUR + 60
        assert (await newest(scene, request)).state is RequestState.APPROVED
        assert await scene.bot.operations.reader.scheduled("acme") == []
        assert f"started <!date^{int(run.opened_at)}" in everything_read(scene)

    played(story, origin=AT_FOUR)


@pytest.mark.parametrize(
    "words", ["backup create --at 22:00", "startup 3 --at 22:00", "scale 4 --at Wed 22:00"]
)
def test_what_needs_no_approval_is_planned_at_once(words: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await with_buttons(scene, "needs no approval; starts")
        await until(scene, AT_TEN + 15)
        run = await scene.run_is("acme-1", State.RUNNING, State.DONE)
        assert run.opened_at >= AT_TEN
        await run_ended(scene)

    played(story)


def test_a_start_is_planned_while_there_is_nothing_to_start() -> None:
    """What is to be done then is looked at then."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", '/openvidu startup --at "Wed 22:30"')
        await scene.card("Nothing to do as of now")
        await scene.bot.operations.service.request(ANA, "acme", Shutdown(), reason="a test")
        (shutdown,) = await scene.bot.operations.reader.waiting("acme")
        await scene.bot.operations.service.approve(shutdown.id, BEN)
        await run_ended(scene)
        await until(scene, AT_TEN + 1815)
        assert (await run_ended(scene, run="acme-2")).plan.procedure == Startup()

    played(story)


# Looked at again


def _grow(scene: Scene) -> None:
    scene.estate.open_meeting(people=9, minutes=600, recordings=0)


def _add_node(scene: Scene) -> None:
    scene.estate.pool("acme").target += 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [(_grow, "9 people are in meetings"), (_add_node, "the cluster changed since")],
)
def test_what_is_heavier_then_is_asked_for_again(
    changes: Callable[[Scene], None], why: str
) -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        changes(scene)
        await until(scene, AT_TEN + 15)
        assert await scene.bot.operations.service.runs("acme", ANA) == []
        (again,) = await scene.bot.operations.reader.waiting("acme")
        assert not again.later
        assert why in again.differs
        card = await with_buttons(scene, "Changed: ")
        assert "Wed 25 Nov 2026, 22:00 Europe/Madrid" in card.text
        assert "<@UANA>" in card.text
        assert "<@UBEN>" in card.text, "those who can approve it are mentioned"
        assert (await newest(scene, request)).replaced_by == again.id
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.RUNNING, State.DONE)

    played(story)


def test_an_approver_who_left_does_not_count_any_more() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        await leaves(scene, "UBEN")
        await until(scene, AT_TEN + 15)
        (again,) = await scene.bot.operations.reader.waiting("acme")
        assert "the approval of [[person UBEN]] no longer counts" in again.differs
        assert await scene.bot.operations.service.runs("acme", ANA) == []

    played(story)


def test_who_asked_and_may_not_any_more_is_not_obeyed() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        await leaves(scene, "UANA")
        await until(scene, AT_TEN + 15)
        closed = await newest(scene, request)
        assert closed.state is RequestState.EXPIRED
        assert "may no longer change this cluster" in closed.why_closed
        assert await scene.bot.operations.reader.waiting("acme") == []
        assert "was not done at" in everything_read(scene)

    played(story)


def test_what_is_done_already_is_said() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        await scene.bot.operations.service.request(ANA, "acme", Shutdown(), reason="now")
        (now,) = await scene.bot.operations.reader.waiting("acme")
        await scene.bot.operations.service.approve(now.id, BEN)
        await run_ended(scene)
        await until(scene, AT_TEN + 15)
        assert (
            "there was nothing to do: acme is shut down already"
            in (await newest(scene, request)).why_closed
        )

    played(story)


# In its way


def test_a_hold_that_ends_in_time_is_waited_for_and_shown() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        await until(scene, AT_TEN - 60)
        await scene.ana.type_text("COPS", "/openvidu hold looking into it for 5m")
        await until(scene, AT_TEN + 30)
        assert await scene.bot.operations.service.runs("acme", ANA) == []
        assert "on hold" in (await newest(scene, request)).waits
        assert "Not started yet" in everything_read(scene)
        await until(scene, AT_TEN + 300)
        assert (await run_ended(scene)).opened_at < AT_TEN + GRACE

    played(story)


def test_a_hold_that_lasts_longer_is_the_end_of_it_and_told_once() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        await scene.ana.type_text("COPS", "/openvidu hold looking into it for 10h")
        await until(scene, AT_TEN + GRACE + 60)
        closed = await newest(scene, request)
        assert closed.state is RequestState.EXPIRED
        assert "on hold" in closed.why_closed
        await scene.wait(120)
        said = [m for m in scene.ana.visible_messages("COPS") if "was not done at" in m.text]
        assert len(said) == 1
        assert "<@UANA> <@UBEN>" in said[0].text

    played(story)


def test_nothing_is_planned_into_a_hold() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu hold looking into it for 10h")
        await scene.wait(5)
        with pytest.raises(Refused, match="acme is on hold for another"):
            await scene.bot.operations.service.request(
                ANA, "acme", Shutdown(), later=(AT_TEN, ZONE)
            )
        after = datetime(2026, 11, 26, 10, tzinfo=MADRID).timestamp()
        assert isinstance(
            await scene.bot.operations.service.request(
                ANA, "acme", Shutdown(), later=(after, ZONE)
            ),
            WaitingForApproval,
        )

    played(story)


def test_a_busy_cluster_is_waited_for() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu backup create --at 22:00")
        await with_buttons(scene, "needs no approval; starts")
        request = await only(scene)
        scene.estate.open_meeting(people=2, minutes=1000)
        await until(scene, AT_TEN - 60)
        await scene.bot.operations.service.request(ANA, "acme", Shutdown(), reason="now")
        (now,) = await scene.bot.operations.reader.waiting("acme")
        await scene.bot.operations.service.approve(now.id, BEN)
        await until(scene, AT_TEN + GRACE + 60)
        assert "acme is locked by `acme-1`: shutdown" in (await newest(scene, request)).why_closed

    played(story)


@pytest.mark.parametrize("late", [600.0, GRACE + 120.0])
def test_a_bot_that_was_down_does_it_a_little_late_or_says_that_it_was_down(late: float) -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        scene.kill()
        await until(scene, AT_TEN + late)
        await scene.start_bot()
        await scene.wait(60)
        closed = await newest(scene, request)
        if late < GRACE:
            assert closed.run == "acme-1"
            return
        assert closed.state is RequestState.EXPIRED
        assert (
            closed.why_closed
            == "no bot was running at Wed 25 Nov 2026, 22:00 Europe/Madrid, nor for 15 "
            "min after that"
        )
        await scene.wait(120)
        assert (
            len([m for m in scene.ana.visible_messages("COPS") if "was not done at" in m.text]) == 1
        )
        assert await scene.bot.operations.service.runs("acme", ANA) == []

    played(story)


# Approved too late, called off, listed


def test_without_an_approval_before_its_moment_it_is_not_done() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown --at 22:00")
        assert (
            "Approve or reject: <@UBEN> or <@UCARLA>, until"
            in (await with_buttons(scene, TITLE)).text
        )
        (request,) = await scene.bot.operations.reader.waiting("acme")
        await until(scene, AT_TEN + 30)
        assert (await newest(scene, request)).state is RequestState.EXPIRED
        assert "expired" in everything_read(scene)
        with pytest.raises(Refused, match="this request expired"):
            await scene.bot.operations.service.approve(request.id, BEN)

    played(story)


@pytest.mark.parametrize("by", ["button", "command"])
def test_it_is_called_off_by_a_button_and_by_a_command(by: str) -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        if by == "button":
            await rejects(
                scene.person("UCARLA"),
                await with_buttons(scene, "counts until"),
                "not tonight",
                "Cancel…",
            )
        else:
            await scene.ana.type_text("COPS", "/openvidu later")
            listed = await scene.ephemeral("UANA", "Scheduled on acme")
            assert f"{date_time(request.later)} Shut down acme" in listed.text
            short = request.id.removeprefix("at.")[:6]
            await scene.ana.type_text("COPS", f"/openvidu later cancel {short}")
            await scene.ephemeral("UANA", "is cancelled")
        await scene.wait(10)
        assert (await newest(scene, request)).state is RequestState.REJECTED
        assert "cancelled by" in everything_read(scene)
        await until(scene, AT_TEN + 60)
        assert await scene.bot.operations.service.runs("acme", ANA) == []

    played(story)


def test_status_and_home_show_it() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        await scene.ana.type_text("COPS", "/openvidu status")
        assert (
            f"Scheduled: {date_time(AT_TEN)} Shut down acme"
            in (await scene.ephemeral("UANA", "Cost now")).text
        )
        await scene.ana.open_home()
        await scene.wait(20)
        home = str(scene.ana.home())
        assert f"{date_time(AT_TEN)} *Shut down acme*" in home
        assert "Cancel…" in home

    played(story)


def test_a_second_press_says_that_it_is_approved_already() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        with pytest.raises(Refused, match="this is already approved and is scheduled for"):
            await scene.bot.operations.service.approve(request.id, CARLA)

    played(story)


def test_the_same_at_the_same_time_is_asked_for_once() -> None:
    async def story(scene: Scene) -> None:
        operations = scene.bot.operations
        await operations.service.request(ANA, "acme", Shutdown(), later=(AT_TEN, ZONE))
        with pytest.raises(Refused, match="has already requested this"):
            await operations.service.request(BEN, "acme", Shutdown(), later=(AT_TEN, ZONE))
        assert isinstance(
            await operations.service.request(ANA, "acme", Shutdown(), later=(AT_TEN + 3600, ZONE)),
            WaitingForApproval,
        )
        assert isinstance(
            await operations.service.request(ANA, "acme", Shutdown()), WaitingForApproval
        ), "now is another thing"

    played(story)


def test_what_cannot_be_planned() -> None:
    async def story(scene: Scene) -> None:
        operations = scene.bot.operations
        with pytest.raises(Refused, match="takes no `--at`: a window has its own times"):
            await operations.service.request(
                ANA, "acme", AddWindow("nights Mon-Fri 20:00-07:30"), later=(AT_TEN, ZONE)
            )
        with pytest.raises(Refused, match="that time has passed"):
            await operations.service.request(
                ANA, "acme", Shutdown(), later=(scene.clock.now() - 1, ZONE)
            )
        with pytest.raises(Refused, match="at most 31 days ahead"):
            await operations.service.request(
                ANA, "acme", BackupCreate(), later=(AT_TEN + 40 * 86400, ZONE)
            )
        await scene.ana.type_text("COPS", "/openvidu shutdown --at 20:00")
        said = await scene.ephemeral("UANA", "has passed")
        assert '--at "2026-11-26 20:00"' in said.text

    played(story)


def test_a_version_without_it_finds_no_request_under_the_keys_that_it_reads() -> None:
    async def story(scene: Scene) -> None:
        await planned(scene)
        request = await only(scene)
        found = await scene.store.get(
            f"request:{request.id}", "pending:acme", f"later:{request.id}"
        )
        assert found[0] is None
        assert request.id not in (found[1] or "")
        assert found[2] == request.text
        assert replace(request, text="") == replace(await newest(scene, request), text="")

    played(story)


# What is typed


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("22:00", AT_TEN),
        ("10pm", AT_TEN),
        ("today 22:00", AT_TEN),
        ("02:00", AT_TEN + 4 * 3600),
        ("Thu 07:30", AT_TEN + 9.5 * 3600),
        ("tomorrow 22:00", AT_TEN + 86400),
        ("2026-11-25 21:00 UTC", AT_TEN),
    ],
)
def test_a_moment_is_read_by_the_clusters_clocks(said: str, at: float) -> None:
    assert parse_at(said, AT_FOUR, ZONE) == at


@pytest.mark.parametrize(
    ("said", "typed_at", "words"),
    [
        (
            "14:00",
            AT_FOUR,
            'Wed 2026-11-25 14:00 has passed; for Thu 2026-11-26 14:00 write `--at "2026-11-26 '
            '14:00"`',
        ),
        ("Wed 15:59", AT_FOUR, "Wed 2026-11-25 15:59 has passed; for Wed 2026-12-02 15:59 write"),
        ("today 14:00", AT_FOUR, "has already passed"),
        ("2h", AT_FOUR, "can be read in two ways: write `at 02:00`, or `for 2h`"),
        ("22", AT_FOUR, "can be read in two ways"),
        ("Fri", AT_FOUR, "can be read in two ways"),
        (
            "2027-03-28 02:30",
            AT_FOUR,
            'on 2027-03-28 (2027-03-28 02:30): write `--at "2027-03-28 01:30"` or `--at '
            '"2027-03-28 03:30"`',
        ),
        (
            "2027-10-31 02:30",
            AT_FOUR,
            'twice on 2027-10-31: write `--at "2027-10-31 00:30 UTC"` or `--at "2027-10-31 '
            '01:30 UTC"`',
        ),
    ],
)
def test_what_is_over_skipped_or_shown_twice_is_refused_with_both_readings(
    said: str, typed_at: float, words: str
) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        parse_at(said, typed_at, ZONE)


@pytest.mark.parametrize(
    "words",
    [
        "shutdown --at Fri 22:00",
        'shutdown --at "Fri 22:00"',
        "shutdown --at='Fri 22:00'",
        "--at Fri 22:00",
    ],
)
def test_day_and_time_are_one_value_also_without_quotes(words: str) -> None:
    assert (
        parse(words if words.startswith("shut") else f"shutdown {words} --reason x").at
        == "Fri 22:00"
    )


@pytest.mark.parametrize("kind", [k for k in COMMANDS if not k.hidden], ids=lambda k: k.command)
def test_at_is_understood_by_what_changes_a_cluster_and_by_nothing_else(
    kind: type[Command],
) -> None:
    """From the registry: looks, windows and break-glass take none."""
    text = f"{entry_points.sample_command(kind)} --at 22:00"
    if (issubclass(kind, Procedure) and kind.schedulable) or getattr(kind, "later", False):
        assert parse(text).at == "22:00"
        return
    if kind is Help:  # It explains what stands behind it, and does nothing.
        assert parse(text) == parse(text.removesuffix(" --at 22:00"))
        return
    with pytest.raises(Refused, match="--at"):
        parse(text)
    of_the_schedule = (AddWindow, AddBackupSchedule)
    assert issubclass(kind, of_the_schedule) or not issubclass(kind, Procedure)


# Dies over it


def test_whatever_call_a_bot_dies_at_it_is_done_once_or_not_and_told() -> None:
    """From shortly before the moment, a bot crashes at some calls; another takes over."""

    async def with_death(point: int | None) -> int:
        async with scene_of(origin=AT_TEN - 40, media=1) as scene:
            await planned(scene)
            request = await only(scene)
            scene.kill()
            await until(scene, AT_TEN - 3)
            await scene.start_bot(point)
            life = scene.crash_injectors[-1]
            await until(scene, AT_TEN + 15)
            life.die_at, points = None, life.points
            if life.is_dead:
                await scene.start_bot()
            await scene.run_is("acme-1", State.RUNNING, State.DONE)
            await scene.wait(15)
            assert [r.id for r in await scene.bot.operations.service.runs("acme", ANA)] == [
                "acme-1"
            ], "once"
            assert (await newest(scene, request)).run == "acme-1"
            assert "started <!date" in everything_read(scene)
            assert await scene.bot.operations.reader.scheduled("acme") == []
            scene.promises = False  # the run is left in the middle
            return points

    points = virtual.run(with_death(None))
    assert points > 40
    for point in sample(points, 4):
        virtual.run(with_death(point))
