"""Talks about nobody changing anything."""

import re
from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, day, escape
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.windows.times import parse_length, parse_moment

SAID = 'say why and until when, as in `/openvidu hold "exam week" until 18:00`, `… until tomorrow 08:00` or `… for 2h`'
LONGEST = 90 * 86400.0


@dataclass(frozen=True)
class HoldTalk(InstantCommand):
    """Stop every change on this cluster, windows too: `hold "reason" until 18:00` (or `for 2h`, `until tomorrow 08:00`)."""

    command: ClassVar[str] = "hold"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    what: str = rest('"reason" until TIME | for LENGTH')

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        reason, until = hold_words(self.what, asked.clock.now(), asked.zone(name))
        hold = await asked.hours.wishes.hold(name, reason, until, asked.actor)
        return views.words_card(
            f"{name} is on hold until {day(hold.until)}. `/openvidu unhold` ends it earlier."
        )


@dataclass(frozen=True)
class Unhold(InstantCommand):
    """End a hold now."""

    command: ClassVar[str] = "unhold"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        hold = await asked.hours.wishes.unhold(name, asked.actor)
        return views.words_card(
            f"{name} is not on hold any more (it was {hold.by}'s: {hold.reason})."
        )


def hold_words(text: str, now: float, zone: str) -> tuple[str, float]:
    """The reason and the end of a hold, in the cluster's own time zone. The reason is fit to be said back anywhere."""
    if re.match(r"(for|until|till)\b", text.strip(), re.IGNORECASE):
        raise Refused(SAID)
    match = re.fullmatch(
        r"(?P<reason>.*\S)\s+(?P<how>for|until|till)\s+(?P<when>\S.*)",
        text.strip(),
        re.IGNORECASE | re.DOTALL,
    )
    if match is not None:
        moment = match["how"].casefold() != "for"
        until = (
            parse_moment(match["when"], now, zone) if moment else now + parse_length(match["when"])
        )
    elif match := re.fullmatch(
        r"(?P<reason>.*\S)\s+(?P<when>\d\S*(\s*[a-z]+)?)", text.strip(), re.IGNORECASE | re.DOTALL
    ):
        until = now + parse_length(match["when"], "")
    else:
        raise Refused(SAID)
    if until - now > LONGEST:
        raise Refused("a hold lasts 90 days at most; it can be put on again")
    return _harmless(match["reason"]), until


def _harmless(reason: str) -> str:
    """On one line, and without a meaning of its own to Slack: it is repeated in messages to everybody."""
    return escape(" ".join(reason.replace("<", "‹").replace(">", "›").replace("&", "+").split()))[
        :300
    ]
