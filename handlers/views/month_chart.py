"""The chart of a month: hours closed per day, people by hour of the day; and it in words."""

import asyncio
import importlib
from collections.abc import Callable, Sequence

from handlers.slack.blocks import Picture
from services.billing.busy_hours import BusyHour
from services.billing.savings import Day

Draw = Callable[[Sequence[Day], Sequence[BusyHour]], bytes]
DRAWING = "handlers.views.month_drawing"  # loads Pillow


async def month_picture(
    subject: str, days: Sequence[Day], hours: Sequence[BusyHour] = ()
) -> Picture:
    """Draw the chart, in a thread. `subject`: whose month; `hours`: () draws the days alone."""
    title = f"{subject}: hours closed per day"
    if hours:
        title += ", people by hour of the day"
    png = await asyncio.to_thread(_draw, days, hours)
    return Picture(png, title, alt_text(days, hours))


def _draw(days: Sequence[Day], hours: Sequence[BusyHour]) -> bytes:
    draw: Draw = importlib.import_module(DRAWING).draw_month
    return draw(days, hours)


def alt_text(days: Sequence[Day], hours: Sequence[BusyHour] = ()) -> str:
    """Return the picture's alternative text: its numbers."""
    entries = "; ".join(_described(day) for day in days if day.closed or day.kept)
    text = f"Hours closed per day. {entries or 'Open all the time'}."
    if not hours:
        return text
    people = "; ".join(filter(None, map(_hour_described, hours)))
    text = f"{text} People in meetings by hour, mean and most. {people or 'No one'}."
    if blank := ", ".join(str(h.hour) for h in hours if h.people is None):
        text += f" Not counted at {blank} h."
    return text


def _hour_described(hour: BusyHour) -> str:
    """Return `10:00: 34, most 60`; "" for an hour in which no one met and nothing was closed."""
    parts = []
    if hour.most:
        parts.append(f"{hour.people:.0f}, most {hour.most}")
    if hour.closed:
        parts.append(f"closed {hour.closed:.0%} of the time")
    if not parts:
        return ""
    return f"{hour.hour:02}:00: {', '.join(parts)}"


def _described(day: Day) -> str:
    closed = f"{day.date[-2:]}: {day.closed:.1f} h closed"
    if not day.kept:
        return closed
    return f"{closed}, {day.kept:.1f} h kept up"
