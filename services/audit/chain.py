"""The audit in the state store: an entry is written in the commit of the decision it records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.audit.entries import AuditRecord, Entry, Head, link, read_entry, read_head
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store import Commit, Store
from services.store.edit import retried
from services.store.keys import audit_checkpoint_key, audit_log_key, head_key, sealed_key
from services.store.port import new_id


class AuditChain:
    """The audit chains of all clusters."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> float:
        """Return the time of an entry that is added now."""
        return self._clock.now()

    async def commit(
        self, commit: Commit, cluster: str, *deeds: AuditRecord, note: str = ""
    ) -> bool:
        """Write a commit with entries for these decisions; return False if its checks fail.

        If only the head has changed, because of other decisions, the entries are linked to the new
        one. `note`: a key to store the resulting head under.
        """
        if not deeds:
            return await self._store.commit(commit)
        return await self._commit(commit, {cluster: deeds}, note)

    async def commit_each(self, commit: Commit, deeds: Mapping[str, Sequence[AuditRecord]]) -> bool:
        """Write a commit with entries in the chains of several clusters: all of it, or nothing.

        Returns False if its checks fail.
        """
        present = {cluster: listed for cluster, listed in deeds.items() if listed}
        if not present:
            return await self._store.commit(commit)
        return await self._commit(commit, present, "")

    async def _commit(
        self, commit: Commit, deeds: Mapping[str, Sequence[AuditRecord]], note: str
    ) -> bool:
        keys = {cluster: head_key(cluster) for cluster in deeds}

        async def attempt() -> bool | None:
            texts = await self._store.get(*keys.values())
            checks, puts = dict(commit.checks), dict(commit.puts)
            appends = list(commit.appends)
            for (cluster, key), text in zip(keys.items(), texts, strict=True):
                entries = self._entries(cluster, read_head(text), deeds[cluster])
                checks[key], puts[key] = text, entries[-1].head.text
                appends += [(audit_log_key(cluster), e.text) for e in entries]
                if note:
                    puts[note] = entries[-1].head.text
            whole = replace(commit, checks=checks, puts=puts, appends=appends, id=new_id())
            if await self._store.commit(whole):
                return True
            if await self._store.get(*commit.checks) != list(commit.checks.values()):
                return False
            return None

        gives_up = f"the audit of {', '.join(deeds)} changes faster than it can be written"
        return await retried(attempt, Unreachable(f"{gives_up}. Nothing was changed", sent=False))

    def _entries(
        self, cluster: str, head: Head | None, deeds: Sequence[AuditRecord]
    ) -> list[Entry]:
        entries: list[Entry] = []
        for deed in deeds:
            entry = link(cluster, head, deed, round(self._clock.now(), 3))
            entries.append(entry)
            head = entry.head
        return entries

    async def head(self, cluster: str) -> Head | None:
        """Return number and hash of the newest entry; None before the first decision."""
        return read_head((await self._store.get(head_key(cluster)))[0], cluster)

    async def checkpoint(self, cluster: str) -> Head | None:
        """Return where a shortened chain starts from; None for a complete one."""
        return read_head((await self._store.get(audit_checkpoint_key(cluster)))[0], cluster)

    async def sealed(self, run: str) -> Head | None:
        """Return the head that a run's end was sealed with."""
        return read_head((await self._store.get(sealed_key(run)))[0])

    async def newest(self, cluster: str, count: int) -> list[Entry]:
        """Return the newest readable entries, newest first."""
        texts = await self._store.tail(audit_log_key(cluster), count)
        entries = [read_entry(text) for text in reversed(texts)]
        return [e for e in entries if e is not None]

    async def texts(self, cluster: str) -> list[str]:
        """Return every entry as stored, oldest first; at once, as pages would hide a gap."""
        return await self._store.read(audit_log_key(cluster))
