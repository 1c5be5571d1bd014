"""Drives batches: starts parts when it is their turn, and notes what became of them.

Harmless on any number of bots, and after a kill at any point: a part is started in the commit that
opens its run, and its place is free only once the journal says that the run is over.
"""

import logging
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from services.access.clusters import ClusterRegistry
from services.access.policy import AccessResult, authorize
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import ObservesOnly, Refused, Rejected, Unreachable
from services.common.tasks import Tasks
from services.common.text import duration
from services.operations.accounts import Accounts
from services.operations.batch_records import BatchRecords, Changed, commit_of
from services.operations.guards import ChangeGuards
from services.operations.opening import BatchAuthority, Opening, RunOpener
from services.operations.reader import ClusterReader
from services.operations.run_control import RunControl
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import why_part_not_covered
from services.runs.batch import (
    LASTS,
    MOST_CLUSTERS,
    Batch,
    BatchState,
    Part,
    PartState,
    batch_of,
    has_to_stop,
    startable_parts,
    stop_words,
)
from services.runs.journal import Journal
from services.runs.progress import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Run, State

log = logging.getLogger(__name__)
PART = "batches"
# Seconds that a part at its turn waits for a cluster that cannot be read, before the next one.
PATIENCE = 300.0
ROUNDS = 4 * MOST_CLUSTERS  # changes of one batch in one go, at most


