"""Announcements of a schedule.

Stored as values, shown by a view, and read by earlier and later versions.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from handlers.slack.markup import date_time
from handlers.updates.announcements import announcement_card
from handlers.views.announcements import announcement_buttons, announcement_text, sentence_of
from services.common.markers import person
from services.memory import announcements as told
from services.memory.schedule import EMPTY, Announcement, announcement, read_book, write_book

UNTIL = 1793000000.0
AT = date_time(UNTIL)
BEN = person("UBEN")
EDGE: dict[str, Any] = {
    "cluster": "acme",
    "time": "20:00",
    "windows": ("nights", "weekend"),
    "zone": "Europe/Madrid",
}
WINDOWS = "window *nights* and *weekend* (Europe/Madrid)"
WAITS = "they may finish until"
SHOWN: list[tuple[told.Subject, str]] = [
    (
        told.ClosesSoon(**EDGE, rooms=3, meetings="wait", wait_until=UNTIL),
        f"*acme closes at 20:00* · {WINDOWS} · 3 meetings now; {WAITS} {AT}; "
        "then I ask, and if nobody answers acme stays up",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=0, meetings="", wait_until=UNTIL, fault="line 3"),
        f"*acme closes at 20:00* · {WINDOWS} · 0 meetings now"
        "; it does not close unless this is repaired: line 3",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=None, meetings="skip", wait_until=UNTIL),
        f"*acme closes at 20:00* · {WINDOWS} · the number of meetings running is unknown"
        "; if some still run, acme stays up tonight",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=1, meetings="ask", wait_until=UNTIL),
        f"*acme closes at 20:00* · {WINDOWS} · 1 meeting now; if some still run, I ask first",
    ),
    (
        told.AsksToClose(**EDGE, rooms=1, people=2, until=UNTIL),
        f"*acme would close now* · {WINDOWS} · 1 meeting with 2 people is running. "
        f"If nobody answers until {AT}, acme stays up.",
    ),
    (
        told.AsksToClose(**EDGE, rooms=None, people=None, until=UNTIL),
        f"*acme would close now* · {WINDOWS} · the number of meetings running is unknown. "
        f"If nobody answers until {AT}, acme stays up.",
    ),
    (
        told.OpensWithLess(**EDGE, less="2 media nodes, not 5"),
        f"*acme opens with 2 media nodes, not 5* · {WINDOWS} at 20:00.",
    ),
    (
        told.EdgeMissed(**EDGE, closes=True, possible=False, reason="it is locked by"),
        f"*acme did not close at 20:00* · {WINDOWS} · it is busy.",
    ),
    (
        told.EdgeMissed(**EDGE, closes=False, possible=True, reason="it is locked by"),
        f"*acme will not open at 20:00* · {WINDOWS} · it is busy.",
    ),
    (
        told.ServesLate(**EDGE, seconds=600.0, why="acme-3 is at “Pool”"),
        "*acme will not serve by 20:00* · about 10 min late · acme-3 is at “Pool”.",
    ),
    (
        told.NotStarting(**EDGE, why="no answer"),
        f"*acme will not serve by 20:00* · {WINDOWS} · nothing brings it up now: no answer.",
    ),
    (
        told.NotOpened(**EDGE, why="no answer"),
        f"*acme did not open at 20:00* · {WINDOWS} · "
        "it should be in service and is not: no answer.",
    ),
    (
        told.ClosingGaveWay("acme", "window *nights*", "acme-3", paused=True, why="timed out"),
        "*acme opens* · window *nights* · its closing `acme-3` had stopped and is abandoned: "
        "timed out.",
    ),
    (
        told.ClosingGaveWay("acme", "window *nights*", "acme-3", paused=False, why="timed out"),
        "*acme opens* · window *nights* · its closing `acme-3` was not over and was cancelled: "
        "timed out.",
    ),
    (
        told.RunFailed("acme", BEN, "acme-3", closes=True, turned_back=False, why="timed out"),
        "*acme was not closed* · <@UBEN>, `acme-3` · timed out.",
    ),
    (
        told.RunFailed("acme", BEN, "acme-3", closes=False, turned_back=True, why="3 meetings"),
        "*acme stays up* · <@UBEN>, `acme-3` · 3 meetings.",
    ),
    (told.KeptUp("acme", UNTIL, BEN, "demo"), f"*acme stays up* until {AT} · <@UBEN> · demo"),
    (told.KeptUp("acme", UNTIL, BEN), f"*acme stays up* until {AT} · <@UBEN>"),
    (
        told.Woken("acme", UNTIL, BEN, "", ("nights", "weekend")),
        f"*acme is woken by <@UBEN>* until {AT} · no reason given. "
        "It was closed by nights and weekend, and closes again then.",
    ),
    (
        told.PutOnHold("acme", UNTIL, BEN, "exams", "acme-3"),
        f"*acme is on hold* until {AT} · <@UBEN> · exams. "
        "Nobody changes it meanwhile, windows neither. `acme-3` has begun and goes on.",
    ),
    (
        told.StillOnHold("acme", UNTIL, BEN, "exams"),
        f"*acme is still on hold* until {AT} · <@UBEN> · exams",
    ),
    (
        told.HoldExpired("acme", BEN, "exams"),
        "*The hold on acme is over* · it was <@UBEN>'s · exams",
    ),
    (told.HoldEnded("acme", BEN), "*acme is not on hold any more* · <@UBEN>"),
    (told.WindowRemoved("acme", "nights", BEN), "*acme has no window nights any more* · <@UBEN>"),
    (
        told.DaysSkipped("acme", ("2027-12-24", "2027-12-25"), BEN),
        "*acme stays up on 2027-12-24, 2027-12-25*: no window closes it then · <@UBEN>",
    ),
    (
        told.ApprovalEnds("acme", "nights", UNTIL, "window add nights daily 20:00-07:30 UTC"),
        f"*The standing approval of window nights of acme ends {AT}* · it does not close after "
        "that; `/openvidu window add nights daily 20:00-07:30 UTC` renews it",
    ),
    (
        told.CalendarUnread("acme", "holidays", "days.ics", "line 3", read_before=True),
        "*The holidays of acme could not be read* · days.ics: line 3. "
        "Those known before stay; the file is read again each hour.",
    ),
    (
        told.CalendarUnread("acme", "holidays", "days.ics", "line 3", read_before=False),
        "*The holidays of acme could not be read* · days.ics: line 3. "
        "No holidays are known until it can be; the file is read again each hour.",
    ),
    (
        told.CalendarEmpty("acme", "days.ics", "no day off ahead"),
        "*days.ics has no day off ahead* · acme closes on every day of its windows.",
    ),
    (
        told.StateRewound("acme", "12 entries are missing"),
        "*The bot's memory of acme went back in time* · 12 entries are missing. "
        "Look at its windows, holds and runs.",
    ),
    (
        told.StateLost("acme", "it is empty", "acme-3", "shutdown", "Pool", 2, 7),
        "*The bot lost its memory of acme* · it is empty. Open runs, requests, windows and holds "
        "are gone. `acme-3` (shutdown) was at step 2 of 7: Pool. Nobody drives it now, and nothing "
        "was undone. acme is on hold. Look with `/openvidu status`, end the hold with "
        "`/openvidu unhold`, then ask for what is missing.",
    ),
]


@pytest.mark.parametrize(("subject", "text"), SHOWN, ids=lambda p: getattr(p, "cluster", ""))
def test_every_announcement_is_shown_in_these_words(subject: told.Subject, text: str) -> None:
    assert announcement_text(announcement("x", subject)) == text


def test_every_kind_has_a_view() -> None:
    assert {type(subject).__name__ for subject, _ in SHOWN} == set(told.SUBJECTS)
    assert all(sentence_of.dispatch(kind) for kind in told.SUBJECTS.values())
    with pytest.raises(TypeError):
        sentence_of(told.Subject("acme"))


@pytest.mark.parametrize("subject", [s for s, _ in SHOWN], ids=lambda s: type(s).__name__)
def test_what_is_stored_is_the_value_and_free_of_slack(subject: told.Subject) -> None:
    made = announcement("x", subject, until=UNTIL, calls=True, at=UNTIL)
    text = write_book(EMPTY.with_announcement(made))
    assert read_book(text).outbox == (made,)
    assert read_book(text).outbox[0].subject == subject
    assert "<@" not in text
    assert "/openvidu" not in text
    assert "<!date" not in text
    assert json.loads(text)["outbox"][0]["buttons"] == []


def test_buttons_are_those_of_what_is_announced() -> None:
    closes, asks = SHOWN[0][0], SHOWN[4][0]
    assert announcement_buttons(announcement("nights-close@x/30min", closes)) == (
        ("Keep up 1 h", "keepup:3600", "acme"),
        ("Keep up tonight", "keepup:tonight", "acme"),
    )
    assert announcement_buttons(announcement("nights-close@x/ask", asks)) == (
        ("Close now, gracefully", "closenow", "acme|nights-close@x"),
        ("Keep up tonight", "keepup:tonight", "acme"),
    )
    assert announcement_buttons(announcement("x", told.HoldEnded("acme", BEN))) == ()


def test_an_announcement_of_0_1_0_is_posted_as_it_was_stored() -> None:
    stored = Announcement(
        "x/30min",
        f"*acme closes at 20:00* · {WINDOWS} · 3 meetings now · <@UBEN>",
        (("Keep up 1 h", "keepup:3600", "acme"),),
        UNTIL,
        at=UNTIL,
    )
    card = announcement_card(stored, "<@UANA>", UNTIL - 600)
    assert card.blocks[0]["text"]["text"] == (
        f"*acme closes at 20:00 (in 10 min)* · {WINDOWS} · 3 meetings now · <@UBEN> <@UANA>"
    )
    assert card.blocks[1]["elements"][0]["action_id"] == "keepup:3600"
    book = replace(EMPTY, outbox=(stored,)).with_answer_closed(
        "x/30min", UNTIL - 300, f"kept up by {BEN}"
    )
    card = announcement_card(book.outbox[0], "", UNTIL)
    assert card.blocks[0]["text"]["text"].endswith("<@UBEN>\nkept up by <@UBEN>")
    assert len(card.blocks) == 1


def test_why_it_can_no_longer_be_answered_stands_below_it() -> None:
    made = announcement("x/ask", SHOWN[4][0], until=UNTIL)
    book = replace(EMPTY, outbox=(made,)).with_answer_closed(
        "x/ask", UNTIL - 60, f"{BEN}: close now"
    )
    assert announcement_text(book.outbox[0]).endswith("acme stays up.\n<@UBEN>: close now")
    assert announcement_buttons(book.outbox[0])[0][1] == "closenow"
    assert len(announcement_card(book.outbox[0], "", UNTIL - 60).blocks) == 1


@pytest.mark.parametrize(
    ("kind", "facts"),
    [("OfALaterVersion", (("cluster", "acme"),)), ("KeptUp", (("cluster", "acme"),))],
)
def test_an_unknown_kind_is_shown_as_its_plain_line(kind: str, facts: told.SubjectFacts) -> None:
    later = Announcement("x", "acme: OfALaterVersion (by @UBEN)", kind=kind, facts=facts)
    assert announcement_text(later) == "acme: OfALaterVersion (by @UBEN)"


def test_a_later_version_s_facts_do_no_harm() -> None:
    facts = (("cluster", "acme"), ("by", BEN), ("mood", "good"))
    later = Announcement("x", "", kind="HoldEnded", facts=facts)
    assert later.subject == told.HoldEnded("acme", BEN)


def test_the_plain_line_says_who_and_when() -> None:
    kept = told.summary(told.KeptUp("acme", UNTIL, BEN, "demo"))
    assert kept == "acme: KeptUp (until 2026-10-26 07:33 UTC, by @UBEN, reason demo)"
