"""Local time to moments: which second since the epoch a schedule means, whatever the clocks do that day."""

import difflib
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from services.common.errors import Refused

REPEATED = "repeated hour"  # the clocks went back: the first of the two is meant
SKIPPED = "skipped hour"  # the clocks went forward over it: the first moment after the gap is meant

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic in UTC without carrying a zone around
SECOND = timedelta(seconds=1)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MACHINE_ONLY = {"Factory", "localtime", "posixrules"}  # what they mean depends on the machine
_WITHOUT_SUMMER = {
    "EST": "America/New_York",
    "MST": "America/Denver",
    "GMT": "Europe/London",
    "GMT0": "Europe/London",
}
_ABBREVIATIONS = {
    "cest": ("Europe/Madrid", "Europe/Berlin"), "mez": ("Europe/Berlin",), "mesz": ("Europe/Berlin",), "eest": ("Europe/Athens",),
    "west": ("Europe/Lisbon",), "bst": ("Europe/London", "Asia/Dhaka"), "msk": ("Europe/Moscow",), "trt": ("Europe/Istanbul",),
    "edt": ("America/New_York",), "et": ("America/New_York",), "eastern": ("America/New_York",),
    "cst": ("America/Chicago", "Asia/Shanghai"), "cdt": ("America/Chicago",), "ct": ("America/Chicago",),
    "mdt": ("America/Denver",), "mt": ("America/Denver",), "pst": ("America/Los_Angeles",), "pdt": ("America/Los_Angeles",),
    "pt": ("America/Los_Angeles",), "brt": ("America/Sao_Paulo",), "art": ("America/Argentina/Buenos_Aires",),
    "ist": ("Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"), "jst": ("Asia/Tokyo",), "kst": ("Asia/Seoul",),
    "hkt": ("Asia/Hong_Kong",), "sgt": ("Asia/Singapore",), "gst": ("Asia/Dubai",), "sast": ("Africa/Johannesburg",),
    "aest": ("Australia/Sydney", "Australia/Brisbane"), "aedt": ("Australia/Sydney",), "awst": ("Australia/Perth",),
    "nzst": ("Pacific/Auckland",), "nzdt": ("Pacific/Auckland",),
}  # fmt: skip
_PLACES = (
    *(
        "Europe/London",
        "Europe/Madrid",
        "Europe/Athens",
        "Europe/Moscow",
        "Asia/Dubai",
        "Asia/Karachi",
        "Asia/Kolkata",
        "Asia/Dhaka",
    ),
    *(
        "Asia/Bangkok",
        "Asia/Shanghai",
        "Asia/Tokyo",
        "Australia/Sydney",
        "Pacific/Noumea",
        "Pacific/Auckland",
        "Atlantic/Azores",
    ),
    *(
        "America/Sao_Paulo",
        "America/Santiago",
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
    ),
    *(
        "America/Anchorage",
        "Pacific/Honolulu",
        "Africa/Lagos",
        "Africa/Johannesburg",
        "Africa/Nairobi",
        "Asia/Kathmandu",
    ),
    *("Asia/Tehran", "Australia/Adelaide", "America/St_Johns"),
)
_OFFSET = re.compile(r"(?:etc/)?(?:utc|gmt|z)?\s*([+\u2212-])\s*(\d{1,2})(?::?(\d{2}))?")


def iana_named(name: str) -> ZoneInfo | None:
    """The zone of that name in the tz database, in any case."""
    found = _zones().get(name.casefold())
    return ZoneInfo(found) if found is not None else None


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name, in any case; refused with the names it may have been meant to be."""
    known = _zones()
    found = known.get(name.casefold())
    if found is None:
        _refuse_offset(name)
        near = [*_ABBREVIATIONS.get(name.casefold(), ())] or _nearest(name.casefold(), known)
        meant = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "write a name such as Europe/Madrid, America/New_York or UTC"
        )
        raise Refused(f"there is no time zone {name!r}; {meant}")
    return ZoneInfo(found)


def _refuse_offset(name: str) -> None:
    """`GMT+2` is no zone, and Etc/GMT+2 is four hours away from what it means: refused with places, and with the zone of that offset."""
    found = _OFFSET.fullmatch(name.casefold())
    if found is None:
        return
    hours, minutes = int(found[2]), int(found[3] or 0)
    ahead = timedelta(hours=hours, minutes=minutes) * (1 if found[1] == "+" else -1)
    said = offset_words(ahead)
    places = [p for p in _PLACES if ahead == _standard(ZoneInfo(p))][:2]
    fixed = f"Etc/GMT{'-' if ahead > timedelta(0) else '+'}{hours}"
    written = (
        [f"for {said} all year write {fixed} (its sign is turned round)"]
        if not minutes and fixed.casefold() in _zones()
        else []
    )
    there = [f"a place has its own summer time: {' or '.join(places)}"] if places else []
    raise Refused(
        f"{name!r} is no time zone; {'; '.join([*written, *there]) or 'write a name such as Europe/Madrid or UTC'}"
    )


def _standard(zone: tzinfo) -> timedelta:
    """How far a zone is ahead of UTC outside of summer time."""
    return min(offset(zone, datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 7))


def offset_words(ahead: timedelta) -> str:
    """`UTC+2`, `UTC-3:30`, `UTC`."""
    minutes = int(ahead.total_seconds()) // 60
    sign, far = ("+" if minutes > 0 else "-"), abs(minutes)
    return f"UTC{sign}{far // 60}{f':{far % 60:02}' if far % 60 else ''}" if minutes else "UTC"


def zone_caution(name: str) -> str:
    """What surprises people about a zone: that it has no summer time, or a sign that is turned round; "" for most."""
    if place := _WITHOUT_SUMMER.get(name):
        return f"{name} has no summer time; {place}?"
    if re.fullmatch(r"Etc/GMT[+-]\d{1,2}", name) and (ahead := _standard(ZoneInfo(name))):
        return f"{name} is {offset_words(ahead)}, all year"
    return ""


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
    return naive.isoformat(timespec="seconds" if naive.second else "minutes") + (
        "~2" if local.fold else ""
    )


def day_and_time(local: datetime) -> str:
    """`Mon 2027-11-01 07:30`."""
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"
