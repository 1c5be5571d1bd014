"""Laws of quiet windows: never on what is unknown, never outside their hours, never in a storm."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.quiet_hours import PAGE, WINDOWS, row
from services.common.errors import Refused
from services.memory.schedule import EMPTY, read_book, write_book
from services.windows import (
    NONE,
    Exceptions,
    Hold,
    KeepUp,
    Meeting,
    SchedulePolicy,
    Window,
    due,
    forecast,
    parse_window,
)
from services.windows.closures import span_at
from services.windows.quiet import (
    GAP,
    Emptiness,
    closing_now,
    opened_early,
    quiet_state,
    with_closing,
)
from services.windows.window import begin_window
from tests.nights.quiet_months import HOUR, Outcome, Play, draw, moment

MADRID = ZoneInfo("Europe/Madrid")
TERMS = SchedulePolicy(lead=600.0)
HALF = 1800.0


def at(text: str) -> float:
    """Return a time in Madrid, in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def window(text: str = "quiet daily 18:00-08:00 --when-empty 30m") -> Window:
    return parse_window(text, "Europe/Madrid")


def seen_empty(until: float, seconds: float) -> Emptiness:
    """Return what looks of so many seconds up to that moment saw."""
    seen, at_ = Emptiness(), until - seconds
    while at_ <= until:
        seen, at_ = seen.after(at_, empty=True), at_ + 60
    return seen


# --- what is typed


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (
            "quiet --when-empty 30m --between 18:00-08:00",
            "quiet daily 18:00-08:00 Europe/Madrid --when-empty 30m",
        ),
        (
            "late Mon-Fri --between 20:00-07:30 --when-empty 45 --closings 2 UTC",
            "late Mon-Fri 20:00-07:30 UTC --when-empty 45m --closings 2",
        ),
        (
            "q weekends 00:00-24:00 --when-empty 1h --stays 2h --media-only",
            "q Sat,Sun 00:00-24:00 Europe/Madrid --media-only --when-empty 60m --stays 120m",
        ),
    ],
)
def test_it_is_typed_and_written_as_a_window(typed: str, read: str) -> None:
    parsed = window(typed)
    assert parsed.to_text() == read
    assert window(read) == parsed


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("quiet --between 18:00-08:00", "--when-empty 30m"),
        ("quiet --when-empty 30m", "write a window as"),
        ("quiet daily 18:00-08:00 --when-empty 5m", "10 minutes to 12 hours"),
        ("quiet daily 18:00-08:00 --stays 2h", "for a window with --when-empty"),
        ("quiet daily 18:00-19:00 --when-empty 30m", "more than --when-empty"),
        ("quiet daily 18:00-08:00 --when-empty 30m --meetings ask", "leave --meetings out"),
        ("quiet daily 18:00-08:00 --when-empty 30m --closings 99", "1 to 12 times"),
        ("quiet daily 18:00-08:00 --when-empty 30m --stays 5m", "10 minutes to 12 hours"),
        ("quiet daily 18:00-08:00 --when-empty", "needs a length"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(typed: str, why: str) -> None:
    assert begin_window(typed, "Europe/Madrid") is None, "no form hides what was typed"
    with pytest.raises(Refused, match=why):
        window(typed)


# --- when it closes


LOOKS = st.lists(
    st.tuples(st.floats(1, 2 * GAP), st.sampled_from(["empty", "meets", "unknown"])),
    min_size=1,
    max_size=80,
)


@given(LOOKS)
def test_only_what_was_seen_empty_without_a_gap_counts(looks: list[tuple[float, str]]) -> None:
    """Whatever was seen: the whole time is covered by looks that saw it empty, close together."""
    now, seen = 0.0, Emptiness()
    history: list[tuple[float, str]] = []
    for after, what in looks:
        now += after
        seen = seen.after(now, empty=what == "empty")
        history.append((now, what))
        lasted = seen.lasted(now, float("-inf"))
        covered = [(t, w) for t, w in history if t >= now - lasted - 1e-6]
        assert all(w == "empty" for _, w in covered) or lasted == 0
        times = [t for t, _ in covered]
        assert all(b - a <= GAP for a, b in pairwise(times))
    assert seen.lasted(now + GAP + 1, float("-inf")) == 0.0, "what was seen grows old"


@given(
    st.floats(at("2027-03-26T12:00"), at("2027-03-30T12:00")),
    st.floats(0, 3 * HOUR),
    st.sampled_from(
        ["quiet daily 18:00-08:00 --when-empty 30m", "q Sat,Sun 00:00-24:00 --when-empty 60m"]
    ),
)
def test_it_closes_within_its_hours_only_and_to_their_end(
    now: float, empty: float, text: str
) -> None:
    """Over a change of the clocks, too: closed from this minute to the end of the hours."""
    quiet = window(text)
    assert quiet.when_empty is not None
    state = quiet_state((quiet,), now, seen_empty(now, empty), NONE, TERMS, ())
    span = span_at((quiet,), now, NONE.days_off)
    assert (state is None) == (span is None)
    if state is None or span is None or not state.closes:
        return
    assert span.close + quiet.when_empty <= now < span.open
    assert empty >= quiet.when_empty
    closed = with_closing((quiet,), closing_now(span, now))
    wanted = due(closed, now, NONE, TERMS)
    assert wanted.state == "closed"
    assert wanted.next_edge is not None
    assert wanted.next_edge.at == span.open
    assert wanted.since_edge is not None
    assert now - 60 < wanted.since_edge.at <= now


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        ("2027-01-15T18:10", False),  # its hours are ten minutes old
        ("2027-01-15T18:31", True),
        ("2027-01-16T07:15", True),
        ("2027-01-16T07:25", False),  # the start-up begins at 07:50
        ("2027-01-16T12:00", False),
    ],
)
def test_at_the_ends_of_its_hours(now: str, *, closes: bool) -> None:
    state = quiet_state((window(),), at(now), seen_empty(at(now), 7200), NONE, TERMS, ())
    assert (state is not None and state.closes) is closes


