"""The members of user groups, as Slack last returned them."""

from collections.abc import Iterable

from services.store import Commit, Store
from services.store.keys import members_key


class StoredUserGroups:
    """Members by user group, as one bot read them: the others need no request."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, groups: Iterable[str]) -> list[tuple[str, str]]:
        """Return what is stored of these groups; groups without an entry are left out."""
        names = list(groups)
        texts = await self._store.get(*(members_key(g) for g in names))
        return [(g, text) for g, text in zip(names, texts, strict=True) if text is not None]

    async def put(self, group: str, text: str) -> None:
        """Store a group's members for a day."""
        key = members_key(group)
        await self._store.commit(Commit(puts={key: text}, ttl={key: 86400.0}))
