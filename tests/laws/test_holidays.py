"""Holidays: how calendar files are read, what is refused, and what windows make of it."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from services import windows as w
from services.common.errors import Refused
from services.windows import Exceptions, Holiday, parse_window
from services.windows.agenda import freezes, meetings
from services.windows.ical import LARGEST
from services.windows.ical.rules import Recurrence, WorkBudget, parse_rule
from tests.support.calls import calls_of
from tests.support.coverage_level import by_level
from tests.support.second_calendar import days_off

NIGHTS = parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid")
FIRST, LAST = date(2027, 1, 1), date(2029, 12, 31)
MADRID = "Europe/Madrid"


def calendar(*events: str, before: str = "") -> bytes:
    """A calendar with these events, each given by its lines."""
    made = [f"BEGIN:VEVENT\nUID:{n}\n{event}\nEND:VEVENT" for n, event in enumerate(events)]
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", *([before] if before else [])]
    return "\n".join([*head, *made, "END:VCALENDAR", ""]).replace("\n", "\r\n").encode()


def dates(ics: bytes, zone: str = MADRID) -> list[str]:
    return [h.date for h in w.holidays(ics, FIRST, LAST, zone).entries]


@pytest.mark.parametrize(
    ("event", "dates"),
    [
        pytest.param("DTSTART;VALUE=DATE:20270106", ["2027-01-06"], id="a day"),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nDTEND;VALUE=DATE:20270107",
            ["2027-01-06"],
            id="its end is not part of it",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270325\nDTEND;VALUE=DATE:20270328",
            ["2027-03-25", "2027-03-26", "2027-03-27"],
            id="many days",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270325\nDURATION:P2D",
            ["2027-03-25", "2027-03-26"],
            id="by its length",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20201225\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20281225",
            ["2027-12-25", "2029-12-25"],
            id="every year but one",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20260907\nRRULE:FREQ=YEARLY;BYMONTH=9;BYDAY=1MO",
            ["2027-09-06", "2028-09-04", "2029-09-03"],
            id="first Monday",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY",
            ["2028-02-29"],
            id="a leap day is no other day",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY;UNTIL=20271225",
            ["2027-12-25"],
            id="until",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270405\nRDATE;VALUE=DATE:20280417,20290402",
            ["2027-04-05", "2028-04-17", "2029-04-02"],
            id="dates named",
        ),
        pytest.param(
            "DTSTART;TZID=Europe/Madrid:20270401T090000\nDTEND;TZID=Europe/Madrid:20270401T180000",
            [],
            id="an appointment",
        ),
        pytest.param(
            "DTSTART;TZID=Europe/Madrid:20270401T000000\nDTEND;TZID=Europe/Madrid:20270402T000000",
            ["2027-04-01"],
            id="midnights there",
        ),
        pytest.param(
            "DTSTART:20270331T220000Z\nDTEND:20270401T220000Z",
            ["2027-04-01"],
            id="midnights there, written in UTC",
        ),
        pytest.param(
            "DTSTART:20270401T000000Z\nDTEND:20270402T000000Z",
            [],
            id="midnights of London are none in Madrid",
        ),
        pytest.param(
            "DTSTART:20270401T000000\nDTEND:20270403T000000",
            ["2027-04-01", "2027-04-02"],
            id="midnights anywhere",
        ),
        pytest.param(
            "DTSTART;TZID=Europe/Madrid:20261012T000000\n"
            "DTEND;TZID=Europe/Madrid:20261013T000000\n"
            "RRULE:FREQ=YEARLY\n"
            "EXDATE;TZID=Europe/Madrid:20281012T000000",
            ["2027-10-12", "2029-10-12"],
            id="midnights there, every year but one",
        ),
        pytest.param("DTSTART;VALUE=DATE:20270106\nSTATUS:CANCELLED", [], id="cancelled"),
        pytest.param("DTSTART;VALUE=DATE:20260106", [], id="too long ago"),
        # What programs write
        pytest.param("DTSTART:20270106", ["2027-01-06"], id="a date without saying so"),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106T000000",
            ["2027-01-06"],
            id="a date with a time that does not count",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE;TZID=/mozilla.org/20070129_1/Asia/Tokyo:20271103",
            ["2027-11-03"],
            id="a date whatever TZID",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE;TZID=Asia/Tokyo:20271103\n"
            "DTEND;VALUE=DATE;TZID=Asia/Tokyo:20271104",
            ["2027-11-03"],
            id="both",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270101\nDTEND:20270101T050001Z",
            ["2027-01-01"],
            id="the kind of the beginning rules",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270101\nDTEND:20270103T000000",
            ["2027-01-01", "2027-01-02"],
            id="so do its days",
        ),
        pytest.param(
            "DTSTART:20270101T000000\nDTEND;VALUE=DATE:20270102",
            ["2027-01-01"],
            id="also the other way round",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nDTEND;VALUE=DATE:20270106",
            ["2027-01-06"],
            id="one day at least",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nDTEND;VALUE=DATE:20270101",
            ["2027-01-06"],
            id="one day at least, backwards too",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nDURATION:PT36H",
            ["2027-01-06", "2027-01-07"],
            id="a day and a half",
        ),
        pytest.param(
            "DTSTART:20270106T000000\nDTEND:20270106T235900\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
            ["2027-01-06"],
            id="the flag",
        ),
        pytest.param(
            "DTSTART:20270106T000000\nDTEND:20270106T235900\nX-MICROSOFT-CDO-ALLDAYEVENT:FALSE",
            [],
            id="the flag says no",
        ),
        pytest.param(
            'DTSTART;TZID="Romance Standard Time":20270106T000000\n'
            'DTEND;TZID="Romance Standard Time":20270108T000000\n'
            "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
            ["2027-01-06", "2027-01-07"],
            id="the flag, midnight to midnight",
        ),
        pytest.param(
            "DTSTART:20270105T230000Z\nDTEND:20270106T230000Z\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
            ["2027-01-06"],
            id="in UTC",
        ),
        pytest.param(
            "DTSTART;TZID=Eastern Standard Time:20270105T180000\n"
            "DTEND;TZID=Eastern Standard Time:20270106T180000",
            ["2027-01-06"],
            id="midnights there, by a name of Windows",
        ),
        pytest.param(
            "DTSTART;TZID=(UTC+01:00) Brussels, Copenhagen:20270106T000000\n"
            "DTEND;TZID=(UTC+01:00) Brussels, Copenhagen:20270107T000000",
            ["2027-01-06"],
            id="a zone that nobody knows is the local one",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20261208\nRRULE:FREQ=YEARLY;UNTIL=20280101T000000Z",
            ["2027-12-08"],
            id="until a moment, of a date",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20250704\nRRULE:FREQ=YEARLY;COUNT=3",
            ["2027-07-04"],
            id="so many times",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270301\n"
            "RRULE:FREQ=WEEKLY;BYDAY=MO\n"
            "EXRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;COUNT=99\n"
            "RRULE:FREQ=YEARLY;COUNT=1",
            [f"{d}" for d in (date(2027, 3, 8) + timedelta(days=14 * n) for n in range(74))],
            id="without what a rule takes away",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nRDATE;VALUE=PERIOD:20270206T000000/P1D",
            ["2027-01-06", "2027-02-06"],
            id="a period begins on its day",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20270106\nBEGIN:VALARM\nDURATION:PT5M\nSUMMARY:x\nEND:VALARM",
            ["2027-01-06"],
            id="an alarm",
        ),
    ],
)
def test_the_dates_of_an_event(event: str, dates: list[str]) -> None:
    found = w.holidays(calendar(f"SUMMARY:Festivo\n{event}"), FIRST, LAST, MADRID).entries
    assert [h.date for h in found] == dates
    assert {h.name for h in found} <= {"Festivo"}


def test_a_long_holiday_is_all_of_it() -> None:
    """1 July to 8 September are 70 days; the first 62 alone would close a school on the others."""
    found = dates(calendar("SUMMARY:Estiu\nDTSTART;VALUE=DATE:20270701\nDTEND;VALUE=DATE:20270909"))
    assert found == [(date(2027, 7, 1) + timedelta(days=n)).isoformat() for n in range(70)]


def series(*events: str) -> bytes:
    """Events of one series."""
    return calendar(*events).replace(b"UID:1\r\n", b"UID:0\r\n").replace(b"UID:2\r\n", b"UID:0\r\n")


@pytest.mark.parametrize(
    ("master", "override", "expected"),
    [
        pytest.param(
            "DTSTART;VALUE=DATE:20201228\nRRULE:FREQ=YEARLY",
            "DTSTART;VALUE=DATE:20271229\nRECURRENCE-ID;VALUE=DATE:20271228",
            ["2027-12-29", "2028-12-28", "2029-12-28"],
            id="moved by a day",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20201228\nRRULE:FREQ=YEARLY",
            "DTSTART;VALUE=DATE:20271228\nRECURRENCE-ID;VALUE=DATE:20271228\nSTATUS:CANCELLED",
            ["2028-12-28", "2029-12-28"],
            id="cancelled",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20201228\nRRULE:FREQ=YEARLY",
            "DTSTART;VALUE=DATE:20271229\nRECURRENCE-ID:20271228T000000Z",
            ["2027-12-29", "2028-12-28", "2029-12-28"],
            id="named by a moment",
        ),
        pytest.param(
            "DTSTART;TZID=Europe/Madrid:20201228T000000\nDURATION:P1D\nRRULE:FREQ=YEARLY",
            "DTSTART;VALUE=DATE:20271229\nRECURRENCE-ID:20271227T230000Z",
            ["2027-12-29", "2028-12-28", "2029-12-28"],
            id="named in UTC",
        ),
        pytest.param(
            "DTSTART;TZID=Europe/Madrid:20201228T000000\nDURATION:P1D\nRRULE:FREQ=YEARLY",
            "DTSTART;VALUE=DATE:20271229\nRECURRENCE-ID;VALUE=DATE:20271228",
            ["2027-12-29", "2028-12-28", "2029-12-28"],
            id="named by its date",
        ),
    ],
)
def test_a_date_of_a_series_that_was_moved_is_not_there_twice(
    master: str, override: str, expected: list[str]
) -> None:
    assert dates(series(master, override)) == expected
    assert dates(series(override, master)) == expected


def test_events_that_share_one_name_do_not_replace_each_other() -> None:
    """Feeds that give one UID to everything."""
    assert dates(series("DTSTART;VALUE=DATE:20270106", "DTSTART;VALUE=DATE:20270501")) == [
        "2027-01-06",
        "2027-05-01",
    ]


TIME_ZONE = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE"""


