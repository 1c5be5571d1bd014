"""Laws of every window, in every zone of the tz database, 2020 to 2040, and named evenings.

`OPENVIDU_BOT_FULL=1` tries every day in every zone instead of the days around each clock change.
"""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bot.options import own_zone
from config.values import TimeZone
from handlers.slack.markup import markup
from handlers.views.schedule import due_words
from services import windows as w
from services.access.policy import Actor
from services.common.errors import Refused
from services.common.serialize import decode, encode
from services.procedures import Procedure, Shutdown, Startup
from services.procedures.plan import Plan, make_plan
from services.runs.run import Run, State
from services.schedule.reading import with_acts
from services.windows import (
    Exceptions,
    Freeze,
    Hold,
    KeepUp,
    Manual,
    Meeting,
    SchedulePolicy,
    Window,
    decide,
    due,
    edges,
    parse_window,
)
from services.windows.closures import closures, occurrences
from services.windows.edge import ALREADY
from services.windows.time_zones import REPEATED, SKIPPED, exists, nominal
from services.windows.timeline import draw_timeline
from tests.support.calls import calls_of
from tests.support.clusters import ready
from tests.support.coverage_level import FULL, by_level

HOUR, DAY = 3600, 86400
zone_of_settings = TypeAdapter(TimeZone).validate_python
FIRST, LAST = date(2020, 1, 1), date(2040, 12, 31)
LAWS = settings(derandomize=True, deadline=None, max_examples=by_level(50, 150, 1500))
NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def at(zone: str, text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def spell(line: tuple[w.Edge, ...]) -> list[str]:
    return [
        f"{e.name} {datetime.fromtimestamp(e.at, UTC):%d %H:%M}Z{'' if e.acts else ' -'}"
        for e in line
    ]


# --- every zone, every clock change --------------------------------------------------


@dataclass(frozen=True)
class ClockChange:
    """The clocks change at `at` (UTC seconds) from `before` to `after` (seconds ahead of UTC)."""

    at: int
    before: int
    after: int


def _offset(zone: ZoneInfo, moment: int) -> int:
    ahead = datetime.fromtimestamp(moment, zone).utcoffset()
    assert ahead is not None
    return int(ahead.total_seconds())


def _changes(zone: ZoneInfo) -> Iterator[ClockChange]:
    """Return clock changes, found by bisection, independently of the product."""
    begin, end = int(utc("2020-01-01")), int(utc("2041-01-01"))
    for low, high in pairwise(range(begin, end, 5 * DAY)):
        before, after = _offset(zone, low), _offset(zone, high)
        if before == after:
            continue
        left, right = low, high
        while right - left > 1:
            middle = (left + right) // 2
            left, right = (middle, right) if _offset(zone, middle) == before else (left, middle)
        yield ClockChange(right, before, after)


@cache
def histories() -> dict[tuple[int, tuple[ClockChange, ...]], list[str]]:
    """Zones by what their clocks do: the many names of one history are looked at once."""
    found: dict[tuple[int, tuple[ClockChange, ...]], list[str]] = {}
    for name in sorted(available_timezones() - {"Factory", "localtime", "posixrules"}):
        zone = ZoneInfo(name)
        found.setdefault((_offset(zone, int(utc("2020-01-01"))), tuple(_changes(zone))), []).append(
            name
        )
    return found


def first_showing(change: ClockChange, local: datetime) -> int:
    """Return the first second, near that change, at which clocks show `local` or later."""
    shown = int((local - datetime.fromisoformat("1970-01-01")).total_seconds())
    early = shown - change.before
    return early if early < change.at else max(change.at, shown - change.after)


def times_around(change: ClockChange) -> list[int]:
    """Return minutes after midnight around what is skipped or repeated, and its ends."""
    low, high = sorted((change.at + change.before, change.at + change.after))
    marks = [low - 1800, low, (low + high) // 2 // 60 * 60, high - 60, high, high + 1800]
    return sorted({(m % DAY) // 60 for m in marks})


def test_every_scheduled_day_has_one_close_and_one_open_around_every_clock_change_on_earth() -> (
    None
):
    looked = 0
    for (_, changes), names in histories().items():
        for change in changes:
            day = datetime.fromtimestamp(change.at + change.before, UTC).date()
            times = times_around(change)
            pairs = [(a, b) for a in times for b in times if a != b]
            for closes, opens in (
                pairs if FULL else random.Random(change.at + closes_seed(names[0])).sample(pairs, 5)
            ):
                looked += check_days(names[0], change, day, closes, opens)
    assert looked > 20_000


def closes_seed(name: str) -> int:
    return sum(name.encode())


def check_days(zone: str, change: ClockChange, day: date, closes: int, opens: int) -> int:
    window = Window("nights", tuple(range(7)), closes, opens, zone)
    first, last = day - timedelta(1), day + timedelta(1)
    found = list(occurrences(window, first, last))
    there = [d for d in (first, day, last) if exists(ZoneInfo(zone), d)]
    assert [o.day for o in found] == [d.isoformat() for d in there]
    for o in found:
        midnight = datetime.fromisoformat(o.day)
        local = (
            midnight + timedelta(minutes=closes),
            midnight + timedelta(minutes=opens, days=1 if opens <= closes else 0),
        )
        close, opened = (first_showing(change, moment) for moment in local)
        assert o.close == close, (zone, o)
        assert o.open == (
            opened if opened > close else close + (local[1] - local[0]).total_seconds()
        ), (zone, o)
        assert o.open > o.close
        assert nominal(o.close_local) == f"{local[0]:%Y-%m-%dT%H:%M}"
    return len(found)


def test_what_the_clocks_show_is_what_is_meant_in_every_zone() -> None:
    """At the moment of an edge the clocks show its nominal time, or it is marked."""
    chance = random.Random(4)
    for names in histories().values():
        for name in names if FULL else names[:1]:
            zone = ZoneInfo(name)
            for _ in range(21 if FULL else 3):
                day = FIRST + timedelta(chance.randrange((LAST - FIRST).days))
                closes, opens = chance.sample(range(1440), 2)
                for o in occurrences(
                    Window("n", tuple(range(7)), closes, opens, name), day, day + timedelta(7)
                ):
                    for moment, local, mark in (
                        (o.close, o.close_local, o.close_mark),
                        (o.open, o.open_local, o.open_mark),
                    ):
                        shown = datetime.fromtimestamp(moment, zone)
                        assert (shown.replace(tzinfo=None) == local) == (mark != SKIPPED)
                        assert shown.fold == 0
                        assert shown.replace(tzinfo=None) >= local


@pytest.mark.skipif(not FULL, reason="OPENVIDU_BOT_FULL=1: every day of 21 years in every zone")
def test_every_day_of_every_zone() -> None:
    for names in histories().values():
        for name in names:
            found = list(occurrences(Window("n", tuple(range(7)), 1200, 450, name), FIRST, LAST))
            assert len(found) == sum(
                exists(ZoneInfo(name), FIRST + timedelta(n)) for n in range((LAST - FIRST).days + 1)
            )
            assert all(a.open <= b.close for a, b in pairwise(found))


# --- laws over generated windows -----------------------------------------------------


@cache
def zones() -> list[str]:
    """Distinct histories, those with clock changes first: examples shrink towards them."""
    ordered = sorted(histories().items(), key=lambda item: (-len(item[0][1]), item[1][0]))
    return [names[0] for _, names in ordered]


@st.composite
def window(draw: st.DrawFn, name: str = "nights") -> Window:
    closes = draw(st.integers(0, 287)) * 5
    opens = draw(st.integers(0, 288).map(lambda n: n * 5).filter(lambda m: m != closes))
    days = tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=6))))
    return Window(
        name,
        days,
        closes,
        opens,
        draw(st.sampled_from(zones())),
        number=draw(st.none() | st.integers(1, 9)),
        kind=draw(st.sampled_from(["shutdown", "media-only"])),
        meetings=draw(st.sampled_from(["wait", "ask", "skip"])),
    )


