"""A pool's members, listed anew whenever the pool or its droplets changed, and otherwise seldom."""

from collections.abc import Awaitable, Callable, Iterable

from services.cloud.confirm import UnconfirmedAnswer
from services.cloud.parse import Member, PoolEntry
from services.cluster.model import Droplet
from services.common.clock import Clock

ListMembers = Callable[[str], Awaitable[tuple[Member, ...]]]


class Members:
    """One pool's members.

    Many clusters that wait for meetings to end would spend their token's hourly limit on the same
    answer. A member that is added, removed or drained changes the pool's count or a droplet's
    state, and those are in listings that all clusters share. A change that neither shows is seen
    when the list is old. Only a list that was read whole is remembered; a member that is missing
    from it while its droplet exists still counts, until several looks agree.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listed_for: object = None
        self._listed_at = float("-inf")
        self._members: tuple[Member, ...] = ()
        self._missing: dict[int, UnconfirmedAnswer] = {}

    async def now(
        self,
        pool: PoolEntry,
        media: Iterable[Droplet],
        here: frozenset[int],
        oldest: float,
        ask: ListMembers,
        *,
        assumes_none: bool = False,
    ) -> tuple[Member, ...]:
        """Return the members: as they are, or as listed before if nothing has changed since.

        A list is never from before `oldest` (epoch seconds). `media`: droplets that are media nodes
        by name or tags; `here`: ids of all droplets of the account. `assumes_none`: a list without
        a member counts as long as others, in a look that decides nothing.
        """
        states = tuple(sorted((d.id, d.status, d.locked) for d in media))
        listed_for = (pool.id, pool.count, pool.about, states)
        now = self._clock.now()
        holds = assumes_none or self._all_in(states)
        is_unchanged = listed_for == self._listed_for and not self._missing
        is_recent = self._listed_at >= oldest
        if not (is_unchanged and is_recent and holds):
            self._members = self._with_missing(await ask(pool.id), here)
            self._listed_for, self._listed_at = listed_for, now
        return self._members

    def _all_in(self, states: tuple[tuple[int, str, bool], ...]) -> bool:
        """Whether there are members, and each has its droplet; otherwise nothing is assumed."""
        ids = {member.droplet for member in self._members}
        return bool(ids) and ids <= {droplet for droplet, *_ in states}

    def _with_missing(
        self, members: tuple[Member, ...], here: frozenset[int]
    ) -> tuple[Member, ...]:
        """Return the listed members and those that are missing from the list without proof."""
        now = self._clock.now()
        listed = {member.droplet for member in members}
        missing = [m for m in self._members if m.droplet not in listed and m.droplet in here]
        doubts = {m.droplet: self._doubt(m.droplet, now) for m in missing}
        unproved = tuple(m for m in missing if not doubts[m.droplet].believed(now))
        self._missing = {m.droplet: doubts[m.droplet] for m in unproved}
        return (*members, *unproved)

    def _doubt(self, droplet: int, now: float) -> UnconfirmedAnswer:
        known = self._missing.get(droplet)
        return known.again() if known is not None else UnconfirmedAnswer("missing", now)
