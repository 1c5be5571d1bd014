"""Moments and lengths as people type them.

*Until* and *at* take a moment, *for* a length; what could be both is refused with both.

A moment is the next one at which the clocks of a zone show that time. Of a repeated hour it is the
first that is still to come; a skipped time means the first moment after the gap.
"""

import re
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.common.markers import without_markers
from services.common.text import strip_invisible
from services.windows.days import parse_dates, weekday_named
from services.windows.exceptions import DAY
from services.windows.time_zones import DAYS, instant, local_time, wall

LENGTHS = "90m, 2h, 1h30, 1.5h, 2 days"
MOMENTS = "18:00, 6pm, tomorrow 08:00, Fri 22:00, 2026-12-24 08:00"
WEEK = 7 * DAY
# A time that passed less than this many seconds ago is a mistake rather than tomorrow's.
JUST_OVER = 6 * 3600.0
_UNITS = {"m": 60.0, "h": 3600.0, "d": DAY, "w": WEEK}
_UNIT = r"(?:m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_PART = rf"\d{{1,5}}(?:[.,]\d{{1,2}})?\s*{_UNIT}"
_PARTS = re.compile(rf"{_PART}(?:\s*(?:,|and)?\s*{_PART})*")
_HOURS_AND_MINUTES = re.compile(r"(\d{1,3})\s*h\s*(\d{2})")  # 1h30
_HOURS = re.compile(r"(\d{1,2})\s*h")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_WORDS = {"an hour": 3600.0, "half an hour": 1800.0, "a day": DAY, "a week": WEEK}
_TIME = (
    r"\d{1,2}:\d{2}(?:\s*[ap]\.?m\.?)?|\d{1,2}\s*[ap]\.?m\.?"
    r"|\d{1,2}\s*h\s*\d{2}|\d{1,2}\s*h|noon|midnight"
)
_TIME_LAST = re.compile(rf"(?:(?P<day>\S+)[\s,]+(?:at\s+)?)?(?P<time>{_TIME})")
_NAMED_TIMES = {"noon": 720, "midnight": 1440}
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})t(\d{1,2}:\d{2})")


def parse_length(text: str, word: str = "for") -> float:
    """Return the seconds of `90m`, `2 hours`, `1h30`, `1.5h` or `2:30`.

    `word`: the word before it, "" for none.
    """
    plain = " ".join(text.casefold().split())
    seconds = _length(plain, word)
    if seconds is None:
        raise Refused(f"“{_cut(text)}” is not a length of time; write {LENGTHS}")
    if seconds <= 0:
        raise Refused(f"“{_cut(text)}” is a length of zero; write {LENGTHS}")
    return seconds


def _length(plain: str, word: str) -> float | None:
    if plain in _WORDS:
        return _WORDS[plain]
    if clock := _CLOCK.fullmatch(plain):
        return _clock_length(clock, plain, word)
    if re.fullmatch(r"\d{1,5}", plain):
        raise Refused(f"{plain} has no unit; write {plain}m for minutes, or {plain}h for hours")
    if (hours := _HOURS.fullmatch(plain)) and not word and int(hours[1]) > 12:
        number = int(hours[1])
        raise Refused(
            f"{plain} can be read in two ways: "
            f"write `for {number} hours`, or `until {number:02}:00`"
        )
    if (both := _HOURS_AND_MINUTES.fullmatch(plain)) and int(both[2]) < 60:
        return int(both[1]) * 3600.0 + int(both[2]) * 60.0
    if _PARTS.fullmatch(plain):
        return _added_up(plain)
    return None


def _clock_length(clock: re.Match[str], plain: str, word: str) -> float:
    """Return 2 h 30 min for `2:30` after *for*.

    `22:30`, or either without a word before it, may be a time of day: refused.
    """
    hours, minutes = int(clock[1]), int(clock[2])
    if minutes > 59:
        raise Refused(f"{plain} has {minutes} minutes, which is more than 59; write {LENGTHS}")
    if not word or hours > 9:
        raise Refused(
            f"{plain} can be read in two ways: write `until {plain}`, or `for {hours}h{minutes:02}`"
        )
    return hours * 3600.0 + minutes * 60.0


