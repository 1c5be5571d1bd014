"""Measures several bots that share many clusters over a real Redis, each a process of its own."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bench.figures import PROCESSOR_TIME, REAL_TIME, Figure, Unmeasured
from bench.many import ManyClusters, RunningBot, running_bots
from services.runs.locks import TTL as LEASE
from tests.support.redis import running_redis
from tests.support.tools import redis_server

CLUSTERS, BOTS = 1000, 3
WATCHED = 60.0
SETTLES_WITHIN = 240.0
CORE, TICK = 0.15, 10.0
LOOK_EVERY = 1.0
IN_SCRIPT = ("get", "set", "del", "expire", "rpush", "ltrim")


@dataclass(frozen=True)
class Shared:
    """What bots cost each, and what they ask of Redis. `core` and `redis_core`: parts of a core."""

    core: float
    round: float
    commands: float
    redis_core: float
    driverless: float | None = None


async def share(number: int, bots: int) -> Shared:
    """Let idle bots share so many clusters for a while, and kill one of several at the end."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_redis(redis_server()) as url:
            world = ManyClusters(Path(folder), number, url)
            await world.start()
            server = Redis.from_url(url)
            try:
                async with running_bots(world, bots) as running:
                    await until_settled(running, number)
                    shared = await watch(running, server)
                    if bots == 1:
                        return shared
                    return await without_one(running, number, shared)
            finally:
                await server.aclose()
                await world.stop()


async def until_settled(bots: Sequence[RunningBot], number: int) -> None:
    """Wait until every cluster has a driver, all are looked at, and rounds are short."""

    async def settled() -> bool:
        return await driven(bots) == number and await longest_round(bots) < TICK / 2

    await until(settled, SETTLES_WITHIN, "the bots do not come to rest")
    await asyncio.sleep(2 * TICK)  # what they do once after their start
    await until(settled, SETTLES_WITHIN, "the bots do not come to rest")


async def driven(bots: Sequence[RunningBot]) -> float:
    """Return how many clusters the bots drive together."""
    return sum([await bot.metric("openvidu_bot_clusters_driven") for bot in bots])


async def longest_round(bots: Sequence[RunningBot]) -> float:
    """Return the longest of the last rounds."""
    return max([await bot.metric("openvidu_bot_round_seconds") for bot in bots])


async def watch(bots: Sequence[RunningBot], server: Redis) -> Shared:
    """Watch them for a while."""
    rounds: list[float] = []
    began, computed = time.monotonic(), [bot.processor_seconds() for bot in bots]
    before = await server.info("all")
    while time.monotonic() - began < WATCHED:
        await asyncio.sleep(TICK)
        rounds.append(await longest_round(bots))  # which is a scrape of their metrics, too
    after, seconds = await server.info("all"), time.monotonic() - began
    used = [bot.processor_seconds() - first for bot, first in zip(bots, computed, strict=True)]
    redis = sum(
        float(after[f"used_cpu_{kind}"]) - float(before[f"used_cpu_{kind}"])
        for kind in ("user", "sys")
    )
    commands = sent(after) - sent(before)
    return Shared(max(used) / seconds, max(rounds), commands / seconds, redis / seconds)


def sent(info: Mapping[str, Any]) -> int:
    """Return how many commands were sent; what a commit's script calls is not counted again."""
    return sum(
        int(stats["calls"])
        for name, stats in info.items()
        if name.startswith("cmdstat_") and name.removeprefix("cmdstat_") not in IN_SCRIPT
    )


async def without_one(bots: Sequence[RunningBot], number: int, shared: Shared) -> Shared:
    """Kill one, and measure until the others drive all of its clusters."""
    left = bots[:-1]
    killed = time.monotonic()
    bots[-1].process.kill()

    async def taken_over() -> bool:
        return await driven(left) == number

    await until(taken_over, 2 * LEASE, "clusters of a killed bot are without a driver")
    seconds = time.monotonic() - killed
    return replace(shared, driverless=seconds)


async def until(true: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
    """Wait until it is true. Unmeasured if that takes too long."""
    by = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > by:
            raise Unmeasured(f"{otherwise} within {seconds:.0f} s")
        await asyncio.sleep(LOOK_EVERY)


def sharing(number: int = CLUSTERS) -> list[Figure]:
    """Measure three bots, beside one alone with the same clusters."""
    alone, three = asyncio.run(share(number, 1)), asyncio.run(share(number, BOTS))
    if three.driverless is None:
        raise Unmeasured("for how long clusters of a killed bot have no driver")
    group = f"{number:,} clusters on {BOTS} bots that share a Redis, idle"
    beside = "one bot alone, with all of them"
    return [
        Figure(
            group,
            "share of a core, the busiest bot",
            three.core * 100,
            CORE * 100,
            "%",
            "what it may cost",
            1.0,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "share of a core, beside one alone",
            three.core * 100,
            alone.core * 100,
            "%",
            beside,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(group, "one round", three.round, TICK, "s", "until the next one begins", 1.0),
        Figure(
            group,
            "commands to Redis in a second",
            three.commands,
            alone.commands,
            "",
            beside,
            2.0,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "share of a core, Redis",
            three.redis_core * 100,
            alone.redis_core * 100,
            "%",
            beside,
            tolerance=REAL_TIME,
        ),
        Figure(
            group,
            "a killed bot's clusters are without a driver for",
            three.driverless,
            LEASE,
            "s",
            "the lease",
            1.0,
            tolerance=REAL_TIME,
        ),
    ]
