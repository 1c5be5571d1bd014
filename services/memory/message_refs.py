"""The Slack message of each request or run, and what it shows."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache

from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import CARDS, card_key, copies_key


@dataclass(frozen=True)
class CardPlace:
    """Where a card is in Slack.

    `told`: how many of the run's events its thread has posted; `final`: its final state is shown.
    `unattended`: last changed by a process without Slack, so that a bot with Slack has to update
    it. `copies`: where the channel is closed, person, conversation and ts of the copies that people
    read instead, and `copied`: what these show.
    """

    channel: str
    ts: str
    told: int = 0
    final: bool = False
    unattended: bool = False
    # Stored under a key of their own: 0.1.0 cannot read a card with more fields.
    copies: tuple[tuple[str, str, str], ...] = field(default=(), metadata={"stored": False})
    copied: str = field(default="", metadata={"stored": False})


@lru_cache(maxsize=1024)  # the same texts are read in every round, as long as a card is open
def _place(text: str, copies: str | None) -> CardPlace:
    """Return a stored place, written by this version or another one."""
    names = {f.name for f in fields(CardPlace) if f.metadata.get("stored", True)}
    place = CardPlace(**{key: value for key, value in json.loads(text).items() if key in names})
    if copies is None:
        return place
    stored = json.loads(copies)
    return replace(
        place,
        copies=tuple((str(u), str(c), str(t)) for u, c, t in stored["copies"]),
        copied=str(stored["copied"]),
    )


def _texts(place: CardPlace) -> tuple[str, str | None]:
    """Return the stored texts: the card, and its copies if there are any."""
    card = asdict(place)
    copies = {
        f.name: card.pop(f.name) for f in fields(CardPlace) if not f.metadata.get("stored", True)
    }
    if not any(copies.values()):
        return json.dumps(card), None
    return json.dumps(card), json.dumps(copies)


def card_keys(name: str) -> tuple[str, str]:
    """Return the store keys of the card of a request or run, and of its copies."""
    return card_key(name), copies_key(name)


class MessageRefs:
    """Which message shows which request or run: any bot edits it, none posts it a second time.

    `open_list`: the key of the list of those that do not show their end yet. Batches have one of
    their own, which older versions do not read.
    """

    OPEN = CARDS

    def __init__(self, store: Store, open_list: str = CARDS) -> None:
        self._store = store
        self.OPEN = open_list

    async def get(self, name: str) -> CardPlace | None:
        """Return the place of the card of a request or run."""
        text, copies = await self._store.get(*card_keys(name))
        if not text:
            return None
        return _place(text, copies)

    async def put(self, name: str, place: CardPlace) -> None:
        """Remember it; and in the same act that it is open until its final state has been shown."""
        texts = dict(zip(card_keys(name), _texts(place), strict=True))

        async def attempt() -> bool | None:
            (text,) = await self._store.get(self.OPEN)
            names = json.loads(text or "[]")
            after = [n for n in names if n != name]
            if not place.final:
                after = list(dict.fromkeys([*names, name]))
            puts = dict(texts)
            if after != names:
                puts[self.OPEN] = json.dumps(after)
            return await self._store.commit(Commit(checks={self.OPEN: text}, puts=puts)) or None

        await retried(attempt, too_fast("the list of open cards"))

    async def unfinished(self) -> list[str]:
        """Return the cards whose final state is not shown yet."""
        (text,) = await self._store.get(self.OPEN)
        return list(json.loads(text)) if text else []
