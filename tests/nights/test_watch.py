"""The watch of a night: for each promise made-up nights that break and keep it."""

from dataclasses import replace

import pytest

from tests.nights.luck import Long, Misfortune, Night, Spell, night
from tests.nights.watch import EVERY, Look, Watched

HOUR = 3600.0
PLAIN = replace(night(0), meetings=(), spells=(), answers=False)


def looked(it: Night, **down: tuple[float, float]) -> Watched:
    """Return a night out of service for the hours `gone` after closing time.

    People meet for the hours `people`.
    """
    gone, back = down.get("gone", (0.2, 11.4))
    people = down.get("people", (0.0, 0.0))[1]
    watched, at = Watched(it), it.begins
    while at < it.ends:
        hours = (at - it.closes) / HOUR
        up = not gone <= hours < back
        watched.looks.append(Look(at, 2 if up else 0, 4 if up else 0, 3 if hours < people else 0))
        at += EVERY
    return watched


def spell(kind: Misfortune, since: float, until: float, it: Night = PLAIN) -> Night:
    return replace(it, spells=(Spell(kind, it.closes + since * HOUR, it.closes + until * HOUR),))


def test_a_good_night_keeps_every_promise() -> None:
    assert list(looked(PLAIN).faults()) == []


def test_an_opening_that_is_late_for_no_reason_breaks_one() -> None:
    assert list(looked(PLAIN, gone=(0.2, 11.6)).faults()) == [
        "not ready when it opens, and nothing stood in its way"
    ]


def test_where_something_stood_in_its_way_a_person_is_called_before_the_time() -> None:
    late = looked(spell("API away", 11.2, 11.6), gone=(0.2, 11.8))
    assert list(late.faults()) == ["not ready when it opens, and nobody was called"]
    late.said = [(PLAIN.opens - 300, "<@UANA>: acme is late: DigitalOcean does not answer")]
    assert list(late.faults()) == []
    late.said = [(PLAIN.opens + 60, "<@UANA>: acme is late: DigitalOcean does not answer")]
    assert "not ready when it opens, and nobody was called" in list(late.faults())


def test_a_bot_that_was_not_there_calls_within_five_minutes_of_its_return() -> None:
    away = looked(spell("bot down", 10.0, 11.75), gone=(0.2, 12.0))
    assert "not ready when it opens, and nobody was called" in list(away.faults())
    away.said = [(PLAIN.closes + 11.8 * HOUR, "<@UANA>: acme is late: the bot was not running")]
    assert list(away.faults()) == []


def test_while_people_meet_and_nobody_has_decided_new_ones_can_meet_too() -> None:
    met = replace(PLAIN, meetings=(Long(3, PLAIN.closes + HOUR),))
    (said,) = looked(met, people=(0.0, 1.0)).faults()
    assert said.startswith("no media node in service 12 min after the closing time")
    assert list(looked(met, gone=(1.0, 11.4), people=(0.0, 1.0)).faults()) == []
    decided = looked(met, people=(0.0, 1.0))
    decided.forced = PLAIN.closes + 0.1 * HOUR
    assert list(decided.faults()) == []


def test_nobody_is_cut_off_by_a_window_unless_somebody_chose_that() -> None:
    cut = looked(PLAIN)
    cut.thrown_out = 3
    assert list(cut.faults()) == ["3 people were cut off, and nobody had chosen that"]
    cut.forced = PLAIN.closes + HOUR
    assert list(cut.faults()) == []


@pytest.mark.parametrize(
    ("said", "untold"), [("acme is late", False), ("acme serves", True), ("", True)]
)
def test_an_hour_down_when_it_should_be_up_is_told(said: str, untold: bool) -> None:
    down = looked(PLAIN, gone=(0.2, 13.0))
    down.said = [(PLAIN.opens + 60, said)] if said else []
    assert any("nobody was told" in f for f in down.faults()) == untold
