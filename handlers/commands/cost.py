"""The cost command: what off-hours windows saved."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, context, fields, header, section
from handlers.views.month_chart import month_picture
from handlers.views.windows import sections
from services.access.policy import NO_ROLE_ANYWHERE
from services.billing.busy_hours import BusyHour, busy_hours
from services.billing.droplet_hours import Month, month_of
from services.billing.prices import money
from services.billing.savings import KeptUpLine, SavingsReport, day_bars, report, total
from services.common.command import argument, flag
from services.common.errors import BotError, Refused
from services.common.text import count_of, join_words

log = logging.getLogger(__name__)
MOST = 40  # clusters that are listed one by one
LEAST_SHOWN = Decimal("0.05")  # hours
PICTURES = 9  # clusters with a chart of their own, beside that of all of them
ESTIMATE = "Estimate before tax; only media nodes save money"
CAPPED = "DigitalOcean bills at most 672 h a month"


@dataclass(frozen=True)
class Cost(InstantCommand):
    """Report what off-hours saved in a month."""

    command: ClassVar[str] = "cost"
    help_text: ClassVar[str] = (
        "Show what off-hours saved in a month; with `--all`, in every cluster."
    )
    several: ClassVar[bool] = True
    month: str | None = argument("such as 2026-10", default=None)
    all: bool = flag("every cluster that you may see, and their sum")

    async def answer(self, ctx: CommandContext) -> Card:
        return await self._answer(ctx, self._clusters(ctx), summed=self.all)

    @override
    async def answer_several(self, ctx: CommandContext, names: Sequence[str]) -> Card:
        for name in names:
            ctx.operations.must_read(name, ctx.actor)
        return await self._answer(ctx, names, summed=True)

    async def _answer(self, ctx: CommandContext, names: Sequence[str], *, summed: bool) -> Card:
        now = ctx.clock.now()
        month = self.month or f"{datetime.fromtimestamp(now, UTC):%Y-%m}"
        match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month)
        if match is None:
            raise Refused("which month? write it as in `/openvidu cost 2026-10`")
        reports, silent = await _reports(ctx, names, int(match[1]), int(match[2]), now)
        if not reports:
            return views.text_card(
                f"Nothing is recorded for {join_words(silent)} yet. "
                "Recording begins with the first off-hours window."
            )
        span = month_of(int(match[1]), int(match[2]), now)
        if not summed:
            return await _pictured(ctx, cost_card(reports[0]), reports, span)
        combined = total(reports)
        card = costs_card(combined, reports, silent)
        return await _pictured(ctx, card, _ranked(reports), span, combined)

    def _clusters(self, ctx: CommandContext) -> tuple[str, ...]:
        if self.all:
            return _readable(ctx)
        return (_one(ctx),)


def _one(ctx: CommandContext) -> str:
    name = ctx.cluster()
    ctx.operations.must_read(name, ctx.actor)
    return name


def _readable(ctx: CommandContext) -> tuple[str, ...]:
    """Return the clusters that this person may see. Refused when there is none."""
    names = ctx.operations.clusters.readable(ctx.actor)
    if not names:
        raise Refused(NO_ROLE_ANYWHERE)
    return names


async def _reports(
    ctx: CommandContext, names: Sequence[str], year: int, month: int, now: float
) -> tuple[list[SavingsReport], list[str]]:
    """Return the reports of a month, and the clusters for which nothing was ever recorded."""
    reports, silent = [], []
    for name in names:
        facts = await ctx.visible.facts(name, ctx.actor)
        if facts is None:
            silent.append(name)
        else:
            reports.append(report(name, year, month, facts, now))
    return reports, silent


async def _busy_hours(ctx: CommandContext, name: str, span: Month) -> tuple[BusyHour, ...]:
    """Return the hours of the day over a month, in the cluster's time zone."""
    counts = await ctx.visible.meeting_counts(name, ctx.actor)
    facts = await ctx.visible.facts(name, ctx.actor)
    if facts is None:
        return ()
    return busy_hours(counts, facts.closings, span, ctx.zone(name))


async def _pictured(
    ctx: CommandContext,
    card: Card,
    reports: Sequence[SavingsReport],
    span: Month,
    combined: SavingsReport | None = None,
) -> Card:
    """Return the card, after posting its pictures to this person's own conversation with the bot.

    A private message in a channel cannot hold a picture. `combined`: the sum of several clusters.
    """
    drawn = [r for r in reports if r.days]
    shown = drawn[:PICTURES]
    if not shown:
        return card
    try:
        pictures = []
        if combined is not None and len(reports) > 1:
            subject = f"{combined.month}, mean of {count_of(len(reports), 'cluster')}"
            pictures.append(await month_picture(subject, combined.days))
        for one in shown:
            hours = await _busy_hours(ctx, one.cluster, span)
            pictures.append(await month_picture(f"{one.cluster} {one.month}", one.days, hours))
        await ctx.pictures(card, pictures)
    except BotError as error:
        # The card's text says the same as the pictures.
        log.warning("the pictures of %s: %s", ", ".join(r.cluster for r in shown), error)
        return card
    where = _where(len(shown), len(drawn))
    return Card(f"{card.text}\n{where}", (*card.blocks, section(where)))


