"""Checks the calendar files of the settings, read as the bot reads them."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from bot.clusters import calendars_of
from bot.doctor.check import Check, CheckFinding, fine, wrong
from bot.doctor.context import DoctorContext
from services.common.errors import Refused
from services.schedule.calendar_sync import CALENDAR_NAMES, Calendar, Contents
from services.windows import Holiday


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield a check for each file.

    The bot starts without an unreadable file, with the days it read before, or none.
    """
    for name, calendars in calendars_of(context.settings).items():
        for calendar in calendars:
            title = f"{name}: {CALENDAR_NAMES[calendar.kind]}"
            yield Check(title, partial(_read, title, calendar, context.wall()))


async def _read(name: str, calendar: Calendar, now: float) -> Sequence[CheckFinding]:
    try:
        contents = await asyncio.to_thread(calendar.read, now)
    except Refused as error:
        return [
            wrong(
                name,
                f"{calendar.file.name}: {error}",
                "download the file again, or correct that line",
            )
        ]
    source = contents.source
    if source.empty:
        return [
            wrong(
                name, f"{source.file} has {source.found}", "download a calendar of the coming year"
            )
        ]
    parts = [f"{source.file}: {source.found}"]
    if following := _next_day_off(contents, calendar.zone, now):
        parts.append(following)
    if source.skipped:
        parts += source.cautions
    return [fine(name, "; ".join(parts))]


def _next_day_off(contents: Contents, zone: str, now: float) -> str:
    """Return the next day off, which shows whether the calendar is of the right country."""
    today = datetime.fromtimestamp(now, ZoneInfo(zone)).date().isoformat()
    ahead = sorted(
        (e.date, e.name) for e in contents.entries if isinstance(e, Holiday) and e.date >= today
    )
    if not ahead:
        return ""
    date, name = ahead[0]
    if not name:
        return f"the next is {date}"
    return f"the next is {date} ({name})"
