"""The calendar files that the settings name: read as the bot would, with what lies ahead and what is odd in them."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from bot.app import calendars_of
from bot.doctor.case import Case
from bot.doctor.check import Check, Finding, fine, wrong
from services.calendars import CALLED, Calendar
from services.errors import Refused


def checks(case: Case) -> Iterator[Check]:
    """A file that cannot be read does not keep the bot from starting: it goes on with the days that it knows, or with none."""
    for name, calendars in calendars_of(case.settings).items():
        for calendar in calendars:
            title = f"{name}: {CALLED[calendar.kind]}"
            yield Check(title, partial(_read, title, calendar, case.wall()))


async def _read(name: str, calendar: Calendar, now: float) -> Sequence[Finding]:
    try:
        source = (await asyncio.to_thread(calendar.read, now)).source
    except Refused as error:
        return [wrong(name, f"{calendar.file.name}: {error}", "get the file anew, or correct that line")]
    if source.empty:
        return [wrong(name, f"{source.file} has {source.found}", "get a calendar of the coming year")]
    passed = [c for c in source.cautions if source.skipped]
    return [fine(name, "; ".join([f"{source.file}: {source.found}", *passed]))]
