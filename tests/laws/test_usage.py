"""What was billed, read back from its records: to the cent, although droplets go and come one by one."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from services.usage import facts_of
from services.windows.savings import report

BEGIN = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
HOURLY, MONTHLY = "0.07143", "48.00"


def at(day: int, hours: float) -> float:
    return BEGIN + (day - 1) * DAY + hours * HOUR


def record(moment: float, *droplets: int, created: float = 0.0, off: bool = False) -> list[Any]:
    born = datetime.fromtimestamp(created or moment, UTC).isoformat()
    return [moment, [[d, HOURLY, MONTHLY, born] for d in droplets], off, "0.28572"]


def month() -> list[Any]:
    """Two nodes, there for months; every night of November from 20:00 to 06:00 away, one minute after the other, and masters off."""
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
    # 29 nights of ten hours: the first of two goes at 20:00 and is back at 05:59, the second goes a minute later and is back at 06:00.
    away = 29 * (10 * HOUR - 60) * 2
    billed = (2 * 30 * DAY - away) / HOUR * float(HOURLY)
    assert abs(float(made.billed) - billed) < 0.005
    assert made.saving == made.as_if - made.billed
    assert abs(float(made.absent) - away / HOUR) < 0.01
    assert made.masters_billed > 0
    assert len(made.days) == 30


def test_what_was_kept_up_and_by_whom() -> None:
    told = [*month()[:1], {"kept": [at(2, 20), at(2, 21), "<@UANA>", "release"]}, {"kept": [at(3, 20), at(3, 23), "<@UANA>", ""]}]
    made = report("acme", 2026, 11, facts_of(told, at(10, 0)), at(10, 0))
    (line,) = made.kept
    assert (line.by, line.times, line.hours, line.reasons) == ("<@UANA>", 2, Decimal("4.00"), ("release",))
    assert line.cost == Decimal("0.57")  # 1 h is 0.14286, 3 h are 0.42858: rounded apart and added as shown


def test_nothing_closed_saves_nothing() -> None:
    made = report("acme", 2026, 11, facts_of([record(at(1, 0), 1, 2, created=BEGIN - DAY)], at(31, 0)), at(31, 0))
    assert made.saving == 0
    assert made.billed == Decimal("96.00")


def test_a_reading_of_the_first_records() -> None:
    """Those from before creation times were kept."""
    facts = facts_of([[at(1, 0), [[1, HOURLY, MONTHLY]], False, "0.2"]], at(2, 0))
    assert facts.stays[0].since == at(1, 0)
