"""Commands and presses that were taken: stored before they are acknowledged, until they are answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from services.store import Commit, Store
from services.store.keys import (
    TAKEN,
    TAKEN_SEEN,
    answered_key,
    held_key,
    once_key,
    sure_key,
    trigger_once,
)


@dataclass(frozen=True)
class Unanswered:
    """Something that a bot took and did not answer. `sure`: it was confirmed; `newest`: its sender has sent nothing since."""

    name: str
    what: dict[str, str | float]
    sure: bool
    newest: bool


class CommandInbox:
    """Commands and presses that were taken, so that none is forgotten when a bot dies over it. Taking one is a single round trip."""

    LOG = TAKEN
    SEEN = TAKEN_SEEN
    KEPT = 3600.0  # seconds after which nobody waits for an answer any more

    def __init__(self, store: Store) -> None:
        self._store = store

    def taking(
        self, name: str, what: Mapping[str, str | float], seconds: float, trigger: str = ""
    ) -> Commit:
        """What stores it, once for each trigger, and holds it; sent again, as the same commit, when the first answer was lost."""
        hand, seen = held_key(name), once_key(trigger_once(trigger))
        once = {seen: "1"} if trigger else {}
        ttl = {hand: seconds} | dict.fromkeys(once, self.KEPT)
        note = json.dumps({**what, "name": name})  # its own name, whatever it is about
        return Commit(
            checks=dict.fromkeys(once, None),
            puts={hand: "1", **once},
            ttl=ttl,
            appends=[(self.LOG, note)],
        )

    async def take(self, taking: Commit) -> bool:
        """Store it; only then say that it was taken. False: it came before, and some bot has it."""
        return await self._store.commit(taking)

    async def hold(self, name: str, seconds: float) -> None:
        """It is worked on, and its sender was not told otherwise: for so long others leave it alone."""
        hand, sure = held_key(name), sure_key(name)
        await self._store.commit(
            Commit(puts={hand: "1", sure: "1"}, ttl={hand: seconds, sure: self.KEPT})
        )

    async def claim(self, name: str, seconds: float) -> bool:
        """Take it up from whoever does not hold it any more. False: another was first."""
        hand = held_key(name)
        return await self._store.commit(
            Commit(checks={hand: None}, puts={hand: "1"}, ttl={hand: seconds})
        )

    async def answered(self, name: str) -> None:
        """It has its answer."""
        key = answered_key(name)
        await self._store.commit(Commit(puts={key: "1"}, ttl={key: 2 * self.KEPT}))

    async def unanswered(self, now: float, most: int = 100) -> list[Unanswered]:
        """What nobody answered and nobody holds. Each is returned until it counts as answered, or is an hour old."""
        (seen,) = await self._store.get(self.SEEN)
        position = start = int(seen or 0)
        left: list[Unanswered] = []
        pending = False  # one before it is open still: where to begin the next time
        notes = [json.loads(text) for text in await self._store.read(self.LOG, start, most)]
        last = {str(note["user"]): number for number, note in enumerate(notes)}
        for number, note in enumerate(notes):
            name = str(note["name"])
            done, hand, sure = await self._store.get(
                answered_key(name), held_key(name), sure_key(name)
            )
            if done is None and now - float(note["at"]) < self.KEPT:
                pending = True
                if hand is None:
                    left.append(
                        Unanswered(name, note, sure is not None, last[str(note["user"])] == number)
                    )
            elif not pending:
                position += 1
        if position != start:
            await self._store.commit(
                Commit(checks={self.SEEN: seen}, puts={self.SEEN: str(position)})
            )
        return left
