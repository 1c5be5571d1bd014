"""What the settings say about closing: the windows."""

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
    """For each cluster that has any."""
    for patient in case.patients:
        if patient.settings.windows:
            yield Check(f"{patient.name}: windows", partial(_windows, case, patient))


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
    name, remedy = (
        f"{patient.name}: windows",
        f"correct clusters.{patient.name}.windows; a window is written {USAGE}",
    )
    understood, found = [], []
    for said in patient.settings.windows:
        try:
            understood.append(parse_window(said, patient.settings.timezone))
        except Refused as error:
            found.append(wrong(name, f"“{said}”: {error}", remedy))
    found += [
        wrong(name, words, "change one of them") for words in lint(understood, case.clock.now())
    ]
    return found or [
        fine(
            name,
            f"{count(len(understood), 'window')} understood: {', '.join(w.title for w in understood)}",
        )
    ]
