"""What people decide about requests: approve, reject.

The last approval opens the run, or lets an open one go on.
"""

from dataclasses import replace

from services.access.clusters import ClusterRegistry
from services.access.policy import (
    AccessResult,
    Actor,
    DecisionKind,
    authorize,
    may_approve,
    may_use,
    raise_if_denied,
)
from services.access.reasons import reason_of
from services.common.clock import Clock
from services.common.errors import Refused
from services.operations.accounts import Accounts
from services.operations.approvals import Approvals
from services.operations.guards import ChangeGuards
from services.operations.opening import ApprovedRequest, Opening, RunOpener
from services.operations.reader import ClusterReader
from services.operations.results import Outcome, Planned, Replanned, Started, WaitingForApproval
from services.operations.run_control import Outdated, RunControl
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import add_approval
from services.runs.request import Act, Request, RequestState, plan_grew
from services.runs.run import Run


class ApprovalDecisions:
    """Takes decisions on requests."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        reader: ClusterReader,
        guards: ChangeGuards,
        approvals: Approvals,
        accounts: Accounts,
        opener: RunOpener,
        control: RunControl,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._reader = reader
        self._guards = guards
        self._approvals = approvals
        self._accounts = accounts
        self._opener = opener
        self._control = control

    async def approve(self, request_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Count one approval; the last one checks the plan against the live cluster and runs it.

        Refused with who was first.

        With break-glass, and where no approval is needed any more, it is the requester who
        confirms, once they have seen the plan.
        """
        await self._must_see(request_id, actor)
        request = await self._approvals.open(request_id)
        if request.scheduled:
            when = f"is scheduled for {request.moment}"
            raise Refused(f"this is already approved and {when}. Your press changed nothing")
        name = request.plan.cluster
        rules = self._clusters.rules(name)
        remark = reason_of(reason, DecisionKind.APPROVE, actor, request.requester, rules)
        known = await self._accounts.of_request(request)
        approved = add_approval(known, actor, rules).remarked(actor, remark)
        await self._guards.must_not_be_held(name, glass=request.glass, at=request.later)
        if approved.left:
            await self._approvals.change(request, approved)
            return WaitingForApproval(approved)
        if request.act is not None:
            return await self._approve_act(request, approved, request.act, actor)
        return await self._approve_plan(request, approved, actor)

    async def _approve_plan(self, request: Request, approved: Request, actor: Actor) -> Outcome:
        """Take the last approval: compare with the live cluster, then run or schedule it."""
        name, procedure = request.plan.cluster, request.plan.procedure
        cluster = await self._reader.look_patiently(name, procedure.required_facts)
        if outdated := procedure.obsolete_reason(cluster):
            await self._supersede(request, actor)
            raise Refused(outdated)
        plan = make_plan(cluster, procedure)
        if why := self._difference(request, plan):
            return await self._replace(request, plan, actor, why)
        if request.later:
            agreed = approved.agreed(self._clock.now())
            await self._approvals.change(request, agreed)
            return WaitingForApproval(agreed)
        authority = ApprovedRequest(request, approved)
        opening = Opening(plan, request.requester, request.reason, request.channel, authority)
        return Started(await self._opener.open(opening))

    async def _approve_act(
        self, request: Request, approved: Request, act: Act, actor: Actor
    ) -> Outcome:
        """Take the last approval of an open run's act: compare with the cluster, then go on."""
        try:
            onward = await self._control.plan_continuation(act, request.requester)
        except Outdated:
            await self._supersede(request, actor)
            raise
        if why := self._difference(request, onward.plan):
            return await self._replace(request, onward.plan, actor, why)
        by = approved.approvals[-1] if approved.approvals else actor
        closed = approved.closed(RequestState.APPROVED, self._clock.now(), by, run=act.run)
        run = await self._control.continue_run(onward, request, closed)
        await self._approvals.changed(closed)
        self._control.drive(run)
        return Started(run)

    async def _supersede(self, request: Request, actor: Actor) -> None:
        closed = request.closed(RequestState.SUPERSEDED, self._clock.now(), actor)
        await self._approvals.change(request, closed)

    def _difference(self, request: Request, plan: Plan) -> str:
        """Why what was shown is not what would be done now; "" when it is."""
        if plan.digest != request.plan.digest:
            return "the cluster changed since this was requested"
        rules = self._clusters.rules(plan.cluster)
        verdict = authorize(plan, request.requester, rules)
        if verdict.kind is AccessResult.ALLOWED:
            return ""
        if request.startable:
            return f"it needs an approval by now, because {verdict.reason}"
        return plan_grew(request.plan, plan, rules)

    async def _replace(self, request: Request, plan: Plan, actor: Actor, why: str) -> Outcome:
        """File the new plan in the place of the old one; nothing is changed."""
        rules = self._clusters.rules(request.plan.cluster)
        requester = request.requester
        verdict = raise_if_denied(authorize(plan, requester, rules))
        reason, channel, glass = request.reason, request.channel, request.glass
        new = self._approvals.new(plan, requester, rules, verdict, reason, channel, glass=glass)
        new = replace(new, act=request.act, differs=why)
        if request.later:
            new = self._approvals.for_later(new, request.later, request.zone, rules)
        now, superseded = self._clock.now(), RequestState.SUPERSEDED
        closed = request.closed(superseded, now, actor, replaced_by=new.id)
        if plan.is_empty and request.act is None:
            await self._approvals.change(request, closed)
            return Planned(plan, dry=False)
        await self._approvals.replace(request, closed, new)
        return Replanned(request, new, why)

    def counts(self, request: Request, actor: Actor) -> bool:
        """Whether an approval of this person would count now."""
        try:
            add_approval(request, actor, self._clusters.rules(request.plan.cluster))
        except Refused:
            return False
        return True

    async def reject(self, request_id: str, actor: Actor, reason: str = "") -> Request:
        """Close a request without doing anything.

        The requester may withdraw it too, without a reason.
        """
        await self._must_see(request_id, actor)
        request = await self._approvals.open(request_id)
        self._must_reject(request, actor)
        rules = self._clusters.rules(request.plan.cluster)
        why = reason_of(reason, DecisionKind.REJECT, actor, request.requester, rules)
        closed = request.closed(RequestState.REJECTED, self._clock.now(), actor)
        closed = replace(closed, why_closed=why)
        await self._approvals.change(request, closed)
        return closed

    def _must_reject(self, request: Request, actor: Actor) -> None:
        """Refused unless this person may withdraw or reject the request.

        A scheduled change can be called off by any operator too.
        """
        if actor.key == request.requester.key:
            return
        rules = self._clusters.rules(request.plan.cluster)
        verdict = may_approve(actor, request.requester, rules)
        if verdict.kind is AccessResult.DENIED and request.later:
            verdict = may_use(actor, rules, request.plan.procedure.required_classes())
        raise_if_denied(verdict)

    async def before(
        self, decision: DecisionKind, name: str, actor: Actor
    ) -> tuple[Request | Run, bool]:
        """What would be decided on, and whether the decision takes a reason.

        Refused as the decision itself would be.
        """
        if decision not in (DecisionKind.APPROVE, DecisionKind.REJECT):
            run = await self._control.before(decision, name, actor)
            rules = self._clusters.rules(run.cluster)
            return run, rules.needs_reason(decision, actor, run.requester)
        await self._must_see(name, actor)
        request = await self._approvals.open(name)
        rules = self._clusters.rules(request.plan.cluster)
        if decision is DecisionKind.APPROVE:
            add_approval(request, actor, rules)
        else:
            self._must_reject(request, actor)
        return request, rules.needs_reason(decision, actor, request.requester)

    async def _must_see(self, request_id: str, actor: Actor) -> None:
        """What became of a request is not said to those who may not see its cluster."""
        request = await self._reader.request(request_id)
        self._clusters.check_read(request.plan.cluster, actor)
