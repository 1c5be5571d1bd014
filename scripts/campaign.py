"""Plays the campaign on every core, or one seed of it again.

`-m scripts.campaign 10000` plays the seeds 0 to 9999; `-m scripts.campaign --seed 123` plays one of
them exactly as before and shows the bots' logs.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

from services.common.text import count_of
from tests.campaign.parallel import campaign
from tests.campaign.story import StoryResult, play


def report(seeds: range, jobs: int, findings: str) -> int:
    """Play the seeds, print progress and violations; return 0 if there were no violations."""
    ends: Counter[str] = Counter()
    kinds: dict[str, list[int]] = {}
    began, bad, struck = time.monotonic(), 0, 0
    for n, told in enumerate(campaign(seeds, jobs), 1):
        ends.update(told.ends)
        struck += told.struck
        for kind in dict.fromkeys(w.partition(":")[0] for w in told.wrong):
            kinds.setdefault(kind, []).append(told.seed)
        if told.wrong:
            bad += 1
            print("\n" + in_full(told), flush=True)
            if findings:
                with Path(findings).open("a") as file:
                    file.write(json.dumps(told.__dict__) + "\n")
        if sys.stderr.isatty() or n % 500 == 0:
            seconds = time.monotonic() - began
            so_far = f"{n} of {len(seeds)} seeds, {bad} with a violation, {seconds:.0f} s"
            print(f"\r{so_far}", end="", file=sys.stderr, flush=True)
    for kind, affected in sorted(kinds.items(), key=lambda k: -len(k[1])):
        print(f"{len(affected):6} {kind} (seeds {', '.join(map(str, affected[:5]))})")
    how = ", ".join(f"{n} {how}" for how, n in ends.most_common())
    took = f"{time.monotonic() - began:.0f} s on {count_of(jobs, 'core')}"
    runs = f"{sum(ends.values())} runs ({how})"
    print(f"\n{len(seeds)} seeds, {runs}, {struck} faults: {bad} with a violation, {took}")
    if bad:
        return 1
    return 0


def in_full(told: StoryResult) -> str:
    """Return what a seed violated, and the command that plays it again."""
    wrong = "".join(f"\n    {w}" for w in told.wrong)
    ends = ", ".join(told.ends) or "no run"
    story = f"seed {told.seed}: {' · '.join(told.words)} -> {ends}{wrong}"
    return f"{story}\n    again: make campaign SEED={told.seed}"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="campaign", description=__doc__)
    arguments.add_argument("seeds", nargs="?", type=int, default=10000, help="how many")
    arguments.add_argument("--first", type=int, default=0, help="the first of them")
    arguments.add_argument(
        "--seed", type=int, help="play this one again and show what the bots logged"
    )
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments.add_argument(
        "--findings",
        default="",
        help="a file that gets a line of JSON for each seed that showed something",
    )
    options = arguments.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets influences the story: without a fixed one no seed could be replayed.
        words = [sys.executable, *sys.orig_argv[1:]]
        env = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, words, env)  # noqa: S606 - this program itself, without a shell
    if options.seed is None:
        return report(
            range(options.first, options.first + options.seeds), options.jobs, options.findings
        )
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    told = play(options.seed)
    print(in_full(told), f"    trace: {told.trace}", sep="\n")
    if told.wrong:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
