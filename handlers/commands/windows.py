"""Commands about off-hours windows: the list, the forecast, and exceptions from them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, context, escape, section
from handlers.slack.markup import date, date_time
from handlers.views.schedule import schedule_words
from services.access.policy import ClusterPolicy
from services.billing.estimate import FOUR_WEEKS
from services.common.command import CommandClass, argument, rest
from services.common.errors import Refused
from services.common.text import join_words
from services.memory.schedule import Book
from services.runs.standing_approval import StandingApproval, lapsed
from services.windows import (
    EXAMPLE,
    KIND_WORDS,
    Holiday,
    Length,
    Row,
    Until,
    Window,
    find_conflicts,
)
from services.windows.days import date_runs
from services.windows.overlap import overlaps
from services.windows.times import parse_dates_typed, parse_length, parse_moment

MOST_ROWS = 40
MOST_HOLIDAYS = 12
BLOCK = 2800  # characters of a block


@dataclass(frozen=True)
class ListWindows(InstantCommand):
    """The off-hours windows, and what is due now and why."""

    command: ClassVar[str] = "window list"
    help_text: ClassVar[str] = "List the off-hours windows, and what they want now."

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        book = await ctx.visible.book(name, ctx.actor)
        now = ctx.clock.now()
        if not book.windows:
            none = f"{name} has no off-hours windows. Add one: `/openvidu window add {EXAMPLE}`"
            return views.text_card("\n".join([none, *_calendars(book, now)]))
        rules = ctx.operations.clusters.cluster(name).rules
        names = [w.name for w in book.windows]
        standings = await ctx.operations.standings(name, ctx.actor, book, names)
        lines = [_window(standing, rules, now) for standing in standings]
        # Reasons in it carry mentions of people; user input was escaped when it was stored.
        schedule = await ctx.visible.schedule(name, ctx.actor)
        lines.append(f"*Now* {schedule_words(schedule)}")
        lines += [f":warning: {c}" for c in schedule.due.conflicts]
        lines += [f"*Overlap* {escape(o)}" for o in _overlaps(book.windows, now)]
        lines += [f":warning: {escape(c)}" for c in find_conflicts(book.windows, now)]
        if off := [d for d in book.exceptions.off if d >= _today(now)]:
            lines.append(f"*Days off* {', '.join(off)}")
        lines += _calendars(book, now)
        return Card(
            views.without_formatting(f"Windows of {name}: " + "; ".join(lines)),
            tuple(sections(f"*Windows of {name}*\n" + "\n".join(lines))),
        )


def _today(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def _window(standing: StandingApproval, rules: ClusterPolicy, now: float) -> str:
    window = standing.window
    what = f"*{window.name}* `{window.to_text()}` · {KIND_WORDS[window.kind]}"
    return f"{what} · {_approval(standing, rules, now)}"


def _calendars(book: Book, now: float) -> list[str]:
    """Describe the coming entries of calendar files, and what is wrong with the files."""
    exceptions = book.exceptions
    lines = []
    if days := _holidays([h for h in exceptions.holidays if h.date >= _today(now)]):
        lines.append(
            f"*Holidays*, on which no window closes unless it names the date: {_first(days)}"
        )
    freezes = [f for f in exceptions.freezes if f.until > now]
    if spans := [f"{date_time(f.since)} to {date_time(f.until)} {f.name}".strip() for f in freezes]:
        lines.append(
            f"*Change freezes*, in which only break-glass changes anything: {_first(spans)}"
        )
    meetings = [m for m in exceptions.meetings if m.until > now]
    if starts := [f"{date_time(m.since)} {m.name}".strip() for m in meetings]:
        lines.append(f"*Meetings*, under which it does not close: {_first(starts)}")
    cautions = [caution for calendar in book.calendars for caution in calendar.cautions]
    return [*lines, *(f":warning: {escape(c)}" for c in cautions)]


def _first(entries: Sequence[str]) -> str:
    shown = ", ".join(entries[:MOST_HOLIDAYS])
    if len(entries) <= MOST_HOLIDAYS:
        return shown
    return f"{shown} and {len(entries) - MOST_HOLIDAYS} more"


def _holidays(coming: Sequence[Holiday]) -> list[str]:
    """Join the days of each holiday to date ranges, in order."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for holiday in coming:
        by_name[holiday.name].append(holiday.date)
    runs = sorted((run, name) for name, days in by_name.items() for run in date_runs(days))
    return [f"{run} {name}".strip() for run, name in runs]


def _overlaps(windows: Sequence[Window], now: float) -> list[str]:
    """Describe how each window changes those before it."""
    until = now + FOUR_WEEKS
    return [
        overlap
        for number, window in enumerate(windows)
        for overlap in overlaps(windows[:number], window, now, until)
    ]


