"""What was repeated of what waits for a person, and who saw to it."""

import json
from collections.abc import Mapping
from typing import Any

from services.common.serialize import read_json
from services.store import Commit, Store
from services.store.keys import escalations_key


class EscalationNotes:
    """What has come of everything that waits for people, by cluster: one list for all bots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, cluster: str) -> tuple[str | None, dict[str, Any]]:
        """As it is stored, and what it says."""
        (text,) = await self._store.get(escalations_key(cluster))
        return text, dict(read_json(text, {}, f"what waits for people of {cluster}"))

    async def write(self, cluster: str, before: str | None, after: Mapping[str, Any]) -> bool:
        """In the place of what was read. False: it was changed meanwhile."""
        key = escalations_key(cluster)
        return await self._store.commit(
            Commit(checks={key: before}, puts={key: json.dumps(after) if after else None})
        )
