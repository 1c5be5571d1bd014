"""What promises to people are measured by, beside runs and requests: one log per cluster.

Missed times of windows, questions whether to close, and whether the cluster was in service. Each
record is written in the commit of its audit entry.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.common.serialize import read_json
from services.memory.promise_records import (
    ANSWERED,
    OUT,
    UNANSWERED,
    UNKNOWN,
    PromiseRecord,
    read_record,
)
from services.memory.schedule_audit import EdgeEvent
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import promises_log_key, service_key

# Seconds between two writes that say that nothing has changed.
HEARTBEAT = 600.0
# Seconds without an observation after which the time in between is unknown.
GAP = HEARTBEAT + 300.0


@dataclass(frozen=True)
class LastSeen:
    """The newest observation of a cluster's service, as stored."""

    at: float = 0.0
    state: str = ""


def edge_appends(cluster: str, events: Iterable[EdgeEvent], at: float) -> list[tuple[str, str]]:
    """Return the records of what became of times of windows, for a commit."""
    key = promises_log_key(cluster)
    return [(key, _text(PromiseRecord(at, e.what, e.edge, e.until))) for e in events]


def request_appends(
    cluster: str, request: str, made_at: float, at: float, *, answered: bool | None
) -> list[tuple[str, str]]:
    """Return the record of a request that was answered, or expired; nothing for None."""
    if answered is None:
        return []
    state = ANSWERED if answered else UNANSWERED
    record = PromiseRecord(at, "request", request, state=state, since=made_at)
    return [(promises_log_key(cluster), _text(record))]


def _text(record: PromiseRecord) -> str:
    return json.dumps(asdict(record), sort_keys=True, separators=(",", ":"))


class PromiseLog:
    """The records of all clusters."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain

    async def read(self, cluster: str) -> list[PromiseRecord]:
        """Return all records of a cluster, oldest first."""
        return [read_record(t) for t in await self._store.read(promises_log_key(cluster))]

    async def last_seen(self, cluster: str) -> LastSeen:
        """Return the newest stored observation of its service."""
        (text,) = await self._store.get(service_key(cluster))
        return _last_seen(text, cluster)

    async def observe(
        self, cluster: str, state: str, at: float, people: int | None
    ) -> tuple[LastSeen, tuple[PromiseRecord, ...]]:
        """Store an observation: a change at once, and the same as before now and then.

        Returns the one before, and the records that were written.
        """
        key = service_key(cluster)

        async def attempt() -> tuple[LastSeen, tuple[PromiseRecord, ...]] | None:
            (text,) = await self._store.get(key)
            before = _last_seen(text, cluster)
            if before.at > at or (before.state == state and at - before.at < HEARTBEAT):
                return before, ()
            records = tuple(_changes(before, state, at, people))
            commit = Commit(
                checks={key: text},
                puts={key: json.dumps({"at": at, "state": state})},
                appends=[(promises_log_key(cluster), _text(r)) for r in records],
            )
            if await self._chain.commit(commit, cluster, *_entries(before, records)):
                return before, records
            return None

        return await retried(attempt, too_fast(f"the observed service of {cluster}"))


def _last_seen(text: str | None, cluster: str) -> LastSeen:
    stored = read_json(text, {}, f"the observed service of {cluster}")
    return LastSeen(float(stored.get("at", 0.0)), str(stored.get("state", "")))


def _changes(
    before: LastSeen, state: str, at: float, people: int | None
) -> Iterable[PromiseRecord]:
    """Yield what an observation changes: first that nothing is known of a long gap before it."""
    was = before.state
    if before.state and at - before.at > GAP:
        if was != UNKNOWN:
            yield PromiseRecord(at, "service", state=UNKNOWN, since=before.at)
        was = UNKNOWN
    if was != state:
        lost = people if state == OUT else None
        yield PromiseRecord(at, "service", state=state, since=at, people=lost)


def _entries(before: LastSeen, records: Sequence[PromiseRecord]) -> list[AuditRecord]:
    entries = []
    for record in records:
        since = datetime.fromtimestamp(record.since, UTC)
        now = f"{record.state} since {since:%Y-%m-%d %H:%M:%S} UTC"
        if record.state == OUT:
            counted = "unknown" if record.people is None else f"{record.people}"
            now += f"; people: {counted}"
        entries.append(AuditRecord(AuditAction.SERVICE, None, "service", "", before.state, now))
        before = replace(before, state=record.state)
    return entries
