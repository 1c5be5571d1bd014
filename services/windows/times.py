"""Moments and lengths as people type them. *Until* and *at* take a moment, *for* takes a length; what could be both is refused with both.

A moment is the next time at which the clocks of a zone show it: where an hour is repeated that is its first showing that is still to
come, and a time that is skipped means the first moment after the gap.
"""

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.common.markers import without_markers
from services.common.text import printable
from services.windows.days import parse_dates, weekday_named
from services.windows.exceptions import DAY
from services.windows.time_zones import DAYS, instant, wall

LENGTHS = "90m, 2h, 1h30, 1.5h, 2 days"
MOMENTS = "18:00, 6pm, tomorrow 08:00, Fri 22:00, 2026-12-24 08:00"
WEEK = 7 * DAY
JUST_OVER = (
    6 * 3600.0
)  # seconds for which a time that has passed is rather a mistake than tomorrow's
_UNITS = {"m": 60.0, "h": 3600.0, "d": DAY, "w": WEEK}
_UNIT = r"(?:m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_PART = rf"\d{{1,5}}(?:[.,]\d{{1,2}})?\s*{_UNIT}"
_PARTS = re.compile(rf"{_PART}(?:\s*(?:,|and)?\s*{_PART})*")
_HOURS_AND_MINUTES = re.compile(r"(\d{1,3})\s*h\s*(\d{2})")  # 1h30
_HOURS = re.compile(r"(\d{1,2})\s*h")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_WORDS = {"an hour": 3600.0, "half an hour": 1800.0, "a day": DAY, "a week": WEEK}
_TIME = r"\d{1,2}:\d{2}(?:\s*[ap]\.?m\.?)?|\d{1,2}\s*[ap]\.?m\.?|\d{1,2}\s*h\s*\d{2}|\d{1,2}\s*h|noon|midnight"
_TIME_LAST = re.compile(rf"(?:(?P<day>\S+)[\s,]+(?:at\s+)?)?(?P<time>{_TIME})")
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})t(\d{1,2}:\d{2})")


def parse_length(text: str, word: str = "for") -> float:
    """Seconds of `90m`, `2 hours`, `1h30`, `1.5h` or `2:30`. `word` is what stood before it; "" when nothing did."""
    plain = " ".join(text.casefold().split())
    seconds = _length(plain, word)
    if seconds is None:
        raise Refused(f"“{_cut(text)}” is no length of time; write {LENGTHS}")
    if seconds <= 0:
        raise Refused(f"“{_cut(text)}” is no time at all; write {LENGTHS}")
    return seconds


def _length(plain: str, word: str) -> float | None:
    if plain in _WORDS:
        return _WORDS[plain]
    if found := _CLOCK.fullmatch(plain):
        return _clock_length(found, plain, word)
    if re.fullmatch(r"\d{1,5}", plain):
        raise Refused(f"{plain} of what? write {plain}m for minutes, or {plain}h for hours")
    if (found := _HOURS.fullmatch(plain)) and not word and int(found[1]) > 12:
        raise Refused(
            f"{plain} can be read in two ways: write `for {int(found[1])} hours`, or `until {int(found[1]):02}:00`"
        )
    if (found := _HOURS_AND_MINUTES.fullmatch(plain)) and int(found[2]) < 60:
        return int(found[1]) * 3600.0 + int(found[2]) * 60.0
    return _added_up(plain) if _PARTS.fullmatch(plain) else None


def _clock_length(found: re.Match[str], plain: str, word: str) -> float:
    """`2:30` after *for* is 2 h 30 min. `22:30` is a time of day to most people, and so is either without a word before it."""
    hours, minutes = int(found[1]), int(found[2])
    if minutes > 59:
        raise Refused(f"there are no {minutes} minutes in {plain}; write {LENGTHS}")
    if not word or hours > 9:
        raise Refused(
            f"{plain} can be read in two ways: write `until {plain}`, or `for {hours}h{minutes:02}`"
        )
    return hours * 3600.0 + minutes * 60.0


def _added_up(plain: str) -> float | None:
    """`1 h 30 min`: each unit once, the greatest first."""
    parts = [
        (m[1], m[2][0]) for m in re.finditer(rf"(\d{{1,5}}(?:[.,]\d{{1,2}})?)\s*({_UNIT})", plain)
    ]
    sizes = [_UNITS[unit] for _, unit in parts]
    if sorted({*sizes}, reverse=True) != sizes:
        return None
    return sum(float(number.replace(",", ".")) * _UNITS[unit] for number, unit in parts)


