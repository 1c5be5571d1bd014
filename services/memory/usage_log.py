"""What is billed of each cluster, one record after the other."""

from services.store import Commit, Store
from services.store.keys import usage_log_key


class UsageLog:
    """The records of all clusters, as text."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self, cluster: str, count: int) -> list[str]:
        """The newest records, oldest of them first."""
        return await self._store.tail(usage_log_key(cluster), count)

    async def add(self, cluster: str, record: str) -> None:
        """Append one record."""
        await self._store.commit(Commit(appends=[(usage_log_key(cluster), record)]))
