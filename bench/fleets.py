"""Measures many clusters: closing at the same minute, idle by the thousand, with a long history."""

import time
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from bench.figures import PROCESSOR_TIME, SIMULATED_TIME, Figure
from services.access.policy import Actor
from services.common.clock import loop_clock
from services.operations.assembly import SWEEP_INTERVAL
from services.operations.results import Started
from services.procedures import Scale
from services.runs.authorization import ANY_PLAN
from services.runs.run import State
from services.store import Commit
from services.store.sqlite import SqliteStore
from simulators.cloud.delays import PUBLISHED
from tests.support import virtual
from tests.support.instant_world import InstantWorld, add_window, instant_operations
from tests.support.scene import Scene

CLUSTERS = 100
TOGETHER = 1.25
MINUTE, HOUR = 60.0, 3600.0
PER_MINUTE, PER_HOUR = 250, 5000
NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
SETTLED = 300.0  # seconds after the start, when every cluster was read once
LAST_MEETING = 30.0  # minutes that the last meeting runs on when the windows close


@dataclass(frozen=True)
class Closing:
    """Seconds that closing took after the minute, times of requests, and how many were refused.

    `writes`: how many of them were no looks.
    """

    seconds: float
    requests: tuple[float, ...]
    refused: int
    writes: int

    def most_in(self, span: float) -> int:
        """Return the most requests within any span of so many seconds."""
        most, first = 0, 0
        for last, moment in enumerate(self.requests):
            while moment - self.requests[first] > span:
                first += 1
            most = max(most, last - first + 1)
        return most


