"""Announcements of a schedule.

Stored as values, shown by a view, and read by earlier and later versions.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from handlers.slack.markup import date_time
from handlers.updates.announcements import announcement_card
from handlers.views.announcements import announcement_buttons, announcement_text, parts_of
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
WINDOWS = "Window *nights* and *weekend* (Europe/Madrid)"
OBSERVED = f"{WINDOWS} · observed only, nothing was changed"
SHOWN: list[tuple[told.Subject, str]] = [
    (
        told.ClosesSoon(**EDGE, rooms=3, meetings="wait", wait_until=UNTIL),
        f"acme closes at 20:00 · 3 meetings now. They can finish until {AT}; then I "
        f"ask. Without an answer, acme stays in service. · {WINDOWS}",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=0, meetings="", wait_until=UNTIL, fault="line 3"),
        "acme closes at 20:00 · No meetings now. acme closes only if this is fixed: "
        f"line 3. · {WINDOWS}",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=None, meetings="skip", wait_until=UNTIL),
        "acme closes at 20:00 · The number of running meetings is unknown. If any "
        f"still run then, acme stays in service tonight. · {WINDOWS}",
    ),
    (
        told.ClosesSoon(**EDGE, rooms=1, meetings="ask", wait_until=UNTIL),
        f"acme closes at 20:00 · 1 meeting now. If any still run then, I ask first. · {WINDOWS}",
    ),
    (
        told.AsksToClose(**EDGE, rooms=1, people=2, until=UNTIL),
        "Close acme now? · 1 meeting with 2 people is running. Without an answer until "
        f"{AT}, acme stays in service. · {WINDOWS}",
    ),
    (
        told.AsksToClose(**EDGE, rooms=None, people=None, until=UNTIL),
        "Close acme now? · The number of running meetings is unknown. Without an answer "
        f"until {AT}, acme stays in service. · {WINDOWS}",
    ),
    (
        told.OpensWithLess(**EDGE, less="2 media nodes, not 5"),
        f"acme opens with 2 media nodes, not 5 · It opens at 20:00. · {WINDOWS}",
    ),
    (
        told.EdgeMissed(**EDGE, closes=True, possible=False, reason="it is busy"),
        f"acme did not close at 20:00 · It is busy. · {WINDOWS}",
    ),
    (
        told.EdgeMissed(**EDGE, closes=False, possible=True, reason="it is busy"),
        f"acme will not open at 20:00 · It is busy. · {WINDOWS}",
    ),
    (
        told.ServesLate(**EDGE, seconds=600.0, why="acme-3 is at “Pool”"),
        "acme will not be in service by 20:00 · About 10 min late: acme-3 is at "
        f"“Pool”. · {WINDOWS}",
    ),
    (
        told.NotStarting(**EDGE, why="no answer"),
        f"acme will not be in service by 20:00 · No start-up is running: no answer. · {WINDOWS}",
    ),
    (
        told.NotOpened(**EDGE, why="no answer"),
        f"acme did not open at 20:00 · It is not in service: no answer. · {WINDOWS}",
    ),
    (
        told.ClosingGaveWay("acme", "window *nights*", "acme-3", paused=True, why="timed out"),
        "acme opens · Its shutdown `acme-3` was paused and is abandoned: timed out. · "
        "Window *nights*",
    ),
    (
        told.ClosingGaveWay("acme", "window *nights*", "acme-3", paused=False, why="timed out"),
        "acme opens · Its shutdown `acme-3` was still running and is cancelled: timed "
        "out. · Window *nights*",
    ),
    (
        told.RunFailed("acme", BEN, "acme-3", closes=True, turned_back=False, why="timed out"),
        "acme was not shut down · Timed out. · <@UBEN> · `acme-3`",
    ),
    (
        told.RunFailed("acme", BEN, "acme-3", closes=False, turned_back=True, why="3 meetings"),
        "acme stays in service · 3 meetings. · <@UBEN> · `acme-3`",
    ),
    (
        told.WouldClose(**EDGE, rooms=2, people=5, until=UNTIL, opens=UNTIL),
        f"acme would close now · It would wait for 2 meetings (5 people) until {AT}, then "
        f"ask. · {OBSERVED}",
    ),
    (
        told.WouldClose(**EDGE, rooms=0, people=0, until=UNTIL, opens=UNTIL),
        f"acme would close now · No meetings run. It would open again {AT}. · {OBSERVED}",
    ),
    (
        told.WouldClose(**EDGE, rooms=None, people=None, until=UNTIL, opens=0.0),
        "acme would close now · The number of running meetings is unknown. It would stay closed "
        f"until someone starts it. · {OBSERVED}",
    ),
    (
        told.WouldBeClosed(**EDGE, closed=UNTIL, waited=2400.0, asked=True),
        "acme would be closed by now · Its meetings ended 40 min after the closing time. I would "
        f"have asked what to do about them. · {OBSERVED}",
    ),
    (
        told.WouldStay(**EDGE, outcome="asked", asked=False, rooms=1, people=2, why=""),
        "acme would stay in service · 1 meeting with 2 people is running. I would ask first, and "
        f"without an answer it stays in service. · {OBSERVED}",
    ),
    (
        told.WouldStay(**EDGE, outcome="stayed", asked=True, rooms=1, people=2, why="it ran on"),
        "acme would stay in service · It ran on. I would have asked what to do, and no one is "
        f"asked now. · {OBSERVED}",
    ),
    (
        told.WouldStay(**EDGE, outcome="unseen", asked=False, rooms=None, people=None, why="away"),
        f"This closing of acme was not seen · It does not count. Away. · {OBSERVED}",
    ),
    (
        told.WouldOpen(**EDGE, closed=UNTIL - 36000, opened=UNTIL, saved="$3.10", seen=True),
        f"acme would open now · In service {AT}, after 10 h closed. About $3.10 would be "
        f"saved. · {OBSERVED}",
    ),
    (
        told.WouldOpen(**EDGE, closed=UNTIL - 36000, opened=UNTIL, saved="$0.00", seen=True),
        f"acme would open now · In service {AT}, after 10 h closed. Nothing would be "
        f"saved. · {OBSERVED}",
    ),
    (
        told.WouldOpen(**EDGE, closed=UNTIL - 36000, opened=UNTIL, saved="", seen=False),
        f"acme would open now · In service {AT}, after 10 h closed. The bot did not see the whole "
        f"night, so it does not count. · {OBSERVED}",
    ),
    (
        told.KeptUp("acme", UNTIL, BEN, "demo"),
        f"acme stays in service · Until {AT}. · <@UBEN> · demo",
    ),
    (told.KeptUp("acme", UNTIL, BEN), f"acme stays in service · Until {AT}. · <@UBEN>"),
    (
        told.Woken("acme", UNTIL, BEN, "", ("nights", "weekend")),
        f"acme was woken · It stays in service until {AT}. It was closed by nights and "
        "weekend, and closes again then. · <@UBEN> · no reason given",
    ),
    (
        told.PutOnHold("acme", UNTIL, BEN, "exams", "acme-3"),
        f"acme is on hold · Until {AT}. No person and no window can change it. `acme-3` "
        "has started and continues. · <@UBEN> · exams",
    ),
    (
        told.StillOnHold("acme", UNTIL, BEN, "exams"),
        f"acme is still on hold · Until {AT}. · <@UBEN> · exams",
    ),
    (
        told.HoldExpired("acme", BEN, "exams"),
        "The hold on acme is over · Set by <@UBEN> · exams",
    ),
    (told.HoldEnded("acme", BEN), "acme is no longer on hold · <@UBEN>"),
    (told.WindowRemoved("acme", "nights", BEN), "acme no longer has window nights · <@UBEN>"),
    (
        told.DaysSkipped("acme", ("2027-12-24", "2027-12-25"), BEN),
        "acme stays in service on 2027-12-24, 2027-12-25 · No window closes it on "
        "these days. · <@UBEN>",
    ),
    (
        told.ApprovalEnds("acme", "nights", UNTIL, "window add nights daily 20:00-07:30 UTC"),
        f"The approval of window nights of acme expires · It expires {AT}; acme is not "
        "closed after that. `/openvidu window add nights daily 20:00-07:30 UTC` renews "
        "it.",
    ),
    (
        told.CalendarUnread("acme", "holidays", "days.ics", "line 3", read_before=True),
        "The holidays of acme could not be read · days.ics: line 3. Those read before "
        "still count. I try again every hour.",
    ),
    (
        told.CalendarUnread("acme", "holidays", "days.ics", "line 3", read_before=False),
        "The holidays of acme could not be read · days.ics: line 3. No holidays are "
        "known until then. I try again every hour.",
    ),
    (
        told.CalendarEmpty("acme", "days.ics", "no day off ahead"),
        "days.ics has no day off ahead · acme closes on every day of its windows.",
    ),
    (
        told.StateRewound("acme", "12 entries are missing"),
        "The state store of acme went back in time · 12 entries are missing. Check its "
        "windows, holds and runs.",
    ),
    (
        told.StateLost("acme", "it is empty", "acme-3", "shutdown", "Pool", 2, 7),
        "The bot lost its state of acme · It is empty. Open runs, requests, windows "
        "and holds are lost. `acme-3` (shutdown) was at step 2 of 7: Pool. It is not "
        "driven now, and nothing was undone. acme is on hold. Check it with `/openvidu "
        "status`, end the hold with `/openvidu unhold`, then request what is missing.",
    ),
    (
        told.ClosesWhenEmpty("acme", window="quiet", empty=1800.0, earliest=UNTIL, opens=UNTIL),
        f"acme closes after 30 min without a meeting · At the earliest {AT}. In service again "
        f"{AT}. · Window *quiet*",
    ),
    (
        told.EmptyNow("acme", window="quiet", since=UNTIL, closes=UNTIL),
        f"acme is empty and closes · No meeting since {AT}. It closes {AT}, unless one begins. "
        "· Window *quiet*",
    ),
    (
        told.Woken("acme", UNTIL, BEN, "", ("quiet",), 1800.0),
        f"acme was woken · It stays in service until {AT}. Then quiet closes it after 30 min "
        "without a meeting. · <@UBEN> · no reason given",
    ),
]


@pytest.mark.parametrize(("subject", "text"), SHOWN, ids=lambda p: getattr(p, "cluster", ""))
def test_every_announcement_is_shown_in_these_words(subject: told.Subject, text: str) -> None:
    assert announcement_text(announcement("x", subject)) == text


def test_every_kind_has_a_view() -> None:
    assert {type(subject).__name__ for subject, _ in SHOWN} == set(told.SUBJECTS)
    assert all(parts_of.dispatch(kind) for kind in told.SUBJECTS.values())
    with pytest.raises(TypeError):
        parts_of(told.Subject("acme"))


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
        ("Keep running 1 h", "keepup:3600", "acme"),
        ("Keep running tonight", "keepup:tonight", "acme"),
    )
    assert announcement_buttons(announcement("nights-close@x/ask", asks)) == (
        ("Close now", "closenow", "acme|nights-close@x"),
        ("Keep running tonight", "keepup:tonight", "acme"),
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
    assert card.blocks[0]["text"]["text"] == "acme closes at 20:00 (in 10 min)"
    assert card.blocks[1]["text"]["text"] == f"{WINDOWS} · 3 meetings now · <@UBEN> <@UANA>"
    assert card.blocks[2]["elements"][0]["action_id"] == "keepup:3600"
    book = replace(EMPTY, outbox=(stored,)).with_answer_closed(
        "x/30min", UNTIL - 300, f"kept up by {BEN}"
    )
    card = announcement_card(book.outbox[0], "", UNTIL)
    assert card.blocks[1]["text"]["text"].endswith("<@UBEN>\nkept up by <@UBEN>")
    assert len(card.blocks) == 2


def test_why_it_can_no_longer_be_answered_stands_below_it() -> None:
    made = announcement("x/ask", SHOWN[4][0], until=UNTIL)
    book = replace(EMPTY, outbox=(made,)).with_answer_closed(
        "x/ask", UNTIL - 60, f"{BEN}: close now"
    )
    ended = "acme stays in service.\n<@UBEN>: close now · Window"
    assert ended in announcement_text(book.outbox[0])
    assert announcement_buttons(book.outbox[0])[0][1] == "closenow"
    blocks = announcement_card(book.outbox[0], "", UNTIL - 60).blocks
    assert [b["type"] for b in blocks] == ["header", "section", "context"]


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