def test_a_zone_that_the_file_defines() -> None:
    """Midnights of Madrid in winter and in summer, by a name that only the file knows."""
    events = [
        f"DTSTART;TZID=Customized Time Zone:{d}T000000\nDURATION:P1D"
        for d in ("20270106", "20270701")
    ]
    read = w.holidays(calendar(*events, before=TIME_ZONE), FIRST, LAST, MADRID)
    assert [h.date for h in read.entries] == ["2027-01-06", "2027-07-01"]
    assert not read.skipped
    assert not w.holidays(calendar(*events, before=TIME_ZONE), FIRST, LAST, "Europe/London").entries


def test_what_is_odd_and_does_no_harm_is_passed_over_and_counted() -> None:
    odd = (
        "SUMMARY:Reyes\nDTSTART;VALUE=DATE:20270106\n<br>\nX-BROKEN\n"
        'DESCRIPTION;BAD="quote:text\nEnd: of the day\nATTENDEE'
    )
    read = w.holidays(b"HTTP/1.1 200 OK\n" + calendar(odd), FIRST, LAST)
    assert [h.name for h in read.entries] == ["Reyes"]
    assert [s.line for s in read.skipped] == [1, 9, 10, 11, 12, 13]
    assert read.skipped[1].words == "line 9: no name and value"
    unknown = w.holidays(
        calendar("DTSTART;TZID=Mars/Phobos:20270106T000000\nDURATION:P1D"), FIRST, LAST
    )
    assert [s.words for s in unknown.skipped] == [
        "line 6: time zone “Mars/Phobos” is unknown: read as local"
    ]


