"""How many people were counted in meetings, by hour, of the last weeks: one bounded document."""

import json

from services.billing.busy_hours import HourCounts, counted
from services.common.serialize import read_json
from services.store import Store
from services.store.edit import edit
from services.store.keys import meetings_key

KEPT = 63 * 86400.0  # seconds: the last whole month and the current one


class MeetingCounts:
    """The counts of each cluster, and when people were counted last."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, cluster: str) -> HourCounts:
        """Return the counts by UTC date; empty where people were never counted."""
        (text,) = await self._store.get(meetings_key(cluster))
        return _document(text, cluster)[1]

    async def add(self, cluster: str, at: float, people: int, every: float) -> None:
        """Add one count, unless any bot has added one within the last `every` seconds."""

        def change(text: str | None) -> str | None:
            last, days = _document(text, cluster)
            if at - last < every:
                return text
            return json.dumps({"at": at, "days": counted(days, at, people, KEPT)})

        await edit(self._store, meetings_key(cluster), change, f"the meetings of {cluster}")


def _document(text: str | None, cluster: str) -> tuple[float, HourCounts]:
    """Return when people were counted last (epoch seconds), and the counts."""
    document = read_json(text, {"at": 0.0, "days": {}}, f"the meetings of {cluster}")
    return document["at"], document["days"]