@st.composite
def scene(draw: st.DrawFn) -> tuple[tuple[Window, ...], float]:
    """Draw one to three windows, and a moment near a clock change, or anywhere."""
    made = tuple(
        draw(window(name)) for name in ("nights", "lunch", "weekend")[: draw(st.integers(1, 3))]
    )
    changes = next((c for (_, c), names in histories().items() if names[0] == made[0].zone), ())
    begin = (
        draw(st.sampled_from(changes)).at
        if changes
        else utc("2020-01-01") + draw(st.integers(0, 7000)) * DAY
    )
    return made, begin + draw(st.integers(-3 * DAY, DAY))


@st.composite
def exceptions(draw: st.DrawFn, begin: float, days: int) -> Exceptions:
    """Draw keep-ups, holds, manual acts and calendar entries, anywhere in those days."""
    moment = st.integers(0, days * 24 * 12).map(lambda n: begin + n * 300 + 7)
    length = st.sampled_from([600, HOUR, 5 * HOUR, DAY])
    keep = [KeepUp(m, m + draw(length), "<@U1>") for m in draw(st.lists(moment, max_size=3))]
    holds = [
        Hold(m, m + draw(length), "<@U2>", "audit") for m in draw(st.lists(moment, max_size=2))
    ]
    hands = [
        Manual(m, draw(st.sampled_from(["open", "closed"])), "<@U3>")
        for m in draw(st.lists(moment, max_size=2))
    ]
    freezes = [Freeze(m, m + draw(length), "release") for m in draw(st.lists(moment, max_size=1))]
    people = st.none() | st.integers(1, 300)
    meetings = [
        Meeting(m, m + draw(length), "board", draw(people))
        for m in draw(st.lists(moment, max_size=3))
    ]
    return Exceptions(
        tuple(keep), tuple(holds), tuple(hands), freezes=tuple(freezes), meetings=tuple(meetings)
    )


@LAWS
@given(scene())
def test_what_is_due_changes_at_edges_only_and_they_alternate(
    given_: tuple[tuple[Window, ...], float],
) -> None:
    windows, begin = given_
    line = edges(windows, begin, begin + 6 * DAY)
    assert all(e.acts for e in line)
    assert len({e.name for e in line}) == len(line)
    for a, b in pairwise(line):
        assert (a.kind, b.kind) in {("close", "open"), ("open", "close")}, spell(line)
        assert a.at < b.at
    for a, b in pairwise(line):
        for moment in (a.at, a.at + 0.25, (a.at + b.at) / 2, b.at - 0.25):
            now = due(windows, moment)
            assert now.state == ("closed" if a.kind == "close" else "open")
            assert (now.since_edge, now.next_edge) == (a, b)


@LAWS
@given(scene())
def test_closed_means_that_a_window_says_so_and_open_that_none_does(
    given_: tuple[tuple[Window, ...], float],
) -> None:
    """Against the windows' own days, one by one: closed times are merged, no more and no less."""
    windows, begin = given_
    near = [o for x in windows for o in occurrences(x, day_of(begin, -4), day_of(begin, 8))]
    for n in range(0, 5 * DAY, 10177):
        moment = begin + n
        assert (due(windows, moment).state == "closed") == any(
            o.close <= moment < o.open for o in near
        )


@LAWS
@given(st.data())
def test_the_edges_on_either_side_are_the_nearest_however_far_away(data: st.DataObject) -> None:
    """Drawn from two days around now, from a year around this hour or around now: one timeline."""
    windows, now = data.draw(scene())
    found = data.draw(exceptions(now - 30 * 86400, 60))
    if data.draw(st.booleans()):
        day = day_of(now, data.draw(st.sampled_from((-300, -20, 0, 5, 60))))
        windows = tuple(replace(x, days=(), dates=(day.isoformat(),)) for x in windows)
    line = draw_timeline(windows, now - 400 * 86400, now + 400 * 86400, found, SchedulePolicy())
    acting = [e for e in line.edges if e.acts]
    said = due(windows, now, found)
    assert said.since_edge == next((e for e in reversed(acting) if e.start <= now), None)
    assert said.next_edge == next((e for e in acting if e.start > now and e.changes), None)


def day_of(moment: float, days: int) -> date:
    return datetime.fromtimestamp(moment, UTC).date() + timedelta(days)


@LAWS
@given(st.data())
def test_the_forecast_does_not_depend_on_where_one_begins_to_look(data: st.DataObject) -> None:
    windows, begin = data.draw(scene())
    given_ = data.draw(exceptions(begin, 5))
    middle = begin + data.draw(st.integers(1, 5 * DAY - 1))
    terms = SchedulePolicy(
        lead=data.draw(st.sampled_from([0, 600, 3600])),
        per_node=data.draw(st.sampled_from([None, 50])),
    )
    whole = edges(windows, begin, begin + 5 * DAY, given_, terms)
    assert whole == edges(windows, begin, middle, given_, terms) + edges(
        windows, middle, begin + 5 * DAY, given_, terms
    )


# --- a bot that is not always there --------------------------------------------------


@dataclass
class SchedulerDouble:
    """Ticks as the scheduler does: acts, announces what was missed, and remembers both by name."""

    windows: tuple[Window, ...]
    exceptions: Exceptions
    terms: SchedulePolicy
    since: float

    def __post_init__(self) -> None:
        before = due(self.windows, self.since, self.exceptions, self.terms).since_edge
        self.done = {before.name} if before else set()
        self.acted: list[tuple[str, float]] = []
        self.missed: list[str] = []

    def tick(self, now: float) -> w.ScheduleDecision:
        settled = decide(self.windows, self.since, now, self.done, self.exceptions, self.terms)
        names = [m.edge.name for m in settled.missed]
        assert all(m.reason for m in settled.missed)
        if settled.act is not None:
            self.acted.append((settled.act.name, now))
            names.append(settled.act.name)
        assert not self.done.intersection(names), "nothing is done or told twice"
        self.missed += [m.edge.name for m in settled.missed]
        self.done.update(names)
        self.since = now
        return settled


@LAWS
@given(st.data())
def test_a_bot_that_is_always_there_does_exactly_what_was_forecast(data: st.DataObject) -> None:
    windows, begin = data.draw(scene())
    given_ = data.draw(exceptions(begin, 4))
    terms = SchedulePolicy(lead=data.draw(st.sampled_from([0, 600])))
    bot = SchedulerDouble(windows, given_, terms, begin)
    told = edges(windows, begin, begin + 5 * DAY, given_, terms)
    for moment in sorted(
        {
            *(e.start for e in told),
            *(w.too_late_at(e) for e in told),
            *(begin + n * 17919 for n in range(1, 22)),
        }
    ):
        bot.tick(moment)
    assert bot.acted == [(e.name, e.start) for e in told if e.acts and e.start <= bot.since]
    assert sorted(bot.missed) == sorted(
        e.name
        for e in told
        if not e.acts and ALREADY not in e.marks and w.too_late_at(e) <= bot.since
    )


