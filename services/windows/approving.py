"""When approvals count, where that is not always: days, times and dates without, written as those of an off-hours window. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.closures import closures
from services.windows.days import date_words, day_words
from services.windows.window import WAIT_LIMIT, Window, parse_window

EXAMPLE = "Mon-Fri 09:00-18:00 --except 2026-12-21..2027-01-06"
NEAR, FAR = 8 * 86400.0, 400 * 86400.0


def parse_hours(text: str, zone: str) -> Window:
    """The hours those words mean. Refused with what was found and what is allowed."""
    if text.split()[:2] == ["daily", "00:00-24:00"]:
        raise Refused(f"{text!r} is always: leave it out")
    window = parse_window(f"approvals {text}", zone)
    if window != replace(
        window, number=None, meetings="wait", wait_limit=WAIT_LIMIT, kind="shutdown"
    ):
        raise Refused(
            f"{text!r} says more than days, times, a zone and --except; for example `{EXAMPLE}`"
        )
    return window


def hours_words(hours: Sequence[Window]) -> str:
    """`Mon-Fri 09:00-18:00 (Europe/Madrid, not 2026-12-21..2027-01-06)`."""
    return " or ".join(_words(window) for window in hours)


def _words(window: Window) -> str:
    off = f", not {date_words(window.off)}" if window.off else ""
    return f"{day_words(window.days, window.dates)} {window.times} ({window.zone}{off})"


def opens_at(hours: Sequence[Window], now: float) -> float:
    """When approvals count next: `now` where they do; infinity where no such hour comes within a year."""
    if not hours:
        return now
    for ahead in (NEAR, FAR):
        coming = [
            max(now, float(c.close))
            for c in closures(hours, now, now + ahead)[0]
            if c.open > now and c.close <= now + ahead
        ]
        if coming:
            return min(coming)
    return float("inf")


def closed_words(hours: Sequence[Window], now: float) -> str:
    """Why no approval counts now, and from when on one does; "" while they count."""
    opens = opens_at(hours, now)
    if opens == now:
        return ""
    zone = ZoneInfo(hours[0].zone)
    known = opens < float("inf")
    again = (
        f"again from {datetime.fromtimestamp(opens, zone):%a %d %b %H:%M} ({hours[0].zone})"
        if known
        else "not within a year"
    )
    return f"approvals count {hours_words(hours)}, {again}; nothing was changed"
