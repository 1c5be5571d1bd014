"""Measures bot processes: acknowledgement, start-up time, memory, size. Real sockets, real time."""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from bench.figures import Figure, Unmeasured
from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from tests.support.real_sockets import running_world
from tests.support.redis import running_redis, slow_door
from tests.support.runtime import compile_all, install, our_requirements, size_of, slim
from tests.support.tools import redis_server

RATE = 50.0
SECONDS = 30.0
SLOW_DIGITALOCEAN, SLOW_REDIS = 30.0, 0.05
ANSWER = 1.5
STARTS = 5
SETTLES = 5.0
WORDS = ("status", "runs", "help", "window list", "scale 5 --dry-run")
PEOPLE = ("UANA", "UBEN", "UCARLA", "UDORA")
# As the image and the systemd unit set it, for both of what is compared.
AS_DEPLOYED = {"MALLOC_ARENA_MAX": "1"}
MEGABYTE = 1024 * 1024
# Promised, beside the minimal app: 0.8 of the start of 2026-11-25 (0.967 s beside 0.282 s), 90 MB
# beside 43.2 MB, and 80 MB beside 18.6 MB.
READY, IDLE, INSTALLED = 2.74, 2.08, 4.3


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
    await child.start(command, {**world.bot_environment(), **AS_DEPLOYED})
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
    """Seconds from the start of a process to its first socket, and megabytes resident.

    `idle`: when it has had no request; `working`: after one about its cluster, which loads all
    clients.
    """

    ready: float
    idle: float
    working: float


async def weigh(kind: str) -> Weight:
    """Start it several times and return the best values, which other processes affect least."""
    found = [await _weigh_once(kind) for _ in range(STARTS)]
    return Weight(
        min(each.ready for each in found),
        min(each.idle for each in found),
        min(each.working for each in found),
    )


async def _weigh_once(kind: str) -> Weight:
    with tempfile.TemporaryDirectory() as folder:
        async with running_world(Path(folder), 1.0) as world:
            began = time.perf_counter()
            async with running(kind, world) as child:
                await world.slack.sockets.until(bool)
                ready = time.perf_counter() - began
                await asyncio.sleep(SETTLES)
                idle = resident(child.pid)
                await world.slack.human("UANA").type_text(OPS, "/openvidu status")
                await asyncio.sleep(SETTLES)
                return Weight(ready, idle, resident(child.pid))


def resident(pid: int) -> float:
    """Return the resident memory of a process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def installed(names: Sequence[str], *, slimmed: bool = False) -> float:
    """Return the megabytes of these distributions and their dependencies, compiled.

    Unmeasured if one is missing here: its size is not known. In a checkout the bot itself
    is no distribution; its own source is 2 MB.
    """
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        try:
            install(names, site)
        except PackageNotFoundError as missing:
            raise Unmeasured(f"what is installed: {missing}") from None
        if slimmed:
            slim(site)
        compile_all(site)
        return size_of(site) / MEGABYTE


def weights() -> list[Figure]:
    """Measure the bot beside the minimal app."""

    async def measure() -> tuple[Weight, Weight]:
        return await weigh("bot"), await weigh("bare")

    bot, bare = asyncio.run(measure())
    ours, theirs = our_requirements(), installed(["slack-bolt", "aiohttp"])
    group, beside, packages = "Weight", "a bare Bolt app", "slack-bolt and aiohttp"
    return [
        Figure(group, "process start to listening", bot.ready, bare.ready, "s", beside, READY),
        Figure(group, "memory, idle", bot.idle, bare.idle, "MB", beside, IDLE),
        Figure(group, "memory, all clients in use", bot.working, bare.working, "MB", beside),
        Figure(
            group,
            "installed in the image",
            installed(ours, slimmed=True),
            theirs,
            "MB",
            packages,
            INSTALLED,
        ),
        Figure(group, "installed by pip", installed(ours), theirs, "MB", packages),
    ]
