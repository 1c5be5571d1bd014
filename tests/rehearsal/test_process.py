"""The process of a rehearsal: its limits, one at a time, and nothing left behind. Real time."""

import asyncio
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache

import pytest

from bot.rehearsal.play import play as play_here
from bot.rehearsal.play import play_apart
from bot.rehearsal.process import RehearsalProcess
from services.common.errors import Refused
from services.common.serialize import write
from services.operations.rehearsal import CLASSES, Ending, Rehearsal, Scenario
from services.procedures import Scale
from tests.rehearsal.test_estate import busy, scenario_of
from tests.support.patience import LOOKS
from tests.support.scene import ROOT

HANGS = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
# A worker that it leaves behind, as a program of its own process group would.
FORKS = (
    sys.executable,
    "-S",
    "-c",
    "import os, time; os.fork(); os.fork(); time.sleep(60)",
)
# A bot that rehearses, and prints the process id of its rehearsal.
BOT = """
import asyncio, sys
from bot.rehearsal.process import RehearsalProcess
from services.common.serialize import read
from services.operations.rehearsal import CLASSES

async def main():
    stage = RehearsalProcess(budget=1200, deadline=1200)
    playing = asyncio.create_task(stage.play(read(sys.stdin.read(), CLASSES, "it")))
    while stage.pid is None:
        await asyncio.sleep(0.01)
    print(stage.pid, flush=True)
    await playing

asyncio.run(main())
"""
DIES = (sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)")


@cache
def a_scenario() -> Scenario:
    return scenario_of(busy, kind="pool", media=2)


@pytest.fixture(autouse=True)
def made() -> None:
    """It is made in a loop of its own, which cannot run inside that of a test."""
    a_scenario()


def play(stage: RehearsalProcess, scenario: Scenario | None = None) -> Rehearsal:
    async def story() -> Rehearsal:
        try:
            return await stage.play(scenario or a_scenario())
        finally:
            await stage.aclose()

    return asyncio.run(story())


def group_of(pid: int) -> list[int]:
    """Return the processes of that group which still run."""
    found = subprocess.run(
        ["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in found.stdout.splitlines()]
    return [int(p) for p, group, state in rows if int(group) == pid and not state.startswith("Z")]


async def until_it_plays(stage: RehearsalProcess) -> int:
    for _ in range(LOOKS):
        if stage.pid is not None:
            return stage.pid
        await asyncio.sleep(0.01)
    raise AssertionError("no process was started")


def test_a_scenario_is_played_in_another_process() -> None:
    result = play(RehearsalProcess(budget=60, deadline=120), replace(a_scenario(), runs=2))
    assert result.expected.ending is Ending.DONE
    assert len(result.runs) == 2
    assert result.plan.cluster == "acme"


def test_without_time_no_run_is_made_up() -> None:
    result = play_apart(replace(a_scenario(), seconds=0.0))
    assert result.expected.ending is Ending.DONE
    assert (result.runs, result.wanted) == ((), 200)


@pytest.mark.thorough
def test_workers_play_the_same_runs_as_one() -> None:
    scenario = replace(a_scenario(), runs=3, seconds=120.0)
    key = operator.attrgetter("luck", "seconds")
    assert sorted(play_apart(scenario).runs, key=key) == sorted(play_here(scenario).runs, key=key)


def test_its_own_clock_ends_it_too() -> None:
    """The kernel ends a process that is stuck, where no parent does."""
    stuck = "from bot.rehearsal.limits import *; import time; set_limits(-1.5); time.sleep(60)"
    stage = RehearsalProcess((sys.executable, "-c", stuck), deadline=120)
    with pytest.raises(Refused, match="has no result after 120 s and was ended"):
        play(stage)


def test_a_plan_that_is_refused_there_is_refused() -> None:
    fixed = replace(scenario_of(busy, kind="fixed", media=2), procedure=Scale(3))
    with pytest.raises(Refused, match="Terraform"):
        play(RehearsalProcess(budget=60, deadline=120), fixed)


def test_it_needs_more_memory_than_it_may_use() -> None:
    stage = RehearsalProcess(budget=60, deadline=120, memory=60 * 1024 * 1024)
    with pytest.raises(Refused, match=r"more than its 60 MB|without a result"):
        play(stage, replace(a_scenario(), runs=1))


@pytest.mark.parametrize("command", [HANGS, FORKS])
def test_a_process_that_hangs_is_ended_with_all_that_it_started(command: tuple[str, ...]) -> None:
    stage = RehearsalProcess(command, deadline=0.5)

    async def story() -> int:
        playing = asyncio.create_task(stage.play(a_scenario()))
        pid = await until_it_plays(stage)
        with pytest.raises(Refused, match="has no result after 0 s"):
            await playing
        return pid

    assert group_of(asyncio.run(story())) == []
    assert stage.pid is None


def test_a_process_that_is_killed_is_no_result() -> None:
    with pytest.raises(Refused, match="ended without a result"):
        play(RehearsalProcess(DIES))


def test_the_bot_itself_loads_nothing_of_the_simulated_world() -> None:
    code = "import bot.rehearsal.process, sys; print([m for m in sys.modules if 'simulat' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_one_at_a_time() -> None:
    stage = RehearsalProcess(HANGS, deadline=20)

    async def story() -> None:
        first = asyncio.create_task(stage.play(a_scenario()))
        await until_it_plays(stage)
        with pytest.raises(Refused, match=r"^another rehearsal is running; try again in 20 s"):
            await stage.play(a_scenario())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert stage.pid is None
        # The next one may begin, and ends at its own deadline.
        again = asyncio.create_task(stage.play(a_scenario()))
        await until_it_plays(stage)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    asyncio.run(story())


def test_a_bot_that_stops_ends_it() -> None:
    async def story(stop: Callable[[RehearsalProcess], Awaitable[None]]) -> int:
        stage = RehearsalProcess(FORKS, deadline=20)
        playing = asyncio.create_task(stage.play(a_scenario()))
        pid = await until_it_plays(stage)
        await stop(stage)
        with pytest.raises(Refused, match="without a result"):
            await playing
        with pytest.raises(Refused, match="restarting"):
            await stage.play(a_scenario())
        return pid

    assert group_of(asyncio.run(story(RehearsalProcess.aclose))) == []


def test_a_worker_whose_parent_is_gone_already_ends_at_once() -> None:
    """It was killed between the fork and the request that the kernel ends the worker, too."""
    gone = "from bot.rehearsal.limits import *; die_with_parent(os.getppid() + 1); print('plays')"
    done = subprocess.run(
        [sys.executable, "-c", gone], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_a_bot_that_is_killed_leaves_nothing_behind() -> None:
    """The kernel ends the rehearsal, which plays for as long as it may."""
    with subprocess.Popen(
        [sys.executable, "-c", BOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(write(replace(a_scenario(), runs=100_000), CLASSES).encode())
        process.stdin.close()
        pid = int(process.stdout.readline())
        # Its workers have begun.
        for _ in range(LOOKS * 2):
            if len(group_of(pid)) > 1:
                break
            time.sleep(0.1)
        assert len(group_of(pid)) > 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(LOOKS * 2):
        if not group_of(pid):
            break
        time.sleep(0.1)
    assert group_of(pid) == []
