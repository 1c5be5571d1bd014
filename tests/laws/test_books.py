"""A cluster's book of hours: what it takes from the settings, and how its notices count down."""

from dataclasses import replace

import pytest

from handlers.updates.announcements import announcement_card, countdown
from services.memory.schedule import EMPTY, Announcement, Book
from services.windows import Exceptions, Hold, parse_window

NIGHTS = (parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid"),)
HELD = replace(
    EMPTY,
    exceptions=Exceptions(holds=(Hold(1.0, 900.0, "<@UANA>", "a new firewall"),)),
    done=("hold/1.000",),
)


@pytest.mark.parametrize(
    "before", [EMPTY, HELD, replace(EMPTY, done=("kept/1.000/UANA", "skip/2.000/UBEN"))]
)
def test_windows_of_the_settings_are_taken_whatever_people_said_before(before: Book) -> None:
    taken = before.with_seed(NIGHTS, 5.0)
    assert taken.windows == NIGHTS
    assert taken.since == 5.0
    assert taken.exceptions == before.exceptions
    assert taken.with_seed(NIGHTS, 9.0) == taken


@pytest.mark.parametrize("done", ["removed/nights/12.000", "nights-close@2026-11-25T20:00"])
def test_windows_that_people_removed_are_not_taken_again(done: str) -> None:
    assert replace(EMPTY, done=(done,)).with_seed(NIGHTS, 5.0).windows == ()
    assert (
        EMPTY.with_seed(NIGHTS, 5.0).without_window("nights").with_seed(NIGHTS, 9.0).windows == ()
    )


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (0, "(in 30 min)"),
        (299, "(in 30 min)"),
        (300, "(in 25 min)"),
        (1560, "(in 4 min)"),
        (1799, "(in 1 min)"),
        (1800, ""),
    ],
)
def test_how_far_away_a_closing_is_stands_as_it_is_now(now: float, said: str) -> None:
    buttons = (("Keep up 1 h", "keepup:3600", "acme"),)
    notice = Announcement(
        "x/30min", "*acme closes at 20:00* · window *nights*", buttons, 1800.0, at=1800.0
    )
    text = announcement_card(notice, "", now).text
    assert text == f"acme closes at 20:00 {said} · window nights".replace("  ", " ")
    assert countdown(replace(notice, at=0.0), now) == ""