class BatchDriver:
    """Moves batches on."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        bulkheads: Bulkheads,
        journal: Journal,
        reader: ClusterReader,
        guards: ChangeGuards,
        accounts: Accounts,
        opener: RunOpener,
        control: RunControl,
        records: BatchRecords,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._bulkheads = bulkheads
        self._journal = journal
        self._reader = reader
        self._guards = guards
        self._accounts = accounts
        self._opener = opener
        self._control = control
        self._records = records
        self._tasks = tasks
        self._swept: frozenset[str] = frozenset()
        self._moving: dict[str, bool] = {}  # by batch: it has to be looked at once more

    # When

    async def sweep(self) -> None:
        """Move every batch on whose first cluster this bot drives."""
        names = await self._records.unfinished_ids()
        self._bulkheads.forget(self._swept - {*names})
        self._swept = frozenset(names)
        for name in names:
            await self._bulkheads.run(PART, partial(self._sweep, name), name)

    async def _sweep(self, name: str) -> None:
        try:
            batch = await self._records.get(name)
        except Refused:
            await self._records.unlist(name)  # it was removed
            return
        if self.is_ours(batch):
            await self.advance(name)

    def is_ours(self, batch: Batch) -> bool:
        """Whether this bot drives it: the bot that drives the first cluster that it knows."""
        known = [name for name in batch.clusters if name in self._clusters.managed]
        return bool(known) and self._clusters.drives(known[0])

    def run_changed(self, progress: Progress) -> None:
        """Move a batch on when the run of one of its parts is over or has stopped; never waits."""
        run = progress.run
        if (run.over or run.state is State.STOPPED) and (name := batch_of(run.request)):
            self.kick(name)

    def kick(self, name: str) -> None:
        """Move a batch on soon, in a task of its own."""
        work = self._bulkheads.run(PART, partial(self.advance, name), name)
        self._tasks.start(_finished(work), f"batch {name}")

    # What

    async def advance(self, name: str) -> None:
        """Note what became of its parts, and begin those whose turn it is."""
        if name in self._moving:
            self._moving[name] = True
            return
        self._moving[name] = True
        try:
            while self._moving[name]:
                self._moving[name] = False
                await self._advance(name)
        finally:
            del self._moving[name]

    async def _advance(self, name: str) -> None:
        for _ in range(ROUNDS):
            batch = await self._records.get(name)
            after = await self._noted(batch)
            if after != batch:
                await self._change(batch, after)
                continue
            if batch.over:
                await self._records.unlist(name)
                return
            if self._clusters.observes and batch.procedure.changes_cluster:
                return
            turn = startable_parts(batch, self._clock.now())
            if not turn or not await self._begin(batch, turn[0]):
                return

    async def _noted(self, batch: Batch) -> Batch:
        """The batch with what became of it and its parts by now."""
        now = self._clock.now()
        if batch.state is BatchState.OPEN and batch.until <= now:
            expired = replace(batch, state=BatchState.EXPIRED, closed_at=batch.until)
            return expired.dropped("the request expired")
        changed = [await self._seen(batch, part) for part in batch.of(PartState.RUNNING)]
        batch = batch.with_parts(changed)
        if batch.state is not BatchState.APPROVED or not batch.of(PartState.WAITING):
            return batch
        why = ""
        if has_to_stop(batch):
            why = stop_words(batch)
        elif now > batch.until:
            why = f"its turn did not come within {duration(LASTS)}"
        if not why:
            return batch
        return replace(batch.dropped(why), state=BatchState.STOPPED, closed_at=now, why_closed=why)

    async def _seen(self, batch: Batch, part: Part) -> Part:
        """The part as its run's journal shows it."""
        try:
            run = await self._journal.run(part.run)
        except Refused as error:  # it was removed
            return replace(part, state=PartState.FAILED, why=str(error), paused=False)
        if run.over:
            return _ended(part, run)
        part = replace(part, paused=run.state is State.STOPPED)
        if batch.state is BatchState.CANCELLED and not part.asked and batch.closed_by is not None:
            with suppress(Refused):  # it is being cancelled already, or has stopped
                await self._control.cancel(run.id, batch.closed_by, batch.why_closed)
            part = replace(part, asked=True)
        return part

    # Beginning

    async def _begin(self, batch: Batch, part: Part) -> bool:
        """Begin a part, or note why not. Returns whether to go on with the next one."""
        try:
            await self._begin_covered(batch, part)
        except ObservesOnly:
            return False
        except _NotNow as error:
            return await self._wait(batch, part, str(error))
        except (Unreachable, Rejected) as error:
            return await self._wait(batch, part, str(error))
        except Refused as error:
            if await self._is_outdated(batch):
                return True  # another bot was quicker
            refused = replace(part, state=PartState.CHANGED, why=str(error), waits="")
            return await self._change(batch, batch.with_parts([refused]))
        return True

    async def _begin_covered(self, batch: Batch, part: Part) -> None:
        """Open the part's run, if its approval covers what would be done now.

        Refused with what is in the way.
        """
        name, procedure = part.cluster, batch.procedure
        rules = self._clusters.rules(name)
        if rules.closed:
            raise Refused(rules.closed)
        request = await self._journal.request(part.request)
        requester = await self._accounts.current(request.requester)
        people = tuple([await self._accounts.current(a) for a in request.approvals])
        known = replace(request, requester=requester, approvals=people)
        await self._guards.must_be_free(name)
        cluster = await self._reader.look(name, procedure.required_facts)
        if outdated := procedure.obsolete_reason(cluster):
            raise Refused(outdated)
        plan = make_plan(cluster, procedure)
        if plan.is_empty:
            why = f"{plan.state_text} already"
            unneeded = replace(part, state=PartState.UNNEEDED, why=why, waits="")
            await self._change(batch, batch.with_parts([unneeded]))
            return
        verdict, now = authorize(plan, requester, rules), self._clock.now()
        uncovered = why_part_not_covered(known, plan, rules, now, batch.agreed_at, batch.until)
        denied = verdict.kind is AccessResult.DENIED
        if rules.groups_unknown and (uncovered or denied):
            raise _NotNow(rules.groups_unknown)
        if denied:
            whom = batch.requester.mention
            raise Refused(f"the requester {whom} may no longer change this cluster")
        if verdict.kind is AccessResult.NEEDS_APPROVAL and not request.needs:
            raise Refused("it needs an approval by now")
        if uncovered:
            raise Refused(uncovered)
        await self._open(batch, part, request, plan)

    async def _open(self, batch: Batch, part: Part, request: Request, plan: Plan) -> None:
        def begun(run: str) -> Batch:
            running = replace(part, state=PartState.RUNNING, run=run, waits="")
            return batch.with_parts([running])

        commit, _ = commit_of(batch, batch)
        authority = BatchAuthority(
            request,
            replace(request, agreed_at=batch.agreed_at),
            commit.checks,
            lambda run: commit_of(batch, begun(run))[0].puts,
        )
        opening = Opening(plan, request.requester, request.reason, request.channel, authority)
        run = await self._opener.open(opening)
        log.info("%s: %s was started as %s", batch.id, part.cluster, run.id)
        self._records.tell(await self._records.get(batch.id))

    async def _wait(self, batch: Batch, part: Part, why: str) -> bool:
        """Note that a part waits for what cannot be read; after a while, that it is left out."""
        now = self._clock.now()
        if part.waits and now - part.waits_since >= PATIENCE:
            left_out = replace(part, state=PartState.CHANGED, why=why, waits="")
            return await self._change(batch, batch.with_parts([left_out]))
        if not part.waits:
            waiting = replace(part, waits=why, waits_since=now)
            await self._change(batch, batch.with_parts([waiting]))
        return False

    async def _is_outdated(self, batch: Batch) -> bool:
        return (await self._records.get(batch.id)).text != batch.text

    async def _change(self, before: Batch, after: Batch) -> bool:
        """Write the batch; the requests of parts that will not be done are closed with it.

        True also where another bot was quicker: the next look shows what it wrote.
        """
        closing = [
            new.request
            for old, new in zip(before.parts, after.parts, strict=True)
            if new.request and not new.run and new.settled and not old.settled
        ]
        requests = [await self._journal.request(name) for name in closing]
        await self._records.change(before, after, closings(requests, after, self._clock.now()))
        return True


class _NotNow(Unreachable):
    """What decides about a part is not known at the moment."""


def closings(requests: Iterable[Request], after: Batch, at: float) -> list[Changed]:
    """The requests of parts that will not be done, as they were read and closed at that time."""
    states = {
        BatchState.REJECTED: RequestState.REJECTED,
        BatchState.CANCELLED: RequestState.REJECTED,
        BatchState.EXPIRED: RequestState.EXPIRED,
    }
    state = states.get(after.state, RequestState.SUPERSEDED)
    by = after.closed_by if state is RequestState.REJECTED else None
    pairs: list[Changed] = []
    for request in requests:
        if request.state is not RequestState.OPEN:
            continue
        part = after.part(request.plan.cluster)
        closed = request.closed(state, at, by)
        why = after.why_closed if by is not None else part.why
        pairs.append((request, replace(closed, why_closed=why)))
    return pairs


def _ended(part: Part, run: Run) -> Part:
    """The part of a run that is over."""
    if run.state is State.DONE:
        return replace(part, state=PartState.DONE, paused=False)
    return replace(part, state=PartState.FAILED, why=run.state.words, paused=False)


async def _finished(work: Awaitable[object]) -> None:
    await work
