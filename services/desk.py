"""The front desk: the only thing that Slack, the scheduler and the command line talk to."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.books import book_key
from services.clock import Clock
from services.cluster import EVERYTHING, Cluster, Droplet, Fact
from services.decisions import Request, RequestState, grew
from services.drains import Drains
from services.driving import Driver
from services.errors import BotError, Refused, Rejected, Unreachable
from services.executor import Executor, Progress
from services.heads import Heads
from services.inspection import NodeReport, read_inspection
from services.interventions import Interventions
from services.journal import Journal
from services.locks import Locks, claim_key
from services.membership import Roster
from services.memory import CardPlaces, Homes, Intake, Memory, first_time
from services.outcomes import Changed, Outcome, Planned, Started, Status, Waiting
from services.plan import Plan, make_plan
from services.policy import Actor, Kind, Rules, Verdict, adds_up, judge, may_approve, may_break_glass, may_operate, may_read, tally
from services.procedures import Procedure
from services.procedures.nodes import master_or_media
from services.requests import Requests
from services.runs import Opened, Run, State
from services.secrets_env import SecretsFile
from services.sites import Site, Sites, must
from services.staging import Staging, configure
from services.steps.base import duration
from services.store import Commit, Store
from services.store.port import new_id
from services.vault import Vault, must_boot
from services.windows import Freeze

log = logging.getLogger(__name__)
SWEEP = 10.0
LISTED = 10


@dataclass
class Watchers:
    """Who wants to hear of changes: called at once and in order, must not wait."""

    runs: list[Callable[[Progress], None]] = field(default_factory=list)
    requests: list[Callable[[Request], None]] = field(default_factory=list)

    def run(self, progress: Progress) -> None:
        """Tell all of a run's progress."""
        for watcher in self.runs:
            watcher(progress)

    def request(self, request: Request) -> None:
        """Tell all of a request's new state."""
        for watcher in self.requests:
            watcher(request)


