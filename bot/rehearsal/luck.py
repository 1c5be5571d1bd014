"""The bad luck of one simulated run, drawn from its number alone.

Chances and lengths are assumptions, as no one has published how often these things happen: the card
of a rehearsal states it. Nothing here decides how a run ends: each kind is a fault of the simulated
world, and the bot does the rest.
"""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from simulators.cloud import Cloud, SimulatedDroplet
from simulators.cloud.delays import Delays
from simulators.dice import dice_of
from simulators.environment import SimulatedEnvironment
from simulators.faults import KINDS, FaultRule

# How much a duration differs from the usual, as the sigma of a log-normal factor: for all together,
# and each by itself: up to half as long or twice as long. Less where this cluster's own runs
# measured it.
TOGETHER, ALONE, MEASURED = 0.2, 0.25, 0.12
# Beyond the faults themselves: 0.3 % of all calls fail, 1 %, or 4 %.
LEVELS = (0.003, 0.01, 0.04)
RARE = {"429-hour": 0.05, "401": 0.0, "403": 0.0, "404": 0.0, "list-empty": 0.0,
    "list-one-missing": 0.0, "odd-shape": 0.0, "shuffled": 0.0, "tags-shuffled": 0.0, "churn": 0.0,
    "delay": 2.0}  # fmt: skip
AILMENTS = (
    "docker-down", "docker-denied", "docker-slow", "docker-hangs", "kill-refused", "kill-lost",
    "run-full", "key-refused", "livekit-silent", "livekit-starting",
)  # fmt: skip
REFUSED_ZERO = "a refused pool of 0"
# Seconds that a spell lasts: shortest, usual and longest, of a triangular distribution.
SPELL = (30.0, 300.0, 2400.0)
LONG_SPELL = (120.0, 1800.0, 10800.0)


@dataclass(frozen=True)
class Trouble:
    """One kind of bad luck: its name for people, its chance in one run, and what it does."""

    name: str
    chance: float
    strike: Callable[["BadLuck"], None]


