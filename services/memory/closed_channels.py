"""Which channels are closed to the bot."""

import json
from typing import Any

from services.store import Commit, Store
from services.store.keys import CLOSED


class ClosedChannels:
    """Which channels take no message of the bot: one list for all bots."""

    KEY = CLOSED

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> tuple[str | None, dict[str, Any]]:
        """As it is stored, and what it says."""
        (text,) = await self._store.get(self.KEY)
        return text, json.loads(text or "{}")

    async def write(self, before: str | None, after: str) -> bool:
        """In the place of what was read. False: it was changed meanwhile."""
        return await self._store.commit(Commit(checks={self.KEY: before}, puts={self.KEY: after}))