class Desk:
    """Plans, asks for approval, opens runs, takes people's decisions, and keeps every open run driven."""

    def __init__(self, sites: Mapping[str, Site], store: Store, clock: Clock, worker: str, roster: Roster | None = None) -> None:
        self.roster = roster or Roster()
        self.sites = Sites(sites, self.roster, clock)
        self.watchers = Watchers()
        self.cautions: tuple[str, ...] = ()  # what the state store may forget, in sentences
        self._store = store
        self._clock = clock
        self._locks = Locks(store, clock, worker)
        self.journal = Journal(store, clock)
        self.memory = Memory(store, self.journal.chain)
        self.heads = Heads(self.sites, store, clock)
        self.cards = CardPlaces(store)
        self.intake = Intake(store)
        self.homes = Homes(store)
        outsides = {name: site.world for name, site in sites.items()}
        executor = Executor(outsides, self.journal, self._locks, Drains(store, clock), self.memory, clock, self._progressed)
        self._driver = Driver(executor, self.watchers.run)
        self._staging = Staging(self.sites, clock)
        self._requests = Requests(self.journal, store, clock, self._staging, self.watchers.request)
        self._interventions = Interventions(self.sites, self.journal, clock, self._look_again, self._progressed)
        self._noted: set[str] = set()  # clusters whose policy the audit has been told of
        self._tidying: set[asyncio.Task[None]] = set()

    # Reading

    def site(self, name: str) -> Site:
        """The cluster of that name. Refused with the names there are."""
        return self.sites.site(name)

    async def look(self, name: str, needs: frozenset[Fact] = EVERYTHING) -> Cluster:
        """The cluster as it is now, with what is remembered of it."""
        return await self.memory.add_to(await self.site(name).world.observe(needs))

    async def status(self, name: str, actor: Actor) -> Status:
        """What anybody who may read wants to know. Works without the state store: then nothing is said of runs."""
        self.may_read(name, actor)
        cluster = await self.site(name).world.observe(EVERYTHING)
        try:
            cluster = await self.memory.add_to(cluster)
            run = await self.open_run(name)
            waiting = tuple(await self.waiting(name))
        except Unreachable:
            log.warning("status of %s without its runs: the state store does not answer", name)
            return Status(cluster, None, None, known=False)
        return Status(cluster, run, self.progress(run.id) if run else None, waiting, self.cautions)

    async def node(self, name: str, said: str, actor: Actor) -> NodeReport:
        """One node as it is now: what DigitalOcean, its health page and the node itself say. Log lines are masked."""
        self.may_read(name, actor)
        world = self.site(name).world
        cluster = await world.observe(EVERYTHING)
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
        holder = await self._locks.holder(name)
        return await self.journal.run(holder) if holder else None

    async def runs(self, name: str, actor: Actor, count: int = LISTED) -> list[Run]:
        """The newest runs, newest first."""
        self.may_read(name, actor)
        return [await self.journal.run(r) for r in await self.journal.latest(name, count)]

    async def run(self, run_id: str, actor: Actor) -> Run:
        """One run, whole."""
        run = await self.journal.run(run_id)
        self.may_read(run.cluster, actor)
        return run

    def may_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        must(may_read(actor, self.sites.rules(name)))

    def may_operate(self, name: str, actor: Actor) -> None:
        """Refused unless that person operates the cluster."""
        must(may_operate(actor, self.sites.rules(name)))

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._driver.progress(run_id)

    async def waiting(self, name: str) -> list[Request]:
        """Requests of a cluster that wait for approval, oldest first."""
        return await self._requests.waiting(name)

    async def first_time(self, name: str, within: float = 3600.0) -> bool:
        """Whether an event of that name is seen for the first time, by any bot."""
        return await first_time(self._store, name, within)

    # Asking for changes

    async def request(
        self, actor: Actor, name: str, procedure: Procedure, *, reason: str = "", dry: bool = False, channel: str = ""
    ) -> Outcome:
        """Plan it; then run it, or ask others, or stop at the plan. Refused with who or what is in the way."""
        self.may_read(name, actor)
        if not dry:
            await self._must_be_free(name)  # who has it is worth knowing, also to those who may not change it
            self.may_operate(name, actor)
            await self._requests.must_be_new(name, procedure)
        plan = make_plan(await self.look(name, procedure.looks_at), procedure)
        if dry or plan.empty:
            return Planned(plan, dry)
        rules = self.sites.rules(name)
        verdict = must(judge(plan, actor, rules))
        if verdict.kind is Kind.ALLOWED:
            return Started(await self._open(plan, actor, (), reason, channel, None))
        request = self._requests.new(plan, actor, rules, verdict, reason, channel)
        await self._requests.file(request)
        return Waiting(request)

    async def break_glass(self, actor: Actor, name: str, procedure: Procedure, *, reason: str, channel: str = "") -> Outcome:
        """Ask for a change that nobody else has to approve: its plan is shown to everybody, and whoever asked confirms it.

        Nothing but the approval and a change freeze is skipped: neither a hold nor another run, and no step of the plan.
        """
        self.may_read(name, actor)
        await self._must_be_free(name, glass=True)
        rules = self.sites.rules(name)
        must(may_break_glass(actor, rules))
        if not reason.strip():
            raise Refused('break-glass needs a reason that others will read: add `--reason "…"`; nothing was changed')
        await self._requests.must_be_new(name, procedure, glass=True)
        plan = make_plan(await self.look(name, procedure.looks_at), procedure)
        if plan.empty:
            return Planned(plan, dry=False)
        verdict = _in_freeze(must(judge(plan, actor, rules)), await self._freeze(name))
        if verdict.kind is Kind.ALLOWED:
            raise Refused(f"this needs no approval, so no glass has to be broken: `/openvidu {procedure.words()}`")
        request = self._requests.new(plan, actor, rules, verdict, reason.strip(), channel, glass=True)
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
    ) -> Outcome:
        """Stage a changed secrets.env and ask for it to be applied. The staged object is deleted when nothing comes of it."""
        self.may_operate(name, actor)
        if not dry:
            await self._must_be_free(name)
        vault = self.vault(name)
        before = await vault.read()
        after = change(before)
        must_boot(after)
        if dry:
            return await self.request(actor, name, configure(before, after, "dry-run", words), dry=True)
        procedure = configure(before, after, new_id()[:16], words)
        await vault.stage(procedure.staged, after)
        try:
            return await self.request(actor, name, procedure, reason=reason, channel=channel)
        except BaseException:
            await asyncio.shield(self._staging.drop(name, procedure))
            raise

    def vault(self, name: str) -> Vault:
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

    async def _must_not_be_held(self, name: str, *, glass: bool = False) -> Mapping[str, str | None]:
        """What has to be so still when something is written: no hold, and no change freeze that no glass was broken for."""
        now = self._clock.now()
        text, book = await self.memory.books.read(name)
        hold = book.exceptions.hold(now)
        if hold is not None:
            left = duration(hold.until - now)
            raise Refused(f"{name} is on hold for another {left}: {hold.by}, {hold.reason}; `/openvidu unhold` ends it")
        freeze = None if glass else book.exceptions.freeze(now)
        if freeze is not None:
            left, called = duration(freeze.until - now), f": {freeze.name}" if freeze.name else ""
            raise Refused(f"{name} is in a change freeze for another {left}{called}; only break-glass changes it meanwhile")
        return {book_key(name): text}

    def busy(self, run: Run) -> str:
        """Who has the cluster, since when, approved by whom, doing what."""
        age = duration(self._clock.now() - run.opened_at)
        approved = f", approved by {' and '.join(a.mention for a in run.approvers)}" if run.approvers else ""
        approved = ", without approval (break-glass)" if run.glass else approved
        doing = f"stopped: {run.stopped}" if run.state is State.STOPPED else f"now: {run.step.title()}" if run.step else "finishing"
        cancel = f"cancel it with `/openvidu cancel {run.id}` if you are an operator"
        todo = "Resume or Abandon it first" if run.state is State.STOPPED else cancel
        return (
            f"{run.cluster} is busy: `{run.id}` {run.plan.procedure.words()}, started by {run.requester.mention} {age} ago{approved}, "
            f"{doing}; {todo}"
        )

    # Approval

    async def approve(self, request_id: str, actor: Actor) -> Outcome:
        """Count one approval; with the last one the plan is checked against the live cluster and run. Refused with who was first.

        With break-glass it is whoever asked that says yes, once they have seen the plan.
        """
        request = await self._requests.open(request_id)
        name = request.plan.cluster
        approved = _counted(request, actor, self.sites.rules(name))
        await self._must_not_be_held(name, glass=request.glass)
        if approved.left:
            await self._requests.change(request, approved)
            return Waiting(approved)
        cluster = await self.look(name, request.plan.procedure.looks_at)
        if outdated := request.plan.procedure.outdated(cluster):
            await self._requests.change(request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor))
            raise Refused(outdated)
        plan = make_plan(cluster, request.plan.procedure)
        changed = plan.digest != request.plan.digest
        why = "the cluster changed since it was asked for" if changed else grew(request.plan, plan, self.sites.rules(name))
        if why:
            return await self._replace(request, plan, actor, why)
        run = await self._open(plan, request.requester, approved.approvals, request.reason, request.channel, approved, request)
        return Started(run)

    def counts(self, request: Request, actor: Actor) -> bool:
        """Whether this person's yes to that request would count now."""
        try:
            _counted(request, actor, self.sites.rules(request.plan.cluster))
        except Refused:
            return False
        return True

    async def reject(self, request_id: str, actor: Actor) -> Request:
        """Close a request without doing anything. The requester may take it back too."""
        request = await self._requests.open(request_id)
        if actor.key != request.requester.key:
            must(may_approve(actor, request.requester, self.sites.rules(request.plan.cluster)))
        closed = request.closed(RequestState.REJECTED, self._clock.now(), actor)
        await self._requests.change(request, closed)
        return closed

    async def _replace(self, request: Request, plan: Plan, actor: Actor, why: str) -> Outcome:
        """Show the new plan instead; nothing was changed."""
        rules = self.sites.rules(request.plan.cluster)
        verdict = judge(plan, request.requester, rules)
        new = self._requests.new(plan, request.requester, rules, verdict, request.reason, request.channel, glass=request.glass)
        await self._requests.change(request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor, replaced_by=new.id))
        if plan.empty:
            return Planned(plan, dry=False)
        await self._requests.file(new)
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
            opened = Opened(now, name, plan, requester, approvers, reason, channel, asked, glass=glass)
            unheld = await self._must_not_be_held(plan.cluster, glass=glass)
            consumed = None
            if approved is not None and before is not None:
                consumed = (before, approved.closed(RequestState.APPROVED, now, approvers[-1] if approvers else requester, run=name))
            if await self.journal.open(opened, counter, consumed, unheld):
                break
            if before is not None:
                await self._requests.open(before.id)  # of two who press at once, the second is told of the first
            await self._must_be_free(plan.cluster, glass=glass)
        else:
            raise Refused(f"{plan.cluster} is being changed by others at this very moment; try again")
        if consumed is not None:
            await self._requests.changed(consumed[1])
        self._drive(name)
        return await self.journal.run(name)

    async def open_for_window(
        self,
        plan: Plan,
        requester: Actor,
        approvers: tuple[Actor, ...],
        reason: str,
        edge: str,
        by: float,
        checks: Mapping[str, str | None],
        puts: Mapping[str, str | None],
    ) -> Run:
        """Open a run under a window's standing approval, if what it rests on is still so. Refused with who has the cluster."""
        name, counter = await self.journal.next_name(plan.cluster)
        opened = Opened(self._clock.now(), name, plan, requester, approvers, reason, edge=edge, by=by)
        if not await self.journal.open(opened, counter, None, checks, puts):
            await self._must_be_free(plan.cluster)
            raise Refused(f"the windows of {plan.cluster} were changed at this very moment")
        self._drive(name)
        return await self.journal.run(name)

    async def stamp(self, name: str) -> tuple[str | None, ...]:
        """A cluster's book of hours, the run that has it, the number of its newest run: while they are the same, nothing has happened."""
        return tuple(await self._store.get(book_key(name), claim_key(name), f"number:{name}"))

    async def usage(self, name: str, count: int) -> list[str]:
        """The newest records of what was billed, oldest of them first."""
        return await self._store.tail(f"usage:{name}", count)

    async def note_usage(self, name: str, entry: str) -> None:
        """One more record of what is billed."""
        await self._store.commit(Commit(appends=[(f"usage:{name}", entry)]))

    # People's decisions on runs

    async def cancel(self, run_id: str, actor: Actor) -> Run:
        """Stop at the next safe point. Says what stays done."""
        return await self._interventions.cancel(run_id, actor)

    async def resume(self, run_id: str, actor: Actor) -> Run:
        """Go on with a stopped run, from the first step that is not so now."""
        run = await self._interventions.resume(run_id, actor)
        self._drive(run.id)
        return run

    async def abandon(self, run_id: str, actor: Actor) -> Run:
        """Give up a stopped run: nothing more is done and the cluster is free."""
        return await self._interventions.abandon(run_id, actor)

    async def answer(self, run_id: str, question_id: str, choice_id: str, actor: Actor) -> Run:
        """Take one answer to a run's question. A choice that loses something needs an approver other than the requester."""
        return await self._interventions.answer(run_id, question_id, choice_id, actor)

    async def _look_again(self, run: Run) -> Cluster:
        await self._must_not_be_held(run.cluster, glass=run.glass)
        return await self.look(run.cluster, EVERYTHING.union(*(s.needs for s in run.steps)))

    # Keeping runs driven

    async def sweep(self) -> None:
        """Take up every open run that nobody drives, and close what has expired. Harmless at any time, on any number of bots."""
        for name in self.sites:
            try:
                await self._sweep(name)
            except BotError as error:
                log.warning("sweep of %s: %s", name, error)

    async def _sweep(self, name: str) -> None:
        holder = await self._locks.holder(name)
        if holder is not None:
            self._drive(holder)
        if name not in self._noted:
            await self.journal.note_policy(name, self.sites[name].rules)
            self._noted.add(name)
        await self._requests.sweep(name)
        if old := await self._staging.old(name):
            # Requests first: one that is approved meanwhile has its run by then. One that is replaced is in neither for a moment.
            plans = [r.plan for r in await self.waiting(name)]
            run = await self.open_run(name)
            await self._staging.sweep(name, old, [*plans, run.plan] if run else plans)

    def _drive(self, run_id: str) -> None:
        self._driver.take_up(run_id)

    def _progressed(self, progress: Progress) -> None:
        self._driver.progressed(progress)
        if progress.run.over:
            run = progress.run
            task = asyncio.create_task(self._staging.drop(run.cluster, run.plan.procedure), name=f"staged file of {run.id}")
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def aclose(self) -> None:
        """Stop driving and let go of the leases: another bot, or the next start, goes on at once."""
        await self._driver.aclose()
        await self.heads.aclose()


