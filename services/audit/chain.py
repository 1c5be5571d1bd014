"""The audit in the state store: entries are sealed in the very act that takes the decision they tell of."""

from dataclasses import replace

from services.audit.entries import Deed, Entry, Head, link, read_entry, read_head
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store import Commit, Store
from services.store.edit import retried
from services.store.keys import audit_log_key, cut_key, head_key, sealed_key
from services.store.port import new_id


class Chain:
    """The chains of all clusters."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def commit(self, commit: Commit, cluster: str, *deeds: Deed, note: str = "") -> bool:
        """Write all of it, and these decisions with it. False: one of the commit's own checks did not hold.

        When only the head has moved on, because others decided something else, it is tried again on the new one. `note`: a key for the
        head that comes of it.
        """
        if not deeds:
            return await self._store.commit(commit)
        key = head_key(cluster)

        async def attempt() -> bool | None:
            (text,) = await self._store.get(key)
            entries = self._entries(cluster, read_head(text), deeds)
            head = entries[-1].head.text
            puts = {**commit.puts, key: head}
            if note:
                puts[note] = head
            appends = [*commit.appends, *((audit_log_key(cluster), e.text) for e in entries)]
            checks = {**commit.checks, key: text}
            whole = replace(commit, checks=checks, puts=puts, appends=appends, id=new_id())
            if await self._store.commit(whole):
                return True
            if await self._store.get(*commit.checks) != list(commit.checks.values()):
                return False
            return None

        gives_up = f"the audit of {cluster} is written by others faster than it can be added to"
        return await retried(attempt, Unreachable(f"{gives_up}; nothing was changed", sent=False))

    def _entries(self, cluster: str, head: Head | None, deeds: tuple[Deed, ...]) -> list[Entry]:
        entries: list[Entry] = []
        for deed in deeds:
            head = entries[-1].head if entries else head
            entries.append(link(cluster, head, deed, round(self._clock.now(), 3)))
        return entries

    async def head(self, cluster: str) -> Head | None:
        """The newest entry's number and hash; None while nothing was decided yet."""
        head = read_head((await self._store.get(head_key(cluster)))[0])
        return replace(head, cluster=cluster) if head else None

    async def checkpoint(self, cluster: str) -> Head | None:
        """Where a chain that was shortened goes on from; None for a whole one."""
        return read_head((await self._store.get(cut_key(cluster)))[0], cluster)

    async def sealed(self, run: str) -> Head | None:
        """The head that a run's end was sealed with."""
        return read_head((await self._store.get(sealed_key(run)))[0])

    async def newest(self, cluster: str, count: int) -> list[Entry]:
        """The newest entries that can be read, newest first."""
        found = [read_entry(t) for t in await self._store.tail(audit_log_key(cluster), count)]
        return [e for e in found[::-1] if e is not None]

    async def texts(self, cluster: str) -> list[str]:
        """Every entry as it is stored, oldest first. At once: a log with a hole in it has no pages."""
        return await self._store.read(audit_log_key(cluster))