def test_a_name_that_is_said_twice_is_the_first() -> None:
    found = w.holidays(
        calendar("SUMMARY:Nadal\nSUMMARY;LANGUAGE=es:Navidad\nDTSTART;VALUE=DATE:20271225"),
        FIRST,
        LAST,
    )
    assert found.entries == (Holiday("2027-12-25", "Nadal"),)


def test_bytes_as_they_come() -> None:
    plain = calendar("SUMMARY:Fête\\, le 1er\nDTSTART;VALUE=DATE:20270501")
    ends = [plain.replace(b"\r\n", end) for end in (b"\n", b"\r")]
    for ics in (plain, *ends, b"\xef\xbb\xbf" + plain, plain.decode().encode("utf-16")):
        assert w.holidays(ics, FIRST, LAST).entries == (Holiday("2027-05-01", "Fête, le 1er"),)
    folded = plain.replace(b"1er", b"1\r\n er").replace(b"DTSTART", b"DTS\r\n\tTART")
    assert w.holidays(folded, FIRST, LAST).entries == (Holiday("2027-05-01", "Fête, le 1er"),)
    assert w.holidays(plain.lower().replace(b"f\xc3\xaate", b"x"), FIRST, LAST).entries


def test_several_events_and_names_that_cannot_speak_for_themselves() -> None:
    loud = "SUMMARY:*<!channel>* " + "x" * 200 + "\nDTSTART;VALUE=DATE:20270106"
    found = w.holidays(
        calendar(
            loud, "DTSTART;VALUE=DATE:20270501", "SUMMARY:May Day\nDTSTART;VALUE=DATE:20270501"
        ),
        FIRST,
        LAST,
    ).entries
    assert [h.date for h in found] == ["2027-01-06", "2027-05-01", "2027-05-01"]
    assert [h.name for h in found[1:]] == ["", "May Day"]
    assert found[0].name.startswith("‹!channel›")
    assert len(found[0].name) == 60


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"", "not a calendar"),
        (b"hello", "not a calendar"),
        (b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", "not a calendar"),
        (calendar("SUMMARY:Reyes"), "line 4, the event “Reyes” cannot be read"),
        (
            calendar("DTSTART;VALUE=DATE:20270501", "SUMMARY:Reyes\nDTSTART;VALUE=DATE:2027"),
            "line 8, the event “Reyes” cannot be read",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20270501\nRRULE:FREQ=NEVER"),
            "line 4, the event “without a name” cannot be read: RRULE: FREQ=NEVER",
        ),
        (calendar("DTSTART;VALUE=DATE:20270501\nRRULE:FREQ=SECONDLY"), "repeats within a day"),
        (calendar("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY"), "years from 1900 on are read"),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;INTERVAL=0"),
            "line 4, .* be read: RRULE: INTERVAL=0 must be a whole",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;BYDAY=99MO"),
            "RRULE: BYDAY=99MO is not a weekday",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=WEEKLY;BYDAY=2MO"),
            "BYDAY=2MO requires FREQ=MONTHLY or YEARLY",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;COUNT=0"),
            "COUNT=0 must be a whole number from 1",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;BYEASTER=-2"),
            "BYEASTER is not known",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;BYMONTH=13"),
            "BYMONTH=13 must be a number up to 12",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;FREQ=DAILY"),
            "FREQ=DAILY is not part",
        ),
        (calendar("DTSTART:20200101T090000\nRRULE:FREQ=DAILY;BYHOUR=9,17"), "repeats within a day"),
        (
            calendar("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY;UNTIL=soon"),
            "UNTIL is not a date: SOON",
        ),
        (calendar("DTSTART;VALUE=DATE:20270230"), "DTSTART is not a date: 20270230"),
        (calendar("DTSTART;VALUE=DATE:20270101\nDURATION:1 day"), "DURATION is not a length"),
        (calendar("DTSTART;VALUE=DATE:20270101\nEXDATE:never"), "EXDATE is not a date"),
        (
            calendar("DTSTART;VALUE=DATE:20270101\nRECURRENCE-ID;RANGE=THISANDFUTURE:20270101"),
            "changes all later dates of a series",
        ),
        (
            calendar("DTSTART;VALUE=DATE:20270101\nSUMMARY Reyes"),
            "line 7 cannot be read: “SUMMARY Reyes” has no value",
        ),
        (calendar("DTSTART;VALUE=DATE:20270101")[:-15], "is incomplete"),
        (b"<html>404</html>", "not a calendar"),
        (b"x" * (LARGEST + 1), "at most 1 MB"),
    ],
)
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
    """A window may close on a holiday that it names, but not on a day off that people named."""
    whole = parse_window(f"feast 2027-01-06 00:00-24:00 {MADRID}")
    assert w.due((NIGHTS, whole), madrid("2027-01-06T12:00"), REYES).state == "closed"
    assert (
        w.due(
            (NIGHTS, whole), madrid("2027-01-06T12:00"), replace(REYES, off=("2027-01-06",))
        ).state
        == "open"
    )


