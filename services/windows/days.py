"""The days of a window as people write them: `Mon-Fri`, `Fri-Mon`, `2027-12-24..2028-01-02`."""

import re
from collections.abc import Iterable
from datetime import date, timedelta

from services.common.errors import Refused
from services.windows.time_zones import DAYS

ALLOWED = (
    "write days as Mon-Fri, Mon,Wed,Fri, Fri-Mon, daily, weekdays or weekends; "
    "dates as 2027-12-24 or 2027-12-24..2028-01-02"
)
SHORTHANDS = {"daily": tuple(range(7)), "weekdays": tuple(range(5)), "weekends": (5, 6)}
LONGEST = 400  # dates in one run; a longer one is a typing error
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(\.\.\d{4}-\d{2}-\d{2})?")


def parse_days(words: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return weekdays (Monday is 0) and dates. Refused when a part is neither."""
    weekdays: set[int] = set()
    dates: set[str] = set()
    for part in words.split(","):
        if _DATE.fullmatch(part):
            dates.update(_dates(part))
        else:
            weekdays.update(_weekdays(part))
    return tuple(sorted(weekdays)), tuple(sorted(dates))


def parse_dates(words: str) -> tuple[str, ...]:
    """Return dates. Refused when weekdays are among them."""
    weekdays, dates = parse_days(words)
    if weekdays:
        raise Refused(
            f"dates are expected, but “{words}” names weekdays; "
            "write 2027-12-24 or 2027-12-24..2028-01-02"
        )
    return dates


def _weekdays(part: str) -> tuple[int, ...]:
    if part.casefold() in SHORTHANDS:
        return SHORTHANDS[part.casefold()]
    first, dash, last = part.partition("-")
    begin = _weekday(first, part)
    length = 0
    if dash:
        length = (_weekday(last, part) - begin) % 7
    return tuple((begin + n) % 7 for n in range(length + 1))


def _weekday(word: str, part: str) -> int:
    number = weekday_named(word)
    if number is None:
        raise Refused(f"“{part}” is not a day; {ALLOWED}")
    return number


def weekday_named(word: str) -> int | None:
    """Return the number of `Mon`, `monday` or anything between (Monday is 0); else None."""
    folded = word.casefold()
    return next(
        (n for n, name in enumerate(_FULL) if len(folded) >= 3 and name.startswith(folded)), None
    )


def _dates(part: str) -> list[str]:
    first, dots, last = part.partition("..")
    begin = end = _date(first)
    if dots:
        end = _date(last)
    if not 0 <= (end - begin).days < LONGEST:
        raise Refused(f"“{part}” ends before it begins, or has more than {LONGEST} days; {ALLOWED}")
    return [(begin + timedelta(n)).isoformat() for n in range((end - begin).days + 1)]


def _date(word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise Refused(f"“{word}” does not exist; {ALLOWED}") from None


def day_words(weekdays: Iterable[int], dates: Iterable[str] = ()) -> str:
    """Return `Mon-Fri,2027-12-25`: the shortest text that `parse_days` reads as the same days."""
    numbers = sorted(weekdays)
    if len(numbers) == 7:
        return ",".join(["daily", *date_runs(dates)])
    runs = _runs(numbers)
    # Saturday to Monday is written as one run, although the week ends in between.
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == 6:
        runs = [*runs[1:-1], [*runs[-1], *runs[0]]]
    return ",".join([*(_run_words(run) for run in runs), *date_runs(dates)])


def _run_words(run: list[int]) -> str:
    """`Mon`, `Mon,Tue` or `Mon-Wed`."""
    first, last = DAYS[run[0]], DAYS[run[-1]]
    match len(run):
        case 1:
            return first
        case 2:
            return f"{first},{last}"
        case _:
            return f"{first}-{last}"


def date_words(dates: Iterable[str]) -> str:
    """Return `2027-12-24..2027-12-26,2028-01-06`."""
    return ",".join(date_runs(dates))


def date_runs(dates: Iterable[str]) -> list[str]:
    """Return dates as text, consecutive ones as a run: `2027-12-24..2027-12-26`."""
    runs = [
        run[i : i + LONGEST]
        for run in _runs([date.fromisoformat(d).toordinal() for d in dates])
        for i in range(0, len(run), LONGEST)
    ]
    return [_date_run(date.fromordinal(run[0]), date.fromordinal(run[-1])) for run in runs]


def _date_run(first: date, last: date) -> str:
    if first == last:
        return first.isoformat()
    return f"{first.isoformat()}..{last.isoformat()}"


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