@LAWS
@given(st.data())
def test_whenever_it_is_away_every_edge_is_acted_on_or_told_once_and_nothing_closes_late(
    data: st.DataObject,
) -> None:
    windows, begin = data.draw(scene())
    given_ = data.draw(exceptions(begin, 4))
    terms = SchedulePolicy(lead=data.draw(st.sampled_from([0, 600])))
    bot = SchedulerDouble(windows, given_, terms, begin)
    ticks = sorted(data.draw(st.sets(st.integers(1, 5 * DAY), min_size=1, max_size=30)))
    told = edges(windows, begin, begin + ticks[-1], given_, terms)
    by_name = {e.name: e for e in told}
    for n in ticks:
        settled = bot.tick(begin + n)
        if settled.act is not None:
            assert settled.due is not None
            assert settled.due.state == ("closed" if settled.act.kind == "close" else "open")
            if settled.act.kind == "close":
                behind = begin + n - settled.act.start
                assert begin + n < settled.act.until
                assert behind <= terms.punctual or settled.act.until - begin - n >= terms.least
    seen_to = [n for n, _ in bot.acted if by_name[n].changes] + bot.missed
    settled_by_now = {e.name for e in told if w.too_late_at(e) <= bot.since} | set(seen_to)
    assert sorted(seen_to) == sorted(
        e.name for e in told if ALREADY not in e.marks and e.name in settled_by_now
    )
    assert all(by_name[n].acts for n, _ in bot.acted)


@LAWS
@given(st.data())
def test_a_hold_means_nothing_is_done_and_a_keep_up_means_nothing_closes(
    data: st.DataObject,
) -> None:
    windows, begin = data.draw(scene())
    given_ = data.draw(exceptions(begin, 3))
    for n in range(0, 4 * DAY, 11003):
        moment = begin + n
        now = due(windows, moment, given_)
        if given_.hold(moment):
            assert now.state == "no opinion"
        if given_.keep_up(moment) or given_.meeting(moment, moment + 1):
            assert now.state != "closed"
        if given_.freeze(moment):
            assert now.state == "no opinion"


# --- what people did by hand, as the product hands it over ---------------------------

ANA = Actor("UANA", name="ana")
NIGHT_SHIFT = Actor("window:nights", name="window nights")
PLANS: dict[type[Procedure], Plan] = {
    kind: make_plan(ready(3), kind()) for kind in (Startup, Shutdown)
}


