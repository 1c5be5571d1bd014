"""What the bot remembers of a cluster between runs: its media number, a refused zero, host keys."""

import json
from dataclasses import replace

from services.cluster import Cluster
from services.store import Commit, Store


class Memory:
    """Small facts in the state store, by cluster or droplet."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add_to(self, cluster: Cluster) -> Cluster:
        """The cluster with what is remembered of it."""
        pool = cluster.pool.id if cluster.pool else ""
        media, zero = await self._store.get(f"media:{cluster.name}", f"zero:{pool}")
        number = json.loads(media)["number"] if media else None
        return replace(cluster, remembered=number, zero_refused=zero is not None)

    async def note_target(self, cluster: Cluster, number: int, *, remember: bool) -> None:
        """Before the pool's number is lowered on a way down, keep the number it had; once, however often the way down is tried."""
        key = f"media:{cluster.name}"
        (text,) = await self._store.get(key)
        known = json.loads(text) if text else {"number": None, "down": False}
        if remember:
            if known["down"] or cluster.pool is None or cluster.pool.target == 0:
                return
            known = {"number": cluster.pool.target, "down": True}
        else:
            known = {"number": known["number"] if known["number"] is not None else number, "down": False}
        await self._store.commit(Commit(checks={key: text}, puts={key: json.dumps(known)}))

    async def zero_was_refused(self, cluster: Cluster) -> None:
        """DigitalOcean does not take 0 for this pool: the next plan says so."""
        if cluster.pool is not None:
            await self._store.commit(Commit(puts={f"zero:{cluster.pool.id}": "refused"}))


class HostKeys:
    """SSH host keys, pinned per droplet id: a pool's members are new hosts each time, and addresses are reused."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, droplet_id: int) -> str | None:
        """The pinned key, if this droplet was seen before."""
        return (await self._store.get(f"hostkey:{droplet_id}"))[0]

    async def put(self, droplet_id: int, key: str) -> None:
        """Pin the key of a droplet that is seen for the first time."""
        await self._store.commit(Commit(checks={f"hostkey:{droplet_id}": None}, puts={f"hostkey:{droplet_id}": key}))
