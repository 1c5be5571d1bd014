"""What the settings say about closing: the windows, and the calendars of holidays."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from bot.doctor.case import Case, Patient
from bot.doctor.check import Check, Finding, fine, wrong
from services.books import book_key, read_book
from services.calendars import Calendar
from services.errors import Refused, Unreachable
from services.steps.base import count
from services.windows import USAGE, Window, lint, parse_window


def checks(case: Case) -> Iterator[Check]:
    """For each cluster that has any."""
    for patient in case.patients:
        if patient.settings.windows:
            yield Check(f"{patient.name}: windows", partial(_windows, case, patient))
        if patient.settings.holidays is not None:
            yield Check(f"{patient.name}: holidays", partial(_holidays, case, patient))


async def windows_of(case: Case, patient: Patient) -> Sequence[Window]:
    """The windows that close it: those of its book, which people change in Slack; before its first start those of the settings."""
    try:
        (text,) = await case.store.get(book_key(patient.name))
    except Unreachable:
        text = None
    if text is not None:
        return read_book(text).windows
    try:
        return [parse_window(said, patient.settings.timezone) for said in patient.settings.windows]
    except Refused:
        return ()


async def _windows(case: Case, patient: Patient) -> Sequence[Finding]:
    """Each on its own, as the bot reads them at its start; a wrong one would keep it from starting."""
    name, remedy = f"{patient.name}: windows", f"correct clusters.{patient.name}.windows; a window is written {USAGE}"
    understood, found = [], []
    for said in patient.settings.windows:
        try:
            understood.append(parse_window(said, patient.settings.timezone))
        except Refused as error:
            found.append(wrong(name, f"“{said}”: {error}", remedy))
    found += [wrong(name, words, "change one of them") for words in lint(understood, case.clock.now())]
    return found or [fine(name, f"{count(len(understood), 'window')} understood: {', '.join(w.title for w in understood)}")]


async def _holidays(case: Case, patient: Patient) -> Sequence[Finding]:
    name, file = f"{patient.name}: holidays", patient.settings.holidays
    assert file is not None, "only where one is named"
    now = case.clock.now()
    remedy = f"put a calendar (.ics) that can be read there, or leave clusters.{patient.name}.holidays out"
    try:
        found = await asyncio.to_thread(Calendar(file, patient.settings.timezone).read, now)
    except Refused as error:
        return [wrong(name, str(error), remedy)]
    today = datetime.fromtimestamp(now, ZoneInfo(patient.settings.timezone)).date().isoformat()
    ahead = sorted({(h.date, h.name) for h in found if h.date >= today})
    if not ahead:
        return [wrong(name, f"{file.name} has no day off ahead", "replace it by the calendar of the coming year")]
    days = len({day for day, _ in ahead})
    first = f"{ahead[0][0]}{f' ({ahead[0][1]})' if ahead[0][1] else ''}"
    return [fine(name, f"{file.name} has {count(days, 'day')} off ahead; the next is {first}")]
