"""Several bots divide the clusters: at most one drives each, and none is left for long."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import Clock, loop_clock
from services.common.errors import Foreign
from services.operations.assignment import (
    BEAT,
    SHARDS,
    SLOTS,
    TTL,
    ClusterAssignment,
    ShardLeases,
    claims,
    quotas,
    shard_of,
)
from services.runs.locks import TTL as LEASE
from services.store import Commit
from services.store.keys import bot_slot_key, shard_key
from services.store.sqlite import SqliteStore
from tests.support import virtual
from tests.support.clusters import law
from tests.support.crash_injector import CrashingStore, CrashInjector

NAMES = tuple(f"c{n}" for n in range(300))
SETTLED = 4 * BEAT  # after a bot has joined or left in peace
LOOK_EVERY = 1.0


@dataclass
class Member:
    """One bot's assignment, its life, and when it was killed or paused."""

    assignment: ClusterAssignment
    life: CrashInjector
    store: CrashingStore
    works: bool = True

    def driven(self, names: Iterable[str]) -> frozenset[str]:
        """What it drives; a process that is dead or paused does nothing."""
        if self.life.is_dead or not self.works:
            return frozenset()
        return frozenset(n for n in names if self.assignment.drives(n))


class Fleet:
    """Bots on one state store. Every look checks that no cluster has two drivers."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self.names = tuple(names)
        self.clock: Clock = loop_clock(1_800_000_000.0)
        self.store = SqliteStore(None, self.clock, threaded=False)
        self.members: list[Member] = []
        self.driverless: dict[str, float] = dict.fromkeys(self.names, 0.0)
        self.longest = 0.0

    async def join(self, names: Iterable[str] | None = None, *, observes: bool = False) -> Member:
        life = CrashInjector()
        store = CrashingStore(self.store, life)
        worker = f"bot-{len(self.members)}"
        of = tuple(names or self.names)
        assignment = ClusterAssignment(store, self.clock, worker, of, observes=observes)
        member = Member(assignment, life, store)
        self.members.append(member)
        await member.assignment.sweep()
        return member

    def drivers(self) -> dict[str, Member]:
        """Look at every bot now."""
        found: dict[str, Member] = {}
        for member in self.members:
            for name in member.driven(self.names):
                assert name not in found, f"{name} has two drivers"
                found[name] = member
        return found

    async def passes(self, seconds: float) -> None:
        """Let time pass, and look at everything each second."""
        for _ in range(round(seconds / LOOK_EVERY)):
            await asyncio.sleep(LOOK_EVERY)
            found = self.drivers()
            for name in self.names:
                left = 0.0 if name in found else self.driverless[name] + LOOK_EVERY
                self.driverless[name] = left
                self.longest = max(self.longest, left)

    def shares(self) -> list[int]:
        counts = Counter(id(m) for m in self.drivers().values())
        return sorted(counts.values())

    async def close(self) -> None:
        for member in self.members:
            if not member.life.is_dead:
                await member.assignment.aclose()


def moved(before: dict[str, Member], after: dict[str, Member]) -> int:
    """How many clusters have another driver now."""
    return sum(after[name] is not member for name, member in before.items())


def about(number: float) -> object:
    """Shards are equally many; clusters are spread over them by their names."""
    return pytest.approx(number, rel=0.25)


def test_one_bot_drives_everything_at_once() -> None:
    async def story() -> None:
        fleet = Fleet()
        one = await fleet.join()
        assert one.driven(NAMES) == set(NAMES)
        await fleet.passes(60)
        assert fleet.longest == 0.0
        await fleet.close()

    virtual.run(story())


def test_three_bots_have_equal_shares_and_each_cluster_one_driver() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(3):
            await fleet.join()
        await fleet.passes(SETTLED)
        assert fleet.shares() == [about(300 / 3)] * 3
        assert len(fleet.drivers()) == len(NAMES)
        before = fleet.drivers()
        await fleet.passes(120)
        assert moved(before, fleet.drivers()) == 0, "it stays as it is"
        await fleet.close()

    virtual.run(story())


def test_what_a_killed_bot_drove_has_a_driver_within_the_lease_and_nothing_else_moves() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(3):
            await fleet.join()
        await fleet.passes(SETTLED)
        for killed in range(3):
            before = fleet.drivers()
            own = {n for n, m in before.items() if m is fleet.members[killed]}
            fleet.members[killed].life.crash()
            fleet.longest = 0.0
            await fleet.passes(LEASE)
            after = fleet.drivers()
            assert len(after) == len(NAMES)
            assert fleet.longest <= TTL + BEAT + LOOK_EVERY < LEASE - BEAT
            assert {n for n, m in before.items() if after[n] is not m} == own
            await fleet.join()
            await fleet.passes(SETTLED)
        await fleet.close()

    virtual.run(story())


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_joining_and_leaving_move_only_its_share(number: int) -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(number):
            await fleet.join()
        await fleet.passes(SETTLED)
        before = fleet.drivers()
        new = await fleet.join()
        await fleet.passes(SETTLED)
        joined = fleet.drivers()
        share = len(new.driven(NAMES))
        assert share == about(300 / (number + 1))
        # The quotas of the others, whole numbers, may each differ by one shard.
        spare = number * 2 * 300 / SHARDS
        assert share <= moved(before, joined) <= share + spare
        fleet.longest = 0.0
        await new.assignment.aclose()
        await fleet.passes(SETTLED)
        assert fleet.longest <= BEAT + LOOK_EVERY, "who leaves in peace is waited for by no one"
        left = fleet.drivers()
        assert share <= moved(joined, left) <= share + spare
        await fleet.close()

    virtual.run(story())


def test_a_share_is_handed_over_within_a_beat_of_nobody() -> None:
    """Who gives a cluster up stops driving it a beat before another can take it."""

    async def story() -> None:
        fleet = Fleet()
        await fleet.join()
        await fleet.passes(10)
        await fleet.join()
        await fleet.passes(60)
        assert BEAT <= fleet.longest <= 2 * BEAT + LOOK_EVERY
        await fleet.close()

    virtual.run(story())


def test_a_bot_that_was_away_drives_nothing_when_it_wakes() -> None:
    """SIGSTOP for a minute: the others have its clusters, and it knows before it acts."""

    async def story() -> None:
        fleet = Fleet()
        for _ in range(2):
            await fleet.join()
        await fleet.passes(SETTLED)
        first = fleet.members[0]
        first.life.pause()
        first.works = False
        await fleet.passes(60)
        assert len(fleet.members[1].driven(NAMES)) == len(NAMES)
        first.works = True
        assert first.driven(NAMES) == set(), "by its clocks, without asking"
        first.life.go_on()
        await fleet.passes(SETTLED)
        assert fleet.shares() == [about(150)] * 2
        await fleet.close()

    virtual.run(story())


def test_without_the_state_nobody_drives_and_afterwards_all_is_as_before() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(3):
            await fleet.join()
        await fleet.passes(SETTLED)
        for member in fleet.members:
            member.store.away = True
        await fleet.passes(60)
        assert fleet.drivers() == {}
        for member in fleet.members:
            member.store.away = False
        await fleet.passes(SETTLED)
        assert fleet.shares() == [about(300 / 3)] * 3
        await fleet.close()

    virtual.run(story())


def test_one_bot_without_the_state_loses_only_its_own() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(3):
            await fleet.join()
        await fleet.passes(SETTLED)
        before = fleet.drivers()
        fleet.longest, fleet.members[2].store.away = 0.0, True
        await fleet.passes(LEASE)
        after = fleet.drivers()
        assert fleet.longest <= TTL + BEAT
        kept = {n for n, m in before.items() if m is not fleet.members[2]}
        assert all(after[n] is before[n] for n in kept)
        assert len(after) == len(NAMES)
        await fleet.close()

    virtual.run(story())


@law
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "kill", "leave", "pause", "wake", "cut", "reconnect"]),
            st.integers(0, 9),
            st.integers(1, 70),
        ),
        max_size=12,
    )
)
def test_whatever_happens_no_cluster_has_two_drivers_and_none_is_left(
    moves: list[tuple[str, int, int]],
) -> None:
    async def story() -> None:
        fleet = Fleet(NAMES[:30])
        await fleet.join()
        for what, which, seconds in moves:
            living = [m for m in fleet.members if not m.life.is_dead]
            member = living[which % len(living)] if living else None
            if what == "join" and len(living) < 5:
                await fleet.join()
            elif member is not None:
                await happen(what, member)
            await fleet.passes(seconds)
        for member in fleet.members:
            await happen("wake", member)
            await happen("reconnect", member)
        if not any(m.works and not m.life.is_dead for m in fleet.members):
            await fleet.join()
        await fleet.passes(LEASE + SETTLED)
        assert set(fleet.drivers()) == set(fleet.names)
        await fleet.close()

    virtual.run(story())


async def happen(what: str, member: Member) -> None:
    if what == "kill" or (what == "leave" and not member.works):
        member.life.crash()
    elif what == "leave":
        await member.assignment.aclose()
        member.life.crash()
    elif what == "pause":
        member.life.pause()
        member.works = False
    elif what == "wake":
        member.life.go_on()
        member.works = True
    elif what in ("cut", "reconnect"):
        member.store.away = what == "cut"


def test_bots_whose_settings_name_different_clusters_leave_none_alone() -> None:
    """While clusters are added, the bots are restarted one after the other."""

    async def story() -> None:
        fleet = Fleet(NAMES[:40])
        await fleet.join(NAMES[:20])
        await fleet.join(NAMES[10:40])
        await fleet.passes(120)
        assert set(fleet.drivers()) == set(NAMES[:40])
        before = fleet.drivers()
        await fleet.passes(300)
        assert moved(before, fleet.drivers()) == 0, "and it comes to rest"
        await fleet.close()

    virtual.run(story())


def test_a_bot_that_observes_leaves_everything_to_one_that_operates() -> None:
    async def story() -> None:
        fleet = Fleet(NAMES[:40])
        observing = await fleet.join(observes=True)
        other = await fleet.join(observes=True)
        await fleet.passes(SETTLED)
        assert len(fleet.drivers()) == 40, "without another they observe everything"
        operating = await fleet.join()
        await fleet.passes(2 * SETTLED)
        assert operating.driven(fleet.names) == set(fleet.names)
        for member in (observing, other):
            for _ in range(3):  # as long as it runs, not once
                with pytest.raises(Foreign, match="it looks after no cluster"):
                    await member.assignment.sweep()
        operating.life.crash()
        await fleet.passes(3 * TTL)
        with pytest.raises(Foreign):
            await observing.assignment.sweep()
        assert fleet.drivers() == {}, "the other bot is only being restarted"
        late = await fleet.join(observes=True)
        await fleet.passes(SETTLED)
        assert late.driven(fleet.names) == set(fleet.names), "none operates any more"

    virtual.run(story())


def test_more_bots_than_slots_wait_for_one() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(SLOTS):
            await fleet.join()
        late = await fleet.join()
        await fleet.passes(60)
        assert late.driven(NAMES) == set()
        assert len(fleet.drivers()) == len(NAMES)
        fleet.members[0].life.crash()
        await fleet.passes(LEASE + SETTLED)
        assert late.driven(NAMES)
        await fleet.close()

    virtual.run(story())


def test_a_state_that_was_emptied_is_divided_anew() -> None:
    async def story() -> None:
        fleet = Fleet()
        for _ in range(2):
            await fleet.join()
        await fleet.passes(SETTLED)
        keys = [bot_slot_key(n) for n in range(SLOTS)] + [shard_key(n) for n in range(SHARDS)]
        await fleet.store.commit(Commit(puts=dict.fromkeys(keys)))
        # For as long as a beat both may believe in the same: commits decide then, as ever.
        await asyncio.sleep(2 * SETTLED)
        assert fleet.shares() == [about(150)] * 2
        await fleet.passes(60)
        await fleet.close()

    virtual.run(story())


def test_an_error_ends_the_beats_and_is_raised_in_the_next_round() -> None:
    """It would otherwise end the bot's part without a word."""

    async def story() -> None:
        clock = loop_clock(1_800_000_000.0)

        class Broken(SqliteStore):
            broken = False

            async def get(self, *keys: str) -> list[str | None]:
                if self.broken:
                    raise ValueError("odd")
                return await super().get(*keys)

        store = Broken(None, clock, threaded=False)
        assignment = ClusterAssignment(store, clock, "bot", NAMES)
        await assignment.sweep()
        store.broken = True
        await asyncio.sleep(10)
        store.broken = False
        with pytest.raises(ValueError, match="odd"):
            await assignment.sweep()
        await assignment.sweep()
        assert assignment.drives("c1")
        await assignment.aclose()

    virtual.run(story())


