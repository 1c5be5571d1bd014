"""Unrestricted reads, for the bot's own parts: the reporter, the scheduler, metrics.

Nothing here checks roles. What is answered to a person goes through `OperationsService`, whose
methods take the person.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor, ClusterPolicy
from services.audit.entries import Head
from services.cluster.model import EVERYTHING, Cluster, Fact, FleetKind
from services.common.clock import Clock
from services.common.errors import BadRecord, Foreign, Refused, Unreachable
from services.common.retry import retry_read
from services.memory.bindings import ClusterIdentities
from services.memory.cluster import ClusterMemory
from services.memory.schedule import Book
from services.operations.accounts import Accounts
from services.operations.approvals import Approvals
from services.runs.driver import RunDriver
from services.runs.journal import Journal
from services.runs.locks import Locks
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Event, Run
from services.runs.standing_approval import StandingApproval, standing_of
from services.store import Store
from services.store.keys import claim_key, number_key, schedule_key

log = logging.getLogger(__name__)


class ClusterReader:
    """Clusters, runs and requests as they are now, without a check of roles."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        store: Store,
        clock: Clock,
        locks: Locks,
        journal: Journal,
        memory: ClusterMemory,
        bindings: ClusterIdentities,
        approvals: Approvals,
        accounts: Accounts,
        driver: RunDriver,
    ) -> None:
        self.clusters = clusters
        self._store = store
        self._clock = clock
        self._locks = locks
        self._journal = journal
        self._memory = memory
        self._bindings = bindings
        self._approvals = approvals
        self._accounts = accounts
        self._driver = driver

    # Clusters

    @property
    def driven(self) -> list[str]:
        """The clusters that this bot drives; not those that the state knows as other clusters."""
        return self.clusters.driven

    def rules(self, name: str) -> ClusterPolicy:
        """The policy of a cluster as it is at this moment."""
        return self.clusters.rules(name)

    async def look(
        self,
        name: str,
        needs: frozenset[Fact] = EVERYTHING,
        aged: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        """Observe the cluster and add what is remembered of it.

        Snapshots may be missing, where they cannot be read. Facts in `aged` may be minutes old:
        for a look that decides nothing.
        """
        world = self.clusters.cluster(name).world
        seen = await world.observe(needs, tolerates=frozenset({Fact.SNAPSHOTS}), aged=aged)
        self._bindings.saw(seen)
        return await self._memory.add_to(seen)

    async def look_patiently(self, name: str, needs: frozenset[Fact]) -> Cluster:
        """Look with retries, for a command: one odd answer does not fail it."""
        return await retry_read(self._clock, lambda: self.look(name, needs))

    async def stamp(self, name: str) -> tuple[str | None, ...]:
        """The schedule document, the run with the lock and the newest run's number.

        Equal stamps mean that nothing happened in between.
        """
        self.must_be_ours(name)
        return tuple(await self._store.get(schedule_key(name), claim_key(name), number_key(name)))

    async def last_kind(self, name: str) -> FleetKind:
        """What kept the cluster's media nodes when that was last seen."""
        return await self._memory.last_kind(name)

    def must_be_ours(self, name: str) -> None:
        """Foreign, where the state knows another cluster by that name."""
        if name in self._bindings.foreign:
            raise Foreign(self._bindings.foreign[name])

    # Runs

    async def open_run(self, name: str) -> Run | None:
        """The run that has locked the cluster."""
        self.must_be_ours(name)
        run_id = await self._locks.locking_run(name)
        if run_id is None:
            return None
        return await self.locking_run(name, run_id)

    async def locking_run(self, name: str, run_id: str) -> Run:
        """The run of that id, which has locked the cluster.

        BadRecord where its journal is missing.
        """
        try:
            return await self._journal.run(run_id)
        except Refused:
            # Lock and journal are written in one commit: this is damage, which does not pass by
            # itself.
            remedy = f"Restore a copy of the state, or delete the key claim:{name} manually"
            raise BadRecord(
                f"{name} is locked by run {run_id}, whose journal is missing. {remedy}"
            ) from None

    async def run(self, run_id: str) -> Run:
        """One run. Refused when there is none of that id."""
        return await self._journal.run(run_id)

    async def refreshed(self, run: Run) -> Run:
        """The run with what was journaled since it was read."""
        return await self._journal.refresh(run)

    async def events(self, run_id: str, start: int = 0) -> list[Event]:
        """What happened to a run, from that event on."""
        return await self._journal.events(run_id, start)

    async def latest(self, name: str, count: int) -> list[str]:
        """Ids of the newest runs of a cluster, newest first."""
        return await self._journal.latest(name, count)

    async def sealed(self, run_id: str) -> Head | None:
        """The audit head that the end of a run was sealed with."""
        return await self._journal.chain.sealed(run_id)

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._driver.progress(run_id)

    # Requests

    async def request(self, request_id: str) -> Request:
        """One request. Refused when there is none of that id."""
        return await self._journal.request(request_id)

    async def waiting(self, name: str) -> list[Request]:
        """The requests of a cluster that wait for approval, oldest first."""
        self.must_be_ours(name)
        return await self._approvals.waiting(name)

    async def scheduled(self, name: str) -> list[Request]:
        """The approved requests that wait for their moment, the next one first."""
        self.must_be_ours(name)
        return await self._approvals.scheduled(name)

    # Windows

    async def current(self, person: Actor) -> Actor:
        """The account of a person as Slack shows it now. Unreachable where Slack is silent."""
        return await self._accounts.current(person)

    async def standing_approvals(
        self, book: Book, names: Iterable[str], *, surely: bool
    ) -> tuple[StandingApproval, ...]:
        """The standing approvals of these windows, with their approvers' accounts as they are now.

        Unreachable where Slack does not answer for an account; not `surely`: that account counts as
        it did.
        """
        runs = dict(book.runs)
        windows = [w for w in map(book.window, names) if w is not None]
        standings = []
        for window in windows:
            run_id = runs.get(window.name)
            added_by = await self._journal.run(run_id) if run_id else None
            standing = standing_of(window, added_by)
            given = standing.given
            if given is not None:
                tolerated = () if surely else (Unreachable,)
                with suppress(*tolerated):
                    people = [await self._accounts.current(a) for a in given.approvers]
                    given = replace(given, approvers=tuple(people))
            standings.append(replace(standing, given=given))
        return tuple(standings)
