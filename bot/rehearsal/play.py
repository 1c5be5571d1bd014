"""Plays a scenario: durations are fitted to what was measured, then one run as expected, then many.

`play` does it here, one after the other; `play_apart` on several processors, within a time.
"""

import gc
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bot.rehearsal.limits import die_with_parent
from bot.rehearsal.run import Outcome, play_run
from services.common.serialize import decode, encode
from services.operations.rehearsal import CLASSES, Rehearsal, Scenario, SimulatedRun
from simulators.cloud.delays import Delays

# The durations of the simulated cloud that decide how long a kind of step takes.
DECIDES: dict[str, tuple[str, ...]] = {
    "PowerOff": ("shutdown",),
    "PowerOffHost": ("shutdown",),
    "PowerOn": ("power_on",),
    "Healthy": ("master_ready",),
    "FrontAnswers": ("front",),
    "NodesOff": ("shutdown",),
    "NodesOn": ("power_on",),
    "NodesServe": ("media_boot",),
    "MediaServing": ("media_install",),
    "Arrived": ("media_install",),
    "MediaGone": ("pool_grace",),
    "Shrunk": ("pool_grace",),
    "Resize": ("resize",),
    "NodeSize": ("resize",),
    "Snapshots": ("snapshot",),
}
ROUNDS = 3  # of fitting
CLOSE = 3.0  # seconds
LEAST = 1.0  # seconds that anything takes
MOST_WORKERS = 4
# Of the time there is, what is left for collecting the results.
LEFT = 0.5


@dataclass(frozen=True)
class _Ready:
    """A scenario whose durations fit, and its run as expected."""

    delays: Delays
    calibrated: frozenset[str]
    expected: Outcome


def play(scenario: Scenario) -> Rehearsal:
    """Play a scenario here. Refused: its plan is refused."""
    until = time.monotonic() + scenario.seconds
    ready = _prepared(scenario)
    return _rehearsal(scenario, ready, list(_some(scenario, ready, 0, 1, until)))


def play_apart(scenario: Scenario) -> Rehearsal:
    """Play a scenario on the processors that this process may use, as many runs as its time has."""
    until = time.monotonic() + scenario.seconds - LEFT
    ready = _prepared(scenario)
    workers = min(MOST_WORKERS, processors(), scenario.runs or 1)
    gc.freeze()
    pipes = [_fork(scenario, ready, index, workers, until) for index in range(workers)]
    return _rehearsal(scenario, ready, _collected(pipes, until))


# Durations


def _prepared(scenario: Scenario) -> _Ready:
    """Fit the durations until the steps of a run without bad luck last as they were measured."""
    usual, delays = dict(scenario.usual), Delays()
    calibrated: set[str] = set()
    outcome = play_run(scenario, None, delays, frozenset(), 0.0)
    for _ in range(ROUNDS):
        changes = _differences(usual, outcome)
        if not changes:
            break
        calibrated |= set(changes)
        values = {f: max(LEAST, getattr(delays, f) + more) for f, more in changes.items()}
        if all(abs(values[f] - getattr(delays, f)) < CLOSE for f in values):
            break
        delays = replace(delays, **values)
        outcome = play_run(scenario, None, delays, frozenset(), 0.0)
    return _Ready(delays, frozenset(calibrated), outcome)


def _differences(usual: dict[str, float], outcome: Outcome) -> dict[str, float]:
    """Return by how many seconds each duration is too short."""
    return {
        field: usual[kind] - seconds
        for kind, seconds in outcome.steps.items()
        if kind in usual
        for field in DECIDES.get(kind, ())
    }


def _rehearsal(scenario: Scenario, ready: _Ready, runs: list[SimulatedRun]) -> Rehearsal:
    known = [kind for kind, _ in scenario.usual if kind in ready.expected.steps]
    return Rehearsal(
        ready.expected.plan,
        ready.expected.run,
        tuple(runs),
        scenario.assumed,
        tuple(known),
        scenario.runs,
    )


def _some(
    scenario: Scenario, ready: _Ready, first: int, step: int, until: float
) -> Iterator[SimulatedRun]:
    """Play every `step`th run from the `first` on, until the time is over."""
    about = max(60.0, ready.expected.run.seconds)
    for number in range(first, scenario.runs, step):
        if time.monotonic() > until:
            return
        yield play_run(scenario, number, ready.delays, ready.calibrated, about).run


# Workers


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fork(
    scenario: Scenario, ready: _Ready, index: int, workers: int, until: float
) -> tuple[int, int]:
    """Start a worker; return its process id, and the pipe with its results, a line for each run."""
    reads, writes = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writes)
        return child, reads
    code = 1
    try:
        os.close(reads)
        die_with_parent(parent)
        signal.alarm(max(1, int(until - time.monotonic()) + 2))
        with os.fdopen(writes, "w", encoding="utf-8") as out:
            for run in _some(scenario, ready, index, workers, until):
                out.write(f"{json.dumps(encode(run))}\n")
                out.flush()
                if os.getppid() != parent:
                    break
        code = 0
    finally:
        os._exit(code)


def _collected(pipes: list[tuple[int, int]], until: float) -> list[SimulatedRun]:
    """Return the results of all workers, as far as there are any in time; end the workers."""
    texts = {reads: b"" for _, reads in pipes}
    open_pipes = set(texts)
    while open_pipes and (left := until + LEFT - time.monotonic()) > 0:
        for reads in select.select(open_pipes, (), (), left)[0]:
            if data := os.read(reads, 65536):
                texts[reads] += data
            else:
                open_pipes.discard(reads)
    for child, reads in pipes:
        os.close(reads)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    # What stands behind the last line break is incomplete: its worker was ended.
    lines = [line for text in texts.values() for line in text.split(b"\n")[:-1]]
    return [decode(json.loads(line), CLASSES) for line in lines]