def _added_up(plain: str) -> float | None:
    """Return the seconds of `1 h 30 min`; None unless each unit comes once, the greatest first."""
    parts = [
        (m[1], m[2][0]) for m in re.finditer(rf"(\d{{1,5}}(?:[.,]\d{{1,2}})?)\s*({_UNIT})", plain)
    ]
    sizes = [_UNITS[unit] for _, unit in parts]
    if sorted({*sizes}, reverse=True) != sizes:
        return None
    return sum(float(number.replace(",", ".")) * _UNITS[unit] for number, unit in parts)


def parse_moment(text: str, now: float, zone: str, word: str = "until") -> float:
    """Return the next moment of `22:00`, `6pm`, `Fri 22:00` or `2026-12-24 08:00` in that zone."""
    plain = " ".join(text.casefold().split())
    plain = _ISO.sub(r"\1 \2", plain)
    _no_length(plain, now, zone, word)
    match = _TIME_LAST.fullmatch(plain)
    if match is None:
        raise _no_moment(text, plain, now, zone, word)
    minutes = _minutes(match["time"], word)
    there = ZoneInfo(zone)
    today = wall(there, now).date()
    if match["day"] is None:
        near = [today + timedelta(days=n) for n in range(-1, 9)]
        return _next(there, near, minutes, now)
    try:
        return _next(there, _days(match["day"], today), minutes, now)
    except LookupError:
        raise Refused(f"{_cut(text)} has already passed") from None


def parse_at(text: str, now: float, zone: str) -> float:
    """Return the one moment that `--at` means.

    Refused, with both readings, where there are two, or none.

    A time that has just passed would be read as the next day's, and is a mistake of the person who
    typed it; a time that the clocks skip or show twice is ambiguous. `2026-10-25 00:30 UTC` is
    always exact.
    """
    plain = " ".join(text.casefold().split())
    if plain.endswith(" utc"):
        plain, zone = plain.removesuffix(" utc"), "UTC"
    at, there = parse_moment(plain, now, zone, "at"), ZoneInfo(zone)
    match = _TIME_LAST.fullmatch(_ISO.sub(r"\1 \2", plain))
    assert match is not None, "parse_moment has read it"
    _not_just_over(match["day"], at, now, there)
    minutes, local = _minutes(match["time"], "at"), wall(there, at)
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
            f"the clocks of {zone} show {nominal:%H:%M} twice on {nominal:%Y-%m-%d}: "
            f"write {readings}"
        )
    return at


def _not_just_over(day: str | None, at: float, now: float, zone: ZoneInfo) -> None:
    """Refuse a time that passed in the last hours, where the next one is a day or a week away."""
    if day is not None and weekday_named(day.rstrip(".")) is None:
        return
    days = 1 if day is None else 7
    local = wall(zone, at)
    nominal = local.replace(tzinfo=None) - timedelta(days=days)
    before = nominal.replace(tzinfo=zone).timestamp()
    if now - JUST_OVER <= before <= now:
        raise Refused(
            f"{wall(zone, before):%a %Y-%m-%d %H:%M} has passed; "
            f'for {local:%a %Y-%m-%d %H:%M} write `--at "{local:%Y-%m-%d %H:%M}"`'
        )


def _skipped(text: str, zone: ZoneInfo, at: float, minutes: int) -> Refused:
    """Return the refusal of a time that the clocks skip.

    It names the times before and after the change.
    """
    nominal = local_time(wall(zone, at).date(), minutes)
    earlier, later = sorted(
        wall(zone, nominal.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1)
    )
    return Refused(
        f"the clocks of {zone.key} skip {nominal:%H:%M} on {nominal:%Y-%m-%d} ({_cut(text)}): "
        f'write `--at "{earlier:%Y-%m-%d %H:%M}"` or `--at "{later:%Y-%m-%d %H:%M}"`'
    )


def _no_length(plain: str, now: float, zone: str, word: str) -> None:
    """Refuse a length, or a number that could be anything."""
    if re.fullmatch(r"\d{1,4}", plain):
        hour = f" write {int(plain):02}:00 for the hour," if int(plain) < 24 else ""
        raise Refused(
            f"“{plain}” can be read in two ways:{hour} "
            f"`for {plain}m` or `for {plain}h` for a length"
        )
    if _HOURS.fullmatch(plain) or _HOURS_AND_MINUTES.fullmatch(plain):
        return
    if plain not in _WORDS and not _PARTS.fullmatch(plain):
        return
    seconds = _added_up(plain) or _WORDS.get(plain, 0.0)
    until = wall(ZoneInfo(zone), now + seconds)
    raise Refused(
        f"“{_cut(plain)}” is a length; write `for {_cut(plain)}`, or `{word} {until:%H:%M}`"
    )


