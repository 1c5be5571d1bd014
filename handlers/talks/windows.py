"""Talks about off-hours: windows, keeping up, holds, what was saved."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from handlers import cards
from handlers.blocks import Card, context, day, escape, section
from handlers.talks.base import Asked, Talk
from services.errors import Refused
from services.prices import money
from services.spoken import argument, rest
from services.windows import EXAMPLE, KIND_WORDS, Row, forecast, lint
from services.windows.billing import Closing, Stay
from services.windows.savings import Facts, Kept, MastersOff, Report, bars, report

MOST_ROWS = 40
RECORDS = 20_000


@dataclass(frozen=True)
class ListWindows(Talk):
    """The off-hours windows, and what is due now and why."""

    command: ClassVar[str] = "window list"

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        asked.desk.may_read(name, asked.actor)
        _, book = await asked.hours.books.read(name)
        if not book.windows:
            return cards.words_card(f"{name} has no off-hours windows. Add one: `/openvidu window add {EXAMPLE}`")
        now = asked.clock.now()
        lines = [f"*{w.name}* `{escape(w.words())}` · {KIND_WORDS[w.kind]}" for w in book.windows]
        found = await asked.hours.due(name)
        lines.append(f"*Now* {escape(found.reason)}")
        lines += [f":warning: {escape(c)}" for c in (*found.conflicts, *lint(book.windows, now))]
        hold = book.exceptions.hold(now)
        if hold is not None:
            lines.append(f":warning: on hold until {day(hold.until)} · {hold.by} · {escape(hold.reason)}")
        return Card(cards.plain(f"Windows of {name}: " + "; ".join(lines)), (section(f"*Windows of {name}*\n" + "\n".join(lines)),))


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
        _, book = await asked.hours.books.read(name)
        now = asked.clock.now()
        terms = await asked.hours.terms(name)
        rows = forecast(book.windows, now, now + int(match[1]) * 86400.0, await asked.hours.exceptions(name, book), terms)
        if not rows:
            return cards.words_card(f"Nothing closes or opens {name} in the next {match[1]} days.")
        shown = [_row(r) for r in rows[:MOST_ROWS]]
        more = f"{len(rows) - MOST_ROWS} more after that" if len(rows) > MOST_ROWS else f"{len(rows)} edges"
        text = "\n".join(shown)
        return Card(cards.plain(f"Forecast for {name}: " + "; ".join(shown)), (*_sections(f"*Forecast for {name}*\n{text}"), context(more)))


def _row(row: Row) -> str:
    notes = f" · {'; '.join(row.notes)}" if row.notes else ""
    return f"{row.local} ({row.utc}) {row.what} · {' and '.join(row.edge.windows)}{escape(notes)}"


def _sections(text: str) -> list[dict[str, object]]:
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
    name: str = argument("the window's name")

    async def answer(self, asked: Asked) -> Card:
        cluster = asked.cluster()
        await asked.hours.remove(cluster, self.name, asked.actor)
        return cards.words_card(f"The window {escape(self.name)} is gone; {cluster} is not closed by it any more.")


@dataclass(frozen=True)
class KeepUpTalk(Talk):
    """Stay up although a window would close it: for a while (`1h`, `90m`) or `tonight`. Ends by itself."""

    command: ClassVar[str] = "keepup"
    length: str = argument("1h, 90m or tonight", default="tonight")

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        kept = await asked.hours.keep(name, "tonight" if self.length == "tonight" else span(self.length), asked.actor)
        return cards.words_card(f"{name} stays up until {day(kept.until)}.")


@dataclass(frozen=True)
class HoldTalk(Talk):
    """Stop every change on this cluster, windows too: `hold "reason" until 18:00` (or `for 2h`, `until tomorrow 08:00`)."""

    command: ClassVar[str] = "hold"
    what: str = rest('"reason" until TIME | for LENGTH')

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        reason, until = hold_words(self.what, asked.clock.now(), asked.zone(name))
        hold = await asked.hours.hold(name, reason, until, asked.actor)
        return cards.words_card(f"{name} is on hold until {day(hold.until)}. `/openvidu unhold` ends it earlier.")


@dataclass(frozen=True)
class Unhold(Talk):
    """End a hold now."""

    command: ClassVar[str] = "unhold"

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        hold = await asked.hours.unhold(name, asked.actor)
        return cards.words_card(f"{name} is not on hold any more (it was {hold.by}'s: {escape(hold.reason)}).")


@dataclass(frozen=True)
class Cost(Talk):
    """What off-hours saved in a month, to the cent and honestly; `cost 2026-10` for an earlier one."""

    command: ClassVar[str] = "cost"
    month: str | None = argument("such as 2026-10", default=None)

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        asked.desk.may_read(name, asked.actor)
        now = asked.clock.now()
        month = self.month or f"{datetime.fromtimestamp(now, UTC):%Y-%m}"
        match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month)
        if match is None:
            raise Refused("which month? say it as in `/openvidu cost 2026-10`")
        records = [json.loads(r) for r in await asked.desk.usage(name, RECORDS)]
        if not records:
            return cards.words_card(f"Nothing has been recorded for {name} yet; recording begins with its first off-hours window.")
        _, book = await asked.hours.books.read(name)
        facts = facts_of(records, now, [(k.since, k.until, k.by, k.reason) for k in book.exceptions.keep_ups])
        return cost_card(report(name, int(match[1]), int(match[2]), facts, now))


def cost_card(made: Report) -> Card:
    """A month's report."""
    so_far = " so far" if made.so_far else ""
    lines = [
        f"*{money(made.saving)} saved{so_far}* (estimate, media only: {money(made.as_if)} had nothing closed, {money(made.billed)} billed)",
        f"media nodes away {made.absent:.1f} node-hours, {made.free:.1f} of them free anyway (DigitalOcean bills at most 672 h a month)",
        f"masters off {made.masters_off:.1f} h, *still billed: {money(made.masters_billed)}*",
    ]
    lines += [f"kept up by {k.by}: {k.times} times, {k.hours:.1f} h, {money(k.cost)}" for k in made.kept]
    picture = bars(made.days)
    if picture:
        lines.append(f"`{picture}` (a sign per day: `.` open, `1`-`9` tenths closed, `#` closed all day)")
    head = f"*{made.cluster} · {made.month}*"
    return Card(cards.plain(f"{head}: {'; '.join(lines)}"), (section("\n".join([head, *lines])),))


