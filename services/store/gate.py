"""A state store that can be closed for writes, while reads keep working."""

from services.common.errors import Unreachable
from services.store.port import Commit, Store


class WriteGate:
    """Wraps a store; while anything has closed it, writes raise Unreachable.

    Each part of the bot closes and opens it under its own name.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._reasons: dict[str, str] = {}

    @property
    def reason(self) -> str:
        """Return why nothing is written now; "" while it is open."""
        return "; ".join(self._reasons.values())

    def close(self, who: str, why: str) -> None:
        """Refuse writes from now on."""
        self._reasons[who] = why

    def open(self, who: str) -> None:
        """Withdraw that part's reason."""
        self._reasons.pop(who, None)

    async def get(self, *keys: str) -> list[str | None]:
        return await self.store.get(*keys)

    async def commit(self, commit: Commit) -> bool:
        if self._reasons:
            raise Unreachable(f"nothing is written: {self.reason}", sent=False)
        return await self.store.commit(commit)

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        return await self.store.read(log, start, count)

    async def tail(self, log: str, count: int) -> list[str]:
        return await self.store.tail(log, count)

    async def length(self, log: str) -> int:
        return await self.store.length(log)

    async def names(self, start: str) -> list[str]:
        return await self.store.names(start)

    async def logs(self, start: str) -> list[str]:
        return await self.store.logs(start)

    async def tidy(self) -> None:
        await self.store.tidy()

    async def aclose(self) -> None:
        await self.store.aclose()