def parse_moment(text: str, now: float, zone: str, word: str = "until") -> float:
    """The moment after now that `22:00`, `20h`, `6pm`, `tomorrow 08:00`, `Fri 22:00` or `2026-12-24 08:00` means in that zone."""
    plain = " ".join(text.casefold().split())
    plain = _ISO.sub(r"\1 \2", plain)
    _no_length(plain, now, zone, word)
    found = _TIME_LAST.fullmatch(plain)
    if found is None:
        raise _no_moment(text, plain, now, zone, word)
    minutes = _minutes(found["time"], word)
    there = ZoneInfo(zone)
    if found["day"] is None:
        return _next(
            there, [wall(there, now).date() + timedelta(days=n) for n in range(-1, 9)], minutes, now
        )
    try:
        return _next(there, _days(found["day"], wall(there, now).date()), minutes, now)
    except LookupError:
        raise Refused(f"{_cut(text)} is over already") from None


def parse_at(text: str, now: float, zone: str) -> float:
    """The one moment that `--at` means, of those that `parse_moment` reads. Refused with both readings where there are two, or none.

    A time that was shown a moment ago means the next day to a parser, and a mistake to whoever typed it; a time that the clocks skip or
    show twice is no appointment. `2026-10-25 00:30 UTC` is always exact.
    """
    plain = " ".join(text.casefold().split())
    if plain.endswith(" utc"):
        plain, zone = plain.removesuffix(" utc"), "UTC"
    at, there = parse_moment(plain, now, zone, "at"), ZoneInfo(zone)
    found = _TIME_LAST.fullmatch(_ISO.sub(r"\1 \2", plain))
    assert found is not None, "parse_moment has read it"
    _not_just_over(found["day"], at, now, there)
    minutes, local = _minutes(found["time"], "at"), wall(there, at)
    shown = local.hour * 60 + local.minute
    if shown != minutes % 1440:
        raise _skipped(text, there, at, minutes)
    nominal = local.replace(tzinfo=None)
    first, second = (nominal.replace(tzinfo=there, fold=fold).timestamp() for fold in (0, 1))
    if first != second and first > now:
        readings = " or ".join(
            f'`--at "{wall(ZoneInfo("UTC"), at):%Y-%m-%d %H:%M} UTC"`' for at in (first, second)
        )
        raise Refused(
            f"the clocks of {zone} show {nominal:%H:%M} twice on {nominal:%Y-%m-%d}: write {readings}"
        )
    return at


def _not_just_over(day: str | None, at: float, now: float, zone: ZoneInfo) -> None:
    """Refuses what the clocks showed in the last hours, where the next showing is a day or a week away."""
    if day is not None and weekday_named(day.rstrip(".")) is None:
        return
    days = 1 if day is None else 7
    before = (
        (wall(zone, at).replace(tzinfo=None) - timedelta(days=days))
        .replace(tzinfo=zone)
        .timestamp()
    )
    if now - JUST_OVER <= before <= now:
        local = wall(zone, at)
        raise Refused(
            f'{wall(zone, before):%a %Y-%m-%d %H:%M} is over; for {local:%a %Y-%m-%d %H:%M} write `--at "{local:%Y-%m-%d %H:%M}"`'
        )


def _skipped(text: str, zone: ZoneInfo, at: float, minutes: int) -> Refused:
    """A time that no clock shows on its day: what it would be before the change, and after it."""
    day = wall(zone, at).date()
    nominal = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - a local, nominal time
    earlier, later = sorted(
        wall(zone, nominal.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1)
    )
    return Refused(
        f"the clocks of {zone.key} skip {nominal:%H:%M} on {nominal:%Y-%m-%d} ({_cut(text)}): "
        f'write `--at "{earlier:%Y-%m-%d %H:%M}"` or `--at "{later:%Y-%m-%d %H:%M}"`'
    )


def _no_length(plain: str, now: float, zone: str, word: str) -> None:
    """Refuses what is a length, or a number that could be anything."""
    if re.fullmatch(r"\d{1,4}", plain):
        hour = f" write {int(plain):02}:00 for the hour," if int(plain) < 24 else ""
        raise Refused(
            f"“{plain}” can be read in two ways:{hour} `for {plain}m` or `for {plain}h` for a length"
        )
    if (
        _HOURS.fullmatch(plain)
        or _HOURS_AND_MINUTES.fullmatch(plain)
        or not (plain in _WORDS or _PARTS.fullmatch(plain))
    ):
        return
    seconds = _added_up(plain) or _WORDS.get(plain, 0.0)
    until = wall(ZoneInfo(zone), now + seconds)
    raise Refused(
        f"“{_cut(plain)}” is a length; write `for {_cut(plain)}`, or `{word} {until:%H:%M}`"
    )