def test_a_keep_up_does_not_count_from_a_close_that_a_holiday_takes_away() -> None:
    kept = w.keep_up((NIGHTS,), madrid("2027-01-06T19:40"), 3600.0, "<@UANA>", exceptions=REYES)
    assert kept.until == madrid("2027-01-07T21:00")


# --- within bounds -------------------------------------------------------------------


def filled(event: str) -> bytes:
    """As many of these events as a file may hold."""
    made = f"BEGIN:VEVENT\n{event}\nEND:VEVENT\n"
    return f"BEGIN:VCALENDAR\n{made * (990_000 // len(made))}END:VCALENDAR\n".encode()


MOST_CALLS = 25_000_000
"""Twice what it takes; a file of a megabyte needs a few million to be read at all."""


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "event",
    [
        "DTSTART;VALUE=DATE:20270101",
        "DTSTART;VALUE=DATE:19000101\nRRULE:FREQ=YEARLY",
        "DTSTART;VALUE=DATE:19000101\nRRULE:FREQ=DAILY;COUNT=999999",
        "DTSTART;VALUE=DATE:19000101\nRRULE:FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU",
        "DTSTART;VALUE=DATE:19000101\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=3",
        "DTSTART;VALUE=DATE:20200101\nDTEND;VALUE=DATE:20990101\nRRULE:FREQ=DAILY",
        "UID:1\nDTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY\nEND:VEVENT\nBEGIN:VEVENT\n"
        "UID:1\nDTSTART;VALUE=DATE:20270101\nRECURRENCE-ID;VALUE=DATE:20270101",
    ],
)
def test_whatever_a_file_asks_for_working_it_out_ends(event: str) -> None:
    """As much work as a file can ask for, counted in calls; `INTERVAL=0` would never end."""

    def days() -> None:
        with suppress(Refused):
            assert len(w.holidays(filled(event), FIRST, LAST, MADRID).entries) <= 3

    assert calls_of(days) < MOST_CALLS


