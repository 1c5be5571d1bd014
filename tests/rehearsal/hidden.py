"""Worlds with misfortunes that a rehearsal does not know, and the real command in them.

The misfortunes, their chances and lengths are drawn here, by other rules than those of
`bot/rehearsal/luck.py`, and some of them are of kinds that it does not have.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.access.policy import Actor
from services.operations.rehearsal import Scenario
from services.operations.rehearsals import Rehearsals
from services.operations.results import Started, WaitingForApproval
from services.procedures import (
    DrainNodes,
    Park,
    Procedure,
    ResizeMasters,
    Restart,
    Scale,
    Shutdown,
    Startup,
)
from services.runs.authorization import ANY_PLAN
from services.runs.run import Run, State
from simulators import virtual
from simulators.cloud import SimulatedDroplet
from simulators.cloud.delays import Delays
from simulators.cloud.model import Kind
from simulators.faults import KINDS
from tests.campaign.seed import AILMENTS
from tests.support.scene import Scene

ANA, BEN = Actor("UANA", name="ana"), Actor("UBEN", name="ben")
LOOK, UNANSWERED, LONGEST = 10.0, 1800.0, 10 * 3600.0
HOUR = 3600.0


@dataclass(frozen=True)
class Hidden:
    """One hidden world: what it is like, what is requested there, and what befalls it."""

    seed: int
    kind: Kind
    media: int
    procedure: Procedure
    meetings: tuple[tuple[int, float], ...]  # people, and minutes that they still meet
    slow: Mapping[str, float]  # factor of each duration
    history: bool  # this cluster was closed and opened by the bot before
    misfortunes: tuple[str, ...]


@dataclass(frozen=True)
class Happened:
    """How the real run ended: everything people had to deal with, and its seconds if it is done."""

    kinds: frozenset[str]
    seconds: float | None
    disconnected: int
    words: str


def hidden(seed: int) -> Hidden:
    """Return the world of a seed."""
    dice = random.Random(f"hidden {seed}")
    kind: Kind = ("pool", "fixed", "autoscaler")[seed % 3]
    media = dice.randint(2, 4)
    together = dice.uniform(0.7, 1.6)
    slow = {field: together * dice.uniform(0.7, 1.5) for field in Delays.__dataclass_fields__}
    number = dice.choice((0, 1, 1, 2, 3))
    meetings = tuple(
        (
            dice.randint(1, 12),
            dice.choice((dice.uniform(1, 15), dice.uniform(5, 60), dice.uniform(30, 160))),
        )
        for _ in range(number)
    )
    misfortunes = tuple(dice.sample(sorted(MISFORTUNES), dice.choice((0, 0, 1, 1, 1, 2))))
    procedure = _procedure(dice, kind, media)
    return Hidden(seed, kind, media, procedure, meetings, slow, dice.random() < 0.5, misfortunes)


def _procedure(dice: random.Random, kind: Kind, media: int) -> Procedure:
    common: list[Procedure] = [Shutdown(), Shutdown(), Shutdown(), Startup(), Startup()]
    common += [Restart("master-2"), ResizeMasters("s-8vcpu-16gb")]
    own: dict[Kind, list[Procedure]] = {
        "pool": [Scale(media + 1), Scale(media - 1), DrainNodes()],
        "fixed": [Park("1"), Restart("media-1")],
        "autoscaler": [],
    }
    return dice.choice(common + own[kind])


# Misfortunes


def _switched(name: str, shortest: float, longest: float) -> Callable[["_World"], None]:
    def strike(world: "_World") -> None:
        faults = world.scene.environment.faults
        world.later(
            lambda: faults.switch(name), shortest, longest, lambda: faults.switch(name, value=False)
        )

    return strike


def _rates(party: str) -> Callable[["_World"], None]:
    def strike(world: "_World") -> None:
        level = world.dice.uniform(0.002, 0.03)
        kinds = [k for k in KINDS[party] if k not in ("429-hour", "churn", "401", "403", "404")]
        some = world.dice.sample(kinds, max(1, len(kinds) // 2))
        faults = world.scene.environment.faults
        faults.rates = {**faults.rates, party: dict.fromkeys(some, level)}

    return strike


def _ails(world: "_World") -> None:
    node, kind = world.node(), world.dice.choice(AILMENTS)
    faults = world.scene.environment.faults
    if node is not None:
        detail = {"seconds": 8.0} if kind == "docker-slow" else {}
        world.later(
            lambda: faults.make_ill(node.name, kind, **detail),
            120,
            3 * HOUR,
            lambda: faults.heal(node.name, kind),
        )


def _crashes(world: "_World") -> None:
    node, crashes = world.node(), world.scene.estate.crashes
    if node is not None:
        world.later(
            lambda: crashes.begin(node, waits=20.0) if node.on else None,
            300,
            2 * HOUR,
            lambda: crashes.end(node),
        )


def _no_power(world: "_World") -> None:
    faults, dice = world.scene.environment.faults, world.dice
    ignored, errored = dice.uniform(0, 0.5), dice.uniform(0, 0.3)
    faults.rates = {**faults.rates, "action": {"ignored": ignored, "errored": errored}}


def _stretched(*fields: str) -> Callable[["_World"], None]:
    def strike(world: "_World") -> None:
        estate, factor = world.scene.estate, world.dice.uniform(2, 15)
        values = {f: getattr(estate.delays, f) * factor for f in fields}
        estate.delays = replace(estate.delays, **values)

    return strike


def _not_installed(world: "_World") -> None:
    world.scene.estate.install_fails = lambda _droplet: world.dice.random() < 0.6


def _full(world: "_World") -> None:
    """Let others fill the account."""
    estate = world.scene.estate
    estate.droplet_limit = len(estate.droplets)


def _zero(world: "_World") -> None:
    world.scene.environment.faults.switch("zero_refused")


def _lagging(world: "_World") -> None:
    estate = world.scene.estate
    estate.delays = replace(estate.delays, status_lag=25.0)
    estate.cooldown_gates_edits = True


MISFORTUNES: dict[str, Callable[["_World"], None]] = {
    "API away": _switched("api_down", 60, 2400),
    "API limited": _switched("rate_limited", 60, 900),
    "SSH away": _switched("ssh_down", 60, 2400),
    "front away": _switched("front_down", 60, 1800),
    "bucket away": _switched("spaces_down", 60, 1800),
    "no capacity": _switched("no_capacity", 600, 4 * HOUR),
    "API errors": _rates("digitalocean"),
    "SSH errors": _rates("ssh"),
    "node ill": _ails,
    "crash loop": _crashes,
    "power fails": _no_power,
    "slow power": _stretched("power_on", "shutdown", "power_off"),
    "slow masters": _stretched("master_ready"),
    "slow nodes": _stretched("media_install", "media_boot", "droplet_create"),
    "slow removal": _stretched("pool_grace", "drain_exit"),
    "not installed": _not_installed,
    "account full": _full,
    "zero refused": _zero,
    "lagging status": _lagging,
}


class _World:
    """A scene with misfortunes."""

    def __init__(self, scene: Scene, about: Hidden) -> None:
        self.scene, self.about = scene, about
        self.dice = random.Random(f"misfortune {about.seed}")
        self.tasks: list[asyncio.Task[None]] = []

    def node(self) -> SimulatedDroplet | None:
        on = [d for d in self.scene.estate.media("acme") if d.on]
        return self.dice.choice(on) if on else None

    def later(
        self,
        begin: Callable[[], object],
        shortest: float,
        longest: float,
        end: Callable[[], object],
    ) -> None:
        """Let something begin within ten minutes, and end after a time of any order of size."""
        since = self.dice.choice((0.0, self.dice.uniform(0, 600)))
        lasts = math.exp(self.dice.uniform(math.log(shortest), math.log(longest)))
        self.tasks.append(asyncio.create_task(self._spell(since, lasts, begin, end)))

    async def _spell(
        self, since: float, lasts: float, begin: Callable[[], object], end: Callable[[], object]
    ) -> None:
        await asyncio.sleep(since)
        begin()
        await asyncio.sleep(lasts)
        end()


# What is seen beforehand, and what then happens


def seen(about: Hidden) -> Scenario:
    """Return what a rehearsal starts from: one look, and what the bot remembers."""
    scenario: Scenario = virtual.run(_in(about, _seen))
    return scenario


def happened(about: Hidden) -> Happened:
    """Run the command in the same world, with its misfortunes."""
    found: Happened = virtual.run(_in(about, _happened))
    return found


async def _in(about: Hidden, work: Callable[[Scene, Hidden], Any]) -> Any:
    options: dict[str, Any] = {"kind": about.kind, "media": about.media, "pydo": False}
    async with Scene(seed=about.seed, **options) as scene:
        scene.promises = False
        estate = scene.estate
        estate.allow_disconnects = True
        usual = estate.delays
        slow = {f: getattr(usual, f) * factor for f, factor in about.slow.items()}
        estate.delays = Delays(**slow)
        if about.history or isinstance(about.procedure, Startup):
            await _run(scene, Shutdown())
        if about.history and not isinstance(about.procedure, Startup):
            await _run(scene, Startup())
        for people, minutes in about.meetings:
            estate.open_meeting(people=people, minutes=minutes, recordings=0)
        return await work(scene, about)


async def _seen(scene: Scene, about: Hidden) -> Scenario:
    parts = scene.bot.operations
    gathers = Rehearsals(
        parts.clusters, scene.clock, parts.journal, parts.memory, parts.guards, None
    )
    return await gathers.scenario("acme", about.procedure)


async def _happened(scene: Scene, about: Hidden) -> Happened:
    before = scene.estate.people_disconnected
    run = await _begun(scene, about.procedure)
    if run is None:
        return Happened(frozenset({"done"}), 0.0, 0, "nothing to do")
    world = _World(scene, about)
    for name in about.misfortunes:
        MISFORTUNES[name](world)
    run, waits = await _followed(scene, run)
    for task in world.tasks:
        task.cancel()
    kinds = {f"asks {question.kind}" for question in run.asked}
    seconds = None
    if run.state is State.STOPPED:
        kinds.add(f"stops at {type(run.step).__name__}")
    elif run.over:
        kinds.add("done" if run.state is State.DONE else "rolled back")
        seconds = run.ended_at - run.opened_at if run.state is State.DONE else None
    elif waits:
        kinds.add("waits")
    lost = scene.estate.people_disconnected - before
    return Happened(
        frozenset(kinds), None if run.asked else seconds, lost, run.stopped or run.end_text
    )


async def _run(scene: Scene, procedure: Procedure) -> None:
    run = await _begun(scene, procedure)
    if run is not None:
        run, _ = await _followed(scene, run)
        assert run.state is State.DONE, run


async def _begun(scene: Scene, procedure: Procedure) -> Run | None:
    service = scene.bot.operations.service
    outcome = await service.request(ANA, "acme", procedure, confirmed=ANY_PLAN)
    if isinstance(outcome, WaitingForApproval):
        outcome = await service.approve(outcome.request.id, BEN)
    return outcome.run if isinstance(outcome, Started) else None


async def _followed(scene: Scene, run: Run) -> tuple[Run, bool]:
    """Return the run at its end, or where it waits for people; and whether it goes on for ever."""
    unanswered, until = 0.0, scene.clock.now() + LONGEST
    while scene.clock.now() < until:
        await asyncio.sleep(LOOK)
        run = await scene.journal.run(run.id)
        if run.over or run.state is State.STOPPED:
            return run, False
        question = run.question
        unanswered = unanswered + LOOK if question is not None else 0.0
        patience = UNANSWERED
        if question is not None and question.default:
            patience = max(patience, question.default_after)
        if unanswered > patience:
            return run, False
    return run, True
