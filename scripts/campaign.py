"""Plays the campaign on every core, or one seed of it again.

`campaign.py 10000` plays the seeds 0 to 9999; `campaign.py --seed 123` plays one of them as it was, and shows what the bots logged.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.campaign.many import campaign
from tests.campaign.play import Told, play

ROOT = Path(__file__).parents[1]


def report(seeds: range, jobs: int, findings: str) -> int:
    """Play them, show how far it is and what was found. The exit status: 0 when nothing was."""
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
            so_far = f"{n} of {len(seeds)} seeds, {bad} with a violation, {time.monotonic() - began:.0f} s"
            print(f"\r{so_far}", end="", file=sys.stderr, flush=True)
    for kind, found in sorted(kinds.items(), key=lambda k: -len(k[1])):
        print(f"{len(found):6} {kind} (seeds {', '.join(map(str, found[:5]))})")
    how = ", ".join(f"{n} {how}" for how, n in ends.most_common())
    took = f"{time.monotonic() - began:.0f} s on {jobs} {'core' if jobs == 1 else 'cores'}"
    print(
        f"\n{len(seeds)} seeds, {sum(ends.values())} runs ({how}), {struck} faults: {bad} with a violation, {took}"
    )
    return 1 if bad else 0


def in_full(told: Told) -> str:
    """A seed that showed something, and how to see it again."""
    wrong = "".join(f"\n    {w}" for w in told.wrong)
    ends = ", ".join(told.ends) or "no run"
    return f"seed {told.seed}: {' · '.join(told.words)} -> {ends}{wrong}\n    again: make campaign SEED={told.seed}"


def main() -> int:
    reading = argparse.ArgumentParser(prog="campaign", description=__doc__)
    reading.add_argument("seeds", nargs="?", type=int, default=10000, help="how many")
    reading.add_argument("--first", type=int, default=0, help="the first of them")
    reading.add_argument(
        "--seed", type=int, help="play this one again and show what the bots logged"
    )
    reading.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    reading.add_argument(
        "--findings",
        default="",
        help="a file that gets a line of JSON for each seed that showed something",
    )
    said = reading.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is part of what happens: the same everywhere, or no seed would replay.
        words = [sys.executable, *sys.orig_argv[1:]]
        env = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, words, env)  # noqa: S606 - this program itself, without a shell
    if said.seed is None:
        return report(range(said.first, said.first + said.seeds), said.jobs, said.findings)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    told = play(said.seed)
    print(in_full(told), f"    trace: {told.trace}", sep="\n")
    return 1 if told.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
