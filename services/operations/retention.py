"""Removes old records: ended runs, closed requests, drains, answered commands, unused host keys.

The audit keeps its chain: it records which runs were removed, and when it is shortened itself it
continues from a checkpoint that it vouches for. What is still referred to stays, whatever its age:
the runs that added a window, and the newest ones.
"""

import json
from dataclasses import dataclass
from enum import Enum

from services.access.policy import Actor
from services.audit.entries import AuditAction, AuditRecord, Head, read_entry
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused
from services.common.serialize import read_json
from services.memory.inbox import CommandInbox
from services.memory.message_refs import card_keys
from services.memory.notifications import NotificationRepository
from services.memory.promise_records import read_record
from services.operations.accounts import Accounts
from services.operations.assembly import Operations
from services.runs.request import RequestState
from services.runs.run import Run
from services.store import Commit, Store
from services.store.keys import (
    BATCH_DOCUMENTS,
    DRAINS,
    HOST_KEYS,
    REQUESTS,
    REQUESTS_FOR_LATER,
    REQUESTS_OF_BATCHES,
    RETENTION_ONCE,
    audit_checkpoint_key,
    audit_log_key,
    claim_key,
    commands_key,
    epoch_key,
    halt_key,
    held_back_key,
    host_key_used_key,
    lease_key,
    log_cut_key,
    pause_key,
    promises_log_key,
    question_key,
    run_log_key,
    runs_log_key,
    sealed_key,
    usage_log_key,
    watch_key,
)
from services.store.once import first_time

DAY = 86400.0
RUN_KEYS = (
    question_key,
    halt_key,
    commands_key,
    sealed_key,
    lease_key,
    epoch_key,
    watch_key,
)
FIRST, EVERY = 900.0, 6 * 3600.0  # seconds after a start, and between two sweeps
# Runs of a cluster that stay, however old: windows measure by them, and people look at them.
NEWEST = 50
AT_LEAST = (
    10  # runs that are removed in one commit, unless the oldest has been over for a week longer
)
AT_ONCE = 100
DECISIONS = 100  # that the audit is shortened by at least, and that it keeps at least
INTAKE = 2 * DAY  # twice as long as an answer is remembered
USAGE = 62 * DAY  # the report of the last whole month needs it


@dataclass(frozen=True)
class RetentionPolicy:
    """How long records are kept, in seconds."""

    runs: float = 180 * DAY
    audit: float = 1095 * DAY


class KeepReason(Enum):
    """Why a run is not removed."""

    YOUNG = "it is open, or has not been over for long enough"
    GONE = "it was already removed"
    UNREADABLE = "it cannot be read: written by a newer version, or damaged"


