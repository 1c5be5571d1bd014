"""Three bots, a real Redis, simulated users and every fault, for as long as is requested."""

import asyncio
import contextlib
import random
import time
from pathlib import Path

from bot.demo.world import DemoWorld
from services.common.errors import Unreachable
from services.store.redis import RedisStore
from simulators.clock import ScaledClock
from simulators.environment import find_free_port
from tests.e2e.chaos import findings
from tests.e2e.chaos.people import People
from tests.e2e.chaos.storm import ENDS_WELL, Crew, Storm
from tests.e2e.chaos.tally import ChaosTally
from tests.support.sentinel import HOST, Server

SPEED = 30.0
SETTLES_WITHIN = 240.0
NEWS = 30.0


async def chaos(folder: Path, redis_server: str, tally: ChaosTally) -> None:
    """Run it all; the tally holds the findings. Every started process has ended afterwards."""
    dice = random.Random(tally.seed)
    port = find_free_port()
    redis = Server(redis_server, folder / "redis", _words(port), port, {})
    world = DemoWorld(
        folder, ScaledClock(SPEED), seed=tally.seed, redis_url=f"redis://{HOST}:{port}/0"
    )
    crew = Crew(world)
    try:
        await asyncio.to_thread(redis.start)
        await world.start()
        await crew.all_up()
        await asyncio.wait_for(world.slack.sockets.until(bool), 60)
        await _live(world, crew, redis, dice, tally)
    finally:
        codes = await crew.stop()
        redis.stop()
        await world.stop()
    tally.problems += [f"a bot ended with {code}" for code in codes if code not in ENDS_WELL]
    findings.logs(world, tally)


def _words(port: int) -> list[str]:
    return [
        "--bind",
        HOST,
        "--port",
        str(port),
        "--dir",
        ".",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]


async def _live(
    world: DemoWorld, crew: Crew, redis: Server, dice: random.Random, tally: ChaosTally
) -> None:
    people, storm = People(world, dice, tally), Storm(world, crew, redis, dice, tally)
    until = time.monotonic() + tally.seconds
    busy = [
        asyncio.create_task(people.live(), name="people"),
        asyncio.create_task(storm.rage(), name="storm"),
    ]
    try:
        while (left := until - time.monotonic()) > 0:
            done, _ = await asyncio.wait(busy, timeout=min(left, NEWS))
            for task in done:
                task.result()  # it should still run: raise its error
            seconds = max(0, until - time.monotonic())
            tally.say(
                f"{seconds:.0f} s left, {sum(tally.faults.values())} faults, "
                f"{len(world.estate.violations)} violations"
            )
    finally:
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    await storm.calm()
    await crew.all_up()
    store = RedisStore(f"redis://{HOST}:{redis.port}/0")
    try:
        await _settle(world, crew, people, store, tally)
        await findings.look(world, store, tally)
    finally:
        await store.aclose()


async def _settle(
    world: DemoWorld, crew: Crew, people: People, store: RedisStore, tally: ChaosTally
) -> None:
    """People decide what waits for them, and bots bring to its end what they have begun."""
    deciding = [world.slack.human(user) for user in ("UANA", "UBEN")]
    until, open_still = time.monotonic() + SETTLES_WITHIN, ""
    while time.monotonic() < until:
        await crew.all_up()
        for human in deciding:
            await people.decide(human, reject=1.0, abandon=0.0)
        with contextlib.suppress(Unreachable):
            open_still = await findings.settled(world, store)
            if not open_still:
                return
        await asyncio.sleep(1.0)
    tally.problems.append(f"after {SETTLES_WITHIN:.0f} quiet seconds {open_still}")
