"""Opens runs: the one way in for a person's command, an approved request and a window's edge.

Each is authorized here, by what it rests on, just before the commit that locks the cluster and
writes the run's first entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from services.access.clusters import ClusterRegistry
from services.access.policy import AccessResult, Actor, authorize
from services.cluster.scaling import ScalingNotes
from services.common.clock import Clock
from services.common.errors import Refused
from services.memory.bindings import ClusterIdentities
from services.operations.approvals import Approvals
from services.operations.guards import ChangeGuards
from services.procedures.plan import Plan
from services.runs.authorization import Authorization
from services.runs.driver import RunDriver
from services.runs.journal import Journal
from services.runs.request import Request, RequestState
from services.runs.run import Opened, Run
from services.runs.standing_approval import (
    StandingApproval,
    why_no_backup,
    why_no_scaling,
    why_not_covered,
)
from services.store.edit import retried
from services.windows import Edge

Texts = Mapping[str, str | None]


@dataclass(frozen=True)
class ApprovedRequest:
    """The authority of an approved request.

    `before`: as it is stored; `after`: with everything that was added to it.
    """

    before: Request
    after: Request


@dataclass(frozen=True)
class BatchAuthority:
    """The authority of a part of an approved batch, whose turn it is.

    The commit that opens the run also writes the part down as begun: `checks` must hold, and
    `puts` returns what is written for a run of that name.
    """

    before: Request
    after: Request
    checks: Texts
    puts: Callable[[str], Texts]


@dataclass(frozen=True)
class StandingAuthority:
    """The authority of a window at its edge: the standing approvals of its windows.

    `agreed`: who agreed to close now, where the window asks first. `by`: when an opening has to
    serve; `opens`: when it serves again after a closing; 0 where neither applies. `checks` and
    `puts` belong to the commit that opens the run.
    """

    edge: Edge
    standings: tuple[StandingApproval, ...]
    agreed: Actor | None = None
    by: float = 0.0
    opens: float = 0.0
    checks: Texts = field(default_factory=dict)
    puts: Texts = field(default_factory=dict)

    @property
    def approvers(self) -> tuple[Actor, ...]:
        """Return the approvers it rests on, once each."""
        people = [a for s in self.standings if s.given is not None for a in s.given.approvers]
        if self.agreed is not None:
            people.append(self.agreed)
        return tuple({a.key: a for a in people}.values())

    @property
    def since(self) -> float:
        """When the oldest of the approvals was given; 0 without any."""
        return min((s.given.at for s in self.standings if s.given is not None), default=0.0)


@dataclass(frozen=True)
class BackupAuthority:
    """The authority of a backup schedule at one of its times: its standing approval.

    `time`: the name of that time. `checks` and `puts` belong to the commit that opens the run.
    """

    schedule: str
    time: str
    given: Authorization | None
    checks: Texts = field(default_factory=dict)
    puts: Texts = field(default_factory=dict)


@dataclass(frozen=True)
class ForecastAuthority:
    """The authority of the forecast: the standing permission that a person gave within a quota.

    `notes`: the permission, and what was done under it; `price`: of a media node an hour, as seen.
    `checks` and `puts` belong to the commit that opens the run; `puts` is made for its name.
    """

    notes: ScalingNotes
    price: Decimal | None
    given: Authorization | None
    checks: Texts
    puts: Callable[[str], Texts]


@dataclass(frozen=True)
class Opening:
    """A run to be opened. `authority`: what it rests on; None: the plan needs no approval."""

    plan: Plan
    requester: Actor
    reason: str = ""
    channel: str = ""
    authority: (
        ApprovedRequest
        | BatchAuthority
        | StandingAuthority
        | BackupAuthority
        | ForecastAuthority
        | None
    ) = None


class RunOpener:
    """Opens runs and has them driven."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        journal: Journal,
        clock: Clock,
        guards: ChangeGuards,
        approvals: Approvals,
        bindings: ClusterIdentities,
        driver: RunDriver,
    ) -> None:
        self._clusters = clusters
        self._journal = journal
        self._clock = clock
        self._guards = guards
        self._approvals = approvals
        self._bindings = bindings
        self._driver = driver

    async def open(self, opening: Opening) -> Run:
        """Open the run. Refused with what it lacks, or with who has locked the cluster."""
        self._must_be_authorized(opening)
        authority = opening.authority
        if isinstance(authority, StandingAuthority):
            run_id = await self._open_at_edge(opening, authority)
        elif isinstance(authority, BatchAuthority):
            run_id = await self._open_part(opening, authority)
        elif isinstance(authority, BackupAuthority):
            run_id = await self._open_backup(opening, authority)
        elif isinstance(authority, ForecastAuthority):
            run_id = await self._open_scaling(opening, authority)
        else:
            run_id = await self._open_for_person(opening, authority)
        self._driver.drive(opening.plan.cluster, run_id)
        return await self._journal.run(run_id)

    def _must_be_authorized(self, opening: Opening) -> None:
        plan, authority = opening.plan, opening.authority
        rules = self._clusters.rules(plan.cluster)
        if plan.procedure.changes_cluster:
            self._clusters.must_operate_here(plan.procedure.command_line())
        match authority:
            case StandingAuthority():
                now = self._clock.now()
                if why := why_not_covered(plan, authority.edge, authority.standings, rules, now):
                    raise Refused(why)
            case BackupAuthority():
                name, now = authority.schedule, self._clock.now()
                if why := why_no_backup(plan, name, authority.given, rules, now):
                    raise Refused(why)
            case ForecastAuthority(notes=notes, price=price, given=given):
                if why := why_no_scaling(plan, notes, price, given, rules, self._clock.now()):
                    raise Refused(why)
            case ApprovedRequest() | BatchAuthority():
                if authority.after.left:
                    raise Refused(authority.after.why)
            case None:
                verdict = authorize(plan, opening.requester, rules)
                if verdict.kind is not AccessResult.ALLOWED:
                    raise Refused(verdict.reason)

    async def _open_for_person(self, opening: Opening, authority: ApprovedRequest | None) -> str:
        """Open it unless a hold, a freeze or another run is in the way.

        A request is consumed in the same commit.
        """
        plan = opening.plan
        glass = authority is not None and authority.after.glass

        async def attempt() -> str | None:
            opened, counter = await self._first_event(opening)
            consumed = None
            if authority is not None:
                opened = _under(authority.after, opened)
                consumed = _consumed(authority, opened)
            unheld = await self._guards.must_not_be_held(plan.cluster, glass=glass)
            if await self._journal.open(opened, counter, consumed, unheld):
                if consumed is not None:
                    await self._approvals.changed(consumed[1])
                return opened.run
            if authority is not None:
                # Of two people who approve at the same moment, the second is refused with the first
                # one's name.
                await self._approvals.open(authority.before.id)
            await self._guards.must_be_free(plan.cluster, glass=glass)
            return None

        busy = f"{plan.cluster} is being changed at this moment. Try again"
        return await retried(attempt, Refused(busy))

    async def _open_part(self, opening: Opening, authority: BatchAuthority) -> str:
        """Open it in the commit that writes the part down as begun.

        Refused where the batch has changed since it was read, or something is in the way.
        """
        plan = opening.plan
        opened, counter = await self._first_event(opening)
        opened = _under(authority.after, opened)
        consumed = _consumed(authority, opened)
        unheld = await self._guards.must_not_be_held(plan.cluster)
        checks = {**unheld, **authority.checks}
        if await self._journal.open(opened, counter, consumed, checks, authority.puts(opened.run)):
            await self._approvals.changed(consumed[1])
            return opened.run
        await self._guards.must_be_free(plan.cluster)
        raise Refused(f"{plan.cluster} was changed at the same moment")

    async def _open_at_edge(self, opening: Opening, authority: StandingAuthority) -> str:
        """Open it in the commit that writes the edge down as done.

        Refused where the schedule document has changed since it was read.
        """
        plan = opening.plan
        opened, counter = await self._first_event(opening)
        opened = replace(
            opened,
            approvers=authority.approvers,
            edge=authority.edge.name,
            by=authority.by,
            standing=authority.since,
            opens=authority.opens,
        )
        checks, puts = authority.checks, authority.puts
        if await self._journal.open(opened, counter, None, checks, puts):
            return opened.run
        await self._guards.must_be_free(plan.cluster)
        raise Refused(f"the windows of {plan.cluster} were changed at the same moment")

    async def _open_backup(self, opening: Opening, authority: BackupAuthority) -> str:
        """Open it in the commit that writes the time of the schedule down as done.

        Refused where what is kept of the backups has changed since it was read.
        """
        plan = opening.plan
        opened, counter = await self._first_event(opening)
        if authority.given is not None:
            given = authority.given
            opened = replace(opened, approvers=given.approvers, standing=given.at)
        unheld = await self._guards.must_not_be_held(plan.cluster)
        checks = {**authority.checks, **unheld}
        if await self._journal.open(opened, counter, None, checks, authority.puts):
            return opened.run
        await self._guards.must_be_free(plan.cluster)
        raise Refused(f"the backups of {plan.cluster} were changed at the same moment")

    async def _open_scaling(self, opening: Opening, authority: ForecastAuthority) -> str:
        """Open it in the commit that writes the change down, so that no quota is used twice.

        Refused where the permission, or what was done under it, has changed since it was read.
        """
        plan, given = opening.plan, authority.given
        opened, counter = await self._first_event(opening)
        if given is not None:
            opened = replace(opened, approvers=given.approvers, standing=given.at)
        unheld = await self._guards.must_not_be_held(plan.cluster)
        checks = {**authority.checks, **unheld}
        if await self._journal.open(opened, counter, None, checks, authority.puts(opened.run)):
            return opened.run
        await self._guards.must_be_free(plan.cluster)
        raise Refused(f"the permission to scale {plan.cluster} was changed at the same moment")

    async def _first_event(self, opening: Opening) -> tuple[Opened, str | None]:
        """The first event of the next run, and the counter that its name rests on."""
        plan = opening.plan
        name, counter = await self._journal.next_name(plan.cluster)
        now = self._clock.now()
        bound = await self._bindings.own(plan.cluster)
        opened = Opened(
            now, name, plan, opening.requester, (), opening.reason, opening.channel, bound=bound
        )
        return opened, counter


def _consumed(
    authority: ApprovedRequest | BatchAuthority, opened: Opened
) -> tuple[Request, Request]:
    """The request as it is stored, and closed by this run."""
    by = opened.requester
    if opened.approvers:
        by = opened.approvers[-1]
    approved = RequestState.APPROVED
    return authority.before, authority.after.closed(approved, opened.at, by, run=opened.run)


def _under(request: Request, opened: Opened) -> Opened:
    """The first event of a run that rests on this request."""
    return replace(
        opened,
        approvers=request.approvals,
        request=request.id,
        glass=request.glass,
        remarks=request.remarks,
        agreed=request.agreed_at,
    )
