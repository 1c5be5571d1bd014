"""The faults and meetings of one night, drawn from the seed and the number of the night alone."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from simulators.cloud.model import Kind

CLOSES, OPENS = time(20, 0), time(7, 30)
FIRST = date(2027, 1, 1)
# Seconds for which a night is watched before it closes, and after it should be open.
BEFORE, AFTER = 30 * 60.0, 90 * 60.0
ZONES = ("Europe/Madrid", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Sydney")

Misfortune = Literal[
    "bot down",
    "API away",
    "no capacity",
    "stuck masters",
    "SSH away",
    "nodes unreachable from outside",
]
CHANCES: dict[Misfortune, float] = {
    "bot down": 0.15,
    "API away": 0.12,
    "no capacity": 0.1,
    "stuck masters": 0.1,
    "SSH away": 0.05,
    "nodes unreachable from outside": 0.05,
}


@dataclass(frozen=True)
class Spell:
    """A fault and when it lasts, in seconds since the epoch."""

    kind: Misfortune
    since: float
    until: float


@dataclass(frozen=True)
class Long:
    """A meeting that is running when the window would close."""

    people: int
    until: float


@dataclass(frozen=True)
class Night:
    """One night of a cluster with the window `nights Mon-Sun 20:00-07:30`.

    `answers`: someone is awake to answer questions.
    """

    number: int
    kind: Kind
    media: int
    zone: str
    begins: float
    closes: float
    opens: float
    meetings: tuple[Long, ...]
    spells: tuple[Spell, ...]
    answers: bool

    @property
    def ends(self) -> float:
        return self.opens + AFTER

    @property
    def window(self) -> str:
        return f"nights Mon-Sun {CLOSES:%H:%M}-{OPENS:%H:%M} {self.zone}"


def night(number: int, seed: int = 0) -> Night:
    """Return the night of that number of the year."""
    dice = random.Random(f"night {seed}/{number}")
    zone = ZoneInfo(dice.choice(ZONES))
    day = FIRST + timedelta(days=number)
    closes = datetime.combine(day, CLOSES, zone).timestamp()
    opens = datetime.combine(day + timedelta(days=1), OPENS, zone).timestamp()
    media = dice.randint(1, 3)
    meetings = tuple(
        Long(
            dice.randint(1, 9),
            closes + dice.choice((300.0, 1200.0, 3600.0, 4 * 3600.0)) * dice.uniform(0.3, 1.5),
        )
        for _ in range(dice.choice((0, 0, 1, 2, 3)))
    )
    spells = tuple(
        _spell(dice, kind, closes, opens)
        for kind, chance in CHANCES.items()
        if dice.random() < chance
    )
    kinds: tuple[Kind, ...] = ("pool", "autoscaler", "fixed")
    return Night(
        number,
        kinds[number % 3],
        media,
        str(zone),
        closes - BEFORE,
        closes,
        opens,
        meetings,
        spells,
        answers=dice.random() < 0.3,
    )


def _spell(dice: random.Random, kind: Misfortune, closes: float, opens: float) -> Spell:
    """Return a fault around the closing, in the night, or around the opening."""
    at = dice.choice((closes, dice.uniform(closes, opens), opens))
    since = at + dice.uniform(-1800, 900)
    return Spell(kind, since, since + dice.choice((120.0, 900.0, 3600.0)) * dice.uniform(0.5, 2.0))
