"""The front desk: the only thing that Slack, the scheduler and the command line talk to."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from services.access.clusters import ClusterRegistry, ManagedCluster
from services.access.policy import (
    Actor,
    Decision,
    Kind,
    Rules,
    Verdict,
    authorize,
    may_approve,
    may_break_glass,
    may_decide,
    may_operate,
    may_say,
    may_use,
    may_wake,
    raise_if_denied,
)
from services.access.reasons import harmless, reason_of
from services.access.user_groups import UserGroupCache
from services.audit.anchors import HeadAnchors
from services.cloud.node_report import NodeReport, read_inspection
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.model import EVERYTHING, Cluster, Droplet, Fact
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.command import Command, CommandClass
from services.common.errors import BadRecord, Foreign, Refused, Rejected, Unreachable
from services.common.patience import patiently
from services.common.text import duration
from services.memory.bindings import Bindings
from services.memory.closed_channels import ClosedChannels
from services.memory.cluster import ClusterMemory
from services.memory.escalations import EscalationNotes
from services.memory.home_viewers import HomeViewers
from services.memory.inbox import CommandInbox
from services.memory.message_refs import MessageRefs
from services.memory.schedule import Book
from services.operations.approvals import Approvals
from services.operations.results import Changed, Outcome, Planned, Started, Status, Waiting
from services.operations.run_control import Outdated, RunControl, Uncovered, has_moved_on
from services.operations.staged_secrets import StagedSecrets, configure
from services.procedures import Procedure
from services.procedures.find_node import master_or_media
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import ONE_RUN, beyond, counted, not_covered
from services.runs.drain_ledger import DrainLedger
from services.runs.driver import RunDriver
from services.runs.executor import Executor, Progress
from services.runs.journal import Journal
from services.runs.locks import LeaseKeeper, Locks
from services.runs.request import GRACE, Act, Request, RequestState, grew
from services.runs.run import Opened, Run, State, Stopped
from services.runs.standing_approval import Standing, of_window, uncovered
from services.secrets_env import SecretsFile
from services.steps import Step
from services.store import Commit, Store
from services.store.keys import LATER, book_key, claim_key, number_key, usage_log_key
from services.store.once import first_time
from services.store.port import new_id
from services.windows import Edge, Freeze

log = logging.getLogger(__name__)
SWEEP = 10.0
LISTED = 10
DAY = 86400.0
FARTHEST = 31 * DAY  # how far ahead a change can be planned
UNSHOWN = 30.0  # seconds after which a request without a card is shown again


@dataclass
class Watchers:
    """Who wants to hear of changes: called at once and in order, must not wait. What goes wrong with one is nobody else's trouble."""

    bulkheads: Bulkheads
    runs: list[Callable[[Progress], None]] = field(default_factory=list)
    requests: list[Callable[[Request], None]] = field(default_factory=list)

    def run(self, progress: Progress) -> None:
        """Tell all of a run's progress."""
        for watcher in self.runs:
            with self.bulkheads.within(f"news of runs for {_named(watcher)}", progress.run.cluster):
                watcher(progress)

    def request(self, request: Request) -> None:
        """Tell all of a request's new state."""
        for watcher in self.requests:
            with self.bulkheads.within(
                f"news of requests for {_named(watcher)}", request.plan.cluster
            ):
                watcher(request)


def _named(watcher: Callable[..., None]) -> str:
    return getattr(watcher, "__qualname__", type(watcher).__name__)


