"""What a bot that only observes would have done: one bounded document per cluster.

It notes each closing of a window that it would have made. Written by compare-and-set: of several
bots and after a restart, each goes on from what is noted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.common.errors import BadRecord
from services.common.serialize import Classes, read, write
from services.store import Store
from services.store.edit import edit
from services.store.keys import observed_key

KEPT = 60 * 86400.0  # seconds that a night is kept
MOST = 400  # nights


class NightOutcome(StrEnum):
    """What would have come of a closing."""

    WAITING = "waiting"  # for its meetings to end
    CLOSED = "closed"
    STAYED = "stayed"  # it would have begun, and given up
    ASKED = "asked"  # people would have been asked whether to close
    MISSED = "missed"  # it would not have begun: why
    KEPT = "kept"  # a person, a calendar or a hold keeps the cluster in service
    UNSEEN = "unseen"  # the bot or its answers were missing


@dataclass(frozen=True)
class ObservedNight:
    """One closing that would have been. Times in epoch seconds; 0: not yet, or never.

    `edge`: its name; `local` its time in `zone`. `began`: when it would have begun. `rooms` and
    `people`: in meetings then; None: unknown. `takes`: seconds from the end of the last meeting
    until everything is closed. `limit`: seconds until people are asked about meetings; `gives_up`:
    seconds until they are no longer waited for. `nodes`: media nodes then. `saves`: they are
    removed, which saves money. `opens`: when it opens again, as planned. `ended`: of the last
    meeting; `exact`: known by the age of the meetings, else by a moment without any. `asks`: when
    people would have been asked. `starts`: of the start-up. `seen`: the newest look; `blind`: the
    longest time without one that was too long.
    """

    edge: str
    windows: tuple[str, ...]
    local: str
    zone: str
    at: float
    began: float
    outcome: NightOutcome
    rooms: int | None = None
    people: int | None = None
    takes: float = 0.0
    limit: float = 0.0
    gives_up: float = 0.0
    nodes: int = 0
    saves: bool = True
    media_only: bool = False
    opens: float = 0.0
    ended: float = 0.0
    exact: bool = True
    asks: float = 0.0
    closed: float = 0.0
    starts: float = 0.0
    opened: float = 0.0
    seen: float = 0.0
    blind: float = 0.0
    why: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its outcome may still change."""
        if self.outcome is NightOutcome.WAITING:
            return True
        return self.outcome is NightOutcome.CLOSED and not self.opened

    @property
    def was_seen(self) -> bool:
        """Whether the bot saw the cluster throughout."""
        return self.outcome is not NightOutcome.UNSEEN and not self.blind

    @property
    def waited(self) -> float:
        """Seconds that its meetings would have been waited for, as far as is known."""
        if self.ended:
            return self.ended - self.began
        if self.outcome is NightOutcome.STAYED and self.asks:
            return self.asks + self.gives_up - self.began
        return 0.0

    @property
    def time(self) -> str:
        """`20:00`, local to its zone."""
        return self.local.partition("T")[2][:5]


@dataclass(frozen=True)
class ObservedNights:
    """The document. `since`: when observing began; `active`: when it last went on."""

    since: float = 0.0
    active: float = 0.0
    nights: tuple[ObservedNight, ...] = ()

    def with_night(self, night: ObservedNight) -> "ObservedNights":
        """Return it with one more night; a night that is noted stays as it is."""
        if any(n.edge == night.edge for n in self.nights):
            return self
        fresh = [n for n in self.nights if n.at > night.at - KEPT]
        return replace(self, nights=(*fresh, night)[-MOST:])

    def with_changed(
        self, edge: str, change: Callable[[ObservedNight], ObservedNight]
    ) -> "ObservedNights":
        """Return it with the night of that edge changed."""
        nights = tuple(change(n) if n.edge == edge else n for n in self.nights)
        return replace(self, nights=nights)

    @property
    def current(self) -> ObservedNight | None:
        """Return the newest night if its outcome may still change."""
        newest = self.nights[-1] if self.nights else None
        return newest if newest is not None and newest.is_open else None


CLASSES: Classes = {k.__name__: k for k in (ObservedNights, ObservedNight)}
NOTHING = ObservedNights()


def read_observed(text: str | None) -> ObservedNights:
    """Return the document in a stored text."""
    if text is None:
        return NOTHING
    document = read(text, CLASSES, "what was observed")
    if not isinstance(document, ObservedNights):
        raise BadRecord("what was observed cannot be read: it is damaged")
    return document


class ObservedRepository:
    """The documents of all clusters."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, cluster: str) -> ObservedNights:
        """Return a cluster's document."""
        (text,) = await self._store.get(observed_key(cluster))
        return read_observed(text)

    async def edit(
        self, cluster: str, change: Callable[[ObservedNights], ObservedNights]
    ) -> ObservedNights:
        """Change it; repeated on a concurrent write."""

        def changed(text: str | None) -> str | None:
            before = read_observed(text)
            after = change(before)
            if after == before:
                return text
            return write(after, CLASSES, text)

        what = f"what was observed of {cluster}"
        return read_observed(await edit(self._store, observed_key(cluster), changed, what))
