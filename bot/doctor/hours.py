"""Checks the off-hours windows of the settings."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, wrong
from bot.doctor.context import DoctorContext, Target
from services.common.errors import Refused, Unreachable
from services.common.text import count_of
from services.memory.schedule import read_book
from services.store.keys import schedule_key
from services.windows import USAGE, Window, find_conflicts, parse_window


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield one check for each cluster that has windows."""
    for target in context.targets:
        if target.settings.windows:
            yield Check(f"{target.name}: windows", partial(_windows, context, target))


async def windows_of(context: DoctorContext, target: Target) -> Sequence[Window]:
    """Return a cluster's windows: of its schedule; before its first start, of the settings."""
    try:
        (text,) = await context.store.get(schedule_key(target.name))
    except Unreachable:
        text = None
    if text is not None:
        return read_book(text).named_windows
    try:
        return [parse_window(text, target.settings.timezone) for text in target.settings.windows]
    except Refused:
        return ()


async def _windows(context: DoctorContext, target: Target) -> Sequence[CheckFinding]:
    """Parse each window as the bot does at its start, which a wrong one would prevent."""
    name = f"{target.name}: windows"
    remedy = f"correct clusters.{target.name}.windows; syntax: {USAGE}"
    windows, findings = [], []
    for text in target.settings.windows:
        try:
            windows.append(parse_window(text, target.settings.timezone))
        except Refused as error:
            findings.append(wrong(name, f"“{text}”: {error}", remedy))
    conflicts = find_conflicts(windows, context.clock.now())
    findings += [wrong(name, conflict, "change one of them") for conflict in conflicts]
    titles = ", ".join(window.title for window in windows)
    return findings or [fine(name, f"{count_of(len(windows), 'window')}: {titles}")]
