"""What the bot remembers of a cluster between runs: its media number, a refused zero, host keys."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from services.audit.chain import Chain
from services.cluster.model import Autoscaler, Cluster, FleetKind, FleetSeen
from services.memory.schedule import Fence, ScheduleRepository, read_book
from services.memory.user_groups import KnownGroups
from services.store import Commit, Store
from services.store.keys import book_key, closings_key, fleet_key, media_key, pause_key, zero_key

NOTED_EVERY = 3600.0
EVENINGS = 120  # closings that are remembered
KNOWN_AGAIN = (FleetKind.POOL, FleetKind.FIXED, FleetKind.AUTOSCALER)


class ClusterMemory:
    """Small facts in the state store, by cluster or droplet."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self.books = ScheduleRepository(store, chain)
        self.groups = KnownGroups(store)

    async def add_to(self, cluster: Cluster) -> Cluster:
        """The cluster with what is remembered of it."""
        pool = cluster.pool.id if cluster.pool else ""
        name = cluster.name
        media, zero, book, paused, seen, evenings = await self._store.get(
            media_key(name),
            zero_key(pool),
            book_key(name),
            pause_key(name),
            fleet_key(name),
            closings_key(name),
        )
        known: dict[str, Any] = json.loads(media) if media else {"number": None}
        kept = read_book(book).windows
        await self._note_kind(cluster, seen)
        return replace(
            cluster,
            remembered=known["number"],
            remembered_ids=tuple(known.get("ids", ())),
            zero_refused=zero is not None,
            windows=tuple(w.words() for w in kept),
            window_versions=tuple((w.name, w.version) for w in kept),
            last_seen=_seen(seen),
            evenings=_evenings(evenings),
            autoscaler=_with_pause(cluster.autoscaler, paused),
        )

    async def last_kind(self, name: str) -> FleetKind:
        """What kept its media nodes when that was last seen; a pool where nothing else ever was."""
        seen = _seen((await self._store.get(fleet_key(name)))[0])
        return seen.kind if seen else FleetKind.POOL

    async def _note_kind(self, cluster: Cluster, text: str | None) -> None:
        """Where nothing keeps media nodes any more, only this tells what did."""
        seen, kind = _seen(text), cluster.kind
        if cluster.problem or kind not in KNOWN_AGAIN or (seen is None and kind is FleetKind.POOL):
            return  # a pool is never absent without a trace
        if (
            seen is None
            or seen.kind is not kind
            or (cluster.media and cluster.seen_at - seen.at > NOTED_EVERY)
        ):
            note = json.dumps([kind.value, len(cluster.media), cluster.seen_at])
            await self._store.commit(
                Commit(checks={fleet_key(cluster.name): text}, puts={fleet_key(cluster.name): note})
            )

    # What a run notes of itself. `fence`: the lease that must still stand, or nothing is written and the answer is False.

    async def note_target(
        self, cluster: Cluster, number: int, fence: Fence, *, remember: int
    ) -> bool:
        """Before the pool's number is set, keep how many media nodes the next start-up brings back: as the plan says, however often."""
        if remember < 1:
            return True
        note = json.dumps({"number": remember, "down": number < remember})
        return await self._store.commit(
            Commit(checks=dict(fence), puts={media_key(cluster.name): note})
        )

    async def note_media(self, cluster: Cluster, ids: tuple[int, ...], fence: Fence) -> bool:
        """Before droplets that stay are powered off on a way down, keep which, as the plan says. None: they are on again."""
        key = media_key(cluster.name)
        (text,) = await self._store.get(key)
        known = json.loads(text) if text else {"number": None}
        known = {"number": len(ids), "ids": list(ids)} if ids else known
        note = json.dumps({**known, "down": bool(ids)})
        return await self._store.commit(Commit(checks={**fence, key: text}, puts={key: note}))

    async def note_pause(self, cluster: Cluster, run: str, fence: Fence, *, frozen: bool) -> bool:
        """Before the autoscaler is paused, keep which run does, and when."""
        note = json.dumps({"run": run, "at": cluster.seen_at, "frozen": frozen})
        return await self._store.commit(
            Commit(checks=dict(fence), puts={pause_key(cluster.name): note})
        )

    async def forget_pause(self, cluster: Cluster, fence: Fence) -> bool:
        """No run of ours keeps it paused."""
        return await self._store.commit(
            Commit(checks=dict(fence), puts={pause_key(cluster.name): None})
        )

    async def note_evening(self, name: str, evening: tuple[str, float, bool]) -> None:
        """How long people met after a window's closing began. Noted once, by the name of its edge."""
        key = closings_key(name)
        (text,) = await self._store.get(key)
        known = _evenings(text)
        if all(edge != evening[0] for edge, _, _ in known):
            note = json.dumps([*known, evening][-EVENINGS:])
            await self._store.commit(Commit(checks={key: text}, puts={key: note}))

    async def zero_was_refused(self, cluster: Cluster) -> None:
        """DigitalOcean does not take 0 for this pool: the next plan says so."""
        if cluster.pool is not None:
            await self._store.commit(Commit(puts={zero_key(cluster.pool.id): "refused"}))


def _seen(note: str | None) -> FleetSeen | None:
    if not note:
        return None
    kind, media, at = json.loads(note)
    return FleetSeen(FleetKind(kind), media, at)


def _evenings(note: str | None) -> tuple[tuple[str, float, bool], ...]:
    """What is recorded of closings; a damaged record only costs the prediction, and begins anew."""
    with suppress(ValueError, TypeError):
        return tuple(
            (str(edge), float(lasted), bool(ended))
            for edge, lasted, ended in json.loads(note or "[]")
        )
    return ()


def _with_pause(autoscaler: Autoscaler | None, note: str | None) -> Autoscaler | None:
    """What is remembered of a pause counts only while it is paused."""
    if autoscaler is None or autoscaler.enabled or not note:
        return autoscaler
    known = json.loads(note)
    return replace(
        autoscaler, paused_by=known["run"], paused_at=known["at"], frozen=known["frozen"]
    )
