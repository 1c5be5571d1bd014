"""The drain ledger: at most one drain signal per droplet and start, even if the bot crashes.

An entry is written (fenced) before the signal. A second launch for the same start is sent only
after a later look has shown that the node carries no marker: the script makes the marker before it
signals, so without a marker it never signalled. If an earlier launch is still on its way, the
marker's atomic mkdir lets only one of the two signal.
"""

import json

from services.common.clock import Clock
from services.common.errors import Superseded
from services.runs.locks import Lease
from services.store import Commit, Store
from services.store.keys import drain_key

SIGNALLED = "signalled"  # in the place of a start: one of them was signalled, whichever it was
# In the place of a start: the node was tagged for draining, which it obeys once in its life.
TAGGED = "tag"


class DrainLedger:
    """The entries of all droplets."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @staticmethod
    def key(droplet: int, start: str) -> str:
        return drain_key(droplet, start)

    async def enter(self, droplet: int, start: str, lease: Lease) -> None:
        """Write down that this start of this droplet is about to be signalled.

        Superseded when the lease is lost.
        """
        key = self.key(droplet, start)
        lease.check()
        (known,) = await self._store.get(key)
        # An entry that is there already may have been written by a commit that was never answered:
        # written again, it is known to be kept.
        entry = known or json.dumps({"run": lease.run, "at": self._clock.now()})
        puts: dict[str, str | None] = {key: entry}
        if start != TAGGED:
            puts[self.key(droplet, SIGNALLED)] = entry
        checks = {lease.key: lease.token, key: known}
        if not await self._store.commit(Commit(checks=checks, puts=puts)):
            raise Superseded(f"{lease.run} is driven by another bot process")

    async def entered(self, droplet: int, start: str) -> bool:
        """Whether this start was entered."""
        return (await self._store.get(self.key(droplet, start)))[0] is not None