@pytest.mark.parametrize(
    "ics",
    [
        pytest.param(b"BEGIN:VCALENDAR\r\n" + b"a\r\n" * 300_000 + b"END:VCALENDAR", id="junk"),
        pytest.param(b"BEGIN:VCALENDAR\r\n" * 40_000, id="nested"),
        pytest.param(
            calendar(
                "DTSTART;VALUE=DATE:20270101\n"
                "RRULE:FREQ=YEARLY;BYMONTHDAY=" + ",".join(["1"] * 200_000)
            ),
            id="a long rule",
        ),
        pytest.param(
            calendar("DTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY;INTERVAL=" + "9" * 5000),
            id="a great number",
        ),
        pytest.param(
            calendar(
                *(
                    f"SUMMARY:{n}\nDTSTART;VALUE=DATE:20200101\nDTEND;VALUE=DATE:20990101"
                    for n in range(3000)
                )
            ),
            id="all days",
        ),
        pytest.param(
            calendar(
                "DTSTART;TZID=x:20270101T000000",
                before="BEGIN:VTIMEZONE\n"
                "TZID:x\n"
                "BEGIN:STANDARD\n"
                "DTSTART:16010101T000000\n"
                "TZOFFSETTO:+0100\n"
                "RRULE:FREQ=YEARLY;INTERVAL=0\n"
                "END:STANDARD\n"
                "END:VTIMEZONE",
            ),
            id="an endless zone",
        ),
    ],
)
def test_what_has_no_end_is_refused(ics: bytes) -> None:
    with pytest.raises(Refused):
        w.holidays(ics, FIRST, LAST, MADRID)


@settings(derandomize=True, deadline=None, max_examples=by_level(40, 80, 400))
@given(st.integers(0, 10**9), st.data())
def test_a_calendar_that_was_damaged_is_read_or_refused_and_nothing_worse(
    seed: int, data: st.DataObject
) -> None:
    chance = random.Random(seed)
    ics = bytearray(made(chance, chance.choice(STYLES))[0].encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(ics) - 1))
        ics[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"\r\n", b"-", b"99", b";", b":"])
        )
    for read in (w.holidays, freezes, meetings):
        with suppress(Refused):
            assert read(bytes(ics), FIRST, LAST, MADRID).entries is not None


# --- as programs write them, against a second implementation -------------------------

Chance = random.Random
NAMES = (
    "Reyes",
    "Día de la Constitución",
    "Mariä Himmelfahrt",
    "Thanksgiving\\, observed",
    "元日",
    "Long weekend " * 6,
    "Pont\\; del any",
)


def date_text(day: date) -> str:
    return f"{day:%Y%m%d}"


def rule(chance: Chance, day: date) -> str:
    """As calendars repeat days off: on a date, on a weekday of a month, some times, until then."""
    weekday, number = (
        ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()],
        (day.day - 1) // 7 + 1,
    )
    return chance.choice(
        [
            "FREQ=YEARLY",
            "FREQ=YEARLY;INTERVAL=1",
            f"FREQ=YEARLY;BYMONTH={day.month}",
            "FREQ=YEARLY;INTERVAL=2",
            "FREQ=YEARLY;COUNT=12",
            f"FREQ=YEARLY;BYMONTH={day.month};BYMONTHDAY={day.day}",
            f"FREQ=YEARLY;BYMONTH={day.month};BYDAY={number}{weekday}",
            f"FREQ=YEARLY;BYMONTH={day.month};BYDAY=-1{weekday}",
            f"FREQ=YEARLY;UNTIL=2028{day:%m%d}",
            "FREQ=MONTHLY;BYDAY=1MO;COUNT=30",
            f"FREQ=WEEKLY;INTERVAL=2;BYDAY={weekday};WKST=SU;COUNT=90",
            "FREQ=DAILY;COUNT=5",
            "FREQ=YEARLY;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7",
            "FREQ=YEARLY;BYMONTH=4;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            f"FREQ=YEARLY;BYYEARDAY={(day - date(day.year, 1, 1)).days + 1}",
            "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=20",
            f"FREQ=YEARLY;BYDAY=-2{weekday}",
            "FREQ=MONTHLY;INTERVAL=6",
        ]
    )