def facts_of(records: list[list[object]], now: float, keeps: list[tuple[float, float, str, str]]) -> Facts:
    """What the usage records tell: each [at, [[id, hourly, monthly]...], masters off, masters per hour] holds until the next."""
    stays: dict[int, Stay] = {}
    closings: list[Closing] = []
    off: list[MastersOff] = []
    there: dict[int, tuple[Decimal, Decimal]] = {}
    rates: list[tuple[float, Decimal]] = []
    for at, media, masters_off, masters_hourly in records:
        moment = float(str(at))
        seen = {int(i): (Decimal(h), Decimal(m)) for i, h, m in media}  # type: ignore[attr-defined]
        gone, new = [i for i in there if i not in seen], [i for i in seen if i not in there]
        for i in gone:
            stays[i] = _ended(stays[i], moment)
        for i in new:
            stays[i] = Stay(i, moment, None, seen[i][0], seen[i][1])
        closings = _closings(closings, moment, there, seen, tuple(gone), tuple(new))
        off = _masters(off, moment, bool(masters_off), Decimal(str(masters_hourly)))
        there = seen
        rates.append((moment, sum((h for h, _ in seen.values()), Decimal(0))))
    kept = tuple(Kept(s, min(u, now), by, _rate(rates, s), reason) for s, u, by, reason in keeps if s < now)
    return Facts(tuple(stays.values()), tuple(closings), tuple(off), kept)


def _ended(stay: Stay, at: float) -> Stay:
    return Stay(stay.droplet, stay.since, at, stay.hourly, stay.monthly)


def _closings(
    known: list[Closing],
    at: float,
    before: dict[int, tuple[Decimal, Decimal]],
    after: dict[int, tuple[Decimal, Decimal]],
    gone: tuple[int, ...],
    new: tuple[int, ...],
) -> list[Closing]:
    if before and not after:
        return [*known, Closing("closed", at, None, gone)]
    if known and known[-1].until is None and not before and after:
        last = known[-1]
        return [*known[:-1], Closing(last.name, last.since, at, last.removed, new)]
    return known


def _masters(known: list[MastersOff], at: float, now_off: bool, hourly: Decimal) -> list[MastersOff]:
    open_one = bool(known) and known[-1].until is None
    if now_off and not open_one:
        return [*known, MastersOff(at, None, hourly)]
    if not now_off and open_one:
        return [*known[:-1], MastersOff(known[-1].since, at, known[-1].hourly)]
    return known


def _rate(rates: list[tuple[float, Decimal]], at: float) -> Decimal:
    return next((r for moment, r in reversed(rates) if moment <= at), Decimal(0))


def span(text: str) -> float:
    """`90m`, `2h`, `1d` in seconds."""
    match = re.fullmatch(r"(\d{1,4})\s*(m|min|h|d)", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise Refused(f"“{escape(text)}” is no length of time; say 90m, 2h or 1d")
    return int(match[1]) * {"m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}[match[2]]


def hold_words(text: str, now: float, zone: str) -> tuple[str, float]:
    """The reason and the end of a hold, in the cluster's own time zone."""
    reason, _, when = text.rpartition(" for ")
    if reason:
        return reason.strip(), now + span(when)
    reason, _, when = text.rpartition(" until ")
    match = re.fullmatch(r"(?:(tomorrow|\d{4}-\d\d-\d\d)\s+)?(\d{1,2}):(\d\d)", when.strip())
    if not reason or match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise Refused('say why and until when, as in `/openvidu hold "exam week" until 18:00`, `… until tomorrow 08:00` or `… for 2h`')
    here = datetime.fromtimestamp(now, ZoneInfo(zone))
    try:
        date = datetime.fromisoformat(match[1]) if match[1] and match[1] != "tomorrow" else here + timedelta(days=1 if match[1] else 0)
    except ValueError:
        raise Refused(f"“{escape(match[1])}” is no date; say it as in 2026-12-24") from None
    until = datetime(date.year, date.month, date.day, int(match[2]), int(match[3]), tzinfo=ZoneInfo(zone))
    if until.timestamp() <= now:
        until += timedelta(days=1) if not match[1] else timedelta(0)
    if until.timestamp() <= now:
        raise Refused("that moment is over already")
    return reason.strip(), until.timestamp()
