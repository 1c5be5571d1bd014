"""Many seeds, on every core."""

import gc
import logging
import multiprocessing
import signal
import traceback
from collections.abc import Iterator

from tests.campaign.story import StoryResult, play

PATIENCE = 120  # Seconds of a core that one seed may take.
TOGETHER = 20
GARBAGE = 500_000  # Objects: more than a story makes, so that none is collected in its middle.
RENEWED = 60  # Shares of seeds until a worker is replaced by a new one.


class TooLong(BaseException):
    """It takes more CPU time than any story should. Played code must not catch it."""


def result_of(seed: int) -> StoryResult:
    """Return the result of a seed, whatever happened."""
    signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        return play(seed)
    except (Exception, TooLong):  # noqa: BLE001 - whatever it is, it is what this seed shows
        last = traceback.format_exc().strip().splitlines()
        place = "".join(line.strip() for line in last[-3:-2])
        return StoryResult(
            seed,
            (),
            (),
            (f"broke: {last[-1]} ({place})",),
            0,
            0,
            "",
        )
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_long(*_: object) -> None:
    raise TooLong(f"more than {PATIENCE} s")


def prepared() -> None:
    """Silence the bots' logs, which matter only for a single seed, and look for garbage rarely."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def some(seeds: list[int]) -> list[StoryResult]:
    """Play a few in one go; after each nothing of it is left, so that the memory stays small.

    What is left after all is what they have loaded. It is spared from the collector: looking
    through it after each story took a twelfth of the time.
    """
    results = []
    for seed in seeds:
        results.append(result_of(seed))
        gc.collect()
    gc.freeze()
    return results


def campaign(seeds: range, jobs: int) -> Iterator[StoryResult]:
    """Play all of them, and yield results as they come."""
    shares = [list(seeds[n : n + TOGETHER]) for n in range(0, len(seeds), TOGETHER)]
    if jobs == 1:
        prepared()
        for share in shares:
            yield from some(share)
        return
    # Not a ProcessPoolExecutor: with max_tasks_per_child it can wait for ever for a worker that it
    # never started.
    with multiprocessing.get_context("spawn").Pool(
        jobs, prepared, maxtasksperchild=RENEWED
    ) as pool:
        for done in pool.imap(some, shares):
            yield from done
