"""Observed nights: the bill as it would be, and what is never a saving."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handlers.views.observed import observed_card
from services.cluster.model import Load
from services.common.clock import Clock
from services.common.serialize import write
from services.memory.observed import (
    CLASSES,
    KEPT,
    MOST,
    NightOutcome,
    ObservedNight,
    ObservedNights,
    ObservedRepository,
    read_observed,
)
from services.schedule.observed_night import (
    DAY,
    LONGEST_GAP,
    MeetingsNow,
    looked,
    opened,
    out_of_time,
    report_of,
    would_be_records,
)
from services.store import Commit
from services.store.keys import observed_key
from services.store.sqlite import SqliteStore
from tests.support import virtual

HOUR = 3600.0
T = 1_800_000_000.0
HOURLY = "0.07143"
NODES = [[n, HOURLY, "48", "2027-01-01T00:00:00Z", "c-2"] for n in (1, 2, 3)]
RECORDS: list[Any] = [[T - DAY, NODES, False, "0.28"]]


def night(number: int = 0, **more: Any) -> ObservedNight:
    at = T + number * DAY
    given = {
        "outcome": NightOutcome.CLOSED, "rooms": 0, "people": 0, "nodes": 3, "began": at,
        "takes": 120.0, "limit": HOUR, "gives_up": 1800.0, "ended": at, "closed": at + 120,
        "starts": at + 10 * HOUR, "opened": at + 10.5 * HOUR, "seen": at, **more,
    }  # fmt: skip
    return ObservedNight(
        f"nights-close@{number}", ("nights",), "2027-01-15T20:00", "UTC", at, **given
    )


def report(*nights: ObservedNight, days: int = 30, records: Any = None) -> Any:
    bill = RECORDS if records is None else records
    return report_of("acme", days, T - DAY, nights, bill, T + 29 * DAY)


def test_without_nights_the_bill_is_the_real_one() -> None:
    assert list(would_be_records(RECORDS, ())) == RECORDS
    assert report().saved == 0


def test_a_night_saves_its_node_hours() -> None:
    """Beyond 672 hours a month the nodes are free, so this night lies in a short part of one."""
    saved = report_of("acme", 2, T, (night(),), RECORDS, T + DAY).saved
    assert saved is not None
    away = Decimal(10 * 3600 - 120) / 3600 * 3 * Decimal(HOURLY)
    assert abs(saved - away) <= Decimal("0.02")


@given(
    st.lists(st.sampled_from([o for o in NightOutcome if o is not NightOutcome.CLOSED]), max_size=5)
)
def test_only_a_closing_saves(outcomes: list[NightOutcome]) -> None:
    nights = [night(n, outcome=o) for n, o in enumerate(outcomes)]
    found = report(*nights)
    assert (found.saved, found.closings) == (0, 0)


@given(st.lists(st.booleans(), max_size=6))
def test_what_was_not_seen_is_never_a_saving(seen: list[bool]) -> None:
    nights = [night(n, blind=0.0 if s else 2 * HOUR) for n, s in enumerate(seen)]
    found, only_seen = report(*nights), report(*(n for n in nights if n.was_seen))
    assert found.saved == only_seen.saved
    assert found.closings == sum(seen)
    assert found.unseen == len(seen) - sum(seen)


def test_fixed_nodes_are_billed_in_full() -> None:
    assert report(*(night(n, saves=False) for n in range(5))).saved == 0


def test_the_lines_add_up_to_the_sum_while_no_cap_is_reached() -> None:
    nights = [night(n) for n in range(3)]
    found = report_of("acme", 4, T, nights, RECORDS, T + 3 * DAY)
    each = sum((line.saved for line in found.nights if line.saved), Decimal(0))
    assert found.saved is not None
    assert abs(each - found.saved) <= Decimal("0.05")


def test_an_unknown_bill_stays_unknown() -> None:
    found = report(night(), records=[])
    assert found.saved is None
    assert "what that saves is unknown" in observed_card(found).text


@given(st.floats(0, 4 * HOUR), st.floats(0, 4 * HOUR))
def test_a_meeting_counts_while_it_is_as_old_as_the_wait(later: float, age: float) -> None:
    before = night(outcome=NightOutcome.WAITING, rooms=1, ended=0.0, closed=0.0, opened=0.0)
    now, seen = T + later, MeetingsNow(Load(1, 2, 0, longest=age), ages=True)
    after = looked(before, seen, now)
    if age < now - T:
        assert after.outcome is NightOutcome.CLOSED
        assert after.ended == now
    elif now < T + HOUR:
        assert after.outcome is NightOutcome.WAITING
    else:
        assert after.asks == T + HOUR
        assert (after.outcome is NightOutcome.STAYED) is (now >= T + HOUR + 1800)


def test_a_gap_between_looks_is_kept_whatever_is_seen_later() -> None:
    before = night(opened=0.0)
    gap = looked(before, None, T + LONGEST_GAP + 1)
    assert not gap.was_seen
    assert not looked(gap, None, gap.seen + 60).was_seen
    assert looked(before, None, T + LONGEST_GAP).was_seen
    assert not opened(before, None, T + 5 * HOUR).was_seen


def test_no_look_does_not_end_a_wait() -> None:
    before = night(outcome=NightOutcome.WAITING, rooms=1, ended=0.0, closed=0.0, opened=0.0)
    assert looked(before, None, T + 60) == before
    assert out_of_time(before, T + 60) == before
    assert out_of_time(before, T + HOUR + 1).asks == T + HOUR


def test_the_document_is_bounded_and_a_night_is_noted_once() -> None:
    document = ObservedNights(T, T)
    for number in range(90):
        document = document.with_night(night(number)).with_night(night(number, rooms=9))
    assert len(document.nights) <= min(KEPT / DAY, MOST)
    assert {n.rooms for n in document.nights} == {0}


def test_what_a_later_version_adds_survives_this_one() -> None:
    async def story() -> None:
        store = SqliteStore(None, Clock(), threaded=False)
        text = write(ObservedNights(T, T, (night(),)), CLASSES)
        later = json.loads(text) | {"hue": "new"}
        later["nights"][0]["pagers"] = 2
        await store.commit(Commit(puts={observed_key("acme"): json.dumps(later)}))
        repository = ObservedRepository(store)
        await repository.edit(
            "acme",
            lambda d: d.with_changed("nights-close@0", lambda n: replace(n, rooms=4)),
        )
        (after,) = await store.get(observed_key("acme"))
        assert after is not None
        assert json.loads(after)["hue"] == "new"
        assert json.loads(after)["nights"][0]["pagers"] == 2
        assert read_observed(after).nights[0].rooms == 4
        await store.aclose()

    virtual.run(story())
