"""The front desk: the only thing that Slack, the scheduler and the command line talk to."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.books import book_key
from services.clock import Clock
from services.cluster import EVERYTHING, Cluster, Droplet, Fact
from services.decisions import Request, RequestState, grew
from services.drains import Drains
from services.errors import BotError, Refused, Rejected, Unreachable
from services.executor import Executor, Outside, Progress
from services.inspection import NodeReport, read_inspection
from services.journal import Journal
from services.locks import Locks, claim_key
from services.memory import CardPlaces, Intake, Memory, first_time
from services.plan import Plan, make_plan
from services.policy import Actor, Kind, Rules, Verdict, judge, may_approve, may_operate, may_read
from services.procedures import Configure, Procedure
from services.procedures.nodes import master_or_media
from services.runs import Answered, CancelAsked, Ended, Opened, Resumed, Run, State
from services.secrets_env import SecretsFile, changes
from services.steps import Choice
from services.steps.base import duration
from services.store import Commit, Store
from services.store.port import new_id
from services.vault import Vault, digest, must_boot

log = logging.getLogger(__name__)
SWEEP = 10.0
LISTED = 10
STAGED_SWEEP = 600.0


@dataclass(frozen=True)
class Site:
    """One cluster under the desk's care."""

    name: str
    world: Outside
    rules: Rules


@dataclass(frozen=True)
class Started:
    """The run was opened."""

    run: Run


@dataclass(frozen=True)
class Waiting:
    """A request waits for other people."""

    request: Request


@dataclass(frozen=True)
class Planned:
    """A dry run, or a plan with nothing to do: nothing was changed and nothing will be."""

    plan: Plan
    dry: bool


@dataclass(frozen=True)
class Changed:
    """The plan or the load changed since it was asked for: the new request has taken the old one's place."""

    old: Request
    new: Request
    why: str


Outcome = Started | Waiting | Planned | Changed


