"""Commands and button presses: stored before they are acknowledged, until they are answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from services.store import Commit, Store
from services.store.keys import (
    INBOX_LOG,
    INBOX_SEEN,
    answered_key,
    held_key,
    once_key,
    sure_key,
    trigger_once,
)


@dataclass(frozen=True)
class Unanswered:
    """A command without an answer.

    `sure`: it was confirmed to its sender; `newest`: they sent nothing since.
    """

    name: str
    what: dict[str, str | float]
    sure: bool
    newest: bool


class CommandInbox:
    """Accepted commands, so that none is lost when a bot crashes.

    Accepting one takes a single round trip.
    """

    LOG = INBOX_LOG
    SEEN = INBOX_SEEN
    KEPT = 3600.0  # seconds after which no one waits for an answer any more

    def __init__(self, store: Store) -> None:
        self._store = store

    def accept_commit(
        self, name: str, what: Mapping[str, str | float], seconds: float, trigger: str = ""
    ) -> Commit:
        """Return the commit that stores and holds it, once per trigger.

        Repeatable if the store's answer is lost.
        """
        holder, seen = held_key(name), once_key(trigger_once(trigger))
        once = {seen: "1"} if trigger else {}
        ttl = {holder: seconds} | dict.fromkeys(once, self.KEPT)
        note = json.dumps({**what, "name": name})  # its own name replaces any other
        return Commit(
            checks=dict.fromkeys(once, None),
            puts={holder: "1", **once},
            ttl=ttl,
            appends=[(self.LOG, note)],
        )

    async def accept(self, taking: Commit) -> bool:
        """Store it; acknowledge it only afterwards.

        Returns False if it came before, and a bot has it.
        """
        return await self._store.commit(taking)

    async def hold(self, name: str, seconds: float) -> None:
        """Hold it while it is worked on, and note that it was confirmed.

        Other bots skip it for so long.
        """
        holder, sure = held_key(name), sure_key(name)
        await self._store.commit(
            Commit(puts={holder: "1", sure: "1"}, ttl={holder: seconds, sure: self.KEPT})
        )

    async def claim(self, name: str, seconds: float) -> bool:
        """Hold it, if no bot does. Returns False if another was first."""
        holder = held_key(name)
        return await self._store.commit(
            Commit(checks={holder: None}, puts={holder: "1"}, ttl={holder: seconds})
        )

    async def answered(self, name: str) -> None:
        """Note that it was answered."""
        key = answered_key(name)
        await self._store.commit(Commit(puts={key: "1"}, ttl={key: 2 * self.KEPT}))

    async def unanswered(self, now: float, most: int = 100) -> list[Unanswered]:
        """Return commands that are neither answered nor held.

        Each is returned until it is answered or an hour old.
        """
        (seen,) = await self._store.get(self.SEEN)
        position = start = int(seen or 0)
        left: list[Unanswered] = []
        # An earlier one is still open: the next search begins there.
        pending = False
        notes = [json.loads(text) for text in await self._store.read(self.LOG, start, most)]
        last = {str(note["user"]): number for number, note in enumerate(notes)}
        for number, note in enumerate(notes):
            name = str(note["name"])
            keys = answered_key(name), held_key(name), sure_key(name)
            answered, holder, sure = await self._store.get(*keys)
            if answered is None and now - float(note["at"]) < self.KEPT:
                pending = True
                if holder is None:
                    newest = last[str(note["user"])] == number
                    left.append(Unanswered(name, note, sure is not None, newest))
            elif not pending:
                position += 1
        if position != start:
            await self._store.commit(
                Commit(checks={self.SEEN: seen}, puts={self.SEEN: str(position)})
            )
        return left
