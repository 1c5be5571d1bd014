"""The channels that the bot cannot post in."""

import json
from typing import Any

from services.store import Commit, Store
from services.store.keys import CLOSED_CHANNELS


class ClosedChannels:
    """The channels that take no message of the bot: one list for all bots."""

    KEY = CLOSED_CHANNELS

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> tuple[str | None, dict[str, Any]]:
        """Return the stored text, and its content."""
        (text,) = await self._store.get(self.KEY)
        return text, json.loads(text) if text else {}

    async def write(self, before: str | None, after: str) -> bool:
        """Replace what was read. Returns False on a concurrent write."""
        return await self._store.commit(Commit(checks={self.KEY: before}, puts={self.KEY: after}))
