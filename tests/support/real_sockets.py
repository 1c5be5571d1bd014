"""The pretend world on real sockets, and a bot as a process of its own in it."""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from bot.demo.bot_process import BotProcess, ChildProcess
from bot.demo.world import DemoWorld
from simulators.clock import ScaledClock
from tests.support import fork_server

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


class ForkedBot(BotProcess):
    """A bot whose process is forked from one that has imported the program."""

    @override
    async def _launched(
        self, command: Sequence[str], env: Mapping[str, str], log: BinaryIO
    ) -> ChildProcess:
        files = (fork_server.NOTHING, log.fileno(), log.fileno())
        return fork_server.start(words_of(command), env, files)


def words_of(command: Sequence[str]) -> Sequence[str]:
    """Return what follows `python -m bot`."""
    return command[command.index("bot") + 1 :]


@contextlib.asynccontextmanager
async def bot_of(
    world: DemoWorld, env: Mapping[str, str] | None = None, *, kind: type[BotProcess] = ForkedBot
) -> AsyncIterator[BotProcess]:
    """Run a bot; its output is part of the error when a test fails."""
    bot = kind(world.folder / "bot.log")
    await bot.start(world.bot_command(), {**world.bot_environment(), **(env or {})})
    async with stopped_at_the_end(bot):
        yield bot


@contextlib.asynccontextmanager
async def stopped_at_the_end(bot: BotProcess) -> AsyncIterator[None]:
    """Stop it in any case; what it wrote is part of the error when a test fails."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the bot wrote:\n{bot.log_tail()}")
        raise
    finally:
        await bot.stop()