def _approval(standing: StandingApproval, rules: ClusterPolicy, now: float) -> str:
    given, until = standing.given, standing.until(rules)
    if given is None or until is None:
        return "from the settings file"
    if why := lapsed(standing, rules, now):
        return f":warning: closes nothing: {why}"
    approvers = join_words(a.mention for a in given.approvers)
    return f"standing approval by {approvers} of {date(given.at)}, until {date(until)}"


@dataclass(frozen=True)
class Forecast(InstantCommand):
    """Forecast when a cluster closes and opens."""

    command: ClassVar[str] = "window forecast"
    help_text: ClassVar[str] = "Show when the cluster closes and opens next, in local time and UTC."
    days: str = argument("how far ahead, such as 30d", default="14d")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        ctx.operations.must_read(name, ctx.actor)
        match = re.fullmatch(r"(\d{1,3})d?", self.days)
        if match is None or not 1 <= int(match[1]) <= 400:
            raise Refused(
                "how many days ahead? say a number from 1 to 400, "
                "as in `/openvidu window forecast 30d`"
            )
        now = ctx.clock.now()
        rows = await ctx.visible.forecast(name, ctx.actor, now, now + int(match[1]) * 86400.0)
        if not rows:
            return views.text_card(f"Nothing closes or opens {name} in the next {match[1]} days.")
        shown = [_row(r) for r in rows[:MOST_ROWS]]
        more = f"{len(rows)} edges"
        if len(rows) > MOST_ROWS:
            more = f"{len(rows) - MOST_ROWS} more after that"
        text = "\n".join(shown)
        return Card(
            views.without_formatting(f"Forecast for {name}: " + "; ".join(shown)),
            (*sections(f"*Forecast for {name}*\n{text}"), context(more)),
        )


def _row(row: Row) -> str:
    line = f"{row.local} ({row.utc}) {row.what} · {' and '.join(row.edge.windows)}"
    if not row.notes:
        return line
    return f"{line} · {'; '.join(row.notes)}"


def sections(text: str) -> list[dict[str, object]]:
    """Split a text between lines into as many paragraphs as its length needs."""
    parts, part = [], ""
    for line in text.split("\n"):
        if len(part) + len(line) > BLOCK:
            parts.append(section(part))
            part = ""
        part += f"{line}\n"
    return [*parts, section(part)]


@dataclass(frozen=True)
class RemoveWindow(InstantCommand):
    """Take an off-hours window out. Staying up needs no approval."""

    command: ClassVar[str] = "window remove"
    help_text: ClassVar[str] = "Delete an off-hours window. It closes nothing any more."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    name: str = argument("the window's name")

    async def answer(self, ctx: CommandContext) -> Card:
        cluster = ctx.cluster()
        before = await ctx.scheduler.overrides.remove(cluster, self.name.lower(), ctx.actor)
        text = f"The window {escape(self.name)} is gone; {cluster} is not closed by it any more."
        if before.state == "closed":
            text += (
                " It was closed at this hour and is not opened by this: "
                f"`/openvidu startup` brings {cluster} up."
            )
        return views.text_card(text)


@dataclass(frozen=True)
class SkipDays(InstantCommand):
    """Skip the windows of some days."""

    command: ClassVar[str] = "window skip"
    help_text: ClassVar[str] = (
        "Keep the cluster up on some days, such as `tomorrow` or `2026-12-24..2026-12-26`."
    )
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    dates: str = rest("tomorrow|Fri|DATE[..DATE][,DATE]")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        dates = parse_dates_typed(self.dates, ctx.clock.now(), ctx.zone(name))
        await ctx.scheduler.overrides.skip(name, dates, ctx.actor)
        return views.text_card(
            f"{name} stays up on {join_words(dates)}; `/openvidu window forecast` shows it."
        )


@dataclass(frozen=True)
class KeepUpCommand(InstantCommand):
    """Stay up although a window would close it: `1h`, `90 minutes`, `until 22:00` or `tonight`.
    Ends by itself.
    """

    command: ClassVar[str] = "keepup"
    help_text: ClassVar[str] = (
        "Keep the cluster up although a window would close it. It ends by itself."
    )
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    length: str = rest("[LENGTH|tonight|until TIME]", default="tonight")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        length = parse_length_of_keep_up(self.length, ctx.clock.now(), ctx.zone(name))
        keep_up = await ctx.scheduler.overrides.keep(name, length, ctx.actor)
        return views.text_card(f"{name} stays up until {date_time(keep_up.until)}.")


def parse_length_of_keep_up(text: str, now: float, zone: str) -> Length:
    """Read `tonight`, `90 minutes`, `for 2h` or `until 22:00`."""
    plain = " ".join(text.split())
    word, _, after = plain.partition(" ")
    match word.casefold():
        case "until" | "till":
            return Until(parse_moment(after, now, zone))
        case "for":
            return parse_length(after)
        case "tonight" if not after:
            return "tonight"
        case _:
            return parse_length(plain, "")
