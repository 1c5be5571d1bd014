"""Users who have App Home open."""

import json
from dataclasses import dataclass

from services.store import Store
from services.store.edit import edit
from services.store.keys import HOME_VIEWERS


@dataclass(frozen=True)
class Viewer:
    """A user who has opened App Home, and until when it is refreshed for them."""

    user: str
    team: str
    enterprise: str
    until: float


class HomeViewers:
    """Users who have App Home open; any bot refreshes their view, also after a restart."""

    KEY = HOME_VIEWERS
    MOST = 200

    def __init__(self, store: Store) -> None:
        self._store = store

    async def viewers(self, now: float) -> list[Viewer]:
        """Return the users whose Home is refreshed now."""
        (text,) = await self._store.get(self.KEY)
        raws = json.loads(text) if text else []
        return [v for raw in raws if (v := Viewer(*raw)).until > now]

    async def opened(self, viewer: Viewer, now: float) -> None:
        """Add a viewer. Only the newest MOST are kept."""

        def with_viewer(text: str | None) -> str:
            others = [
                raw for raw in json.loads(text or "[]") if raw[0] != viewer.user and raw[3] > now
            ]
            entry = [viewer.user, viewer.team, viewer.enterprise, viewer.until]
            return json.dumps([*others, entry][-self.MOST :])

        await edit(self._store, self.KEY, with_viewer, "the list of Home viewers")
