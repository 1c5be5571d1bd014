"""The pretend world on real sockets, and a bot as a process of its own in it."""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from bot.demo.bot_process import Child
from bot.demo.world import World
from simulators.clock import ScaledClock

_numbers = itertools.count()


@contextlib.asynccontextmanager
async def world_of(folder: Path, speed: float, **more: Any) -> AsyncIterator[World]:
    """Return a started world; `more` as for World."""
    # Another seed is another network: worlds side by side do not take each other's addresses.
    world = World(folder, ScaledClock(speed), seed=os.getpid() + next(_numbers), **more)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


@contextlib.asynccontextmanager
async def bot_of(world: World, env: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """Run a bot; its output is part of the error when a test fails."""
    bot = Child(world.folder / "bot.log")
    await bot.start(world.bot_command(), {**world.bot_environment(), **(env or {})})
    try:
        yield bot
    except BaseException as error:
        error.add_note(f"the bot wrote:\n{bot.last_words()}")
        raise
    finally:
        await bot.stop()
