"""Quiet windows: nights in which a cluster closes because it is empty, and not otherwise."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.cluster.model import Cluster
from services.common.errors import Unreachable
from services.runs.run import State
from tests.golden.make import dump
from tests.golden.state import RELEASED, ReleasedReader
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, in_full, run_ended, whole, with_buttons

pytestmark = pytest.mark.nights(6)  # each is a night

MADRID = ZoneInfo("Europe/Madrid")
QUIET = "quiet daily 18:00-08:00 --when-empty 30m"
Story = Callable[[Scene], Awaitable[None]]


def at(text: str) -> float:
    """Return a time in Madrid, in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def play(
    story: Story,
    start: str = "2026-11-25T17:50",
    site: Mapping[str, object] = MappingProxyType({}),
    **more: Any,
) -> None:
    async def scene_of_it() -> None:
        about: dict[str, Any] = {"timezone": "Europe/Madrid", "channel": "COPS"}
        about |= {"windows": [QUIET], "wake": {"hours": 2}, "autoscaler": {"minimum": 2}, **site}
        roles = {"operators": ["UANA", "UBEN"], "approvers": ["UBEN"], "wakers": ["UDORA"]}
        # It looks once a minute, so no round is left out.
        async with Scene(
            media=2, origin=at(start), roles=roles, site=about, pydo=False, every_round=True, **more
        ) as scene:
            await story(scene)

    virtual.run(scene_of_it())


async def until(scene: Scene, when: str) -> None:
    await scene.wait(at(when) - scene.clock.now())


def down(scene: Scene) -> bool:
    media = scene.estate.media("acme")
    gone = not media or all(d.status == "off" for d in media)
    return all(m.status == "off" for m in scene.estate.masters("acme")) and gone


def up(scene: Scene) -> bool:
    return len(scene.estate.serving("acme")) == 2 and scene.estate.front_is_up("acme")


@contextmanager
def silent(scene: Scene) -> Iterator[None]:
    """LiveKit does not answer meanwhile, so who meets is unknown."""
    people = scene.bot.operations.clusters.cluster("acme").world._people  # type: ignore[attr-defined]
    answers = people.load

    async def gone() -> None:
        raise Unreachable("livekit does not answer")

    people.load = gone
    yield
    people.load = answers


async def runs(scene: Scene) -> list[str]:
    return list(await scene.journal.latest("acme", 9))


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "kind", ["high availability pool", "high availability autoscaler", "elastic pool"]
)
def test_a_night(kind: str) -> None:
    """Told as the hours begin and before it closes; woken, closed again, opened in time."""

    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=40, recordings=0)
        await until(scene, "2026-11-25T18:02")
        hours = await with_buttons(scene, "acme closes after 30 min without a meeting")
        assert "At the earliest <!date^" in hours.text
        assert "Keep running tonight" in whole(hours)
        await until(scene, "2026-11-25T18:57")
        assert up(scene), "there was a meeting until 18:30"
        notice = await with_buttons(scene, "acme is empty and closes (in", 600)
        assert "No meeting since <!date^" in notice.text
        closing = await run_ended(scene)
        assert down(scene)
        assert at("2026-11-25T18:59") < closing.opened_at < at("2026-11-25T19:03")
        assert closing.reason.startswith("closes at 19:0")
        assert closing.reason.endswith("empty for 30 min")
        await scene.ana.type_text("COPS", "/openvidu window list")
        assert "closed by quiet" in (await scene.ephemeral("UANA", "Windows of acme")).text
        await until(scene, "2026-11-25T23:00")
        await scene.dora.type_text("COPS", "/openvidu wake")
        await scene.ephemeral("UDORA", "then closes after 30 min without a meeting")
        await run_ended(scene, run="acme-2")
        again = await run_ended(scene, run="acme-3")
        assert at("2026-11-26T00:00") <= again.opened_at < at("2026-11-26T00:05")
        await until(scene, "2026-11-26T08:01")
        assert up(scene), "in service by the end of its hours"
        assert await runs(scene) == ["acme-4", "acme-3", "acme-2", "acme-1"]
        await until(scene, "2026-11-26T17:30")
        assert up(scene), "it closes within its hours only"

    deployment, _, fleet = kind.rpartition(" ")
    play(story, deployment=deployment, kind=fleet)


@pytest.mark.parametrize("what", ["recording", "unknown", "restarts"])
@pytest.mark.sampled
def test_unknown_is_never_empty(what: str) -> None:
    """A recording without people, an API that does not answer, a bot that restarts."""

    async def story(scene: Scene) -> None:
        if what == "recording":
            scene.estate.record_page(minutes=180)
        with silent(scene) if what == "unknown" else nullcontext():
            for _ in range(9):
                await scene.wait(20 * 60)
                if what == "restarts":
                    scene.kill()
                    await scene.start_bot()
        assert await runs(scene) == []
        assert up(scene)
        await run_ended(scene)
        assert down(scene)

    play(story)


def test_a_gap_in_what_was_seen_begins_the_time_anew() -> None:
    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T18:20")
        with silent(scene):
            await scene.wait(240)
        closing = await run_ended(scene)
        assert closing.opened_at >= at("2026-11-25T18:54")

    play(story)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["pool", "autoscaler", "fixed"])