class Retention:
    """Removes old records, four times a day, on one of all bots."""

    def __init__(
        self,
        operations: Operations,
        store: Store,
        clock: Clock,
        policy: RetentionPolicy,
        accounts: Accounts | None = None,
    ) -> None:
        self._clusters = operations.clusters
        self._journal = operations.journal
        self._batch_records = operations.batch_records
        self._schedules = operations.memory.books
        self._store = store
        self._clock = clock
        self._policy = policy
        self._accounts = accounts or Accounts()
        self._notifications = NotificationRepository(store)
        self._bulkheads = operations.bulkheads
        self._next: float | None = None

    async def sweep(self) -> None:
        """Remove what is old, when it is time again and no other bot was quicker."""
        now = self._clock.now()
        if self._next is None:
            self._next = now + FIRST
        if now < self._next:
            return
        self._next = now + EVERY
        if not await first_time(self._store, RETENTION_ONCE, EVERY / 2):
            return
        await self._bulkheads.run_each("old runs", self._clusters.managed, self._runs)
        await self._bulkheads.run_each("old decisions", self._clusters.managed, self._audit)
        await self._bulkheads.run_each("old usage", self._clusters.managed, self._usage)
        await self._bulkheads.run_each("old promises", self._clusters.managed, self._promises)
        for part, work in (
            ("old requests", self._requests),
            ("old batches", self._batches),
            ("old drains", self._drains),
            ("old commands", self._intake),
            ("settings of people who left", self._people),
        ):
            await self._bulkheads.run(part, work)
        await self._bulkheads.run("old host keys", self._host_keys)
        await self._bulkheads.run("what is over", self._store.tidy)

    @property
    def _before(self) -> float:
        return self._clock.now() - self._policy.runs

    # Runs

    async def _runs(self, name: str) -> None:
        """Remove the oldest runs with all their records, and enter that in the audit."""
        key = held_back_key(name)
        (text,) = await self._store.get(key)
        held = [str(r) for r in read_json(text, [], f"the runs of {name} that are held back")]
        listed = (await self._store.read(runs_log_key(name)))[:-NEWEST][:AT_ONCE]
        needed = await self._needed(name)
        stay: list[str] = []
        going: list[Run] = []
        cut = 0
        for index, run_id in enumerate([*held, *listed]):
            removable = await self._removable(run_id)
            if removable is KeepReason.YOUNG:
                stay += held[index:]
                break
            cut = max(0, index + 1 - len(held))
            if isinstance(removable, Run) and run_id not in needed:
                going.append(removable)
            elif removable is not KeepReason.GONE:
                stay.append(run_id)
        if not going or (len(going) < AT_LEAST and going[0].ended_at > self._before - 7 * DAY):
            return
        removed = [r.id for r in going]
        keys = [make_key(run) for run in removed for make_key in RUN_KEYS]
        keys += [key for run in removed for key in card_keys(run)]
        commit = Commit(
            checks={key: text},
            puts={**dict.fromkeys(keys), key: json.dumps(stay)},
            drops=[run_log_key(run) for run in removed],
            cuts={runs_log_key(name): cut},
        )
        older = f"older than {self._policy.runs / DAY:g} days"
        deed = AuditRecord(AuditAction.FORGOTTEN, None, " ".join(removed), older)
        await self._journal.chain.commit(commit, name, deed)

    async def _removable(self, run_id: str) -> "Run | KeepReason":
        """The run, when it has been over for long enough; else why it stays."""
        try:
            run = await self._journal.run(run_id)
        except Refused:
            return KeepReason.GONE
        except BadRecord:
            return KeepReason.UNREADABLE
        return run if run.over and run.ended_at <= self._before else KeepReason.YOUNG

    async def _needed(self, name: str) -> set[str]:
        """Ids of runs that are still referred to: by windows, the lock, a paused autoscaler."""
        _, book = await self._schedules.read(name)
        claim, pause = await self._store.get(claim_key(name), pause_key(name))
        paused = read_json(pause, {}, f"who paused the autoscaler of {name}")
        return {run for _, run in book.runs} | {claim or "", str(paused.get("run", ""))}

    # People

    async def _people(self) -> None:
        """Remove the notification settings of people who lost their account or role."""
        gone = [u for u in await self._notifications.all() if await self._is_gone(Actor(u))]
        if gone:
            await self._notifications.forget(gone)

    async def _is_gone(self, actor: Actor) -> bool:
        current = await self._accounts.current(actor)
        if current.outsider:
            return True
        # While Slack does not say who is in the groups, no one has lost a role.
        known = not any(self._clusters.rules(name).groups_unknown for name in self._clusters)
        return known and not self._clusters.readable(current)

    # Decisions

    async def _audit(self, name: str) -> None:
        """Remove the oldest entries, when there are many; the rest begins at a checkpoint."""
        log, chain, key = audit_log_key(name), self._journal.chain, audit_checkpoint_key(name)
        before = self._clock.now() - self._policy.audit
        entries = [
            read_entry(t)
            for t in await self._store.read(log, 0, await self._store.length(log) - DECISIONS)
        ]
        old = next((i for i, e in enumerate(entries) if e is None or e.at > before), len(entries))
        last = entries[old - 1] if old else None
        if last is None or old < DECISIONS:
            return
        (text,) = await self._store.get(key)
        kept = Head(last.hash, last.number, name)
        commit = Commit(checks={key: text}, puts={key: kept.text}, cuts={log: old})
        deed = AuditRecord(
            AuditAction.SHORTENED,
            None,
            "audit",
            f"older than {self._policy.audit / DAY:g} days",
            text or "",
            kept.text,
            kept.text,
        )
        await chain.commit(commit, name, deed)

    # The rest

    async def _promises(self, name: str) -> None:
        """Remove records that are as old as removed runs; the newest state of service stays."""
        log, count, kept = promises_log_key(name), 0, 0
        for position, text in enumerate(await self._store.read(log, 0, AT_ONCE * 10), 1):
            record = read_record(text)
            if record.at > self._before:
                break
            if record.what == "service":
                kept, count = position, position - 1  # it holds until the next one
        if kept and count:
            await self._cut(log, count)

    async def _cut(self, log: str, count: int) -> None:
        guard = log_cut_key(log)
        (text,) = await self._store.get(guard)
        mark = f"{self._clock.now():.3f}"
        await self._store.commit(
            Commit(checks={guard: text}, puts={guard: mark}, cuts={log: count})
        )

    async def _usage(self, name: str) -> None:
        log, before = usage_log_key(name), self._clock.now() - max(USAGE, self._policy.runs)
        count = 0
        for entry in await self._store.read(log, 0, AT_ONCE * 10):
            if _billed_at(entry) > before:
                break
            count += 1
        if count > 1:
            # The newest of the old records stays: it holds until the one after it.
            await self._cut(log, count - 1)

    async def _requests(self) -> None:
        """Remove closed requests, and expired ones of clusters that are not operated any more."""
        for key in (
            *await self._store.names(REQUESTS),
            *await self._store.names(REQUESTS_FOR_LATER),
            *await self._store.names(REQUESTS_OF_BATCHES),
        ):
            try:
                request = await self._journal.request(key.partition(":")[2])
            except (Refused, BadRecord):
                continue  # what cannot be read is not this version's to remove
            over = request.until if request.state is RequestState.OPEN else request.closed_at
            if over <= self._before:
                gone = dict.fromkeys((key, *card_keys(request.id)))
                await self._store.commit(Commit(checks={key: request.text}, puts=gone))

    async def _batches(self) -> None:
        """Remove batches that have been over for long enough, with their messages' places."""
        for key in await self._store.names(BATCH_DOCUMENTS):
            name = key.removeprefix(BATCH_DOCUMENTS)
            try:
                batch = await self._batch_records.get(name)
            except (Refused, BadRecord):
                continue  # what cannot be read is not this version's to remove
            if max(batch.until, batch.closed_at) <= self._before:
                gone = dict.fromkeys((key, *card_keys(name)))
                await self._store.commit(Commit(checks={key: batch.text}, puts=gone))

    async def _drains(self) -> None:
        """Remove drains whose run is removed, or over for long enough.

        The marker on the node, where it still exists, prevents a second signal all the same.
        """
        for key in await self._store.names(DRAINS):
            (text,) = await self._store.get(key)
            entry = read_json(text, {}, f"the entry of a drain ({key})")
            if float(entry.get("at", 0.0)) > self._before:
                continue
            if await self._removable(str(entry.get("run", ""))) is not KeepReason.YOUNG:
                await self._store.commit(Commit(checks={key: text}, puts={key: None}))

    async def _intake(self) -> None:
        """Remove commands that were answered, or reported as lost."""
        (seen,) = await self._store.get(CommandInbox.SEEN)
        position, before = int(seen or 0), self._clock.now() - INTAKE
        count = 0
        for text in await self._store.read(CommandInbox.LOG, 0, min(position, AT_ONCE * 10)):
            if float(read_json(text, {}, "a command that was taken").get("at", 0.0)) > before:
                break
            count += 1
        if count:
            puts = {CommandInbox.SEEN: str(position - count)}
            await self._store.commit(
                Commit(checks={CommandInbox.SEEN: seen}, puts=puts, cuts={CommandInbox.LOG: count})
            )

    async def _host_keys(self) -> None:
        """Remove keys of droplets without a login for so long.

        Such a key would be pinned again at the next login.
        """
        now = self._clock.now()
        for key in await self._store.names(HOST_KEYS):
            used = host_key_used_key(key.removeprefix(HOST_KEYS))
            (text,) = await self._store.get(used)
            if text is None:
                await self._store.commit(Commit(checks={used: None}, puts={used: f"{now:.0f}"}))
            elif float(text) <= self._before:
                await self._store.commit(Commit(checks={used: text}, puts={key: None, used: None}))


def _billed_at(entry: str) -> float:
    """When a usage record was written; 0 where it cannot be read."""
    try:
        record = json.loads(entry)
        if isinstance(record, dict):
            return float(record["kept"][1])
        return float(record[0])
    except (ValueError, TypeError, LookupError):
        return 0.0
