"""The hours in which approvals count: days, times and dates, written as those of a window. Pure."""

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
    """Return the hours as a window. Refused with what was written and what is allowed."""
    if text.split()[:2] == ["daily", "00:00-24:00"]:
        raise Refused(f"“{text}” means always: omit it")
    window = parse_window(f"approvals {text}", zone)
    plain = replace(window, number=None, meetings="wait", wait_limit=WAIT_LIMIT, kind="shutdown")
    if window != plain:
        raise Refused(
            f"“{text}” has more than days, times, a zone and --except. Example: `{EXAMPLE}`"
        )
    return window


def hours_words(hours: Sequence[Window]) -> str:
    """Return `Mon-Fri 09:00-18:00 (Europe/Madrid, not 2026-12-21..2027-01-06)`."""
    return " or ".join(_words(window) for window in hours)


def _words(window: Window) -> str:
    off = f", not {date_words(window.off)}" if window.off else ""
    return f"{day_words(window.days, window.dates)} {window.times} ({window.zone}{off})"


def next_opening(hours: Sequence[Window], now: float) -> float:
    """Return when approvals count next: `now` while they do, infinity if not within a year."""
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


def why_not_counting(hours: Sequence[Window], now: float) -> str:
    """Return why no approval counts now, and when one does again; "" while they count."""
    opens = next_opening(hours, now)
    if opens == now:
        return ""
    again = "not within a year"
    if opens < float("inf"):
        local = datetime.fromtimestamp(opens, ZoneInfo(hours[0].zone))
        again = f"again from {local:%a %d %b %H:%M} ({hours[0].zone})"
    return f"approvals count {hours_words(hours)}, {again}. Nothing was changed"
