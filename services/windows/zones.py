"""Local time to moments: which second since the epoch a schedule means, whatever the clocks do that day."""

import difflib
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from services.errors import Refused

REPEATED = "repeated hour"  # the clocks went back: the first of the two is meant
SKIPPED = "skipped hour"  # the clocks went forward over it: the first moment after the gap is meant

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic in UTC without carrying a zone around
SECOND = timedelta(seconds=1)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MACHINE_ONLY = {"Factory", "localtime", "posixrules"}  # what they mean depends on the machine


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name, in any case; refused with the names it may have been meant to be."""
    known = _zones()
    found = known.get(name.casefold())
    if found is None:
        near = _nearest(name.casefold(), known)
        meant = f"did you mean {' or '.join(near)}?" if near else "write a name such as Europe/Madrid, America/New_York or UTC"
        raise Refused(f"there is no time zone {name!r}; {meant}")
    return ZoneInfo(found)


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones() - _MACHINE_ONLY)}


def _nearest(name: str, known: dict[str, str]) -> list[str]:
    """By the city first (`madrid` for Europe/Madrid), then by spelling of the whole."""
    cities: dict[str, str] = {}
    for folded, real in known.items():
        cities.setdefault(folded.rpartition("/")[2], real)
    wanted = name.replace(" ", "_").rpartition("/")[2]
    found = [cities[c] for c in difflib.get_close_matches(wanted, cities, n=2, cutoff=0.8)]
    return found or [known[k] for k in difflib.get_close_matches(name, known, n=2, cutoff=0.6)]


def instant(zone: tzinfo, local: datetime) -> tuple[int, str]:
    """The first second at which the clocks on that wall show `local` or later, and what was special about it.

    So a repeated hour means its first occurrence, and a time that is skipped means the first moment after the gap.
    """
    first = local.replace(tzinfo=zone, fold=0).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    assert first is not None, "every zone of the tz database has an offset at every moment"
    assert second is not None, "every zone of the tz database has an offset at every moment"
    if first < second:
        return _end_of_gap(zone, _seconds(local - second), _seconds(local - first)), SKIPPED
    return _seconds(local - first), REPEATED if first > second else ""


def _seconds(utc: datetime) -> int:
    return (utc - EPOCH) // SECOND


def _end_of_gap(zone: tzinfo, before: int, after: int) -> int:
    """The second in `(before, after]` at which the offset changes."""
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def wall(zone: tzinfo, at: float) -> datetime:
    """What the clocks on that wall show, with its zone and without fractions of a second."""
    return datetime.fromtimestamp(at // 1, zone)


def offset(zone: tzinfo, at: float) -> timedelta:
    """How far the zone is ahead of UTC at that moment."""
    ahead = wall(zone, at).utcoffset()
    assert ahead is not None, "every zone of the tz database has an offset at every moment"
    return ahead


def exists(zone: tzinfo, day: date) -> bool:
    """Whether the calendar there has that day; Pacific/Apia has no 2011-12-30."""
    at, mark = instant(zone, datetime(day.year, day.month, day.day))  # noqa: DTZ001 - a local, nominal time
    return mark != SKIPPED or wall(zone, at).date() == day


def nominal(local: datetime) -> str:
    """`2027-10-31T20:00`: local, and without an offset, so that a name does not depend on what the tz database says this year.

    Only an exception can begin or end in the second of two repeated hours: `T02:30~2`.
    """
    naive = local.replace(tzinfo=None)
    return naive.isoformat(timespec="seconds" if naive.second else "minutes") + ("~2" if local.fold else "")


def day_and_time(local: datetime) -> str:
    """`Mon 2027-11-01 07:30`."""
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"
