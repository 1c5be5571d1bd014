"""Who was in a user group when Slack was last asked."""

from collections.abc import Iterable

from services.store import Commit, Store
from services.store.keys import members_key


class KnownGroups:
    """Who was in which user group, as one bot was told: the others need not ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, groups: Iterable[str]) -> list[tuple[str, str]]:
        """What is noted of these groups, as far as anything is."""
        names = list(groups)
        texts = await self._store.get(*(members_key(g) for g in names))
        return [(g, text) for g, text in zip(names, texts, strict=True) if text is not None]

    async def put(self, group: str, text: str) -> None:
        """Note it, until something newer is known or it is of no use any more."""
        key = members_key(group)
        await self._store.commit(Commit(puts={key: text}, ttl={key: 86400.0}))
