"""Events that only one of all bots acts on."""

from services.store import Commit, Store
from services.store.keys import once_key


async def first_time(store: Store, name: str, within: float = 3600.0) -> bool:
    """True once per name within that many seconds: Slack delivers events again, also to another bot."""
    key = once_key(name)
    return await store.commit(Commit(checks={key: None}, puts={key: "1"}, ttl={key: within}))


class Once:
    """`first_time` on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, name: str, within: float = 3600.0) -> bool:
        """Whether an event of that name is claimed for the first time within that many seconds, by any bot."""
        return await first_time(self._store, name, within)
