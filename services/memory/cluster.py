"""What is kept of a cluster between runs.

Its number of media nodes, its fleet type, a pause, closings.
"""

import json
from contextlib import suppress
from typing import Any

from services.audit.chain import AuditChain
from services.cluster.account_facts import AccountFacts
from services.cluster.model import Autoscaler, Cluster, FleetKind, KnownFleet, StoppedNode
from services.common.values import replace
from services.memory.account_facts import facts_in
from services.memory.backups import BackupNotesRepository, read_notes
from services.memory.bindings import account_of
from services.memory.scaling import ScalingRepository, read_scaling
from services.memory.schedule import Fence, ScheduleRepository, read_book
from services.memory.user_groups import StoredUserGroups
from services.memory.waste import WasteNotesRepository, read_waste
from services.store import Commit, Store
from services.store.keys import (
    ACCOUNT_FACTS,
    backups_key,
    closings_key,
    fleet_key,
    identity_key,
    media_key,
    pause_key,
    scaling_key,
    schedule_key,
    stopped_key,
    waste_key,
    zero_refused_key,
)

NOTED_EVERY = 3600.0
EVENINGS = 120  # closings that are kept
# Seconds that a node may still answer after its stop was recorded: as long as systemctl may take.
STOPPING = 300.0
NO_MEDIA = '{"number": null}'
KNOWN_AGAIN = (FleetKind.POOL, FleetKind.FIXED, FleetKind.AUTOSCALER)