@st.composite
def journal(draw: st.DrawFn, begin: float, days: int) -> list[Run]:
    """Draw runs of people and windows, done or not; newest first, as the journal has them."""
    runs: list[Run] = []
    now = begin
    for number in range(draw(st.integers(0, 8))):
        now += draw(st.integers(1, days * DAY // 6))
        took = draw(st.sampled_from([60, 400, 3000]))
        kind = draw(st.sampled_from(list(PLANS)))
        who = draw(st.sampled_from([ANA, ANA, NIGHT_SHIFT]))
        state = draw(st.sampled_from([State.DONE, State.DONE, State.CANCELLED, State.ROLLED_BACK]))
        run = Run(
            f"acme-{number}",
            PLANS[kind],
            who,
            (),
            "",
            "COPS",
            "",
            now,
            (),
            state=state,
            ended_at=now + took,
        )
        now += took
        runs.insert(0, run)
    return runs


@LAWS
@given(st.data())
def test_the_newest_act_by_hand_counts_until_the_schedule_changes_something(
    data: st.DataObject,
) -> None:
    """From the runs alone: earlier acts and what windows did change nothing."""
    windows, begin = data.draw(scene())
    runs = data.draw(journal(begin, 4))
    now = max((r.ended_at for r in runs), default=begin) + data.draw(st.integers(0, DAY))
    said = due(windows, now, with_acts(w.NONE, runs))
    mine = [r for r in runs if r.requester is ANA and r.state is State.DONE]
    closed, _ = closures(windows, begin - 9 * DAY, now)
    changes = [t for c in closed for t in (c.close, c.open)]
    newest = mine[0] if mine else None
    started = newest is not None and newest.plan is PLANS[Startup]
    at_ = (newest.ended_at if started else newest.opened_at) if newest else 0.0
    if newest is None or any(at_ < t <= now for t in changes):
        assert said.why is None
        assert said.state == ("closed" if any(c.close <= now < c.open for c in closed) else "open")
    else:
        assert said.state == "no opinion"
        assert said.why == Manual(at_, "open" if started else "closed", ANA.mention)
        assert said.reason.startswith("started manually" if started else "stopped manually")
        assert f"manually by {markup(ANA.mention)}" in due_words(said)


@LAWS
@given(st.data())
def test_exceptions_count_the_same_in_whatever_order_they_come(data: st.DataObject) -> None:
    windows, begin = data.draw(scene())
    given_ = data.draw(exceptions(begin, 3))
    mixed = replace(
        given_,
        **{
            f: tuple(data.draw(st.permutations(getattr(given_, f))))
            for f in ("keep_ups", "holds", "manual", "freezes", "meetings")
        },
    )
    moments = [begin + n for n in range(0, 4 * DAY, 40009)]
    assert edges(windows, begin, begin + 4 * DAY, mixed) == edges(
        windows, begin, begin + 4 * DAY, given_
    )
    assert [due(windows, m, mixed) for m in moments] == [due(windows, m, given_) for m in moments]


# --- named evenings ------------------------------------------------------------------


def one(zone: str, words: str, day: str) -> tuple[str, str, str, str]:
    """Close and open in UTC, with their marks, of the window on that day."""
    made = parse_window(f"n {words} {zone}")
    (o,) = occurrences(made, date.fromisoformat(day), date.fromisoformat(day))
    close, opened = (f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M}" for t in (o.close, o.open))
    return close, opened, o.close_mark, o.open_mark


@pytest.mark.parametrize(
    ("zone", "words", "day", "close", "opened", "marks"),
    [
        # 02:30 happens twice: the first counts.
        (
            "Europe/Madrid",
            "daily 02:30-07:30",
            "2026-10-25",
            "2026-10-25 00:30",
            "2026-10-25 06:30",
            (REPEATED, ""),
        ),
        # 02:30 does not happen: 03:00 summer time, the first moment after.
        (
            "Europe/Madrid",
            "daily 02:30-07:30",
            "2027-03-28",
            "2027-03-28 01:00",
            "2027-03-28 05:30",
            (SKIPPED, ""),
        ),
        (
            "Europe/Madrid",
            "daily 20:00-02:30",
            "2027-03-27",
            "2027-03-27 19:00",
            "2027-03-28 01:00",
            ("", SKIPPED),
        ),
        (
            "America/New_York",
            "daily 01:30-06:00",
            "2026-11-01",
            "2026-11-01 05:30",
            "2026-11-01 11:00",
            (REPEATED, ""),
        ),
        # Cairo's clocks jump from 00:00 to 01:00; the day begins at 01:00.
        (
            "Africa/Cairo",
            "Fri 00:00-06:00",
            "2027-04-30",
            "2027-04-29 22:00",
            "2027-04-30 03:00",
            (SKIPPED, ""),
        ),
        (
            "Africa/Cairo",
            "Thu 20:00-24:00",
            "2027-04-29",
            "2027-04-29 18:00",
            "2027-04-29 22:00",
            ("", SKIPPED),
        ),
        # Lord Howe moves by half an hour: back from 02:00 to 01:30, forward from 02:00 to 02:30.
        (
            "Australia/Lord_Howe",
            "daily 01:45-06:00",
            "2027-04-04",
            "2027-04-03 14:45",
            "2027-04-03 19:30",
            (REPEATED, ""),
        ),
        (
            "Australia/Lord_Howe",
            "daily 02:15-06:00",
            "2026-10-04",
            "2026-10-03 15:30",
            "2026-10-03 19:00",
            (SKIPPED, ""),
        ),
        # Both ends in the same gap: as long as on any other day, never of no length.
        (
            "Europe/Madrid",
            "daily 02:10-02:50",
            "2027-03-28",
            "2027-03-28 01:00",
            "2027-03-28 01:40",
            (SKIPPED, SKIPPED),
        ),
    ],
)
def test_named_clock_changes(
    zone: str, words: str, day: str, close: str, opened: str, marks: tuple[str, str]
) -> None:
    assert one(zone, words, day) == (close, opened, *marks)


def test_a_day_that_a_country_skipped_has_no_edges_and_the_one_before_still_opens() -> None:
    nights = parse_window("nights daily 20:00-07:30 Pacific/Apia")
    line = edges(
        [nights], at("Pacific/Apia", "2011-12-29T12:00"), at("Pacific/Apia", "2011-12-31T23:00")
    )
    # Thursday the 29th is followed by Saturday the 31st.
    # Friday 07:30 means the first moment after Thursday.
    assert spell(line) == [
        "nights-close@2011-12-29T20:00 30 06:00Z",
        "nights-open@2011-12-30T07:30 30 10:00Z",
        "nights-close@2011-12-31T20:00 31 06:00Z",
    ]
    assert line[1].marks == (SKIPPED,)


def test_a_repeated_hour_fires_once_whatever_the_ticks() -> None:
    nights = (parse_window("nights daily 02:30-07:30 Europe/Madrid"),)
    bot = SchedulerDouble(nights, w.NONE, SchedulePolicy(), at("Europe/Madrid", "2026-10-25T00:00"))
    begin = bot.since
    for n in range(1, 6 * 60):
        bot.tick(begin + n * 60)
    assert [name for name, _ in bot.acted] == ["nights-close@2026-10-25T02:30"]


NIGHTS = parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid")


def madrid(text: str) -> float:
    return at("Europe/Madrid", text)


def test_windows_that_touch_are_one_closed_time_and_open_once() -> None:
    """Friday night opens on Saturday morning, unless the weekend keeps it closed."""
    friday, monday = madrid("2027-11-05T12:00"), madrid("2027-11-08T12:00")
    assert spell(edges([NIGHTS], friday, monday)) == [
        "nights-close@2027-11-05T20:00 05 19:00Z",
        "nights-open@2027-11-06T07:30 06 06:30Z",
    ]
    days = parse_window("weekend Sat,Sun 07:30-20:00 Europe/Madrid --media-only --number 5")
    eves = parse_window("eves Sat,Sun 20:00-07:30 Europe/Madrid --number 3")
    (close, opened) = edges([NIGHTS, days, eves], friday, monday)
    assert (close.name, opened.name) == (
        "nights-close@2027-11-05T20:00",
        "eves-open@2027-11-08T07:30",
    )
    # They differ in kind and number: more stays up, and both are named.
    assert (close.closes, opened.number, opened.remembered) == ("media-only", 5, True)
    said = due([NIGHTS, days, eves], madrid("2027-11-06T12:00")).conflicts
    assert len(said) == 2
    assert "eves shuts everything down" in said[0]
    assert "weekend leaves the masters powered on" in said[0]
    assert "as many as before" in said[1]
    assert w.find_conflicts([NIGHTS, days, eves], friday) == said


def test_a_holiday_does_not_close_and_the_forecast_says_why() -> None:
    nights = replace(NIGHTS, off=("2027-12-24",))
    (row,) = w.forecast([nights], madrid("2027-12-24T12:00"), madrid("2027-12-25T12:00"))
    assert (row.what, row.notes) == (
        "stays as it is",
        ("day off", "2027-12-24 is an exception of nights"),
    )
    assert due([nights], madrid("2027-12-24T23:00")).state == "open"
    bot = SchedulerDouble((nights,), w.NONE, SchedulePolicy(), madrid("2027-12-24T12:00"))
    assert [m.reason for m in bot.tick(madrid("2027-12-24T20:00")).missed] == [
        "2027-12-24 is an exception of nights"
    ]
    everybody = Exceptions(off=("2027-12-23",))
    assert due([nights], madrid("2027-12-23T23:00"), everybody).state == "open"


def test_a_holiday_closed_all_day_is_a_window_of_its_own() -> None:
    xmas = parse_window("xmas 2027-12-24 00:00-24:00 Europe/Madrid")
    line = edges([NIGHTS, xmas], madrid("2027-12-23T12:00"), madrid("2027-12-26T12:00"))
    assert [e.name for e in line] == [
        "nights-close@2027-12-23T20:00",
        "nights-open@2027-12-25T07:30",
    ]


def test_an_edit_seconds_from_an_edge_does_what_the_last_version_says() -> None:
    bot = SchedulerDouble((NIGHTS,), w.NONE, SchedulePolicy(), madrid("2027-11-03T19:59"))
    later = replace(NIGHTS, close=20 * 60 + 5, version=2)
    eight = madrid("2027-11-03T20:00")
    bot.windows = (later,)
    for second in range(-5, 300):
        assert bot.tick(eight + second).act is None
    assert bot.tick(eight + 300).act is not None
    # Back to 20:00 while it closes: another name, but closed already; its run is empty.
    bot.windows = (replace(NIGHTS, open=8 * 60, version=3),)
    assert [bot.tick(eight + 301 + n).act for n in range(20)].count(None) == 19
    assert [n for n, _ in bot.acted] == [
        "nights-close@2027-11-03T20:05",
        "nights-close@2027-11-03T20:00",
    ]


@pytest.mark.parametrize("edit_ms", range(-5000, 5001, 250))
def test_an_edit_of_anything_but_the_time_near_the_edge_closes_once(edit_ms: int) -> None:
    eight = madrid("2027-11-03T20:00")
    bot = SchedulerDouble((NIGHTS,), w.NONE, SchedulePolicy(), eight - 10)
    for ms in range(-6000, 6001, 125):
        if ms == edit_ms:
            bot.windows = (replace(NIGHTS, number=4, version=2),)
        bot.tick(eight + ms / 1000)
    assert [n for n, _ in bot.acted] == ["nights-close@2027-11-03T20:00"]


def test_a_newer_tz_database_does_not_repeat_what_was_done() -> None:
    """The country moves its clocks: the same nominal time is another moment, and the same name."""
    old, new = replace(NIGHTS, zone="Etc/GMT-1"), replace(NIGHTS, zone="Etc/GMT-2")
    bot = SchedulerDouble((new,), w.NONE, SchedulePolicy(), at("Etc/GMT-2", "2027-11-03T19:00"))
    assert bot.tick(at("Etc/GMT-2", "2027-11-03T20:00")).act is not None
    bot.windows = (old,)
    assert bot.tick(at("Etc/GMT-2", "2027-11-03T20:30")).act is None
    assert bot.tick(at("Etc/GMT-1", "2027-11-03T20:00")).act is None


@pytest.mark.parametrize(
    ("back", "acts", "said"),
    [
        ("2027-11-03T20:01", True, ""),
        ("2027-11-03T23:00", True, "3 h late, 8 h 30 min of closed time left"),
        ("2027-11-04T07:10", False, "11 h 10 min late, with only 20 min of closed time left"),
        (
            "2027-11-04T07:30",
            False,
            "no bot acted on it in time; now open until Thu 2027-11-04 20:00",
        ),
        (
            "2027-11-04T16:00",
            False,
            "no bot acted on it in time; now open until Thu 2027-11-04 20:00",
        ),
    ],
)
def test_a_bot_that_was_away_at_the_edge_still_closes_but_never_into_working_hours(
    back: str, acts: bool, said: str
) -> None:
    bot = SchedulerDouble((NIGHTS,), w.NONE, SchedulePolicy(), madrid("2027-11-03T19:00"))
    settled = bot.tick(madrid(back))
    closed = settled.act is not None and settled.act.kind == "close"
    assert closed is acts
    assert (settled.reason if acts else settled.missed[0].reason) == said


# --- people first --------------------------------------------------------------------


def test_keep_up_one_hour_twice_then_it_closes_by_itself() -> None:
    half_past = madrid("2027-11-03T19:35")
    once = w.keep_up([NIGHTS], half_past, HOUR, "<@U1>", reason="demo")
    assert once.until == madrid("2027-11-03T21:00")
    twice = w.keep_up([NIGHTS], half_past + 600, HOUR, "<@U1>", exceptions=Exceptions((once,)))
    assert twice.until == madrid("2027-11-03T22:00")
    both = Exceptions((once, twice))
    line = edges([NIGHTS], half_past, madrid("2027-11-04T08:00"), both)
    assert spell(line) == [
        "nights-close@2027-11-03T20:00 03 19:00Z -",
        "nights-close@2027-11-03T22:00 03 21:00Z",
        "nights-open@2027-11-04T07:30 04 06:30Z",
    ]
    assert line[0].reason == "kept up by <@U1> until Wed 2027-11-03 22:00"
    assert due([NIGHTS], madrid("2027-11-03T21:59"), both).state == "open"
    assert due([NIGHTS], madrid("2027-11-03T22:00"), both).state == "closed"


def test_keep_up_while_it_closes_brings_it_back_and_ends_by_itself() -> None:
    ten_past = madrid("2027-11-03T20:10")
    keep = Exceptions((w.keep_up([NIGHTS], ten_past, HOUR, "<@U1>"),))
    names = [e.name for e in edges([NIGHTS], ten_past - HOUR, ten_past + DAY // 2, keep) if e.acts]
    assert names == [
        "nights-close@2027-11-03T20:00",
        "nights-open@2027-11-03T20:10",
        "nights-close@2027-11-03T21:10",
        "nights-open@2027-11-04T07:30",
    ]


def test_keep_up_tonight_is_tonight_and_not_the_weekend_that_follows() -> None:
    weekend = parse_window("weekend Sat 07:30-20:00 Europe/Madrid")
    keep = w.keep_up([NIGHTS, weekend], madrid("2027-11-05T19:30"), "tonight", "<@U1>")
    assert keep.until == madrid("2027-11-06T07:30")
    tonight = w.keep_up([NIGHTS], madrid("2027-11-03T19:30"), "tonight", "<@U1>")
    with pytest.raises(Refused, match="already kept up until Thu 2027-11-04 07:30"):
        w.keep_up(
            [NIGHTS], madrid("2027-11-03T19:40"), HOUR, "<@U1>", exceptions=Exceptions((tonight,))
        )


def test_keep_up_until_a_moment_whatever_closes_and_opens_before() -> None:
    half_past = madrid("2027-11-03T19:30")
    tonight = w.keep_up([NIGHTS], half_past, w.Until(madrid("2027-11-03T22:00")), "<@U1>")
    assert (tonight.since, tonight.until) == (half_past, madrid("2027-11-03T22:00"))
    two_nights = w.keep_up([NIGHTS], half_past, w.Until(madrid("2027-11-04T21:30")), "<@U1>")
    line = edges([NIGHTS], half_past, madrid("2027-11-05T08:00"), Exceptions((two_nights,)))
    assert [e.name for e in line if e.acts] == [
        "nights-close@2027-11-04T21:30",
        "nights-open@2027-11-05T07:30",
    ]
    with pytest.raises(Refused, match="it stays up until Wed 2027-11-03 20:00 anyway"):
        w.keep_up([NIGHTS], half_past, w.Until(madrid("2027-11-03T19:45")), "<@U1>")
    with pytest.raises(Refused, match="it can be kept up for at most 14 days"):
        w.keep_up([NIGHTS], half_past, w.Until(madrid("2027-11-18T22:00")), "<@U1>")


def test_what_a_keep_up_leaves_of_a_night_may_not_be_worth_closing_for() -> None:
    keep = Exceptions((KeepUp(madrid("2027-11-03T19:30"), madrid("2027-11-04T07:10"), "<@U1>"),))
    line = edges([NIGHTS], madrid("2027-11-03T19:00"), madrid("2027-11-04T08:00"), keep)
    assert not [e for e in line if e.acts]
    assert "only 20 min of closed time would be left" in [e.reason for e in line]
    assert due([NIGHTS], madrid("2027-11-04T07:20"), keep).state == "open"


def test_a_start_by_hand_is_respected_until_the_next_edge_and_said_so() -> None:
    hand = Exceptions(manual=(Manual(madrid("2027-11-03T22:00"), "open", "<@U1>"),))
    now = due([NIGHTS], madrid("2027-11-03T23:00"), hand)
    assert now.state == "no opinion"
    assert (
        now.reason == "started manually by <@U1> at Wed 2027-11-03 22:00; "
        "the schedule resumes Thu 2027-11-04 07:30"
    )
    assert due([NIGHTS], madrid("2027-11-04T07:30"), hand).state == "open"
    assert due([NIGHTS], madrid("2027-11-04T20:00"), hand).state == "closed"


def test_a_stop_by_hand_during_the_day_lasts_until_the_evening_and_it_opens_the_next_morning() -> (
    None
):
    hand = Exceptions(manual=(Manual(madrid("2027-11-03T12:00"), "closed", "<@U1>"),))
    assert due([NIGHTS], madrid("2027-11-03T19:59"), hand).state == "no opinion"
    names = [
        e.name
        for e in edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"), hand)
        if e.acts
    ]
    assert names == ["nights-close@2027-11-03T20:00", "nights-open@2027-11-04T07:30"]


@pytest.mark.parametrize("turn", [1, -1], ids=["oldest first", "newest first"])
def test_a_stop_followed_by_a_start_counts_as_a_start_and_the_other_way_round(turn: int) -> None:
    nights = parse_window("nights daily 20:01-22:31 Europe/Madrid")
    by_day = (
        Manual(madrid("2026-11-29T18:43"), "closed", "@ana"),
        Manual(madrid("2026-11-29T19:00"), "open", "@ana"),
    )
    now = due([nights], madrid("2026-11-29T19:35"), Exceptions(manual=by_day[::turn]))
    assert (
        now.reason == "started manually by @ana at Sun 2026-11-29 19:00; "
        "the schedule resumes Sun 2026-11-29 20:01"
    )
    by_night = (
        Manual(madrid("2026-11-29T20:30"), "open", "@ana"),
        Manual(madrid("2026-11-29T21:00"), "closed", "@ana"),
    )
    now = due([nights], madrid("2026-11-29T21:30"), Exceptions(manual=by_night[::turn]))
    assert (
        now.reason == "stopped manually by @ana at Sun 2026-11-29 21:00; "
        "the schedule resumes Sun 2026-11-29 22:31"
    )


def test_a_hold_swallows_the_close_which_is_told_and_made_up_for_when_it_ends() -> None:
    hold = Exceptions(
        holds=(Hold(madrid("2027-11-03T19:00"), madrid("2027-11-03T21:00"), "<@U1>", "audit"),)
    )
    bot = SchedulerDouble((NIGHTS,), hold, SchedulePolicy(), madrid("2027-11-03T19:30"))
    assert [m.reason for m in bot.tick(madrid("2027-11-03T20:00")).missed] == [
        "put on hold by <@U1> until Wed 2027-11-03 21:00: audit"
    ]
    settled = bot.tick(madrid("2027-11-03T21:00"))
    assert settled.act is not None
    assert settled.act.name == "nights-close@2027-11-03T21:00"


def test_after_a_hold_what_is_due_is_seen_to_anew_whatever_was_done_before_it() -> None:
    """The hold came while it closed, and may have stopped that half way, or before it opened."""
    hold = Exceptions(
        holds=(Hold(madrid("2027-11-03T20:10"), madrid("2027-11-03T22:00"), "<@U1>", "audit"),)
    )
    names = [
        e.name
        for e in edges([NIGHTS], madrid("2027-11-03T19:00"), madrid("2027-11-04T00:00"), hold)
    ]
    assert names == ["nights-close@2027-11-03T20:00", "nights-close@2027-11-03T22:00"]
    hold = Exceptions(
        holds=(Hold(madrid("2027-11-04T07:35"), madrid("2027-11-04T09:00"), "<@U1>", "audit"),)
    )
    bot = SchedulerDouble((NIGHTS,), hold, SchedulePolicy(), madrid("2027-11-04T07:00"))
    assert bot.tick(madrid("2027-11-04T07:40")).act is None
    settled = bot.tick(madrid("2027-11-04T09:00"))
    assert settled.act is not None
    assert settled.act.name == "nights-open@2027-11-04T09:00"


def test_a_stop_by_hand_before_an_evening_that_is_kept_up_ends_with_it() -> None:
    """Nothing closes at 20:00, but the stop is respected until that edge: more being up wins."""
    given_ = Exceptions(
        (KeepUp(madrid("2027-11-03T11:00"), madrid("2027-11-04T07:30"), "<@U1>"),),
        manual=(Manual(madrid("2027-11-03T12:00"), "closed", "<@U2>"),),
    )
    assert due([NIGHTS], madrid("2027-11-03T13:00"), given_).conflicts == (
        "kept up by <@U1>, then stopped manually by <@U2>: it stays stopped",
    )
    names = [
        e.name
        for e in edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"), given_)
        if e.acts
    ]
    assert names == ["nights-open@2027-11-03T20:00"]


def test_a_stop_by_hand_last_week_is_over_though_it_is_still_remembered() -> None:
    weekly = parse_window("weekly Mon 20:00-21:00 Europe/Madrid")
    given_ = Exceptions(
        (KeepUp(madrid("2027-11-08T19:00"), madrid("2027-11-08T21:00"), "<@U1>"),),
        manual=(Manual(madrid("2027-11-01T12:00"), "closed", "<@U2>"),),
    )
    assert not [
        e
        for e in edges([weekly], madrid("2027-11-07T12:00"), madrid("2027-11-09T12:00"), given_)
        if e.acts
    ]
    assert due([weekly], madrid("2027-11-07T12:00"), given_).state == "open"


def test_a_summer_closed_without_a_break_is_one_closed_time() -> None:
    summer = parse_window("summer 2027-07-01..2027-08-31 00:00-24:00 Europe/Madrid")
    for day in ("2027-07-02", "2027-07-20", "2027-08-31"):
        now = due([summer], madrid(f"{day}T12:00"))
        assert now.since_edge is not None
        assert now.next_edge is not None
        assert (now.since_edge.name, now.next_edge.name) == (
            "summer-close@2027-07-01T00:00",
            "summer-open@2027-09-01T00:00",
        )
    assert [
        e.name for e in edges([summer], madrid("2027-08-20T00:00"), madrid("2027-09-02T00:00"))
    ] == ["summer-open@2027-09-01T00:00"]


def test_exceptions_are_remembered_past_their_end_then_let_go() -> None:
    keep = KeepUp(1000, 2000, "<@U1>")
    assert Exceptions((keep,)).without_old(2001).keep_ups == (keep,)
    assert Exceptions((keep,)).without_old(2000 + 11 * DAY) == w.NONE


def test_notices_come_before_a_close_once_each_and_only_the_nearest_after_a_break() -> None:
    close, opened = edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"))
    assert [(n.minutes, n.at) for n in w.notices(close)] == [
        (30, madrid("2027-11-03T19:30")),
        (5, madrid("2027-11-03T19:55")),
    ]
    assert not w.notices(opened)
    assert [
        getattr(w.notice(close, madrid(f"2027-11-03T{t}")), "minutes", None)
        for t in ("19:29", "19:30", "19:54", "19:57", "20:00")
    ] == [
        None,
        30,
        30,
        5,
        None,
    ]


def test_a_wake_up_minutes_after_a_keep_up_has_ended_opens_it() -> None:
    """It has closed in these minutes, however few: what people do later does not undo that."""
    (nights,) = (parse_window("nights daily 20:00-08:00 Europe/Madrid"),)
    begin = datetime(2027, 2, 9, 20, 5, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
    first, second = KeepUp(begin, begin + 7200, "dora"), KeepUp(begin + 7500, begin + 9000, "dora")
    exceptions = Exceptions(keep_ups=(first, second))
    opens = due((nights,), begin + 7501, exceptions).since_edge
    assert opens is not None
    assert (opens.kind, opens.start) == ("open", begin + 7500)


# --- what calendars say --------------------------------------------------------------


def test_closed_time_keeps_clear_of_a_meeting_and_opens_ready_by_it() -> None:
    board = Exceptions(
        meetings=(Meeting(madrid("2027-11-03T23:00"), madrid("2027-11-04T00:30"), "board"),)
    )
    terms = SchedulePolicy(lead=600)
    line = edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"), board, terms)
    assert [(e.name, e.start) for e in line if e.acts] == [
        ("nights-close@2027-11-03T20:00", madrid("2027-11-03T20:00")),
        ("nights-open@2027-11-03T23:00", madrid("2027-11-03T22:50")),
        ("nights-close@2027-11-04T00:30", madrid("2027-11-04T00:30")),
        ("nights-open@2027-11-04T07:30", madrid("2027-11-04T07:20")),
    ]
    assert line[1].reason == "meeting from Wed 2027-11-03 23:00 until Thu 2027-11-04 00:30: board"
    assert due([NIGHTS], madrid("2027-11-03T23:30"), board, terms).why == board.meetings[0]


def test_under_a_meeting_into_the_night_it_closes_later_and_not_for_a_moment_before_one() -> None:
    late = Exceptions(
        meetings=(Meeting(madrid("2027-11-03T19:30"), madrid("2027-11-03T20:45"), "review"),)
    )
    line = edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"), late)
    assert [e.name for e in line if e.changes] == [
        "nights-close@2027-11-03T20:45",
        "nights-open@2027-11-04T07:30",
    ]
    assert w.forecast([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-03T21:00"), late)[
        0
    ].notes == ("meeting from Wed 2027-11-03 19:30 until Wed 2027-11-03 20:45: review",)
    soon = Exceptions(
        meetings=(Meeting(madrid("2027-11-03T20:25"), madrid("2027-11-03T21:00"), "call"),)
    )
    line = edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-04T12:00"), soon)
    assert [e.name for e in line if e.changes] == [
        "nights-close@2027-11-03T21:00",
        "nights-open@2027-11-04T07:30",
    ]
    assert "only 25 min of closed time would be left" in [e.reason for e in line]


def test_a_meeting_that_was_entered_after_it_closed_opens_it_all_the_same() -> None:
    """The calendar is newer than the closing: it opens, and would not have closed with it."""
    bot = SchedulerDouble((NIGHTS,), w.NONE, SchedulePolicy(), madrid("2027-11-03T19:00"))
    bot.tick(madrid("2027-11-03T20:00"))
    bot.exceptions = Exceptions(
        meetings=(Meeting(madrid("2027-11-03T20:25"), madrid("2027-11-03T21:00"), "call"),)
    )
    bot.tick(madrid("2027-11-03T20:10"))
    bot.tick(madrid("2027-11-03T20:25"))
    assert [name for name, _ in bot.acted] == [
        "nights-close@2027-11-03T20:00",
        "nights-open@2027-11-03T20:25",
    ]


def test_an_opening_is_sized_for_the_most_who_meet_at_once_before_it_closes_again() -> None:
    at_ = [madrid(f"2027-11-04T{t}") for t in ("09:00", "10:00", "11:00", "12:00")]
    crowd = (
        Meeting(at_[0], at_[2], "a", 120),
        Meeting(at_[1], at_[3], "b", 90),
        Meeting(at_[2], at_[3], "c", 60),
    )
    terms = SchedulePolicy(per_node=50)
    evening = Meeting(madrid("2027-11-04T21:00"), madrid("2027-11-04T22:00"), "d", 900)
    line = edges(
        [NIGHTS],
        madrid("2027-11-04T00:00"),
        madrid("2027-11-04T12:00"),
        Exceptions(meetings=(*crowd, evening)),
        terms,
    )
    assert [(e.kind, e.number, e.remembered) for e in line] == [
        ("open", 5, True)
    ]  # 120 + 90 at ten; at eleven 90 + 60
    many = replace(NIGHTS, number=9)
    line = edges(
        [many],
        madrid("2027-11-04T00:00"),
        madrid("2027-11-04T12:00"),
        Exceptions(meetings=crowd),
        terms,
    )
    assert [(e.number, e.remembered) for e in line] == [(9, False)]
    silent = Exceptions(meetings=(Meeting(at_[0], at_[1], "a"),))
    assert [
        e.number
        for e in edges(
            [NIGHTS], madrid("2027-11-04T00:00"), madrid("2027-11-04T12:00"), silent, terms
        )
    ] == [None]


def test_closed_time_never_runs_into_a_change_freeze() -> None:
    """Nothing opens in a freeze: it is open when one begins, and closes after its end."""
    freeze = Exceptions(
        freezes=(Freeze(madrid("2027-11-04T00:00"), madrid("2027-11-05T00:00"), "release"),)
    )
    terms = SchedulePolicy(lead=600)
    line = edges([NIGHTS], madrid("2027-11-03T12:00"), madrid("2027-11-05T12:00"), freeze, terms)
    assert [(e.name, e.start) for e in line if e.acts] == [
        ("nights-close@2027-11-03T20:00", madrid("2027-11-03T20:00")),
        ("nights-open@2027-11-04T00:00", madrid("2027-11-03T23:50")),
        ("nights-close@2027-11-05T00:00", madrid("2027-11-05T00:00")),
        ("nights-open@2027-11-05T07:30", madrid("2027-11-05T07:20")),
    ]
    now = due([NIGHTS], madrid("2027-11-04T21:00"), freeze, terms)
    assert (now.state, now.reason) == (
        "no opinion",
        "change freeze until Fri 2027-11-05 00:00: release",
    )
    assert due([], madrid("2027-11-04T21:00"), freeze).why == freeze.freezes[0]


# --- ready by ------------------------------------------------------------------------


def test_it_begins_early_to_serve_at_the_time() -> None:
    terms = SchedulePolicy(lead=600)
    assert due([NIGHTS], madrid("2027-11-04T07:19"), terms=terms).state == "closed"
    now = due([NIGHTS], madrid("2027-11-04T07:20"), terms=terms)
    assert now.state == "open"
    assert now.since_edge is not None
    assert now.since_edge.name == "nights-open@2027-11-04T07:30"
    assert w.will_miss(madrid("2027-11-04T07:26"), now.since_edge, 310) == 70
    assert w.will_miss(madrid("2027-11-04T07:20"), now.since_edge, 310) == 0


def test_a_window_shorter_than_a_start_up_is_left_out_and_told() -> None:
    short = parse_window("lunch daily 13:00-13:05 Europe/Madrid")
    line = edges(
        [short],
        madrid("2027-11-03T12:00"),
        madrid("2027-11-03T18:00"),
        terms=SchedulePolicy(lead=600),
    )
    assert [(e.acts, e.reason) for e in line if e.kind == "close"] == [
        (False, "it would be closed for 5 min, but a start-up takes 10 min")
    ]


def test_the_lead_is_learnt_and_stays_sane() -> None:
    assert w.lead([]) == 600
    assert w.lead([100], floor=60) == 125
    assert w.lead([300.0] * 19 + [3000.0], floor=60) == 300
    assert w.lead([float("nan"), -5.0, 100000.0], floor=60) == 3600
    assert w.lead([5000.0] * 30 + [400.0] * 50, floor=60) == 400


# --- words ---------------------------------------------------------------------------


@LAWS
@given(
    window(),
    st.sets(st.dates(FIRST, LAST), max_size=6),
    st.sets(st.dates(FIRST, LAST), max_size=6),
    st.integers(1, 600),
)
def test_words_and_back(made: Window, dates: set[date], off: set[date], minutes: int) -> None:
    both = replace(
        made,
        dates=tuple(sorted(d.isoformat() for d in dates)),
        off=tuple(sorted(d.isoformat() for d in off - dates)),
    )
    both = replace(both, wait_limit=minutes * 60.0) if both.meetings == "wait" else both
    assert parse_window(both.to_text()) == both
    assert decode(encode(both), {"Window": Window}) == both


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        (
            "Nights mon-FRI 20:00 - 7:30 madrid".replace("madrid", "europe/madrid"),
            "nights Mon-Fri 20:00-07:30 Europe/Madrid",
        ),
        ("n Fri-Mon 20:00–07:30 UTC —media-only", "n Fri-Mon 20:00-07:30 UTC --media-only"),
        ("n Monday, wed,Friday 20:00-24:00", "n Mon,Wed,Fri 20:00-24:00 Asia/Tokyo"),
        ("n weekdays 24:00-06:00", "n Tue-Sat 00:00-06:00 Asia/Tokyo"),
        (
            "n daily 20:00-06:00 UTC --meetings=wait:90 --number 3",
            "n daily 20:00-06:00 UTC --number 3 --meetings wait:90",
        ),
        (
            "n daily 20:00-06:00 UTC --meetings wait:1h30",
            "n daily 20:00-06:00 UTC --meetings wait:90",
        ),
        (
            "n weekends,2027-12-24..2027-12-26 00:00-24:00 UTC",
            "n Sat,Sun,2027-12-24..2027-12-26 00:00-24:00 UTC",
        ),
        (
            "n daily 20:00-06:00 UTC --except 2027-12-24,2027-12-25",
            "n daily 20:00-06:00 UTC --except 2027-12-24..2027-12-25",
        ),
    ],
)
def test_it_is_written_the_way_people_say_it(said: str, canonical: str) -> None:
    assert parse_window(said, "Asia/Tokyo").to_text() == canonical


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "found nothing"),
        ("nights Mon-Fri", r"found 2: nights Mon-Fri"),
        ("n Mon-Fry 20:00-07:00 UTC", "“Mon-Fry” is not a day; write days as Mon-Fri"),
        ("n M 20:00-07:00 UTC", "“M” is not a day"),
        ("n Mon 20-7 UTC", "“20-7” is not a pair of times"),
        ("n Mon 24:30-07:00 UTC", "there is no 24:30 on the clock"),
        ("n Mon 20:00-20:00 UTC", "two different times"),
        ("n daily 00:00-24:00 UTC", "would never open"),
        ("n Mon 20:00-07:00 madrid", r"did you mean Europe/Madrid\?"),
        ("n Mon 20:00-07:00 Europe/Madird", r"did you mean Europe/Madrid"),
        ("n Mon 20:00-07:00 ../etc/passwd", "there is no time zone"),
        ("n! Mon 20:00-07:00 UTC", "a window's name"),
        ("n Mon 20:00-07:00 UTC --number 0", "1 to 1000"),
        ("n Mon 20:00-07:00 UTC --number", "1 to 1000"),
        (
            "n Mon 20:00-07:00 UTC --no-drain",
            "a window has no --no-drain; allowed: --media-only",
        ),
        ("n Mon 20:00-07:00 UTC --meetings maybe", "wait, wait:MINUTES, ask or skip"),
        ("n Mon 20:00-07:00 UTC --except Tue", "names weekdays"),
        ("n 2027-02-29 20:00-07:00 UTC", "“2027-02-29” does not exist"),
        ("n 2027-02-20 20:00-07:00 UTC --except 2027-02-20", "is both a day to close on"),
    ],
)
def test_what_is_refused_says_what_was_found_and_what_is_allowed(said: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        parse_window(said)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        (
            "GMT+2",
            "“GMT+2” is not a time zone; for UTC+2 all year write Etc/GMT-2 (its sign "
            "is reversed); for a place with summer time write ",
        ),
        (
            "UTC-5",
            "for UTC-5 all year write Etc/GMT+5 (its sign is reversed); for a place "
            "with summer time write America/New_York",
        ),
        ("+05:30", "“+05:30” is not a time zone; for a place with summer time write Asia/Kolkata"),
        ("UTC+01:00", "for UTC+1 all year write Etc/GMT-1"),
        ("UTC+25", "“UTC+25” is not a time zone; write a name such as Europe/Madrid or UTC"),
        ("PST", "there is no time zone “PST”; did you mean America/Los_Angeles?"),
        ("IST", "did you mean Asia/Kolkata or Asia/Jerusalem or Europe/Dublin?"),
    ],
)
def test_an_offset_or_an_abbreviation_gets_the_zones_it_may_mean_never_the_inverted_one(
    zone: str, told: str
) -> None:
    with pytest.raises(Refused) as refused:
        parse_window(f"n Mon 20:00-07:00 {zone}")
    assert told in str(refused.value)
    assert "Etc/GMT+2" not in str(refused.value)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("EST", ("window n: EST has no summer time; America/New_York?",)),
        ("MST", ("window n: MST has no summer time; America/Denver?",)),
        ("GMT", ("window n: GMT has no summer time; Europe/London?",)),
        ("Etc/GMT-2", ("window n: Etc/GMT-2 is UTC+2, all year",)),
        ("Etc/GMT+2", ("window n: Etc/GMT+2 is UTC-2, all year",)),
        *(
            (zone, ())
            for zone in ("UTC", "Etc/UTC", "Europe/Madrid", "CET", "EST5EDT", "Africa/Lagos")
        ),
    ],
)
def test_a_zone_that_surprises_people_is_told_where_the_window_is_read(
    zone: str, said: tuple[str, ...]
) -> None:
    assert w.find_conflicts([parse_window(f"n Mon 20:00-07:00 {zone}")], utc("2027-01-01")) == said


