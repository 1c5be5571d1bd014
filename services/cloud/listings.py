"""One DigitalOcean token and what all clusters under it share: listings, and the budget of requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from services.cloud.clients.answers import repeatable
from services.cloud.clients.digitalocean import DigitalOcean
from services.cloud.clients.list_pages import requests_for
from services.cloud.confirm import Answers
from services.cloud.parse import (
    Action,
    DropletEntry,
    Listed,
    Member,
    Namespace,
    PoolEntry,
    Trigger,
    actions_of,
    droplet_entry,
    failure_of,
    limit_of,
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
SHARED, CROWD = (
    0.45,
    4,
)  # looks this many seconds together share one listing, for each request of it; four times that for a crowd
MOVING = 60.0
LOOKS_A_MINUTE = 240.0
OLDEST = 600.0


class Listing(Generic[T]):
    """One list call that serves everybody who asks at about the same time. What it holds was read as it arrived."""

    def __init__(self, clock: Clock, fetch: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._clock = clock
        self._fetch = fetch
        self._begun = float("-inf")
        self._task: asyncio.Task[T] | None = None
        self.requests = 1  # that it takes

    async def since(self, moment: float) -> T:
        """A listing that was begun at `moment` or later."""
        task = self._task
        if (
            task is None
            or self._begun < moment
            or (task.done() and (task.cancelled() or task.exception() is not None))
        ):
            self._begun = self._clock.now()
            task = self._task = asyncio.create_task(
                self._fetch(), name="listing", context=task_context()
            )
            # Whoever waits hears of an error; with nobody waiting any more it must not be reported as lost.
            task.add_done_callback(lambda t: t.cancelled() or t.exception())
        found = await asyncio.shield(task)
        self.requests = requests_for(len(found)) if isinstance(found, Listed) else 1
        return found


class Account:
    """One DigitalOcean token: its listings are shared by every cluster under it, and its rate budget sets the pace.

    Everything that is read here is what was answered before, or confirmed: see `services.cloud.confirm`.
    """

    def __init__(self, api: DigitalOcean, clock: Clock) -> None:
        self.api = api
        self.droplets: Listing[Listed[DropletEntry]] = Listing(clock, self._droplets)
        self.pools: Listing[Listed[PoolEntry]] = Listing(clock, self._pools)
        self.namespaces: Listing[Listed[Namespace] | None] = Listing(clock, self._namespaces)
        self.limit: Listing[int] = Listing(clock, self._limit)
        self.owner: Listing[str] = Listing(clock, self._owner)
        self.sizes: Listing[Listed[Size]] = Listing(clock, self._sizes)
        self.snapshots: Listing[Listed[Snapshot]] = Listing(clock, self._snapshots)
        self._answers = Answers(clock)
        self._clock = clock
        self._moving: dict[
            str, float
        ] = {}  # clusters that are looked at again and again, and when last

    # What all clusters under the token share

    async def _droplets(self) -> Listed[DropletEntry]:
        return listed(droplet_entry, await self._answers.of("droplets", self.api.droplets()))

    async def _pools(self) -> Listed[PoolEntry]:
        return listed(pool_entry, await self._answers.of("pools", self.api.pools()))

    async def _namespaces(self) -> Listed[Namespace] | None:
        """The namespaces; None where the token may not know."""
        try:
            return listed(namespace_of, await self._answers.of("namespaces", self.api.namespaces()))
        except Forbidden:
            return None

    async def _owner(self) -> str:
        return owner_of(await self._answers.of("account", self.api.account()))

    async def _limit(self) -> int:
        return limit_of(await self._answers.of("account", self.api.account()))

    async def _sizes(self) -> Listed[Size]:
        """What DigitalOcean sells. That it sells nothing is an odd answer, and is not remembered."""
        raw = await self._answers.of("sizes", self.api.sizes())
        if not raw:
            raise Unreachable("listing droplet sizes: the list is empty")
        return listed(size_of, raw)

    async def _snapshots(self) -> Listed[Snapshot]:
        return listed(
            snapshot_of,
            await self._answers.of("snapshots", self.api.snapshots()),
            about="resource_id",
        )

    # What is asked about one thing

    async def pool(self, pool_id: str) -> Json:
        """One pool as it is, to be put back as it was read. It holds `user_data`: a secret."""
        return await self._answers.of(f"pool {pool_id}", self.api.pool(pool_id))

    async def members(self, pool_id: str) -> tuple[Member, ...]:
        """The members of a pool, all of them: one that cannot be read is one of its droplets."""
        found = listed(
            member_of,
            await self._answers.of(f"members {pool_id}", self.api.members(pool_id)),
            about="droplet_id",
        )
        for one in found.unread:
            raise one.why
        return found.entries

    async def failure(self, pool_id: str) -> str:
        """The error that the newest event of a pool's history ended in; "" when it did not."""
        failure = failure_of(
            await self._answers.of(f"history {pool_id}", self.api.history(pool_id))
        )
        return repeatable(failure, frozenset())

    async def trigger(self, namespace: str, name: str) -> Trigger:
        """What starts a function by the clock."""
        return trigger_of(
            await self._answers.of(
                f"trigger {namespace}/{name}", self.api.trigger(namespace, name)
            ),
            name,
        )

    async def tag(self, name: str) -> None:
        """See whether there is such a tag: NotFound when there is none."""
        await self._answers.of(f"tag {name}", self.api.tag(name))

    async def actions(self, droplet_id: int, kind: str = "") -> list[Action]:
        """What was asked of a droplet; of one kind, when it is named."""
        return actions_of(
            await self._answers.of(f"actions {droplet_id}", self.api.actions(droplet_id)),
            droplet_id,
            kind,
        )

    # The budget

    def together(self) -> float:
        """Looks this many seconds apart share one listing: long lists are many requests, and a crowd of clusters asks for much else."""
        requests = self.droplets.requests + self.pools.requests
        return requests * SHARED * (1 if len(self._moving) <= CROWD else 4)

    def patience(self) -> float:
        """Seconds that a list of members may be old while nothing else changes."""
        return min(MOVING * len(self._moving), OLDEST)

    def pace(self, interval: float, who: str = "") -> float:
        """The interval to look at: stretched when many clusters are in motion, and as the token's hourly budget runs out."""
        now = self._clock.now()
        self._moving = {w: at for w, at in self._moving.items() if now - at < MOVING} | {who: now}
        # DigitalOcean takes 250 calls a minute; a look at one cluster of many costs less than one, the rest is shared.
        interval = max(interval, len(self._moving) * 60.0 / LOOKS_A_MINUTE)
        remaining = self.api.budget.remaining
        if remaining is None or remaining > 1500:
            return interval
        return interval * (2 if remaining > 500 else 6)
