"""Faults that need code of their own.

The state store, Slack's deliveries, spells of trouble, and the bot's crashes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from services.common.errors import Unreachable
from services.store import Commit, Store
from simulators.cloud import SimulatedDroplet
from simulators.digitalocean.odd_answers import NAMES as SHAPES
from simulators.slack.inprocess import Receive
from tests.campaign.other_admins import meddles
from tests.campaign.seed import AILMENTS, RETURNS, SeedSettings, dice_of
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene

T = TypeVar("T")
P = ParamSpec("P")
SETTLES = 60.0
"""Seconds after trouble in which something may still follow from it."""
DEAF = ("death", "deaf", "away", "nobody", "paused", "mute")
"""Trouble in which the bot cannot answer Slack in time."""
URL_LASTS = 1800.0
"""Seconds in which an answer may be sent to the response URL of a press."""
NOTICED = 5.0
"""Seconds until a crash is recorded here."""
LOOKS_EVERY = 2.0
"""Seconds between two looks whether a bot has crashed."""
SWITCHES = (
    "api_down",
    "rate_limited",
    "ssh_down",
    "spaces_down",
    "front_down",
    "no_capacity",
    "shutdown_ignored",
    "zero_refused",
)


@dataclass
class Trouble:
    """The present faults of what has no faults of its own."""

    dice: random.Random
    lost: float = 0.0
    slow: float = 0.0
    away: bool = False
    late: float = 0.0
    twice: float = 0.0
    half_open: bool = False
    on_commit: Callable[[Commit], None] = lambda _: None
    """Called with what was written, before the writer hears that it was."""
    on_acked: Callable[[str, Any], None] = lambda *_: None
    """Called with what was acknowledged."""

    @property
    def of_reads(self) -> bool:
        """Return whether anything may happen to what is read from the state."""
        return bool(self.away or self.slow or self.lost)

    def calm(self) -> None:
        """Remove all faults."""
        self.lost = self.slow = self.late = self.twice = 0.0
        self.away = self.half_open = False


class ShakyStore:
    """A state store over a network: away, slow, or its answer is lost after the write."""

    def __init__(self, store: Store, trouble: Trouble) -> None:
        self._store, self._trouble = store, trouble

    async def _do(self, work: Callable[P, Awaitable[T]], *args: P.args, **more: P.kwargs) -> T:
        trouble = self._trouble
        if trouble.slow and trouble.dice.random() < trouble.slow:
            await asyncio.sleep(trouble.dice.uniform(0.2, 8.0))
        if trouble.away:
            await asyncio.sleep(trouble.dice.uniform(0.0, 5.0))
            raise Unreachable("asking Redis: ConnectionError")
        result = await work(*args, **more)
        if trouble.lost and trouble.dice.random() < trouble.lost:
            raise Unreachable("asking Redis: TimeoutError")
        return result

    async def get(self, *keys: str) -> list[str | None]:
        if self._trouble.of_reads:
            return await self._do(self._store.get, *keys)
        return await self._store.get(*keys)

    async def commit(self, commit: Commit) -> bool:
        return await self._do(self._written, commit)

    async def _written(self, commit: Commit) -> bool:
        done = await self._store.commit(commit)
        if done:
            self._trouble.on_commit(commit)
        return done

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        if self._trouble.of_reads:
            return await self._do(self._store.read, log, start, count)
        return await self._store.read(log, start, count)

    async def tail(self, log: str, count: int) -> list[str]:
        return await self._do(self._store.tail, log, count)

    async def length(self, log: str) -> int:
        return await self._do(self._store.length, log)

    async def names(self, start: str) -> list[str]:
        return await self._do(self._store.names, start)

    async def logs(self, start: str) -> list[str]:
        return await self._do(self._store.logs, start)

    async def tidy(self) -> None:
        await self._do(self._store.tidy)

    async def aclose(self) -> None:
        """The state outlives its users."""


def shaky_road(receive: Receive, trouble: Trouble) -> Receive:
    """Slack's deliveries over a socket that may be half-open, late, or deliver twice."""
    again: set[asyncio.Task[Any]] = set()

    async def deliver_again(kind: str, payload: Any) -> None:
        await asyncio.sleep(trouble.dice.uniform(0.0, 30.0))
        await receive(kind, payload)

    async def deliver(kind: str, payload: Any) -> Any:
        if trouble.half_open:
            await asyncio.sleep(3600)
            return None  # It never arrives.
        if trouble.twice and trouble.dice.random() < trouble.twice:
            task = asyncio.create_task(deliver_again(kind, payload))
            again.add(task)
            task.add_done_callback(again.discard)
        if trouble.late and trouble.dice.random() < trouble.late:
            await asyncio.sleep(trouble.dice.uniform(0.5, 30.0))
        answer = await receive(kind, payload)
        trouble.on_acked(kind, payload)
        return answer

    return deliver