def google(chance: Chance, day: date, uid: str) -> list[str]:
    lines = [
        f"DTSTART;VALUE=DATE:{date_text(day)}",
        f"DTEND;VALUE=DATE:{date_text(day + timedelta(days=chance.choice([1, 1, 1, 2, 70])))}",
    ]
    if chance.random() < 0.5:
        lines.append(f"RRULE:{rule(chance, day)}")
    return [
        *lines,
        f"UID:{uid}@google.com",
        "CLASS:PUBLIC",
        "SEQUENCE:0",
        "STATUS:CONFIRMED",
        "TRANSP:TRANSPARENT",
    ]


def outlook(chance: Chance, day: date, uid: str) -> list[str]:
    """All-day as moments of a zone with a name of Windows, and the flag."""
    zone = chance.choice(["Romance Standard Time", "Eastern Standard Time"])
    at, ends = f'TZID="{zone}"', chance.choice(["235900", "000000"])
    last = day + timedelta(days=chance.randrange(3) + (ends == "000000"))
    lines = [
        f"DTSTART;{at}:{date_text(day)}T000000",
        f"DTEND;{at}:{date_text(last)}T{ends}",
        "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
    ]
    if chance.random() < 0.4:
        lines.append(f"RRULE:{rule(chance, day)}")
        skipped = day.replace(year=2028) if day.day < 29 else day
        lines.append(f"EXDATE;{at}:{date_text(skipped)}T000000")
    return [
        *lines,
        f"UID:{uid}",
        "X-MICROSOFT-CDO-BUSYSTATUS:OOF",
        "BEGIN:VALARM",
        "TRIGGER:-PT18H",
        "DURATION:PT5M",
        "END:VALARM",
    ]


def apple(chance: Chance, day: date, uid: str) -> list[str]:
    lines = [
        f"DTSTART;VALUE=DATE:{date_text(day)}",
        f"RRULE:{rule(chance, day)}",
        f"EXDATE;VALUE=DATE:{day.year + 1}{day:%m%d}",
    ]
    moved = [
        "END:VEVENT",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"RECURRENCE-ID;VALUE=DATE:{date_text(day)}",
    ]
    moved += [
        f"DTSTART;VALUE=DATE:{date_text(day + timedelta(days=chance.randrange(-2, 3)))}",
        "SUMMARY:moved",
    ]
    moved += ["STATUS:CANCELLED"] if chance.random() < 0.3 else []
    return [
        *lines,
        f"UID:{uid}",
        "X-APPLE-UNIVERSAL-ID:7",
        *(moved if chance.random() < 0.5 else []),
    ]


def thunderbird(chance: Chance, day: date, uid: str) -> list[str]:
    lines = [
        f"DTSTART;VALUE=DATE;TZID=/mozilla.org/20070129_1/Asia/Tokyo:{date_text(day)}",
        f"DURATION:P{chance.randint(1, 3)}D",
    ]
    lines += [
        f"RDATE;VALUE=DATE:{date_text(day + timedelta(days=400))},"
        f"{date_text(day + timedelta(days=500))}"
    ]
    return [*lines, f"UID:{uid}", "X-MOZ-GENERATION:3"]


def feed(chance: Chance, day: date, uid: str) -> list[str]:
    """Return one event for each year, all of one name, some with only a beginning."""
    lines = [f"DTSTART;VALUE=DATE:{date_text(day)}", "UID:20080101T000000Z-office@example.com"]
    lines += (
        [f"DTEND;VALUE=DATE:{date_text(day + timedelta(days=1))}"] if chance.random() < 0.7 else []
    )
    return [
        *lines,
        f"DESCRIPTION:Information\\, provided {uid}\\n" + "x" * 90,
        "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
    ]


def moments(chance: Chance, day: date, uid: str) -> list[str]:
    """Whole days and appointments as moments, of zones and of UTC."""
    at = chance.choice(["TZID=Europe/Madrid", "TZID=America/New_York", ""])
    hour, zulu = (
        chance.choice(["000000", "000000", "090000", "230000"]),
        "" if at else chance.choice(["Z", ""]),
    )
    begin, end = (
        f"{f';{at}' if at else ''}:{date_text(d)}T{hour}{zulu}"
        for d in (day, day + timedelta(days=chance.randrange(4)))
    )
    lines = [f"DTSTART{begin}", f"DTEND{end}", f"UID:{uid}"]
    return [*lines, f"RRULE:{rule(chance, day)}"] if chance.random() < 0.4 else lines


