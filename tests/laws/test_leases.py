"""A lease holds only while no other worker can have it, whatever the clocks do."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import Clock
from services.common.errors import Superseded
from services.runs.locks import MARGIN, TTL, Lease, Locks
from services.store.sqlite import SqliteStore
from tests.support.clusters import law

GOOD_FOR = TTL - MARGIN


class Hands:
    """A wall clock that can be put back and forward, and seconds that only go forward."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 1000.0
        self.clock = Clock(read=lambda: self.wall, steady=lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def holds(lease: Lease) -> bool:
    try:
        lease.check()
    except Superseded:
        return False
    return True


async def taken(hands: Hands) -> tuple[SqliteStore, Lease]:
    store = SqliteStore(None, hands.clock, threaded=False)
    lease = await Locks(store, hands.clock, "bot-1").take("acme-1")
    assert lease is not None
    return store, lease


def test_put_back_by_an_hour_it_ends_all_the_same() -> None:
    """A lease was believed for an hour after another bot had taken it."""

    async def story() -> None:
        hands = Hands()
        _, lease = await taken(hands)
        hands.wall -= 3600
        hands.passes(GOOD_FOR - 1)
        assert holds(lease)
        hands.passes(2)
        assert not holds(lease)

    asyncio.run(story())


def test_put_forward_it_is_not_believed_any_more() -> None:
    """A machine that slept knows it by its wall alone, when its steady seconds slept too."""

    async def story() -> None:
        hands = Hands()
        _, lease = await taken(hands)
        hands.wall += GOOD_FOR + 1
        assert not holds(lease)

    asyncio.run(story())


@law
@given(st.lists(st.tuples(st.floats(0, 20), st.floats(-90_000, 90_000)), max_size=6))
def test_it_is_never_believed_for_longer_than_it_is_given(moves: list[tuple[float, float]]) -> None:
    async def story() -> None:
        hands = Hands()
        store, lease = await taken(hands)
        passed = 0.0
        for seconds, correction in moves:
            hands.passes(seconds)
            hands.wall += correction
            passed += seconds
            if passed >= GOOD_FOR:
                assert not holds(lease)
            if passed > TTL:
                other = await Locks(store, hands.clock, "bot-2").take("acme-1")
                assert other is not None, "and nobody waits for a day"
                return
            if holds(lease):
                assert await Locks(store, hands.clock, "bot-2").take("acme-1") is None

    asyncio.run(story())


@pytest.mark.parametrize("correction", [-86400.0, 86400.0])
def test_a_renewal_starts_from_the_corrected_clock(correction: float) -> None:
    async def story() -> None:
        hands = Hands()
        _, lease = await taken(hands)
        hands.passes(10)
        hands.wall += correction
        await lease.renew()
        hands.passes(GOOD_FOR - 1)
        assert holds(lease)
        hands.passes(2)
        assert not holds(lease)

    asyncio.run(story())


def test_seconds_that_only_go_forward_are_those_since_the_boot() -> None:
    clock = Clock(read=lambda: 0.0)
    first, second = clock.steady(), clock.steady()
    assert 0 < first <= second
    assert Clock(speed=10.0).steady() >= first * 10
    assert Clock(steady=lambda: 5.0).boot_id == "", "what it counts from has no name"
    assert Clock().boot_id == Clock().boot_id
