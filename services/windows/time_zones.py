"""Local time to moments (seconds since the epoch), whatever the clocks do that day."""

import difflib
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from services.common.errors import Refused

# The clocks go back: the first of the two hours is meant.
REPEATED = "repeated hour"
# The clocks go forward over it: the first moment after the gap is meant.
SKIPPED = "skipped hour"

# Without a zone: local times are subtracted from it.
EPOCH = datetime.combine(date(1970, 1, 1), time.min)
SECOND = timedelta(seconds=1)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MACHINE_ONLY = {"Factory", "localtime", "posixrules"}  # their meaning depends on the machine
_WITHOUT_SUMMER = {
    "EST": "America/New_York",
    "MST": "America/Denver",
    "GMT": "Europe/London",
    "GMT0": "Europe/London",
}
_ABBREVIATIONS = {
    "cest": ("Europe/Madrid", "Europe/Berlin"),
    "mez": ("Europe/Berlin",),
    "mesz": ("Europe/Berlin",),
    "eest": ("Europe/Athens",),
    "west": ("Europe/Lisbon",),
    "bst": ("Europe/London", "Asia/Dhaka"),
    "msk": ("Europe/Moscow",),
    "trt": ("Europe/Istanbul",),
    "edt": ("America/New_York",),
    "et": ("America/New_York",),
    "eastern": ("America/New_York",),
    "cst": ("America/Chicago", "Asia/Shanghai"),
    "cdt": ("America/Chicago",),
    "ct": ("America/Chicago",),
    "mdt": ("America/Denver",),
    "mt": ("America/Denver",),
    "pst": ("America/Los_Angeles",),
    "pdt": ("America/Los_Angeles",),
    "pt": ("America/Los_Angeles",),
    "brt": ("America/Sao_Paulo",),
    "art": ("America/Argentina/Buenos_Aires",),
    "ist": ("Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"),
    "jst": ("Asia/Tokyo",),
    "kst": ("Asia/Seoul",),
    "hkt": ("Asia/Hong_Kong",),
    "sgt": ("Asia/Singapore",),
    "gst": ("Asia/Dubai",),
    "sast": ("Africa/Johannesburg",),
    "aest": ("Australia/Sydney", "Australia/Brisbane"),
    "aedt": ("Australia/Sydney",),
    "awst": ("Australia/Perth",),
    "nzst": ("Pacific/Auckland",),
    "nzdt": ("Pacific/Auckland",),
}
# One well-known place for each offset, to name in refusals.
_PLACES = (
    "Europe/London",
    "Europe/Madrid",
    "Europe/Athens",
    "Europe/Moscow",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Noumea",
    "Pacific/Auckland",
    "Atlantic/Azores",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Adelaide",
    "America/St_Johns",
)
_OFFSET = re.compile(r"(?:etc/)?(?:utc|gmt|z)?\s*([+\u2212-])\s*(\d{1,2})(?::?(\d{2}))?")


def iana_named(name: str) -> ZoneInfo | None:
    """Return the zone of that name in the tz database, in any case; None for no such zone."""
    real = _zones().get(name.casefold())
    if real is None:
        return None
    return ZoneInfo(real)


def zone_named(name: str) -> ZoneInfo:
    """Return the IANA zone of that name, in any case. Refused with the names that may be meant."""
    zone = iana_named(name)
    if zone is not None:
        return zone
    _refuse_offset(name)
    folded = name.casefold()
    near = [*_ABBREVIATIONS.get(folded, ())] or _nearest(folded, _zones())
    hint = "write a name such as Europe/Madrid, America/New_York or UTC"
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    raise Refused(f"there is no time zone “{name}”; {hint}")


def _refuse_offset(name: str) -> None:
    """Refuse `GMT+2`, with places and the zone of that offset.

    It is no zone, and Etc/GMT+2 means UTC-2.
    """
    match = _OFFSET.fullmatch(name.casefold())
    if match is None:
        return
    hours, minutes = int(match[2]), int(match[3] or 0)
    ahead = timedelta(hours=hours, minutes=minutes)
    if match[1] != "+":
        ahead = -ahead
    sign = "-" if ahead > timedelta(0) else "+"
    fixed = f"Etc/GMT{sign}{hours}"
    hints = []
    if not minutes and fixed.casefold() in _zones():
        words = offset_words(ahead)
        hints.append(f"for {words} all year write {fixed} (its sign is reversed)")
    places = [p for p in _PLACES if ahead == _standard(ZoneInfo(p))][:2]
    if places:
        hints.append(f"for a place with summer time write {' or '.join(places)}")
    hint = "; ".join(hints) or "write a name such as Europe/Madrid or UTC"
    raise Refused(f"“{name}” is not a time zone; {hint}")


