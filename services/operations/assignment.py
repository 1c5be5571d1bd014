"""Which bot drives which cluster, where several bots share one state.

Clusters are spread over shards by their names. A shard's lease in the state store names the bot
that drives its clusters: their windows, the looks at them, their announcements, and open runs that
no other bot drives. Each bot has a lease on a slot of its own, so that all of them know how many
they are, and holds its quota of the shards, equal to one shard.

Every beat is one read and one commit, which checks every lease that it renews. A bot that joins
waits for the others to release what is above their quota; they stop driving it one beat earlier.
What a killed bot held expires, and the others divide it in their next beat. Only these shards move.

A bot that only observes stands aside once it has seen one that operates: it would mark times of
windows as done that the other then skips. It releases what it has and does not come back, so that
a restart of the other one leaves it nothing to mark.

This decides who does the work. That nothing is done twice is decided by the checks of each commit,
as before: a bot of an older version that drives everything does no harm.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate

from services.common.clock import Clock
from services.common.errors import OBSERVES, Foreign, Unreachable
from services.runs.locks import ClockReading
from services.store import Commit, Store
from services.store.keys import bot_slot_key, shard_key

log = logging.getLogger(__name__)
SHARDS = 256
SLOTS = 32  # bots with a quota; more of them drive what people ask of them, and nothing else
# From the kill of a bot to the first look of the next one: a lease, a beat, and a round of ten
# seconds. Together at most thirty, as long as the lease on a run.
TTL = 15.0
BEAT = 5.0
MARGIN = 3.0  # as in a run's lease: not trusted for its last seconds
AGAIN = 1.0  # after a beat that the state did not answer
TRIES = 5
# A free shard that its bot does not take for so long is taken by any other: the settings of the two
# name different clusters.
UNCLAIMED = 2.5 * BEAT
# Before the name of a bot that only observes, in its leases.
OBSERVING = "observes/"
ASIDE = (
    "a bot that operates shares this state, and this bot only observes: it looks after no cluster"
)


def shard_of(cluster: str) -> int:
    """Return the shard of a cluster: the same on every bot, in every version."""
    return zlib.crc32(cluster.encode()) % SHARDS


@dataclass(frozen=True)
class ShardLeases:
    """The leases as they were read: the bots in order of their slots, and each shard's holder."""

    slots: tuple[str | None, ...]
    holders: Mapping[int, str | None]

    @property
    def bots(self) -> tuple[str, ...]:
        """Return the bots that have a slot."""
        return tuple(dict.fromkeys(bot for bot in self.slots if bot is not None))

    def of(self, bot: str) -> frozenset[int]:
        """Return the shards of a bot."""
        return frozenset(s for s, holder in self.holders.items() if holder == bot)

    @property
    def free(self) -> tuple[int, ...]:
        """Return the shards without a holder."""
        return tuple(sorted(s for s, holder in self.holders.items() if holder is None))


@dataclass(frozen=True)
class Claims:
    """What a bot's next commit changes: shards to claim, to stop driving, and to release."""

    claimed: frozenset[int] = frozenset()
    leaving: frozenset[int] = frozenset()
    released: frozenset[int] = frozenset()


