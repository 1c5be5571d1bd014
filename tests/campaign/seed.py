"""What a seed means: the world, what people request, and every fault."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from simulators.cloud.model import Deployment, Kind, SigquitBehaviour
from simulators.faults import KINDS
from simulators.slack.faults import KINDS as SLACK_KINDS

T = TypeVar("T")
LOOK = 20.0  # Seconds; a bot that looks less often plays the same stories in less time.
KINDS_OF_FLEETS: tuple[Kind, ...] = (
    "pool",
    "pool",
    "pool",
    "pool",
    "pool",
    "pool",
    "fixed",
    "fixed",
    "autoscaler",
    "autoscaler",
)
LEVELS = (0.0, 0.0, 0.003, 0.01, 0.04)
RARE = {
    "429-hour": 0.1, "delay": 2.0, "401": 0.3, "403": 0.3, "404": 0.3, "list-empty": 0.4,
    "list-one-missing": 0.4, "odd-shape": 0.4, "churn": 0.0, "docker-empty": 0.0,
    "unprivileged": 0.3, "key-refused": 0.5,
}  # fmt: skip
"""Kinds with a chance other than their party's.

An hour's limit is long, a slow answer is common, and no bot can notice one wrong 200.
"""
GLITCHES: tuple[tuple[str, str, str], ...] = (
    ("digitalocean", "list-empty", "GET /v2/droplets"), ("digitalocean", "list-one-missing",
    "GET /v2/droplets"), ("digitalocean", "401", "GET "), ("digitalocean", "403", "GET "),
    ("digitalocean", "404", "GET "), ("digitalocean", "odd-shape", "GET "), ("node", "docker-down",
    ""), ("node", "key-refused", ""), ("ssh", "truncated", ""), ("ssh", "ended-early", ""),
)  # fmt: skip
"""Faults of which one, without any other, must not stop anything."""
AILMENTS = (
    "docker-down", "docker-denied", "docker-slow", "docker-hangs", "kill-refused", "kill-lost",
    "run-denied", "run-full", "unprivileged", "key-refused", "metrics-silent", "metrics-empty",
    "livekit-silent", "livekit-starting",
)  # fmt: skip
"""Faults that a node may have for longer than a session."""
PLACES = (*([""] * 57), "dm", "elsewhere", "two")
RETURNS = ((0, 30), (5, 30), (45, 20), (1200, 10), (3 * 3600, 4), (14 * 3600, 4), (86400, 2))
"""Seconds until a crashed bot is started again, and how often."""


def dice_of(seed: int, what: str) -> random.Random:
    """Return dice for one purpose: throws for another do not move them."""
    return random.Random(f"campaign {seed} {what}")


@dataclass(frozen=True)
class SeedSettings:
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
    agents: SigquitBehaviour = "drains"
    livekit_ready: float = 0.0
    neighbours: int = 0
    glitch: tuple[str, str, str] | None = None
    """Without other faults, one single fault after so many calls: people must not notice it."""
    glitch_after: int = 0
    ill: str = ""
    """The lasting fault of the busiest media node, until the storm is over."""
    hands: int = 0
    """How often another administrator changes something."""
    beta: bool = False
    """A second cluster under the same token, with another policy and other people."""
    group: bool = False
    """Approvers depend on a user group."""
    loses: str = ""
    """An approver whose account is closed, or who leaves the group, right after an approval."""
    place: str = ""
    """Where Ana types.

    "" in the cluster's channel, "dm" to the bot, "elsewhere" without the bot, "two" in a
    conversation without it.
    """
    patience: float = 0.0
    """Seconds that people leave a stopped run before they resume it; meanwhile others meet."""
    asks: int = 0
    """How often someone without a role asks for the status."""
    closed: bool = False
    """Only users with a role in a cluster may look at it."""
    glass: bool = False
    """Ana may break the glass."""
    turn: str = ""
    """Which turn the story takes."""
    deployment: Deployment = "high availability"


def luck_of(seed: int) -> SeedSettings:
    """Return what this seed means."""
    dice = dice_of(seed, "luck")
    calm = dice.random() < 0.12  # Some stories have no faults.
    kind = dice.choice(KINDS_OF_FLEETS)
    media = dice.randint(2 if kind == "fixed" else 1, 3)  # A single fixed node cannot be parked.
    needs, group = dice.choice((1, 1, 1, 2)), dice.random() < 0.06
    deadline = dice.choice((2, 6, 120))
    longest = 5.0
    # Long meetings only where no one waits two hours for them.
    if deadline < 120 and dice.random() < 0.25:
        longest = 40.0
    glitch, beta = calm and dice.random() < 0.4, dice.random() < 0.12

    def unless_calm(throw: Callable[[], T], otherwise: T) -> T:
        if calm:
            return otherwise
        return throw()

    return SeedSettings(
        seed=seed,
        calm=calm,
        kind=kind,
        media=media,
        allow_zero=dice.choice(("yes", "yes", "yes", "refused", "omitted")),
        victims=dice.choice(("newest", "newest", "newest", "newest", "oldest", "random")),
        policy={
            "zero_refused": dice.choice(("ask", "keep_one")),
            "approvals": needs,
            "growth": dice.choice((0.5, 0.0)),
            "approval_minutes": dice.choice((30, 30, 10)),
        },
        site={
            "timings": {"look": LOOK},
            "drain": {
                "method": dice.choice(("signal", "signal", "script")),
                "deadline_minutes": deadline,
            },
        },
        rates=unless_calm(
            lambda: {party: _rates(dice, kinds) for party, kinds in KINDS.items()}, {}
        ),
        slack=unless_calm(lambda: _rates(dice, SLACK_KINDS), {}),
        late=unless_calm(lambda: dice.choice((0.0, 0.1)), 0.0),
        twice=unless_calm(lambda: dice.choice((0.0, 0.2)), 0.0),
        lost_replies=unless_calm(lambda: dice.choice((0.0, 0.0, 0.002, 0.01)), 0.0),
        slow_state=unless_calm(lambda: dice.choice((0.0, 0.0, 0.02)), 0.0),
        status_lag=dice.choice((0.0, 3.0, 3.0, 12.0)),
        cooldown_gates_edits=dice.random() < 0.1,
        resize_powers_off=dice.random() < 0.5,
        storm=dice.uniform(200, 1200),
        spells=unless_calm(lambda: dice.randint(0, 4), 0),
        deaths=unless_calm(lambda: dice.choice((0, 0, 1, 1, 2, 4)), 0),
        second_bot=not calm and dice.random() < 0.2,
        failovers=not calm and dice.random() < 0.15,
        pydo=seed % 20 == 0,
        traffic=dice.choice((0.0, 0.0, 0.0, 20.0)),
        meetings=tuple(
            (dice.randint(1, 9), dice.uniform(0.5, longest), dice.randint(0, 1))
            for _ in range(dice.randint(0, media + 1))
        ),
        agents="drains" if glitch else dice.choices(("drains", "deaf", "dies"), (86, 7, 7))[0],
        livekit_ready=dice.choice((0.0, 8.0)),
        neighbours=0 if calm or dice.random() < 0.96 else 8,
        glitch=dice.choice(GLITCHES) if glitch else None,
        glitch_after=dice.randint(0, 60),
        ill="" if calm or dice.random() < 0.88 else dice.choice(AILMENTS),
        hands=0 if calm or dice.random() < 0.85 else dice.randint(1, 2),
        beta=beta,
        group=group,
        loses=dice.choice(("", "", "", "UBEN", "UCARLA"))
        if (needs == 2 or group) and not beta
        else "",
        place=dice.choice(PLACES),
        patience=unless_calm(
            lambda: dice.choice((0.0,) * 12 + (1800.0, 1800.0, 3 * 3600.0, 14 * 3600.0)), 0.0
        ),
        asks=0 if dice.random() < 0.9 else dice.randint(1, 4),
    )


DEPLOYMENTS: tuple[tuple[float, Deployment], ...] = ((0.1, "elastic"), (0.08, "single node"))
"""How often a story without a turn is of another deployment."""


def deployed(luck: SeedSettings) -> SeedSettings:
    """Return the luck with its deployment.

    Thrown apart: a seed of High Availability means what it meant before there were others.
    """
    throw = dice_of(luck.seed, "deployment").random()
    for chance, deployment in DEPLOYMENTS:
        if throw < chance:
            return of_deployment(luck, deployment)
        throw -= chance
    return luck


def of_deployment(luck: SeedSettings, deployment: Deployment) -> SeedSettings:
    """Return the same luck in another deployment."""
    if deployment == "single node":
        drain = {**luck.site["drain"], "method": "signal"}  # It has none of the vendor's scripts.
        site = {**luck.site, "drain": drain}
        return replace(luck, deployment=deployment, kind="co-located", media=1, site=site)
    return replace(luck, deployment=deployment)


def _rates(dice: random.Random, kinds: tuple[str, ...]) -> dict[str, float]:
    level = dice.choice(LEVELS)
    return {kind: level * RARE.get(kind, 1.0) for kind in kinds} if level else {}
