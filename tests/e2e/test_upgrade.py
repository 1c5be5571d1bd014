"""A rolling upgrade: the released bot and this one, on one Redis, in the middle of a run."""

import asyncio
import contextlib
import io
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from services.runs.run import State
from tests.e2e.test_replicas import SPEED, a_shutdown_begins, ended, journal_at
from tests.e2e.test_story import keeps_promises
from tests.golden.state import COMMITS
from tests.support.patience import HANG
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import bot_of, running_world, stopped_at_the_end
from tests.support.redis import running_redis
from tests.support.tools import redis_server

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("bot", "config", "handlers", "services", "simulators", "pyproject.toml")


def program_of(version: str, folder: Path) -> Path:
    """The released program, out of the history. Skipped where that does not reach so far back."""
    archive = subprocess.run(
        ["git", "archive", COMMITS[version], *PARTS], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"the history of this clone does not hold {version}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def command_of(program: Path, *words: str) -> list[str]:
    """Return what starts that program with these words."""
    start = (
        f"import sys; sys.path.insert(0, {str(program)!r}); "
        "from bot.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-c", start, *words]


@contextlib.asynccontextmanager
async def older_bot_of(world: DemoWorld, program: Path) -> AsyncIterator[BotProcess]:
    """A bot of that program in this world."""
    words = world.bot_command()
    command = command_of(program, *words[words.index("serve") :])
    bot = BotProcess(world.folder / "older.log")
    await bot.start(command, {**world.bot_environment(), "PYTHONPATH": str(program)})
    async with stopped_at_the_end(bot):
        yield bot


@pytest.mark.parametrize("version", sorted(COMMITS))
def test_the_released_program_is_there(version: str, tmp_path: Path) -> None:
    command = command_of(program_of(version, tmp_path), "--version")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"openvidu-bot {version}\n"


@pytest.mark.thorough
@pytest.mark.parametrize("version", sorted(COMMITS))
def test_one_bot_after_the_other_is_replaced_and_the_way_back_is_open(
    version: str, tmp_path: Path
) -> None:
    program = program_of(version, tmp_path / "program")

    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, SPEED, redis_url=url) as world,
            journal_at(url) as journal,
        ):
            sockets = world.slack.sockets
            ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
            async with older_bot_of(world, program) as older:
                await asyncio.wait_for(sockets.until(lambda found: len(found) == 2), HANG)
                await a_shutdown_begins(world)
                async with bot_of(world) as newer:
                    await asyncio.wait_for(sockets.until(lambda found: len(found) == 4), HANG)
                    older.kill()
                    run = await ended(journal, "acme-1")
                    assert run.state is State.DONE, run.stopped
                    assert run.takes >= 2, "the newer one went on with it"
                    await sees(ana, "acme is shut down")
                    # And back: the newer one begins, and is stopped in the middle.
                    await until_seen(
                        ana,
                        "Starting up acme",
                        lambda: ana.type_text(OPS, "/openvidu startup --now"),
                    )
                    async with older_bot_of(world, program):
                        await asyncio.wait_for(sockets.until(lambda found: len(found) == 4), HANG)
                        await newer.stop()
                        run = await ended(journal, "acme-2")
                        assert run.state is State.DONE, run.stopped
                        await sees(ana, "acme serves")  # in the older one's words
                        # What the newer one asked people, the older one takes the answer to.
                        async with bot_of(world) as again:
                            await asyncio.wait_for(
                                sockets.until(lambda found: len(found) == 4), HANG
                            )
                            await until_seen(
                                ana,
                                "Shut down acme",
                                lambda: ana.type_text(OPS, "/openvidu shutdown"),
                            )
                            await again.stop()
                        card = await sees(ana, "Shut down acme")

                        async def approve() -> None:
                            await ben.press(card, "Approve")

                        await until_seen(ben, "acme-3", approve)
                        run = await ended(journal, "acme-3")
                        assert run.state is State.DONE, run.stopped
            keeps_promises(world)

    asyncio.run(story())
