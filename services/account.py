"""One DigitalOcean token and what all clusters under it share: listings, and the budget of requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.clients.digitalocean import PER_PAGE, DigitalOcean
from services.clock import Clock
from services.errors import Forbidden

Json = dict[str, Any]
SHARED, CROWD = 0.45, 4  # looks this many seconds together share one listing, for each page of it; four times that for a crowd
MOVING = 60.0
LOOKS_A_MINUTE = 240.0
OLDEST = 600.0


class Listing:
    """One list call that serves everybody who asks at about the same time."""

    def __init__(self, clock: Clock, fetch: Callable[[], Coroutine[Any, Any, list[Json]]]) -> None:
        self._clock = clock
        self._fetch = fetch
        self._begun = float("-inf")
        self._task: asyncio.Task[list[Json]] | None = None
        self.pages = 1  # requests that it takes

    async def since(self, moment: float) -> list[Json]:
        """A listing that was begun at `moment` or later."""
        task = self._task
        if task is None or self._begun < moment or (task.done() and (task.cancelled() or task.exception() is not None)):
            self._begun = self._clock.now()
            task = self._task = asyncio.create_task(self._fetch(), name="listing")
            # Whoever waits hears of an error; with nobody waiting any more it must not be reported as lost.
            task.add_done_callback(lambda t: t.cancelled() or t.exception())
        found = await asyncio.shield(task)
        self.pages = max(1, -(-len(found) // PER_PAGE))
        return found


class Account:
    """One DigitalOcean token: its listings are shared by every cluster under it, and its rate budget sets the pace."""

    def __init__(self, api: DigitalOcean, clock: Clock) -> None:
        self.api = api
        self.droplets = Listing(clock, api.droplets)
        self.pools = Listing(clock, api.pools)
        self.namespaces = Listing(clock, self._namespaces)
        self.account = Listing(clock, self._account)
        self.sizes = Listing(clock, api.sizes)
        self.snapshots = Listing(clock, api.snapshots)
        self._clock = clock
        self._moving: dict[str, float] = {}  # clusters that are looked at again and again, and when last

    async def _namespaces(self) -> list[Json]:
        """The namespaces; or one entry `unreadable` where the token may not know."""
        try:
            return await self.api.namespaces()
        except Forbidden as error:
            return [{"unreadable": str(error)}]

    async def _account(self) -> list[Json]:
        return [await self.api.account()]

    def together(self) -> float:
        """Looks this many seconds apart share one listing: long lists are many requests, and a crowd of clusters asks for much else."""
        pages = self.droplets.pages + self.pools.pages
        return pages * SHARED * (1 if len(self._moving) <= CROWD else 4)

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
