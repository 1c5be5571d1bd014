"""One round over all clusters: drives runs, closes requests, does due changes, tidies up."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from services.access.clusters import ClusterRegistry
from services.common.bulkheads import AT_ONCE, Bulkheads
from services.common.clock import Clock
from services.common.errors import OBSERVES, Foreign, Refused
from services.memory.bindings import ClusterIdentities
from services.memory.message_refs import MessageRefs
from services.operations.approvals import Approvals
from services.operations.reader import ClusterReader
from services.operations.run_control import is_outdated
from services.operations.scheduled_changes import ScheduledChanges
from services.operations.staged_secrets import StagedSecrets
from services.operations.subscribers import Subscribers
from services.runs.driver import RunDriver
from services.runs.journal import Journal
from services.runs.locks import LeaseKeeper, Locks
from services.runs.progress import Progress
from services.runs.request import RequestState
from services.runs.run import Run, State, Stopped
from services.store.keys import unshown_request_once
from services.store.once import Once

LEASE_WAIT = 9.0  # until about the next round
UNSHOWN = 30.0  # seconds after which a request without a card is shown again


class OperationsSweep:
    """Harmless at any time, on any number of bots.

    `tell`: takes the progress of a run that this stops.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        bulkheads: Bulkheads,
        journal: Journal,
        locks: Locks,
        bindings: ClusterIdentities,
        cards: MessageRefs,
        once: Once,
        subscribers: Subscribers,
        reader: ClusterReader,
        approvals: Approvals,
        scheduled: ScheduledChanges,
        staged: StagedSecrets,
        driver: RunDriver,
        tell: Callable[[Progress], None],
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._bulkheads = bulkheads
        self._journal = journal
        self._locks = locks
        self._bindings = bindings
        self._cards = cards
        self._once = once
        self._subscribers = subscribers
        self._reader = reader
        self._approvals = approvals
        self._scheduled = scheduled
        self._staged = staged
        self._driver = driver
        self._tell = tell
        self._noted: set[str] = set()  # clusters whose policy is in the audit
        self._left: set[str] = set()  # open runs that a bot which only observes has left alone

    async def sweep(self) -> None:
        """One round. What goes wrong with one cluster, or in one part, holds up no other."""
        # At once, so that what they read of the state is a few commands, not one for each.
        each = partial(self._bulkheads.run_each, together=True, at_once=AT_ONCE)
        await each("identity", self._clusters, self._bindings.check)
        await each("runs", self._clusters.driven, self._drive)
        await each("requests", self._clusters.driven, self._tidy)
        await each("changes for later", self._clusters.driven, self._scheduled.do_due)

    def forget(self) -> None:
        """The state is lost: drive none of its runs, and note the policies anew."""
        self._driver.drop_all()
        self._noted.clear()

    # Runs

    async def _drive(self, name: str) -> None:
        """Drive the cluster's open run, if no worker of this process does."""
        run_id = await self._locks.locking_run(name)
        if run_id is None or self._driver.drives(run_id):
            return
        run = await self._reader.locking_run(name, run_id)
        own = await self._bindings.own(name)
        if why := own.differs(run.bound):
            raise Foreign(f"{run.id} belongs to another cluster: {why}. It is not driven here")
        ends = run.over or run.state is State.STOPPED
        if not ends and (why := own.other_masters(run.bound)):
            await self._stop(run, f"{name} was rebuilt since the run started: {why}")
            return
        if not ends and self._clusters.observes and run.plan.procedure.changes_cluster:
            self._leave(run)
        # A run of a bot that was killed is taken up when its lease ends, not at the next round.
        wait = LEASE_WAIT if self._clusters.is_shared else 0.0
        self._driver.drive(name, run_id, wait)

    def _leave(self, run: Run) -> None:
        """Say on its card, once, and at each round on /healthz, that it is not driven here."""
        if run.id not in self._left:
            self._left.add(run.id)
            now = self._clock.now()
            self._tell(Progress(run, None, "", None, f"it is not driven: {OBSERVES}", now))
        command = run.plan.procedure.command_line()
        self._clusters.must_operate_here(f"driving {run.id} ({command}), which is open")

    async def _stop(self, run: Run, why: str) -> None:
        """Stop it for good: people abandon it."""
        lease = await self._locks.take(run.id)
        if lease is None:
            return
        now = self._clock.now()
        async with LeaseKeeper(lease):
            stopped = await self._journal.append(run, Stopped(now, why), lease)
        self._tell(Progress(stopped, None, "", None, "", now))

    # Requests

    async def _tidy(self, name: str) -> None:
        rules = self._clusters[name].rules
        if name not in self._noted:
            await self._journal.record_policy(name, rules)
            self._noted.add(name)
        if await self._approvals.any_listed(name):
            await self._approvals.sweep(name)
            await self._approvals.follow_policy(name, self._clusters.rules(name))
            await self._close_outdated(name)
            await self._show_unshown(name)
        await self._delete_staged(name)

    async def _close_outdated(self, name: str) -> None:
        """Close requests for an open run's next act, where that run has moved on."""
        for request in await self._reader.waiting(name):
            if request.act is None:
                continue
            if is_outdated(await self._journal.run(request.act.run), request.act):
                closed = request.closed(RequestState.SUPERSEDED, self._clock.now())
                with suppress(Refused):  # another bot closed it
                    await self._approvals.change(request, closed)

    async def _show_unshown(self, name: str) -> None:
        """Show requests without a card, whose writing was not known to be kept; by one bot."""
        waiting, scheduled = await self._reader.waiting(name), await self._reader.scheduled(name)
        for request in (*waiting, *scheduled):
            if self._clock.now() - request.made_at < UNSHOWN:
                continue
            place = await self._cards.get(request.id)
            if place is not None and place.ts:
                continue
            if await self._once.claim(unshown_request_once(request.id), within=2 * UNSHOWN):
                self._subscribers.request(request)

    async def _delete_staged(self, name: str) -> None:
        """Delete staged files that nothing refers to any more."""
        old = await self._staged.old(name)
        if not old:
            return
        # Requests first: one that is approved meanwhile has its run by then. One that is replaced
        # is in neither for a moment.
        waiting, scheduled = await self._reader.waiting(name), await self._reader.scheduled(name)
        plans = [r.plan for r in (*waiting, *scheduled)]
        run = await self._reader.open_run(name)
        if run is not None:
            plans.append(run.plan)
        await self._staged.sweep(name, old, plans)
