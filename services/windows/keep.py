"""*Keep up*: what the buttons of a notice mean at the moment they are pressed."""

from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from services.errors import Refused
from services.windows.closed import Closure, closures
from services.windows.due import FAR, NEAR
from services.windows.exceptions import DAY, NONE, Exceptions, KeepUp
from services.windows.spec import Window
from services.windows.zones import day_and_time, wall


def keep_up(
    windows: Sequence[Window],
    now: float,
    length: float | Literal["tonight"],
    by: str,
    *,
    reason: str = "",
    exceptions: Exceptions = NONE,
) -> KeepUp:
    """Stay up that many seconds beyond the close (or beyond now, when it is closed), or for the whole of tonight.

    "Tonight" is the night's own window: a weekend that follows without a break closes at its own time. Refused when nothing closes.
    """
    closure = _next_closed(windows, now, exceptions)
    if closure is None:
        raise Refused("no window closes in the coming year, so there is nothing to keep it up against")
    begin = _kept_until(closure, max(now, closure.close), exceptions)
    if begin >= closure.open:
        raise Refused(f"it is kept up until {day_and_time(wall(ZoneInfo(closure.windows[0].zone), closure.open))} already")
    if length == "tonight":
        until = float(max(o.open for o in closure.occurrences if o.close <= begin < o.open))
    else:
        until = min(begin + length, closure.open)
    return KeepUp(now, until, by, reason)


def _next_closed(windows: Sequence[Window], now: float, exceptions: Exceptions) -> Closure | None:
    for days in (*NEAR, *FAR):
        found, _ = closures(windows, now, now + days * DAY, exceptions.free)
        if (closure := next((c for c in found if c.open > now), None)) is not None:
            return closure
    return None


def _kept_until(closure: Closure, begin: float, exceptions: Exceptions) -> float:
    """From `begin` on, where the keep-ups given so far end."""
    while begin < closure.open and (keep := exceptions.keep_up(begin)) is not None:
        begin = keep.until
    return begin