def test_a_gap_of_more_than_three_minutes_begins_the_time_anew() -> None:
    seen = Emptiness().after(0, empty=True).after(GAP, empty=True)
    assert seen.lasted(GAP, float("-inf")) == GAP
    assert seen.after(2 * GAP + 1, empty=True).lasted(2 * GAP + 1, float("-inf")) == 0.0
    assert seen.after(GAP + 1, empty=False).lasted(GAP + 1, float("-inf")) == 0.0


EXCEPTIONS = {
    "hold": Exceptions(holds=(Hold(0, 9e9, "ana", "audit"),)),
    "kept": Exceptions(keep_ups=(KeepUp(0, 9e9, "ana"),)),
    "meeting": Exceptions(meetings=(Meeting(at("2027-01-15T21:30"), at("2027-01-15T23:00")),)),
    "soon": Exceptions(meetings=(Meeting(at("2027-01-15T22:35"), at("2027-01-15T23:00")),)),
    "day off": Exceptions(off=("2027-01-15",)),
}


@pytest.mark.parametrize("what", EXCEPTIONS)
def test_what_keeps_it_open_wins(what: str) -> None:
    now = at("2027-01-15T22:00")
    seen = seen_empty(now, 7200)
    free = quiet_state((window(),), now, seen, NONE, TERMS, ())
    assert free is not None
    assert free.closes
    state = quiet_state((window(),), now, seen, EXCEPTIONS[what], TERMS, ())
    assert state is None or not state.closes


def test_it_closes_a_limited_number_of_times_a_night() -> None:
    now = at("2027-01-16T02:00")
    closed = ["quiet-close@2027-01-15T19:00", "quiet-close@2027-01-15T23:00"]
    earlier = ["quiet-close@2027-01-14T23:00", "nights-close@2027-01-15T20:00"]
    last = "quiet-close@2027-01-16T00:30"
    for done, closes in (((*earlier, *closed), True), ((*earlier, *closed, last), False)):
        state = quiet_state((window(),), now, seen_empty(now, 7200), NONE, TERMS, done)
        assert state is not None
        assert state.closes is closes
    assert state is not None
    assert "3 times" in state.why


