"""The story: users send commands, windows close, Redis hangs, records are damaged and repaired."""

import asyncio
import contextlib
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import redis

from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from tests.contracts.test_redis_kept import one_server
from tests.e2e.steady.weights import Weight, weigh
from tests.support.real_sockets import bot_of, running_world
from tests.support.sentinel import HOST, Server

SPEED = 60.0
EVERY = 5.0  # seconds between two weighings
WORDS = (
    "status",
    "runs",
    "window list",
    "cost",
    "shutdown --dry-run",
    "scale 4 --now",
    "scale 2",
    "nonsense",
    "hold 1m --reason test",
    "unhold",
)
PEOPLE = ("UANA", "UBEN", "UCARLA")
HEALTH = re.compile(r"health on (http://\S+)/healthz")


async def steady(
    folder: Path, seconds: float, seed: int, say: Callable[[str], None], every: float = EVERY
) -> list[Weight]:
    """Live for so long, and say what it weighed meanwhile."""
    dice = random.Random(seed)
    with one_server(folder / "redis", ["--appendonly", "yes"]) as server:
        windows = {"state": {"path": str(folder / "state.sqlite3"), "keep_days": 1}}
        async with (
            running_world(
                folder, SPEED, redis_url=f"redis://{HOST}:{server.port}/0", **windows
            ) as world,
            bot_of(world, kind=BotProcess) as bot,  # weighed: a start of its own
        ):
            await asyncio.wait_for(
                world.slack.sockets.until(lambda sockets: len(sockets) == 2), 120
            )
            where = await health_of(world)
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as tasks:
                lives = [
                    tasks.create_task(life(world, dice, until)),
                    tasks.create_task(luck(server, dice, until)),
                ]
                weights = await tasks.create_task(
                    weighed(bot.pid, where, server, until, say, every)
                )
                for task in lives:
                    task.cancel()
            assert bot.alive, "it lived through it"
    return weights


async def health_of(world: DemoWorld) -> str:
    for _ in range(300):
        if found := HEALTH.search((world.folder / "bot.log").read_text("utf-8", "replace")):
            return found[1]
        await asyncio.sleep(0.1)
    raise AssertionError("it does not say where its health is")


async def weighed(
    pid: int,
    where: str,
    server: Server,
    until: float,
    say: Callable[[str], None],
    every: float,
) -> list[Weight]:
    began, found = time.monotonic(), []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        with server.client() as state:
            while time.monotonic() < until:
                with contextlib.suppress(
                    redis.RedisError, aiohttp.ClientError, TimeoutError
                ):  # while it hangs it is not weighed
                    found.append(
                        await weigh(time.monotonic() - began, pid, f"{where}/metrics", state, http)
                    )
                    say(str(found[-1]))
                await asyncio.sleep(every)
    return found


async def life(world: DemoWorld, dice: random.Random, until: float) -> None:
    """What people do all day: they type, and press what can be pressed."""
    teams = asyncio.create_task(world.run_meetings())
    try:
        while time.monotonic() < until:
            who = world.slack.human(dice.choice(PEOPLE))
            with contextlib.suppress(Exception):  # people shrug
                await who.type_text(OPS, f"/openvidu {dice.choice(WORDS)}")
                waiting = [m for m in who.visible_messages(OPS) if "Approve" in str(m.blocks)]
                if waiting:
                    await who.press(waiting[-1], "Approve")
            await asyncio.sleep(dice.uniform(0.5, 2.0))
    finally:
        teams.cancel()


async def luck(server: Server, dice: random.Random, until: float) -> None:
    """Redis stands still for a moment, and records are unreadable for a while."""
    while time.monotonic() < until:
        await asyncio.sleep(dice.uniform(10.0, 25.0))
        if dice.random() < 0.3:
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(dice.uniform(0.5, 3.0))
            server.signal(signal.SIGCONT)
            continue
        with contextlib.suppress(redis.RedisError), server.client() as state:
            key = "{openvidu-bot}:pending:acme"
            before = state.get(key)
            state.set(key, "{damaged")
            await asyncio.sleep(dice.uniform(1.0, 5.0))
            state.set(key, str(before or "[]"))
