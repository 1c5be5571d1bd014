"""What was repeated to people, and who acknowledged it."""

import json
from collections.abc import Mapping
from typing import Any

from services.common.serialize import read_json
from services.store import Commit, Store
from services.store.keys import escalations_key


class EscalationNotes:
    """What was done about each matter that waits for people, by cluster: one list for all bots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, cluster: str) -> tuple[str | None, dict[str, Any]]:
        """Return the stored text, and its content."""
        (text,) = await self._store.get(escalations_key(cluster))
        return text, dict(read_json(text, {}, f"what waits for people of {cluster}"))

    async def write(self, cluster: str, before: str | None, after: Mapping[str, Any]) -> bool:
        """Replace what was read; delete it if nothing is left.

        Returns False on a concurrent write.
        """
        key = escalations_key(cluster)
        text = json.dumps(after) if after else None
        return await self._store.commit(Commit(checks={key: before}, puts={key: text}))
