"""Locks: a cluster has one open run; a run has one worker with a lease, fenced by an epoch."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from services.common.clock import Clock
from services.common.context import task_context
from services.common.errors import Superseded, Unreachable
from services.runs.watched_time import KEPT
from services.store import Commit, Store
from services.store.keys import claim_key, epoch_key, lease_key, watch_key

TTL = 30.0
RENEW = 10.0
AGAIN = 1.0  # after a renewal that the state did not answer, and while another worker has it
# Not trusted for its last seconds: a call sent then may arrive after a takeover
MARGIN = 3.0


@dataclass(frozen=True)
class ClockReading:
    """One moment by both clocks: steady seconds and wall time."""

    steady: float
    wall: float

    @classmethod
    def of(cls, clock: Clock) -> "ClockReading":
        return cls(clock.steady(), clock.now())

    def since(self, earlier: "ClockReading") -> float:
        """The most seconds that may have passed."""
        return max(self.steady - earlier.steady, self.wall - earlier.wall)


class Lease:
    """The right to drive a run. `token` is what every journal entry is fenced by.

    How long it holds is measured by steady seconds and by the wall, and whichever says that more
    has passed counts: a clock that is put back does not make it last, and a machine that slept
    through a stretch that only its wall knows of does not either.
    """

    def __init__(
        self, store: Store, clock: Clock, run: str, epoch: int, worker: str, taken: ClockReading
    ) -> None:
        self._store = store
        self._clock = clock
        self.run = run
        self.epoch = epoch
        self.token = f"{epoch}:{worker}"
        self._taken = taken
        self._lost = False
        self.watch_record: str | None = None  # the watch of the worker before, as text
        self.make_watch_record: Callable[[], str] | None = (
            None  # this worker's watch, written with each renewal
        )

    @property
    def key(self) -> str:
        return lease_key(self.run)

    def check(self) -> None:
        """Superseded unless the lease surely still holds.

        Called before everything that leaves the bot.
        """
        if self._lost or ClockReading.of(self._clock).since(self._taken) >= TTL - MARGIN:
            raise Superseded(f"the lease on {self.run} expired")

    async def renew(self) -> None:
        """Renew it once. Superseded when another worker has it."""
        began = ClockReading.of(self._clock)
        puts, ttl = self._noted()
        commit = Commit(
            checks={self.key: self.token},
            puts={**puts, self.key: self.token},
            ttl={**ttl, self.key: TTL},
        )
        if not await self._store.commit(commit):
            self._lost = True
            raise Superseded(f"the lease on {self.run} went to another bot process")
        self._taken = began

    async def keep(self) -> None:
        """Renew until cancelled or lost.

        An unreachable store is tried again soon: the lease itself runs out if that lasts.
        """
        pause = RENEW
        with suppress(Superseded):
            while True:
                await self._clock.sleep(pause)
                try:
                    await self.renew()
                    pause = RENEW
                except Unreachable:
                    pause = AGAIN

    async def release(self) -> None:
        """Release it, if it is still ours."""
        self._lost = True
        puts, ttl = self._noted()
        with suppress(Unreachable):
            await self._store.commit(
                Commit(checks={self.key: self.token}, puts={**puts, self.key: None}, ttl=ttl)
            )

    def _noted(self) -> tuple[Mapping[str, str], Mapping[str, float]]:
        if self.make_watch_record is None:
            return {}, {}
        key = watch_key(self.run)
        return {key: self.make_watch_record()}, {key: KEPT}


class Locks:
    """Locks of clusters and leases on runs, for one worker."""

    def __init__(self, store: Store, clock: Clock, worker: str) -> None:
        self._store = store
        self._clock = clock
        self.worker = worker

    async def locking_run(self, cluster: str) -> str | None:
        """The id of the run that has locked the cluster, if any."""
        return (await self._store.get(claim_key(cluster)))[0]

    async def take(self, run: str) -> Lease | None:
        """Take the lease on a run; None while another worker has it."""
        began = ClockReading.of(self._clock)
        epoch_at = epoch_key(run)
        held, epoch, left = await self._store.get(lease_key(run), epoch_at, watch_key(run))
        if held is not None:
            return None
        number = int(epoch or 0) + 1
        lease = Lease(self._store, self._clock, run, number, self.worker, began)
        lease.watch_record = left
        taken = await self._store.commit(
            Commit(
                checks={lease.key: None, epoch_at: epoch},
                puts={lease.key: lease.token, epoch_at: str(number)},
                ttl={lease.key: TTL},
            )
        )
        return lease if taken else None

    async def take_within(self, run: str, seconds: float) -> Lease | None:
        """Take the lease, waiting so long for the worker that has it to release or lose it."""
        until = self._clock.steady() + seconds
        while (lease := await self.take(run)) is None and self._clock.steady() < until:
            await self._clock.sleep(AGAIN)
        return lease


class LeaseKeeper:
    """`async with LeaseKeeper(lease):` renews it meanwhile and releases it at the end."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lease:
        run = self._lease.run
        self._keeper = asyncio.create_task(
            self._lease.keep(), name=f"lease {run}", context=task_context(run=run)
        )
        return self._lease

    async def __aexit__(self, *_: object) -> None:
        assert self._keeper is not None, "entered before left"
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper
        await self._lease.release()