class BadLuck:
    """Bad luck of one run in its world.

    `about`: seconds that the run takes as expected, within which spells begin. `stack`: its
    cluster.
    """

    def __init__(
        self, seed: int, number: int, world: SimulatedEnvironment, stack: str, about: float
    ) -> None:
        self.dice = dice_of(f"rehearsal {seed}/{number}")
        self.world = world
        self.stack = stack
        self.about = about
        self.kinds: tuple[str, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._undo: list[Callable[[], object]] = []
        self._pace: dict[int, float] = {}

    @property
    def estate(self) -> Cloud:
        """Return the simulated cloud."""
        return self.world.estate

    def strike(self, immune: frozenset[str] = frozenset()) -> None:
        """Let happen what this run's number means, from now on, but for `immune` kinds."""
        struck = [t for t in TROUBLES if self.dice.random() < t.chance and t.name not in immune]
        self.kinds = tuple(trouble.name for trouble in struck)
        for trouble in struck:
            trouble.strike(self)

    async def end(self) -> None:
        """End all bad luck."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for undo in self._undo:
            undo()
        self._tasks, self._undo = [], []

    # What troubles are made of

    def spell(
        self,
        begin: Callable[[], object],
        end: Callable[[], object],
        lengths: tuple[float, float, float] = SPELL,
        *,
        at_once: bool = False,
    ) -> None:
        """Let something begin at some moment of the run, and end after a while."""
        shortest, usual, longest = lengths
        since = 0.0 if at_once else self.dice.uniform(0.0, self.about)
        seconds = self.dice.triangular(shortest, longest, usual)
        self._tasks.append(asyncio.create_task(self._last(since, seconds, begin, end)))

    async def _last(
        self, since: float, seconds: float, begin: Callable[[], object], end: Callable[[], object]
    ) -> None:
        await asyncio.sleep(since)
        begin()
        self._undo.append(end)
        await asyncio.sleep(seconds)
        end()

    def until_the_end(self, undo: Callable[[], object]) -> None:
        """Undo something when the trouble is over."""
        self._undo.append(undo)

    def switch(self, name: str, lengths: tuple[float, float, float] = SPELL) -> None:
        """Let a named fault last for a spell."""
        faults = self.world.faults
        self.spell(lambda: faults.switch(name), lambda: faults.switch(name, value=False), lengths)

    def rates(self, *parties: str) -> None:
        """Let some of all calls to these parties fail."""
        faults, level = self.world.faults, self.dice.choice(LEVELS)
        more = {
            party: {k: level * RARE.get(k, 1.0) for k in KINDS[party] if RARE.get(k, 1.0)}
            for party in parties
        }
        faults.rates = {**faults.rates, **more}
        self.until_the_end(lambda: setattr(faults, "rates", {}))

    def node(self) -> SimulatedDroplet | None:
        """Return one of the media nodes that are on; None where there is none."""
        on = [d for d in self.estate.media(self.stack) if d.on]
        return self.dice.choice(on) if on else None

    def master(self) -> SimulatedDroplet:
        """Return one of the masters."""
        return self.dice.choice(self.estate.masters(self.stack))


def _ail(luck: BadLuck) -> None:
    """Give a media node a lasting fault: one that is there, or one that comes."""
    kind, node, faults = luck.dice.choice(AILMENTS), luck.node(), luck.world.faults
    name = node.name if node is not None else "*"
    detail = {"seconds": luck.dice.choice((3.0, 15.0))} if kind == "docker-slow" else {}
    luck.spell(
        lambda: faults.make_ill(name, kind, **detail),
        lambda: faults.heal(name, kind),
        LONG_SPELL,
    )


def _crash(luck: BadLuck) -> None:
    node, crashes = luck.node(), luck.estate.crashes
    if node is not None:
        waits = luck.dice.choice((5.0, 30.0, 60.0))
        luck.spell(
            lambda: crashes.begin(node, waits=waits) if node.on else None,
            lambda: crashes.end(node),
            LONG_SPELL,
        )


def _does_not_install(luck: BadLuck) -> None:
    share, dice = luck.dice.choice((0.3, 1.0)), luck.dice
    estate = luck.estate
    estate.install_fails = lambda _droplet: dice.random() < share
    luck.until_the_end(lambda: setattr(estate, "install_fails", lambda _droplet: False))


def _power_fails(luck: BadLuck) -> None:
    faults, dice = luck.world.faults, luck.dice
    shares = {"ignored": dice.choice((0.0, 0.1, 0.4)), "errored": dice.choice((0.1, 0.3))}
    faults.rates = {**faults.rates, "action": shares}
    luck.until_the_end(lambda: setattr(faults, "rates", {}))


def _slow_power(luck: BadLuck) -> None:
    """Let one droplet in three take much longer for every power action."""
    dice, estate = luck.dice, luck.estate
    slow: dict[int, float] = {}

    def pace(_kind: str, droplet: SimulatedDroplet) -> float:
        if droplet.id not in slow:
            slow[droplet.id] = dice.uniform(2.0, 12.0) if dice.random() < 1 / 3 else 1.0
        return slow[droplet.id]

    estate.pace = pace
    luck.until_the_end(lambda: setattr(estate, "pace", lambda _kind, _droplet: 1.0))


def _slow_masters(luck: BadLuck) -> None:
    """Let the masters take several times as long to become healthy, or never do by themselves."""
    factor = luck.dice.choice((2.0, 4.0, 8.0, 40.0))
    _stretch(luck, "master_ready", factor)


def _slow_nodes(luck: BadLuck) -> None:
    factor = luck.dice.uniform(2.0, 12.0)
    for field in ("media_install", "media_boot", "droplet_create"):
        _stretch(luck, field, factor)


def _slow_removal(luck: BadLuck) -> None:
    factor = luck.dice.uniform(2.0, 30.0)
    for field in ("pool_grace", "droplet_destroy", "drain_exit"):
        _stretch(luck, field, factor)


def _stretch(luck: BadLuck, field: str, factor: float) -> None:
    estate = luck.estate
    usual = getattr(estate.delays, field)
    estate.delays = replace(estate.delays, **{field: usual * factor})
    luck.until_the_end(lambda: setattr(estate, "delays", replace(estate.delays, **{field: usual})))


def _pool_fails(luck: BadLuck) -> None:
    estate = luck.estate
    pool = estate.pools.get(estate.clusters[luck.stack].pool_id)
    if pool is not None:
        scaler = estate.pool_scaler
        luck.spell(lambda: scaler.fail(pool), lambda: scaler.recover(pool), LONG_SPELL)


def _zero(luck: BadLuck) -> None:
    """Let DigitalOcean refuse a pool of 0, which it may do everywhere or nowhere."""
    luck.world.faults.switch("zero_refused")


def _dark_master(luck: BadLuck) -> None:
    faults, name = luck.world.faults, luck.master().name
    kind = luck.dice.choice(("refuse", "503"))
    rules: list[FaultRule] = []
    is_open = luck.estate.clusters[luck.stack].deployment == "high availability"

    def begin() -> None:
        # Where a firewall hides its page, its health is asked for by SSH.
        if is_open:
            rules.append(faults.add("web", kind, name, times=-1))
        else:
            rules.append(faults.add("ssh", "refuse", name, times=-1))

    def end() -> None:
        for rule in rules:
            faults.remove(rule)

    luck.spell(begin, end, LONG_SPELL)


def _autoscaler_long(luck: BadLuck) -> None:
    luck.estate.functions.run_seconds = luck.dice.uniform(30.0, 110.0)


def _other_hand(luck: BadLuck) -> None:
    """Let another administrator power off, or restart, a media node."""
    node, estate = luck.node(), luck.estate

    def act() -> None:
        if node is None or node.id not in estate.droplets or node.locked or not node.on:
            return
        with estate.by_administrator():
            estate.power.request(node.id, luck.dice.choice(("reboot", "power_off")))

    luck.spell(act, lambda: None)


TROUBLES: tuple[Trouble, ...] = (
    Trouble("DigitalOcean errors", 0.25, lambda luck: luck.rates("digitalocean")),
    Trouble("DigitalOcean not answering", 0.08, lambda luck: luck.switch("api_down")),
    Trouble("DigitalOcean's rate limit", 0.05, lambda luck: luck.switch("rate_limited")),
    Trouble("failed power actions", 0.08, _power_fails),
    Trouble("slow power actions", 0.12, _slow_power),
    Trouble("slow masters", 0.1, _slow_masters),
    Trouble("slow media nodes", 0.1, _slow_nodes),
    Trouble("slow removal of droplets", 0.08, _slow_removal),
    Trouble("no capacity", 0.08, lambda luck: luck.switch("no_capacity", LONG_SPELL)),
    Trouble("media nodes that do not install", 0.05, _does_not_install),
    Trouble("a pool in error", 0.03, _pool_fails),
    Trouble(REFUSED_ZERO, 0.06, _zero),
    Trouble("SSH errors", 0.12, lambda luck: luck.rates("ssh")),
    Trouble("SSH not answering", 0.07, lambda luck: luck.switch("ssh_down")),
    Trouble("a faulty media node", 0.12, _ail),
    Trouble("a crash-looping container", 0.05, _crash),
    Trouble("an unreachable master", 0.05, _dark_master),
    Trouble("an unreachable load balancer", 0.06, lambda luck: luck.switch("front_down")),
    Trouble("bucket errors", 0.06, lambda luck: luck.switch("spaces_down")),
    Trouble("a slow autoscaler", 0.1, _autoscaler_long),
    Trouble("someone else's change", 0.03, _other_hand),
)


def varied(delays: Delays, dice: random.Random, measured: frozenset[str]) -> Delays:
    """Return durations that differ from the usual, each by itself and all together.

    `measured`: those that this cluster's own runs have shown, which differ less.
    """
    together = dice.gauss(0.0, TOGETHER)
    values = {}
    for field in Delays.__dataclass_fields__:
        alone = dice.gauss(0.0, 1.0)
        shift = MEASURED * alone if field in measured else together + ALONE * alone
        values[field] = getattr(delays, field) * math.exp(shift)
    return Delays(**values)
