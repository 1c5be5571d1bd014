"""Keeps the heads of the audit where whoever can write to the state store cannot: in the bucket, and noted in the channel."""

import asyncio
import json
from dataclasses import dataclass

from services.audit import Head, read_head
from services.bulkheads import Bulkheads
from services.chain import head_key
from services.clock import Clock
from services.errors import Unreachable
from services.memory import first_time
from services.sites import Sites
from services.store import Commit, Store

EVERY = 60.0  # seconds between two heads of one cluster in the bucket
PATIENCE = 20.0
AGAIN = 60.0
DAY = 86400.0


@dataclass(frozen=True)
class Digest:
    """What is told once a day: the head, and how many decisions are new."""

    head: Head
    fresh: int


class Heads:
    """On any number of bots each head goes out once; what could not be sent is tried again."""

    def __init__(self, sites: Sites, store: Store, clock: Clock, bulkheads: Bulkheads) -> None:
        self._sites = sites
        self._store = store
        self._clock = clock
        self._bulkheads = bulkheads
        self._posting: asyncio.Task[None] | None = None

    async def sweep(self) -> None:
        """Begin a round of posting to buckets, unless one is under way. Does not wait for it."""
        if self._posting is None or self._posting.done():
            self._posting = asyncio.create_task(self.post(), name="heads of the audit")

    async def post(self) -> None:
        """One round: put every head that is new into its cluster's bucket."""
        await self._bulkheads.each("audit heads in the bucket", self._sites.ours, self._post)

    async def _post(self, name: str) -> None:
        vault, key, now = self._sites[name].world.vault, f"audit-kept:{name}", self._clock.now()
        if vault is None:
            return
        head, kept = await self._store.get(head_key(name), key)
        known, newest = _noted(kept), read_head(head, name)
        if newest is None or head == known.head or now - known.at < EVERY or not await first_time(self._store, key, AGAIN):
            return
        try:
            async with asyncio.timeout(PATIENCE):  # of the loop's own time: what is away is away
                await vault.keep_head(name, newest)
        except TimeoutError:
            raise Unreachable(f"no answer within {PATIENCE:.0f} s") from None
        await self._store.commit(Commit(checks={key: kept}, puts={key: _note(newest, now)}))

    async def daily(self, name: str) -> Digest | None:
        """What is to be told of a cluster's audit today: nothing when nothing was decided, or it was told within a day."""
        newest, text = await self._store.get(head_key(name), _told(name))
        head, told = read_head(newest, name), _noted(text)
        if head is None or head.number is None or head.number <= told.number or self._clock.now() - told.at < DAY:
            return None
        if text is None:
            await self.was_told(name, Digest(Head("", 0), 0))  # a day begins with the first decision
            return None
        return Digest(head, head.number - told.number)

    async def was_told(self, name: str, digest: Digest) -> None:
        """It stands in the channel."""
        await self._store.commit(Commit(puts={_told(name): _note(digest.head, self._clock.now())}))

    async def aclose(self) -> None:
        """Stop posting."""
        if self._posting is not None:
            self._posting.cancel()
            await asyncio.gather(self._posting, return_exceptions=True)


@dataclass(frozen=True)
class _Noted:
    """The head that went out last, and when."""

    head: str = ""
    number: int = 0
    at: float = 0.0


def _noted(text: str | None) -> _Noted:
    return _Noted(**json.loads(text)) if text else _Noted()


def _note(head: Head, at: float) -> str:
    return json.dumps({"head": head.text, "number": head.number, "at": at})


def _told(name: str) -> str:
    return f"audit-told:{name}"
