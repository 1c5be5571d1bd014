"""Measures a real Redis with the state of ten thousand clusters: memory, and what rounds ask of it.

The state of one cluster is made by its windows in simulated time, and copied under other names.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from bench.figures import PROCESSOR_TIME, SIMULATED_TIME, Figure
from bench.sharing import BOTS, TICK, sent
from services.common.bulkheads import AT_ONCE
from services.common.clock import loop_clock
from services.operations.assembly import SWEEP_INTERVAL
from services.operations.assignment import BEAT, ClusterAssignment
from services.store.keys import (
    audit_anchored_key,
    audit_posted_key,
    claim_key,
    escalations_key,
    head_key,
    identity_key,
    number_key,
    pending_key,
    schedule_key,
)
from services.store.redis import RedisStore
from services.store.sqlite import SqliteStore
from tests.support import virtual
from tests.support.instant_world import InstantWorld, add_window, instant_operations
from tests.support.redis import running_redis
from tests.support.tools import redis_server

CLUSTERS = 10_000
NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
DAY, MEGABYTE = 86400.0, 1024 * 1024
SAMPLE = "cluster-0000000"
RUNS_A_WEEK, WEEKS = 10, 26  # five nights a week for 180 days: as long as runs are kept
GIGABYTE = 1024.0  # MB: the smallest Redis that DigitalOcean sells
AT_A_TIME = 500
PREFIX = "{openvidu-bot}:"


@dataclass(frozen=True)
class State:
    """The state of one cluster: its keys, and its logs."""

    values: Mapping[str, str]
    logs: Mapping[str, Sequence[str]]

    @property
    def bytes(self) -> int:
        """Return the size of the texts and keys themselves."""
        texts = [*self.values, *self.values.values(), *self.logs]
        return sum(map(len, texts)) + sum(len(t) for log in self.logs.values() for t in log)

    def named(self, name: str) -> "State":
        """Return the same state of another cluster, whose name is as long."""
        values = {_as(k, name): _as(v, name) for k, v in self.values.items()}
        return State(
            values, {_as(k, name): [_as(t, name) for t in v] for k, v in self.logs.items()}
        )


def _as(text: str, name: str) -> str:
    return text.replace(SAMPLE, name)


def after_nights(number: int) -> State:
    """Return the state of a cluster after so many nights: two runs each, with their audit."""

    async def story() -> State:
        began = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
        clock = loop_clock(began)
        store = SqliteStore(None, clock, threaded=False)
        worlds = {SAMPLE: InstantWorld(SAMPLE, clock)}
        operations, hours = instant_operations(worlds, store, clock)
        await add_window(hours, SAMPLE, NIGHTS, clock.now() - DAY)
        while clock.now() < began + number * DAY:
            await operations.sweep()
            await hours.tick()
            await clock.sleep(SWEEP_INTERVAL)
        await hours.aclose()
        await operations.aclose()
        return await _copied(store)

    return virtual.run(story())


async def _copied(store: SqliteStore) -> State:
    names, logs = await store.names(""), await store.logs("")
    texts = await store.get(*names)
    values = {n: t for n, t in zip(names, texts, strict=True) if t is not None}
    return State(values, {log: await store.read(log) for log in logs})


async def fill(server: Redis, state: State, first: int, last: int) -> None:
    """Write the state of the clusters from `first` on, before `last`."""
    for begin in range(first, last, AT_A_TIME):
        async with server.pipeline(transaction=False) as line:
            for number in range(begin, min(begin + AT_A_TIME, last)):
                named = state.named(name_of(number))
                line.mset({PREFIX + key: text for key, text in named.values.items()})
                for log, entries in named.logs.items():
                    line.rpush(f"{PREFIX}log:{log}", *entries)
            await line.execute()


def name_of(number: int) -> str:
    """Return the name of a cluster."""
    return f"cluster-{number:07d}"


async def memory(server: Redis) -> float:
    """Return the memory of Redis in megabytes."""
    return float((await server.info("memory"))["used_memory"]) / MEGABYTE


def asked(name: str) -> tuple[tuple[str, ...], ...]:
    """Return what one round reads of an idle cluster, one read after the other."""
    waiting, later = pending_key(name), pending_key(name, later=True)
    stamp = (schedule_key(name), claim_key(name), number_key(name))
    return (
        (identity_key(name),),
        (claim_key(name),),
        (waiting, later),
        (waiting, later),
        (later,),
        (schedule_key(name),),
        stamp,
        (schedule_key(name),),
        stamp,
        (escalations_key(name),),
        (head_key(name), audit_anchored_key(name)),
        (head_key(name), audit_posted_key(name)),
    )


async def one_round(store: RedisStore, names: Sequence[str]) -> None:
    """Read what one bot reads in a round: part after part, for as many clusters at once as it."""
    for part in zip(*map(asked, names), strict=True):
        for first in range(0, len(part), AT_ONCE):
            await asyncio.gather(*(store.get(*keys) for keys in part[first : first + AT_ONCE]))


@dataclass(frozen=True)
class Load:
    """What the rounds of all bots ask in a second, the part of a core, and kilobytes answered."""

    commands: float
    core: float
    kilobytes: float
    bot_core: float


async def rounds(server: Redis, url: str, number: int) -> Load:
    """Let all bots do one round, with the beats that belong to it, as fast as they can."""
    bots = [RedisStore(url) for _ in range(BOTS)]
    parts = [[name_of(n) for n in range(b, number, BOTS)] for b in range(BOTS)]
    clock = loop_clock(time.time())
    members = [
        ClusterAssignment(store, clock, f"bot-{n}", [name_of(c) for c in range(number)])
        for n, store in enumerate(bots)
    ]
    for _ in range(4):  # until each holds its quota
        for member in members:
            await member.beat()
    before, computed = await server.info("all"), time.process_time()
    for store, part in zip(bots, parts, strict=True):
        await one_round(store, part)
    for _ in range(round(TICK / BEAT)):
        for member in members:
            await member.beat()
    used, after = time.process_time() - computed, await server.info("all")
    redis = sum(
        float(after[f"used_cpu_{kind}"]) - float(before[f"used_cpu_{kind}"])
        for kind in ("user", "sys")
    )
    answered = int(after["total_net_output_bytes"]) - int(before["total_net_output_bytes"])
    for store in bots:
        await store.aclose()
    commands = (sent(after) - sent(before)) / TICK
    return Load(commands, redis / TICK, answered / TICK / 1024, used / BOTS / TICK)


@dataclass(frozen=True)
class Measured:
    """Megabytes by number of clusters, the load of the last, and what a run adds to each."""

    megabytes: Mapping[int, float]
    texts: Mapping[int, float]
    load: Load
    a_run: float


async def measure(sizes: Sequence[int], state: State, longer: State) -> Measured:
    """Fill a Redis step by step; then see what more runs of each cluster add."""
    megabytes: dict[int, float] = {}
    async with running_redis(redis_server()) as url:
        server = Redis.from_url(url)
        empty, done = await memory(server), 0
        for size in sizes:
            await fill(server, state, done, size)
            megabytes[size], done = await memory(server) - empty, size
        load = await rounds(server, url, done)
        await server.aclose()
    async with running_redis(redis_server()) as url:
        server, number = Redis.from_url(url), sizes[0]
        empty = await memory(server)
        await fill(server, longer, 0, number)
        grown = (await memory(server) - empty) / number - megabytes[number] / number
        await server.aclose()
    runs = _runs(longer) - _runs(state)
    texts = {size: state.bytes * size / MEGABYTE for size in sizes}
    return Measured(megabytes, texts, load, grown / runs)


def _runs(state: State) -> int:
    return sum(log.startswith("run:") for log in state.logs)


def store_load(sizes: Sequence[int] = (500, 2_500, CLUSTERS)) -> list[Figure]:
    """Measure the largest of these, and calculate 180 days of nights from what a run adds."""
    measured = asyncio.run(measure(sizes, after_nights(1), after_nights(2)))
    number, load = sizes[-1], measured.load
    kept = measured.megabytes[number] + number * measured.a_run * RUNS_A_WEEK * WEEKS
    group = f"The state of {number:,} clusters in Redis, on {BOTS} bots"
    first = measured.megabytes[sizes[0]] / sizes[0]
    growing = [
        Figure(
            "Growth: memory of Redis",
            f"{size:,} clusters, one night each",
            measured.megabytes[size],
            measured.texts[size],
            "MB",
            "the texts themselves",
            tolerance=PROCESSOR_TIME,
        )
        for size in sizes
    ]
    return [
        Figure(
            group,
            "memory of one cluster, after one night",
            measured.megabytes[number] / number * 1024,
            first * 1024,
            "kB",
            f"with {sizes[0]:,} clusters",
            1.2,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "memory that a run adds",
            measured.a_run * 1024,
            first * 1024,
            "kB",
            "a cluster after one night",
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "memory with 180 days of nights, calculated",
            kept,
            GIGABYTE,
            "MB",
            "a Redis of 1 GB",
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "commands in a second",
            load.commands,
            number * len(asked("")) / TICK,
            "",
            "one for each read of a cluster",
            0.1,
            tolerance=SIMULATED_TIME,
        ),
        Figure(
            group,
            "share of a core, Redis",
            load.core * 100,
            100.0,
            "%",
            "its one core",
            0.5,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            "share of a core, reads of one bot",
            load.bot_core * 100,
            100.0,
            "%",
            "its core",
            0.5,
            tolerance=PROCESSOR_TIME,
        ),
        *growing,
    ]
