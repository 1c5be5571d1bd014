"""The hours in which approvals count: parsing, evaluation, and what the settings refuse."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.options import own_hours
from services.access.policy import AccessResult, Actor, ClusterPolicy, may_approve, may_approve_now
from services.common.errors import Refused
from services.windows import hours_words, next_opening, parse_hours, why_not_counting

MADRID = "Europe/Madrid"
OFFICE = (parse_hours("Mon-Fri 09:00-18:00 --except 2026-12-24..2026-12-25", MADRID),)
NIGHT = (parse_hours("Fri 22:00-02:00", MADRID),)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(MADRID)).timestamp()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-25T09:00", "2026-11-25T09:00"),
        ("2026-11-25T17:59:59", "2026-11-25T17:59:59"),
        ("2026-11-25T18:00", "2026-11-26T09:00"),
        ("2026-11-25T03:00", "2026-11-25T09:00"),
        ("2026-11-27T18:00", "2026-11-30T09:00"),  # over the weekend
        ("2026-12-23T20:00", "2026-12-28T09:00"),  # over the holidays and the weekend behind them
        ("2027-03-27T12:00", "2027-03-29T09:00"),  # the clocks go forward meanwhile
    ],
)
def test_when_approvals_count_next(now: str, opens: str) -> None:
    assert next_opening(OFFICE, at(now)) == at(opens)
    assert (why_not_counting(OFFICE, at(now)) == "") == (now == opens)


@pytest.mark.parametrize(
    ("time", "counts"),
    [("27T21:59", False), ("27T23:00", True), ("28T01:59", True), ("28T02:00", False)],
)
def test_hours_may_go_past_midnight(time: str, counts: bool) -> None:
    assert (why_not_counting(NIGHT, at(f"2026-11-{time}")) == "") == counts


@given(st.floats(at("2026-01-01"), at("2027-12-31")))
def test_at_the_moment_that_is_named_they_count(now: float) -> None:
    for hours in (OFFICE, NIGHT, OFFICE + NIGHT):
        opens = next_opening(hours, now)
        assert opens >= now
        assert next_opening(hours, opens) == opens
        assert opens <= now + 8 * 86400


def test_what_is_said_of_them() -> None:
    assert hours_words(OFFICE) == "Mon-Fri 09:00-18:00 (Europe/Madrid, not 2026-12-24..2026-12-25)"
    said = why_not_counting(OFFICE, at("2026-11-28T12:00"))
    assert "again from Mon 30 Nov 09:00 (Europe/Madrid). Nothing was changed" in said
    gone = (parse_hours("2020-01-01 09:00-10:00", "UTC"),)
    assert "not within a year" in why_not_counting(gone, at("2026-11-28T12:00"))


def test_an_approval_that_was_given_in_time_goes_on_counting() -> None:
    """Who may approve is one thing; the hour is another, and asked about once, when it is given."""
    rules = ClusterPolicy(
        operators=frozenset({"UANA"}),
        approvers=frozenset({"UBEN"}),
        approvals_when=OFFICE,
        evaluated_at=at("2026-11-28T12:00"),
    )
    assert may_approve_now(rules).kind is AccessResult.DENIED
    assert may_approve(Actor("UBEN"), Actor("UANA"), rules).kind is AccessResult.ALLOWED
    assert may_approve_now(ClusterPolicy()).kind is AccessResult.ALLOWED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Mon-Fri", "days and times such as"),
        ("Mon-Fri 09:00-09:00", "two different times"),
        ("daily 00:00-24:00", "means always: omit it"),
        ("Mon-Fri 09:00-18:00 --media-only", "has more than days, times"),
        ("Mon-Fri 09:00-18:00 Mars/Olympus", "there is no time zone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(text: str, says: str) -> None:
    with pytest.raises(Refused):
        parse_hours(text, MADRID)
    with pytest.raises(ValueError, match="Mon-Fri 09:00-18:00 --except") as refused:
        own_hours(text)
    assert says in str(refused.value)