def _in_freeze(verdict: Verdict, freeze: Freeze | None) -> Verdict:
    """With the change freeze among what speaks against it: in one, even what needs no approval is asked for by breaking the glass."""
    if freeze is None:
        return verdict
    said = f"a change freeze lasts until {datetime.fromtimestamp(freeze.until, UTC):%Y-%m-%d %H:%M} UTC"
    said += f" ({freeze.name})" if freeze.name else ""
    if verdict.kind is Kind.ALLOWED:
        return Verdict(Kind.NEEDS_APPROVAL, said, 1)
    return replace(verdict, reason=f"{verdict.reason}, and {said}")


def _counted(request: Request, actor: Actor, rules: Rules) -> Request:
    """With one more approval, by the rules as they are now. Refused when it does not count, or who asked may not ask any more."""
    if request.glass:
        return _confirmed(request, actor, rules)
    must(may_approve(actor, request.requester, rules, tuple(a.key for a in request.approvals)))
    verdict = judge(request.plan, request.requester, rules)
    if verdict.kind is Kind.DENIED:
        why = rules.unsure or "may not change this cluster any more"
        raise Refused(f"{request.requester.mention} asked for this, and {why}; nothing was changed")
    before = tuple(a for a in request.approvals if a.user in rules.approvers)  # who lost the role meanwhile does not count
    needs = max(request.needs, verdict.approvals)
    must(adds_up(actor, [a.user for a in before], needs, rules))
    approvals = (*before, actor)
    return replace(request, approvals=approvals, needs=needs, lacks=tally([a.user for a in approvals], needs, rules).lacks)


def _confirmed(request: Request, actor: Actor, rules: Rules) -> Request:
    must(may_break_glass(actor, rules))
    if actor.key != request.requester.key:
        raise Refused(f"only {request.requester.mention}, who broke the glass, can confirm this; anybody else asks as usual")
    return request


__all__ = ["SWEEP", "Changed", "Desk", "Outcome", "Planned", "Site", "Started", "Status", "Waiting"]
