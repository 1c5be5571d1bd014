"""Removes what is old enough: runs that ended, requests that were closed, drains, taken commands, host keys of droplets that are gone.

The audit keeps its chain: it says which runs were removed, and when it is shortened itself it goes on from a checkpoint that it vouches
for. What is still referred to stays, whatever its age: the runs that added a window, and the newest ones.
"""

import json
from dataclasses import dataclass
from enum import Enum

from services.audit.entries import Deed, Head, What, read_entry
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused
from services.common.serialize import read_json
from services.memory.inbox import CommandInbox
from services.memory.message_refs import card_keys
from services.operations.assembly import Operations
from services.runs.request import RequestState
from services.runs.run import Run
from services.store import Commit, Store
from services.store.keys import (
    DRAINS,
    HOST_KEYS,
    REQUESTS,
    REQUESTS_FOR_LATER,
    RETENTION_ONCE,
    audit_log_key,
    claim_key,
    cut_key,
    halt_key,
    held_back_key,
    host_key_used_key,
    lease_key,
    log_cut_key,
    pause_key,
    question_key,
    run_log_key,
    runs_log_key,
    said_key,
    sealed_key,
    usage_log_key,
)
from services.store.once import first_time

DAY = 86400.0
FIRST, EVERY = 900.0, 6 * 3600.0  # seconds after a start, and between two sweeps
# Runs of a cluster that stay, however old: windows measure by them, and people look at them.
NEWEST = 50
AT_LEAST = 10  # runs that are removed in one act, unless the oldest has been over for a week longer
AT_ONCE = 100
DECISIONS = 100  # that the audit is shortened by at least, and that it keeps at least
INTAKE = 2 * DAY  # twice as long as an answer is remembered
USAGE = 62 * DAY  # the last whole month is told from it


@dataclass(frozen=True)
class Policy:
    """How long what is kept, in seconds."""

    runs: float = 180 * DAY
    audit: float = 1095 * DAY


class Fate(Enum):
    """Why a run is not removed."""

    YOUNG = "it is open, or was not over for long enough"
    GONE = "it was removed already"
    UNREADABLE = "a newer version's, or a person's to look at"