def _where(shown: int, of: int) -> str:
    """Say where the charts are, and of which clusters there are none."""
    if of == 1:
        return "The month's chart is in your own conversation with this app."
    where = "The month's charts are in your own conversation with this app"
    if shown == of:
        return f"{where}."
    return f"{where}: of the {shown} clusters that saved most, and of all {of} together."


def cost_card(month: SavingsReport) -> Card:
    """Return the report of one cluster's month."""
    return _report_card(f"{month.cluster} {month.month}", month, [])


def costs_card(
    combined: SavingsReport, reports: Sequence[SavingsReport], silent: Sequence[str]
) -> Card:
    """Return the report of several clusters: their sum, then each, the greatest saving first."""
    ranked = _ranked(reports)
    lines = [_line(r) for r in ranked[:MOST]]
    if rest := ranked[MOST:]:
        lines.append(f"{count_of(len(rest), 'further cluster')}: {_saved(total(rest))}")
    if silent:
        lines.append(f"Nothing recorded for {join_words(silent)}: no off-hours window yet")
    return _report_card(f"{count_of(len(reports), 'cluster')} · {combined.month}", combined, lines)


def _ranked(reports: Sequence[SavingsReport]) -> list[SavingsReport]:
    return sorted(reports, key=lambda r: (-r.saving, r.cluster))


def _report_card(head: str, month: SavingsReport, clusters: Sequence[str]) -> Card:
    """Return a report: what was saved, the sums, a line per cluster, who kept it up, the days."""
    facts, lines = _sums(month), [*clusters, *_not_counted(month), *_kept_up(month), *_bars(month)]
    blocks = [header(f"{head}: {_headline(month)}"), fields(*facts)]
    if lines:
        blocks += sections("\n".join(lines))
    blocks.append(context(f"{ESTIMATE} · {CAPPED}"))
    spoken = [f"{label}: {value}" for label, value in facts]
    text = f"{head}: {'; '.join([_headline(month), *spoken, *lines])}"
    return Card(views.without_formatting(text), tuple(blocks))


def _line(month: SavingsReport) -> str:
    line = f"*{month.cluster}* {_saved(month)}, media nodes away {month.absent:.1f} node-hours"
    if not month.masters_off:
        return line
    billed = money(month.masters_billed)
    return f"{line}, masters off {month.masters_off:.1f} h and still billed {billed}"


def _saved(month: SavingsReport) -> str:
    if month.saving < 0:
        return f"{money(-month.saving)} lost"
    return f"{money(month.saving)} saved"


def _headline(month: SavingsReport) -> str:
    """Return `$41.10 saved so far`."""
    if month.so_far:
        return f"{_saved(month)} so far"
    return _saved(month)


def _sums(month: SavingsReport) -> list[tuple[str, str]]:
    """Return the sums of a month as pairs of label and value."""
    off = f"{month.masters_off:.1f} h, still billed {money(month.masters_billed)}"
    away = f"{month.absent:.1f} node-hours"
    if month.free >= LEAST_SHOWN:
        away += f", {month.free:.1f} of them above the month's billing cap and free anyway"
    return [
        ("Media nodes billed", money(month.billed)),
        ("Without closing", money(month.as_if)),
        ("Media nodes away", away),
        ("Masters powered off", off),
    ]


def _not_counted(month: SavingsReport) -> list[str]:
    """Describe what the sums leave out, because its price is unknown."""
    lines = []
    if month.unpriced:
        nodes = count_of(month.unpriced, "media node")
        lines.append(f":warning: Not counted: {nodes} whose price is unknown")
    if month.addresses:
        lines.append(
            f"Not counted: {month.addresses:.1f} address-hours, "
            "because DigitalOcean bills IPv4 apart for these sizes"
        )
    return lines


def _kept_up(month: SavingsReport) -> list[str]:
    return [_kept_up_line(kept_up) for kept_up in month.kept]


def _kept_up_line(line: KeptUpLine) -> str:
    times = count_of(line.times, "time")
    text = f"Kept up by {line.by}: {times}, {line.hours:.1f} h, {money(line.cost)}"
    if not line.reasons:
        return text
    return f"{text} ({'; '.join(line.reasons)})"


def _bars(month: SavingsReport) -> list[str]:
    picture = day_bars(month.days)
    if not picture.strip("."):
        return []
    legend = "one character per day (UTC): `.` open, `1`-`9` tenths closed, `#` closed all day"
    return [f"`{picture}` ({legend})"]
