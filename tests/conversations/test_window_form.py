"""The form for an off-hours window: its initial values, what it refuses, what it leads to."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.views.window_form import read_window_form, window_form
from services.windows import Window, check, parse_window
from simulators.slack.blockkit import check_view
from simulators.slack.elements import state_of
from simulators.slack.model import View
from tests.support import virtual
from tests.support.scene import Scene

NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"


def play(story: Callable[[Scene], Awaitable[None]], **site: object) -> None:
    async def scene_of_it() -> None:
        async with Scene(
            media=2, site={"timezone": "Europe/Madrid", "channel": "COPS", **site}
        ) as scene:
            await story(scene)

    virtual.run(scene_of_it())


async def opened(scene: Scene, words: str) -> View:
    await scene.ana.type_text("COPS", f"/openvidu window add {words}")
    return await scene.ana.wait_for(scene.ana.modal)


def test_only_a_name_opens_the_form_and_it_leads_to_the_same_request_as_words() -> None:
    async def story(scene: Scene) -> None:
        view = await opened(scene, "nights --reason budget")
        said = str(view.blocks)
        assert "masters are billed while powered off" in said
        assert "a start-up takes minutes" in said
        assert "only removed media nodes save money" in said
        answers: dict[str, object] = {
            "Closes on": ["Mon", "Tue", "Fri"],
            "Closes at": "21:00",
            "In service again by": "06:30",
            "What is closed": "Media nodes only",
            "Media nodes when it opens": "3",
            "If meetings run at closing time": "Ask first",
            "Not on these dates": "2027-12-24..2027-12-26, 2028-01-06",
        }
        assert await scene.ana.fill_and_submit(view, answers) is None
        card = await scene.card("Add window nights to acme")
        assert "budget" in card.text
        await scene.ben.press(card, "Approve")
        await scene.card("acme has window nights ·")
        _, book = await scene.bot.scheduler.books.read("acme")
        (window,) = book.windows
        assert window.to_text() == (
            "nights Mon,Tue,Fri 21:00-06:30 Europe/Madrid --media-only --number 3 "
            "--meetings ask --except 2027-12-24..2027-12-26,2028-01-06"
        )

    play(story)


def test_what_is_wrong_is_said_at_its_field_and_the_form_stays() -> None:
    async def story(scene: Scene) -> None:
        view: View | None = await opened(scene, "")
        wrong: dict[str, object] = {
            "Name": "my nights",
            "Time zone": "Europe/Madird",
            "Also on these dates": "soon",
            "Not on these dates": "2027-02-30",
        }
        view = await scene.ana.fill_and_submit(view, wrong)
        assert view is not None
        assert set(view.errors) == {"zone", "dates", "except"}
        assert "did you mean Europe/Madrid?" in view.errors["zone"]
        assert "does not exist" in view.errors["except"]
        view = await scene.ana.fill_and_submit(
            view,
            {"Time zone": "Europe/Madrid", "Also on these dates": "", "Not on these dates": ""},
        )
        assert view is not None
        assert list(view.errors) == ["name"]
        view = await scene.ana.fill_and_submit(
            view, {"Name": "nights", "Closes on": [], "In service again by": "20:00"}
        )
        assert view is not None
        assert list(view.errors) == ["days"]
        view = await scene.ana.fill_and_submit(view, {"Closes on": ["Mon"]})
        assert view is not None
        assert list(view.errors) == ["opens"]
        assert await scene.ana.fill_and_submit(view, {"In service again by": "07:00"}) is None
        await scene.card("Add window nights to acme")

    play(story)


def test_a_name_that_is_there_begins_with_its_window() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(15)
        view = await opened(scene, "nights")
        assert "replaces the window nights" in str(view.blocks)
        assert await scene.ana.fill_and_submit(view, {"In service again by": "07:00"}) is None
        card = await scene.card("Add window nights to acme")
        replaces = "Replaces the window nights Sat 20:00-07:30"
        assert replaces in card.text
        assert replaces in str(card.blocks).replace("*", "")

    play(story, windows=["nights Sat 20:00-07:30"])


def test_who_may_not_change_anything_sees_no_form_and_a_thread_is_told_how_to_write_it() -> None:
    async def story(scene: Scene) -> None:
        await scene.dora.type_text("COPS", "/openvidu window add nights")
        await scene.ephemeral("UDORA", "Only operators")
        assert scene.dora.modal() is None
        talk = await scene.ana.type_text("COPS", "when do we close?")
        assert talk is not None
        await scene.ana.mention_bot("COPS", "window add nights", talk.ts)
        await scene.ephemeral("UANA", "rite a window as NAME DAYS")

    play(story)


WINDOWS = st.builds(
    Window,
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True),
    days=st.sets(st.integers(0, 6), min_size=1, max_size=6).map(lambda d: tuple(sorted(d))),
    close=st.integers(0, 1439),
    open=st.integers(0, 1439),
    zone=st.sampled_from(("UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires")),
    number=st.none() | st.integers(1, 1000),
    meetings=st.sampled_from(("wait", "ask", "skip")),
    wait_limit=st.integers(1, 1440).map(lambda m: m * 60.0),
    kind=st.sampled_from(("shutdown", "media-only")),
    dates=st.sampled_from(((), ("2027-12-24", "2027-12-25"))),
    off=st.sampled_from(((), ("2028-01-06",))),
).filter(lambda w: w.close != w.open)


def submitted(view: Mapping[str, Any]) -> dict[str, Any]:
    """Sent as it was opened."""
    blocks = list(view["blocks"])
    return {**view, "state": {"values": state_of(blocks, {})}}


@given(WINDOWS)
def test_a_window_that_goes_through_the_form_untouched_is_the_same(window: Window) -> None:
    view = window_form("acme", "COPS", check(window), known=True)
    assert check_view(view) == []
    assert read_window_form(submitted(view)).window == window


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (f"{NIGHTS} --meetings wait:90", f"{NIGHTS} --meetings wait:90"),
        ("days Sat,Sun 00:00-24:00 UTC", "days Sat,Sun 00:00-24:00 UTC"),
        ("eve Fri 20:00-24:00 UTC", "eve Fri 20:00-00:00 UTC"),
    ],
)
def test_midnight_is_said_as_a_clock_says_it(words: str, again: str) -> None:
    view = window_form("acme", "COPS", parse_window(words))
    found = read_window_form(submitted(view)).window
    assert found is not None
    assert found.to_text() == again


def test_closed_all_week_is_told_at_the_days() -> None:
    view = submitted(
        window_form(
            "acme",
            "COPS",
            dataclasses.replace(parse_window("days Sat 00:00-24:00 UTC"), days=tuple(range(7))),
        )
    )
    assert list(read_window_form(view).problems) == ["days"]