class ClusterMemory:
    """Small facts in the state store, by cluster or droplet."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self.books = ScheduleRepository(store, chain)
        self.groups = StoredUserGroups(store)
        self.backups = BackupNotesRepository(store, chain)
        self.waste = WasteNotesRepository(store, chain)
        self.scaling = ScalingRepository(store, chain)

    async def add_to(self, cluster: Cluster) -> Cluster:
        """Return the cluster with what is kept of it."""
        name, pool = cluster.name, cluster.pool.id if cluster.pool else ""
        stored_texts = await self._store.get(
            media_key(name),
            zero_refused_key(pool),
            schedule_key(name),
            pause_key(name),
            fleet_key(name),
            closings_key(name),
            identity_key(name),
            ACCOUNT_FACTS,
            backups_key(name),
            stopped_key(name),
            scaling_key(name),
            waste_key(name),
        )
        media, zero, book, paused, seen, evenings = stored_texts[:6]
        who, facts, notes, stops, scaling, waste = stored_texts[6:]
        stored: dict[str, Any] = json.loads(media or NO_MEDIA)
        windows = read_book(book).named_windows
        await self._note_kind(cluster, seen)
        stopped = await self._still_stopped(cluster, stops)
        account = facts_in(facts, account_of(who, name)).overridden_by(cluster.account)
        return replace(
            cluster,
            nodes_before_shutdown=stored["number"],
            node_ids_before_shutdown=tuple(stored.get("ids", ())),
            zero_refused=_zero_refused(account, noted=zero is not None),
            account=account,
            windows=tuple(w.to_text() for w in windows),
            window_versions=tuple((w.name, w.version) for w in windows),
            stopped=stopped,
            last_seen=_seen(seen),
            past_closings=_evenings(evenings),
            backup_notes=read_notes(notes),
            waste_notes=read_waste(waste),
            scaling=read_scaling(scaling).permission,
            autoscaler=_with_pause(cluster.autoscaler, paused),
        )

    async def last_kind(self, name: str) -> FleetKind:
        """Return its fleet type when one was last seen; a pool if no other ever was."""
        seen = _seen((await self._store.get(fleet_key(name)))[0])
        return seen.kind if seen else FleetKind.POOL

    async def _note_kind(self, cluster: Cluster, text: str | None) -> None:
        """Store the fleet type: once its objects are deleted, only this record shows it."""
        seen, kind = _seen(text), cluster.kind
        if cluster.problem or kind not in KNOWN_AGAIN or (seen is None and kind is FleetKind.POOL):
            return  # a pool never disappears without a trace
        changed = seen is None or seen.kind is not kind
        if changed or (cluster.media and seen and cluster.seen_at - seen.at > NOTED_EVERY):
            key = fleet_key(cluster.name)
            note = json.dumps([kind.value, len(cluster.media), cluster.seen_at])
            await self._store.commit(Commit(checks={key: text}, puts={key: note}))

    async def _still_stopped(self, cluster: Cluster, text: str | None) -> tuple[StoppedNode, ...]:
        """Return which nodes are stopped by request; forget those that were started otherwise.

        By hand, or by a boot: the unit starts with its droplet.
        """
        stops = _stops(text)
        started = {stop.id for stop in stops if _runs_again(cluster, stop)}
        left = tuple(stop for stop in stops if stop.id not in started)
        if started:
            key = stopped_key(cluster.name)
            await self._store.commit(Commit(checks={key: text}, puts={key: _stops_note(left)}))
        return left

    # What a run stores. `fence`: the lease that must still be held, else nothing is written and
    # False is returned.

    async def note_target(
        self, cluster: Cluster, number: int, fence: Fence, *, remember: int
    ) -> bool:
        """Store how many media nodes the next start-up brings back.

        Done before the pool's number is set; idempotent.
        """
        if remember < 1:
            return True
        note = json.dumps({"number": remember, "down": number < remember})
        return await self._store.commit(
            Commit(checks=dict(fence), puts={media_key(cluster.name): note})
        )

    async def note_media(self, cluster: Cluster, ids: tuple[int, ...], fence: Fence) -> bool:
        """Store which droplets are powered off, before a shutdown does that.

        None: they are on again.
        """
        key = media_key(cluster.name)
        (text,) = await self._store.get(key)
        stored = json.loads(text or NO_MEDIA)
        if ids:
            stored = {"number": len(ids), "ids": list(ids)}
        note = json.dumps({**stored, "down": bool(ids)})
        return await self._store.commit(Commit(checks={**fence, key: text}, puts={key: note}))

    async def note_stopped(self, cluster: Cluster, stop: StoppedNode, fence: Fence) -> bool:
        """Store who stops OpenVidu on a node, before it is done; idempotent."""
        key = stopped_key(cluster.name)
        (text,) = await self._store.get(key)
        stops = [s for s in _stops(text) if s.id != stop.id]
        note = _stops_note((*stops, stop))
        return await self._store.commit(Commit(checks={**fence, key: text}, puts={key: note}))

    async def forget_stopped(self, cluster: Cluster, droplet_id: int, fence: Fence) -> bool:
        """Store that OpenVidu is no longer stopped on a node, before it is started."""
        key = stopped_key(cluster.name)
        (text,) = await self._store.get(key)
        left = tuple(s for s in _stops(text) if s.id != droplet_id)
        checks = {**fence, key: text}
        return await self._store.commit(Commit(checks=checks, puts={key: _stops_note(left)}))

    async def note_pause(self, cluster: Cluster, run: str, fence: Fence, *, frozen: bool) -> bool:
        """Store which run pauses the autoscaler, and when, before it does."""
        note = json.dumps({"run": run, "at": cluster.seen_at, "frozen": frozen})
        return await self._store.commit(
            Commit(checks=dict(fence), puts={pause_key(cluster.name): note})
        )

    async def forget_pause(self, cluster: Cluster, fence: Fence) -> bool:
        """Store that no run of the bot keeps it paused."""
        return await self._store.commit(
            Commit(checks=dict(fence), puts={pause_key(cluster.name): None})
        )

    async def note_evening(self, name: str, evening: tuple[str, float, bool]) -> None:
        """Store how long people met after a window's closing began.

        Once, by the name of its edge.
        """
        key = closings_key(name)
        (text,) = await self._store.get(key)
        stored = _evenings(text)
        if all(edge != evening[0] for edge, _, _ in stored):
            note = json.dumps([*stored, evening][-EVENINGS:])
            await self._store.commit(Commit(checks={key: text}, puts={key: note}))

    async def zero_was_refused(self, cluster: Cluster) -> None:
        """Store that DigitalOcean refuses 0 nodes for this pool, for the next plan to show."""
        if cluster.pool is not None:
            await self._store.commit(Commit(puts={zero_refused_key(cluster.pool.id): "refused"}))


def _zero_refused(account: AccountFacts, *, noted: bool) -> bool:
    """Return whether plans count on a refusal of 0: by the account's facts, else by this pool's."""
    answer = account.answer("zero")
    return noted if not answer else answer != "accepted"


def _seen(note: str | None) -> KnownFleet | None:
    if not note:
        return None
    kind, media, at = json.loads(note)
    return KnownFleet(FleetKind(kind), media, at)


def _stops(note: str | None) -> tuple[StoppedNode, ...]:
    """Return recorded stops. A damaged record only costs the name of who stopped a node."""
    with suppress(ValueError, TypeError):
        return tuple(
            StoppedNode(int(number), str(by), float(at), str(run))
            for number, by, at, run in json.loads(note or "[]")
        )
    return ()


def _stops_note(stops: tuple[StoppedNode, ...]) -> str | None:
    if not stops:
        return None
    return json.dumps([[s.id, s.by, s.at, s.run] for s in stops])


def _runs_again(cluster: Cluster, stop: StoppedNode) -> bool:
    """Return whether a node was seen in service after its stop, or off, or is seen no more.

    A droplet that is off starts OpenVidu with its next boot: if it then fails, that is a failure.
    """
    droplet = cluster.node(stop.id)
    if droplet is not None and droplet.off:
        return True
    if cluster.problem or cluster.seen_at < stop.at + STOPPING:
        return False
    node = next((n for n in cluster.media if n.id == stop.id), None)
    if node is not None:
        return node.serving
    master = next((m for m in cluster.masters if m.id == stop.id), None)
    if master is not None:
        return master.is_healthy
    # Deleted: a listing without a problem shows every droplet of the cluster.
    return bool(cluster.masters) and not cluster.unseen


def _evenings(note: str | None) -> tuple[tuple[str, float, bool], ...]:
    """Return recorded closings. A damaged record only costs the prediction, and starts again."""
    with suppress(ValueError, TypeError):
        return tuple(
            (str(edge), float(lasted), bool(ended))
            for edge, lasted, ended in json.loads(note or "[]")
        )
    return ()


def _with_pause(autoscaler: Autoscaler | None, note: str | None) -> Autoscaler | None:
    """Return the autoscaler with its stored pause, which counts only while it is paused."""
    if autoscaler is None or autoscaler.enabled or not note:
        return autoscaler
    pause = json.loads(note)
    return replace(
        autoscaler, paused_by=pause["run"], paused_at=pause["at"], frozen=pause["frozen"]
    )
