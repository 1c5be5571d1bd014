"""Puts the parts of this room together.

The composition root hands each part to the components that need it; none is fetched through
another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.access.clusters import ClusterRegistry, ManagedCluster
from services.access.user_groups import UserGroupCache
from services.audit.anchors import HeadAnchors
from services.cluster.model import Cluster, Fact
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.tasks import Tasks
from services.memory.bindings import ClusterIdentities
from services.memory.cluster import ClusterMemory
from services.memory.meeting_counts import MeetingCounts
from services.memory.message_refs import MessageRefs
from services.memory.observed import ObservedRepository
from services.memory.promises import PromiseLog
from services.memory.terraform import TerraformNotesRepository
from services.memory.usage_log import UsageLog
from services.operations.accounts import Accounts, Lookup
from services.operations.approval_decisions import ApprovalDecisions
from services.operations.approvals import Approvals
from services.operations.batch_driver import BatchDriver
from services.operations.batch_records import BatchRecords
from services.operations.batches import BatchService
from services.operations.change_requests import ChangeRequests
from services.operations.guards import ChangeGuards
from services.operations.opening import RunOpener
from services.operations.permissions import Permissions
from services.operations.reader import ClusterReader
from services.operations.rehearsal import RehearsalStage
from services.operations.rehearsals import Rehearsals
from services.operations.run_control import RunControl
from services.operations.scheduled_changes import ScheduledChanges
from services.operations.service import OperationsService
from services.operations.staged_secrets import StagedSecrets
from services.operations.subscribers import Subscribers
from services.operations.sweep import OperationsSweep
from services.operations.terraform import TerraformVariables
from services.operations.timelines import Timelines
from services.runs.authorization import beyond_approval
from services.runs.drain_ledger import DrainLedger
from services.runs.driver import RunDriver
from services.runs.executor import Executor
from services.runs.journal import Journal
from services.runs.locks import Locks
from services.runs.progress import Progress
from services.runs.room_messages import RoomMessages
from services.runs.run import Run
from services.steps import Step
from services.store import Store
from services.store.once import Once

SWEEP_INTERVAL = 10.0  # seconds between two rounds


@dataclass(frozen=True)
class Operations:
    """The parts, by name.

    `service` is for what people ask; `reader` is not access-checked, for the bot's own parts.
    """

    service: OperationsService
    reader: ClusterReader
    round: OperationsSweep
    clusters: ClusterRegistry
    user_groups: UserGroupCache
    bulkheads: Bulkheads
    subscribers: Subscribers
    journal: Journal
    memory: ClusterMemory
    usage: UsageLog
    promises: PromiseLog
    observed: ObservedRepository
    meetings: MeetingCounts
    message_refs: MessageRefs
    once: Once
    anchors: HeadAnchors
    rooms: RoomMessages
    bindings: ClusterIdentities
    staged: StagedSecrets
    guards: ChangeGuards
    driver: RunDriver
    tasks: Tasks
    batches: BatchService
    batch_records: BatchRecords
    batch_driver: BatchDriver
    terraform: TerraformVariables

    async def sweep(self) -> None:
        """One round over all clusters, and then over what changes several of them."""
        await self.round.sweep()
        await self.batch_driver.sweep()

    async def aclose(self) -> None:
        """Stop driving and release the leases, so that another bot takes over at once."""
        await self.driver.aclose()
        await self.anchors.aclose()


def assemble(
    sites: Mapping[str, ManagedCluster],
    store: Store,
    clock: Clock,
    worker: str,
    user_groups: UserGroupCache | None = None,
    accounts: Lookup | None = None,
    tasks: Tasks | None = None,
    *,
    observes: bool = False,
    stage: RehearsalStage | None = None,
) -> Operations:
    """All parts, on one state store.

    `worker`: this process, by a name no other has; `accounts`: asks Slack for a person's account;
    `observes`: nothing outside of the state is changed; `stage`: where changes are rehearsed.
    """
    groups, background = user_groups or UserGroupCache(), tasks or Tasks()
    clusters = ClusterRegistry(sites, groups, clock)
    clusters.observes = observes
    bulkheads = Bulkheads(clock)
    subscribers = Subscribers(bulkheads)
    locks, journal = Locks(store, clock, worker), Journal(store, clock)
    memory = ClusterMemory(store, journal.chain)
    staged = StagedSecrets(clusters, clock)
    known_accounts = Accounts(accounts)

    async def see(name: str, needs: frozenset[Fact]) -> Cluster:
        return await clusters.cluster(name).world.observe(needs)

    def is_beyond(run: Run, step: Step, cluster: Cluster, at: float) -> str:
        return beyond_approval(run, step, cluster, clusters.rules(run.cluster), at)

    def progressed(progress: Progress) -> None:
        driver.progressed(progress)
        if progress.run.over:
            run = progress.run
            dropping = staged.drop(run.cluster, run.plan.procedure)
            background.start(dropping, f"staged file of {run.id}", run=run.id)

    token_owners = {n: site.account for n, site in sites.items() if site.account is not None}
    bindings = ClusterIdentities(store, clock, see, token_owners)
    clusters.foreign = bindings.foreign
    worlds = {name: site.world for name, site in sites.items()}
    drains = DrainLedger(store, clock)
    rooms = RoomMessages(store, clock)
    executor = Executor(worlds, journal, locks, drains, memory, clock, progressed, is_beyond, rooms)
    driver = RunDriver(executor, subscribers.run, clock, bulkheads)
    approvals = Approvals(journal, store, clock, staged, subscribers.request, bulkheads)
    reader = ClusterReader(
        clusters,
        store,
        clock,
        locks,
        journal,
        memory,
        bindings,
        approvals,
        known_accounts,
        driver,
    )
    guards = ChangeGuards(reader, memory.books, clock)
    opener = RunOpener(clusters, journal, clock, guards, approvals, bindings, driver)
    control = RunControl(
        clusters,
        journal,
        clock,
        reader,
        guards,
        approvals,
        known_accounts,
        driver,
        progressed,
    )
    decisions = ApprovalDecisions(
        clusters, clock, reader, guards, approvals, known_accounts, opener, control
    )
    changes = ChangeRequests(clusters, clock, reader, guards, approvals, decisions, opener, staged)
    scheduled = ScheduledChanges(
        clusters, clock, reader, guards, approvals, known_accounts, opener, bulkheads
    )
    records = BatchRecords(store, journal.chain, subscribers.batch)
    batch_driver = BatchDriver(
        clusters,
        clock,
        bulkheads,
        journal,
        reader,
        guards,
        known_accounts,
        opener,
        control,
        records,
        background.part(),
    )
    subscribers.runs.append(batch_driver.run_changed)
    batches = BatchService(
        clusters,
        clock,
        journal,
        reader,
        guards,
        approvals,
        known_accounts,
        records,
        batch_driver,
    )
    permissions = Permissions(clusters, reader)
    terraform = TerraformVariables(
        clusters,
        reader,
        permissions,
        TerraformNotesRepository(store, journal.chain),
        memory.books,
        bulkheads,
        clock,
    )
    cards, once = MessageRefs(store), Once(store)
    sweep = OperationsSweep(
        clusters,
        clock,
        bulkheads,
        journal,
        locks,
        bindings,
        cards,
        once,
        subscribers,
        reader,
        approvals,
        scheduled,
        staged,
        driver,
        progressed,
    )
    service = OperationsService(
        clusters,
        clock,
        journal,
        memory,
        bindings,
        reader,
        permissions,
        guards,
        staged,
        opener,
        changes,
        decisions,
        control,
        scheduled,
        Rehearsals(clusters, clock, journal, memory, guards, stage),
        batches,
        Timelines(clusters, store, clock, journal, reader, cards),
        terraform,
    )
    return Operations(
        service=service,
        reader=reader,
        round=sweep,
        clusters=clusters,
        user_groups=groups,
        bulkheads=bulkheads,
        subscribers=subscribers,
        journal=journal,
        memory=memory,
        usage=UsageLog(store),
        promises=PromiseLog(store, journal.chain),
        observed=ObservedRepository(store),
        meetings=MeetingCounts(store),
        message_refs=cards,
        once=once,
        anchors=HeadAnchors(clusters, store, clock, bulkheads, background.part()),
        rooms=rooms,
        bindings=bindings,
        staged=staged,
        guards=guards,
        driver=driver,
        tasks=background,
        batches=batches,
        batch_records=records,
        batch_driver=batch_driver,
        terraform=terraform,
    )
