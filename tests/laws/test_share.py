"""The bot keeps to its share of a token's requests by itself, and is never refused for its own."""

import asyncio
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cloud.clients.pace import (
    FOR_WRITES,
    HOUR,
    JITTER,
    PER_HOUR,
    PER_MINUTE,
    WRITE_WAITS,
    RequestPace,
)
from services.common.clock import loop_clock
from services.common.errors import Unreachable
from simulators.digitalocean.limiter import RateLimiter
from tests.support import virtual
from tests.support.scene import ORIGIN, Scene

NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
EVENING = datetime(2026, 11, 25, 19, 59, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()


async def _sender(
    pace: RequestPace, dice: random.Random, arrived: list[float], until: float
) -> None:
    """Read and write in bursts; each request arrives a little after it was sent."""
    clock = loop_clock(ORIGIN)
    await clock.sleep(dice.uniform(0, 30))
    while clock.now() < until:
        turn = pace.write if dice.random() < 0.3 else pace.read
        try:
            await turn("a request")
        except Unreachable as error:
            await clock.sleep(min(60.0, error.retry_after or 1.0))
            continue
        arrived.append(clock.now() + dice.uniform(0, JITTER))
        if dice.random() < 0.05:
            await clock.sleep(dice.uniform(0, 20))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 1.0), st.integers(200, 20_000), st.integers(0, 2**32))
def test_no_crowd_sends_more_than_the_share_in_a_minute_or_an_hour(
    share: float, limit: int, seed: int
) -> None:
    async def story() -> list[float]:
        pace, arrived = RequestPace(loop_clock(ORIGIN), share), list[float]()
        pace.note_limit(limit)
        dice, until = random.Random(seed), ORIGIN + 1.5 * HOUR
        await asyncio.gather(*(_sender(pace, dice, arrived, until) for _ in range(12)))
        return sorted(arrived)

    arrived = virtual.run(story())
    limiter = RateLimiter(int(limit * share), int(PER_MINUTE * share))
    refused = [moment for moment in arrived if limiter.admit(moment).refused]
    assert arrived
    assert not refused


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.floats(0.05, 1.0), st.integers(0, 2**32))
def test_bots_that_divide_the_share_keep_to_it_together(bots: int, share: float, seed: int) -> None:
    async def story() -> list[float]:
        arrived, dice, until = list[float](), random.Random(seed), ORIGIN + 1.2 * HOUR
        paces = [RequestPace(loop_clock(ORIGIN), share) for _ in range(bots)]
        for pace in paces:
            pace.divide(lambda: bots)
        await asyncio.gather(*(_sender(pace, dice, arrived, until) for pace in paces * 4))
        return sorted(arrived)

    arrived = virtual.run(story())
    limiter = RateLimiter(max(bots, int(PER_HOUR * share)), max(bots, int(PER_MINUTE * share)))
    assert arrived
    assert not [moment for moment in arrived if limiter.admit(moment).refused]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([0.2, 0.7, 0.8]), st.integers(0, 2**32))
def test_a_restart_in_a_crowd_is_never_refused(share: float, seed: int) -> None:
    """The new process does not know what the one before sent in the last minute."""

    async def story() -> list[float]:
        arrived, dice = list[float](), random.Random(seed)
        for _ in range(3):
            pace, until = RequestPace(loop_clock(ORIGIN), share), loop_clock(ORIGIN).now() + 150.0
            await asyncio.gather(*(_sender(pace, dice, arrived, until) for _ in range(12)))
        return sorted(arrived)

    limiter = RateLimiter()
    assert not [moment for moment in virtual.run(story()) if limiter.admit(moment).refused]


def test_reads_leave_room_for_a_write() -> None:
    """A crowd that looks does not keep one of it from acting."""

    async def story() -> tuple[int, float]:
        clock = loop_clock(ORIGIN)
        pace, reads = RequestPace(clock), 0

        async def read() -> None:
            nonlocal reads
            await pace.read("a read")
            reads += 1

        tasks = [asyncio.create_task(read()) for _ in range(PER_MINUTE)]
        await clock.sleep(1)
        began = clock.now()
        await pace.write("a write")
        waited = clock.now() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return reads, waited

    reads, waited = virtual.run(story())
    assert 0 < reads < PER_MINUTE * (1 - FOR_WRITES)
    assert waited == 0


def test_a_write_that_would_wait_long_is_not_sent() -> None:
    """It was decided on what was seen just now: the cluster is looked at again instead."""

    async def story() -> None:
        clock = loop_clock(ORIGIN)
        pace = RequestPace(clock)
        for _ in range(pace.allowance.minute):
            await pace.write("a write")
        began = clock.now()
        with pytest.raises(Unreachable, match="share") as refused:
            await pace.write("a write")
        assert refused.value.sent is False
        assert clock.now() - began <= WRITE_WAITS

    virtual.run(story())


def test_what_is_left_of_the_hour_is_of_the_share() -> None:
    async def story() -> None:
        pace = RequestPace(loop_clock(ORIGIN), share=0.1)
        assert pace.left == 1.0
        for _ in range(10):
            await pace.write("a write")
        assert pace.left == 1 - 10 / (PER_HOUR * 0.1)

    virtual.run(story())


@pytest.mark.parametrize("share", [0.8, 0.2])
def test_a_crowd_that_closes_at_once_closes_within_its_share(share: float) -> None:
    """All masters are asked to shut down in the same minute, and more often than that allows."""

    async def story() -> None:
        site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
        stacks = tuple(f"c{n}" for n in range(15))
        more = {"digitalocean": {"request_share": share}}
        async with Scene(media=1, stacks=stacks, origin=EVENING, site=site, settings=more) as scene:
            scene.allowed_complaints = ["ratelimited"]  # fifteen cards in one channel at once
            for stack in stacks:
                await scene.run_is(f"{stack}-1", "done")
            asked = [moment for *_, moment in scene.estate.requests]
            assert all(m.status == "off" for stack in stacks for m in scene.estate.masters(stack))
            assert not [r for r in scene.estate.requests if r[2] == 429]
            limiter = RateLimiter(int(PER_HOUR * share), int(PER_MINUTE * share))
            assert not [moment for moment in asked if limiter.admit(moment).refused]

    virtual.run(story())
