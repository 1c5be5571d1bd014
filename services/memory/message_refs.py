"""Where the message of a request or run stands in Slack, and what was told there."""

import json
from dataclasses import asdict, dataclass, field, fields, replace

from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import CARDS, card_key, copies_key


@dataclass(frozen=True)
class CardPlace:
    """Where a card stands in Slack, how many of the run's events its thread has told, and whether its final state is shown."""

    channel: str
    ts: str
    told: int = 0
    final: bool = False
    unattended: bool = (
        False  # last changed by a process without Slack: whoever has it shows what becomes of it
    )
    # Where the channel is closed: person, conversation and ts of what they read instead, and what these show. Under a key of its own:
    # 0.1.0 cannot read a card with more in it.
    copies: tuple[tuple[str, str, str], ...] = field(default=(), metadata={"stored": False})
    copied: str = field(default="", metadata={"stored": False})


def _place(text: str, copies: str | None) -> CardPlace:
    """As it was stored, by this version or another one."""
    known = {f.name for f in fields(CardPlace) if f.metadata.get("stored", True)}
    place = CardPlace(**{key: value for key, value in json.loads(text).items() if key in known})
    if copies is None:
        return place
    said = json.loads(copies)
    return replace(
        place,
        copies=tuple((str(u), str(c), str(t)) for u, c, t in said["copies"]),
        copied=str(said["copied"]),
    )


def _texts(place: CardPlace) -> tuple[str, str | None]:
    """What is stored of it: the card, and its copies where there are any."""
    said = asdict(place)
    copies = {
        f.name: said.pop(f.name) for f in fields(CardPlace) if not f.metadata.get("stored", True)
    }
    return json.dumps(said), json.dumps(copies) if any(copies.values()) else None


def card_keys(name: str) -> tuple[str, str]:
    """Where the card of a request or run is remembered, and its copies."""
    return card_key(name), copies_key(name)


class MessageRefs:
    """Which message shows which request or run: edited, never posted anew, by whichever bot drives it."""

    OPEN = CARDS

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: str) -> CardPlace | None:
        """The place of the card of a request or run."""
        text, copies = await self._store.get(*card_keys(name))
        return _place(text, copies) if text else None

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
        """Cards whose final state has not been shown yet."""
        (text,) = await self._store.get(self.OPEN)
        return list(json.loads(text or "[]"))