def quotas(bots: Sequence[str], shards: int) -> list[int]:
    """Return how many shards each bot holds; the first ones hold one more where it is uneven."""
    return [shards // len(bots) + (n < shards % len(bots)) for n in range(len(bots))]


def claims(
    leases: ShardLeases,
    bot: str,
    leaving: frozenset[int] = frozenset(),
    unclaimed: frozenset[int] = frozenset(),
    adopted: frozenset[int] = frozenset(),
) -> Claims:
    """Return what a bot with a slot claims and gives up. Pure, and the same seen by every bot.

    `leaving`: shards that it stopped driving a beat ago; `unclaimed`: free ones that no bot takes;
    `adopted`: those that it took although they were above its quota.
    """
    bots, own = leases.bots, leases.of(bot)
    each = quotas(bots, len(leases.holders))
    missing = [quota - len(leases.of(b)) for b, quota in zip(bots, each, strict=True)]
    place = bots.index(bot)
    if missing[place] >= 0 or not any(m > 0 for m in missing):
        # The free ones go to the bots in order, each up to its quota: two claim the same only
        # where they have read different leases, and then the commit of one of them fails.
        ends = list(accumulate(max(0, m) for m in missing))
        first = ends[place] - max(0, missing[place])
        return Claims(claimed=frozenset(leases.free[first : ends[place]]) | unclaimed)
    surplus = -missing[place]
    # Those it stopped driving a beat ago first, and always the same ones of the others.
    given = sorted(own - adopted, key=lambda s: (s not in leaving, -s))[:surplus]
    released = leaving & frozenset(given)
    return Claims(unclaimed, frozenset(given) - released, released)


@dataclass(frozen=True)
class _Held:
    """The shards that this bot drives, and the moment before their leases were renewed."""

    driven: frozenset[int]
    renewed: ClockReading


@dataclass
class _Watched:
    """Since when each shard is free, by steady seconds, and what was taken above the quota."""

    free_since: dict[int, float] = field(default_factory=dict)
    adopted: frozenset[int] = frozenset()
    bots: tuple[str, ...] = ()

    def saw(self, leases: ShardLeases, now: float) -> frozenset[int]:
        """Note the free shards; return those that have been free for too long."""
        if leases.bots != self.bots:
            self.bots, self.adopted = leases.bots, frozenset()
        since = self.free_since
        self.free_since = {shard: since.get(shard, now) for shard in leases.free}
        return frozenset(s for s, at in self.free_since.items() if now - at >= UNCLAIMED)


class ClusterAssignment:
    """This bot's part of the clusters. `worker` is its name; `clusters` are those it manages.

    `observes`: it only observes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: str,
        clusters: Iterable[str],
        *,
        observes: bool = False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = f"{OBSERVING}{worker}" if observes else worker
        self._observes = observes
        self._aside = False
        self._clusters = tuple(clusters)
        self._shards = sorted({shard_of(name) for name in self._clusters})
        self._held: _Held | None = None
        self._leaving: frozenset[int] = frozenset()
        self._watched = _Watched()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    def drives(self, cluster: str) -> bool:
        """Return whether this bot, and surely no other, drives the cluster now."""
        held = self._held
        if held is None or shard_of(cluster) not in held.driven:
            return False
        return ClockReading.of(self._clock).since(held.renewed) < TTL - MARGIN

    @property
    def bots(self) -> int:
        """Return how many bots share the state, as of the last beat; this one included."""
        return max(1, len(self._watched.bots))

    async def sweep(self) -> None:
        """Take part, from the first call on. Raise what has ended the beats, and begin again."""
        keeper = self._keeper
        if keeper is not None and not keeper.done():
            return
        self._keeper = None
        if keeper is not None and not keeper.cancelled():
            keeper.result()
        await self.beat()
        if not self._closed:
            self._keeper = asyncio.create_task(self._keep(), name="cluster assignment")

    async def _keep(self) -> None:
        pause = BEAT
        while True:
            await self._clock.sleep(pause)
            try:
                await self.beat()
                pause = BEAT
            except Unreachable as error:
                log.info("cluster assignment: %s", error)
                pause = AGAIN

    async def beat(self) -> None:
        """Renew the leases, and move towards the quota.

        Foreign where this bot only observes, and another one operates.
        """
        for _ in range(TRIES):
            began = ClockReading.of(self._clock)
            leases = await self._read()
            if self._observes:
                await self._stand_aside(leases)
            unclaimed = self._watched.saw(leases, began.steady)
            slot = _slot(leases, self._worker)
            if slot is None:
                self._held = None
                log.warning("%d bots share this state already; this one drives no cluster", SLOTS)
                return
            before, leases = leases.slots[slot], _with_slot(leases, slot, self._worker)
            change = claims(leases, self._worker, self._leaving, unclaimed, self._watched.adopted)
            # What it gives up it stops driving before anyone can claim it.
            self._stop_driving(change.leaving | change.released)
            if await self._store.commit(self._commit(leases, change, slot, before)):
                self._committed(leases, change, unclaimed, began)
                return

    async def _stand_aside(self, leases: ShardLeases) -> None:
        """Release everything and raise, where a bot that operates was seen now or before."""
        bots = {*leases.bots, *leases.holders.values()} - {None}
        self._aside |= any(bot is not None and not bot.startswith(OBSERVING) for bot in bots)
        if not self._aside:
            return
        self._held = None
        await self._release(leases)
        raise Foreign(
            f"{ASIDE}, until it is restarted",
            cause=OBSERVES,
            remedy="stop one of the two, or give the one that observes a state store of its own",
        )

    def _stop_driving(self, shards: frozenset[int]) -> None:
        if self._held is not None:
            self._held = _Held(self._held.driven - shards, self._held.renewed)

    def _committed(
        self, leases: ShardLeases, change: Claims, unclaimed: frozenset[int], began: ClockReading
    ) -> None:
        kept = leases.of(self._worker) - change.released
        self._leaving = change.leaving
        self._watched.adopted = (self._watched.adopted | unclaimed) & (kept | change.claimed)
        if self._closed:
            return
        driven = (kept | change.claimed) - change.leaving
        if self._held is None or driven != self._held.driven:
            number = sum(shard_of(name) in driven for name in self._clusters)
            log.info("this bot drives %d of %d clusters", number, len(self._clusters))
        self._held = _Held(driven, began)

    async def _read(self) -> ShardLeases:
        keys = [bot_slot_key(n) for n in range(SLOTS)] + [shard_key(s) for s in self._shards]
        texts = await self._store.get(*keys)
        holders = dict(zip(self._shards, texts[SLOTS:], strict=True))
        return ShardLeases(tuple(texts[:SLOTS]), holders)

    def _commit(self, leases: ShardLeases, change: Claims, slot: int, before: str | None) -> Commit:
        """Renew what is held, claim and release: all of it, or nothing if a lease has moved.

        `before` is what the slot held.
        """
        own = {shard_key(s): self._worker for s in leases.of(self._worker)}
        claimed = {shard_key(s): self._worker for s in change.claimed}
        released = {shard_key(s) for s in change.released}
        own_slot = bot_slot_key(slot)
        kept = {k: self._worker for k in (own_slot, *own, *claimed) if k not in released}
        return Commit(
            checks={**own, **dict.fromkeys(claimed), own_slot: before},
            puts={**kept, **dict.fromkeys(released)},
            ttl=dict.fromkeys(kept, TTL),
        )

    async def aclose(self) -> None:
        """Drive nothing more and release the leases, so that the others take over at once."""
        self._closed, self._held = True, None
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        with suppress(Unreachable):
            await self._release(await self._read())

    async def _release(self, leases: ShardLeases) -> None:
        own = [shard_key(s) for s in leases.of(self._worker)]
        own += [bot_slot_key(n) for n, bot in enumerate(leases.slots) if bot == self._worker]
        if own:
            commit = Commit(checks=dict.fromkeys(own, self._worker), puts=dict.fromkeys(own))
            await self._store.commit(commit)


def _slot(leases: ShardLeases, bot: str) -> int | None:
    """Return the number of the bot's slot, or of the first free one; None without any."""
    for wanted in (bot, None):
        if wanted in leases.slots:
            return leases.slots.index(wanted)
    return None


def _with_slot(leases: ShardLeases, slot: int, bot: str) -> ShardLeases:
    slots = list(leases.slots)
    slots[slot] = bot
    return replace(leases, slots=tuple(slots))
