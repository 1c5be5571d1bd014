"""Who has the Home tab open."""

import json
from dataclasses import dataclass

from services.store import Store
from services.store.edit import edit
from services.store.keys import HOMES


@dataclass(frozen=True)
class Viewer:
    """Somebody who has opened App Home, and until when it is kept true for them."""

    user: str
    team: str
    enterprise: str
    until: float


class HomeViewers:
    """Who has App Home open: kept true by whichever bot is there, so that none goes on showing what was so before a restart."""

    KEY = HOMES
    MOST = 200

    def __init__(self, store: Store) -> None:
        self._store = store

    async def viewers(self, now: float) -> list[Viewer]:
        """Those whose Home is kept true now."""
        (text,) = await self._store.get(self.KEY)
        return [v for raw in json.loads(text or "[]") if (v := Viewer(*raw)).until > now]

    async def opened(self, viewer: Viewer, now: float) -> None:
        """Remember it. The newest count when there are very many."""

        def with_viewer(text: str | None) -> str:
            others = [
                raw for raw in json.loads(text or "[]") if raw[0] != viewer.user and raw[3] > now
            ]
            entry = [viewer.user, viewer.team, viewer.enterprise, viewer.until]
            return json.dumps([*others, entry][-self.MOST :])

        await edit(self._store, self.KEY, with_viewer, "the list of Home viewers")
