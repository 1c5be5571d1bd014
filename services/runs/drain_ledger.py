"""The drain ledger: a media server is signalled at most once per droplet and start, whatever crashes in between.

An entry is written (fenced) before the signal. A second launch for the same start is sent only after a look that came later has shown
that the node carries no marker: the script makes the marker before it signals, so without a marker it never signalled. And if an
earlier launch should still be on its way, the marker's atomic mkdir lets only one of the two signal.
"""

import json

from services.common.clock import Clock
from services.common.errors import Superseded
from services.runs.locks import Lease
from services.store import Commit, Store
from services.store.keys import drain_key

SIGNALLED = "signalled"  # in the place of a start: one of them was signalled, whichever it was
TAGGED = "tag"  # in the place of a start: the node was told to leave by a tag, which it obeys once in its life


class DrainLedger:
    """The ledger."""

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
        puts = (
            {key: entry} if start == TAGGED else {key: entry, self.key(droplet, SIGNALLED): entry}
        )
        if not await self._store.commit(
            Commit(checks={lease.key: lease.token, key: known}, puts=dict[str, str | None](puts))
        ):
            raise Superseded(f"{lease.run} is driven by somebody else")

    async def entered(self, droplet: int, start: str) -> bool:
        """Whether this start was ever about to be signalled."""
        return (await self._store.get(self.key(droplet, start)))[0] is not None
