"""The timeline command: the record of an incident, from all sources in one order."""

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, Picture
from handlers.views.timeline import json_file, markdown_file, timeline_card
from services.common.command import CHANGING, CommandClass, argument, option
from services.common.errors import BotError, Refused
from services.operations.timelines import TimelineReport
from services.windows.times import parse_length

log = logging.getLogger(__name__)

RUN = re.compile(r".+-\d{1,9}")
HOURS = re.compile(r"(?P<begins>\d{1,2}:\d{2})-(?P<ends>\d{1,2}:\d{2})")
FORMS = ("markdown", "json")
EXAMPLES = "`timeline acme-17`, `timeline --since 2h` or `timeline 2026-11-29 02:00-04:00`"


@dataclass(frozen=True)
class ShowTimeline(InstantCommand):
    """What happened in a run or a span of time, from all sources in one order."""

    command: ClassVar[str] = "timeline"
    help_text: ClassVar[str] = (
        "Record an incident: runs, decisions, DigitalOcean and Slack in one order, as a file."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    meanwhile: ClassVar[str] = "Gathering what happened…"
    what: str = argument("a run such as acme-17, or a day; the newest run if omitted", default="")
    hours: str = argument("the hours of that day, such as 02:00-04:00", default="")
    since: str = option("the time up to now instead, such as 2h", default="", syntax="2h")
    form: str = option("markdown, or json that can be verified", default="markdown", syntax="FORM")

    async def answer(self, ctx: CommandContext) -> Card:
        if self.form not in FORMS:
            raise Refused(f"--form takes {' or '.join(FORMS)}")
        report = await self._report(ctx)
        await _send_picture(ctx, report)
        file = json_file(report) if self.form == "json" else markdown_file(report)
        where = await ctx.send_file(timeline_card(report), file)
        return timeline_card(report, where)

    async def _report(self, ctx: CommandContext) -> TimelineReport:
        now = ctx.clock.now()
        if self.since:
            if self.what:
                ctx.operations.must_operate(ctx.cluster(), ctx.actor)
                raise Refused(f"a run or a day, or `--since`: {EXAMPLES}")
            begins = now - parse_length(self.since, "")
            return await ctx.operations.timeline_of_span(ctx.cluster(), begins, now, ctx.actor)
        if self.hours or HOURS.fullmatch(self.what):
            name = ctx.cluster()
            day, hours = (self.what, self.hours) if self.hours else ("today", self.what)
            begins, ends = span_of(day, hours, now, ctx.zone(name))
            return await ctx.operations.timeline_of_span(name, begins, ends, ctx.actor)
        if not self.what:
            name = ctx.cluster()
            runs = await ctx.operations.runs(name, ctx.actor, 1)
            if not runs:
                raise Refused(f"{name} has had no run yet; write a time: {EXAMPLES}")
            return await ctx.operations.timeline_of_run(runs[0].id, ctx.actor)
        if not RUN.fullmatch(self.what) or self.what[:1].isdigit():
            raise Refused(f"write a run, or a day and hours: {EXAMPLES}")
        return await ctx.operations.timeline_of_run(self.what, ctx.actor)


def span_of(day: str, hours: str, now: float, zone: str) -> tuple[float, float]:
    """Return the moments of `2026-11-29` and `02:00-04:00`; hours past midnight end a day later."""
    parts = HOURS.fullmatch(hours)
    here = ZoneInfo(zone)
    today = datetime.fromtimestamp(now, here).date()
    known = {"today": today, "yesterday": today - timedelta(days=1)}
    date = known.get(day.casefold())
    with suppress(ValueError):
        date = date or datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=here).date()
    if parts is None or date is None:
        raise Refused(f"write a day and hours as in {EXAMPLES}")
    try:
        begins, ends = (
            datetime.combine(date, time.fromisoformat(parts[name].zfill(5)), here)
            for name in ("begins", "ends")
        )
    except ValueError:
        raise Refused(f"{hours} is no time of day; hours are written as in {EXAMPLES}") from None
    if ends <= begins:
        ends += timedelta(days=1)
    if begins.timestamp() > now:
        raise Refused("that time has not come yet")
    return begins.timestamp(), min(ends.timestamp(), now)


async def _send_picture(ctx: CommandContext, report: TimelineReport) -> None:
    """Send the picture where there can be one; the files say the same."""
    from handlers.views.timeline_drawing import draw_timeline  # noqa: PLC0415 - Pillow is large

    card = timeline_card(report)
    try:
        png = await asyncio.to_thread(draw_timeline, report.timeline)
        title = f"timeline {report.subject}"
        await ctx.pictures(card, [Picture(png, title, card.text[:500])])
    except BotError as error:
        log.warning("the picture of %s: %s", report.subject, error)
