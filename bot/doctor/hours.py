"""Checks the off-hours windows of the settings."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, fine, wrong
from bot.doctor.context import Case, Patient
from services.common.errors import Refused, Unreachable
from services.common.text import count
from services.memory.schedule import read_book
from services.store.keys import book_key
from services.windows import USAGE, Window, lint, parse_window


def checks(case: Case) -> Iterator[Check]:
    """Yield one check for each cluster that has windows."""
    for patient in case.patients:
        if patient.settings.windows:
            yield Check(f"{patient.name}: windows", partial(_windows, case, patient))


async def windows_of(case: Case, patient: Patient) -> Sequence[Window]:
    """Return a cluster's windows: of its schedule; before its first start, of the settings."""
    try:
        (text,) = await case.store.get(book_key(patient.name))
    except Unreachable:
        text = None
    if text is not None:
        return read_book(text).windows
    try:
        return [parse_window(text, patient.settings.timezone) for text in patient.settings.windows]
    except Refused:
        return ()


async def _windows(case: Case, patient: Patient) -> Sequence[Finding]:
    """Parse each window as the bot does at its start, which a wrong one would prevent."""
    name = f"{patient.name}: windows"
    remedy = f"correct clusters.{patient.name}.windows; a window is written {USAGE}"
    windows, findings = [], []
    for text in patient.settings.windows:
        try:
            windows.append(parse_window(text, patient.settings.timezone))
        except Refused as error:
            findings.append(wrong(name, f"“{text}”: {error}", remedy))
    conflicts = lint(windows, case.clock.now())
    findings += [wrong(name, conflict, "change one of them") for conflict in conflicts]
    titles = ", ".join(window.title for window in windows)
    return findings or [fine(name, f"{count(len(windows), 'window')} understood: {titles}")]
