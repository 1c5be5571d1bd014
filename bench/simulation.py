"""Measures how fast the campaign plays procedures with faults: what a night of tests can cover."""

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import PROCESSOR_TIME, Figure

ROOT = Path(__file__).parents[1]
SEEDS = 10_000
MINUTES = 15.0
CORES = 2


def simulation(seeds: int = 1000) -> list[Figure]:
    """Play some seeds on two cores, not too few: starting a worker takes a second."""
    began = os.times()
    words = [
        sys.executable,
        "-m",
        "scripts.campaign",
        str(seeds),
        "--jobs",
        str(CORES),
    ]
    wall = time.perf_counter()
    subprocess.run(
        words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    wall = time.perf_counter() - wall
    ended = os.times()
    used = ended.children_user + ended.children_system - began.children_user - began.children_system
    group = "Simulation: whole procedures with faults everywhere"
    return [
        Figure(
            group,
            "stories a second on one core",
            seeds / used,
            1.0,
            "",
            "one a second",
            at_least=True,
            tolerance=PROCESSOR_TIME,
        ),
        Figure(
            group,
            f"{SEEDS:,} seeds on {CORES} cores",
            SEEDS * wall / seeds / 60,
            MINUTES,
            "min",
            "what they may take",
            1.0,
        ),
        Figure(
            group,
            "processor time of it",
            used,
            wall * CORES,
            "s",
            "of both cores",
            tolerance=None,
        ),
    ]
