"""What off-hours saved."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.windows import sections
from handlers.slack.blocks import Card, section
from handlers.views.month_chart import described, month_picture
from services.access.policy import NOWHERE
from services.billing.prices import money
from services.billing.savings import Report, add_up, bars, report
from services.common.command import argument, flag
from services.common.errors import BotError, Refused
from services.common.text import count, listed

log = logging.getLogger(__name__)
MOST = 40  # clusters that are listed one by one
PICTURED = "\nThe month's picture is in your own conversation with this app."


@dataclass(frozen=True)
class Cost(InstantCommand):
    """What off-hours saved in a month, to the cent and honestly; `cost 2026-10` for an earlier one, `--all` for every cluster."""

    command: ClassVar[str] = "cost"
    month: str | None = argument("such as 2026-10", default=None)
    all: bool = flag("every cluster that you may see, and their sum")

    async def answer(self, asked: CommandContext) -> Card:
        now = asked.clock.now()
        month = self.month or f"{datetime.fromtimestamp(now, UTC):%Y-%m}"
        match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month)
        if match is None:
            raise Refused("which month? say it as in `/openvidu cost 2026-10`")
        names = _readable(asked) if self.all else (_one(asked),)
        made, silent = await _reports(asked, names, int(match[1]), int(match[2]), now)
        if not made:
            return views.words_card(
                f"Nothing has been recorded for {listed(silent)} yet; that begins with the first off-hours window."
            )
        if not self.all:
            return await _pictured(
                asked, made[0], cost_card(made[0]), f"{names[0]} {month}: hours closed per day"
            )
        whole = add_up(made)
        title = f"{month}: hours closed per day, mean of {count(len(made), 'cluster')}"
        return await _pictured(asked, whole, costs_card(whole, made, silent), title)


def _one(asked: CommandContext) -> str:
    name = asked.cluster()
    asked.operations.may_read(name, asked.actor)
    return name


def _readable(asked: CommandContext) -> tuple[str, ...]:
    """The clusters that this person may see. Refused when there is none."""
    found = asked.operations.clusters.readable(asked.actor)
    if not found:
        raise Refused(NOWHERE)
    return found


async def _reports(
    asked: CommandContext, names: Sequence[str], year: int, month: int, now: float
) -> tuple[list[Report], list[str]]:
    """The month of each, and the names of those of which nothing was ever recorded."""
    made, silent = [], []
    for name in names:
        facts = await asked.sight.facts(name, asked.actor)
        if facts is None:
            silent.append(name)
        else:
            made.append(report(name, year, month, facts, now))
    return made, silent


async def _pictured(asked: CommandContext, made: Report, card: Card, title: str) -> Card:
    """The answer; its picture goes to the person's own conversation, because nothing that is private in a channel can hold one."""
    if not made.days:
        return card
    try:
        await asked.picture(card, month_picture(made.days), title, described(made.days))
    except BotError as error:
        log.warning("the picture of %s: %s", title, error)  # its text says the same
        return card
    return Card(card.text + PICTURED, (*card.blocks, section(PICTURED.strip())))


def cost_card(made: Report) -> Card:
    """A month's report."""
    lines = [*_sums(made), *_kept(made), *_bars(made)]
    head = f"*{made.cluster} · {made.month}*"
    return Card(
        views.plain(f"{made.cluster} {made.month}: " + "; ".join(lines)),
        (section(f"{head}\n" + "\n".join(lines)),),
    )


def costs_card(whole: Report, made: Sequence[Report], silent: Sequence[str]) -> Card:
    """A month's report of several clusters: their sum, and each by itself, the greatest saving first."""
    each = sorted(made, key=lambda r: (-r.saving, r.cluster))
    lines = [*_sums(whole), *(_line(r) for r in each[:MOST])]
    if rest := each[MOST:]:
        lines.append(f"{count(len(rest), 'further cluster')}: {_saved(add_up(rest))}")
    if silent:
        lines.append(f"nothing recorded for {listed(silent)}: no off-hours window yet")
    lines += [*_kept(whole), *_bars(whole)]
    head = f"{count(len(made), 'cluster')} · {whole.month}"
    return Card(
        views.plain(f"{head}: " + "; ".join(lines)),
        tuple(sections(f"*{head}*\n" + "\n".join(lines))),
    )


def _line(made: Report) -> str:
    off = (
        f", masters off {made.masters_off:.1f} h and still billed {money(made.masters_billed)}"
        if made.masters_off
        else ""
    )
    return f"*{made.cluster}* {_saved(made)}, media nodes away {made.absent:.1f} node-hours{off}"


def _saved(made: Report) -> str:
    return f"{money(made.saving)} saved" if made.saving >= 0 else f"{money(-made.saving)} lost"


def _sums(made: Report) -> list[str]:
    so_far = " so far" if made.so_far else ""
    return [
        f"*{_saved(made)}{so_far}* (estimate before tax, media only: {money(made.as_if)} had nothing closed, {money(made.billed)} billed)",
        f"media nodes away {made.absent:.1f} node-hours, {made.free:.1f} of them free anyway (DigitalOcean bills at most 672 h a month)",
        f"masters off {made.masters_off:.1f} h, *still billed: {money(made.masters_billed)}*",
        *_not_counted(made),
    ]


def _not_counted(made: Report) -> list[str]:
    """What no sum holds, because its price is not known."""
    unpriced = (
        [f":warning: not counted: {count(made.unpriced, 'media node')} whose price is unknown"]
        if made.unpriced
        else []
    )
    apart = [
        f"not counted: {made.addresses:.1f} address-hours, because DigitalOcean bills IPv4 apart for these sizes"
    ]
    return [*unpriced, *(apart if made.addresses else [])]


def _kept(made: Report) -> list[str]:
    return [
        f"kept up by {line.by}: {count(line.times, 'time')}, {line.hours:.1f} h, {money(line.cost)}"
        + (f" ({'; '.join(line.reasons)})" if line.reasons else "")
        for line in made.kept
    ]


def _bars(made: Report) -> list[str]:
    picture = bars(made.days)
    return (
        [f"`{picture}` (a sign per day, UTC: `.` open, `1`-`9` tenths closed, `#` closed all day)"]
        if picture
        else []
    )
