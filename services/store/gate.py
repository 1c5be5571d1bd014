"""A state store on which nothing is written while something speaks against it. Reading works all the same."""

from services.common.errors import Unreachable
from services.store.port import Commit, Store


class Gate:
    """Open, unless somebody has closed it; whoever did opens it again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._against: dict[str, str] = {}

    @property
    def why(self) -> str:
        """Why nothing is written now; "" when nothing speaks against it."""
        return "; ".join(self._against.values())

    def close(self, who: str, why: str) -> None:
        """From now on nothing is written."""
        self._against[who] = why

    def open(self, who: str) -> None:
        """What they had against it is over."""
        self._against.pop(who, None)

    async def get(self, *keys: str) -> list[str | None]:
        return await self.store.get(*keys)

    async def commit(self, commit: Commit) -> bool:
        if self._against:
            raise Unreachable(f"nothing is written: {self.why}", sent=False)
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
