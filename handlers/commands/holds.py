"""Commands about holds, during which nothing changes a cluster."""

import re
from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, escape
from handlers.slack.markup import date_time
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.windows.times import parse_length, parse_moment

USAGE = (
    'say why and until when, as in `/openvidu hold "exam week" until 18:00`, '
    "`… until tomorrow 08:00` or `… for 2h`"
)
LONGEST = 90 * 86400.0  # seconds
REASON = 300  # characters


@dataclass(frozen=True)
class HoldCommand(InstantCommand):
    """Block every change of a cluster for a while."""

    command: ClassVar[str] = "hold"
    help_text: ClassVar[str] = "Block every change of this cluster for a while, windows too."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    what: str = rest('"reason" until TIME | for LENGTH')

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        reason, until = parse_hold(self.what, ctx.clock.now(), ctx.zone(name))
        hold = await ctx.scheduler.overrides.hold(name, reason, until, ctx.actor)
        return views.text_card(
            f"{name} is on hold until {date_time(hold.until)}. `/openvidu unhold` ends it earlier."
        )


@dataclass(frozen=True)
class Unhold(InstantCommand):
    """End a hold now."""

    command: ClassVar[str] = "unhold"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        hold = await ctx.scheduler.overrides.unhold(name, ctx.actor)
        return views.text_card(f"{name} is no longer on hold (set by {hold.by}: {hold.reason}).")


def parse_hold(text: str, now: float, zone: str) -> tuple[str, float]:
    """Read the reason and the end (epoch seconds) of a hold.

    Times are those of `zone`. The reason is escaped: it is repeated in messages to everyone.
    """
    if re.match(r"(for|until|till)\b", text.strip(), re.IGNORECASE):
        raise Refused(USAGE)
    match = re.fullmatch(
        r"(?P<reason>.*\S)\s+(?P<how>for|until|till)\s+(?P<when>\S.*)",
        text.strip(),
        re.IGNORECASE | re.DOTALL,
    )
    if match is not None:
        until = _end(match["how"].casefold(), match["when"], now, zone)
    elif match := re.fullmatch(
        r"(?P<reason>.*\S)\s+(?P<when>\d\S*(\s*[a-z]+)?)", text.strip(), re.IGNORECASE | re.DOTALL
    ):
        until = now + parse_length(match["when"], "")
    else:
        raise Refused(USAGE)
    if until - now > LONGEST:
        raise Refused("a hold lasts 90 days at most; it can be put on again")
    return _harmless(match["reason"]), until


def _end(preposition: str, text: str, now: float, zone: str) -> float:
    if preposition == "for":
        return now + parse_length(text)
    return parse_moment(text, now, zone)


def _harmless(reason: str) -> str:
    """Put a reason on one line, without marks that mean something to Slack."""
    unmarked = reason.replace("<", "‹").replace(">", "›").replace("&", "+")
    return escape(" ".join(unmarked.split()))[:REASON]