class TroubleLog:
    """When there was trouble: it excuses only what happened meanwhile, or a moment later."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[int, tuple[str, float]] = {}
        self._past: list[tuple[str, float, float]] = []
        self._count = 0

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """Record trouble of this kind while it lasts."""
        key = self._count = self._count + 1
        self._open[key] = kind, self._now()
        try:
            yield
        finally:
            _, began = self._open.pop(key)
            self._past.append((kind, began, self._now()))

    def spans(self, *kinds: str) -> list[tuple[float, float]]:
        """Return begin and end of each; of every kind when none is given."""
        return [(began, ended) for kind, began, ended in self.kinds() if not kinds or kind in kinds]

    def kinds(self) -> list[tuple[str, float, float]]:
        """Return all trouble so far, with its kind."""
        now = self._now()
        return [*self._past, *((kind, began, now) for kind, began in self._open.values())]

    def excuses(self, at: float, *kinds: str) -> bool:
        """Return whether something that happened then may follow from such trouble."""
        return any(began - NOTICED <= at <= ended + SETTLES for began, ended in self.spans(*kinds))

    def note(self, kind: str) -> None:
        """Record something that has happened, and is over."""
        self._past.append((kind, self._now(), self._now()))

    def begun(self, since: float, until: float, *kinds: str) -> bool:
        """Return whether such trouble began then."""
        return any(since <= began <= until for began, _ in self.spans(*kinds))

    def calm_for(self, began: float, ended: float, but: tuple[str, ...] = ()) -> float:
        """Return the longest stretch in between without any trouble, in seconds.

        `but` is no excuse.
        """
        longest, at = 0.0, began
        for start, end in sorted((b, e) for kind, b, e in self.kinds() if kind not in but):
            if end + SETTLES < began or start > ended:
                continue
            longest, at = max(longest, start - at), max(at, end + SETTLES)
        return max(longest, ended - at)

    def overlap(self, began: float, ended: float, *kinds: str) -> float:
        """Return for how much of that time there was such trouble."""
        return sum(max(0.0, min(e, ended) - max(b, began)) for b, e in self.spans(*kinds))


class Chaos:
    """Makes trouble until it is over; from then on everything works, and every run must end.

    One class although it is long: each method is one kind of trouble, and all share the log, the
    dice and the end.
    """

    def __init__(
        self, luck: SeedSettings, scene: Scene, trouble: Trouble, memory: MemoryStore
    ) -> None:
        self._luck, self._scene, self._trouble, self._memory = luck, scene, trouble, memory
        self._dice = dice_of(luck.seed, "storm")
        self._deaths = luck.deaths
        self.over = False
        self._calmed = asyncio.Event()
        self.lost_writes = 0
        self.log = TroubleLog(scene.clock.now)
        self.returns = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._undo: list[Callable[[], object]] = []

    async def __aenter__(self) -> "Chaos":
        works = [self._passes(), self._keeps_alive(), self._counts_the_dead(), self._spells()]
        if self._luck.hands:
            works.append(
                meddles(self._scene, dice_of(self._luck.seed, "hands"), self._luck, self.log)
            )
        if self._luck.ill:
            works.append(self._is_ill())
        if self._luck.glitch is not None:
            self._glitch(*self._luck.glitch)
        self._tasks = [asyncio.create_task(work) for work in works]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()

    def _glitch(self, party: str, kind: str, match: str) -> None:
        detail = {"commands": self._dice.randint(1, 8)} if kind == "ended-early" else {}
        share = self._dice.random()
        self._scene.environment.faults.add(
            party,  # type: ignore[arg-type]
            kind,
            match,
            times=1,
            skip=self._luck.glitch_after,
            share=share,
            **detail,
        )

    @property
    def glitch_only(self) -> str:
        """Return the one fault of a story without others, once it has hit."""
        return (
            " ".join(self._luck.glitch)
            if self._luck.glitch and self._scene.environment.faults.hits
            else ""
        )

    @property
    def fair(self) -> bool:
        """Whether the story has no faults of its own."""
        return self._luck.calm

    def birth(self) -> int | None:
        """Return when the next bot crashes: after so many calls to the outside."""
        if self.over or self._deaths <= 0:
            return None
        self._deaths -= 1
        return self._dice.randint(1, self._dice.choice((60, 400, 2000)))

    def shaken(self, at: float) -> bool:
        """Return whether there were faults then."""
        return not self._luck.calm and self.log.excuses(at, "storm", "node")

    def excused(self, at: float, problem: str) -> bool:
        """Return whether Slack may complain of this.

        Slack itself was late or away, or no bot was there to answer.
        """
        luck, shaken = self._luck, self.shaken(at)
        if (
            "trigger_id" in problem
        ):  # Slack itself repeats events only; a repeated command repeats its trigger.
            return (shaken and bool(luck.late or luck.twice or luck.slack)) or self.log.excuses(
                at, *DEAF
            )
        if "not acked" in problem:
            return (shaken and bool(luck.late or luck.slow_state)) or self.log.excuses(at, *DEAF)
        if "used_url" in problem:  # How often a URL was used is lost with the bot that used it.
            others = self.log.begun(at - URL_LASTS, at, "death", "nobody", "paused")
            return shaken and (luck.second_bot or others)
        return "ratelimited" in problem and (shaken or self.log.excuses(at))

    async def _passes(self) -> None:
        if self._luck.calm:
            await asyncio.sleep(self._luck.storm)
        else:
            with self.log.of("storm"):
                await asyncio.sleep(self._luck.storm)
        self.calm()

    def calm(self) -> None:
        """End all of it."""
        self.over = True
        self._calmed.set()
        self._trouble.calm()
        self._scene.environment.faults.clear()
        self._scene.slack.faults.rates = {}
        for mend in self._undo:
            mend()
        self._undo = []
        for life in self._scene.crash_injectors:
            life.die_at = None
            life.go_on()

    async def _keeps_alive(self) -> None:
        if self._luck.second_bot:
            await asyncio.sleep(self._dice.uniform(0, 60))
            await self._scene.start_bot(self.birth())
        async for _ in self._looks_after_deaths():
            if all(life.is_dead for life in self._scene.crash_injectors):
                with self.log.of("nobody"):
                    seconds, often = zip(*RETURNS, strict=True)
                    await asyncio.sleep(self._dice.choices(seconds, often)[0])
                    await self._scene.start_bot(self.birth())
                self.returns += 1

    async def _counts_the_dead(self) -> None:
        dead = 0
        async for _ in self._looks_after_deaths():
            if self.over:
                return
            for _ in range(dead, dead := sum(life.is_dead for life in self._scene.crash_injectors)):
                self.log.note("death")

    async def _looks_after_deaths(self) -> AsyncIterator[None]:
        """Look every two seconds, as a supervisor does, whether there is a death to see."""
        loop = asyncio.get_running_loop()
        death, began = asyncio.Event(), loop.time()
        self._scene.on_death.append(death.set)
        while True:
            await death.wait()
            death.clear()
            await asyncio.sleep(LOOKS_EVERY - (loop.time() - began) % LOOKS_EVERY)
            yield
            began = loop.time()

    async def _spells(self) -> None:
        for _ in range(self._luck.spells):
            await asyncio.sleep(self._dice.uniform(0, self._luck.storm / 2))
            if self.over:
                return
            spell = self._dice.choices(*zip(*self._kinds_of_spells(), strict=True))[0]
            await spell(self._dice.uniform(5, 240))
        if self._luck.failovers:
            await self._fail_over()

    def _kinds_of_spells(self) -> list[tuple[Callable[[float], Awaitable[None]], int]]:
        return [
            (self._switch, 6), (self._away, 2), (self._deaf, 2), (self._mute, 2), (self._pause, 2),
            (self._ail, 8), (self._crash, 1), (self._odd, 2), (self._pool_fails,
            2 if self._luck.kind == "pool" else 0), (self._archived, 1),
        ]  # fmt: skip

    @contextmanager
    def _until_it_is_over(self, kind: str, undo: Callable[[], object]) -> Iterator[None]:
        """End trouble at the storm's end, whatever comes first; and then only once."""
        mended = False

        def mend() -> None:
            nonlocal mended
            if not mended:
                mended = True
                undo()

        self._undo.append(mend)
        try:
            with self.log.of(kind):
                yield
        finally:
            mend()

    async def _lasts(self, seconds: float) -> None:
        """Wait that long, or until the storm is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._calmed.wait(), seconds)

    async def _switch(self, seconds: float) -> None:
        name, faults = self._dice.choice(SWITCHES), self._scene.environment.faults
        faults.switch(name)
        with self._until_it_is_over("cloud", lambda: faults.switch(name, value=False)):
            await self._lasts(seconds)

    async def _away(self, seconds: float) -> None:
        self._trouble.away = True
        with self.log.of("away"):
            await asyncio.sleep(seconds)
        self._trouble.away = False

    async def _deaf(self, seconds: float) -> None:
        self._trouble.half_open = True
        with self.log.of("deaf"):
            await asyncio.sleep(min(seconds, 60))
        self._trouble.half_open = False

    async def _mute(self, seconds: float) -> None:
        before, self._scene.slack.faults.rates = self._scene.slack.faults.rates, {"500": 1.0}
        with self.log.of("mute"):
            await asyncio.sleep(seconds)
        self._scene.slack.faults.rates = {} if self.over else before

    async def _pause(self, seconds: float) -> None:
        """SIGSTOP.

        The lease expires, another bot takes over, and the first one continues in the middle of its
        work.
        """
        sleeper = self._scene.crash_injectors[-1]
        sleeper.pause()
        with self.log.of("paused"):
            await asyncio.sleep(seconds / 2)
            if seconds > 60:
                await self._scene.start_bot(self.birth())
            await asyncio.sleep(seconds / 2)
        sleeper.go_on()

    async def _fail_over(self) -> None:
        self._trouble.away = True
        with self.log.of("away"):
            self.lost_writes += self._memory.lose(self._dice.uniform(0.1, 2.0))
            await asyncio.sleep(self._dice.uniform(1, 15))
        self._trouble.away = False

    # --- nodes, the cloud's answers, channels

    async def _is_ill(self) -> None:
        await asyncio.sleep(2)
        estate = self._scene.estate
        nodes = [d for d in estate.media("acme") if d.on]
        if nodes:
            node = max(nodes, key=lambda d: (sum(m.people for m in estate.meetings_on(d.id)), d.id))
            await self._has(node, self._luck.ill, self._luck.storm)

    async def _ail(self, seconds: float) -> None:
        """Give a node a fault for longer than any session."""
        await self._has(self._a_node(), self._dice.choice(AILMENTS), seconds * 3)

    async def _has(self, node: SimulatedDroplet, kind: str, seconds: float) -> None:
        faults = self._scene.environment.faults
        detail = {"seconds": self._dice.choice((3.0, 15.0))} if kind == "docker-slow" else {}
        faults.make_ill(node.name, kind, **detail)
        with self._until_it_is_over("node", lambda: faults.heal(node.name, kind)):
            await self._lasts(seconds)

    def _a_node(self) -> SimulatedDroplet:
        estate = self._scene.estate
        stack = self._dice.choice(list(estate.clusters))
        media, masters = estate.media(stack), estate.masters(stack)
        return self._dice.choice(media if media and self._dice.random() < 0.85 else masters)

    async def _crash(self, seconds: float) -> None:
        """Let a media server crash again and again.

        Its meetings are lost, and no one is to blame.
        """
        node, crashes = self._a_node(), self._scene.estate.crashes
        self._scene.estate.settle()
        if not node.is_media or not node.on:
            return
        crashes.begin(node, waits=self._dice.choice((5.0, 30.0)))
        with self._until_it_is_over("node", lambda: crashes.end(node)):
            await self._lasts(seconds)

    async def _odd(self, seconds: float) -> None:
        """Give every answer of one kind an unexpected shape."""
        faults = self._scene.environment.faults
        where = self._dice.choice(
            ("GET /v2/droplets/autoscale", "GET /v2/droplets", "/actions", "/members")
        )
        rule = faults.add(
            "digitalocean", "odd-shape", where, times=-1, shape=self._dice.choice(("", *SHAPES))
        )
        with self._until_it_is_over("cloud", lambda: faults.remove(rule)):
            await self._lasts(seconds)

    async def _pool_fails(self, seconds: float) -> None:
        scaling, pools = self._scene.estate.pool_scaler, list(self._scene.estate.pools.values())
        if not pools:
            return
        pool = self._dice.choice(pools)
        if pool.status == "active":
            scaling.fail(pool, self._dice.choice(("error", "deleting")))
            with self._until_it_is_over("cloud", lambda: scaling.recover(pool)):
                await self._lasts(seconds)

    async def _archived(self, seconds: float) -> None:
        """Archive the channel for a while, or remove the bot from it."""
        place = self._scene.slack.workspace
        if self._dice.random() < 0.5:
            place.archive("COPS")
        else:
            place.leave("COPS")

        def back() -> None:
            place.channel("COPS").is_archived = False
            place.join("COPS")

        with self._until_it_is_over("mute", back):
            await self._lasts(seconds)
