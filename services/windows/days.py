"""The days of a window as people write them: `Mon-Fri`, `Mon,Wed,Fri`, `Fri-Mon`, `daily`, `2027-12-24..2028-01-02`."""

import re
from collections.abc import Iterable
from datetime import date, timedelta

from services.common.errors import Refused
from services.windows.time_zones import DAYS

ALLOWED = "write days as Mon-Fri, Mon,Wed,Fri, Fri-Mon, daily, weekdays or weekends; dates as 2027-12-24 or 2027-12-24..2028-01-02"
SHORTHANDS = {"daily": tuple(range(7)), "weekdays": tuple(range(5)), "weekends": (5, 6)}
LONGEST = 400  # dates in one run; a longer one is a slip of the pen
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(\.\.\d{4}-\d{2}-\d{2})?")


def parse_days(words: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Weekdays (Monday is 0) and dates. Refused when a part is neither."""
    weekdays: set[int] = set()
    dates: set[str] = set()
    for part in words.split(","):
        if _DATE.fullmatch(part):
            dates.update(_dates(part))
        else:
            weekdays.update(_weekdays(part))
    return tuple(sorted(weekdays)), tuple(sorted(dates))


def parse_dates(words: str) -> tuple[str, ...]:
    """Dates only."""
    weekdays, dates = parse_days(words)
    if weekdays:
        raise Refused(
            f"dates were expected, and {words!r} names weekdays; write 2027-12-24 or 2027-12-24..2028-01-02"
        )
    return dates


def _weekdays(part: str) -> tuple[int, ...]:
    if part.casefold() in SHORTHANDS:
        return SHORTHANDS[part.casefold()]
    first, dash, last = part.partition("-")
    begin = _weekday(first, part)
    length = (_weekday(last, part) - begin) % 7 if dash else 0
    return tuple((begin + n) % 7 for n in range(length + 1))


def _weekday(word: str, part: str) -> int:
    number = weekday_named(word)
    if number is None:
        raise Refused(f"{part!r} is not a day; {ALLOWED}")
    return number


def weekday_named(word: str) -> int | None:
    """Monday is 0, as `Mon`, `monday` or anything between."""
    folded = word.casefold()
    return next(
        (n for n, name in enumerate(_FULL) if len(folded) >= 3 and name.startswith(folded)), None
    )


def _dates(part: str) -> list[str]:
    first, dots, last = part.partition("..")
    begin, end = _date(first), _date(last if dots else first)
    if not 0 <= (end - begin).days < LONGEST:
        raise Refused(f"{part!r} runs backwards or over more than {LONGEST} days; {ALLOWED}")
    return [(begin + timedelta(n)).isoformat() for n in range((end - begin).days + 1)]


def _date(word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise Refused(f"{word!r} is not in the calendar; {ALLOWED}") from None


def day_words(weekdays: Iterable[int], dates: Iterable[str] = ()) -> str:
    """`Mon-Fri,2027-12-25`: the shortest that `parse_days` reads as the same days."""
    numbers = sorted(weekdays)
    if len(numbers) == 7:
        return ",".join(["daily", *date_runs(dates)])
    runs = _runs(numbers)
    # Saturday to Monday is said in one word, although the week ends in between.
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == 6:
        runs = [*runs[1:-1], [*runs[-1], *runs[0]]]
    said = [
        DAYS[r[0]] if len(r) == 1 else f"{DAYS[r[0]]}{'-' if len(r) > 2 else ','}{DAYS[r[-1]]}"
        for r in runs
    ]
    return ",".join([*said, *date_runs(dates)])


def date_words(dates: Iterable[str]) -> str:
    """`2027-12-24..2027-12-26,2028-01-06`."""
    return ",".join(date_runs(dates))


def date_runs(dates: Iterable[str]) -> list[str]:
    """Consecutive dates drawn together."""
    runs = [
        run[i : i + LONGEST]
        for run in _runs([date.fromisoformat(d).toordinal() for d in dates])
        for i in range(0, len(run), LONGEST)
    ]
    ends = [(date.fromordinal(r[0]).isoformat(), date.fromordinal(r[-1]).isoformat()) for r in runs]
    return [first if first == last else f"{first}..{last}" for first, last in ends]


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