# The decision alone

shards = st.integers(1, 60)


@law
@given(st.integers(1, SLOTS), st.integers(1, 400))
def test_quotas_are_equal_and_leave_nothing_over(bots: int, number: int) -> None:
    each = quotas([str(n) for n in range(bots)], number)
    assert sum(each) == number
    assert max(each) - min(each) <= 1


@law
@given(st.integers(1, 6), shards, st.data())
def test_bots_that_read_the_same_claim_different_shards_and_come_to_rest(
    number: int, count: int, data: st.DataObject
) -> None:
    bots = tuple(f"b{n}" for n in range(number))
    holder = st.one_of(st.none(), st.sampled_from(bots))
    holders = {s: data.draw(holder) for s in range(count)}
    leaving: dict[str, frozenset[int]] = dict.fromkeys(bots, frozenset())
    for _ in range(6):
        leases = ShardLeases(bots, dict(holders))
        changes = {bot: claims(leases, bot, leaving[bot]) for bot in bots}
        for one, other in pairwise(changes.values()):
            assert not one.claimed & other.claimed
        for bot, change in changes.items():
            assert change.released <= leaving[bot], "stopped a beat ago"
            assert change.claimed <= frozenset(leases.free)
            holders |= dict.fromkeys(change.claimed, bot)
            holders |= dict.fromkeys(change.released)
            leaving[bot] = change.leaving
    assert [list(holders.values()).count(b) for b in bots] == quotas(bots, count)


def test_names_are_spread_evenly_and_always_alike() -> None:
    counts = Counter(shard_of(f"customer-{n}") for n in range(10_000))
    assert len(counts) == SHARDS
    assert max(counts.values()) < 3 * 10_000 / SHARDS
    assert (shard_of("acme"), shard_of("prod-eu")) == (SHARD_OF_ACME, SHARD_OF_PROD)


SHARD_OF_ACME, SHARD_OF_PROD = 62, 181
"""What older versions compute, too: bots of two versions share one state."""
