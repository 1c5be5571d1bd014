"""The calendar files that the settings name: read as the bot would, with what lies ahead and what is odd in them."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from bot.app import calendars_of
from bot.doctor.check import Check, Finding, fine, wrong
from bot.doctor.context import Case
from services.common.errors import Refused
from services.schedule.calendar_sync import CALLED, Calendar, Contents
from services.windows import Holiday


def checks(case: Case) -> Iterator[Check]:
    """A file that cannot be read does not keep the bot from starting: it goes on with the days that it knows, or with none."""
    for name, calendars in calendars_of(case.settings).items():
        for calendar in calendars:
            title = f"{name}: {CALLED[calendar.kind]}"
            yield Check(title, partial(_read, title, calendar, case.wall()))


async def _read(name: str, calendar: Calendar, now: float) -> Sequence[Finding]:
    try:
        contents = await asyncio.to_thread(calendar.read, now)
    except Refused as error:
        return [
            wrong(name, f"{calendar.file.name}: {error}", "get the file anew, or correct that line")
        ]
    source = contents.source
    if source.empty:
        return [
            wrong(name, f"{source.file} has {source.found}", "get a calendar of the coming year")
        ]
    passed = [c for c in source.cautions if source.skipped]
    return [
        fine(
            name,
            "; ".join(
                [f"{source.file}: {source.found}", *_first(contents, calendar.zone, now), *passed]
            ),
        )
    ]


def _first(contents: Contents, zone: str, now: float) -> list[str]:
    """The next day off, by which people see that it is the right country's."""
    today = datetime.fromtimestamp(now, ZoneInfo(zone)).date().isoformat()
    ahead = sorted(
        (e.date, e.name) for e in contents.entries if isinstance(e, Holiday) and e.date >= today
    )
    return (
        [f"the next is {ahead[0][0]}" + (f" ({ahead[0][1]})" if ahead[0][1] else "")]
        if ahead
        else []
    )