def _no_moment(text: str, plain: str, now: float, zone: str, word: str) -> Refused:
    """Why it is none: a day without a time says neither its beginning nor its end."""
    try:
        _days(plain, wall(ZoneInfo(zone), now).date())
    except Refused:
        return Refused(f"“{_cut(text)}” is no moment; write {MOMENTS}")
    day = _cut(text)
    return Refused(
        f"“{day}” can be read in two ways: write `{word} {day} 00:00` for its beginning, or `{word} {day} 24:00` for its end"
    )


def _minutes(time: str, word: str) -> int:
    """After midnight. `2h` after *until* may be 02:00, or two hours."""
    if time in ("noon", "midnight"):
        return 720 if time == "noon" else 1440
    found = re.match(r"(\d{1,2})(?::(\d{2})|\s*h\s*(\d{2})?)?\s*([ap])?", time)
    assert found is not None, "the pattern of a time begins with a number"
    hours, minutes = int(found[1]), int(found[2] or found[3] or 0)
    if found[4]:
        return _twelve(time, hours, minutes, found[4])
    if "h" in time and hours <= 12:
        length = f"{hours}h{found[3] or ''}"
        raise Refused(
            f"“{time}” can be read in two ways: write `{word} {hours:02}:{minutes:02}`, or `for {length}`"
        )
    return _on_the_clock(time, hours, minutes)


def _twelve(time: str, hours: int, minutes: int, half: str) -> int:
    if not 1 <= hours <= 12:
        raise Refused(f"there is no {time} on the clock; write {MOMENTS}")
    return _on_the_clock(time, hours % 12 + (12 if half == "p" else 0), minutes)


def _on_the_clock(time: str, hours: int, minutes: int) -> int:
    if minutes > 59 or hours * 60 + minutes > 1440:
        raise Refused(f"there is no {time} on the clock; times run from 00:00 to 24:00")
    return hours * 60 + minutes


def _next(zone: ZoneInfo, days: list[date], minutes: int, now: float) -> float:
    """The first time after now at which the clocks show that on one of those days. LookupError when all of them are over."""
    for day in days:
        local = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - a local, nominal time
        again = local.replace(tzinfo=zone, fold=1).timestamp()
        for at in (float(instant(zone, local)[0]), again):
            if at > now:
                return at
    raise LookupError


def parse_skipped(text: str, now: float, zone: str) -> tuple[str, ...]:
    """Dates (ISO) of `tomorrow`, `today`, `Fri` or `2026-12-24..2026-12-26,2027-01-06`."""
    today = wall(ZoneInfo(zone), now).date()
    found: set[str] = set()
    for part in ",".join(text.replace(",", " ").split()).split(","):
        found.update(_dates(part, today))
    return tuple(sorted(found))


def _dates(part: str, today: date) -> list[str]:
    if re.match(r"\d{4}-", part):
        return list(parse_dates(part))
    day, *another = _days(part.casefold(), today)
    if another and day == today:
        raise Refused(
            f"{part} can be read in two ways: today, {day.isoformat()}, or {another[0].isoformat()}; write the date"
        )
    return [day.isoformat()]


def _days(word: str, today: date) -> list[date]:
    """The days that a word may mean, the nearest first. Refused when it means none."""
    if word in ("today", "tonight"):
        return [today]
    if word == "tomorrow":
        return [today + timedelta(days=1)]
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word):
        return [date.fromisoformat(parse_dates(word)[0])]
    number = weekday_named(word.rstrip("."))
    if number is None:
        raise Refused(
            f"“{_cut(word)}” is no day; write today, tomorrow, {', '.join(DAYS[:2])} … or 2026-12-24"
        )
    ahead = (number - today.weekday()) % 7
    return [today + timedelta(days=ahead + week * 7) for week in range(2 if ahead == 0 else 1)]


def _cut(text: str) -> str:
    """As it may be said back: short, on one line, and without marks that format or mention."""
    plain = without_markers(" ".join(re.sub(r"[*_~`<>&]", " ", printable(text)).split()))
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
