"""What was billed, read from its records: to the cent, although droplets come and go one by one."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.billing.savings import SavingsReport, report
from services.cluster.model import Droplet
from services.common.markers import person
from services.schedule.usage import _billed, facts_of

BEGIN = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
HOURLY, MONTHLY = "0.07143", "48.00"


def at(day: int, hours: float) -> float:
    return BEGIN + (day - 1) * DAY + hours * HOUR


def record(moment: float, *droplets: int, created: float = 0.0, off: bool = False) -> list[Any]:
    born = datetime.fromtimestamp(created or moment, UTC).isoformat()
    return [moment, [[d, HOURLY, MONTHLY, born] for d in droplets], off, "0.28572"]


def month() -> list[Any]:
    """Two old nodes; removed every November night from 20:00 to 06:00, masters off."""
    told = [record(at(1, 0), 1, 2, created=BEGIN - 90 * DAY)]
    for night in range(1, 30):
        last, evening, morning = 2 * night, at(night, 20), at(night + 1, 6)
        told += [record(evening, last), record(evening + 60), record(evening + 180, off=True)]
        first_back = record(morning - 60, last + 1)
        both_back = record(morning, last + 2)
        both_back[1] = [*first_back[1], *both_back[1]]
        told += [first_back, both_back]
    return told


def test_a_month_by_hand() -> None:
    made = report("acme", 2026, 11, facts_of(month(), at(31, 0)), at(31, 0))
    # Always there, each of the two would have cost its monthly cap.
    assert made.as_if == Decimal("96.00")
    # 29 nights of ten hours: the first of two goes at 20:00 and is back at 05:59, the second a
    # minute later, back at 06:00.
    away = 29 * (10 * HOUR - 60) * 2
    billed = (2 * 30 * DAY - away) / HOUR * float(HOURLY)
    assert abs(float(made.billed) - billed) < 0.005
    assert made.saving == made.as_if - made.billed
    assert abs(float(made.absent) - away / HOUR) < 0.01
    assert made.masters_billed > 0
    assert len(made.days) == 30


def test_what_was_kept_up_and_by_whom() -> None:
    """The first record is one of 0.1.0, which wrote people as mentions: both are one person."""
    told = [
        *month()[:1],
        {"kept": [at(2, 20), at(2, 21), "<@UANA>", "release"]},
        {"kept": [at(3, 20), at(3, 23), person("UANA"), ""]},
    ]
    made = report("acme", 2026, 11, facts_of(told, at(10, 0)), at(10, 0))
    (line,) = made.kept
    assert (line.by, line.times, line.hours, line.reasons) == (
        person("UANA"),
        2,
        Decimal("4.00"),
        ("release",),
    )
    assert line.cost == Decimal(
        "0.57"
    )  # 1 h is 0.14286, 3 h are 0.42858: rounded apart and added as shown


def test_nothing_closed_saves_nothing() -> None:
    made = report(
        "acme",
        2026,
        11,
        facts_of([record(at(1, 0), 1, 2, created=BEGIN - DAY)], at(31, 0)),
        at(31, 0),
    )
    assert made.saving == 0
    assert made.billed == Decimal("96.00")


def in_october(*droplets: Droplet, off: bool | str = False) -> SavingsReport:
    """What a month costs in which these were there all the time, as the bot writes it down."""
    begin, end = (
        datetime(2026, 10, 1, tzinfo=UTC).timestamp(),
        datetime(2026, 11, 1, tzinfo=UTC).timestamp(),
    )
    seen = [_billed(d) for d in droplets]
    return report("acme", 2026, 10, facts_of([[begin, seen, off, "0.62116"]], end), end)


@pytest.mark.parametrize("monthly", ["0", "104.36", "113.36"])
def test_v5_droplets_are_billed_for_every_hour_and_their_addresses_apart(monthly: str) -> None:
    """744 h at $0.15529: $115.53576. The monthly price is no cap, and 0 is none at all."""
    v5 = Droplet(
        7,
        "a",
        "active",
        size="g5-4vcpu-8gb-80gb",
        hourly=Decimal("0.15529"),
        monthly=Decimal(monthly),
        created_at="2026-10-01T00:00:00Z",
    )
    made = in_october(v5)
    assert (made.billed, made.as_if, made.unpriced) == (Decimal("115.54"), Decimal("115.54"), 0)
    assert made.addresses == Decimal("744.00")


def test_a_bundled_plan_without_a_monthly_price_is_capped_by_hours() -> None:
    """672 h at $0.07143: $48.00096."""
    made = in_october(
        Droplet(
            7,
            "a",
            "active",
            size="s-4vcpu-8gb",
            hourly=Decimal(HOURLY),
            created_at="2026-10-01T00:00:00Z",
        )
    )
    assert (made.billed, made.addresses) == (Decimal("48.00"), Decimal("0.00"))


def test_a_droplet_without_a_price_is_there_and_is_in_no_sum() -> None:
    priced = Droplet(
        7,
        "a",
        "active",
        size="s-4vcpu-8gb",
        hourly=Decimal(HOURLY),
        created_at="2026-10-01T00:00:00Z",
    )
    made = in_october(priced, replace(priced, id=8, hourly=Decimal(0)))
    assert (made.billed, made.saving, made.unpriced) == (Decimal("48.00"), Decimal("0.00"), 1)
    assert not facts_of(
        [[at(1, 0), [_billed(replace(priced, hourly=Decimal(0)))], False, "0.2"]], at(2, 0)
    ).closings
    begin = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    told = [
        [begin, [_billed(replace(priced, hourly=Decimal(0)))], False, "0"],
        [begin + DAY, [_billed(priced)], False, "0"],
    ]
    (stay,) = facts_of(told, begin + 2 * DAY).stays
    assert (stay.hourly, stay.since) == (Decimal(HOURLY), begin), (
        "the price that is known later counts from its creation"
    )


def test_v5_masters_that_are_off_are_billed_for_every_hour() -> None:
    """Four at $0.15529, 744 h: $462.14; at 672 h it would be $417.42."""
    assert in_october(off="uncapped").masters_billed == Decimal("462.14")
    assert in_october(off=True).masters_billed == Decimal("417.42")


def test_a_record_of_before_sizes_were_kept_is_put_right_by_the_next() -> None:
    v5 = Droplet(
        7, "a", "active", size="g5-4vcpu-8gb", hourly=Decimal("0.15529"), monthly=Decimal("104.36")
    )
    v5 = replace(v5, created_at="2026-10-01T00:00:00Z")
    begin, end = (
        datetime(2026, 10, 1, tzinfo=UTC).timestamp(),
        datetime(2026, 11, 1, tzinfo=UTC).timestamp(),
    )
    told = [[begin, [_billed(v5)[:4]], False, "0"], [begin + DAY, [_billed(v5)], False, "0"]]
    assert report("acme", 2026, 10, facts_of(told[:1], end), end).billed == Decimal("104.36")
    assert report("acme", 2026, 10, facts_of(told, end), end).billed == Decimal("115.54")


def test_a_reading_of_the_first_records() -> None:
    """Those from before creation times were kept."""
    facts = facts_of([[at(1, 0), [[1, HOURLY, MONTHLY]], False, "0.2"]], at(2, 0))
    assert facts.stays[0].since == at(1, 0)