class Desk:
    """Plans, asks for approval, opens runs, takes people's decisions, and keeps every open run driven."""

    def __init__(
        self,
        sites: Mapping[str, ManagedCluster],
        store: Store,
        clock: Clock,
        worker: str,
        roster: UserGroupCache | None = None,
    ) -> None:
        self.roster = roster or UserGroupCache()
        self.sites = ClusterRegistry(sites, self.roster, clock)
        self.bulkheads = Bulkheads(clock)
        self.watchers = Watchers(self.bulkheads)
        self.cautions: tuple[str, ...] = ()  # what the state store may forget, in sentences
        self._store = store
        self._clock = clock
        self._locks = Locks(store, clock, worker)
        self.journal = Journal(store, clock)
        self.memory = ClusterMemory(store, self.journal.chain)
        self.heads = HeadAnchors(self.sites, store, clock, self.bulkheads)
        self.cards = MessageRefs(store)
        self.intake = CommandInbox(store)
        self.homes = HomeViewers(store)
        self.doors = ClosedChannels(store)
        self.escalations = EscalationNotes(store)
        outsides = {name: site.world for name, site in sites.items()}
        drains = DrainLedger(store, clock)
        executor = Executor(
            outsides,
            self.journal,
            self._locks,
            drains,
            self.memory,
            clock,
            self._progressed,
            self._beyond,
        )
        self._driver = RunDriver(executor, self.watchers.run, clock, self.bulkheads)
        self._staging = StagedSecrets(self.sites, clock)
        self._requests = Approvals(
            self.journal, store, clock, self._staging, self.watchers.request, self.bulkheads
        )
        self._interventions = RunControl(
            self.sites,
            self.journal,
            clock,
            self._look_again,
            self._must_not_be_held,
            self._known,
            self._progressed,
        )
        self.accounts: Callable[[Actor], Awaitable[Actor]] | None = (
            None  # a person as their account stands now, where Slack can be asked
        )
        accounts = {name: site.account for name, site in sites.items() if site.account is not None}
        self.bindings = Bindings(store, clock, self._see, accounts)
        self.sites.foreign = self.bindings.foreign
        self._noted: set[str] = set()  # clusters whose policy the audit has been told of
        self._tidying: set[asyncio.Task[None]] = set()

    # Reading

    def site(self, name: str) -> ManagedCluster:
        """The cluster of that name. Refused when there is none."""
        return self.sites.site(name)

    async def look(self, name: str, needs: frozenset[Fact] = EVERYTHING) -> Cluster:
        """The cluster as it is now, with what is remembered of it. Without its snapshots, where those cannot be read now."""
        seen = await self.site(name).world.observe(needs, tolerates=frozenset({Fact.SNAPSHOTS}))
        self.bindings.saw(seen)
        return await self.memory.add_to(seen)

    async def _look_for_a_person(self, name: str, needs: frozenset[Fact]) -> Cluster:
        """The same, repeated for as long as somebody waits in patience: one odd answer loses no press."""
        return await patiently(self._clock, lambda: self.look(name, needs))

    async def _see(self, name: str, needs: frozenset[Fact]) -> Cluster:
        return await self.site(name).world.observe(needs)

    async def status(self, name: str, actor: Actor) -> Status:
        """What anybody who may read wants to know. Works without the state store: then nothing is said of runs."""
        self.may_read(name, actor)
        site = self.site(name)
        looking = site.world.observe(EVERYTHING, tolerates=EVERYTHING)
        cluster, certificate = await asyncio.gather(looking, site.look_at_certificate())
        self.bindings.saw(cluster)
        try:
            cluster = await self.memory.add_to(cluster)
            run = await self.open_run(name)
            waiting, later = tuple(await self.waiting(name)), tuple(await self.scheduled(name))
        except Unreachable:
            log.warning("status of %s without its runs: the state store does not answer", name)
            return Status(cluster, None, None, known=False, certificate=certificate)
        return Status(
            cluster,
            run,
            self.progress(run.id) if run else None,
            waiting,
            self.cautions,
            certificate=certificate,
            later=later,
        )

    async def node(self, name: str, said: str, actor: Actor) -> NodeReport:
        """One node as it is now: what DigitalOcean, its health page and the node itself say. Log lines are masked."""
        self.may_read(name, actor)
        world = self.site(name).world
        cluster = await world.observe(EVERYTHING, tolerates=EVERYTHING)
        if not cluster.masters:
            raise Refused(cluster.problem)
        node = master_or_media(cluster, said)
        droplet = node if isinstance(node, Droplet) else node.droplet
        try:
            inside, trouble = read_inspection(await world.inspect(droplet.id)), ""
        except (Unreachable, Refused, Rejected) as error:
            inside, trouble = None, str(error)
        return NodeReport(cluster, node, inside, trouble)

    async def open_run(self, name: str) -> Run | None:
        """The run that has the cluster now."""
        self._must_be_ours(name)
        holder = await self._locks.holder(name)
        return await self._claimed_by(name, holder) if holder else None

    async def _claimed_by(self, name: str, holder: str) -> Run:
        try:
            return await self.journal.run(holder)
        except Refused:  # claim and journal are written in one commit: this is damage, which does not pass by itself
            by_hand = f"put a copy of the state back, or remove claim:{name} by hand"
            raise BadRecord(
                f"{name} is held for run {holder}, whose journal is gone from the state: {by_hand}"
            ) from None

    def _must_be_ours(self, name: str) -> None:
        if name in self.bindings.foreign:
            raise Foreign(self.bindings.foreign[name])

    async def runs(self, name: str, actor: Actor, count: int = LISTED) -> list[Run]:
        """The newest runs, newest first."""
        self.may_read(name, actor)
        return [await self.journal.run(r) for r in await self.journal.latest(name, count)]

    async def run(self, run_id: str, actor: Actor) -> Run:
        """One run, whole, for those who may see its cluster; whether there is one is not said to others."""
        self.sites.must_know(run_id, actor)
        run = await self.journal.run(run_id)
        self.may_read(run.cluster, actor)
        return run

    async def request_of(self, request_id: str, actor: Actor) -> Request:
        """One request, whole, for those who may see its cluster."""
        request = await self.journal.request(request_id)
        self.may_read(request.plan.cluster, actor)
        return request

    async def must_see(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster of that run or request."""
        if name.rpartition("-")[0] in self.sites:
            self.sites.must_know(name, actor)
        else:
            await self.request_of(name, actor)

    def now(self) -> float:
        """The time that events are told in."""
        return self._clock.now()

    def may_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        self.sites.must_read(name, actor)

    def may_operate(self, name: str, actor: Actor) -> None:
        """Refused unless that person operates the cluster."""
        raise_if_denied(may_operate(actor, self.sites.rules(name)))

    def may_use(self, name: str, actor: Actor, *needs: CommandClass) -> None:
        """Refused unless that person may use all of these classes of commands there."""
        raise_if_denied(may_use(actor, self.sites.rules(name), needs))

    def may_wake(self, name: str, actor: Actor) -> None:
        """Refused unless that person may start what a window has closed there."""
        raise_if_denied(may_wake(actor, self.sites.rules(name)))

    def may_say(self, name: str, actor: Actor, kind: type[Command]) -> Verdict:
        """Whether that person may say such a command there."""
        return may_say(actor, self.sites.rules(name), kind.classes)

    def may_decide(self, run: Run, actor: Actor) -> bool:
        """Whether that person may cancel, resume or abandon this run."""
        verdict = may_decide(
            actor,
            self.sites.rules(run.cluster),
            run.plan.procedure.needs(),
            window=run.requester.window,
        )
        return verdict.kind is not Kind.DENIED

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._driver.progress(run_id)

    @property
    def driven(self) -> tuple[Progress, ...]:
        """Where everything stands that this process drives."""
        return self._driver.driven

    def forget(self) -> None:
        """Drive nothing of what was driven, and believe nothing of what was noted: the state that it rested on is gone."""
        self._driver.drop_all()
        self._noted.clear()

    async def waiting(self, name: str) -> list[Request]:
        """Requests of a cluster that wait for approval, oldest first."""
        self._must_be_ours(name)
        return await self._requests.waiting(name)

    async def first_time(self, name: str, within: float = 3600.0) -> bool:
        """Whether an event of that name is seen for the first time, by any bot."""
        return await first_time(self._store, name, within)

    # Asking for changes

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
    ) -> Outcome:
        """Plan it; then run it, or ask others, or stop at the plan. Refused with who or what is in the way.

        `later`: when it is to be done instead of now, and the time zone that this was said in.
        """
        self.may_read(name, actor)
        if later is not None and not dry:
            return await self._for_later(actor, name, procedure, reason, channel, later)
        if not dry:
            await self._must_be_free(
                name
            )  # who has it is worth knowing, also to those who may not change it
            self.may_use(name, actor, *procedure.needs())
            await self._requests.must_be_new(name, procedure)
        plan = make_plan(await self._look_for_a_person(name, procedure.looks_at), procedure)
        if dry or plan.empty:
            return Planned(plan, dry)
        rules = self.sites.rules(name)
        verdict = raise_if_denied(authorize(plan, actor, rules))
        if verdict.kind is Kind.ALLOWED:
            if (mine := await self._requests.startable(name, procedure, actor)) is not None:
                return await self.approve(mine.id, actor)
            return Started(await self._open(plan, actor, (), reason, channel, None))
        request = self._requests.new(plan, actor, rules, verdict, reason, channel)
        await self._requests.file(request)
        return Waiting(request)

    async def _for_later(
        self,
        actor: Actor,
        name: str,
        procedure: Procedure,
        reason: str,
        channel: str,
        later: tuple[float, str],
    ) -> Outcome:
        """Plan it now for then. A plan with nothing to do now may have something to do then."""
        at, zone = later
        if not procedure.schedulable:
            raise Refused(f"`{procedure.command}` takes no `--at`: {procedure.why_not_later}")
        if at <= self._clock.now():
            raise Refused(
                "nothing was changed: the time that it was planned for is over; choose a later one"
            )
        if at - self._clock.now() > FARTHEST:
            raise Refused(
                f"nothing was changed: a change can be planned {FARTHEST / DAY:.0f} days ahead at most"
            )
        self.may_use(name, actor, *procedure.needs())
        await self._must_not_be_held(name, at=at)
        plan = make_plan(await self._look_for_a_person(name, procedure.looks_at), procedure)
        rules = self.sites.rules(name)
        verdict = raise_if_denied(authorize(plan, actor, rules))
        if verdict.kind is Kind.NEEDS_APPROVAL and (run := await self.open_run(name)) is not None:
            raise Refused(
                self.busy(run)
            )  # what is approved now would be the plan for a cluster on its way
        request = self._requests.for_later(
            self._requests.new(plan, actor, rules, verdict, reason, channel), at, zone, rules
        )
        await self._requests.file(request)
        return Waiting(request)

    async def break_glass(
        self, actor: Actor, name: str, procedure: Procedure, *, reason: str, channel: str = ""
    ) -> Outcome:
        """Ask for a change that nobody else has to approve: its plan is shown to everybody, and whoever asked confirms it.

        Nothing but the approval and a change freeze is skipped: neither a hold nor another run, and no step of the plan.
        """
        self.may_read(name, actor)
        await self._must_be_free(name, glass=True)
        rules = self.sites.rules(name)
        raise_if_denied(may_break_glass(actor, rules))
        if not reason.strip():
            raise Refused(
                'break-glass needs a reason that others will read: add `--reason "…"`; nothing was changed'
            )
        await self._requests.must_be_new(name, procedure, glass=True)
        plan = make_plan(await self._look_for_a_person(name, procedure.looks_at), procedure)
        if plan.empty:
            return Planned(plan, dry=False)
        if plan.effects.standing:
            raise Refused(f"{ONE_RUN}: [[command {procedure.words()}]]; nothing was changed")
        verdict = _in_freeze(
            raise_if_denied(authorize(plan, actor, rules)), await self._freeze(name)
        )
        if verdict.kind is Kind.ALLOWED:
            raise Refused(
                f"this needs no approval, so no glass has to be broken: [[command {procedure.words()}]]"
            )
        request = self._requests.new(
            plan, actor, rules, verdict, reason.strip(), channel, glass=True
        )
        await self._requests.file(request)
        return Waiting(request)

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
    ) -> Outcome:
        """Stage a changed secrets.env and ask for it to be applied. The staged object is deleted when nothing comes of it."""
        self.may_operate(name, actor)
        if not dry and later is None:
            await self._must_be_free(name)
        vault = self.vault(name)
        before = await vault.read()
        after = change(before)
        await self._staging.must_be_whole(name, after)
        if dry:
            return await self.request(
                actor, name, configure(before, after, "dry-run", words), dry=True
            )
        procedure = configure(before, after, new_id()[:16], words)
        self.may_use(name, actor, *procedure.needs())
        await vault.stage(procedure.staged, after)
        try:
            return await self.request(
                actor, name, procedure, reason=reason, channel=channel, later=later
            )
        except BaseException:
            await asyncio.shield(self._staging.drop(name, procedure))
            raise

    def vault(self, name: str) -> SecretsBucket:
        """The bucket's secrets.env of a cluster. Refused when no bucket is configured."""
        return self._staging.vault(name)

    async def _must_be_free(self, name: str, *, glass: bool = False) -> None:
        run = await self.open_run(name)
        if run is not None:
            raise Refused(self.busy(run))
        await self._must_not_be_held(name, glass=glass)

    async def _freeze(self, name: str) -> Freeze | None:
        """The change freeze that is in force."""
        _, book = await self.memory.books.read(name)
        return book.exceptions.freeze(self._clock.now())

    async def _must_not_be_held(
        self, name: str, *, glass: bool = False, at: float = 0.0
    ) -> Mapping[str, str | None]:
        """What has to be so still when something is written: no hold, and no change freeze that no glass was broken for.

        `at`: what is known now of that later moment.
        """
        now = max(at, self._clock.now())
        text, book = await self.memory.books.read(name)
        hold = book.exceptions.hold(now)
        if hold is not None:
            left = duration(hold.until - self._clock.now())
            raise Refused(
                f"{name} is on hold for another {left}: {hold.by}, {harmless(hold.reason)}; [[command unhold]] ends it"
            )
        freeze = None if glass else book.exceptions.freeze(now)
        if freeze is not None:
            left, called = (
                duration(freeze.until - self._clock.now()),
                f": {harmless(freeze.name)}" if freeze.name else "",
            )
            if at:
                raise Refused(
                    f"{name} is in a change freeze then, which ends in {left}{called}; choose a later time"
                )
            raise Refused(
                f"{name} is in a change freeze for another {left}{called}; only break-glass changes it meanwhile"
            )
        return {book_key(name): text}

    def busy(self, run: Run) -> str:
        """Who has the cluster, since when and why, approved by whom, doing what."""
        age = duration(self._clock.now() - run.opened_at)
        why = f" (“{harmless(run.reason)}”)" if run.reason.strip() else ""
        verb = "standing approval by" if run.standing else "approved by"
        approved = (
            f", {verb} {' and '.join(a.mention for a in run.approvers)}" if run.approvers else ""
        )
        approved = (
            f", no approval: break-glass by {run.requester.mention}" if run.glass else approved
        )
        doing = (
            f"stopped: {run.stopped}"
            if run.state is State.STOPPED
            else f"now: {run.step.title()}"
            if run.step
            else "finishing"
        )
        cancel = f"cancel it with [[command cancel {run.id}]] if you are an operator"
        todo = "Resume or Abandon it first" if run.state is State.STOPPED else cancel
        return (
            f"{run.cluster} is busy: `{run.id}` {run.plan.procedure.words()}, started by {run.requester.mention} {age} ago{why}{approved}, "
            f"{doing}; {todo}"
        )

    # Approval

    async def approve(self, request_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Count one approval; with the last one the plan is checked against the live cluster and run. Refused with who was first.

        With break-glass, and where no approval is needed any more, it is whoever asked that says yes, once they have seen the plan.
        """
        await self.request_of(
            request_id, actor
        )  # what became of it is not said to those who may not see it
        request = await self._requests.open(request_id)
        if request.scheduled:
            raise Refused(
                f"this is approved already and is done on {request.moment}; your press changed nothing"
            )
        name = request.plan.cluster
        rules = self.sites.rules(name)
        remark = reason_of(reason, Decision.APPROVE, actor, request.requester, rules)
        approved = counted(await self._as_known(request), actor, rules).remarked(actor, remark)
        await self._must_not_be_held(name, glass=request.glass, at=request.later)
        if approved.left:
            await self._requests.change(request, approved)
            return Waiting(approved)
        if request.act is not None:
            return await self._approve_act(request, approved, request.act, actor)
        cluster = await self._look_for_a_person(name, request.plan.procedure.looks_at)
        if outdated := request.plan.procedure.outdated(cluster):
            await self._requests.change(
                request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor)
            )
            raise Refused(outdated)
        plan = make_plan(cluster, request.plan.procedure)
        if why := self._unlike(request, plan):
            return await self._replace(request, plan, actor, why)
        if request.later:
            agreed = approved.agreed(self._clock.now())
            await self._requests.change(request, agreed)
            return Waiting(agreed)
        run = await self._open(
            plan,
            request.requester,
            approved.approvals,
            request.reason,
            request.channel,
            approved,
            request,
        )
        return Started(run)

    def _unlike(self, request: Request, plan: Plan) -> str:
        """Why what was shown is not what would be done now; "" when it is."""
        changed = (
            "the cluster changed since it was asked for"
            if plan.digest != request.plan.digest
            else ""
        )
        return changed or grew(request.plan, plan, self.sites.rules(plan.cluster))

    async def _approve_act(
        self, request: Request, approved: Request, act: Act, actor: Actor
    ) -> Outcome:
        """The last approval of what an open run does next: compared with the cluster once more, then the run goes on."""
        try:
            onward = await self._interventions.onward(act, request.requester)
        except Outdated:
            await self._requests.change(
                request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor)
            )
            raise
        if why := self._unlike(request, onward.plan):
            return await self._replace(request, onward.plan, actor, why)
        by = approved.approvals[-1] if approved.approvals else actor
        closed = approved.closed(RequestState.APPROVED, self._clock.now(), by, run=act.run)
        run = await self._interventions.go_on(onward, request, closed)
        await self._requests.changed(closed)
        self._drive(run.cluster, run.id)
        return Started(run)

    async def _account(self, actor: Actor) -> Actor:
        """The person as their account stands now. Unreachable where Slack does not say."""
        return actor if self.accounts is None or actor.window else await self.accounts(actor)

    async def _known(self, actor: Actor) -> Actor:
        """The same; while Slack does not say, as it stood when they acted: an approval does not last long enough to matter more."""
        with suppress(Unreachable):
            return await self._account(actor)
        return actor

    async def _as_known(self, request: Request) -> Request:
        """With everybody as their account stands now: a deactivated one counts no more."""
        approvals = tuple([await self._known(a) for a in request.approvals])
        return replace(request, requester=await self._known(request.requester), approvals=approvals)

    def counts(self, request: Request, actor: Actor) -> bool:
        """Whether this person's yes to that request would count now."""
        try:
            counted(request, actor, self.sites.rules(request.plan.cluster))
        except Refused:
            return False
        return True

    async def reject(self, request_id: str, actor: Actor, reason: str = "") -> Request:
        """Close a request without doing anything. The requester may take it back too, without a reason."""
        await self.request_of(request_id, actor)
        request = await self._requests.open(request_id)
        self._must_reject(request, actor)
        why = reason_of(
            reason,
            Decision.REJECT,
            actor,
            request.requester,
            self.sites.rules(request.plan.cluster),
        )
        closed = replace(
            request.closed(RequestState.REJECTED, self._clock.now(), actor), why_closed=why
        )
        await self._requests.change(request, closed)
        return closed

    def _must_reject(self, request: Request, actor: Actor) -> None:
        """Refused unless this person may take it back, or reject it; what is done later is called off by any operator too."""
        rules = self.sites.rules(request.plan.cluster)
        verdict = may_approve(actor, request.requester, rules)
        if actor.key != request.requester.key and verdict.kind is Kind.DENIED:
            raise_if_denied(
                may_use(actor, rules, request.plan.procedure.needs()) if request.later else verdict
            )

    async def before(
        self, decision: Decision, name: str, actor: Actor
    ) -> tuple[Request | Run, bool]:
        """What would be decided on, and whether it takes a reason. Refused as the decision itself would be."""
        if decision not in (Decision.APPROVE, Decision.REJECT):
            run = await self._interventions.before(decision, name, actor)
            return run, self.sites.rules(run.cluster).asks_why(decision, actor, run.requester)
        await self.request_of(name, actor)
        request = await self._requests.open(name)
        rules = self.sites.rules(request.plan.cluster)
        if decision is Decision.APPROVE:
            counted(request, actor, rules)
        else:
            self._must_reject(request, actor)
        return request, rules.asks_why(decision, actor, request.requester)

    async def _replace(self, request: Request, plan: Plan, actor: Actor, why: str) -> Outcome:
        """Show the new plan instead; nothing was changed."""
        rules = self.sites.rules(request.plan.cluster)
        verdict = authorize(plan, request.requester, rules)
        new = self._requests.new(
            plan,
            request.requester,
            rules,
            verdict,
            request.reason,
            request.channel,
            glass=request.glass,
        )
        new = replace(new, act=request.act, differs=why)
        if request.later:
            new = self._requests.for_later(new, request.later, request.zone, rules)
        closed = request.closed(
            RequestState.SUPERSEDED, self._clock.now(), actor, replaced_by=new.id
        )
        if plan.empty and request.act is None:
            await self._requests.change(request, closed)
            return Planned(plan, dry=False)
        await self._requests.replace(request, closed, new)
        return Changed(request, new, why)

    async def _open(
        self,
        plan: Plan,
        requester: Actor,
        approvers: tuple[Actor, ...],
        reason: str,
        channel: str,
        approved: Request | None,
        before: Request | None = None,
    ) -> Run:
        for _ in range(5):
            name, counter = await self.journal.next_name(plan.cluster)
            now = self._clock.now()
            asked, glass = (approved.id, approved.glass) if approved else ("", False)
            bound = await self.bindings.own(plan.cluster)
            remarks = approved.remarks if approved else ()
            agreed = approved.agreed_at if approved else 0.0
            opened = Opened(
                now,
                name,
                plan,
                requester,
                approvers,
                reason,
                channel,
                asked,
                glass=glass,
                bound=bound,
                remarks=remarks,
            )
            opened = replace(opened, agreed=agreed)
            unheld = await self._must_not_be_held(plan.cluster, glass=glass)
            consumed = None
            if approved is not None and before is not None:
                consumed = (
                    before,
                    approved.closed(
                        RequestState.APPROVED,
                        now,
                        approvers[-1] if approvers else requester,
                        run=name,
                    ),
                )
            if await self.journal.open(opened, counter, consumed, unheld):
                break
            if before is not None:
                await self._requests.open(
                    before.id
                )  # of two who press at once, the second is told of the first
            await self._must_be_free(plan.cluster, glass=glass)
        else:
            raise Refused(
                f"{plan.cluster} is being changed by others at this very moment; try again"
            )
        if consumed is not None:
            await self._requests.changed(consumed[1])
        self._drive(plan.cluster, name)
        return await self.journal.run(name)

    async def standings(
        self, book: Book, names: Iterable[str], *, surely: bool
    ) -> tuple[Standing, ...]:
        """What these windows were approved for, by whom, as their accounts stand now.

        Raises Unreachable where Slack does not tell that; not `surely`: those whom it does not tell of count as they did.
        """
        runs, found = dict(book.runs), []
        for window in filter(None, (book.window(name) for name in names)):
            standing = of_window(
                window, await self.journal.run(runs[window.name]) if runs.get(window.name) else None
            )
            given = standing.given
            if given is not None:
                with suppress(*(() if surely else (Unreachable,))):
                    given = replace(
                        given, approvers=tuple([await self._account(a) for a in given.approvers])
                    )
            found.append(replace(standing, given=given))
        return tuple(found)

    async def open_for_window(
        self,
        plan: Plan,
        requester: Actor,
        standings: tuple[Standing, ...],
        yes: Actor | None,
        reason: str,
        edge: Edge,
        serves: tuple[float, float],
        checks: Mapping[str, str | None],
        puts: Mapping[str, str | None],
    ) -> Run:
        """Open a run under its windows' standing approval, if that covers it and what it rests on is still so.

        Refused with what is not covered, or who has the cluster. `yes`: who agreed to close now, where the window asks first.
        `serves`: by when an opening is to serve, and when it serves again after a closing; 0 for what it is not.
        """
        now = self._clock.now()
        if why := uncovered(plan, edge, standings, self.sites.rules(plan.cluster), now):
            raise Refused(why)
        given = [s.given for s in standings if s.given is not None]
        people = [*(a for g in given for a in g.approvers), *([yes] if yes else [])]
        approvers = tuple({a.key: a for a in people}.values())
        name, counter = await self.journal.next_name(plan.cluster)
        bound = await self.bindings.own(plan.cluster)
        since = min((g.at for g in given), default=0.0)
        by, opens = serves
        opened = Opened(
            now,
            name,
            plan,
            requester,
            approvers,
            reason,
            edge=edge.name,
            by=by,
            standing=since,
            bound=bound,
            opens=opens,
        )
        if not await self.journal.open(opened, counter, None, checks, puts):
            await self._must_be_free(plan.cluster)
            raise Refused(f"the windows of {plan.cluster} were changed at this very moment")
        self._drive(plan.cluster, name)
        return await self.journal.run(name)

    # Later

    async def scheduled(self, name: str) -> list[Request]:
        """What is approved and waits for its moment, the next one first."""
        self._must_be_ours(name)
        return await self._requests.scheduled(name)

    async def later_of(self, name: str, begins: str, actor: Actor) -> Request:
        """What is to be done later on that cluster and has an id that begins so."""
        self.may_read(name, actor)
        there = [*await self.scheduled(name), *(r for r in await self.waiting(name) if r.later)]
        found = [
            r
            for r in there
            if r.id.removeprefix(LATER).startswith(begins.strip().lower().removeprefix(LATER))
        ]
        if len(found) != 1:
            raise Refused(
                f"{'several' if found else 'no'} changes of {name} for later are called so; [[command later]] lists them"
            )
        return found[0]

    async def _do_what_is_due(self, name: str) -> None:
        now = self._clock.now()
        for request in await self._requests.scheduled(name):
            if request.later <= now:
                await self.bulkheads.keep(
                    "a change for later", partial(self._do_later, request), name
                )

    async def _do_later(self, request: Request) -> None:
        """Its moment has come: do it, if what was approved covers it as things are now, or ask again, or say why not. Each once."""
        now = self._clock.now()
        if now > request.later + GRACE:
            await self._give_up(
                request,
                request.waits
                or f"no bot was running at {request.moment}, nor in the {duration(GRACE)} after it",
            )
            return
        rules = self.sites.rules(request.plan.cluster)
        try:
            if rules.closed:
                raise Refused(rules.closed)
            known = replace(
                request,
                requester=await self._account(request.requester),
                approvals=tuple([await self._account(a) for a in request.approvals]),
            )
            await self._must_be_free(request.plan.cluster)
            await self._do_covered(request, known, rules)
        except (Refused, Unreachable, Rejected) as error:
            await self._wait(request, str(error))

    async def _do_covered(self, request: Request, known: Request, rules: Rules) -> None:
        name, procedure = request.plan.cluster, request.plan.procedure
        cluster = await self.look(name, procedure.looks_at)
        if outdated := procedure.outdated(cluster):
            await self._give_up(request, outdated)
            return
        plan = make_plan(cluster, procedure)
        verdict = authorize(plan, known.requester, rules)
        why = not_covered(known, plan, rules, self._clock.now())
        if rules.unsure and (why or verdict.kind is Kind.DENIED):
            raise Refused(rules.unsure)
        if plan.empty:
            await self._give_up(
                request, f"there was nothing to do: {procedure.ended(name)} already"
            )
        elif verdict.kind is Kind.DENIED:
            await self._give_up(
                request,
                f"{request.requester.mention} asked for it, and may not change this cluster any more",
            )
        elif why:
            await self._ask_anew(request, plan, verdict, rules, why)
        else:
            await self._open(
                plan,
                request.requester,
                request.approvals,
                request.reason,
                request.channel,
                request,
                request,
            )

    async def _ask_anew(
        self, request: Request, plan: Plan, verdict: Verdict, rules: Rules, why: str
    ) -> None:
        """What was approved does not cover it: people are asked, for now, with what differs on the card."""
        new = self._requests.new(
            plan, request.requester, rules, verdict, request.reason, request.channel
        )
        new = replace(new, differs=f"it was to be done on {request.moment}, and was not: {why}")
        closed = request.closed(RequestState.SUPERSEDED, self._clock.now(), replaced_by=new.id)
        await self._requests.replace(request, replace(closed, why_closed=why), new)

    async def _give_up(self, request: Request, why: str) -> None:
        closed = request.closed(RequestState.EXPIRED, self._clock.now())
        with suppress(Refused):  # another bot was quicker, or a person called it off
            await self._requests.change(request, replace(closed, why_closed=why))

    async def _wait(self, request: Request, why: str) -> None:
        """What is in its way stands on its card while it is waited for."""
        if why != request.waits and _settled(why) != _settled(request.waits):
            with suppress(Refused):  # another bot was quicker
                await self._requests.change(request, replace(request, waits=why))

    async def stamp(self, name: str) -> tuple[str | None, ...]:
        """A cluster's book of hours, the run that has it, the number of its newest run: while they are the same, nothing has happened."""
        self._must_be_ours(name)
        return tuple(await self._store.get(book_key(name), claim_key(name), number_key(name)))

    async def usage(self, name: str, count: int) -> list[str]:
        """The newest records of what was billed, oldest of them first."""
        return await self._store.tail(usage_log_key(name), count)

    async def note_usage(self, name: str, entry: str) -> None:
        """One more record of what is billed."""
        await self._store.commit(Commit(appends=[(usage_log_key(name), entry)]))

    # People's decisions on runs

    async def cancel(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Stop at the next safe point. Says what stays done."""
        return await self._interventions.cancel(run_id, actor, reason)

    async def resume(self, run_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Go on with a stopped run, from the first step that is not so now; or ask for approval of what its own does not cover."""
        return await self._went_on(await self._interventions.resume(run_id, actor, reason), actor)

    async def _went_on(self, made: Run | Uncovered, actor: Actor) -> Outcome:
        if isinstance(made, Run):
            self._drive(made.cluster, made.id)
            return Started(made)
        onward, run = made.onward, made.onward.run
        rules = self.sites.rules(run.cluster)
        glass = (
            run.glass
            and actor.key == run.requester.key
            and may_break_glass(actor, rules).kind is Kind.ALLOWED
        )
        verdict = raise_if_denied(authorize(onward.plan, actor, rules))
        request = self._requests.new(
            onward.plan, actor, rules, verdict, run.reason, run.channel, glass=glass
        )
        request = replace(request, act=onward.act, differs=made.differs)
        await self._requests.file(request)
        return Waiting(request)

    async def abandon(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Give up a stopped run: nothing more is done and the cluster is free."""
        return await self._interventions.abandon(run_id, actor, reason)

    async def make_way(self, run: Run, window: Actor, why: str) -> Run:
        """End a closing that a window began, for the opening that is due: more up is the safe direction."""
        return await self._interventions.make_way(run, window, why)

    async def answer(self, run_id: str, question_id: str, choice_id: str, actor: Actor) -> Outcome:
        """Take one answer to a run's question. A choice that loses something needs an approver other than the requester."""
        return await self._went_on(
            await self._interventions.answer(run_id, question_id, choice_id, actor), actor
        )

    async def _look_again(self, run: Run) -> Cluster:
        await self._must_not_be_held(run.cluster, glass=run.glass)
        return await self._look_for_a_person(
            run.cluster, EVERYTHING.union(*(s.needs for s in run.steps))
        )

    def _beyond(self, run: Run, step: Step, cluster: Cluster, at: float) -> str:
        return beyond(run, step, cluster, self.sites.rules(run.cluster), at)

    # Keeping runs driven

    async def sweep(self) -> None:
        """Take up every open run that nobody drives, and close what has expired. Harmless at any time, on any number of bots."""
        await self.bulkheads.each("identity", self.sites, self.bindings.check)
        await self.bulkheads.each("runs", self.sites.ours, self._sweep_runs)
        await self.bulkheads.each("requests", self.sites.ours, self._sweep)
        await self.bulkheads.each("changes for later", self.sites.ours, self._do_what_is_due)

    async def _sweep_runs(self, name: str) -> None:
        holder = await self._locks.holder(name)
        if holder is None or self._driver.drives(holder):
            return
        run = await self._claimed_by(name, holder)
        own = await self.bindings.own(name)
        if why := own.differs(run.bound):
            raise Foreign(f"{run.id} is about another cluster: {why}; it is not driven here")
        if (
            not run.over
            and run.state is not State.STOPPED
            and (why := own.other_masters(run.bound))
        ):
            await self._stop(run, f"{name} was built anew since it began: {why}")
            return
        self._drive(name, holder)

    async def _stop(self, run: Run, why: str) -> None:
        """Nobody drives it any further; people abandon it."""
        lease = await self._locks.take(run.id)
        if lease is not None:
            now = self._clock.now()
            async with LeaseKeeper(lease):
                stopped = await self.journal.append(run, Stopped(now, why), lease)
            self._progressed(Progress(stopped, None, "", None, "", now))

    async def _sweep(self, name: str) -> None:
        if name not in self._noted:
            await self.journal.note_policy(name, self.sites[name].rules)
            self._noted.add(name)
        await self._requests.sweep(name)
        await self._requests.ease(name, self.sites.rules(name))
        await self._close_outdated(name)
        await self._show_what_is_owed(name)
        if old := await self._staging.old(name):
            # Requests first: one that is approved meanwhile has its run by then. One that is replaced is in neither for a moment.
            plans = [r.plan for r in (*await self.waiting(name), *await self.scheduled(name))]
            run = await self.open_run(name)
            await self._staging.sweep(name, old, [*plans, run.plan] if run else plans)

    async def _close_outdated(self, name: str) -> None:
        """What an open run was to do next, where it has moved on: nothing is left to approve."""
        for request in await self.waiting(name):
            if request.act is not None and has_moved_on(
                await self.journal.run(request.act.run), request.act
            ):
                with suppress(Refused):  # somebody else closed it
                    await self._requests.change(
                        request, request.closed(RequestState.SUPERSEDED, self._clock.now())
                    )

    async def _show_what_is_owed(self, name: str) -> None:
        """A request whose writing was not known to be kept has no card yet: it is shown now, by one bot."""
        for request in (*await self.waiting(name), *await self.scheduled(name)):
            if self._clock.now() - request.made_at < UNSHOWN:
                continue
            place = await self.cards.get(request.id)
            if (place is None or not place.ts) and await self.first_time(
                f"card of {request.id}", within=2 * UNSHOWN
            ):
                self.watchers.request(request)

    def _drive(self, name: str, run_id: str) -> None:
        self._driver.take_up(name, run_id)

    def _progressed(self, progress: Progress) -> None:
        self._driver.progressed(progress)
        if progress.run.over:
            run = progress.run
            task = asyncio.create_task(
                self._staging.drop(run.cluster, run.plan.procedure), name=f"staged file of {run.id}"
            )
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def aclose(self) -> None:
        """Stop driving and let go of the leases: another bot, or the next start, goes on at once."""
        await self._driver.aclose()
        await self.heads.aclose()


def _settled(why: str) -> str:
    """A reason without its numbers, which change with every look."""
    return re.sub(r"[0-9]+", "", why)


def _in_freeze(verdict: Verdict, freeze: Freeze | None) -> Verdict:
    """With the change freeze among what speaks against it: in one, even what needs no approval is asked for by breaking the glass."""
    if freeze is None:
        return verdict
    said = f"a change freeze lasts until {datetime.fromtimestamp(freeze.until, UTC):%Y-%m-%d %H:%M} UTC"
    said += f" ({freeze.name})" if freeze.name else ""
    if verdict.kind is Kind.ALLOWED:
        return Verdict(Kind.NEEDS_APPROVAL, said, 1)
    return replace(verdict, reason=f"{verdict.reason}, and {said}")


__all__ = [
    "SWEEP",
    "Changed",
    "Desk",
    "ManagedCluster",
    "Outcome",
    "Planned",
    "Started",
    "Status",
    "Waiting",
]