def test_who_comes_as_it_closes_keeps_it_in_service(kind: str) -> None:
    """A meeting begins between the last look and the first signal."""

    async def story(scene: Scene) -> None:
        watch = scene.bot.scheduler.quiet
        looks = watch.look_at_all

        async def then_someone_comes(name: str) -> Cluster | None:
            seen = await looks(name)
            assert scene.estate.open_meeting(people=2, minutes=90, recordings=0)
            return seen

        watch.look_at_all = then_someone_comes  # type: ignore[method-assign]
        run = await scene.run_is("acme-1", State.DONE, State.ROLLED_BACK, State.STOPPED)
        watch.look_at_all = looks  # type: ignore[method-assign]
        await scene.settled(run)
        assert run.turned_back, "the closing is given up"
        await scene.wait(3600)
        assert scene.estate.people_disconnected == 0
        assert up(scene)
        assert (await scene.journal.latest("acme", 1))[0] != "acme-3"
        said = everything_read(scene)
        assert "acme stays in service" in said
        await until(scene, "2026-11-25T21:30")
        assert down(scene), "empty again"

    play(story, kind=kind)


def test_its_approval_says_exactly_what_it_may_do() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", "/openvidu window add quiet --when-empty 30m --between 18:00-08:00"
        )
        card = await with_buttons(scene, "Add window quiet to acme")
        shown = await in_full(scene.ben, card)
        may = (
            "acme may close between 18:00 and 08:00 when empty for 30 min, at most 3 times a night"
        )
        assert may in shown
        assert "at the earliest 18:30" in shown
        assert "saves at most $" in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has window quiet")
        await scene.ana.type_text("COPS", "/openvidu window list")
        listed = await scene.ephemeral("UANA", "Windows of acme")
        assert "quiet closes after 30 min without a meeting, Wed 2026-11-25 18:30" in listed.text
        await run_ended(scene, run="acme-2")
        assert down(scene)
        for version in RELEASED:
            assert ReleasedReader(version).cannot_read(dump(scene)) == []

    play(story, site={"windows": []})


def test_keeping_it_running_needs_no_closing_that_is_planned() -> None:
    async def story(scene: Scene) -> None:
        hours = await with_buttons(scene, "acme closes after 30 min without a meeting", 900)
        await scene.ben.press(hours, "Keep running 1 h")
        await until(scene, "2026-11-25T19:25")
        assert up(scene)
        closing = await run_ended(scene)
        assert closing.opened_at >= at("2026-11-25T19:29")

    play(story)


BOARD = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//acme//EN
BEGIN:VEVENT
UID:board
DTSTAMP:20261101T000000Z
DTSTART:20261125T200000Z
DTEND:20261125T210000Z
SUMMARY:Board
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.thorough
def test_a_calendar_opens_it_and_keeps_it_open(tmp_path: Path) -> None:
    """A meeting from 21:00 to 22:00: in service by then, and empty for 30 min after its end."""
    calendar = tmp_path / "team.ics"
    calendar.write_text(BOARD.replace("\n", "\r\n"))

    async def story(scene: Scene) -> None:
        await run_ended(scene)
        assert down(scene)
        await until(scene, "2026-11-25T21:00")
        assert up(scene)
        await until(scene, "2026-11-25T22:25")
        assert up(scene)
        await until(scene, "2026-11-25T22:45")
        assert down(scene)

    play(story, site={"meetings": str(calendar)})


@pytest.mark.thorough
def test_it_closes_a_limited_number_of_times() -> None:
    async def story(scene: Scene) -> None:
        for number in (1, 3):
            await run_ended(scene, run=f"acme-{number}")
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run=f"acme-{number + 1}")
        await until(scene, "2026-11-26T07:00")
        assert up(scene)
        assert len(await runs(scene)) == 4

    play(story, site={"windows": [f"{QUIET} --closings 2"]})


def test_two_bots_and_a_crash_close_it_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.start_bot()
        await until(scene, "2026-11-25T18:32")
        scene.kill()
        await scene.start_bot()
        await until(scene, "2026-11-25T21:00")
        assert down(scene)
        assert await runs(scene) == ["acme-1"]
        assert scene.estate.people_disconnected == 0
        await until(scene, "2026-11-26T08:01")
        assert up(scene)

    play(story)


@pytest.mark.thorough
@pytest.mark.parametrize("after", [0, 1, 4, 30, 85, 100, 115])
def test_a_crash_at_any_moment_of_the_closing(after: int) -> None:
    """The next bot goes on with it, or begins to watch anew: it closes, once."""

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T18:30")
        await scene.wait(5 + after)
        scene.kill()
        await scene.start_bot()
        await until(scene, "2026-11-25T19:15")
        assert down(scene)
        assert await runs(scene) == ["acme-1"]
        await until(scene, "2026-11-26T08:01")
        assert up(scene)
        assert await runs(scene) == ["acme-2", "acme-1"]

    play(story)


@pytest.mark.thorough
def test_what_a_person_stopped_opens_at_the_end_of_its_hours() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme?")
        await scene.ben.press(card, "Approve")
        await run_ended(scene)
        await until(scene, "2026-11-26T07:00")
        assert down(scene)
        await until(scene, "2026-11-26T08:01")
        assert up(scene)

    play(story)
