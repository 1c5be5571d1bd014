"""The pretend world on real sockets, and a bot as a process of its own in it."""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from bot.demo.bot_process import BotProcess
from bot.demo.world import DemoWorld
from simulators.clock import ScaledClock

_numbers = itertools.count()


@contextlib.asynccontextmanager
async def running_world(folder: Path, speed: float, **more: Any) -> AsyncIterator[DemoWorld]:
    """Return a started world; `more` as for World."""
    # Another seed is another network: worlds side by side do not take each other's addresses.
    world = DemoWorld(folder, ScaledClock(speed), seed=os.getpid() + next(_numbers), **more)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


@contextlib.asynccontextmanager
async def bot_of(
    world: DemoWorld, env: Mapping[str, str] | None = None
) -> AsyncIterator[BotProcess]:
    """Run a bot; its output is part of the error when a test fails."""
    bot = BotProcess(world.folder / "bot.log")
    await bot.start(world.bot_command(), {**world.bot_environment(), **(env or {})})
    try:
        yield bot
    except BaseException as error:
        error.add_note(f"the bot wrote:\n{bot.log_tail()}")
        raise
    finally:
        await bot.stop()
