"""A bot that only observes: what it would have done is what an operating bot does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bot import app
from handlers.views.observed import observed_card
from services.billing.savings import SavedMeter
from services.common.errors import OBSERVES
from services.memory.observed import NightOutcome, ObservedNight
from services.runs.run import Run, State
from services.schedule.observed_night import DAY, ObservedReport
from services.schedule.past_closings import closing_record_of
from simulators.slack.elements import NotPossible
from tests.support import virtual
from tests.support.outside import Outside, listen
from tests.support.scene import Scene

HOUR = 3600.0
BEGINS = datetime(2027, 1, 15, 18, 0, tzinfo=UTC).timestamp()
NIGHTS = "nights Mon-Sun 20:00-07:30 UTC"
CLOSES = 2 * HOUR  # after BEGINS, each day
OPENS = 13.5 * HOUR
# Seconds in which empty nodes are drained; those of an autoscaler do it by themselves.
DRAIN = 360.0
# Media nodes at the beginning: as many as the kind comes back with.
MEDIA = {"pool": 3, "fixed": 3, "autoscaler": 1}
KINDS = pytest.mark.parametrize("kind", MEDIA)


@asynccontextmanager
async def world(mode: str, window: str = NIGHTS, **more: Any) -> AsyncIterator[Scene]:
    about: dict[str, Any] = {
        "origin": BEGINS,
        "media": 2,
        "pydo": False,
        "settings": {"mode": mode},
        "site": {"windows": [window]},
        **more,
    }
    async with Scene(start=False, **about) as scene:
        yield scene


def play(story: Callable[[Scene, Outside], Awaitable[None]], **more: Any) -> None:
    """Play a story of a bot that observes; nothing but reading reaches the world."""

    async def observed() -> None:
        async with world("observe", **more) as scene:
            outside = listen(scene.environment)
            await scene.start_bot()
            await story(scene, outside)
            assert outside.writes == {}
            assert outside.seen["digitalocean GET"] > 0

    virtual.run(observed())


async def until(scene: Scene, seconds: float) -> None:
    """Let time pass until so long after the beginning, with few rounds where nothing happens."""
    moment = BEGINS + seconds
    while (left := moment - scene.clock.now()) > 0:
        at = (scene.clock.now() - BEGINS) % DAY
        busy = any(abs(at - edge) < 0.2 * HOUR for edge in (CLOSES, OPENS))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "SWEEP_INTERVAL", 20.0 if busy else 300.0)
            await asyncio.sleep(min(left, 600.0))


async def report_of(scene: Scene, days: int = 14) -> ObservedReport:
    return await scene.bot.scheduler.observer.report("acme", days)


async def last(scene: Scene) -> ObservedNight:
    return (await report_of(scene)).nights[-1].night


# The same fortnight twice


@dataclass(frozen=True)
class Fortnight:
    """What came of the closings of a world."""

    closings: int
    saved: Decimal
    waited: tuple[float, ...]  # seconds, of each night with meetings
    writes: int


async def people_meet(scene: Scene, nights: int, first: int = 0) -> None:
    """Let people meet late on every other day, and the bot work, until so many nights are over."""
    for night in range(first, nights):
        await until(scene, night * DAY + CLOSES - 0.5 * HOUR)
        if night % 2 == 0:
            for people, minutes in ((4, 37 + 7 * night % 50), (2, 20 + 13 * night % 55)):
                scene.estate.open_meeting(people=people, minutes=minutes, recordings=0)
        await until(scene, (night + 1) * DAY)


async def operated(kind: str, nights: int) -> Fortnight:
    async with world("operate", kind=kind, media=MEDIA[kind], seed=11) as scene:
        outside = listen(scene.environment)
        await scene.start_bot()
        await people_meet(scene, nights)
        runs = [await scene.journal.run(r) for r in await scene.journal.latest("acme", 200)]
        records = [closing_record_of(run) for run in runs]
        facts = await scene.bot.scheduler.usage.facts("acme")
        assert facts is not None
        saved, _ = SavedMeter(facts).between(BEGINS, scene.clock.now())
        closed = [r for r in records if r is not None and r[2]]
        waits = tuple(sorted(seconds for _, seconds, _ in closed if seconds > DRAIN))
        return Fortnight(len(closed), saved, waits, sum(outside.writes.values()))


async def observed(kind: str, nights: int) -> Fortnight:
    async with world("observe", kind=kind, media=MEDIA[kind], seed=11) as scene:
        outside = listen(scene.environment)
        await scene.start_bot()
        await people_meet(scene, nights)
        report = await report_of(scene, nights)
        assert report.saved is not None
        waits = tuple(sorted(n.waited for n in report.waits))
        written = sum(outside.writes.values())
        return Fortnight(report.closings, report.saved, waits, written)


def alike(kind: str, nights: int) -> None:
    real = virtual.run(operated(kind, nights))
    would = virtual.run(observed(kind, nights))
    assert real.writes > 0
    assert would.writes == 0
    assert would.closings == real.closings == nights
    assert len(would.waited) == len(real.waited) == (nights + 1) // 2
    for one, other in zip(would.waited, real.waited, strict=True):
        assert abs(one - other) < DRAIN, (would.waited, real.waited)
    # Start-ups are measured only in the world that has them, and take minutes of node-hours.
    assert abs(would.saved - real.saved) <= max(Decimal("0.05") * real.saved, Decimal("0.10"))
    assert (real.saved > 0) is (kind != "fixed"), "powered-off droplets are billed in full"


@KINDS
@pytest.mark.thorough
def test_a_fortnight_is_reported_as_it_would_have_been(kind: str) -> None:
    alike(kind, 14)


@KINDS
@pytest.mark.sampled(1)
def test_a_night_is_reported_as_it_would_have_been(kind: str) -> None:
    alike(kind, 1)


# One night, in every way it may go


def test_a_night_that_outlasts_its_limit_asks_and_stays() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - HOUR)
        scene.estate.open_meeting(people=4, minutes=400)
        await until(scene, CLOSES + 0.5 * HOUR)
        assert (await last(scene)).outcome is NightOutcome.WAITING
        await until(scene, CLOSES + 1.1 * HOUR)
        night = await last(scene)
        assert night.outcome is NightOutcome.WAITING
        assert 0 <= night.asks - (BEGINS + CLOSES + HOUR) < 30
        await until(scene, CLOSES + 2 * HOUR)
        night = await last(scene)
        assert night.outcome is NightOutcome.STAYED
        text = observed_card(await report_of(scene)).text
        assert "It would have closed 0 times and saved nothing." in text
        assert "asked 1 question, stayed in service 1 time" in text
        await scene.card("acme would stay in service", timeout=600)

    play(story)


def test_a_meeting_that_begins_later_is_not_waited_for() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 60)
        scene.estate.open_meeting(people=4, minutes=11)
        await until(scene, CLOSES + 120)
        scene.estate.open_meeting(people=9, minutes=300)
        await until(scene, CLOSES + HOUR)
        night = await last(scene)
        assert night.outcome is NightOutcome.CLOSED
        assert night.rooms == 1
        assert 500 < night.waited < 720
        assert night.exact

    play(story)


def test_without_livekit_the_nodes_say_who_meets() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 60)
        scene.estate.open_meeting(people=4, minutes=11)
        await until(scene, CLOSES + HOUR)
        night = await last(scene)
        assert night.outcome is NightOutcome.CLOSED
        assert (night.rooms, night.people, night.exact) == (1, 4, False)
        assert "after at most 10 min for 1 meeting" in observed_card(await report_of(scene)).text

    play(story, livekit=False)


def test_a_window_that_asks_asks_no_one() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 60)
        scene.estate.open_meeting(people=4, minutes=60)
        await until(scene, CLOSES + 300)
        night = await last(scene)
        assert (night.outcome, night.rooms) == (NightOutcome.ASKED, 1)
        message = await scene.card("I would ask first")
        assert "actions" not in [b["type"] for b in message.blocks]

    play(story, window=f"{NIGHTS} --meetings ask")


def test_a_night_that_was_not_seen_saves_nothing() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 0.2 * HOUR)
        scene.environment.faults.switch("api_down")
        await until(scene, OPENS + 0.2 * HOUR)
        scene.environment.faults.switch("api_down", value=False)
        await until(scene, OPENS + HOUR)
        report = await report_of(scene)
        assert [n.night.outcome for n in report.nights] == [NightOutcome.UNSEEN]
        assert (report.closings, report.saved, report.unseen) == (0, Decimal(0), 1)
        assert "1 night not seen: counted as nothing saved." in observed_card(report).text

    play(story)


def test_a_night_with_an_hour_unseen_saves_nothing() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES + 3 * HOUR)
        assert (await report_of(scene)).closings == 1
        scene.environment.faults.switch("api_down")
        await until(scene, CLOSES + 4 * HOUR)
        scene.environment.faults.switch("api_down", value=False)
        await until(scene, CLOSES + 5 * HOUR)
        report = await report_of(scene)
        assert (report.closings, report.saved, report.unseen) == (0, Decimal(0), 1)
        assert "not seen: no look for 1 h" in observed_card(report).text

    play(story)


def test_a_bot_that_was_not_there_saw_nothing() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 0.5 * HOUR)
        scene.kill()
        await until(scene, OPENS + HOUR)
        await scene.start_bot()
        await until(scene, OPENS + 2 * HOUR)
        report = await report_of(scene)
        assert [n.night.outcome for n in report.nights] == [NightOutcome.UNSEEN]
        assert (report.closings, report.unseen) == (0, 1)

    play(story)


def test_a_night_goes_on_in_another_bot() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 60)
        scene.estate.open_meeting(people=4, minutes=31)
        await until(scene, CLOSES + 600)
        scene.kill()
        await scene.start_bot()
        await until(scene, CLOSES + HOUR)
        night = await last(scene)
        assert night.outcome is NightOutcome.CLOSED
        assert 1740 < night.waited < 2160  # rounds are five minutes apart here
        posted = [m.text for m in scene.ana.visible_messages("COPS") if "would close now" in m.text]
        assert len(posted) == 1

    play(story)


def test_a_kept_up_night_is_no_closing() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, CLOSES - 0.5 * HOUR)
        await scene.ana.type_text("COPS", "/openvidu keepup 3h")
        await until(scene, CLOSES + 0.3 * HOUR)
        assert [n.night.outcome for n in (await report_of(scene)).nights] in (
            [],
            [NightOutcome.KEPT],
        )

    play(story)


# What people type, and runs that are open


def test_no_command_opens_a_run_and_each_says_which_setting_would() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await scene.wait(60)
        for text in ("shutdown", "shutdown --now", "shutdown --at 23:00", "scale 3 --now"):
            await scene.ana.type_text("COPS", f"/openvidu {text} --reason x{len(text)}")
            answer = await scene.ephemeral("UANA", "Not done: this bot only observes")
            assert "`mode: operate` in its settings" in str(answer.blocks)
            assert all(b["type"] != "actions" for b in answer.blocks)
            answer.text = "read"
        await scene.ana.type_text("COPS", "/openvidu break-glass shutdown --reason fire")
        await scene.wait(30)
        assert await scene.journal.latest("acme", 9) == []
        assert await scene.bot.operations.reader.waiting("acme") == []

    play(story, roles={"break_glass": ["UANA"]})


@pytest.mark.parametrize(
    "command", ["shutdown", "scale 3", "backup create", "restart media-1", "restart master-1"]
)
@pytest.mark.sampled(1)
def test_the_wall_holds_where_every_other_check_is_broken(command: str) -> None:
    async def story(scene: Scene, outside: Outside) -> None:
        scene.bot.operations.clusters.observes = False  # as if each check of the mode were gone
        await scene.wait(30)
        await scene.ana.type_text("COPS", f"/openvidu {command}")
        await scene.wait(20)
        for message in scene.ana.visible_messages("COPS"):
            for person in (scene.ben, scene.ana):
                for label in ("Approve", "Start"):
                    with contextlib.suppress(NotPossible):
                        await person.press(message, label)
        await scene.wait(1200)
        run = await scene.journal.run("acme-1")
        assert run.state in (State.STOPPED, State.ROLLED_BACK, State.RUNNING, State.ASKING)
        assert "only observes" in f"{run.stopped} {run.end_text} {run.recovering}"
        assert outside.writes == {}

    play(story, pydo=True)


def test_a_window_is_added_because_that_changes_no_cluster() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await scene.wait(30)
        await scene.ana.type_text("COPS", "/openvidu window add late Mon-Sun 22:00-05:00 UTC")
        card = await scene.card("window late")
        await scene.ben.press(card, "Approve window")
        await scene.run_is("acme-1", State.DONE, timeout=600)
        __, book = await scene.bot.scheduler.books.read("acme")
        assert "late" in [w.name for w in book.windows]

    play(story)


def test_status_home_and_help_say_that_it_observes() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await scene.wait(30)
        await scene.ana.type_text("COPS", "/openvidu status")
        status = await scene.ephemeral("UANA", "observes only; nothing is changed")
        assert "observed, not acted on: closes" in status.text
        await scene.ana.type_text("COPS", "/openvidu observed --days 7")
        await scene.ephemeral("UANA", "acme: observed for 1 day")
        await scene.ana.type_text("COPS", "/openvidu help")
        assert "observed" in (await scene.ephemeral("UANA", "What you can do now")).text
        await scene.ana.open_home()
        await scene.wait(5)
        home = scene.ana.home()
        assert home is not None
        assert "This bot observes only; nothing is changed" in str(home.blocks)

    play(story)


def with_mode(scene: Scene, mode: str) -> None:
    scene.settings = scene.settings.model_copy(update={"mode": mode})


def test_an_open_run_is_not_driven_and_goes_on_when_the_bot_operates_again() -> None:
    async def story() -> None:
        async with world("operate", media=1) as scene:
            await scene.start_bot()
            await scene.wait(60)
            scene.estate.open_meeting(people=3, minutes=60, recordings=0)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            await scene.ben.press(await scene.card("Shut down acme?"), "Approve shutdown")
            await scene.wait(120)
            before = await scene.journal.run("acme-1")
            assert before.state is State.RUNNING
            scene.kill()
            with_mode(scene, "observe")
            outside = listen(scene.environment)
            await scene.start_bot()
            await scene.wait(90 * 60)
            assert outside.writes == {}
            during = await scene.journal.run("acme-1")
            assert (during.state, during.position) == (before.state, before.position)
            failures = scene.bot.operations.bulkheads.failures
            (failure,) = failures
            said = f"driving acme-1 (shutdown), which is open: not done, because {OBSERVES}"
            assert said in failure.text_line, "it is on /healthz"
            await scene.card("Driving acme-1 (shutdown), which is open: not done")
            (card,) = scene.cards_of(during)
            assert "It is not driven: this bot only observes" in card.text
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            await scene.ephemeral("UANA", "which is not driven now: not done")
            scene.kill()
            with_mode(scene, "operate")
            await scene.start_bot()
            done: Run = await scene.run_is("acme-1", State.DONE, timeout=3 * HOUR)
            assert done.ended_at > 0

    virtual.run(story())


def test_the_report_is_posted_after_so_many_days() -> None:
    async def story(scene: Scene, _: Outside) -> None:
        await until(scene, 0.5 * DAY)
        assert not [m for m in scene.ana.visible_messages("COPS") if "observed for" in m.text]
        await until(scene, 1.1 * DAY)
        message = await scene.card("acme: observed for 1 day", timeout=HOUR)
        assert "It would have closed 1 time and saved about $" in message.text
        await until(scene, 1.2 * DAY)
        posted = [m for m in scene.ana.visible_messages("COPS") if "observed for" in m.text]
        assert len(posted) == 1

    play(story, settings={"mode": "observe", "observe_report_days": 1})


def test_what_was_requested_before_the_switch_is_not_done() -> None:
    async def story() -> None:
        async with world("operate", media=1) as scene:
            await scene.start_bot()
            await scene.wait(30)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await scene.card("Shut down acme?")
            scene.kill()
            with_mode(scene, "observe")
            outside = listen(scene.environment)
            await scene.start_bot()
            await scene.wait(60)
            await scene.ben.press(card, "Approve shutdown")
            await scene.ephemeral("UBEN", "Shutdown: not done, because this bot only observes")
            await scene.wait(1800)
            assert await scene.journal.latest("acme", 9) == []
            assert outside.writes == {}

    virtual.run(story())


def test_a_bot_that_observes_leaves_the_night_to_one_that_operates() -> None:
    async def story() -> None:
        async with world("observe", media=1, shared=True) as scene:
            await scene.start_bot()
            await until(scene, CLOSES - HOUR)
            with_mode(scene, "operate")
            await scene.start_bot()
            await until(scene, CLOSES + HOUR)
            closed = await scene.run_is("acme-1", State.DONE)
            assert closed.plan.takes > 0
            observing, operating = scene.bots
            (failure,) = observing.operations.bulkheads.failures
            assert "a bot that operates shares this state" in failure.text
            assert operating.operations.bulkheads.failures == ()
            await scene.card("A bot that operates shares this state")
            assert (await report_of(scene)).nights == ()

    virtual.run(story())


def test_a_cluster_that_was_closed_before_the_switch_calls_people_at_its_opening() -> None:
    async def story() -> None:
        async with world("operate", media=1) as scene:
            await scene.start_bot()
            await until(scene, CLOSES + HOUR)
            await scene.run_is("acme-1", State.DONE)
            scene.kill()
            with_mode(scene, "observe")
            outside = listen(scene.environment)
            await scene.start_bot()
            await until(scene, OPENS + HOUR)
            card = await scene.card("will not be in service by 07:30")
            assert "this bot only observes (mode: observe) and starts nothing" in card.text
            assert outside.writes == {}
            report = await report_of(scene)
            assert report.nights == ()
            assert report.saved == 0, "what was saved, the operating bot saved"
            await until(scene, DAY + OPENS + HOUR)  # a night of a cluster that is closed already
            assert (await report_of(scene)).saved == 0

    virtual.run(story())
