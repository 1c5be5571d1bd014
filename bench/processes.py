"""Measures bot processes: acknowledgement, start-up time, memory, size. Real sockets, real time."""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from bench.figures import Figure, Unmeasured
from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from tests.support.real_sockets import running_world
from tests.support.redis import running_redis, slow_door
from tests.support.tools import redis_server

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
RATE = 50.0
SECONDS = 30.0
SLOW_DIGITALOCEAN, SLOW_REDIS = 30.0, 0.05
ANSWER = 1.5
STARTS = 5
SETTLES = 5.0
WORDS = ("status", "runs", "help", "window list", "scale 5 --dry-run")
PEOPLE = ("UANA", "UBEN", "UCARLA", "UDORA")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Acks:
    """Milliseconds until acknowledgement; `lost` commands had none within Slack's three seconds."""

    times: tuple[float, ...]
    lost: int

    def at(self, percent: int) -> float:
        return statistics.quantiles(self.times, n=100, method="inclusive")[percent - 1]


@contextlib.asynccontextmanager
async def running(kind: str, world: DemoWorld) -> AsyncIterator[BotProcess]:
    """Run a bot, or the minimal app."""
    child = BotProcess(world.folder / f"{kind}.log")
    command = [sys.executable, "-m", "bench.bare", world.slack.api_url]
    if kind == "bot":
        command = world.bot_command()
    await child.start(command, world.bot_environment())
    try:
        yield child
    finally:
        await child.stop()


async def acks(kind: str, seconds: float, redis_url: str) -> Acks:
    """Send commands at a steady rate, without waiting for earlier ones."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_world(Path(folder), 1.0, redis_url=redis_url) as world,
            running(kind, world),
        ):
            await world.slack.sockets.until(bool)
            await asyncio.sleep(1.0)
            world.slack.slack.journal.entries.clear()
            world.environment.faults.add(
                "digitalocean", "delay", times=-1, seconds=SLOW_DIGITALOCEAN
            )
            times: list[float] = []
            lost = 0

            async def send(number: int) -> None:
                nonlocal lost
                human = world.slack.human(PEOPLE[number % len(PEOPLE)])
                began = time.perf_counter()
                failed = await human.type_text(OPS, f"/openvidu {WORDS[number % len(WORDS)]}")
                times.append((time.perf_counter() - began) * 1000)
                lost += failed is not None and failed.error

            pending: set[asyncio.Task[None]] = set()
            began = time.perf_counter()
            for number in range(int(RATE * seconds)):
                await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                task = asyncio.create_task(send(number))
                pending.add(task)
                task.add_done_callback(pending.discard)
            await asyncio.gather(*pending)
            return Acks(tuple(times), lost)


def answers(seconds: float = SECONDS) -> list[Figure]:
    """Measure the bot beside the minimal app, one after the other."""

    async def measure() -> tuple[Acks, Acks]:
        async with running_redis(redis_server()) as url, slow_door(url, SLOW_REDIS) as slow:
            bare = await acks("bare", seconds, slow)
            return await acks("bot", seconds, slow), bare

    bot, bare = asyncio.run(measure())
    group = (
        f"Acknowledging {RATE:.0f} commands a second for {seconds:.0f} s, "
        f"DigitalOcean {SLOW_DIGITALOCEAN:.0f} s and Redis 50 ms late"
    )
    beside = "a bare Bolt app that only acknowledges"
    return [
        Figure(group, "half of them within", bot.at(50), bare.at(50), "ms", beside),
        Figure(group, "99 of 100 within", bot.at(99), bare.at(99), "ms", beside, ANSWER),
        Figure(
            group,
            "not acknowledged in 3 s",
            bot.lost,
            max(bare.lost, 1),
            "",
            beside,
            1.0,
            count=True,
        ),
    ]


# Weight


@dataclass(frozen=True)
class Weight:
    """Seconds from the start of a process to its first socket, and megabytes resident when idle."""

    ready: float
    memory: float


async def weigh(kind: str) -> Weight:
    """Start it several times and return the best values, which other processes affect least."""
    ready: list[float] = []
    memory: list[float] = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as folder:
            async with running_world(Path(folder), 1.0) as world:
                began = time.perf_counter()
                async with running(kind, world) as child:
                    await world.slack.sockets.until(bool)
                    ready.append(time.perf_counter() - began)
                    await asyncio.sleep(SETTLES)
                    memory.append(resident(child.pid))
    return Weight(min(ready), min(memory))


def resident(pid: int) -> float:
    """Return the resident memory of a process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def installed(names: Sequence[str]) -> float:
    """Return the size on disk of these distributions and their dependencies, in megabytes."""
    seen: set[str] = set()
    todo = list(names)
    total = 0
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise Unmeasured(f"the size of {name}: it is not installed here") from None
        files = [Path(str(file.locate())) for file in distribution.files or ()]
        if not files:
            raise Unmeasured(f"the size of {name}: it has no list of its files")
        total += sum(path.stat().st_size for path in files if path.is_file())
        todo += [
            r.name
            for line in distribution.requires or ()
            if (r := Requirement(line)).marker is None or r.marker.evaluate({"extra": ""})
        ]
    return total / MEGABYTE


def our_requirements() -> list[str]:
    """Return the names of what the bot depends on.

    In a checkout the bot itself is no installed distribution; its own source is 2 MB.
    """
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    return [Requirement(line).name for line in project["dependencies"]]


def weights() -> list[Figure]:
    """Measure the bot beside the minimal app."""

    async def measure() -> tuple[Weight, Weight]:
        return await weigh("bot"), await weigh("bare")

    bot, bare = asyncio.run(measure())
    group, beside = "Weight", "a bare Bolt app"
    return [
        Figure(group, "process start to listening", bot.ready, bare.ready, "s", beside),
        Figure(group, "memory, idle", bot.memory, bare.memory, "MB", beside),
        Figure(
            group,
            "installed",
            installed(our_requirements()),
            installed(["slack-bolt", "aiohttp"]),
            "MB",
            "slack-bolt and aiohttp",
        ),
    ]
