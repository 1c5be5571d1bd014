"""Commands that tests fork are commands as anyone starts them."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.patience import HANG, LOOKS

ROOT = Path(__file__).parents[2]
SERVE = ("serve", "--config", "none.yaml")


@pytest.mark.sampled(1)
@pytest.mark.parametrize("words", [("dance",), ("help", "serve"), ("manifest",), SERVE])
def test_they_say_what_a_started_one_says(words: tuple[str, ...], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "90"}
    command = [sys.executable, "-m", "bot", *words]
    started = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=HANG
    )
    forked = fork_server.run(words, env, tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_they_are_processes_of_their_own(tmp_path: Path) -> None:
    async def story() -> None:
        one = await fork_server.talking(world_only(), os.environ, tmp_path)
        two = await fork_server.talking(world_only(), os.environ, tmp_path)
        for each in (one, two):
            assert b"pretend" in await each.stdout.readline()
        assert os.getsid(one.process.pid) != os.getsid(two.process.pid)
        os.kill(one.process.pid, 9)
        assert (await one.to_the_end())[0] == -9
        assert two.process.returncode is None, "the other one lives"
        two.process.terminate()
        assert (await two.to_the_end())[0] == 0

    asyncio.run(story())


@pytest.mark.thorough
def test_they_end_with_what_forked_them() -> None:
    server = fork_server.ForkServer()
    pid, status = server.fork(world_only(), os.environ, ROOT, [fork_server.NOTHING] * 3)
    server.stop()
    assert os.read(status, 1) == b"", "no one tells"
    os.close(status)
    has_gone(pid)


def world_only() -> list[str]:
    return ["demo", "--world-only", "--port", "0"]


def has_gone(pid: int) -> None:
    for _ in range(LOOKS):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it lives on")
