"""Anchors audit heads outside the state store: in the bucket, and posted in the channel.

Someone who can rewrite the state store cannot rewrite these.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from services.access.clusters import ClusterRegistry
from services.audit.entries import Head, read_head
from services.cloud.secrets_bucket import SecretsBucket
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.store import Commit, Store
from services.store.keys import audit_anchored_key, audit_posted_key, head_key
from services.store.once import first_time

# Seconds between two heads of one cluster in the bucket.
EVERY = 60.0
# Seconds to wait for the bucket.
PATIENCE = 20.0
# Seconds until a head that could not be written is tried again, by any bot.
AGAIN = 60.0
DAY = 86400.0
# Notes whose text is parsed once: two of each cluster are read in every round.
NOTES_REMEMBERED = 2048


@dataclass(frozen=True)
class Digest:
    """What is posted once a day: the head, and how many decisions are new."""

    head: Head
    new_decisions: int


class HeadAnchors:
    """Writes each head once, on any number of bots; what fails is tried again."""

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
        """Start a round of writing to buckets, if there is news; do not wait for it."""
        if self._sites.observes:
            return  # nothing is written to a bucket; the channel still gets the heads
        if self._posting is not None and not self._posting.done():
            return
        names = self._sites.driven
        with suppress(Unreachable):  # then each cluster is asked about alone, and reports it
            names = await self._with_news(names)
        if names:
            self._posting = self._tasks.start(self._anchor(names), "heads of the audit")

    async def anchor_all(self) -> None:
        """Write every new head to its cluster's bucket."""
        await self._anchor(self._sites.driven)

    async def _anchor(self, names: Sequence[str]) -> None:
        await self._bulkheads.run_each("audit heads in the bucket", names, self._post)

    async def _with_news(self, names: Sequence[str]) -> list[str]:
        """Return the clusters whose head is not the one in the bucket: usually few of them."""
        keys = [key for name in names for key in (head_key(name), audit_anchored_key(name))]
        texts = await self._store.get(*keys)
        pairs = zip(names, texts[::2], texts[1::2], strict=True)
        return [name for name, head, note in pairs if head and json.dumps(head) not in (note or "")]

    async def _post(self, name: str) -> None:
        vault, key, now = (
            self._sites[name].world.secrets_bucket,
            audit_anchored_key(name),
            self._clock.now(),
        )
        if vault is None:
            return
        head, text = await self._store.get(head_key(name), key)
        written, newest = _read_note(text), read_head(head, name)
        if newest is None or head == written.head or now - written.at < EVERY:
            return
        if not await first_time(self._store, key, AGAIN):
            return
        try:
            # In the loop's own seconds: the bucket does not answer faster when the clock does.
            async with asyncio.timeout(PATIENCE):
                await anchor_head(vault, name, newest)
        except TimeoutError:
            raise Unreachable(f"no answer within {PATIENCE:.0f} s") from None
        await self._store.commit(Commit(checks={key: text}, puts={key: _note(newest, now)}))

    async def daily_digest(self, name: str) -> Digest | None:
        """Return what to post of a cluster's audit today.

        None if there is no new decision, or the last digest is younger than a day.
        """
        head_text, text = await self._store.get(head_key(name), audit_posted_key(name))
        head, posted = read_head(head_text, name), _read_note(text)
        if head is None or head.number is None:
            return None
        if head.number <= posted.number or self._clock.now() - posted.at < DAY:
            return None
        if text is None:
            # A day begins with the first decision.
            await self.note_posted(name, Digest(Head("", 0), 0))
            return None
        return Digest(head, head.number - posted.number)

    async def note_posted(self, name: str, digest: Digest) -> None:
        """Record that a digest was posted."""
        note = _note(digest.head, self._clock.now())
        await self._store.commit(Commit(puts={audit_posted_key(name): note}))

    async def aclose(self) -> None:
        """Stop writing."""
        await self._tasks.cancel()


@dataclass(frozen=True)
class _Note:
    """The head written last, and when."""

    head: str = ""
    number: int = 0
    at: float = 0.0


@lru_cache(maxsize=NOTES_REMEMBERED)
def _read_note(text: str | None) -> _Note:
    if not text:
        return _Note()
    return _Note(**json.loads(text))


def _note(head: Head, at: float) -> str:
    return json.dumps({"head": head.text, "number": head.number, "at": at})


async def anchor_head(vault: SecretsBucket, cluster: str, head: Head) -> None:
    """Write the head of an audit to the bucket; an object that exists is left as it is."""
    content = json.dumps(
        {"cluster": cluster, "number": head.number, "hash": head.hash}, sort_keys=True
    )
    await vault.keep_audit_head(f"{cluster}/{head.number:010d}-{head.hash[:16]}", content.encode())


async def anchored_heads(vault: SecretsBucket, cluster: str) -> list[Head]:
    """Return all heads of a cluster's audit in the bucket, oldest first."""
    heads = [_from_name(stored.key, cluster) for stored in await vault.audit_heads(cluster)]
    return [head for head in heads if head is not None]


async def newest_anchored_head(vault: SecretsBucket, cluster: str) -> Head | None:
    """Return the head written to the bucket last; None if there is none."""
    newest_first = sorted(
        await vault.audit_heads(cluster), key=lambda s: (float(s.modified), s.key), reverse=True
    )
    heads = (_from_name(stored.key, cluster) for stored in newest_first)
    return next((head for head in heads if head is not None), None)


def _from_name(key: str, cluster: str) -> Head | None:
    """Return the head that an object's name spells out; None for another kind of object."""
    number, _, start = key.rsplit("/", 1)[-1].partition("-")
    if not number.isdigit() or not start:
        return None
    return Head(start, int(number), cluster)
