"""The bad luck that needs hands: the state store, Slack's road to the bot, spells of trouble, and the bot's deaths."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from services.errors import Unreachable
from services.store import Commit, Store
from simulators.slack.inprocess import Receive
from tests.campaign.luck import Luck, dice_of
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene

T = TypeVar("T")
SWITCHES = ("api_down", "rate_limited", "ssh_down", "spaces_down", "front_down", "no_capacity", "shutdown_ignored", "zero_refused")


@dataclass
class Trouble:
    """How bad it is at this moment, for what has no faults of its own."""

    dice: random.Random
    lost: float = 0.0
    slow: float = 0.0
    away: bool = False
    late: float = 0.0
    twice: float = 0.0
    half_open: bool = False

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.lost = self.slow = self.late = self.twice = 0.0
        self.away = self.half_open = False


class ShakyStore:
    """A state store over a network: away, slow, or its reply is lost after it did what it was told."""

    def __init__(self, store: Store, trouble: Trouble) -> None:
        self._store, self._trouble = store, trouble

    async def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        trouble = self._trouble
        if trouble.slow and trouble.dice.random() < trouble.slow:
            await asyncio.sleep(trouble.dice.uniform(0.2, 8.0))
        if trouble.away:
            await asyncio.sleep(trouble.dice.uniform(0.0, 5.0))
            raise Unreachable("asking Redis: ConnectionError")
        result = await work()
        if trouble.lost and trouble.dice.random() < trouble.lost:
            raise Unreachable("asking Redis: TimeoutError")
        return result

    async def get(self, *keys: str) -> list[str | None]:
        return await self._do(lambda: self._store.get(*keys))

    async def commit(self, commit: Commit) -> bool:
        return await self._do(lambda: self._store.commit(commit))

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        return await self._do(lambda: self._store.read(log, start, count))

    async def tail(self, log: str, count: int) -> list[str]:
        return await self._do(lambda: self._store.tail(log, count))

    async def length(self, log: str) -> int:
        return await self._do(lambda: self._store.length(log))

    async def names(self, start: str) -> list[str]:
        return await self._do(lambda: self._store.names(start))

    async def logs(self, start: str) -> list[str]:
        return await self._do(lambda: self._store.logs(start))

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
        if trouble.twice and trouble.dice.random() < trouble.twice:
            task = asyncio.create_task(deliver_again(kind, payload))
            again.add(task)
            task.add_done_callback(again.discard)
        if trouble.late and trouble.dice.random() < trouble.late:
            await asyncio.sleep(trouble.dice.uniform(0.5, 30.0))
        return await receive(kind, payload)

    return deliver


class Storm:
    """Makes trouble until it is over; from then on everything works, and what was begun must come to its end."""

    def __init__(self, luck: Luck, scene: Scene, trouble: Trouble, memory: MemoryStore) -> None:
        self._luck, self._scene, self._trouble, self._memory = luck, scene, trouble, memory
        self._dice = dice_of(luck.seed, "storm")
        self._deaths = luck.deaths
        self.over = False
        self.lost_writes = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Storm":
        self._tasks = [asyncio.create_task(work) for work in (self._passes(), self._keeps_alive(), self._spells())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()

    def birth(self) -> int | None:
        """When the next bot dies: after so many things that it does outside itself."""
        if self.over or self._deaths <= 0:
            return None
        self._deaths -= 1
        return self._dice.randint(1, self._dice.choice((60, 400, 2000)))

    def excuses(self) -> tuple[str, ...]:
        """What Slack may complain of, because it was Slack that was late or away, or because nobody was there to answer."""
        luck = self._luck
        if luck.calm:
            return ()
        late = luck.late or luck.spells or luck.deaths
        used = late or luck.twice  # Slack itself repeats events only; whoever repeats a command repeats its trigger
        return ("ratelimited", *(("not acked",) if late else ()), *(("trigger_id",) if used else ()))

    async def _passes(self) -> None:
        await asyncio.sleep(self._luck.storm)
        self.calm()

    def calm(self) -> None:
        """It is over."""
        self.over = True
        self._trouble.calm()
        self._scene.town.faults.calm()
        self._scene.slack.faults.rates = {}
        for life in self._scene.lives:
            life.die_at = None
            life.go_on()

    async def _keeps_alive(self) -> None:
        if self._luck.second_bot:
            await asyncio.sleep(self._dice.uniform(0, 60))
            await self._scene.start_bot(self.birth())
        while True:
            await asyncio.sleep(2)
            if all(life.dead for life in self._scene.lives):
                await asyncio.sleep(self._dice.choice((0, 5, 45)))
                await self._scene.start_bot(self.birth())

    async def _spells(self) -> None:
        for _ in range(self._luck.spells):
            await asyncio.sleep(self._dice.uniform(0, self._luck.storm / 2))
            if self.over:
                return
            spell = self._dice.choice((self._switch, self._switch, self._switch, self._away, self._deaf, self._mute, self._pause))
            await spell(self._dice.uniform(5, 240))
        if self._luck.failovers:
            await self._fail_over()

    async def _switch(self, seconds: float) -> None:
        name, faults = self._dice.choice(SWITCHES), self._scene.town.faults
        faults.switch(name)
        await asyncio.sleep(seconds)
        faults.switch(name, value=False)

    async def _away(self, seconds: float) -> None:
        self._trouble.away = True
        await asyncio.sleep(seconds)
        self._trouble.away = False

    async def _deaf(self, seconds: float) -> None:
        self._trouble.half_open = True
        await asyncio.sleep(min(seconds, 60))
        self._trouble.half_open = False

    async def _mute(self, seconds: float) -> None:
        before, self._scene.slack.faults.rates = self._scene.slack.faults.rates, {"500": 1.0}
        await asyncio.sleep(seconds)
        self._scene.slack.faults.rates = {} if self.over else before

    async def _pause(self, seconds: float) -> None:
        """SIGSTOP: the lease runs out, somebody else takes over, and the sleeper wakes up in the middle of what it was doing."""
        sleeper = self._scene.lives[-1]
        sleeper.pause()
        await asyncio.sleep(seconds / 2)
        if seconds > 60:
            await self._scene.start_bot(self.birth())
        await asyncio.sleep(seconds / 2)
        sleeper.go_on()

    async def _fail_over(self) -> None:
        self._trouble.away = True
        self.lost_writes += self._memory.lose(self._dice.uniform(0.1, 2.0))
        await asyncio.sleep(self._dice.uniform(1, 15))
        self._trouble.away = False
