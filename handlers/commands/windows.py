"""Talks about off-hours: which windows there are, what they will do, and what people put in their way."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, context, date, day, escape, section
from services.access.policy import Rules
from services.billing.estimate import FOUR_WEEKS
from services.common.command import CommandClass, argument, rest
from services.common.errors import Refused
from services.common.text import listed
from services.memory.schedule import Book
from services.runs.standing_approval import Standing, lapsed
from services.windows import EXAMPLE, KIND_WORDS, Holiday, Length, Row, Until, Window, lint
from services.windows.days import date_runs
from services.windows.overlap import overlaps
from services.windows.times import parse_length, parse_moment, parse_skipped

MOST_ROWS = 40
MOST_HOLIDAYS = 12


@dataclass(frozen=True)
class ListWindows(InstantCommand):
    """The off-hours windows, and what is due now and why."""

    command: ClassVar[str] = "window list"

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        book = await asked.sight.book(name, asked.actor)
        now = asked.clock.now()
        if not book.windows:
            none = f"{name} has no off-hours windows. Add one: `/openvidu window add {EXAMPLE}`"
            return views.words_card("\n".join([none, *_calendars(book, now)]))
        rules = asked.operations.clusters.site(name).rules
        lines = []
        names = [w.name for w in book.windows]
        for standing in await asked.operations.standings(name, asked.actor, book, names):
            window = standing.window
            lines.append(
                f"*{window.name}* `{window.words()}` · {KIND_WORDS[window.kind]} · {_approval(standing, rules, now)}"
            )
        # Reasons carry mentions of people; what people typed in them was made harmless when it came in.
        schedule = await asked.sight.schedule(name, asked.actor)
        lines.append(f"*Now* {schedule.words}")
        lines += [f":warning: {c}" for c in schedule.due.conflicts]
        lines += [f"*Overlap* {escape(o)}" for o in _overlaps(book.windows, now)]
        lines += [f":warning: {escape(c)}" for c in lint(book.windows, now)]
        if off := [
            d for d in book.exceptions.off if d >= f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        ]:
            lines.append(f"*Days off* {', '.join(off)}")
        lines += _calendars(book, now)
        return Card(
            views.plain(f"Windows of {name}: " + "; ".join(lines)),
            tuple(sections(f"*Windows of {name}*\n" + "\n".join(lines))),
        )


def _calendars(book: Book, now: float) -> list[str]:
    """What calendar files say of the coming time, and what is wrong with them."""
    known = book.exceptions
    lines = []
    if days := _holidays(
        [h for h in known.holidays if h.date >= f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"]
    ):
        lines.append(
            f"*Holidays*, on which no window closes unless it names the date: {_first(days)}"
        )
    if coming := [
        f"{day(f.since)} to {day(f.until)} {f.name}".strip() for f in known.freezes if f.until > now
    ]:
        lines.append(
            f"*Change freezes*, in which only break-glass changes anything: {_first(coming)}"
        )
    if coming := [f"{day(m.since)} {m.name}".strip() for m in known.meetings if m.until > now]:
        lines.append(f"*Meetings*, under which it does not close: {_first(coming)}")
    return [*lines, *(f":warning: {escape(c)}" for s in book.calendars for c in s.cautions)]


def _first(said: Sequence[str]) -> str:
    more = f" and {len(said) - MOST_HOLIDAYS} more" if len(said) > MOST_HOLIDAYS else ""
    return f"{', '.join(said[:MOST_HOLIDAYS])}{more}"


def _holidays(coming: Sequence[Holiday]) -> list[str]:
    """Each day with its names; a holiday of many days in one."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for holiday in coming:
        by_name[holiday.name].append(holiday.date)
    runs = sorted((run, name) for name, days in by_name.items() for run in date_runs(days))
    return [f"{run} {name}".strip() for run, name in runs]


def _overlaps(windows: Sequence[Window], now: float) -> list[str]:
    """What each changes for those before it."""
    return [
        said
        for n, w in enumerate(windows)
        for said in overlaps(windows[:n], w, now, now + FOUR_WEEKS)
    ]


