"""Dry runs whose change can still be requested with a button: once, for an hour."""

import json
from dataclasses import dataclass

from services.store.keys import dry_run_key
from services.store.port import Commit, Store, new_id

KEPT = 3600.0  # seconds


@dataclass(frozen=True)
class DryRun:
    """A command as it would be typed to request the change, and the digest of the plan shown."""

    text: str
    digest: str


class DryRuns:
    """The dry runs of all bots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, dry_run: DryRun) -> str:
        """Store a dry run and return its id."""
        name = new_id()
        key, text = dry_run_key(name), json.dumps([dry_run.text, dry_run.digest])
        await self._store.commit(Commit(puts={key: text}, ttl={key: KEPT}))
        return name

    async def take(self, name: str) -> DryRun | None:
        """Return a dry run and remove it; None when it was taken already, or is too old."""
        key = dry_run_key(name)
        (text,) = await self._store.get(key)
        if text is None or not await self._store.commit(
            Commit(checks={key: text}, puts={key: None})
        ):
            return None
        return DryRun(*json.loads(text))