def _standard(zone: tzinfo) -> timedelta:
    """Return how far a zone is ahead of UTC outside of summer time."""
    return min(offset(zone, datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 7))


def offset_words(ahead: timedelta) -> str:
    """Return `UTC+2`, `UTC-3:30` or `UTC`."""
    total = int(ahead.total_seconds()) // 60
    if not total:
        return "UTC"
    sign = "+" if total > 0 else "-"
    hours, minutes = divmod(abs(total), 60)
    rest = f":{minutes:02}" if minutes else ""
    return f"UTC{sign}{hours}{rest}"


def zone_caution(name: str) -> str:
    """Return what surprises about a zone: no summer time, or an inverted sign; "" for most."""
    if place := _WITHOUT_SUMMER.get(name):
        return f"{name} has no summer time; {place}?"
    if re.fullmatch(r"Etc/GMT[+-]\d{1,2}", name) and (ahead := _standard(ZoneInfo(name))):
        return f"{name} is {offset_words(ahead)}, all year"
    return ""


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones() - _MACHINE_ONLY)}


def _nearest(name: str, known: dict[str, str]) -> list[str]:
    """Return similar names: by city first (`madrid` for Europe/Madrid), then by the whole name."""
    cities: dict[str, str] = {}
    for folded, real in known.items():
        cities.setdefault(folded.rpartition("/")[2], real)
    wanted = name.replace(" ", "_").rpartition("/")[2]
    near = [cities[c] for c in difflib.get_close_matches(wanted, cities, n=2, cutoff=0.8)]
    return near or [known[k] for k in difflib.get_close_matches(name, known, n=2, cutoff=0.6)]


def instant(zone: tzinfo, local: datetime) -> tuple[int, str]:
    """Return the first second at which clocks show `local` or later, and REPEATED, SKIPPED or "".

    So a repeated hour means its first occurrence, and a time that is skipped means the first moment
    after the gap.
    """
    first = local.replace(tzinfo=zone, fold=0).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    assert first is not None, "every zone of the tz database has an offset at every moment"
    assert second is not None, "every zone of the tz database has an offset at every moment"
    if first < second:
        return _end_of_gap(zone, _seconds(local - second), _seconds(local - first)), SKIPPED
    mark = REPEATED if first > second else ""
    return _seconds(local - first), mark


def local_time(day: date, minutes: int = 0) -> datetime:
    """Return the nominal local time so many minutes after midnight, without a zone."""
    return datetime.combine(day, time.min) + timedelta(minutes=minutes)


def _seconds(utc: datetime) -> int:
    return (utc - EPOCH) // SECOND


def _end_of_gap(zone: tzinfo, before: int, after: int) -> int:
    """Return the second in `(before, after]` at which the offset changes."""
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def wall(zone: tzinfo, at: float) -> datetime:
    """Return the local time of that moment, with its zone and without fractions of a second."""
    return datetime.fromtimestamp(at // 1, zone)


def offset(zone: tzinfo, at: float) -> timedelta:
    """Return how far the zone is ahead of UTC at that moment."""
    ahead = wall(zone, at).utcoffset()
    assert ahead is not None, "every zone of the tz database has an offset at every moment"
    return ahead


def exists(zone: tzinfo, day: date) -> bool:
    """Return whether the calendar there has that day; Pacific/Apia has no 2011-12-30."""
    at, mark = instant(zone, local_time(day))
    return mark != SKIPPED or wall(zone, at).date() == day


def nominal(local: datetime) -> str:
    """Return `2027-10-31T20:00`: without an offset, so a tz database update changes no name.

    Only an exception can begin or end in the second of two repeated hours: `T02:30~2`.
    """
    naive = local.replace(tzinfo=None)
    precision = "seconds" if naive.second else "minutes"
    fold = "~2" if local.fold else ""
    return naive.isoformat(timespec=precision) + fold


def day_and_time(local: datetime) -> str:
    """Return `Mon 2027-11-01 07:30`."""
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"
