"""The members of a pool, listed anew whenever something about the pool or its droplets has changed, and otherwise now and then."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from services.clock import Clock

Json = dict[str, Any]
CHANGES = ("status", "updated_at", "active_resources_count")


class Members:
    """One pool's members. A crowd of clusters that wait for meetings to end would spend their token's hour on the same answer.

    A member that comes, goes or is told to go changes the pool's count or a droplet's state, and those are seen in listings that all
    clusters share. What both overlook is seen when the list has become old.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._about: object = None
        self._listed = float("-inf")
        self._members: list[Json] = []

    async def now(
        self, pool: Json, droplets: Iterable[Json], since: float, patience: float, ask: Callable[[str], Awaitable[list[Json]]]
    ) -> list[Json]:
        """As they are, or were `patience` seconds ago and never before `since` (epoch seconds), when nothing has changed since then."""
        ids = {int(m["droplet_id"]) for m in self._members}
        states = tuple(sorted((int(d["id"]), str(d.get("status")), bool(d.get("locked"))) for d in droplets))
        about = (pool["id"], repr(pool.get("config")), *(pool.get(c) for c in CHANGES), states)
        now = self._clock.now()
        settled = ids and ids <= {i for i, *_ in states}  # none left, or one without its droplet: nothing is taken for granted
        if not settled or about != self._about or self._listed < max(since, now - patience):
            self._members = await ask(pool["id"])
            self._about, self._listed = about, now
        return self._members