Style = Callable[[Chance, date, str], list[str]]
STYLES: tuple[Style, ...] = (google, outlook, apple, thunderbird, feed, moments)


def folded(line: str) -> str:
    """At 75 bytes, never within a letter."""
    parts, held = [], ""
    for letter in line:
        if len((held + letter).encode()) > 74:
            parts.append(held)
            held = ""
        held += letter
    return "\r\n ".join([*parts, held])


def made(chance: Chance, style: Style) -> tuple[str, str]:
    """A calendar in that style, and the zone that it is read for."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//{style.__name__}//EN",
        "METHOD:PUBLISH",
        "X-WR-TIMEZONE:Europe/Madrid",
    ]
    for number in range(chance.randint(1, 12)):
        day = date(
            chance.choice([2024, 2026, 2027, 2028]), chance.randint(1, 12), chance.randint(1, 28)
        )
        event = style(chance, day, f"{number}-x")
        name = chance.choice(NAMES)
        lines += [
            "BEGIN:VEVENT",
            f"SUMMARY{';LANGUAGE=en-us' if style is outlook else ''}:{name}",
            *event,
            "END:VEVENT",
        ]
    text = "\r\n".join([*map(folded, lines), "END:VCALENDAR", ""])
    return text if style is not apple else text.replace("\r\n", "\n"), chance.choice(
        [MADRID, "America/New_York", "Asia/Tokyo", "UTC"]
    )


@pytest.mark.parametrize("style", STYLES, ids=lambda s: s.__name__)
def test_the_days_of_calendars_as_programs_write_them_are_a_second_implementations(
    style: Style,
) -> None:
    """Two hundred and forty together; half as many in `make test`."""
    first, last = date(2027, 1, 1), date(2028, 6, 30)
    filled_days = 0
    for seed in range(by_level(20, 40, 200)):
        text, zone = made(random.Random(f"{style.__name__}/{seed}"), style)
        mine = w.holidays(text.encode(), first, last, zone)
        assert {(h.date, h.name) for h in mine.entries} == days_off(text, first, last, zone), (
            seed,
            zone,
            text,
        )
        assert not mine.skipped
        filled_days += len(mine.entries)
    assert filled_days > by_level(25, 50, 50)


def random_rule(chance: Chance) -> str:
    """Anything that the standard allows and that dateutil reads as the standard does."""
    frequency = chance.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "YEARLY"])
    parts = [f"FREQ={frequency}", f"WKST={chance.choice(['MO', 'SU', 'SA'])}"]
    parts += [f"INTERVAL={chance.randint(1, 4)}"] if chance.random() < 0.4 else []
    months = (
        [f"BYMONTH={','.join(map(str, sorted(chance.sample(range(1, 13), 3))))}"]
        if chance.random() < 0.4
        else []
    )
    in_month = frequency == "MONTHLY" or bool(months)
    numbers = (
        ([1, 2, 3, 4, -1, -2] if in_month else [1, 2, 20, 51, -1, -5])
        if frequency in ("MONTHLY", "YEARLY")
        else []
    )
    numbered = bool(numbers) and chance.random() < 0.6
    days = [
        f"{chance.choice(numbers) if numbered else ''}{d}"
        for d in chance.sample(["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 2)
    ]
    which = chance.choice(["days", "dates", "year", "weeks", "none"])
    if which == "days" or frequency == "WEEKLY":
        parts.append(f"BYDAY={','.join(days)}")
    elif which == "dates":
        parts.append(
            f"BYMONTHDAY={','.join(map(str, chance.sample([1, 2, 9, 15, 28, -1, -2, -28], 3)))}"
        )
    elif which == "year" and frequency == "YEARLY" and not months:
        year_days = chance.sample([1, 60, 100, 200, 365, -1, -365, -100], 3)
        parts.append(f"BYYEARDAY={','.join(map(str, year_days))}")
    elif which == "weeks" and frequency == "YEARLY" and not months:
        parts += [
            f"BYWEEKNO={','.join(map(str, chance.sample([1, 2, 20, 52, -1, -2], 2)))}",
            "BYDAY=MO,TH",
        ]
    if (
        chance.random() < 0.3
        and frequency in ("MONTHLY", "YEARLY")
        and any(p.startswith("BY") for p in parts)
    ):
        parts.append(f"BYSETPOS={chance.choice([1, -1])}")
    parts += [f"COUNT={chance.randint(1, 40)}"] if chance.random() < 0.3 else []
    return ";".join([*parts, *months])


def test_rules_repeat_as_dateutil_repeats_them() -> None:
    chance = random.Random(7)
    first, last, found = date(2027, 1, 1), date(2028, 6, 30), 0
    for _ in range(by_level(150, 300, 3000)):
        text = random_rule(chance)
        begin = datetime(
            chance.randint(2016, 2027),
            chance.randint(1, 12),
            chance.randint(1, 28),
            9,
            30,
            tzinfo=UTC,
        ).replace(tzinfo=None)
        mine = list(Recurrence(parse_rule(text), begin, None, WorkBudget()).between(first, last))
        if not mine and "COUNT" not in text:
            continue  # dateutil would look until the year 9999
        theirs = rrulestr(f"{text}", dtstart=begin).between(
            datetime.combine(first, time.min), datetime.combine(last, time.max), inc=True
        )
        assert mine == theirs, (text, begin)
        found += len(mine)
    assert found > by_level(500, 1000, 1000)


# --- change freezes and meetings -----------------------------------------------------

FREEZE = """SUMMARY:Year-end freeze
DTSTART;VALUE=DATE:20271220
DTEND;VALUE=DATE:20280107"""
BOARD = """SUMMARY:Board
DTSTART;TZID=America/New_York:20271122T160000
DTEND;TZID=America/New_York:20271122T180000
ORGANIZER:mailto:ana@example.com
ATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@example.com
ATTENDEE;PARTSTAT=DECLINED:mailto:ben@example.com
ATTENDEE;X-NUM-GUESTS=2:mailto:carla@example.com
ATTENDEE;CUTYPE=ROOM:mailto:room@example.com"""


def test_a_change_freeze_lasts_from_midnight_to_midnight_there() -> None:
    (freeze,) = freezes(calendar(FREEZE), FIRST, LAST, MADRID).entries
    assert (freeze.since, freeze.until, freeze.name) == (
        madrid("2027-12-20"),
        madrid("2028-01-07"),
        "Year-end freeze",
    )
    (timed,) = freezes(
        calendar("DTSTART:20271220T080000\nDTEND:20271220T120000"), FIRST, LAST, MADRID
    ).entries
    assert (timed.since, timed.until) == (madrid("2027-12-20T08:00"), madrid("2027-12-20T12:00"))
    assert not freezes(calendar("DTSTART:20271220T080000"), FIRST, LAST, MADRID).entries, (
        "a moment lasts no time"
    )


def test_a_meeting_has_its_time_and_the_people_who_come() -> None:
    (meeting,) = meetings(calendar(BOARD), FIRST, LAST, MADRID).entries
    assert (meeting.since, meeting.until) == (
        madrid("2027-11-22T22:00"),
        madrid("2027-11-23T00:00"),
    )
    assert (meeting.name, meeting.people) == ("Board", 4)
    (alone,) = meetings(
        calendar("DTSTART:20271122T160000Z\nDURATION:PT1H"), FIRST, LAST, MADRID
    ).entries
    assert alone.people is None


@pytest.mark.parametrize(
    "event",
    [
        "SUMMARY:Ana’s birthday\nDTSTART;VALUE=DATE:20271122",
        "SUMMARY:Lunch\nDTSTART:20271122T120000\nDURATION:PT1H\nTRANSP:TRANSPARENT",
        "SUMMARY:Holding\nDTSTART:20271122T120000\nDURATION:PT1H\nX-MICROSOFT-CDO-BUSYSTATUS:FREE",
        "SUMMARY:Ana on leave\nDTSTART:20271122T090000\nDTEND:20271126T170000",
        "SUMMARY:Off\nDTSTART:20271122T120000\nDURATION:PT1H\nSTATUS:CANCELLED",
        "SUMMARY:Reminder\nDTSTART:20271122T120000",
    ],
)
def test_what_is_no_meeting(event: str) -> None:
    assert not meetings(calendar(event), FIRST, LAST, MADRID).entries


def test_a_weekly_meeting_that_was_moved_once() -> None:
    weekly = "DTSTART;TZID=Europe/Madrid:20271101T210000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=4"
    moved = (
        "DTSTART;TZID=Europe/Madrid:20271116T213000\n"
        "DURATION:PT1H\n"
        "RECURRENCE-ID;TZID=Europe/Madrid:20271115T210000"
    )
    found = meetings(series(weekly, moved), FIRST, LAST, MADRID).entries
    assert [m.since for m in found] == [
        madrid(f"2027-11-{d}") for d in ("01T21:00", "08T21:00", "16T21:30", "22T21:00")
    ]