@dataclass(frozen=True)
class Status:
    """One look at a cluster, with the run that has it."""

    cluster: Cluster
    run: Run | None
    progress: Progress | None
    waiting: tuple[Request, ...] = ()


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

    def __init__(self, sites: Mapping[str, Site], store: Store, clock: Clock, worker: str) -> None:
        self.sites = dict(sites)
        self.watchers = Watchers()
        self._store = store
        self._clock = clock
        self._locks = Locks(store, clock, worker)
        self.journal = Journal(store, clock)
        self.memory = Memory(store)
        self.cards = CardPlaces(store)
        self.intake = Intake(store)
        self._executor = Executor(
            {name: site.world for name, site in self.sites.items()},
            self.journal,
            self._locks,
            Drains(store, clock),
            self.memory,
            clock,
            self._progressed,
        )
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}
        self._closing = False
        self._swept_staged: dict[str, float] = {}
        self._unwanted: dict[str, frozenset[str]] = {}
        self._tidying: set[asyncio.Task[None]] = set()

    # Reading

    def site(self, name: str) -> Site:
        """The cluster of that name. Refused with the names there are."""
        if name not in self.sites:
            raise Refused(f"there is no cluster {name}; there are: {', '.join(sorted(self.sites))}")
        return self.sites[name]

    async def look(self, name: str, needs: frozenset[Fact] = EVERYTHING) -> Cluster:
        """The cluster as it is now, with what is remembered of it."""
        return await self.memory.add_to(await self.site(name).world.observe(needs))

    async def status(self, name: str, actor: Actor) -> Status:
        """What anybody who may read wants to know. Works without the state store: then nothing is said of runs."""
        self._must(may_read(actor, self.site(name).rules))
        cluster = await self.site(name).world.observe(EVERYTHING)
        try:
            cluster = await self.memory.add_to(cluster)
            run = await self.open_run(name)
            waiting = tuple(await self.waiting(name))
        except Unreachable:
            log.warning("status of %s without its runs: the state store does not answer", name)
            return Status(cluster, None, None)
        return Status(cluster, run, self._progress.get(run.id) if run else None, waiting)

    async def node(self, name: str, said: str, actor: Actor) -> NodeReport:
        """One node as it is now: what DigitalOcean, its health page and the node itself say. Log lines are masked."""
        site = self.site(name)
        self._must(may_read(actor, site.rules))
        cluster = await site.world.observe(EVERYTHING)
        if not cluster.masters:
            raise Refused(cluster.problem)
        node = master_or_media(cluster, said)
        droplet = node if isinstance(node, Droplet) else node.droplet
        try:
            inside, trouble = read_inspection(await site.world.inspect(droplet.id)), ""
        except (Unreachable, Refused, Rejected) as error:
            inside, trouble = None, str(error)
        return NodeReport(cluster, node, inside, trouble)

    async def open_run(self, name: str) -> Run | None:
        """The run that has the cluster now."""
        holder = await self._locks.holder(name)
        return await self.journal.run(holder) if holder else None

    async def runs(self, name: str, actor: Actor, count: int = LISTED) -> list[Run]:
        """The newest runs, newest first."""
        self._must(may_read(actor, self.site(name).rules))
        return [await self.journal.run(r) for r in await self.journal.latest(name, count)]

    async def run(self, run_id: str, actor: Actor) -> Run:
        """One run, whole."""
        run = await self.journal.run(run_id)
        self._must(may_read(actor, self.site(run.cluster).rules))
        return run

    def may_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        self._must(may_read(actor, self.site(name).rules))

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._progress.get(run_id)

    async def waiting(self, name: str) -> list[Request]:
        """Requests of a cluster that wait for approval, oldest first."""
        (text,) = await self._store.get(f"pending:{name}")
        requests = [await self.journal.request(r) for r in json.loads(text or "[]")]
        return [r for r in requests if r.state is RequestState.OPEN and r.until > self._clock.now()]

    async def first_time(self, name: str, within: float = 3600.0) -> bool:
        """Whether an event of that name is seen for the first time, by any bot."""
        return await first_time(self._store, name, within)

    def may_operate(self, name: str, actor: Actor) -> None:
        """Refused unless that person operates the cluster."""
        self._must(may_operate(actor, self.site(name).rules))

    # Asking for changes

    async def request(
        self, actor: Actor, name: str, procedure: Procedure, *, reason: str = "", dry: bool = False, channel: str = ""
    ) -> Outcome:
        """Plan it; then run it, or ask others, or stop at the plan. Refused with who or what is in the way."""
        site = self.site(name)
        self._must(may_read(actor, site.rules))
        if not dry:
            await self._must_be_free(name)  # who has it is worth knowing, also to those who may not change it
            self._must(may_operate(actor, site.rules))
            await self._must_be_new(name, procedure)
        plan = make_plan(await self.look(name, procedure.looks_at), procedure)
        if dry or plan.empty:
            return Planned(plan, dry)
        verdict = self._must(judge(plan, actor, site.rules))
        if verdict.kind is Kind.ALLOWED:
            return Started(await self._open(plan, actor, (), reason, channel, None))
        request = self._new_request(plan, actor, site.rules, verdict.reason, verdict.special, reason, channel)
        await self._file(request)
        return Waiting(request)

    def _new_request(
        self, plan: Plan, actor: Actor, rules: Rules, why: str, special: tuple[str, ...], reason: str, channel: str
    ) -> Request:
        now = self._clock.now()
        return Request(
            id=new_id(),
            plan=plan,
            requester=actor,
            reason=reason,
            made_at=now,
            until=now + rules.approval_seconds,
            needs=rules.approvals,
            why=why,
            special=special,
            channel=channel,
        )

    async def _file(self, request: Request) -> None:
        """Store it and list it, in one act: of two people who ask for the same at once, the second is told of the first."""
        name = request.plan.cluster
        for _ in range(50):
            pending = (await self._store.get(f"pending:{name}"))[0]
            await self._must_be_new(name, request.plan.procedure)
            if await self.journal.put_request(request, pending):
                self.watchers.request(request)
                return
        raise Unreachable(f"the list of requests of {name} changes faster than it can be written")

    async def _edit_pending(self, name: str, change: Callable[[list[str]], list[str]]) -> None:
        key = f"pending:{name}"
        for _ in range(50):
            (text,) = await self._store.get(key)
            after = json.dumps(change(json.loads(text or "[]")))
            if after == (text or "[]") or await self._store.commit(Commit(checks={key: text}, puts={key: after})):
                return
        raise Unreachable(f"the list of requests of {name} changes faster than it can be written")

    async def _must_be_free(self, name: str) -> None:
        run = await self.open_run(name)
        if run is not None:
            raise Refused(self.busy(run))
        await self._must_not_be_held(name)

    async def _must_not_be_held(self, name: str) -> Mapping[str, str | None]:
        """What has to be so still when something is written: nobody has put the cluster on hold meanwhile."""
        now = self._clock.now()
        text, book = await self.memory.books.read(name)
        hold = book.exceptions.hold(now)
        if hold is not None:
            left = duration(hold.until - now)
            raise Refused(f"{name} is on hold for another {left}: {hold.by}, {hold.reason}; `/openvidu unhold` ends it")
        return {book_key(name): text}

    async def _must_be_new(self, name: str, procedure: Procedure) -> None:
        for request in await self.waiting(name):
            if request.plan.procedure == procedure:
                left = duration(request.until - self._clock.now())
                raise Refused(f"{request.requester.mention} has asked for this already; it waits for approval for another {left}, above")

    def busy(self, run: Run) -> str:
        """Who has the cluster, since when, approved by whom, doing what."""
        age = duration(self._clock.now() - run.opened_at)
        approved = f", approved by {' and '.join(a.mention for a in run.approvers)}" if run.approvers else ""
        doing = f"stopped: {run.stopped}" if run.state is State.STOPPED else f"now: {run.step.title()}" if run.step else "finishing"
        cancel = f"cancel it with `/openvidu cancel {run.id}` if you are an operator"
        todo = "Resume or Abandon it first" if run.state is State.STOPPED else cancel
        return (
            f"{run.cluster} is busy: `{run.id}` {run.plan.procedure.words()}, started by {run.requester.mention} {age} ago{approved}, "
            f"{doing}; {todo}"
        )

    # secrets.env

    def vault(self, name: str) -> Vault:
        """The bucket's secrets.env of a cluster. Refused when no bucket is configured."""
        vault = self.site(name).world.vault
        if vault is None:
            raise Refused(f"no bucket is configured for {name}, and secrets.env lies in it (`spaces` in the settings)")
        return vault

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
        self._must(may_operate(actor, self.site(name).rules))
        if not dry:
            await self._must_be_free(name)
        vault = self.vault(name)
        before = await vault.read()
        after = change(before)
        must_boot(after)
        if dry:
            return await self.request(actor, name, _configure(before, after, "dry-run", words), dry=True)
        procedure = _configure(before, after, new_id()[:16], words)
        await vault.stage(procedure.staged, after)
        try:
            return await self.request(actor, name, procedure, reason=reason, channel=channel)
        except BaseException:
            await asyncio.shield(self._drop_staged(name, procedure))
            raise

    async def _drop_staged(self, name: str, procedure: Procedure) -> None:
        if isinstance(procedure, Configure):
            try:
                await self.vault(name).drop(procedure.staged)
            except BotError as error:
                log.warning("a staged file of %s is left for the next sweep: %s", name, error)

    async def _sweep_staged(self, name: str) -> None:
        """Delete staged files that no open request and no open run is about, seen so in two sweeps."""
        vault, now = self.site(name).world.vault, self._clock.now()
        before = self._unwanted.get(name, frozenset())
        if vault is None or (not before and now - self._swept_staged.get(name, 0.0) < STAGED_SWEEP):
            return
        self._swept_staged[name] = now
        old = await vault.old_staged(now - STAGED_SWEEP)
        # Requests first: one that is approved meanwhile has its run by then. One that is replaced by another is in neither for a moment.
        plans = [r.plan for r in await self.waiting(name)] if old else []
        run = await self.open_run(name) if old else None
        plans += [run.plan] if run else []
        unwanted = frozenset(old) - {p.procedure.staged for p in plans if isinstance(p.procedure, Configure)}
        self._unwanted[name] = unwanted - before
        for staged in unwanted & before:
            await vault.drop(staged)

    # Approval

    async def approve(self, request_id: str, actor: Actor) -> Outcome:
        """Count one approval; with the last one the plan is checked against the live cluster and run. Refused with who was first."""
        request = await self._open_request(request_id)
        site = self.site(request.plan.cluster)
        self._must(may_approve(actor, request.requester, site.rules, tuple(a.key for a in request.approvals)))
        await self._must_not_be_held(site.name)
        approved = request.approved_by(actor)
        if not approved.enough:
            await self._change(request, approved)
            return Waiting(approved)
        cluster = await self.look(site.name, request.plan.procedure.looks_at)
        if outdated := request.plan.procedure.outdated(cluster):
            await self._change(request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor))
            raise Refused(outdated)
        plan = make_plan(cluster, request.plan.procedure)
        why = "the cluster changed since it was asked for" if plan.digest != request.plan.digest else grew(request.plan, plan, site.rules)
        if why:
            return await self._replace(request, plan, actor, why)
        run = await self._open(plan, request.requester, approved.approvals, request.reason, request.channel, approved, request)
        return Started(run)

    async def reject(self, request_id: str, actor: Actor) -> Request:
        """Close a request without doing anything. The requester may take it back too."""
        request = await self._open_request(request_id)
        rules = self.site(request.plan.cluster).rules
        if actor.key != request.requester.key:
            self._must(may_approve(actor, request.requester, rules))
        closed = request.closed(RequestState.REJECTED, self._clock.now(), actor)
        await self._change(request, closed)
        return closed

    async def _open_request(self, request_id: str) -> Request:
        request = await self.journal.request(request_id)
        if request.state is RequestState.OPEN and request.until <= self._clock.now():
            await self._expire(request)
            request = await self.journal.request(request_id)
        if request.state is RequestState.OPEN:
            return request
        raise Refused(_closed_words(request, self._clock.now()))

    async def _change(self, before: Request, after: Request) -> None:
        if not await self.journal.change_request(before, after):
            current = await self.journal.request(before.id)
            if current.state is RequestState.OPEN:
                raise Refused("somebody pressed at the same moment; look again")
            raise Refused(_closed_words(current, self._clock.now()))
        if after.state is not RequestState.OPEN:
            await self._edit_pending(after.plan.cluster, lambda ids: [i for i in ids if i != after.id])
        self.watchers.request(after)
        if after.state in (RequestState.REJECTED, RequestState.EXPIRED, RequestState.SUPERSEDED) and not after.replaced_by:
            await self._drop_staged(after.plan.cluster, after.plan.procedure)

    async def _replace(self, request: Request, plan: Plan, actor: Actor, why: str) -> Outcome:
        """Show the new plan instead; nothing was changed."""
        site = self.site(request.plan.cluster)
        verdict = judge(plan, request.requester, site.rules)
        new = self._new_request(plan, request.requester, site.rules, verdict.reason, verdict.special, request.reason, request.channel)
        await self._change(request, request.closed(RequestState.SUPERSEDED, self._clock.now(), actor, replaced_by=new.id))
        if plan.empty:
            return Planned(plan, dry=False)
        await self._file(new)
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
            opened = Opened(now, name, plan, requester, approvers, reason, channel, approved.id if approved else "")
            unheld = await self._must_not_be_held(plan.cluster)
            consumed = None
            if approved is not None and before is not None:
                consumed = (before, approved.closed(RequestState.APPROVED, now, approvers[-1], run=name))
            if await self.journal.open(opened, counter, consumed, unheld):
                break
            if before is not None:
                await self._open_request(before.id)  # of two who press at once, the second is told of the first
            await self._must_be_free(plan.cluster)
        else:
            raise Refused(f"{plan.cluster} is being changed by others at this very moment; try again")
        if consumed is not None:
            await self._edit_pending(plan.cluster, lambda ids: [i for i in ids if i != consumed[1].id])
            self.watchers.request(consumed[1])
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
        run = await self._operable(run_id, actor)
        if run.cancel is not None:
            raise Refused(f"{run.cancel.mention} has cancelled {run.id} already; it stops at the next safe point")
        if run.state is State.STOPPED:
            raise Refused(f"{run.id} has stopped by itself: press Resume or Abandon")
        return await self._say(run, CancelAsked(self._clock.now(), actor))

    async def resume(self, run_id: str, actor: Actor) -> Run:
        """Go on with a stopped run, from the first step that is not so now."""
        run = await self._stopped(run_id, actor)
        await self._must_not_be_held(run.cluster)
        cluster = await self.look(run.cluster, EVERYTHING.union(*(s.needs for s in run.steps)))
        if cluster.problem:
            raise Refused(f"{run.id} cannot go on: {cluster.problem}")
        position = _from_where(run, cluster)
        run = await self._say(run, Resumed(self._clock.now(), actor, position))
        self._drive(run.id)
        return run

    async def abandon(self, run_id: str, actor: Actor) -> Run:
        """Give up a stopped run: nothing more is done and the cluster is free."""
        run = await self._stopped(run_id, actor)
        stays = "; ".join(run.stays_done) or "nothing was changed"
        return await self._say(run, Ended(self._clock.now(), State.ABANDONED, f"{stays}; {run.stopped}", actor))

    async def answer(self, run_id: str, question_id: str, choice_id: str, actor: Actor) -> Run:
        """Take one answer to a run's question. A choice that loses something needs an approver other than the requester."""
        run = await self._operable(run_id, actor, or_approver=True)
        question = run.question
        if question is None or question.id != question_id:
            last = next((a for a in reversed(run.answers) if a.question == question_id and a.by is not None), None)
            who = f"{last.by.mention} answered it {duration(self._clock.now() - last.at)} ago" if last and last.by else "it is settled"
            raise Refused(f"this question is not open any more: {who}")
        choice = _choice(question.choices, choice_id)
        if choice.loses:
            self._must(may_approve(actor, run.requester, self.site(run.cluster).rules))
        return await self._say(run, Answered(self._clock.now(), question_id, choice_id, actor))

    async def _operable(self, run_id: str, actor: Actor, *, or_approver: bool = False) -> Run:
        run = await self.journal.run(run_id)
        rules = self.site(run.cluster).rules
        if not (or_approver and not actor.outsider and actor.user in rules.approvers):
            self._must(may_operate(actor, rules))
        if run.over:
            by = f" by {run.ended_by.mention}" if run.ended_by else ""
            raise Refused(f"{run.id} is over: {run.state}{by} {duration(self._clock.now() - run.ended_at)} ago")
        return run

    async def _stopped(self, run_id: str, actor: Actor) -> Run:
        run = await self._operable(run_id, actor)
        if run.state is not State.STOPPED:
            raise Refused(f"{run.id} has not stopped, it is {run.state}; cancel it with `/openvidu cancel {run.id}`")
        return run

    async def _say(self, run: Run, event: CancelAsked | Answered | Resumed | Ended) -> Run:
        done = await self.journal.say(run, event)
        current = await self.journal.refresh(run)
        if not done:
            raise Refused(f"somebody was quicker: {run.id} is {current.state} now")
        self._progressed(Progress(current, None, "", None, "", self._clock.now()))
        return current

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
        if holder is not None and not self._closing:
            self._drive(holder)
        (text,) = await self._store.get(f"pending:{name}")
        for request_id in json.loads(text or "[]"):
            request = await self.journal.request(request_id)
            if request.state is not RequestState.OPEN:
                await self._edit_pending(name, lambda ids, gone=request_id: [i for i in ids if i != gone])  # type: ignore[misc]
            elif request.until <= self._clock.now():
                await self._expire(request)
        await self._sweep_staged(name)

    async def _expire(self, request: Request) -> None:
        closed = request.closed(RequestState.EXPIRED, request.until)
        if await self.journal.change_request(request, closed):
            await self._edit_pending(request.plan.cluster, lambda ids: [i for i in ids if i != request.id])
            self.watchers.request(closed)
            await self._drop_staged(request.plan.cluster, request.plan.procedure)

    def _drive(self, run_id: str) -> None:
        task = self._driving.get(run_id)
        if task is not None and not task.done():
            return
        task = asyncio.create_task(self._executor.drive(run_id), name=f"run {run_id}")
        self._driving[run_id] = task
        task.add_done_callback(lambda t: self._driven(run_id, t))

    def _driven(self, run_id: str, task: asyncio.Task[None]) -> None:
        self._driving.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The claim stays and the next sweep takes the run up again, from what is seen then.
            log.error("%s: driving it ended in %r; the next sweep goes on", run_id, error, exc_info=error)

    def _progressed(self, progress: Progress) -> None:
        if progress.cluster is not None:
            self._progress[progress.run.id] = progress
        if progress.run.over:
            self._progress.pop(progress.run.id, None)
            self._tidy(progress.run)
        self.watchers.run(progress)

    def _tidy(self, run: Run) -> None:
        if isinstance(run.plan.procedure, Configure):
            task = asyncio.create_task(self._drop_staged(run.cluster, run.plan.procedure), name=f"staged file of {run.id}")
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def aclose(self) -> None:
        """Stop driving and let go of the leases: another bot, or the next start, goes on at once."""
        self._closing = True
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _must(verdict: Verdict) -> Verdict:
        if verdict.kind is Kind.DENIED:
            raise Refused(verdict.reason)
        return verdict


