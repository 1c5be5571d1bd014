"""*Keep up*: what a notice's buttons mean when they are pressed, and what people type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.closures import Closure, closures, quiet_hours
from services.windows.due import FAR, NEAR
from services.windows.exceptions import DAY, NONE, Exceptions, KeepUp
from services.windows.time_zones import day_and_time, wall
from services.windows.window import Window

LONGEST = 14 * DAY  # until a moment; for longer, skip days or remove the window


@dataclass(frozen=True)
class Until:
    """Keep up until that moment, whatever closes and opens before."""

    at: float


Length = float | Literal["tonight"] | Until


def keep_up(
    windows: Sequence[Window],
    now: float,
    length: Length,
    by: str,
    *,
    reason: str = "",
    exceptions: Exceptions = NONE,
) -> KeepUp:
    """Return a keep-up: seconds beyond the closing (or now, if closed), tonight, or until a moment.

    "Tonight" is the night's own window: a weekend that follows without a break closes at its own
    time. Refused when nothing closes.
    """
    closure = _next_closed(windows, now, exceptions)
    if closure is None:
        raise Refused(
            "no window closes this cluster in the coming year: there is nothing to keep up"
        )
    begin = _kept_until(closure, max(now, closure.close), exceptions)
    zone = ZoneInfo(closure.windows[0].zone)
    if isinstance(length, Until):
        return KeepUp(now, _checked(length.at, now, begin, zone), by, reason)
    if begin >= closure.open:
        raise Refused(f"it is already kept up until {day_and_time(wall(zone, closure.open))}")
    if length == "tonight":
        until = float(max(o.open for o in closure.occurrences if o.close <= begin < o.open))
    else:
        until = min(begin + length, closure.open)
    return KeepUp(now, until, by, reason)


def _checked(until: float, now: float, begin: float, zone: ZoneInfo) -> float:
    """Return `until`. Refused when nothing would close it before, or when it is too far away."""
    if until <= begin:
        raise Refused(f"it stays up until {day_and_time(wall(zone, begin))} anyway")
    if until - now > LONGEST:
        raise Refused(
            f"it can be kept up for at most {LONGEST / DAY:.0f} days. For longer, skip these days"
        )
    return until


def _next_closed(windows: Sequence[Window], now: float, exceptions: Exceptions) -> Closure | None:
    for days in (*NEAR, *FAR):
        # A quiet window may close it at any moment of its hours.
        hours = (*(w for w in windows if w.when_empty is None), *quiet_hours(windows))
        coming, _ = closures(hours, now, now + days * DAY, exceptions.days_off)
        closure = next((c for c in coming if c.open > now), None)
        if closure is not None:
            return closure
    return None


def _kept_until(closure: Closure, begin: float, exceptions: Exceptions) -> float:
    """Return where, from `begin` on, earlier keep-ups and meetings in calendars end."""
    while begin < closure.open:
        reason = exceptions.keep_up(begin) or exceptions.meeting(begin, begin + 1)
        if reason is None:
            break
        begin = reason.until
    return begin
