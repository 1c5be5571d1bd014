"""Changes approved for a later moment: done then, if the approval still covers them."""

import re
from contextlib import suppress
from dataclasses import replace
from functools import partial

from services.access.clusters import ClusterRegistry
from services.access.policy import AccessResult, ClusterPolicy, Verdict, authorize
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Refused, Rejected, Unreachable
from services.common.text import duration
from services.operations.accounts import Accounts
from services.operations.approvals import Approvals
from services.operations.guards import ChangeGuards
from services.operations.opening import ApprovedRequest, Opening, RunOpener
from services.operations.reader import ClusterReader
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import why_not_covered_now
from services.runs.request import GRACE, Request, RequestState
from services.store.keys import LATER


class ScheduledChanges:
    """Finds them by the start of their id, and does what is due."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        reader: ClusterReader,
        guards: ChangeGuards,
        approvals: Approvals,
        accounts: Accounts,
        opener: RunOpener,
        bulkheads: Bulkheads,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._reader = reader
        self._guards = guards
        self._approvals = approvals
        self._accounts = accounts
        self._opener = opener
        self._bulkheads = bulkheads

    async def find(self, name: str, begins: str) -> Request:
        """The one change for later, approved or not, whose id begins like that.

        Refused when there is none, or several.
        """
        planned = await self._reader.scheduled(name)
        planned += [r for r in await self._reader.waiting(name) if r.later]
        start = begins.strip().lower().removeprefix(LATER)
        matches = [r for r in planned if r.id.removeprefix(LATER).startswith(start)]
        if len(matches) == 1:
            return matches[0]
        how_many = "several" if matches else "no"
        lists = "List them with [[command later]]"
        raise Refused(f"{how_many} scheduled changes of {name} have that id. {lists}")

    async def do_due(self, name: str) -> None:
        """Do, or close with a reason, whatever of a cluster's changes has reached its moment."""
        now = self._clock.now()
        for request in await self._approvals.scheduled(name):
            if request.later <= now:
                work = partial(self._do, request)
                await self._bulkheads.run("a change for later", work, name)

    async def _do(self, request: Request) -> None:
        """Do it if its approval covers it now; else request approval again, or give it up."""
        if self._clock.now() > request.later + GRACE:
            after = duration(GRACE)
            absent = f"no bot was running at {request.moment}, nor for {after} after that"
            await self._give_up(request, request.waits or absent)
            return
        rules = self._clusters.rules(request.plan.cluster)
        try:
            if rules.closed:
                raise Refused(rules.closed)
            requester = await self._accounts.current(request.requester)
            approvals = tuple([await self._accounts.current(a) for a in request.approvals])
            known = replace(request, requester=requester, approvals=approvals)
            await self._guards.must_be_free(request.plan.cluster)
            await self._do_covered(request, known, rules)
        except (Refused, Unreachable, Rejected) as error:
            await self._wait(request, str(error))

    async def _do_covered(self, request: Request, known: Request, rules: ClusterPolicy) -> None:
        """`known`: the request with everyone's account as it is now."""
        name, procedure = request.plan.cluster, request.plan.procedure
        cluster = await self._reader.look(name, procedure.required_facts)
        if outdated := procedure.obsolete_reason(cluster):
            await self._give_up(request, outdated)
            return
        plan = make_plan(cluster, procedure)
        verdict = authorize(plan, known.requester, rules)
        uncovered = why_not_covered_now(known, plan, rules, self._clock.now())
        if rules.groups_unknown and (uncovered or verdict.kind is AccessResult.DENIED):
            raise Refused(rules.groups_unknown)
        if plan.is_empty:
            why = f"there was nothing to do: {plan.state_text} already"
            await self._give_up(request, why)
        elif verdict.kind is AccessResult.DENIED:
            who = f"the requester {request.requester.mention}"
            await self._give_up(request, f"{who} may no longer change this cluster")
        elif uncovered:
            await self._request_again(request, plan, verdict, rules, uncovered)
        else:
            authority = ApprovedRequest(request, request)
            reason, channel = request.reason, request.channel
            opening = Opening(plan, request.requester, reason, channel, authority)
            await self._opener.open(opening)

    async def _request_again(
        self, request: Request, plan: Plan, verdict: Verdict, rules: ClusterPolicy, why: str
    ) -> None:
        """File a request for now in its place; its card shows what differs."""
        requester, reason, channel = request.requester, request.reason, request.channel
        new = self._approvals.new(plan, requester, rules, verdict, reason, channel)
        new = replace(new, differs=f"it was scheduled for {request.moment} and was not done: {why}")
        now, superseded = self._clock.now(), RequestState.SUPERSEDED
        closed = request.closed(superseded, now, replaced_by=new.id)
        await self._approvals.replace(request, replace(closed, why_closed=why), new)

    async def _give_up(self, request: Request, why: str) -> None:
        closed = request.closed(RequestState.EXPIRED, self._clock.now())
        with suppress(Refused):  # another bot was quicker, or a person called it off
            await self._approvals.change(request, replace(closed, why_closed=why))

    async def _wait(self, request: Request, why: str) -> None:
        """Show on its card what it waits for."""
        if why == request.waits or _without_numbers(why) == _without_numbers(request.waits):
            return
        with suppress(Refused):  # another bot was quicker
            await self._approvals.change(request, replace(request, waits=why))


def _without_numbers(reason: str) -> str:
    """A reason without its numbers, which change with every look."""
    return re.sub(r"[0-9]+", "", reason)
