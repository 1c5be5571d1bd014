"""The operations facade: what people ask for in Slack or a terminal, and windows at their edges."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor, DecisionKind, Verdict
from services.audit.entries import AuditAction, AuditRecord, Entry, Head
from services.cloud.node_logs import NodeLogs, masked_lines, read_logs
from services.cloud.node_report import NodeReport, read_inspection
from services.cloud.node_scripts import SERVICE
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.backup_notes import BackupNotes
from services.cluster.leftovers import KeptThing
from services.cluster.model import EVERYTHING, Cluster, Droplet, Fact, short_name
from services.cluster.scaling import ScalingNotes
from services.common.clock import Clock
from services.common.command import Command, CommandClass
from services.common.errors import Refused, Rejected, Unreachable
from services.common.text import duration
from services.config_files import ConfigFile, ConfigText
from services.memory.bindings import ClusterIdentities
from services.memory.cluster import ClusterMemory
from services.memory.schedule import Book
from services.operations.approval_decisions import ApprovalDecisions
from services.operations.batches import BatchService
from services.operations.change_requests import ChangeRequests
from services.operations.guards import ChangeGuards
from services.operations.opening import Opening, RunOpener
from services.operations.permissions import Permissions
from services.operations.reader import ClusterReader
from services.operations.rehearsal import Rehearsal
from services.operations.rehearsals import Rehearsals
from services.operations.results import Outcome, Planned, Status
from services.operations.run_control import RunControl
from services.operations.scheduled_changes import ScheduledChanges
from services.operations.staged_secrets import StagedSecrets
from services.operations.terraform import TerraformVariables
from services.operations.timelines import TimelineReport, Timelines
from services.procedures import Configure, Procedure
from services.procedures.find_node import master_or_media
from services.runs.batch import Batch
from services.runs.journal import Journal
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Event, Run
from services.runs.standing_approval import StandingApproval
from services.secrets_env import SecretsFile
from services.store import Commit
from services.store.keys import BATCH

log = logging.getLogger(__name__)
LISTED = 10
# What shows which nodes there are.
FIND_NODES = frozenset({Fact.DROPLETS, Fact.POOL})


class OperationsService:
    """Everything that a person, or a window at its edge, may see or do.

    Each method takes the actor and checks their role first.

    Broad, because it is a facade: each method checks and hands over to the part that does it.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        journal: Journal,
        memory: ClusterMemory,
        bindings: ClusterIdentities,
        reader: ClusterReader,
        permissions: Permissions,
        guards: ChangeGuards,
        staged: StagedSecrets,
        opener: RunOpener,
        changes: ChangeRequests,
        decisions: ApprovalDecisions,
        control: RunControl,
        scheduled: ScheduledChanges,
        rehearsals: Rehearsals,
        batches: BatchService,
        timelines: Timelines,
        terraform: TerraformVariables,
    ) -> None:
        self.clusters = clusters
        self.cautions: tuple[str, ...] = ()  # what the state store may lose, in sentences
        self._clock = clock
        self._journal = journal
        self._memory = memory
        self._bindings = bindings
        self._reader = reader
        self._permissions = permissions
        self._guards = guards
        self._staged = staged
        self._opener = opener
        self._changes = changes
        self._decisions = decisions
        self._control = control
        self._scheduled = scheduled
        self._rehearsals = rehearsals
        # Changes of several clusters; each of its methods takes the actor, too.
        self.batches = batches
        self._timelines = timelines
        self.terraform = terraform

    def now(self) -> float:
        """The time (epoch seconds) by the clock that events are written with."""
        return self._clock.now()

    # Permissions

    def must_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        self._permissions.must_read(name, actor)

    def must_operate(self, name: str, actor: Actor) -> None:
        """Refused unless this person is an operator of the cluster."""
        self._permissions.must_operate(name, actor)

    def must_use(self, name: str, actor: Actor, *needs: CommandClass) -> None:
        """Refused unless this person may use all of these classes of commands there."""
        self._permissions.must_use(name, actor, *needs)

    def must_wake(self, name: str, actor: Actor) -> None:
        """Refused unless this person may start what a window has closed there."""
        self._permissions.must_wake(name, actor)

    def permission(self, name: str, actor: Actor, kind: type[Command]) -> Verdict:
        """Whether this person may use such a command there."""
        return self._permissions.may_say(name, actor, kind)

    def may_decide(self, run: Run, actor: Actor) -> bool:
        """Whether this person may cancel, resume or abandon this run."""
        return self._permissions.may_decide(run, actor)

    async def must_see(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster of the run or request of that id."""
        await self._permissions.must_see(name, actor)

    # Clusters

    async def look(self, name: str, actor: Actor) -> Cluster:
        """The cluster as it is now."""
        self._permissions.must_read(name, actor)
        return await self._reader.look(name)

    async def status(self, name: str, actor: Actor, *, inside: bool = False) -> Status:
        """The cluster as it is now, with its run and requests if the state store answers.

        `inside`: with what each node reports of itself, by SSH.
        """
        self._permissions.must_read(name, actor)
        site = self.clusters.cluster(name)
        observing = site.world.observe(EVERYTHING, tolerates=EVERYTHING)
        cluster, certificate = await asyncio.gather(observing, site.read_certificate())
        self._bindings.saw(cluster)
        conditions = await site.world.conditions(cluster) if inside else ()
        try:
            cluster = await self._memory.add_to(cluster)
            run = await self._reader.open_run(name)
            waiting = tuple(await self._reader.waiting(name))
            later = tuple(await self._reader.scheduled(name))
        except Unreachable:
            log.warning("status of %s without its runs: the state store does not answer", name)
            return Status(
                cluster,
                None,
                None,
                known=False,
                conditions=conditions,
                certificate=certificate,
                observes=self.clusters.observes,
            )
        progress = None
        if run is not None:
            progress = self._reader.progress(run.id)
        cautions = self.cautions
        return Status(
            cluster,
            run,
            progress,
            waiting,
            cautions,
            conditions=conditions,
            certificate=certificate,
            later=later,
            observes=self.clusters.observes,
        )

    async def node(self, name: str, term: str, actor: Actor) -> NodeReport:
        """One node: what DigitalOcean, its health page and the node itself report.

        `term`: its name, address or id. Log lines are masked.
        """
        self._permissions.must_read(name, actor)
        world = self.clusters.cluster(name).world
        cluster = await world.observe(EVERYTHING, tolerates=EVERYTHING)
        if not cluster.masters:
            raise Refused(cluster.problem)
        with contextlib.suppress(Unreachable):
            cluster = await self._memory.add_to(cluster)
        node = master_or_media(cluster, term)
        droplet = node if isinstance(node, Droplet) else node.droplet
        try:
            inspection = read_inspection(await world.inspect(droplet.id))
        except (Unreachable, Refused, Rejected) as error:
            return NodeReport(cluster, node, None, str(error))
        conditions = await world.conditions(cluster, droplet.id)
        return NodeReport(cluster, node, inspection, conditions=conditions)

    async def logs(
        self, name: str, term: str, service: str, seconds: int, actor: Actor
    ) -> NodeLogs:
        """The newest lines of one container on a node, or with "" of OpenVidu's unit; masked.

        `term`: the node's name, address or id. `seconds`: how far back. Who reads which log is in
        the audit before anything is read.
        """
        self._permissions.must_operate(name, actor)
        if service and not SERVICE.fullmatch(service):
            raise Refused("the name of a service is letters, digits, points and dashes")
        world = self.clusters.cluster(name).world
        cluster = await world.observe(FIND_NODES, tolerates=FIND_NODES)
        if not cluster.masters:
            raise Refused(cluster.problem)
        node = master_or_media(cluster, term)
        droplet = node if isinstance(node, Droplet) else node.droplet
        whose = short_name(droplet.name, cluster.stack)
        if droplet.off:
            raise Refused(f"{whose} is powered off: its logs are on its disk")
        about = f"{service or 'OpenVidu'} on {whose}"
        read = AuditRecord(
            AuditAction.LOGS_READ, actor, about, after=f"the last {duration(float(seconds))}"
        )
        await self._journal.chain.commit(Commit(), name, read)
        printed = read_logs(await world.logs(droplet.id, service, seconds))
        return NodeLogs(
            name,
            whose,
            service,
            seconds,
            await masked_lines(printed.lines),
            printed.left_out,
            printed.refused,
            printed.missing,
            printed.existing,
        )

    def secrets_bucket(self, name: str, actor: Actor) -> SecretsBucket:
        """The bucket's secrets.env of a cluster. Refused when no bucket is configured."""
        self._permissions.must_read(name, actor)
        return self._staged.vault(name)

    # Runs and requests

    async def open_run(self, name: str, actor: Actor) -> Run | None:
        """The run that has locked the cluster."""
        self._permissions.must_read(name, actor)
        return await self._reader.open_run(name)

    def busy(self, run: Run, actor: Actor) -> str:
        """Describe the run that has locked its cluster: since when, why, by whom, doing what."""
        self._permissions.must_read(run.cluster, actor)
        return self._guards.busy(run)

    async def runs(self, name: str, actor: Actor, count: int = LISTED) -> list[Run]:
        """The newest runs, newest first."""
        self._permissions.must_read(name, actor)
        return [await self._reader.run(r) for r in await self._reader.latest(name, count)]

    async def run(self, run_id: str, actor: Actor) -> Run:
        """One run, whole; whether there is one is not said to those who may not see its cluster."""
        return await self._permissions.run(run_id, actor)

    async def events(self, run_id: str, actor: Actor, start: int = 0) -> list[Event]:
        """What happened to a run, from that event on."""
        await self._permissions.run(run_id, actor)
        return await self._reader.events(run_id, start)

    def progress(self, run_id: str, actor: Actor) -> Progress | None:
        """Where a run stands, if this process drives it."""
        self.clusters.check_read_run(run_id, actor)
        return self._reader.progress(run_id)

    async def find_request(self, request_id: str, actor: Actor) -> Request:
        """One request, whole."""
        return await self._permissions.request(request_id, actor)

    async def waiting(self, name: str, actor: Actor) -> list[Request]:
        """The requests of a cluster that wait for approval, oldest first."""
        self._permissions.must_read(name, actor)
        return await self._reader.waiting(name)

    async def scheduled(self, name: str, actor: Actor) -> list[Request]:
        """The approved requests that wait for their moment, the next one first."""
        self._permissions.must_read(name, actor)
        return await self._reader.scheduled(name)

    async def find_scheduled(self, name: str, begins: str, actor: Actor) -> Request:
        """The one change for later whose id begins like that."""
        self._permissions.must_read(name, actor)
        return await self._scheduled.find(name, begins)

    async def audit_head(self, name: str, actor: Actor) -> Head | None:
        """The head of the cluster's audit. For operators."""
        self._permissions.must_operate(name, actor)
        return await self._journal.chain.head(name)

    async def decisions(self, name: str, actor: Actor, count: int) -> list[Entry]:
        """The newest entries of the cluster's audit. For operators."""
        self._permissions.must_operate(name, actor)
        return await self._journal.chain.newest(name, count)

    async def timeline_of_run(self, run_id: str, actor: Actor) -> TimelineReport:
        """What happened in a run, from all sources in one order. For operators."""
        run = await self._permissions.run(run_id, actor)
        self._permissions.must_operate(run.cluster, actor)
        return await self._timelines.of_run(run, actor)

    async def timeline_of_span(
        self, name: str, begins: float, ends: float, actor: Actor
    ) -> TimelineReport:
        """What happened to a cluster in a span of time, in one order. For operators."""
        self._permissions.must_operate(name, actor)
        return await self._timelines.of_span(name, begins, ends, actor)

    async def own_decisions(self, name: str, actor: Actor, count: int) -> list[Entry]:
        """What this person decided, among the newest entries of the cluster's audit."""
        self._permissions.must_read(name, actor)
        newest = await self._journal.chain.newest(name, count)
        return [entry for entry in newest if entry.user == actor.user]

    async def standings(
        self, name: str, actor: Actor, book: Book, windows: list[str]
    ) -> tuple[StandingApproval, ...]:
        """The standing approvals of these windows of the cluster, as far as accounts are known."""
        self._permissions.must_read(name, actor)
        return await self._reader.standing_approvals(book, windows, surely=False)

    # Changes

    async def request(
        self,
        actor: Actor,
        name: str,
        procedure: Procedure,
        *,
        reason: str = "",
        dry: bool = False,
        channel: str = "",
        later: tuple[float, str] | None = None,
        confirmed: str = "",
        files: bool = True,
    ) -> Outcome:
        """Plan a change and file it, or (`dry`) only return the plan.

        What needs no approval runs at once if exactly this plan is `confirmed`; otherwise it waits
        for its requester to start it, or (`files` False) is returned. `later`: the moment, and its
        zone.
        """
        return await self._changes.request(
            actor,
            name,
            procedure,
            reason=reason,
            dry=dry,
            channel=channel,
            later=later,
            confirmed=confirmed,
            files=files,
        )

    async def rehearse(self, actor: Actor, name: str, procedure: Procedure) -> Rehearsal | Planned:
        """Play a change in a simulated copy of the cluster. Nothing is changed or locked.

        Returns the plan where nothing is left to do. Refused where its plan would be.
        """
        return await self._rehearsals.rehearse(actor, name, procedure)

    async def break_glass(
        self, actor: Actor, name: str, procedure: Procedure, *, reason: str, channel: str = ""
    ) -> Outcome:
        """File a change that the requester confirms alone, once its plan was shown to everyone."""
        return await self._changes.break_glass(
            actor, name, procedure, reason=reason, channel=channel
        )

    async def configure(
        self,
        actor: Actor,
        name: str,
        change: Callable[[SecretsFile], SecretsFile],
        *,
        reason: str = "",
        channel: str = "",
        words: str = "",
        dry: bool = False,
        later: tuple[float, str] | None = None,
        kind: Callable[..., Configure] = Configure,
    ) -> Outcome:
        """Stage a changed secrets.env, and request that it is applied.

        `kind`: the class of the procedure.
        """
        return await self._changes.configure(
            actor,
            name,
            change,
            reason=reason,
            channel=channel,
            words=words,
            dry=dry,
            later=later,
            kind=kind,
        )

    async def config_file(self, actor: Actor, name: str, file: ConfigFile) -> ConfigText:
        """A configuration file of the cluster. It holds secrets. For operators."""
        self._permissions.must_read(name, actor)
        return await self._changes.config_file(actor, name, file)

    async def change_file(
        self,
        actor: Actor,
        name: str,
        file: ConfigFile,
        change: Callable[[ConfigText], str],
        *,
        reason: str = "",
        channel: str = "",
        words: str = "",
        what: str = "",
        dry: bool = False,
        later: tuple[float, str] | None = None,
    ) -> Outcome:
        """Stage the new content of a configuration file, and request that it is applied."""
        self._permissions.must_read(name, actor)
        return await self._changes.change_file(
            actor,
            name,
            file,
            change,
            reason=reason,
            channel=channel,
            words=words,
            what=what,
            dry=dry,
            later=later,
        )

    async def open_at_edge(self, window: Actor, opening: Opening) -> Run:
        """Open a run for a window at its edge, as far as its standing approval covers it.

        Refused with what is not covered.
        """
        if window != opening.requester:
            raise Refused("a window opens runs for itself only")
        _must_be_window(window)
        return await self._opener.open(opening)

    # Backups

    async def unschedule_backups(self, name: str, schedule: str, actor: Actor) -> None:
        """Remove a schedule of backups. Refused when there is none of that name."""
        self.must_use(name, actor, CommandClass.CAPACITY)

        def change(notes: BackupNotes) -> BackupNotes:
            if notes.schedule(schedule) is None:
                there = ", ".join(s.name for s in notes.schedules) or "none"
                raise Refused(f"{name} has no backup schedule {schedule}; there are: {there}")
            return notes.without_schedule(schedule)

        about = (f"backup schedule {schedule}", "removed", "")
        await self._memory.backups.edit(name, change, by=actor, about=about)

    async def revoke_scaling(self, name: str, actor: Actor) -> None:
        """End the permission to scale by the forecast. Refused when there is none."""
        self.must_use(name, actor, CommandClass.CAPACITY)

        def change(notes: ScalingNotes) -> ScalingNotes:
            if notes.permission is None:
                raise Refused(f"{name} has no permission to scale by the forecast")
            return replace(notes, permission=None)

        await self._memory.scaling.edit(name, change, "revoked", "", by=actor)

    async def protect_backup(self, name: str, label: str, actor: Actor, *, protected: bool) -> None:
        """Protect a backup from being deleted by the bot, or end that."""
        self.must_use(name, actor, CommandClass.CAPACITY)
        about = (label, "protected" if protected else "not protected", "")
        await self._memory.backups.edit(
            name,
            lambda notes: notes.with_protection(label, protected=protected),
            by=actor,
            about=about,
        )

    async def keep_unused(self, name: str, ref: str, actor: Actor, until: float) -> None:
        """Keep something that nothing uses. `until`: epoch seconds; 0: for good."""
        self.must_use(name, actor, CommandClass.CAPACITY)
        kept = KeptThing(ref, actor.mention, self._clock.now(), until)
        how = (
            "kept for good" if not until else f"kept until {datetime.fromtimestamp(until, UTC):%F}"
        )
        await self._memory.waste.edit(
            name, lambda notes: notes.with_kept(kept), by=actor, about=(ref, how)
        )

    # Decisions

    def approval_counts(self, request: Request, actor: Actor) -> bool:
        """Whether an approval of this person would count now."""
        return self._decisions.counts(request, actor)

    async def preview_decision(
        self, decision: DecisionKind, name: str, actor: Actor
    ) -> tuple[Request | Run | Batch, bool]:
        """What would be decided on, and whether the decision takes a reason.

        Refused as the decision itself would be.
        """
        if name.startswith(BATCH):
            return await self.batches.preview(decision, name, actor)
        return await self._decisions.before(decision, name, actor)

    async def approve(self, request_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Count one approval; the last one runs the plan, if it still is what was shown."""
        return await self._decisions.approve(request_id, actor, reason)

    async def reject(self, request_id: str, actor: Actor, reason: str = "") -> Request:
        """Close a request without doing anything."""
        return await self._decisions.reject(request_id, actor, reason)

    async def cancel(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Stop the run at its next safe point."""
        return await self._control.cancel(run_id, actor, reason)

    async def resume(self, run_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Go on with a stopped run, from the first step that is not done now."""
        return await self._control.resume(run_id, actor, reason)

    async def abandon(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Give up a stopped run: nothing more is done, and the cluster is unlocked."""
        return await self._control.abandon(run_id, actor, reason)

    async def answer(self, run_id: str, question_id: str, choice_id: str, actor: Actor) -> Outcome:
        """Answer a run's question."""
        return await self._control.answer(run_id, question_id, choice_id, actor)

    async def make_way(self, run: Run, window: Actor, why: str) -> Run:
        """End a window's closing for an opening: more in service is the safe direction."""
        _must_be_window(window)
        return await self._control.make_way(run, window, why)


def _must_be_window(actor: Actor) -> None:
    if not actor.is_window:
        raise Refused("only a window acts at its edges")