@given(st.floats(0, 10 * HOUR), st.floats(60, 9 * HOUR))
def test_opened_early_it_has_to_be_empty_anew(closes: float, later: float) -> None:
    """Whatever closed it and whenever it is woken: one opening, and nothing closes it by itself."""
    now = at("2027-10-30T19:00") + closes  # the clocks go back that night
    span = span_at((window(),), now, NONE.days_off)
    assert span is not None
    closed = with_closing((window(),), closing_now(span, now))
    woken = min(now + later, span.open - 1800)
    kept = Exceptions(keep_ups=(KeepUp(woken, woken + HALF, "dora", woken=True),))
    opened = opened_early(closed, {"quiet"}, woken, TERMS.lead)
    assert due(opened, woken, kept, TERMS).state == "open"
    for minutes in range(0, 9 * 60, 20):
        moment_ = woken + minutes * 60
        if moment_ > span.open:
            break
        assert due(opened, moment_, kept, TERMS).state == "open", moment(moment_)


def test_an_older_version_finds_an_ordinary_window() -> None:
    """What closes it is a window with a date; the quiet window is where it does not look."""
    now = at("2027-01-15T22:00")
    book = EMPTY.with_window(window(), "acme-1", now - 3600)
    assert book.windows == ()
    assert book.named_windows == (window(),)
    span = span_at(book.quiet, now, NONE.days_off)
    assert span is not None
    closed = replace(book, windows=with_closing(book.windows, closing_now(span, now)))
    (dated,) = closed.windows
    assert (dated.when_empty, dated.dates, dated.times) == (None, ("2027-01-15",), "22:00-08:00")
    assert closed.named_windows == (window(),)
    assert read_book(write_book(closed)) == closed
    assert closed.without_window("quiet").all_windows == ()
    assert book.with_seed((window("late daily 20:00-06:00"), window()), now).quiet == (window(),)


def test_it_says_when_it_may_close() -> None:
    reason = due((window(),), at("2027-01-15T12:00"), NONE, TERMS).reason
    assert reason == (
        "open; quiet closes after 30 min without a meeting, Fri 2027-01-15 18:30 at the earliest"
    )
    later = due((window(),), at("2027-01-15T22:00"), NONE, TERMS).reason
    assert later == "open; quiet closes after 30 min without a meeting, until Sat 2027-01-16 08:00"
    (row, *_) = forecast((window(),), at("2027-01-15T12:00"), at("2027-01-17T12:00"), NONE, TERMS)
    assert row.what == "closes when empty"
    assert row.local.startswith("Fri 2027-01-15 18:30")


# --- months of arrivals


def outcome(seed: int, weeks: int, texts: Sequence[str]) -> Outcome:
    return Play(draw(seed, weeks), texts).run()


@pytest.mark.parametrize("seed", range(2))
def test_weeks_of_arrivals(seed: int) -> None:
    """No one is disconnected, there is no storm, and it costs less than never closing."""
    quiet = outcome(seed, 3, ["quiet daily 18:00-08:00 --when-empty 30m"])
    assert quiet.disconnected == 0
    assert quiet.closings
    assert quiet.most_a_night(quiet.closings) <= 3
    assert quiet.most_a_night(quiet.wakes) <= 3
    assert quiet.p95 <= 12 * 60
    assert quiet.cost < outcome(seed, 3, []).cost


def test_the_page_shows_every_window_of_the_table() -> None:
    """No one is disconnected, and there is no storm, whichever window it is."""
    rows = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert [r[0].strip("`") for r in rows] == list(WINDOWS)
    for _, saved, _, _, _, wakes, closings, disconnected in rows:
        assert saved.startswith("$")
        assert int(wakes) <= 5
        assert int(closings) <= 4
        assert disconnected == "0"


@pytest.mark.thorough
def test_the_page_says_what_the_command_makes() -> None:
    made = tuple(row(WINDOWS[3]).cells())
    shown = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert made == tuple(shown[3])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]
