"""What off-hours saved."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from handlers import cards
from handlers.blocks import Card, section
from handlers.talks.base import Asked, Talk
from services.errors import Refused
from services.prices import money
from services.spoken import argument
from services.steps.base import count
from services.windows.savings import Report, bars, report


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
        facts = await asked.hours.usage.facts(name)
        if facts is None:
            return cards.words_card(f"Nothing has been recorded for {name} yet; recording begins with its first off-hours window.")
        return cost_card(report(name, int(match[1]), int(match[2]), facts, now))


def cost_card(made: Report) -> Card:
    """A month's report."""
    so_far = " so far" if made.so_far else ""
    first = f"*{money(made.saving)} saved{so_far}*" if made.saving >= 0 else f"*{money(-made.saving)} lost{so_far}*"
    lines = [
        f"{first} (estimate before tax, media only: {money(made.as_if)} had nothing closed, {money(made.billed)} billed)",
        f"media nodes away {made.absent:.1f} node-hours, {made.free:.1f} of them free anyway (DigitalOcean bills at most 672 h a month)",
        f"masters off {made.masters_off:.1f} h, *still billed: {money(made.masters_billed)}*",
    ]
    for line in made.kept:
        why = f" ({'; '.join(line.reasons)})" if line.reasons else ""
        lines.append(f"kept up by {line.by}: {count(line.times, 'time')}, {line.hours:.1f} h, {money(line.cost)}{why}")
    picture = bars(made.days)
    if picture:
        lines.append(f"`{picture}` (a sign per day, UTC: `.` open, `1`-`9` tenths closed, `#` closed all day)")
    head = f"*{made.cluster} · {made.month}*"
    return Card(cards.plain(f"{made.cluster} {made.month}: " + "; ".join(lines)), (section(f"{head}\n" + "\n".join(lines)),))
