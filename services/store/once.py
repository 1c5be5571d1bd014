"""Actions that are done once, however many bots there are."""

from services.store.keys import once_key
from services.store.port import Commit, Store


async def first_time(store: Store, name: str, within: float = 3600.0) -> bool:
    """Return True once per name within that many seconds, on all bots together.

    Slack, for one, delivers some events twice, the second time perhaps to another bot.
    """
    key = once_key(name)
    return await store.commit(Commit(checks={key: None}, puts={key: "1"}, ttl={key: within}))


class Once:
    """`first_time` on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, name: str, within: float = 3600.0) -> bool:
        """Return True if no bot has claimed that name within that many seconds."""
        return await first_time(self._store, name, within)

    async def release(self, name: str) -> None:
        """Give a claim up: what was claimed certainly did not happen."""
        await self._store.commit(Commit(puts={once_key(name): None}))

    async def is_claimed(self, name: str) -> bool:
        """Return whether a bot has claimed that name."""
        (text,) = await self._store.get(once_key(name))
        return text is not None
