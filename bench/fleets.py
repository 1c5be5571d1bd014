"""Many clusters at once: under one token at the same minute, idle by the thousand, and with a long history behind them."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from bench.figures import Figure
from services.clock import loop_clock
from services.runs import State
from services.store.sqlite import SqliteStore
from simulators.estate.delays import PUBLISHED
from tests.support import virtual
from tests.support.quick import Quick, keeps, staffed
from tests.support.scene import Scene

CLUSTERS = 100
TOGETHER = 1.25
MINUTE, HOUR = 60.0, 3600.0
PER_MINUTE, PER_HOUR = 250, 5000
NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
LONGEST = 30.0  # minutes that the last meeting still has when the windows close


@dataclass(frozen=True)
class Closing:
    """How long a night's closing took, in seconds after the minute, and what was asked of DigitalOcean."""

    seconds: float
    requests: tuple[float, ...]
    refused: int

    def most_in(self, span: float) -> int:
        """The most requests within any such span."""
        most, first = 0, 0
        for last, moment in enumerate(self.requests):
            while moment - self.requests[first] > span:
                first += 1
            most = max(most, last - first + 1)
        return most


def close(number: int) -> Closing:
    """So many clusters under one token close at 20:00; each has a meeting left, the last of them for half an hour."""
    stacks = tuple(f"c{n}" for n in range(number))
    evening = datetime(2026, 11, 25, 20, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()

    async def story() -> Closing:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        async with Scene(media=1, stacks=stacks, origin=evening - 60, site=site) as scene:
            scene.estate.delays = PUBLISHED
            scene.promises = False  # a hundred cards in one channel: Slack may limit the rate, which its client waits out
            for n, stack in enumerate(stacks):
                minutes = 1 + LONGEST * (number - n) / number
                scene.estate.open_meeting(people=4, minutes=minutes, recordings=0, cluster=stack)
            ends = [(await scene.run_is(f"{stack}-1", State.DONE, State.STOPPED)) for stack in stacks]
            if any(run.state is not State.DONE for run in ends) or scene.estate.violations:
                raise AssertionError(f"{[r.stopped for r in ends if r.stopped][:3]} {scene.estate.violations[:3]}")
            asked = tuple(moment for *_, moment in scene.estate.requests)
            refused = sum(status == 429 for _, _, status, _ in scene.estate.requests)
            return Closing(max(r.ended_at for r in ends) - evening, asked, refused)

    return virtual.run(story())


def closings(number: int = CLUSTERS) -> list[Figure]:
    """A crowd beside one."""
    crowd, one = close(number), close(1)
    group = f"{number} clusters under one token close at the same minute"
    return [
        Figure(group, "the last one is down after", crowd.seconds, one.seconds, "s", "one cluster alone", TOGETHER),
        Figure(group, "most requests in a minute", crowd.most_in(MINUTE), PER_MINUTE, "", "what DigitalOcean allows", 1.0),
        Figure(group, "most requests in an hour", crowd.most_in(HOUR), PER_HOUR, "", "what DigitalOcean allows", 1.0),
        Figure(group, "refused for being too many", crowd.refused, 1, "", "one", 0.0),
        Figure(group, "requests for each cluster", len(crowd.requests) / number, len(one.requests), "", "one cluster alone"),
    ]
