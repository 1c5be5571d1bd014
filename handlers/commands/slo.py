"""The slo command: how well the promises about a cluster were kept."""

import re
from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.views.slo import slo_card
from services.common.command import argument
from services.common.errors import Refused
from services.schedule.slo import Span
from services.schedule.slo_reader import last_days, month_span

DEFAULT, MOST = 30, 366


@dataclass(frozen=True)
class Slo(InstantCommand):
    """Service level objectives: how well promises were kept."""

    command: ClassVar[str] = "slo"
    help_text: ClassVar[str] = (
        "Show how well promises were kept: ready in time, outages, people disconnected, answers."
    )
    span: str | None = argument("days, such as 7, or a month: 2026-11", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        span = span_of(self.span, ctx.clock.now())
        return slo_card(await ctx.visible.slo(ctx.cluster(), ctx.actor, span))


def span_of(text: str | None, now: float) -> Span:
    """Return the span that was typed: days, or a month."""
    if text is None:
        return last_days(now, DEFAULT)
    month = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text)
    if month is not None:
        return month_span(int(month[1]), int(month[2]))
    days = re.fullmatch(r"(\d{1,3})d?", text)
    if days is not None and 1 <= int(days[1]) <= MOST:
        return last_days(now, int(days[1]))
    raise Refused(
        "of which time? write days or a month: `/openvidu slo 7`, `/openvidu slo 2026-11`"
    )
