"""Talks about off-hours: which windows there are, what they will do, and what people put in their way."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from handlers import cards
from handlers.blocks import Card, context, date, day, escape, section
from handlers.talks.base import Asked, Talk
from handlers.talks.holds import span
from services.errors import Refused
from services.policy import Rules
from services.spoken import CommandClass, argument, rest
from services.standing import Standing, lapsed
from services.steps.base import listed
from services.windows import EXAMPLE, KIND_WORDS, Row, lint
from services.windows.days import parse_dates

MOST_ROWS = 40
MOST_HOLIDAYS = 12


@dataclass(frozen=True)
class ListWindows(Talk):
    """The off-hours windows, and what is due now and why."""

    command: ClassVar[str] = "window list"

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        book = await asked.sight.book(name, asked.actor)
        now = asked.clock.now()
        if not book.windows:
            return cards.words_card(f"{name} has no off-hours windows. Add one: `/openvidu window add {EXAMPLE}`")
        rules = asked.desk.site(name).rules
        lines = []
        for standing in await asked.desk.standings(book, (w.name for w in book.windows), surely=False):
            window = standing.window
            lines.append(f"*{window.name}* `{window.words()}` · {KIND_WORDS[window.kind]} · {_approval(standing, rules, now)}")
        # Reasons carry mentions of people; what people typed in them was made harmless when it came in.
        lines.append(f"*Now* {await asked.sight.hours_words(name, asked.actor)}")
        lines += [f":warning: {c}" for c in ((await asked.sight.due(name, asked.actor)).conflicts)]
        lines += [f":warning: {escape(c)}" for c in lint(book.windows, now)]
        if off := [d for d in book.exceptions.off if d >= f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"]:
            lines.append(f"*Days off* {', '.join(off)}")
        if coming := [h for h in book.exceptions.holidays if h.date >= f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"]:
            more = f" and {len(coming) - MOST_HOLIDAYS} more" if len(coming) > MOST_HOLIDAYS else ""
            named = ", ".join(f"{h.date} {h.name}".strip() for h in coming[:MOST_HOLIDAYS])
            lines.append(f"*Holidays*, on which no window closes unless it names the date: {named}{more}")
        return Card(cards.plain(f"Windows of {name}: " + "; ".join(lines)), (section(f"*Windows of {name}*\n" + "\n".join(lines)),))


def _approval(standing: Standing, rules: Rules, now: float) -> str:
    given, until = standing.given, standing.until(rules)
    if given is None or until is None:
        return "from the settings file"
    if why := lapsed(standing, rules, now):
        return f":warning: closes nothing: {why}"
    return f"standing approval by {listed(a.mention for a in given.approvers)} of {date(given.at)}, until {date(until)}"


@dataclass(frozen=True)
class Forecast(Talk):
    """When it will close and open, in local time and UTC, with clock changes, holidays and exceptions marked."""

    command: ClassVar[str] = "window forecast"
    days: str = argument("how far ahead, such as 30d", default="14d")

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        asked.desk.may_read(name, asked.actor)
        match = re.fullmatch(r"(\d{1,3})d?", self.days)
        if match is None or not 1 <= int(match[1]) <= 400:
            raise Refused("how many days ahead? say a number from 1 to 400, as in `/openvidu window forecast 30d`")
        now = asked.clock.now()
        rows = await asked.sight.forecast(name, asked.actor, now, now + int(match[1]) * 86400.0)
        if not rows:
            return cards.words_card(f"Nothing closes or opens {name} in the next {match[1]} days.")
        shown = [_row(r) for r in rows[:MOST_ROWS]]
        more = f"{len(rows) - MOST_ROWS} more after that" if len(rows) > MOST_ROWS else f"{len(rows)} edges"
        text = "\n".join(shown)
        return Card(cards.plain(f"Forecast for {name}: " + "; ".join(shown)), (*sections(f"*Forecast for {name}*\n{text}"), context(more)))


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
class RemoveWindow(Talk):
    """Take an off-hours window out. Staying up needs no approval."""

    command: ClassVar[str] = "window remove"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    name: str = argument("the window's name")

    async def answer(self, asked: Asked) -> Card:
        cluster = asked.cluster()
        was = await asked.hours.wishes.remove(cluster, self.name.lower(), asked.actor)
        said = f"The window {escape(self.name)} is gone; {cluster} is not closed by it any more."
        if was.state == "closed":
            said += f" It was closed at this hour and is not opened by this: `/openvidu startup` brings {cluster} up."
        return cards.words_card(said)


@dataclass(frozen=True)
class SkipDays(Talk):
    """Days on which no window closes this cluster, such as `2026-12-24..2026-12-26,2027-01-06`."""

    command: ClassVar[str] = "window skip"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    dates: str = rest("DATE[..DATE][,DATE]")

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        dates = parse_dates(",".join(self.dates.replace(",", " ").split()))
        await asked.hours.wishes.skip(name, dates, asked.actor)
        return cards.words_card(f"{name} stays up on {listed(dates)}; `/openvidu window forecast` shows it.")


@dataclass(frozen=True)
class KeepUpTalk(Talk):
    """Stay up although a window would close it: for a while (`1h`, `90m`) or `tonight`. Ends by itself."""

    command: ClassVar[str] = "keepup"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    length: str = argument("1h, 90m or tonight", default="tonight")

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        kept = await asked.hours.wishes.keep(name, "tonight" if self.length.lower() == "tonight" else span(self.length), asked.actor)
        return cards.words_card(f"{name} stays up until {day(kept.until)}.")