def close(number: int) -> Closing:
    """Close clusters under one token at 20:00, each with a meeting, the last of half an hour."""
    stacks = tuple(f"c{n}" for n in range(number))
    evening = datetime(2026, 11, 25, 20, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()

    async def story() -> Closing:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        async with Scene(media=1, stacks=stacks, origin=evening - 60, site=site) as scene:
            scene.estate.delays = PUBLISHED
            # A hundred messages in one channel: Slack limits the rate, and its client waits.
            scene.promises = False
            for n, stack in enumerate(stacks):
                minutes = 1 + LAST_MEETING * (number - n) / number
                scene.estate.open_meeting(people=4, minutes=minutes, recordings=0, cluster=stack)
            ends = [
                (await scene.run_is(f"{stack}-1", State.DONE, State.STOPPED)) for stack in stacks
            ]
            if any(run.state is not State.DONE for run in ends) or scene.estate.violations:
                raise AssertionError(
                    f"{[r.stopped for r in ends if r.stopped][:3]} {scene.estate.violations[:3]}"
                )
            asked = tuple(moment for *_, moment in scene.estate.requests)
            refused = sum(status == 429 for _, _, status, _ in scene.estate.requests)
            writes = sum(method != "GET" for method, *_ in scene.estate.requests)
            return Closing(max(r.ended_at for r in ends) - evening, asked, refused, writes)

    return virtual.run(story())


def closings(number: int = CLUSTERS) -> list[Figure]:
    """Measure many clusters beside one."""
    crowd, one = close(number), close(1)
    group = f"{number} clusters under one token close at the same minute"
    return [
        Figure(
            group,
            "the last one is down after",
            crowd.seconds,
            one.seconds,
            "s",
            "one cluster alone",
            TOGETHER,
            tolerance=SIMULATED_TIME,
        ),
        Figure(
            group,
            "most requests in a minute",
            crowd.most_in(MINUTE),
            PER_MINUTE,
            "",
            "what DigitalOcean allows",
            1.0,
            tolerance=SIMULATED_TIME,
        ),
        Figure(
            group,
            "most requests in an hour",
            crowd.most_in(HOUR),
            PER_HOUR,
            "",
            "what DigitalOcean allows",
            1.0,
            tolerance=SIMULATED_TIME,
        ),
        Figure(group, "refused for being too many", crowd.refused, 1, "", "one", 0.0, count=True),
        Figure(
            group,
            "requests for each cluster",
            len(crowd.requests) / number,
            len(one.requests),
            "",
            "one cluster alone",
            tolerance=SIMULATED_TIME,
        ),
    ]


# Idle


@dataclass(frozen=True)
class Idle:
    """The cost of an idle bot: share of a core, and processor seconds of one round."""

    core: float
    tick: float


def idle(number: int, minutes: float = 10.0) -> Idle:
    """Measure clusters with one window each, none of them due."""

    async def story() -> Idle:
        clock = loop_clock(datetime(2026, 11, 25, 10, tzinfo=ZoneInfo("Europe/Madrid")).timestamp())
        worlds = {f"c{n}": InstantWorld(f"c{n}", clock, hosted=n * 10_000) for n in range(number)}
        operations, hours = instant_operations(
            worlds, SqliteStore(None, clock, threaded=False), clock
        )
        for name in worlds:
            await add_window(hours, name, NIGHTS, clock.now() - HOUR)
        await hours.tick()
        await clock.sleep(MINUTE)
        began = time.process_time()
        await hours.tick()
        tick = time.process_time() - began
        began, until = time.process_time(), clock.now() + minutes * MINUTE
        while clock.now() < until:
            await operations.sweep()
            await hours.tick()
            await clock.sleep(SWEEP_INTERVAL)
        used = time.process_time() - began
        await hours.aclose()
        return Idle(used / (minutes * MINUTE), tick)

    return virtual.run(story())


def asked_while_idle(number: int) -> int:
    """Return the requests to DigitalOcean in an hour without any command."""
    stacks = tuple(f"c{n}" for n in range(number))
    morning = datetime(2026, 11, 25, 10, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()

    async def story() -> int:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        async with Scene(media=1, stacks=stacks, origin=morning, site=site) as scene:
            await scene.wait(SETTLED)
            before = len(scene.estate.requests)
            await scene.wait(HOUR)
            return len(scene.estate.requests) - before

    return virtual.run(story())


def idling(number: int = 1000) -> list[Figure]:
    """Measure a thousand idle clusters beside their limits, and 25 beside five."""
    many = idle(number)
    group = f"{number} idle clusters on one bot, each with a window"
    return [
        Figure(group, "share of a core", many.core * 100, 5.0, "%", "what they may cost", 1.0),
        Figure(group, "one tick", many.tick, 1.0, "s", "what it may take", 1.0),
        Figure(
            group,
            "requests in an hour, 25 clusters",
            asked_while_idle(25),
            asked_while_idle(5),
            "",
            "5 clusters",
            1.0,
            tolerance=SIMULATED_TIME,
        ),
    ]


# A long history


def a_run_after(runs: int, times: int = 20) -> float:
    """Return the processor seconds of a small run of a cluster with so many earlier runs."""

    async def story() -> float:
        clock = loop_clock(1_800_000_000.0)
        store = SqliteStore(None, clock, threaded=False)
        world = InstantWorld("c0", clock)
        operations, _ = instant_operations({"c0": world}, store, clock)
        await _write_history(store, runs)
        seconds = []
        for number in range(times):
            began = time.process_time()
            scale = Scale(3 + number)
            result = await operations.service.request(
                Actor("UANA"), "c0", scale, confirmed=ANY_PLAN
            )
            assert isinstance(result, Started), result
            while not (await operations.journal.run(result.run.id)).over:
                await clock.sleep(1.0)
            seconds.append(time.process_time() - began)
        await operations.aclose()
        return min(seconds)

    return virtual.run(story())


async def _write_history(store: SqliteStore, runs: int) -> None:
    """Write so many runs to the journal."""
    for first in range(1, runs + 1, 500):
        names = [f"c0-{n}" for n in range(first, min(first + 500, runs + 1))]
        events = [(f"run:{name}", "{}") for name in names for _ in range(8)]
        await store.commit(
            Commit(
                puts={"number:c0": names[-1].removeprefix("c0-")},
                appends=[*events, *(("runs:c0", n) for n in names)],
            )
        )


def histories(sizes: tuple[int, ...] = (10, 100, 1_000, 10_000, 100_000)) -> list[Figure]:
    """Measure the cost of a run as the journal grows, beside the shortest history."""
    costs = {size: a_run_after(size) * 1000 for size in sizes}
    group = "Computing for a run, as the journal grows"
    return [
        Figure(
            group,
            f"after {size:,} runs",
            costs[size],
            costs[sizes[0]],
            "ms",
            f"after {sizes[0]} runs",
            1.5,
            tolerance=PROCESSOR_TIME,
        )
        for size in sizes[1:]
    ]