def _approval(standing: Standing, rules: Rules, now: float) -> str:
    given, until = standing.given, standing.until(rules)
    if given is None or until is None:
        return "from the settings file"
    if why := lapsed(standing, rules, now):
        return f":warning: closes nothing: {why}"
    return f"standing approval by {listed(a.mention for a in given.approvers)} of {date(given.at)}, until {date(until)}"


@dataclass(frozen=True)
class Forecast(InstantCommand):
    """When it will close and open, in local time and UTC, with clock changes, holidays and exceptions marked."""

    command: ClassVar[str] = "window forecast"
    days: str = argument("how far ahead, such as 30d", default="14d")

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        asked.operations.may_read(name, asked.actor)
        match = re.fullmatch(r"(\d{1,3})d?", self.days)
        if match is None or not 1 <= int(match[1]) <= 400:
            raise Refused(
                "how many days ahead? say a number from 1 to 400, as in `/openvidu window forecast 30d`"
            )
        now = asked.clock.now()
        rows = await asked.sight.forecast(name, asked.actor, now, now + int(match[1]) * 86400.0)
        if not rows:
            return views.words_card(f"Nothing closes or opens {name} in the next {match[1]} days.")
        shown = [_row(r) for r in rows[:MOST_ROWS]]
        more = (
            f"{len(rows) - MOST_ROWS} more after that"
            if len(rows) > MOST_ROWS
            else f"{len(rows)} edges"
        )
        text = "\n".join(shown)
        return Card(
            views.plain(f"Forecast for {name}: " + "; ".join(shown)),
            (*sections(f"*Forecast for {name}*\n{text}"), context(more)),
        )


def _row(row: Row) -> str:
    notes = f" · {'; '.join(row.notes)}" if row.notes else ""
    return f"{row.local} ({row.utc}) {row.what} · {' and '.join(row.edge.windows)}{notes}"


def sections(text: str) -> list[dict[str, object]]:
    """As many paragraphs as the lines need."""
    parts, held = [], ""
    for line in text.split("\n"):
        if len(held) + len(line) > 2800:
            parts.append(section(held))
            held = ""
        held += f"{line}\n"
    return [*parts, section(held)]


@dataclass(frozen=True)
class RemoveWindow(InstantCommand):
    """Take an off-hours window out. Staying up needs no approval."""

    command: ClassVar[str] = "window remove"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    name: str = argument("the window's name")

    async def answer(self, asked: CommandContext) -> Card:
        cluster = asked.cluster()
        was = await asked.hours.wishes.remove(cluster, self.name.lower(), asked.actor)
        said = f"The window {escape(self.name)} is gone; {cluster} is not closed by it any more."
        if was.state == "closed":
            said += f" It was closed at this hour and is not opened by this: `/openvidu startup` brings {cluster} up."
        return views.words_card(said)


@dataclass(frozen=True)
class SkipDays(InstantCommand):
    """Days on which no window closes this cluster, such as `tomorrow` or `2026-12-24..2026-12-26,2027-01-06`."""

    command: ClassVar[str] = "window skip"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    dates: str = rest("tomorrow|Fri|DATE[..DATE][,DATE]")

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        dates = parse_skipped(self.dates, asked.clock.now(), asked.zone(name))
        await asked.hours.wishes.skip(name, dates, asked.actor)
        return views.words_card(
            f"{name} stays up on {listed(dates)}; `/openvidu window forecast` shows it."
        )


@dataclass(frozen=True)
class KeepUpTalk(InstantCommand):
    """Stay up although a window would close it: `1h`, `90 minutes`, `until 22:00` or `tonight`. Ends by itself."""

    command: ClassVar[str] = "keepup"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    length: str = rest("[LENGTH|tonight|until TIME]", default="tonight")

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        length = keep_words(self.length, asked.clock.now(), asked.zone(name))
        kept = await asked.hours.wishes.keep(name, length, asked.actor)
        return views.words_card(f"{name} stays up until {day(kept.until)}.")


def keep_words(text: str, now: float, zone: str) -> Length:
    """`tonight`, `90 minutes`, `for 2h` or `until 22:00`."""
    plain = " ".join(text.split())
    word, _, after = plain.partition(" ")
    match word.casefold():
        case "until" | "till":
            return Until(parse_moment(after, now, zone))
        case "for":
            return parse_length(after)
        case "tonight":
            return "tonight" if not after else parse_length(plain, "")
        case _:
            return parse_length(plain, "")
