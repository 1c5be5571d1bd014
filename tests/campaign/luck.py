"""What a seed means: the world, what people want of it, and everything that goes wrong."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.estate.things import Kind
from simulators.faults import KINDS
from simulators.slack.faults import KINDS as SLACK_KINDS

LOOK = 20.0  # seconds; a bot that looks less often plays the same stories in less time
KINDS_OF_FLEETS: tuple[Kind, ...] = ("pool", "pool", "pool", "pool", "pool", "pool", "fixed", "fixed", "autoscaler", "autoscaler")
LEVELS = (0.0, 0.0, 0.003, 0.01, 0.04)
RARE = {"429-hour": 0.1, "delay": 2.0}
"""Kinds whose chance is another than their party's: an hour's limit is long, and a slow answer is common."""


def dice_of(seed: int, what: str) -> random.Random:
    """Dice for one purpose: what is thrown for another does not move them."""
    return random.Random(f"campaign {seed} {what}")


@dataclass(frozen=True)
class Luck:
    """The part of a seed that is decided before the story begins."""

    seed: int
    calm: bool
    kind: Kind
    media: int
    allow_zero: str
    victims: str
    policy: Mapping[str, Any]
    site: Mapping[str, Any]
    rates: Mapping[str, Mapping[str, float]]
    slack: Mapping[str, float]
    late: float
    twice: float
    lost_replies: float
    slow_state: float
    status_lag: float
    cooldown_gates_edits: bool
    resize_powers_off: bool
    storm: float
    spells: int
    deaths: int
    second_bot: bool
    failovers: bool
    pydo: bool
    traffic: float
    meetings: tuple[tuple[int, float, int], ...] = field(default=())


def luck_of(seed: int) -> Luck:
    """What this seed means."""
    dice = dice_of(seed, "luck")
    calm = dice.random() < 0.1  # some stories are as they should be
    kind = dice.choice(KINDS_OF_FLEETS)
    media = dice.randint(2 if kind == "fixed" else 1, 3)  # of one fixed node none can be parked
    return Luck(
        seed=seed,
        calm=calm,
        kind=kind,
        media=media,
        allow_zero=dice.choice(("yes", "yes", "yes", "refused", "omitted")),
        victims=dice.choice(("newest", "newest", "newest", "newest", "oldest", "random")),
        policy={"zero_refused": dice.choice(("ask", "keep_one")), "approvals": dice.choice((1, 1, 1, 2))},
        site={
            "timings": {"look": LOOK},
            "drain": {"method": dice.choice(("signal", "signal", "script")), "deadline_minutes": dice.choice((2, 6, 120))},
        },
        rates={} if calm else {party: _rates(dice, kinds) for party, kinds in KINDS.items()},
        slack={} if calm else _rates(dice, SLACK_KINDS),
        late=0.0 if calm else dice.choice((0.0, 0.1)),
        twice=0.0 if calm else dice.choice((0.0, 0.2)),
        lost_replies=0.0 if calm else dice.choice((0.0, 0.0, 0.002, 0.01)),
        slow_state=0.0 if calm else dice.choice((0.0, 0.0, 0.02)),
        status_lag=dice.choice((0.0, 3.0, 3.0, 12.0)),
        cooldown_gates_edits=dice.random() < 0.1,
        resize_powers_off=dice.random() < 0.5,
        storm=dice.uniform(200, 1200),
        spells=0 if calm else dice.randint(0, 4),
        deaths=0 if calm else dice.choice((0, 0, 1, 1, 2, 4)),
        second_bot=not calm and dice.random() < 0.2,
        failovers=not calm and dice.random() < 0.15,
        pydo=seed % 20 == 0,
        traffic=dice.choice((0.0, 0.0, 0.0, 20.0)),
        meetings=tuple((dice.randint(1, 9), dice.uniform(0.5, 5.0), dice.randint(0, 1)) for _ in range(dice.randint(0, media + 1))),
    )


def _rates(dice: random.Random, kinds: tuple[str, ...]) -> dict[str, float]:
    level = dice.choice(LEVELS)
    return {kind: level * RARE.get(kind, 1.0) for kind in kinds} if level else {}
