"""Keeps the heads of the audit where whoever can write to the state store cannot: in the bucket, and noted in the channel."""

import asyncio
import json
from dataclasses import dataclass

from services.access.clusters import ClusterRegistry
from services.audit.entries import Head, read_head
from services.cloud.secrets_bucket import SecretsBucket
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.store import Commit, Store
from services.store.keys import audit_kept_key, audit_told_key, head_key
from services.store.once import first_time

EVERY = 60.0  # seconds between two heads of one cluster in the bucket
PATIENCE = 20.0
AGAIN = 60.0
DAY = 86400.0


@dataclass(frozen=True)
class Digest:
    """What is told once a day: the head, and how many decisions are new."""

    head: Head
    fresh: int


class HeadAnchors:
    """On any number of bots each head goes out once; what could not be sent is tried again."""

    def __init__(
        self,
        sites: ClusterRegistry,
        store: Store,
        clock: Clock,
        bulkheads: Bulkheads,
        tasks: Tasks,
    ) -> None:
        self._sites = sites
        self._store = store
        self._clock = clock
        self._bulkheads = bulkheads
        self._tasks = tasks
        self._posting: asyncio.Task[None] | None = None

    async def sweep(self) -> None:
        """Begin a round of posting to buckets, unless one is under way. Does not wait for it."""
        if self._posting is None or self._posting.done():
            self._posting = self._tasks.start(self.post(), "heads of the audit")

    async def post(self) -> None:
        """One round: put every head that is new into its cluster's bucket."""
        await self._bulkheads.each("audit heads in the bucket", self._sites.ours, self._post)

    async def _post(self, name: str) -> None:
        vault, key, now = self._sites[name].world.vault, audit_kept_key(name), self._clock.now()
        if vault is None:
            return
        head, kept = await self._store.get(head_key(name), key)
        known, newest = _noted(kept), read_head(head, name)
        if (
            newest is None
            or head == known.head
            or now - known.at < EVERY
            or not await first_time(self._store, key, AGAIN)
        ):
            return
        try:
            async with asyncio.timeout(PATIENCE):  # of the loop's own time: what is away is away
                await keep_head(vault, name, newest)
        except TimeoutError:
            raise Unreachable(f"no answer within {PATIENCE:.0f} s") from None
        await self._store.commit(Commit(checks={key: kept}, puts={key: _note(newest, now)}))

    async def daily(self, name: str) -> Digest | None:
        """What is to be told of a cluster's audit today: nothing when nothing was decided, or it was told within a day."""
        newest, text = await self._store.get(head_key(name), _told(name))
        head, told = read_head(newest, name), _noted(text)
        if (
            head is None
            or head.number is None
            or head.number <= told.number
            or self._clock.now() - told.at < DAY
        ):
            return None
        if text is None:
            await self.was_told(
                name, Digest(Head("", 0), 0)
            )  # a day begins with the first decision
            return None
        return Digest(head, head.number - told.number)

    async def was_told(self, name: str, digest: Digest) -> None:
        """It stands in the channel."""
        await self._store.commit(Commit(puts={_told(name): _note(digest.head, self._clock.now())}))

    async def aclose(self) -> None:
        """Stop posting."""
        await self._tasks.cancel()


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
    return audit_told_key(name)


async def keep_head(vault: SecretsBucket, cluster: str, head: Head) -> None:
    """Keep the head of an audit in the bucket; one that lies there already is kept."""
    content = json.dumps(
        {"cluster": cluster, "number": head.number, "hash": head.hash}, sort_keys=True
    )
    await vault.anchor(f"{cluster}/{head.number:010d}-{head.hash[:16]}", content.encode())


async def kept_heads(vault: SecretsBucket, cluster: str) -> list[Head]:
    """All heads that were kept of a cluster's audit, oldest first."""
    return [
        head
        for stored in await vault.anchored(cluster)
        if (head := _named(stored.key, cluster)) is not None
    ]


async def newest_head(vault: SecretsBucket, cluster: str) -> Head | None:
    """The head that was kept last; None where none was."""
    found = sorted(await vault.anchored(cluster), key=lambda s: (float(s.modified), s.key))
    return next(
        (head for stored in reversed(found) if (head := _named(stored.key, cluster)) is not None),
        None,
    )


def _named(key: str, cluster: str) -> Head | None:
    """The head that an object's name says all of; None for an object of another kind."""
    number, _, start = key.rsplit("/", 1)[-1].partition("-")
    return Head(start, int(number), cluster) if number.isdigit() and start else None
