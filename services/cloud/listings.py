"""One DigitalOcean token, and what all clusters under it share: listings and the request budget."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from services.cloud.clients.answers import repeatable
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.list_pages import requests_for
from services.cloud.clients.pace import FEW, PLENTY
from services.cloud.confirm import RefusalConfirmer
from services.cloud.droplet_listing import DropletListing
from services.cloud.parse import (
    Action,
    Listed,
    Member,
    Namespace,
    PoolEntry,
    Trigger,
    actions_of,
    droplet_entry,
    failure_of,
    listed,
    member_of,
    namespace_of,
    owner_of,
    pool_entry,
    size_of,
    snapshot_of,
    trigger_of,
)
from services.cluster.model import Size, Snapshot
from services.common.clock import Clock
from services.common.context import task_context
from services.common.errors import Forbidden, Unreachable

Json = dict[str, Any]
T = TypeVar("T")
# Looks this many seconds apart share a listing, for each request of it; with more active clusters
# than MANY, this many times as long.
SHARED, MANY, MANY_TIMES = 0.45, 4, 4
# Seconds after its last look that a cluster counts as active, and that a member list may be old for
# each active cluster, up to OLDEST.
ACTIVE = 60.0
OLDEST = 600.0
# DigitalOcean accepts 250 requests a minute. A look at one cluster of many takes less than one of
# its own; the rest is shared.
LOOKS_A_MINUTE = 240.0
SLOWER, RARE = 2, 6
# Of the hour's requests, what listings may take that only record what is billed.
FOR_RECORDS = 0.25


class SharedListing(Generic[T]):
    """One list call, shared by all who need it at about the same time."""

    def __init__(self, clock: Clock, fetch: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._clock = clock
        self._fetch = fetch
        # When the newest listing was begun.
        self.begun = float("-inf")
        self._task: asyncio.Task[T] | None = None
        # How many requests the last one took.
        self.requests = 1

    async def since(self, moment: float) -> T:
        """Return a listing that was begun at `moment` or later."""
        task = self._task
        if task is None or self.begun < moment or _has_failed(task):
            self.begun = self._clock.now()
            task = self._task = asyncio.create_task(
                self._fetch(), name="listing", context=task_context()
            )
            # Each caller gets the error; without callers it must not be reported as lost.
            task.add_done_callback(_has_failed)
        listing = await asyncio.shield(task)
        self.requests = requests_for(len(listing)) if isinstance(listing, Listed) else 1
        return listing


def _has_failed(task: "asyncio.Task[Any]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class SharedAccount:
    """One DigitalOcean token. Its clusters share its listings, and its rate budget sets their pace.

    Everything read here agrees with earlier answers, or is confirmed: `services.cloud.confirm`.
    """

    def __init__(self, api: DigitalOceanClient, clock: Clock) -> None:
        self.api = api
        self.droplets: SharedListing[DropletListing] = SharedListing(clock, self._droplets)
        self.pools: SharedListing[Listed[PoolEntry]] = SharedListing(clock, self._pools)
        self.namespaces: SharedListing[Listed[Namespace] | None] = SharedListing(
            clock, self._namespaces
        )
        self.account: SharedListing[Json] = SharedListing(clock, self._account)
        self.sizes: SharedListing[Listed[Size]] = SharedListing(clock, self._sizes)
        self.snapshots: SharedListing[Listed[Snapshot]] = SharedListing(clock, self._snapshots)
        self._answers = RefusalConfirmer(clock)
        self._clock = clock
        # Each pool as it was last read by itself, and when.
        self._read_pools: dict[str, tuple[float, PoolEntry]] = {}
        # When each active cluster was last looked at.
        self._active: dict[str, float] = {}

    # What all clusters under the token share

    async def _droplets(self) -> DropletListing:
        read = listed(droplet_entry, await self._answers.of("droplets", self.api.droplets()))
        return DropletListing(read.entries, read.unread)

    async def _pools(self) -> Listed[PoolEntry]:
        return listed(pool_entry, await self._answers.of("pools", self.api.pools()))

    async def _namespaces(self) -> Listed[Namespace] | None:
        """List the functions namespaces; None where the token may not."""
        try:
            return listed(namespace_of, await self._answers.of("namespaces", self.api.namespaces()))
        except Forbidden:
            return None

    async def _account(self) -> Json:
        return await self._answers.of("account", self.api.account())

    async def _sizes(self) -> Listed[Size]:
        """List the droplet sizes. An empty list is an odd answer, and is not remembered."""
        raw = await self._answers.of("sizes", self.api.sizes())
        if not raw:
            raise Unreachable("listing droplet sizes: the list is empty")
        return listed(size_of, raw)

    async def _snapshots(self) -> Listed[Snapshot]:
        raw = await self._answers.of("snapshots", self.api.snapshots())
        return listed(snapshot_of, raw, about="resource_id")

    async def owner(self) -> str:
        """Return the lasting id of the token's owner; "" where it is not shown."""
        return owner_of(await self.account.since(float("-inf")))

    # Reads about one thing

    async def pool(self, pool_id: str) -> Json:
        """Return one pool, to be put back as it was read. It holds `user_data`: a secret."""
        began = self._clock.now()
        raw = await self._answers.of(f"pool {pool_id}", self.api.pool(pool_id))
        self._read_pools[pool_id] = (began, pool_entry(raw, f"reading autoscale pool {pool_id}"))
        return raw

    def pool_read(self, pool_id: str, since: float) -> PoolEntry | None:
        """Return what the last read of one pool showed, if it was begun at `since` or later."""
        began, entry = self._read_pools.get(pool_id, (float("-inf"), None))
        return entry if began >= since else None

    async def members(self, pool_id: str) -> tuple[Member, ...]:
        """List all members of a pool.

        Raises where one cannot be read: it is a droplet of the pool.
        """
        raw = await self._answers.of(f"members {pool_id}", self.api.members(pool_id))
        members = listed(member_of, raw, about="droplet_id")
        for entry in members.unread:
            raise entry.why
        return members.entries

    async def failure(self, pool_id: str) -> str:
        """Return the error of the newest event in a pool's history; "" when it has none."""
        raw = await self._answers.of(f"history {pool_id}", self.api.history(pool_id))
        return repeatable(failure_of(raw), frozenset())

    async def trigger(self, namespace: str, name: str) -> Trigger:
        """Read the trigger that runs a function on a schedule."""
        what = f"trigger {namespace}/{name}"
        return trigger_of(await self._answers.of(what, self.api.trigger(namespace, name)), name)

    async def tag(self, name: str) -> None:
        """Verify that a tag exists. NotFound when it does not."""
        await self._answers.of(f"tag {name}", self.api.tag(name))

    async def actions(self, droplet_id: int, kind: str = "") -> list[Action]:
        """List the actions of a droplet; those of one kind, when it is named."""
        raw = await self._answers.of(f"actions {droplet_id}", self.api.actions(droplet_id))
        return actions_of(raw, droplet_id, kind)

    # The budget

    def sharing_window(self) -> float:
        """Return within how many seconds looks share one listing.

        Long lists take many requests, and many clusters need many other reads.
        """
        requests = self.droplets.requests + self.pools.requests
        if len(self._active) > MANY:
            return requests * SHARED * MANY_TIMES
        return requests * SHARED

    def records_window(self) -> float:
        """Return how many seconds old a listing may be for a look that decides nothing.

        A thousand clusters' droplets are a list of 25 pages: once a minute it would take half of
        what a token may send, and three bots would be refused.
        """
        pace = self.api.requests.pace
        return max(self.sharing_window(), pace.seconds_between(self.droplets.requests, FOR_RECORDS))

    def member_list_max_age(self) -> float:
        """Return how many seconds old a member list may be while nothing else changes."""
        return min(ACTIVE * max(1, len(self._active)), OLDEST)

    def poll_interval(self, interval: float, who: str = "") -> float:
        """Return the interval between looks.

        Longer than `interval` when many clusters are active, and as the hourly budget runs out.
        """
        now = self._clock.now()
        active = {name: at for name, at in self._active.items() if now - at < ACTIVE}
        self._active = active | {who: now}
        interval = max(interval, len(self._active) * 60.0 / LOOKS_A_MINUTE)
        left = self._left()
        if left > PLENTY:
            return interval
        return interval * (SLOWER if left > FEW else RARE)

    def _left(self) -> float:
        """Return which part of the hour's requests is left: the bot's share, or everyone's."""
        budget, own = self.api.budget, self.api.requests.pace.left
        if budget.remaining is None or not budget.limit:
            return own
        return min(own, budget.remaining / budget.limit)