class Retention:
    """One sweep, now and then, by one of all bots."""

    def __init__(self, operations: Operations, store: Store, clock: Clock, policy: Policy) -> None:
        self._clusters = operations.clusters
        self._journal = operations.journal
        self._schedules = operations.memory.books
        self._store = store
        self._clock = clock
        self._policy = policy
        self._bulkheads = operations.bulkheads
        self._next: float | None = None

    async def sweep(self) -> None:
        """When it is time again, and no other bot was quicker."""
        now = self._clock.now()
        if self._next is None:
            self._next = now + FIRST
        if now < self._next:
            return
        self._next = now + EVERY
        if not await first_time(self._store, RETENTION_ONCE, EVERY / 2):
            return
        await self._bulkheads.each("old runs", self._clusters.ours, self._runs)
        await self._bulkheads.each("old decisions", self._clusters.ours, self._audit)
        await self._bulkheads.each("old usage", self._clusters.ours, self._usage)
        for part, work in (
            ("old requests", self._requests),
            ("old drains", self._drains),
            ("old commands", self._intake),
        ):
            await self._bulkheads.keep(part, work)
        await self._bulkheads.keep("old host keys", self._host_keys)
        await self._bulkheads.keep("what is over", self._store.tidy)

    @property
    def _before(self) -> float:
        return self._clock.now() - self._policy.runs

    # Runs

    async def _runs(self, name: str) -> None:
        """The oldest that are over, with everything that belongs to them; and a decision that says so."""
        key = held_back_key(name)
        (text,) = await self._store.get(key)
        held = [str(r) for r in read_json(text, [], f"the runs of {name} that are held back")]
        listed = (await self._store.read(runs_log_key(name)))[:-NEWEST][:AT_ONCE]
        needed = await self._needed(name)
        stay: list[str] = []
        going: list[Run] = []
        cut = 0
        for index, run_id in enumerate([*held, *listed]):
            fate = await self._fate(run_id)
            if fate is Fate.YOUNG:
                stay += held[index:]
                break
            cut = max(0, index + 1 - len(held))
            if isinstance(fate, Run) and run_id not in needed:
                going.append(fate)
            elif fate is not Fate.GONE:
                stay.append(run_id)
        if not going or (len(going) < AT_LEAST and going[0].ended_at > self._before - 7 * DAY):
            return
        removed = [r.id for r in going]
        keys = [
            k
            for run in removed
            for k in (
                question_key(run),
                halt_key(run),
                said_key(run),
                sealed_key(run),
                lease_key(run),
            )
        ]
        keys += [f"{kind}:{run}" for run in removed for kind in ("epoch", "watch")] + [
            k for run in removed for k in card_keys(run)
        ]
        commit = Commit(
            checks={key: text},
            puts={**dict.fromkeys(keys), key: json.dumps(stay)},
            drops=[run_log_key(run) for run in removed],
            cuts={runs_log_key(name): cut},
        )
        deed = Deed(
            What.FORGOTTEN, None, " ".join(removed), f"older than {self._policy.runs / DAY:g} days"
        )
        await self._journal.chain.commit(commit, name, deed)

    async def _fate(self, run_id: str) -> "Run | Fate":
        """The run, when it has been over for long enough; else why it stays."""
        try:
            run = await self._journal.run(run_id)
        except Refused:
            return Fate.GONE
        except BadRecord:
            return Fate.UNREADABLE
        return run if run.over and run.ended_at <= self._before else Fate.YOUNG

    async def _needed(self, name: str) -> set[str]:
        """Runs that something that stands refers to."""
        _, book = await self._schedules.read(name)
        claim, pause = await self._store.get(claim_key(name), pause_key(name))
        paused = read_json(pause, {}, f"who paused the autoscaler of {name}")
        return {run for _, run in book.runs} | {claim or "", str(paused.get("run", ""))}

    # Decisions

    async def _audit(self, name: str) -> None:
        """The oldest entries, when there are many: what remains begins at a checkpoint, and says so itself."""
        log, chain, key = audit_log_key(name), self._journal.chain, cut_key(name)
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
        deed = Deed(
            What.SHORTENED,
            None,
            "audit",
            f"older than {self._policy.audit / DAY:g} days",
            text or "",
            kept.text,
            kept.text,
        )
        await chain.commit(commit, name, deed)

    # The rest

    async def _usage(self, name: str) -> None:
        log, before = usage_log_key(name), self._clock.now() - max(USAGE, self._policy.runs)
        count = 0
        for entry in await self._store.read(log, 0, AT_ONCE * 10):
            if _billed_at(entry) > before:
                break
            count += 1
        if count > 1:
            # The last of them still says what was there when the next one was written.
            guard = log_cut_key(log)
            (text,) = await self._store.get(guard)
            mark = f"{self._clock.now():.3f}"
            await self._store.commit(
                Commit(checks={guard: text}, puts={guard: mark}, cuts={log: count - 1})
            )

    async def _requests(self) -> None:
        """Those that were closed, and those that nobody could close because their cluster is not looked after any more."""
        for key in (
            *await self._store.names(REQUESTS),
            *await self._store.names(REQUESTS_FOR_LATER),
        ):
            try:
                request = await self._journal.request(key.partition(":")[2])
            except (Refused, BadRecord):
                continue  # what cannot be read is not this version's to remove
            over = request.until if request.state is RequestState.OPEN else request.closed_at
            if over <= self._before:
                gone = dict.fromkeys((key, *card_keys(request.id)))
                await self._store.commit(Commit(checks={key: request.text}, puts=gone))

    async def _drains(self) -> None:
        """Those whose run is gone, or over for long enough: the marker on the node, where it is still there, guards it all the same."""
        for key in await self._store.names(DRAINS):
            (text,) = await self._store.get(key)
            entry = read_json(text, {}, f"the entry of a drain ({key})")
            if float(entry.get("at", 0.0)) > self._before:
                continue
            if await self._fate(str(entry.get("run", ""))) is not Fate.YOUNG:
                await self._store.commit(Commit(checks={key: text}, puts={key: None}))

    async def _intake(self) -> None:
        """Commands that were answered or apologized for."""
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
        """Of droplets that nobody has logged in to for so long.

        They would be pinned anew at first sight.
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
    """When a record of what was billed was written."""
    try:
        record = json.loads(entry)
        return float(record["kept"][1] if isinstance(record, dict) else record[0])
    except (ValueError, TypeError, LookupError):
        return 0.0
