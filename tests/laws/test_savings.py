"""The saving is what the bill says, to the cent. Every figure here was calculated by hand first."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.billing.droplet_hours import Closing, Stay
from services.billing.estimate import NodePrice, four_weeks
from services.billing.savings import BillingFacts, KeptUpTime, MastersOff, day_bars, report, total
from services.procedures.windows import savings_text
from services.schedule.usage import facts_of
from services.windows import SchedulePolicy, Window, parse_window
from services.windows.overlap import overlaps
from tests.support.clusters import ready

HOUR, DAY = 3600, 86400
RATE, MONTHLY = Decimal("0.07143"), Decimal("48.00")  # s-4vcpu-8gb
LATER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def stay(droplet: int, since: str, until: str | None) -> Stay:
    return Stay(droplet, utc(since), utc(until) if until else None, RATE, MONTHLY)


def test_a_month_worked_out_by_hand() -> None:
    """October 2026 has 744 h; three media nodes at $0.07143/h, $48.00 at most.

    Real droplets, in October:
      1 2 3   1 Oct 00:00 -  5 Oct 18:06   114.1 h each        342.3 h
      4 5 6   6 Oct 05:24 -  9 Oct 18:10    84 h 46 min each   254.3 h
      7 8    12 Oct 05:24 -  1 Nov 00:00   474.6 h each        949.2 h
                                                total 1545.8 h x 0.07143 = 110.416494 -> $110.42

    Had nothing been closed:
      two places all month: 744 h, capped                              2 x 48.00 = 96.00
      the third until the night of the 9th ended with one node less,
      12 Oct 05:30: 269.5 h                                  269.5 x 0.07143 = 19.250385
                                                                     115.250385 -> $115.25
    Saved: 115.25 - 110.42 = $4.83, and not 211.7 h x 0.07143 = $15.12, as an hour counter claims.

    Away: 11 h 18 min three times, 59 h 14 min twice, 59 h 20 min once
    = 33.9 + 118.4667 + 59.3333 = 211.70 h.
    Of those the two capped places' 2 x 70.5333 = 141.07 h would not have been billed.
    """
    facts = BillingFacts(
        stays=(
            *(stay(n, "2026-09-20T08:00", "2026-10-05T18:06") for n in (1, 2, 3)),
            *(stay(n, "2026-10-06T05:24", "2026-10-09T18:10") for n in (4, 5, 6)),
            *(stay(n, "2026-10-12T05:24", None) for n in (7, 8)),
        ),
        closings=(
            Closing(
                "nights-close@2026-10-05T20:00",
                utc("2026-10-05T18:00"),
                utc("2026-10-06T05:30"),
                (1, 2, 3),
                (4, 5, 6),
            ),
            Closing(
                "nights-close@2026-10-09T20:00",
                utc("2026-10-09T18:00"),
                utc("2026-10-12T05:30"),
                (4, 5, 6),
                (7, 8),
            ),
        ),
        # Four masters at $0.07143/h: 11 h off. 11 x 0.28572 = 3.14292
        masters_off=(MastersOff(utc("2026-10-05T18:20"), utc("2026-10-06T05:20"), RATE * 4),),
        # Three nodes for 1 h: 0.21429 -> $0.21; and for 2 h 30 min: 0.535725 -> $0.54
        kept=(
            KeptUpTime(utc("2026-10-07T18:00"), utc("2026-10-07T19:00"), "<@U1>", RATE * 3, "demo"),
            KeptUpTime(utc("2026-10-08T18:00"), utc("2026-10-08T20:30"), "<@U1>", RATE * 3),
            KeptUpTime(
                utc("2026-10-13T18:00"), utc("2026-10-13T19:00"), "<@U2>", RATE * 2
            ),  # 0.14286
        ),
    )
    got = report("acme", 2026, 10, facts, LATER)
    assert (got.month, got.as_if, got.billed, got.saving) == (
        "2026-10",
        Decimal("115.25"),
        Decimal("110.42"),
        Decimal("4.83"),
    )
    assert (got.absent, got.free, got.closed) == (
        Decimal("211.70"),
        Decimal("141.07"),
        Decimal("71.00"),
    )  # 11.5 + 59.5
    assert (got.masters_off, got.masters_billed) == (Decimal("11.00"), Decimal("3.14"))
    assert [(k.by, k.times, k.hours, k.cost, k.reasons) for k in got.kept] == [
        ("<@U1>", 2, Decimal("3.50"), Decimal("0.75"), ("demo",)),
        ("<@U2>", 1, Decimal("1.00"), Decimal("0.14"), ()),
    ]
    assert sum(k.cost for k in got.kept) == Decimal("0.89")
    assert not got.so_far
    # The 5th: closed 18:00 - 24:00. The 9th too, then two whole days.
    assert [str(d.closed) for d in got.days[4:12]] == [
        "6.00",
        "5.50",
        "0.00",
        "0.00",
        "6.00",
        "24.00",
        "24.00",
        "5.50",
    ]
    assert day_bars(got.days) == "....22..2##2..................."
    both = total([got, got])
    assert (both.saving, both.kept[0].cost, both.kept[0].times) == (
        Decimal("9.66"),
        Decimal("1.50"),
        4,
    )
    with_one_that_never_closes = total([got, report("beta", 2026, 10, BillingFacts(), LATER)])
    assert [str(d.closed) for d in with_one_that_never_closes.days[4:7]] == ["3.00", "2.75", "0.00"]
    assert (with_one_that_never_closes.saving, with_one_that_never_closes.masters_billed) == (
        Decimal("4.83"),
        Decimal("3.14"),
    )


def test_the_month_of_the_price_list() -> None:
    """12 h on 22 days are 264 h: 264 x 0.07143 = 18.85752. Always on: $48.00. Saved: $29.14."""
    begin = utc("2026-10-01T00:00")
    stays = [
        Stay(0, begin - 40 * DAY, begin, RATE, MONTHLY)
    ]  # there before the month, gone as it begins
    stays += [
        Stay(n, begin + (n - 1) * DAY + 8 * HOUR, begin + (n - 1) * DAY + 20 * HOUR, RATE, MONTHLY)
        for n in range(1, 23)
    ]
    closings = [
        Closing(f"n{a.droplet}", a.until or 0, b.since, (a.droplet,), (b.droplet,))
        for a, b in pairwise(stays)
    ]
    closings.append(Closing("last", stays[-1].until or 0, None, (22,)))
    got = report("acme", 2026, 10, BillingFacts(tuple(stays), tuple(closings)), LATER)
    assert (got.as_if, got.billed, got.saving) == (
        Decimal("48.00"),
        Decimal("18.86"),
        Decimal("29.14"),
    )
    assert got.absent == Decimal("480.00")


def test_masters_that_are_off_save_nothing() -> None:
    off = MastersOff(utc("2026-10-01T00:00"), utc("2026-11-01T00:00"), RATE * 4)
    got = report("acme", 2026, 10, BillingFacts(masters_off=(off,)), LATER)
    # All month: 744 h off, billed for 672 of them at most. 672 x 0.28572 = 192.00384
    assert (got.saving, got.masters_off, got.masters_billed) == (
        Decimal("0.00"),
        Decimal("744.00"),
        Decimal("192.00"),
    )


def test_a_short_closing_in_a_long_month_costs_more_and_is_not_hidden() -> None:
    """Away for 1 h: 743 h of two droplets instead of 672 of one. 743 x 0.07143 = 53.07249."""
    facts = BillingFacts(
        (stay(1, "2026-09-01T00:00", "2026-10-15T12:00"), stay(2, "2026-10-15T13:00", None)),
        (Closing("n", utc("2026-10-15T12:00"), utc("2026-10-15T13:00"), (1,), (2,)),),
    )
    got = report("acme", 2026, 10, facts, LATER)
    assert (got.as_if, got.billed, got.saving) == (
        Decimal("48.00"),
        Decimal("53.07"),
        Decimal("-5.07"),
    )


def test_replacing_or_removing_a_node_by_hand_is_not_claimed() -> None:
    facts = BillingFacts(
        (stay(1, "2026-10-01T00:00", "2026-10-10T00:00"), stay(2, "2026-10-20T00:00", None))
    )
    got = report("acme", 2026, 10, facts, LATER)
    assert (got.saving, got.absent) == (Decimal("0.00"), Decimal("0.00"))


def test_the_least_that_is_billed() -> None:
    """10 s cost $0.01, and not 10/3600 x 0.07143 = $0.0002."""
    short = Stay(1, utc("2026-10-01T00:00"), utc("2026-10-01T00:00:10"), RATE, MONTHLY)
    assert report("acme", 2026, 10, BillingFacts((short,)), LATER).billed == Decimal("0.01")
    # At $3.60/h a second is a tenth of a cent; 60 s are $0.06.
    dear = Stay(1, utc("2026-10-01T00:00"), utc("2026-10-01T00:00:10"), Decimal("3.60"))
    assert report("acme", 2026, 10, BillingFacts((dear,)), LATER).billed == Decimal("0.06")


def test_the_cap_is_the_monthly_price_and_not_672_rounded_hours() -> None:
    """30 nodes all month are 30 x 48.00 = 1440.00; 30 x 672 x 0.07143 would be 1440.0288.

    Plans without a cap pay 744 h.
    """
    always = tuple(stay(n, "2026-10-01T00:00", None) for n in range(30))
    assert report("acme", 2026, 10, BillingFacts(always), LATER).billed == Decimal("1440.00")
    unknown = Stay(1, utc("2026-10-01T00:00"), None, Decimal("1.00"))
    assert report("acme", 2026, 10, BillingFacts((unknown,)), LATER).billed == Decimal("672.00")
    uncapped = Stay(1, utc("2026-10-01T00:00"), None, Decimal("1.00"), capped=False)
    assert report("acme", 2026, 10, BillingFacts((uncapped,)), LATER).billed == Decimal("744.00")


def test_another_size_after_the_night_is_another_droplet() -> None:
    """1-10 Oct at $0.07143, then a smaller one at $0.03571, back 12 h later.

    The night counts at the old price.

    216 h + 12 h = 228 h x 0.07143 = 16.28604; 516 h x 0.03571 = 18.42636;
    together 34.7124 -> $34.71
    Billed: 216 x 0.07143 = 15.42888, and 18.42636: 33.85524 -> $33.86.
    Saved $0.85 (12 h x 0.07143 = 0.857).
    """
    small = Stay(2, utc("2026-10-10T12:00"), None, Decimal("0.03571"), Decimal("24.00"))
    night = Closing("n", utc("2026-10-10T00:00"), utc("2026-10-10T12:00"), (1,), (2,))
    got = report(
        "acme",
        2026,
        10,
        BillingFacts((stay(1, "2026-10-01T00:00", "2026-10-10T00:00"), small), (night,)),
        LATER,
    )
    assert (got.as_if, got.billed, got.saving) == (
        Decimal("34.71"),
        Decimal("33.86"),
        Decimal("0.85"),
    )
    assert got.absent == Decimal("12.00")


def test_a_month_that_is_not_over_is_reported_so_far() -> None:
    night = Closing("n", utc("2026-10-02T00:00"), None, (1,))
    got = report(
        "acme",
        2026,
        10,
        BillingFacts((stay(1, "2026-10-01T00:00", "2026-10-02T00:00"),), (night,)),
        utc("2026-10-02T10:00"),
    )
    assert got.so_far
    assert (got.absent, got.saving, len(got.days)) == (
        Decimal("10.00"),
        Decimal("0.72"),
        2,
    )  # 34 h 2.42862; 24 h 1.71432; 2.43 - 1.71


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(HOUR, 3 * DAY), st.integers(HOUR, DAY)), min_size=1, max_size=12
    ),
    st.integers(1, 4),
)
def test_what_was_away_and_what_was_there_make_up_the_places(
    nights: list[tuple[int, int]], nodes: int
) -> None:
    """Below the cap, every node-hour away saves its price; nothing is counted twice."""
    stays: list[Stay] = []
    closings: list[Closing] = []
    now, number = utc("2026-10-01T00:00"), 0
    before: tuple[int, ...] = ()
    for up, down in nights:
        if now + up + down > utc("2026-10-27T00:00"):
            break
        here = tuple(range(number, number + nodes))
        number += nodes
        stays += [Stay(n, now, now + up, RATE, MONTHLY) for n in here]
        if before:
            closings[-1] = Closing("n", closings[-1].since, now, before, here)
        closings.append(Closing("n", now + up, now + up + down, here))
        now, before = now + up + down, here
    got = report("acme", 2026, 10, BillingFacts(tuple(stays), tuple(closings)), LATER)
    away = sum(c.until - c.since for c in closings if c.until) * nodes
    assert abs(got.saving - Decimal(away) / HOUR * RATE) <= Decimal("0.01") + Decimal("0.00001")
    assert got.as_if - got.billed == got.saving
    assert got.free == 0


# --- what a plan promises ------------------------------------------------------------

FEBRUARY, MARCH = (
    utc("2027-02-01T00:00"),
    utc("2027-03-01T00:00"),
)  # four weeks that are a month of the bill
ZONES = (
    "UTC",
    "Europe/Madrid",
    "Asia/Tokyo",
    "America/New_York",
)  # none of them changes its clocks in February


@st.composite
def schedule(draw: st.DrawFn, name: str) -> Window:
    closes = draw(st.integers(0, 287)) * 5
    opens = draw(st.integers(0, 288).map(lambda n: n * 5).filter(lambda m: m != closes))
    days = tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=6))))
    return Window(
        name,
        days,
        closes,
        opens,
        draw(st.sampled_from(ZONES)),
        number=draw(st.none() | st.integers(1, 6)),
    )


def nights_of(window: Window) -> list[tuple[float, float, Window]]:
    """Its closed times in February and a few days around, by the calendar alone."""
    made = []
    for n in range(-4, 33):
        midnight = datetime(2027, 2, 1, tzinfo=ZoneInfo(window.zone)) + timedelta(days=n)
        if midnight.weekday() in window.days:
            wraps = 1440 if window.open <= window.close else 0
            local = [midnight + timedelta(minutes=m) for m in (window.close, window.open + wraps)]
            made.append((local[0].timestamp(), local[1].timestamp(), window))
    return made


def month_of(windows: Sequence[Window], nodes: int, lead: float, price: NodePrice) -> list[Any]:
    """Return the records of a month in which every window acts, one for each change of nodes."""
    united: list[tuple[float, float, list[Window]]] = []
    for close, opens, window in sorted(
        (n for w in windows for n in nights_of(w)), key=lambda n: n[:2]
    ):
        if united and close <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], opens), [*united[-1][2], window])
        else:
            united.append((close, opens, [window]))
    changes: list[tuple[float, list[Window]]] = []
    for close, opens, of in united:
        if opens - lead > close:
            changes += [(close, []), (opens - lead, of)]
    number, here, there = 0, True, nodes
    told: list[Any] = []

    def note(at: float) -> None:
        nonlocal number
        created = min(at, FEBRUARY - DAY if at == FEBRUARY else at)
        size = "s-4vcpu-8gb" if price.capped else "g5-4vcpu-8gb"
        born = datetime.fromtimestamp(created, UTC).isoformat()
        here_now = [
            [number + n, str(price.hourly), str(price.monthly or 0), born, size]
            for n in range(there if here else 0)
        ]
        number += there
        told.append([at, here_now, False, "0"])

    here = next((bool(of) for at, of in reversed(changes) if at <= FEBRUARY), True)
    note(FEBRUARY)
    for at, of in changes:
        if FEBRUARY < at < MARCH:
            here = bool(of)
            if of:
                named = max((w.number or 0 for w in of), default=0)
                there = max(named, there if any(w.number is None for w in of) else 0)
            note(at)
    return told


def billed(windows: Sequence[Window], nodes: int, lead: float, price: NodePrice) -> Decimal:
    return report(
        "acme", 2027, 2, facts_of(month_of(windows, nodes, lead, price), MARCH), MARCH
    ).billed


BUNDLED, V5 = NodePrice(RATE, MONTHLY), NodePrice(Decimal("0.15529"), None, capped=False)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.data())
def test_the_four_weeks_of_a_plan_are_what_the_month_then_costs_to_the_cent(
    data: st.DataObject,
) -> None:
    others = [
        data.draw(schedule(name)) for name in ("nights", "lunch")[: data.draw(st.integers(0, 2))]
    ]
    windows = [*others, data.draw(schedule("late"))]
    nodes, lead = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([0.0, 600.0, 1800.0]))
    price = data.draw(st.sampled_from([BUNDLED, V5]))
    for some in (others, windows):
        assert four_weeks(some, FEBRUARY, [price] * nodes, SchedulePolicy(lead=lead)) == billed(
            some, nodes, lead, price
        )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_a_plan_promises_what_the_window_adds_and_no_more(data: st.DataObject) -> None:
    others = [
        data.draw(schedule(name)) for name in ("nights", "lunch")[: data.draw(st.integers(0, 2))]
    ]
    added = data.draw(schedule(data.draw(st.sampled_from(["late", "nights"]))))
    up = ready(3)
    cluster = replace(up, seen_at=FEBRUARY, windows=tuple(w.to_text() for w in others))
    said = savings_text(added, cluster)
    found = re.search(r"(saves|costs) about \$([\d,]+\.\d\d)( more)? in four weeks", said)
    assert found is not None, said
    promised = Decimal(found[2].replace(",", "")) * (1 if found[1] == "saves" else -1)
    then = [*(w for w in others if w.name != added.name), added]
    price = NodePrice(up.media[0].droplet.hourly or Decimal(0))
    assert promised == billed(others, 3, 600.0, price) - billed(then, 3, 600.0, price)
    for other in others:
        assert (other.name in said) == (other.name != added.name)


def test_a_second_window_that_overlaps_the_first_promises_what_it_adds() -> None:
    """Five nights a week 1.5 h longer, four weeks, three nodes: 30 h x 3 x 0.07143 = $6.43.

    Not the 220 h of the window alone.
    """
    since = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
    nights, late = (
        parse_window(f"{w} Europe/Madrid")
        for w in ("nights Mon-Fri 20:00-07:30", "late Mon-Fri 22:00-09:00")
    )
    cluster = replace(ready(3), seen_at=since, windows=(nights.to_text(),))
    assert savings_text(late, cluster).startswith(
        "saves about $6.43 in four weeks, in addition to what nights saves ("
    )
    assert overlaps([nights], late, since, since + 28 * DAY) == (
        "window late overlaps nights: it opens at 09:00 instead of 07:30 on Tue-Sat",
    )


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            "nights Mon-Fri 20:00-07:30",
            "early Mon-Fri 18:30-21:00",
            ["it closes at 18:30 instead of 20:00 on Mon-Fri"],
        ),
        (
            "nights Mon-Fri 20:00-07:30",
            "inner Wed 22:00-23:00",
            ["it is already closed then, so nothing changes on Wed"],
        ),
        (
            "nights Mon-Fri 20:00-07:30",
            "weekend Sat 07:30-20:00",
            ["it opens at 20:00 instead of 07:30 on Sat"],
        ),
        (
            "nights daily 20:00-07:30",
            "bridge Sat 07:00-20:30",
            ["it does not open from 07:30 to 20:00 on Sat"],
        ),
        (
            "nights Fri 20:00-07:30",
            "weekend Sat,Sun 00:00-24:00",
            ["it opens at Mon 00:00 instead of Sat 07:30 on Mon"],
        ),
        ("nights Mon-Fri 20:00-07:30", "lunch Mon-Fri 13:00-14:00", []),
    ],
)
def test_where_two_windows_meet_both_are_named_with_what_changes(
    first: str, second: str, said: list[str]
) -> None:
    since = utc("2027-02-01T12:00")
    one, other = (parse_window(f"{w} UTC") for w in (first, second))
    assert list(overlaps([one], other, since, since + 28 * DAY)) == [
        f"window {other.name} overlaps {one.name}: {s}" for s in said
    ]


def test_what_a_plan_cannot_know_it_does_not_promise() -> None:
    up = ready(3)
    silent = replace(
        up, media=tuple(replace(n, droplet=replace(n.droplet, hourly=None)) for n in up.media)
    )
    window = parse_window("nights Mon-Fri 20:00-07:30 UTC")
    assert (
        savings_text(window, silent)
        == "savings unknown: the price of a media node was not observed"
    )
