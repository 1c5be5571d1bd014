"""The members of a pool, listed anew whenever something about the pool or its droplets has changed, and otherwise now and then."""

from collections.abc import Awaitable, Callable, Iterable

from services.cloud.confirm import UnconfirmedAnswer
from services.cloud.parse import Member, PoolEntry
from services.cluster.model import Droplet
from services.common.clock import Clock

Ask = Callable[[str], Awaitable[tuple[Member, ...]]]


class Members:
    """One pool's members. A crowd of clusters that wait for meetings to end would spend their token's hour on the same answer.

    A member that comes, goes or is told to go changes the pool's count or a droplet's state, and those are seen in listings that all
    clusters share. What both overlook is seen when the list has become old. Only a list that could be read whole is remembered; a member
    that is missing from it while its droplet is there is one still, until several looks agree.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._about: object = None
        self._listed = float("-inf")
        self._members: tuple[Member, ...] = ()
        self._missing: dict[int, UnconfirmedAnswer] = {}

    async def now(
        self,
        pool: PoolEntry,
        media: Iterable[Droplet],
        here: frozenset[int],
        since: float,
        patience: float,
        ask: Ask,
    ) -> tuple[Member, ...]:
        """As they are, or were `patience` seconds ago and never before `since` (epoch seconds), when nothing has changed since then.

        `media`: droplets that are media nodes by their name or tags; `here`: the ids of all droplets of the account.
        """
        ids = {m.droplet for m in self._members}
        states = tuple(sorted((d.id, d.status, d.locked) for d in media))
        about = (pool.id, pool.count, pool.about, states)
        now = self._clock.now()
        settled = ids and ids <= {
            i for i, *_ in states
        }  # none left, or one without its droplet: nothing is taken for granted
        if (
            not settled
            or about != self._about
            or self._missing
            or self._listed < max(since, now - patience)
        ):
            self._members = self._with_missing(await ask(pool.id), here)
            self._about, self._listed = about, now
        return self._members

    def _with_missing(self, found: tuple[Member, ...], here: frozenset[int]) -> tuple[Member, ...]:
        listed, now = {m.droplet for m in found}, self._clock.now()
        missing = [m for m in self._members if m.droplet not in listed and m.droplet in here]
        doubts = {m.droplet: self._missing.get(m.droplet) for m in missing}
        self._missing = {
            droplet: doubt.again() if doubt else UnconfirmedAnswer("missing", now)
            for droplet, doubt in doubts.items()
        }
        kept = tuple(m for m in missing if not self._missing[m.droplet].believed(now))
        self._missing = {m.droplet: self._missing[m.droplet] for m in kept}
        return (*found, *kept)
