"""Leases and the drain ledger, to the second: who may act and until when.

No signal is sent in doubt.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from services.common.clock import Clock, loop_clock
from services.common.errors import Superseded, Unreachable
from services.runs.drain_ledger import DrainLedger
from services.runs.locks import AGAIN, MARGIN, RENEW, TTL, Lease, LeaseKeeper, Locks
from services.store import Commit
from services.store.keys import claim_key, lease_key
from tests.support import virtual
from tests.support.memory_store import MemoryStore

Story = Callable[[MemoryStore, Clock], Awaitable[None]]


def play(story: Story) -> None:
    async def run() -> None:
        clock = loop_clock(0.0)
        await story(UnreliableStore(clock), clock)

    virtual.run(run())


class UnreliableStore(MemoryStore):
    """A state store that can be unreachable or slow."""

    away = False
    takes = 0.0
    commits = 0

    async def commit(self, commit: Commit) -> bool:
        self.commits += 1
        await asyncio.sleep(self.takes)
        if self.away:
            raise Unreachable("asking Redis: ConnectionError")
        return await super().commit(commit)


async def taken(locks: Locks, run: str = "acme-1") -> Lease:
    lease = await locks.take(run)
    assert lease is not None, "nobody else has it"
    return lease


def lost(lease: Lease) -> bool:
    try:
        lease.check()
    except Superseded as error:
        return str(error) == f"the lease on {lease.run} expired"
    return False


def test_the_documented_figures() -> None:
    """30 s, renewed every 10 s, not trusted for the last 3 s.

    The keys are read by other bots, also of other versions.
    """
    assert (TTL, RENEW, AGAIN, MARGIN) == (30.0, 10.0, 1.0, 3.0)
    assert (claim_key("acme"), lease_key("acme-1")) == ("claim:acme", "lease:acme-1")


def test_a_lease_is_taken_once_and_is_numbered() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        one, other = Locks(store, clock, "w1"), Locks(store, clock, "w2")
        lease = await taken(one)
        assert (lease.run, lease.epoch, lease.token, lease.key) == (
            "acme-1",
            1,
            "1:w1",
            "lease:acme-1",
        )
        assert await store.get("lease:acme-1", "epoch:acme-1") == ["1:w1", "1"]
        assert await other.take("acme-1") is None
        assert await one.take("acme-1") is None
        assert (await taken(other, "acme-2")).token == "1:w2"
        await lease.release()
        assert await store.get("lease:acme-1", "epoch:acme-1") == [None, "1"]
        assert (await taken(other)).token == "2:w2"

    play(story)


def test_of_concurrent_takers_one_gets_the_lease() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        store.takes = 1.0
        found = await asyncio.gather(
            *(Locks(store, clock, f"w{n}").take("acme-1") for n in range(5))
        )
        assert len([f for f in found if f is not None]) == 1

    play(story)


def test_a_lease_taken_and_released_meanwhile_is_not_taken_on_a_stale_read() -> None:
    """The epoch is checked too: between read and write another bot took and released it."""

    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        store.takes = 5.0
        slow = asyncio.create_task(Locks(store, clock, "slow").take("acme-1"))
        await asyncio.sleep(1)
        store.takes = 0.0
        await (await taken(Locks(store, clock, "quick"))).release()
        assert await slow is None

    play(story)


def test_it_holds_for_27_seconds_from_the_request() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        store.takes = 4.0
        lease = await taken(Locks(store, clock, "w"))
        await asyncio.sleep(22.9)
        assert not lost(lease)
        await asyncio.sleep(0.1)
        assert lost(lease)
        assert await store.get(lease.key) == ["1:w"]
        await asyncio.sleep(7.5)
        assert await store.get(lease.key) == [None]

    play(story)


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        lease = await taken(Locks(store, clock, "w"))
        await asyncio.sleep(20)
        store.takes = 3.0
        await lease.renew()
        await asyncio.sleep(23.9)
        assert not lost(lease)
        await asyncio.sleep(0.2)
        assert lost(lease)
        assert (await store.get(lease.key)) == ["1:w"]
        await asyncio.sleep(6)
        assert (await store.get(lease.key)) == [None]

    play(story)


def test_a_renewal_of_a_lost_lease_ends_it_at_once() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        lease = await taken(Locks(store, clock, "w1"))
        await store.commit(Commit(puts={lease.key: "2:w2"}))
        with pytest.raises(Superseded, match="the lease on acme-1 went to another bot process"):
            await lease.renew()
        assert lost(lease)
        assert await store.get(lease.key) == ["2:w2"]

    play(story)


def test_it_is_renewed_every_ten_seconds_until_released() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        lease = await taken(Locks(store, clock, "w"))
        before = store.commits
        async with LeaseKeeper(lease) as kept:
            assert kept is lease
            await asyncio.sleep(9.9)
            assert store.commits == before
            await asyncio.sleep(0.2)
            assert store.commits == before + 1
            await asyncio.sleep(300)
            assert store.commits == before + 31
            assert not lost(lease)
        assert lost(lease), "let go: nothing more is written with it"
        assert await store.get(lease.key) == [None]
        await asyncio.sleep(100)
        assert store.commits == before + 32

    play(story)


def test_a_short_outage_is_bridged_and_a_long_one_ends_it() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        lease = await taken(Locks(store, clock, "w"))
        async with LeaseKeeper(lease):
            store.away = True
            await asyncio.sleep(25.5)
            assert store.commits == 1 + 16, "at 10 s, and then each second"
            store.away = False
            await asyncio.sleep(10)
            assert not lost(lease)
            assert store.commits == 1 + 16 + 1, "and at leisure again"
            store.away = True
            await asyncio.sleep(40)
            assert lost(lease)

    play(story)


def test_the_keeper_stops_when_the_lease_is_lost() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        lease = await taken(Locks(store, clock, "w1"))
        async with LeaseKeeper(lease):
            await store.commit(Commit(puts={lease.key: "2:w2"}))
            await asyncio.sleep(11)
            before = store.commits
            await asyncio.sleep(60)
            assert store.commits == before
        assert await store.get(lease.key) == ["2:w2"], "another's lease is left alone"

    play(story)


def test_a_release_without_a_state_store_is_silent_and_final() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        lease = await taken(Locks(store, clock, "w"))
        store.away = True
        await lease.release()
        assert lost(lease)

    play(story)


def test_a_cluster_is_locked_by_its_claimant() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        locks = Locks(store, clock, "w")
        assert locks.worker == "w"
        assert await locks.locking_run("acme") is None
        await store.commit(Commit(puts={"claim:acme": "acme-7", "claim:beta": "beta-1"}))
        assert await locks.locking_run("acme") == "acme-7"

    play(story)


# The ledger


def test_a_start_is_entered_once_and_stays() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        drains, lease = DrainLedger(store, clock), await taken(Locks(store, clock, "w"))
        await asyncio.sleep(5)
        assert not await drains.entered(7, "t1")
        await drains.enter(7, "t1", lease)
        assert await drains.entered(7, "t1")
        assert not await drains.entered(7, "t2")
        assert not await drains.entered(8, "t1")
        first = await store.get("drain:7:t1")
        assert json.loads(first[0] or "") == {"run": "acme-1", "at": 5.0}
        await asyncio.sleep(5)
        await drains.enter(7, "t1", lease)
        assert await store.get("drain:7:t1") == first
        await asyncio.sleep(86400 * 20)
        assert await drains.entered(7, "t1")

    play(story)


def test_nothing_is_entered_without_the_lease() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        drains, lease = DrainLedger(store, clock), await taken(Locks(store, clock, "w1"))
        await store.commit(Commit(puts={lease.key: "2:w2"}))
        with pytest.raises(Superseded, match="acme-1 is driven by another bot process"):
            await drains.enter(7, "t1", lease)
        assert not await drains.entered(7, "t1")
        await asyncio.sleep(28)
        with pytest.raises(Superseded, match="expired"):
            await drains.enter(7, "t1", lease)
        assert not await drains.entered(7, "t1")

    play(story)


def test_of_two_entries_at_once_the_first_stays() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        drains, lease = DrainLedger(store, clock), await taken(Locks(store, clock, "w1"))
        store.takes = 1.0
        first = asyncio.create_task(drains.enter(7, "t1", lease))
        await asyncio.sleep(0.5)
        with pytest.raises(Superseded):
            await drains.enter(7, "t1", lease)
        await first
        assert json.loads((await store.get("drain:7:t1"))[0] or "")["at"] == 0.0

    play(story)


def test_an_earlier_entry_does_not_allow_a_drain_without_the_lease() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        drains, lease = DrainLedger(store, clock), await taken(Locks(store, clock, "w1"))
        await drains.enter(7, "t1", lease)
        await store.commit(Commit(puts={lease.key: "2:w2"}))
        with pytest.raises(Superseded):
            await drains.enter(7, "t1", lease)

    play(story)


def test_an_expired_lease_does_not_reach_the_state_store() -> None:
    async def story(store: MemoryStore, clock: Clock) -> None:
        assert isinstance(store, UnreliableStore)
        drains, lease = DrainLedger(store, clock), await taken(Locks(store, clock, "w1"))
        await lease.release()
        before = store.commits
        with suppress(Superseded):
            await drains.enter(7, "t1", lease)
        assert store.commits == before

    play(story)