def _configure(before: SecretsFile, after: SecretsFile, staged: str, words: str) -> Configure:
    """What leads from one file to the other, in names and digests."""
    keys = tuple(c.name or "only its layout" for c in changes(before, after))
    if not keys:
        raise Refused("secrets.env says so already; nothing was changed")
    wrong, left = [str(p) for p in before.problems()], [str(p) for p in after.problems()]
    mends, brings = tuple(p for p in wrong if p not in left), tuple(p for p in left if p not in wrong)
    return Configure(keys, staged, digest(bytes(before)), digest(bytes(after)), mends, brings, words)


def _from_where(run: Run, cluster: Cluster) -> int:
    """The step to go on from: the first that is not so now, of those reached only one that no later one was meant to undo."""
    meant = cluster
    for index, step in enumerate(run.steps[: run.position]):
        meant = meant if index in run.skipped else step.after(meant)
    for index, step in enumerate(run.steps):
        lasts = index >= run.position or step.is_done(meant)  # a master that was shut down and started is not shut down again
        if index not in run.skipped and lasts and not step.is_done(cluster):
            return index
    return len(run.steps)


def _choice(choices: tuple[Choice, ...], choice_id: str) -> Choice:
    for choice in choices:
        if choice.id == choice_id:
            return choice
    raise Refused("that is not one of the answers")


def _closed_words(request: Request, now: float) -> str:
    ago = duration(now - request.closed_at)
    who = request.closed_by.mention if request.closed_by else ""
    match request.state:
        case RequestState.APPROVED:
            return f"approved by {who} {ago} ago already, as `{request.run}`; your press changed nothing"
        case RequestState.REJECTED:
            return f"rejected by {who} {ago} ago; nothing was changed"
        case RequestState.EXPIRED:
            return f"this request expired {ago} ago; nothing was changed, ask again with the command"
        case _ if not request.replaced_by:
            return f"what it was about has changed since, as was seen {ago} ago; nothing was changed, ask again with the command"
        case _:
            return "the plan changed, and a newer request has taken this one's place; nothing was changed"
