"""How many people were counted in meetings, of the last weeks: bounded documents per cluster.

By hour for the chart of a day, and by quarter of an hour for the forecast of demand.
"""

import json

from services.billing.busy_hours import HourCounts, counted
from services.billing.demand import QuarterCounts, noted
from services.common.serialize import read_json
from services.store import Store
from services.store.edit import edit
from services.store.keys import meetings_key, quarters_key

KEPT = 63 * 86400.0  # seconds: the last whole month and the current one
KEPT_QUARTERS = 63 * 86400.0  # seconds: the weeks of a forecast, and one more


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

    async def quarters(self, cluster: str) -> QuarterCounts:
        """Return the counts by UTC date and quarter; empty where nothing was ever counted."""
        (text,) = await self._store.get(quarters_key(cluster))
        counts: QuarterCounts = read_json(text, {}, f"the quarters of {cluster}")
        return counts

    async def add_quarter(self, cluster: str, at: float, people: int, meetings: int) -> None:
        """Add one count: of each quarter of an hour, the most is kept."""

        def change(text: str | None) -> str | None:
            before: QuarterCounts = read_json(text, {}, f"the quarters of {cluster}")
            after = noted(before, at, people, meetings, KEPT_QUARTERS)
            return json.dumps(after, separators=(",", ":"))

        await edit(self._store, quarters_key(cluster), change, f"the quarters of {cluster}")


def _document(text: str | None, cluster: str) -> tuple[float, HourCounts]:
    """Return when people were counted last (epoch seconds), and the counts."""
    document = read_json(text, {"at": 0.0, "days": {}}, f"the meetings of {cluster}")
    return document["at"], document["days"]
