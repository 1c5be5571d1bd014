"""Talks about nobody changing anything."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from handlers import cards
from handlers.blocks import Card, day, escape
from handlers.talks.base import Asked, Talk
from services.errors import Refused
from services.spoken import CommandClass, rest

SAID = 'say why and until when, as in `/openvidu hold "exam week" until 18:00`, `… until tomorrow 08:00` or `… for 2h`'
LONGEST = 90 * 86400.0


@dataclass(frozen=True)
class HoldTalk(Talk):
    """Stop every change on this cluster, windows too: `hold "reason" until 18:00` (or `for 2h`, `until tomorrow 08:00`)."""

    command: ClassVar[str] = "hold"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    what: str = rest('"reason" until TIME | for LENGTH')

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        reason, until = hold_words(self.what, asked.clock.now(), asked.zone(name))
        hold = await asked.hours.wishes.hold(name, reason, until, asked.actor)
        return cards.words_card(f"{name} is on hold until {day(hold.until)}. `/openvidu unhold` ends it earlier.")


@dataclass(frozen=True)
class Unhold(Talk):
    """End a hold now."""

    command: ClassVar[str] = "unhold"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)

    async def answer(self, asked: Asked) -> Card:
        name = asked.cluster()
        hold = await asked.hours.wishes.unhold(name, asked.actor)
        return cards.words_card(f"{name} is not on hold any more (it was {hold.by}'s: {hold.reason}).")


def span(text: str) -> float:
    """`90m`, `2h`, `1d` in seconds."""
    match = re.fullmatch(r"(\d{1,4})\s*(m|min|h|d)", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise Refused(f"“{escape(text)}” is no length of time; say 90m, 2h or 1d")
    return int(match[1]) * {"m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}[match[2]]


def hold_words(text: str, now: float, zone: str) -> tuple[str, float]:
    """The reason and the end of a hold, in the cluster's own time zone. The reason is fit to be said back anywhere."""
    match = re.fullmatch(r"(?P<reason>.*\S)\s+(?P<how>for|until)\s+(?P<when>\S+(\s+\S+)?)\s*", text, re.IGNORECASE | re.DOTALL)
    if match is None:
        match = re.fullmatch(r"(?P<reason>.*\S)\s+(?P<when>\d{1,4}\s*(m|min|h|d))", text, re.IGNORECASE | re.DOTALL)
        if match is None:
            raise Refused(SAID)
        until = now + span(match["when"])
    else:
        until = now + span(match["when"]) if _length(match["when"]) else _moment(match["when"], now, zone)
    if until - now > LONGEST:
        raise Refused("a hold lasts 90 days at most; it can be put on again")
    return _harmless(match["reason"]), until


def _length(text: str) -> bool:
    return re.fullmatch(r"\d{1,4}\s*(m|min|h|d)", text.strip().lower()) is not None


def _moment(text: str, now: float, zone: str) -> float:
    match = re.fullmatch(r"(?:(?P<day>tomorrow|\d{4}-\d\d-\d\d)\s*)?(?:(?P<hour>\d{1,2}):(?P<minute>\d\d))?", text.strip().lower())
    if match is None or int(match["hour"] or 0) > 23 or int(match["minute"] or 0) > 59:
        raise Refused(SAID)
    there = ZoneInfo(zone)
    today = datetime.fromtimestamp(now, there).date()
    try:
        date = today + timedelta(days=1) if match["day"] == "tomorrow" else today.fromisoformat(match["day"]) if match["day"] else today
    except ValueError:
        raise Refused(f"{match['day']} is not in the calendar") from None
    until = datetime(date.year, date.month, date.day, int(match["hour"] or 0), int(match["minute"] or 0), tzinfo=there)
    if until.timestamp() <= now and not match["day"]:
        until += timedelta(days=1)
    if until.timestamp() <= now:
        raise Refused("that moment is over already")
    return until.timestamp()


def _harmless(reason: str) -> str:
    """On one line, and without a meaning of its own to Slack: it is repeated in messages to everybody."""
    return escape(" ".join(reason.replace("<", "‹").replace(">", "›").replace("&", "+").split()))[:300]
