"""Holidays: what a calendar file says, what is refused, and what windows make of it."""

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from services import windows as w
from services.errors import Refused
from services.windows import Exceptions, Holiday, parse_window
from services.windows.holidays import LARGEST

NIGHTS = parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid")
FIRST, LAST = date(2027, 1, 1), date(2029, 12, 31)
MADRID = "Europe/Madrid"


def calendar(*events: str) -> bytes:
    """A calendar with these events, each given by its lines."""
    made = [f"BEGIN:VEVENT\nUID:{n}\n{event}\nEND:VEVENT" for n, event in enumerate(events)]
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", *made, "END:VCALENDAR", ""]).replace("\n", "\r\n").encode()


@pytest.mark.parametrize(("event", "dates"), [
    pytest.param("DTSTART;VALUE=DATE:20270106", ["2027-01-06"], id="a day"),
    pytest.param("DTSTART;VALUE=DATE:20270106\nDTEND;VALUE=DATE:20270107", ["2027-01-06"], id="its end is not part of it"),
    pytest.param("DTSTART;VALUE=DATE:20270325\nDTEND;VALUE=DATE:20270328", ["2027-03-25", "2027-03-26", "2027-03-27"], id="many days"),
    pytest.param("DTSTART;VALUE=DATE:20270325\nDURATION:P2D", ["2027-03-25", "2027-03-26"], id="by its length"),
    pytest.param(
        "DTSTART;VALUE=DATE:20201225\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20281225", ["2027-12-25", "2029-12-25"], id="every year but one"
    ),
    pytest.param(
        "DTSTART;VALUE=DATE:20260907\nRRULE:FREQ=YEARLY;BYMONTH=9;BYDAY=1MO", ["2027-09-06", "2028-09-04", "2029-09-03"], id="first Monday"
    ),
    pytest.param("DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY", ["2028-02-29"], id="a leap day is no other day"),
    pytest.param("DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY;UNTIL=20271225", ["2027-12-25"], id="until"),
    pytest.param(
        "DTSTART;VALUE=DATE:20270405\nRDATE;VALUE=DATE:20280417,20290402", ["2027-04-05", "2028-04-17", "2029-04-02"], id="dates named"
    ),
    pytest.param("DTSTART;TZID=Europe/Madrid:20270401T090000\nDTEND;TZID=Europe/Madrid:20270401T180000", [], id="an appointment"),
    pytest.param(
        "DTSTART;TZID=Europe/Madrid:20270401T000000\nDTEND;TZID=Europe/Madrid:20270402T000000", ["2027-04-01"], id="midnights there"
    ),
    pytest.param("DTSTART:20270331T220000Z\nDTEND:20270401T220000Z", ["2027-04-01"], id="midnights there, written in UTC"),
    pytest.param("DTSTART:20270401T000000Z\nDTEND:20270402T000000Z", [], id="midnights of London are none in Madrid"),
    pytest.param("DTSTART:20270401T000000\nDTEND:20270403T000000", ["2027-04-01", "2027-04-02"], id="midnights anywhere"),
    pytest.param(
        "DTSTART;TZID=Europe/Madrid:20261012T000000\nDTEND;TZID=Europe/Madrid:20261013T000000\nRRULE:FREQ=YEARLY\n"
        "EXDATE;TZID=Europe/Madrid:20281012T000000",
        ["2027-10-12", "2029-10-12"],
        id="midnights there, every year but one",
    ),
    pytest.param("DTSTART;VALUE=DATE:20270106\nSTATUS:CANCELLED", [], id="cancelled"),
    pytest.param("DTSTART;VALUE=DATE:20260106", [], id="too long ago"),
])
def test_the_dates_of_an_event(event: str, dates: list[str]) -> None:
    found = w.holidays(calendar(f"SUMMARY:Festivo\n{event}"), FIRST, LAST, MADRID)
    assert [h.date for h in found] == dates
    assert {h.name for h in found} <= {"Festivo"}


def test_several_events_and_names_that_cannot_speak_for_themselves() -> None:
    loud = "SUMMARY:*<!channel>* " + "x" * 200 + "\nDTSTART;VALUE=DATE:20270106"
    found = w.holidays(calendar(loud, "DTSTART;VALUE=DATE:20270501", "SUMMARY:May Day\nDTSTART;VALUE=DATE:20270501"), FIRST, LAST)
    assert [h.date for h in found] == ["2027-01-06", "2027-05-01", "2027-05-01"]
    assert [h.name for h in found[1:]] == ["", "May Day"]
    assert found[0].name.startswith("‹!channel›")
    assert len(found[0].name) == 60


@pytest.mark.parametrize(("bad", "told"), [
    (b"", "not a calendar"),
    (b"hello", "not a calendar"),
    (b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", "not a calendar"),
    (calendar("SUMMARY:Reyes"), "line 4, the event “Reyes” cannot be read"),
    (calendar("DTSTART;VALUE=DATE:20270501", "SUMMARY:Reyes\nDTSTART;VALUE=DATE:2027"), "line 8, the event “Reyes” cannot be read"),
    (calendar("DTSTART;VALUE=DATE:20270501\nRRULE:FREQ=NEVER"), "line 4, the event “without a name” cannot be read: RRULE"),
    (calendar("DTSTART;VALUE=DATE:20270501\nRRULE:FREQ=SECONDLY"), "repeats within a day"),
    (calendar("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY"), "before 1900"),
    (b"x" * (LARGEST + 1), "at most 1 MB"),
])
def test_half_a_calendar_is_refused_with_the_place_to_look(bad: bytes, told: str) -> None:
    with pytest.raises(Refused, match=told):
        w.holidays(bad, FIRST, LAST)


def madrid(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(MADRID)).timestamp()


REYES = Exceptions(holidays=(Holiday("2027-01-06", "Reyes"),))  # a Wednesday


def test_no_window_closes_on_a_holiday_and_the_forecast_names_it() -> None:
    rows = w.forecast((NIGHTS,), madrid("2027-01-05T12:00"), madrid("2027-01-08T12:00"), REYES)
    assert [(r.local[:20], r.what) for r in rows] == [
        ("Tue 2027-01-05 20:00", "closes"),
        ("Wed 2027-01-06 07:30", "opens"),
        ("Wed 2027-01-06 20:00", "stays as it is"),
        ("Thu 2027-01-07 20:00", "closes"),
        ("Fri 2027-01-08 07:30", "opens"),
    ]
    assert rows[2].notes == ("day off", "holiday: Reyes")
    assert w.due((NIGHTS,), madrid("2027-01-06T22:00"), REYES).state == "open"


def test_a_window_that_names_the_date_itself_closes_on_the_holiday() -> None:
    """How a holiday on which nobody works saves money; a day off that people named is one for every window."""
    whole = parse_window(f"feast 2027-01-06 00:00-24:00 {MADRID}")
    assert w.due((NIGHTS, whole), madrid("2027-01-06T12:00"), REYES).state == "closed"
    assert w.due((NIGHTS, whole), madrid("2027-01-06T12:00"), replace(REYES, off=("2027-01-06",))).state == "open"


def test_a_keep_up_does_not_count_from_a_close_that_a_holiday_takes_away() -> None:
    kept = w.keep_up((NIGHTS,), madrid("2027-01-06T19:40"), 3600.0, "<@UANA>", exceptions=REYES)
    assert kept.until == madrid("2027-01-07T21:00")
