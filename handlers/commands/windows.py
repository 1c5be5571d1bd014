"""Commands about off-hours windows: the list, the forecast, and exceptions from them."""

import re
from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, escape
from handlers.slack.markup import date_time
from handlers.views.schedule import AHEAD, schedule_words
from handlers.views.windows import forecast_card, no_windows_card, windows_card
from services.access.policy import AccessResult
from services.common.command import CommandClass, argument, rest
from services.common.errors import Refused
from services.common.text import join_words
from services.procedures import AddWindow
from services.schedule.reading import Schedule
from services.windows import Length, Until
from services.windows.times import parse_dates_typed, parse_length, parse_moment


@dataclass(frozen=True)
class ListWindows(InstantCommand):
    """The off-hours windows, and what is due now and why."""

    command: ClassVar[str] = "window list"
    several: ClassVar[bool] = True
    help_text: ClassVar[str] = "List the off-hours windows, and what they want now."

    async def answer(self, ctx: CommandContext) -> Card:
        name, now = ctx.cluster(), ctx.clock.now()
        book = await ctx.visible.book(name, ctx.actor)
        verdict = ctx.operations.permission(name, ctx.actor, AddWindow)
        adds = verdict.kind is not AccessResult.DENIED
        if not book.named_windows:
            return no_windows_card(name, book, now, adds=adds)
        rules = ctx.operations.clusters.cluster(name).rules
        names = [w.name for w in book.named_windows]
        standings = await ctx.operations.standings(name, ctx.actor, book, names)
        schedule, words = await schedule_of(ctx, name)
        return windows_card(name, book, standings, rules, schedule, words, now, adds=adds)


async def schedule_of(ctx: CommandContext, name: str) -> tuple[Schedule, str]:
    """Return a cluster's schedule, and the same in words."""
    now = ctx.clock.now()
    schedule = await ctx.visible.schedule(name, ctx.actor)
    rows = await ctx.visible.forecast(name, ctx.actor, now, now + AHEAD)
    return schedule, schedule_words(schedule, rows)


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
        now, days = ctx.clock.now(), int(match[1])
        rows = await ctx.visible.forecast(name, ctx.actor, now, now + days * 86400.0)
        return forecast_card(name, rows, days)


@dataclass(frozen=True)
class RemoveWindow(InstantCommand):
    """Remove an off-hours window. Staying in service needs no approval."""

    command: ClassVar[str] = "window remove"
    several: ClassVar[bool] = True
    help_text: ClassVar[str] = "Delete an off-hours window. It closes nothing any more."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    name: str = argument("the window's name")

    async def answer(self, ctx: CommandContext) -> Card:
        cluster = ctx.cluster()
        before = await ctx.scheduler.overrides.remove(cluster, self.name.lower(), ctx.actor)
        text = f"The window {escape(self.name)} is removed. It no longer closes {cluster}."
        if before.state == "closed":
            text += f" {cluster} stays closed now: `/openvidu startup` starts it."
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
            f"{name} stays in service on {join_words(dates)}. `/openvidu window forecast` shows it."
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
