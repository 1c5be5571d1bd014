"""Faults: bots and Redis killed or frozen, sockets dropped or silent, failing Slack and cloud."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Coroutine, Iterator

from bot.demo.bot_process import BotProcess
from bot.demo.world import DemoWorld
from simulators.slack.faults import SlackFault
from tests.e2e.chaos.tally import ChaosTally
from tests.support.sentinel import Server

BOTS = 3
BETWEEN = (1.0, 4.0)
ENDS_WELL = (0, -signal.SIGTERM)  # asked before it could listen, a bot ends by the signal itself


class Crew:
    """The bots; each one that dies is restarted."""

    def __init__(self, world: DemoWorld) -> None:
        self._world = world
        self.bots = [BotProcess(world.folder / f"bot{n}.log") for n in range(BOTS)]
        self.frozen: set[int] = set()

    async def start(self, number: int) -> None:
        """Start one."""
        await self.bots[number].start(self._world.bot_command(), self._world.bot_environment())

    def send(self, number: int, what: signal.Signals) -> None:
        """A signal to this very process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.bots[number].pid, what)

    def thaw(self) -> None:
        """Resume every frozen process."""
        for number in list(self.frozen):
            self.send(number, signal.SIGCONT)
        self.frozen.clear()

    async def all_up(self) -> None:
        """Start every bot that is not running."""
        self.thaw()
        for number, bot in enumerate(self.bots):
            if not bot.alive:
                await self.start(number)

    async def stop(self) -> list[int]:
        """Ask all to stop; their exit codes."""
        self.thaw()
        return list(await asyncio.gather(*(bot.stop() for bot in self.bots)))


class Storm:
    """Inject faults until cancelled; several can overlap, but never two at one victim."""

    def __init__(
        self, world: DemoWorld, crew: Crew, redis: Server, dice: random.Random, tally: ChaosTally
    ) -> None:
        self._world, self._crew, self._redis, self._dice, self._tally = (
            world,
            crew,
            redis,
            dice,
            tally,
        )
        self._victims: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def rage(self) -> None:
        """Until cancelled."""
        strikes: list[tuple[Callable[[], Coroutine[None, None, None]], int]] = [
            (self._kill_a_bot, 6),
            (self._freeze_a_bot, 5),
            (self._stop_a_bot, 2),
            (self._kill_redis, 3),
            (self._freeze_redis, 2),
            (self._cut_the_sockets, 3),
            (self._silence_the_sockets, 2),
            (self._refresh_the_sockets, 1),
            (self._trouble_slack, 3),
            (self._trouble_digitalocean, 3),
            (self._trouble_ssh, 2),
        ]
        while True:
            await asyncio.sleep(self._dice.uniform(*BETWEEN))
            strike = self._dice.choices([s for s, _ in strikes], [n for _, n in strikes])[0]
            task = asyncio.create_task(strike())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def calm(self) -> None:
        """What was broken is whole again."""
        await asyncio.gather(*list(self._tasks))
        self._world.slack.slack.faults.calls.clear()
        self._world.environment.faults.rules.clear()

    @contextlib.contextmanager
    def _victim(self, who: object) -> Iterator[bool]:
        """Reserve a victim for the length of the block; False if it is reserved already."""
        free = who not in self._victims
        if free:
            self._victims.add(who)
        try:
            yield free
        finally:
            if free:
                self._victims.discard(who)

    async def _kill_a_bot(self) -> None:
        number = self._dice.randrange(BOTS)
        with self._victim(number) as free:
            if free and self._crew.bots[number].kill():
                self._tally.faults["bot killed"] += 1
                await self._crew.bots[number].wait()
                await asyncio.sleep(self._dice.uniform(0.1, 2.0))
                await self._crew.start(number)

    async def _freeze_a_bot(self) -> None:
        number = self._dice.randrange(BOTS)
        with self._victim(number) as free:
            if free and self._crew.bots[number].alive:
                self._tally.faults["bot frozen"] += 1
                self._crew.frozen.add(number)
                self._crew.send(number, signal.SIGSTOP)
                await asyncio.sleep(self._dice.uniform(0.3, 4.0))
                self._crew.thaw()

    async def _stop_a_bot(self) -> None:
        number = self._dice.randrange(BOTS)
        with self._victim(number) as free:
            if free and self._crew.bots[number].alive:
                self._tally.faults["bot stopped"] += 1
                code = await self._crew.bots[number].stop()
                if code not in ENDS_WELL:
                    self._tally.problems.append(f"a bot that was asked to stop ended with {code}")
                await self._crew.start(number)

    async def _kill_redis(self) -> None:
        with self._victim("redis") as free:
            if free:
                self._tally.faults["redis killed"] += 1
                self._redis.stop()
                await asyncio.sleep(self._dice.uniform(0.1, 2.5))
                self._redis.launch()

    async def _freeze_redis(self) -> None:
        with self._victim("redis") as free:
            if free:
                self._tally.faults["redis frozen"] += 1
                self._redis.signal(signal.SIGSTOP)
                await asyncio.sleep(self._dice.uniform(0.2, 2.0))
                self._redis.signal(signal.SIGCONT)

    async def _cut_the_sockets(self) -> None:
        self._tally.faults["sockets cut"] += 1
        self._world.slack.sockets.reset()

    async def _silence_the_sockets(self) -> None:
        self._tally.faults["sockets silent"] += 1
        self._world.slack.sockets.fall_silent()

    async def _refresh_the_sockets(self) -> None:
        with self._victim("sockets") as free:
            if free:
                self._tally.faults["sockets refreshed"] += 1
                await self._world.slack.sockets.refresh(0.1)

    async def _trouble_slack(self) -> None:
        self._tally.faults["Slack in trouble"] += 1
        method = self._dice.choice(["*", "chat.update", "chat.postMessage", "users.info"])
        fault = self._dice.choice(
            [
                SlackFault(method, 3, status=503),
                SlackFault(method, 3, status=429),
                SlackFault(method, 2, lost=True),
            ]
        )
        self._world.slack.slack.faults.add(fault)

    async def _trouble_digitalocean(self) -> None:
        self._tally.faults["DigitalOcean in trouble"] += 1
        kind = self._dice.choice(
            [
                "429-minute",
                "500-before",
                "503-after",
                "reset-before",
                "reset-after",
                "html-502",
                "delay",
            ]
        )
        self._world.environment.faults.add(
            "digitalocean",
            kind,
            times=self._dice.randint(1, 5),
            seconds=self._dice.uniform(1.0, 20.0),
        )

    async def _trouble_ssh(self) -> None:
        self._tally.faults["SSH in trouble"] += 1
        kind = self._dice.choice(["refuse", "cut-before", "cut-after", "cut-middle"])
        self._world.environment.faults.add(
            "ssh", kind, times=self._dice.randint(1, 3), commands=self._dice.randint(0, 6)
        )