def _no_moment(text: str, plain: str, now: float, zone: str, word: str) -> Refused:
    """Return the refusal of text that is no moment.

    A day without a time may mean its beginning or its end.
    """
    try:
        _days(plain, wall(ZoneInfo(zone), now).date())
    except Refused:
        return Refused(f"“{_cut(text)}” is not a time; write {MOMENTS}")
    day = _cut(text)
    return Refused(
        f"“{day}” can be read in two ways: write `{word} {day} 00:00` for its beginning, "
        f"or `{word} {day} 24:00` for its end"
    )


def _minutes(time: str, word: str) -> int:
    """Return the minutes after midnight. `2h` after *until* may be 02:00, or two hours: refused."""
    if time in _NAMED_TIMES:
        return _NAMED_TIMES[time]
    match = re.match(r"(\d{1,2})(?::(\d{2})|\s*h\s*(\d{2})?)?\s*([ap])?", time)
    assert match is not None, "the pattern of a time begins with a number"
    hours, minutes = int(match[1]), int(match[2] or match[3] or 0)
    if match[4]:
        return _twelve(time, hours, minutes, match[4])
    if "h" in time and hours <= 12:
        length = f"{hours}h{match[3] or ''}"
        raise Refused(
            f"“{time}” can be read in two ways: "
            f"write `{word} {hours:02}:{minutes:02}`, or `for {length}`"
        )
    return _on_the_clock(time, hours, minutes)


def _twelve(time: str, hours: int, minutes: int, half: str) -> int:
    if not 1 <= hours <= 12:
        raise Refused(f"there is no {time} on the clock; write {MOMENTS}")
    hours %= 12
    if half == "p":
        hours += 12
    return _on_the_clock(time, hours, minutes)


def _on_the_clock(time: str, hours: int, minutes: int) -> int:
    if minutes > 59 or hours * 60 + minutes > 1440:
        raise Refused(f"there is no {time} on the clock; times run from 00:00 to 24:00")
    return hours * 60 + minutes


def _next(zone: ZoneInfo, days: list[date], minutes: int, now: float) -> float:
    """Return the first moment after now at which the clocks show that time on one of those days.

    LookupError when all are over.
    """
    for day in days:
        local = local_time(day, minutes)
        again = local.replace(tzinfo=zone, fold=1).timestamp()
        for at in (float(instant(zone, local)[0]), again):
            if at > now:
                return at
    raise LookupError


def parse_dates_typed(text: str, now: float, zone: str) -> tuple[str, ...]:
    """Return the dates (ISO) of `tomorrow`, `Fri` or `2026-12-24..2026-12-26,2027-01-06`."""
    today = wall(ZoneInfo(zone), now).date()
    dates: set[str] = set()
    for part in ",".join(text.replace(",", " ").split()).split(","):
        dates.update(_dates(part, today))
    return tuple(sorted(dates))


def _dates(part: str, today: date) -> list[str]:
    if re.match(r"\d{4}-", part):
        return list(parse_dates(part))
    day, *another = _days(part.casefold(), today)
    if another and day == today:
        raise Refused(
            f"{part} can be read in two ways: today, {day.isoformat()}, "
            f"or {another[0].isoformat()}; write the date"
        )
    return [day.isoformat()]


def _days(word: str, today: date) -> list[date]:
    """Return the days that a word may mean, the nearest first. Refused when it means none."""
    if word in ("today", "tonight"):
        return [today]
    if word == "tomorrow":
        return [today + timedelta(days=1)]
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word):
        return [date.fromisoformat(parse_dates(word)[0])]
    number = weekday_named(word.rstrip("."))
    if number is None:
        raise Refused(
            f"“{_cut(word)}” is not a day; "
            f"write today, tomorrow, {', '.join(DAYS[:2])} … or 2026-12-24"
        )
    ahead = (number - today.weekday()) % 7
    if ahead == 0:
        return [today, today + timedelta(days=7)]
    return [today + timedelta(days=ahead)]


def _cut(text: str) -> str:
    """Return user input for echoing: short, on one line, without marks that format or mention."""
    plain = without_markers(" ".join(re.sub(r"[*_~`<>&]", " ", strip_invisible(text)).split()))
    if len(plain) > 40:
        return f"{plain[:39]}…"
    return plain