def test_settings_and_windows_judge_zones_alike() -> None:
    for name in (
        *available_timezones(),
        "Factory",
        "localtime",
        "posixrules",
        "GMT+2",
        "Mars/Phobos",
        "",
    ):
        verdicts = []
        for judge in (
            lambda n: zone_of_settings(n, context={"zones": own_zone}),
            lambda n: parse_window(f"n Mon 20:00-07:00 {n or '_'}"),
        ):
            with suppress(Refused, ValidationError):
                judge(name)
                verdicts.append(name)
        assert len(verdicts) in (0, 2), name


def test_nothing_that_people_type_is_anything_but_a_window_or_refused() -> None:
    chance = random.Random(1)
    pieces = [
        "n",
        "Mon-",
        "-",
        "--",
        "20:00-07:30",
        "99:99-1:1",
        "UTC",
        '"',
        "2027-13-40",
        "..",
        "--number",
        "wait:",
        "—",
        "Mon,,Tue",
        "9" * 30,
    ]
    for _ in range(3000):
        text = " ".join(chance.choices(pieces, k=chance.randrange(8)))
        with suppress(Refused):
            assert isinstance(parse_window(text), Window)


def test_no_window_no_opinion() -> None:
    assert due([], 0).state == "no opinion"
    over = parse_window("once 2021-05-05 20:00-22:00 UTC")
    assert due([over], utc("2027-01-01")).reason == "open for the whole coming year"
    always = [parse_window("a Mon-Sat 00:00-24:00 UTC"), parse_window("b Sun 00:00-24:00 UTC")]
    assert due(always, utc("2027-01-01")).state == "closed"
    assert "leave it closed" in w.find_conflicts(always, utc("2027-01-01"))[0]


def test_a_thousand_windows_are_thought_through_without_looking_far() -> None:
    """Counted in calls, so that no machine is too slow for it."""
    made = [replace(NIGHTS, name=f"n{n}") for n in range(1000)]
    eight = madrid("2027-11-03T20:00")

    def think() -> None:
        for each in made:
            assert decide([each], eight - 60, eight, set()).act is not None

    assert calls_of(think) < 4_000 * len(made)
