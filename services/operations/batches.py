"""One change of several clusters: what people request, approve, reject and cancel.

Each cluster's part is an ordinary request, and later an ordinary run. The requester and the
approvers need their role on every cluster, and what is approved is exactly what the one card shows.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.access.clusters import ClusterRegistry
from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    DecisionKind,
    authorize,
    count_approvals,
    may_approve,
    may_approve_now,
    may_decide,
    may_use,
    people_to_ask,
    raise_if_denied,
)
from services.access.reasons import reason_of
from services.common.clock import Clock
from services.common.errors import BotError, Refused, Rejected, Unreachable
from services.common.text import count_of, duration, join_words
from services.operations.accounts import Accounts
from services.operations.approvals import AGAIN, SAME_MOMENT, Approvals
from services.operations.batch_driver import BatchDriver, closings
from services.operations.batch_records import BatchRecords, Changed
from services.operations.change_requests import must_be_schedulable
from services.operations.guards import ChangeGuards
from services.operations.reader import ClusterReader
from services.procedures import Procedure
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import ANY_PLAN, add_approval
from services.runs.batch import (
    LASTS,
    MOST_CLUSTERS,
    Batch,
    BatchState,
    Part,
    PartState,
    part_id,
)
from services.runs.journal import Journal
from services.runs.request import Request
from services.store.keys import BATCH

LOOKS_AT_ONCE = 8
PREVIEWED = "a reason follows"  # stands for the reason that a form is about to ask for
NOT_IN_SETTINGS = "it is not in the settings of this bot"


@dataclass(frozen=True)
class Limits:
    """How a batch goes on. `at_once`, `stop_after`: as requested. `label`: chose the clusters."""

    at_once: int = 1
    stop_after: int = 1
    label: str = ""


@dataclass(frozen=True)
class BatchPlan:
    """A batch with the plan of each of its parts, by cluster.

    `filed`: it is stored; else it is a dry run, or there is nothing to do on any cluster.
    """

    batch: Batch
    plans: Mapping[str, Plan]
    filed: bool = True
    observes: bool = False


class BatchService:
    """Takes them from people. `most_at_once`: the most that may be requested to run at a time."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        journal: Journal,
        reader: ClusterReader,
        guards: ChangeGuards,
        approvals: Approvals,
        accounts: Accounts,
        records: BatchRecords,
        driver: BatchDriver,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._journal = journal
        self._reader = reader
        self._guards = guards
        self._approvals = approvals
        self._accounts = accounts
        self._records = records
        self._driver = driver
        self.most_at_once = 5

    # Reading

    async def find(self, name: str, actor: Actor) -> Batch:
        """One batch, for those who may see every cluster of it."""
        batch = await self._records.get(name)
        for part in batch.parts:
            self._check_read(part.cluster, actor)
        return batch

    async def unfinished(self, actor: Actor) -> list[Batch]:
        """Those that are not over, as far as this person may see every cluster of them."""
        known = self._clusters

        def sees(name: str) -> bool:
            return name in known and known.may_read(name, actor)

        return [b for b in await self._records.unfinished() if all(map(sees, b.clusters))]

    async def plans(self, batch: Batch, actor: Actor) -> BatchPlan:
        """The plans that its approval covers, or would cover."""
        for part in batch.parts:
            self._check_read(part.cluster, actor)
        return BatchPlan(batch, {r.plan.cluster: r.plan for r in await self.requests(batch)})

    async def requests(self, batch: Batch) -> list[Request]:
        """The requests of its parts, for the bot's own parts."""
        names = [part.request for part in batch.included]
        return list(await asyncio.gather(*(self._journal.request(name) for name in names)))

    def may_decide(self, batch: Batch, actor: Actor) -> bool:
        """Whether this person may cancel it: its requester, or an operator of every cluster."""
        return not self._why_not_decide(batch, actor)

    async def counts(self, batch: Batch, actor: Actor) -> bool:
        """Whether an approval of this person would count now."""
        if batch.state is not BatchState.OPEN:
            return False
        try:
            self._approved(batch, await self.requests(batch), actor)
        except BotError:
            return False
        return True

    # Requests

    async def request(
        self,
        actor: Actor,
        names: Sequence[str],
        procedure: Procedure,
        limits: Limits,
        *,
        reason: str = "",
        dry: bool = False,
        channel: str = "",
        later: tuple[float, str] | None = None,
        confirmed: str = "",
    ) -> BatchPlan:
        """Plan a change of several clusters and file it for one approval, or (`dry`) only plan it.

        A cluster on which it cannot be done is shown with the reason, and is not part of what is
        approved. Refused where the requester has no role on one of them, or no one could approve
        all of it.
        """
        names = tuple(dict.fromkeys(names))
        for name in names:
            self._clusters.check_read(name, actor)
        self._must_fit(names, limits)
        if later is not None:
            must_be_schedulable(procedure, later[0], self._clock.now())
        if not dry:
            self._must_use(names, actor, procedure)
        observes = self._clusters.observes and procedure.changes_cluster
        planned = await self._planned(names, procedure, later, dry=dry or observes)
        batch = self._new(actor, planned, procedure, limits, reason, channel, later)
        plans = {p.part.cluster: p.plan for p in planned if p.plan is not None}
        if dry or observes or not plans:
            return BatchPlan(batch, plans, filed=False, observes=observes)
        requests = self._requests(batch, planned, actor, reason, channel)
        self._must_be_approvable(requests, actor)
        for request in requests:
            raise_if_denied(
                authorize(request.plan, actor, self._clusters.rules(request.plan.cluster))
            )
        batch = replace(
            batch,
            needs=max(request.needs for request in requests),
            left=max(request.left for request in requests),
            until=min([batch.until, *(r.until for r in requests)]),
            parts=_with_requests(batch.parts, requests),
        )
        batch = await self._records.file(batch, requests)
        if batch.startable and confirmed == ANY_PLAN:
            batch = await self.approve(batch.id, actor)
        return BatchPlan(batch, plans)

    def _must_fit(self, names: Sequence[str], limits: Limits) -> None:
        if len(names) > MOST_CLUSTERS:
            many = f"{len(names)} clusters are too many for one request"
            raise Refused(f"{many}: name at most {MOST_CLUSTERS}. Nothing was changed")
        if not 1 <= limits.at_once <= self.most_at_once:
            raise Refused(
                f"`--at-once` is a number from 1 to {self.most_at_once} "
                "(the setting `batches.most_at_once`). Nothing was changed"
            )
        if limits.stop_after < 1:
            raise Refused("`--stop-after` is a number from 1 on. Nothing was changed")

    def _must_use(self, names: Sequence[str], actor: Actor, procedure: Procedure) -> None:
        """Refused unless the requester may do this on every cluster, with those that lack."""
        needs = procedure.required_classes()
        verdicts = {n: may_use(actor, self._clusters.rules(n), needs) for n in names}
        denied = {n: v for n, v in verdicts.items() if v.kind is AccessResult.DENIED}
        if denied:
            whose = join_words(denied)
            first = next(iter(denied.values())).reason
            raise Refused(f"you need the role on every cluster; {whose}: {first}")

    async def _planned(
        self,
        names: Sequence[str],
        procedure: Procedure,
        later: tuple[float, str] | None,
        *,
        dry: bool,
    ) -> "list[_Planned]":
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)
        others = [] if dry else await self._records.unfinished()

        async def one(name: str) -> _Planned:
            async with gate:
                try:
                    if not dry:
                        await self._must_be_new(name, procedure, later, others)
                    cluster = await self._reader.look_patiently(name, procedure.required_facts)
                    plan = make_plan(cluster, procedure)
                except (Refused, Unreachable, Rejected) as error:
                    return _Planned(Part(name, PartState.REFUSED, why=str(error)), None)
            if plan.is_empty:
                why = f"{plan.state_text} already"
                return _Planned(Part(name, PartState.UNNEEDED, why=why), None)
            return _Planned(Part(name), plan)

        return list(await asyncio.gather(*map(one, names)))

    async def _must_be_new(
        self,
        name: str,
        procedure: Procedure,
        later: tuple[float, str] | None,
        others: Iterable[Batch],
    ) -> None:
        """Refused where something is in the way on one cluster, or the same is requested there."""
        if later is None:
            await self._guards.must_be_free(name)
        else:
            await self._guards.must_not_be_held(name, at=later[0])
        await self._approvals.must_be_new(name, procedure, later=later[0] if later else 0.0)
        for other in others:
            same = other.procedure == procedure and name in other.clusters
            if same and other.part(name).state is PartState.WAITING:
                whom = other.requester.mention
                raise Refused(f"{whom} has already requested this, in `{other.id}`")

    def _new(
        self,
        actor: Actor,
        planned: "Sequence[_Planned]",
        procedure: Procedure,
        limits: Limits,
        reason: str,
        channel: str,
        later: tuple[float, str] | None,
    ) -> Batch:
        now = self._clock.now()
        rules = [self._clusters.rules(p.part.cluster) for p in planned]
        until = now + min(r.approval_seconds for r in rules)
        at, zone = later or (0.0, "")
        return Batch(
            id=f"{BATCH}{secrets.token_hex(4)}",
            procedure=procedure,
            requester=actor,
            parts=tuple(p.part for p in planned),
            made_at=now,
            until=at or until,
            needs=0,
            reason=reason,
            channel=channel,
            label=limits.label,
            at_once=min(limits.at_once, len(planned)),
            stop_after=limits.stop_after,
            later=at,
            zone=zone,
        )

    def _requests(
        self,
        batch: Batch,
        planned: "Sequence[_Planned]",
        actor: Actor,
        reason: str,
        channel: str,
    ) -> list[Request]:
        requests = []
        for number, one in enumerate(planned, 1):
            if one.plan is None:
                continue
            rules = self._clusters.rules(one.part.cluster)
            verdict = authorize(one.plan, actor, rules)
            new = self._approvals.new(one.plan, actor, rules, verdict, reason, channel)
            until = batch.later or new.until
            requests.append(replace(new, id=part_id(batch.id, number), until=until))
        return requests

    def _must_be_approvable(self, requests: Sequence[Request], actor: Actor) -> None:
        """Refused where no one, or too few, could approve all of it, with who can approve what."""
        asking = [r for r in requests if r.needs]
        if not asking:
            return
        rules = {r.plan.cluster: self._clusters.rules(r.plan.cluster) for r in asking}
        if unknown := next((r.groups_unknown for r in rules.values() if r.groups_unknown), ""):
            raise Refused(unknown)
        able = sorted(self._able(rules, actor))
        lacking = [
            r.plan.cluster
            for r in asking
            if count_approvals(able, r.needs, rules[r.plan.cluster]).left
        ]
        if not lacking:
            return
        each = "; ".join(
            f"{name}: {people_to_ask(rules[name].approvers - {actor.user})}" for name in rules
        )
        who = "no one" if not able else "not enough people"
        raise Refused(
            f"{who} could approve this on every cluster, so nothing was requested. "
            f"Who can approve ({each}). Request them separately"
        )

    def approvers(self, batch: Batch, plans: Iterable[Plan]) -> frozenset[str]:
        """Who can approve all of it, by member id."""
        plans = list(plans)
        if any(plan.cluster not in self._clusters for plan in plans):
            return frozenset()
        return self._able(self._asking(batch, plans), batch.requester)

    def asking(self, batch: Batch, plans: Iterable[Plan]) -> tuple[str, ...]:
        """The clusters on which it needs an approval."""
        known = [plan for plan in plans if plan.cluster in self._clusters]
        return tuple(self._asking(batch, known))

    def _asking(self, batch: Batch, plans: Iterable[Plan]) -> dict[str, ClusterPolicy]:
        """The policies of the clusters on which it needs an approval."""
        rules = {plan.cluster: self._clusters.rules(plan.cluster) for plan in plans}
        return {
            plan.cluster: rules[plan.cluster]
            for plan in plans
            if authorize(plan, batch.requester, rules[plan.cluster]).kind
            is AccessResult.NEEDS_APPROVAL
        }

    @staticmethod
    def _able(rules: Mapping[str, ClusterPolicy], requester: Actor) -> frozenset[str]:
        """Who may approve on every one of these clusters."""
        everyone = frozenset[str]().union(*(r.approvers for r in rules.values()))
        return frozenset(
            user
            for user in everyone
            if all(
                may_approve(Actor(user), requester, r).kind is AccessResult.ALLOWED
                for r in rules.values()
            )
        )

    # Decisions

    async def approve(self, name: str, actor: Actor, reason: str = "") -> Batch:
        """Count one approval for every cluster; after the last one the first parts begin.

        Refused as a whole where it would not count on one of them.
        """
        batch = await self._open(name, actor)
        requests = await self.requests(batch)
        after, changed = self._approved(batch, await self._known(requests), actor, reason)
        originals = {r.id: r for r in requests}
        pairs = [(originals[r.id], r) for r in changed]
        if not await self._records.change(batch, after, pairs):
            await self._open(name, actor)
            raise Refused(SAME_MOMENT)
        if after.state is BatchState.APPROVED:
            self._driver.kick(batch.id)
        return after

    async def _known(self, requests: Iterable[Request]) -> list[Request]:
        """The requests with everyone's account as it was last known."""
        return [await self._accounts.of_request(r) for r in requests]

    def _approved(
        self, batch: Batch, requests: Sequence[Request], actor: Actor, reason: str = ""
    ) -> tuple[Batch, list[Request]]:
        """The batch with one more approval, and the requests that it changes."""
        now = self._clock.now()
        if batch.startable and actor.key != batch.requester.key:
            only = f"only {batch.requester.mention} can start it"
            raise Refused(f"this needs no approval; {only}")
        changed, left, remark, refused = [], 0, "", dict[str, str]()
        for request in requests:
            name = request.plan.cluster
            try:
                if name not in self._clusters:
                    raise Refused(NOT_IN_SETTINGS)
                one = self._approved_part(request, actor)
                rules = self._clusters.rules(name)
                remark = reason_of(reason, DecisionKind.APPROVE, actor, request.requester, rules)
            except Refused as error:
                refused[name] = str(error)
                continue
            left = max(left, one.left)
            if one != request:
                changed.append(one.remarked(actor, remark))
        if refused:
            raise Refused(_for_every_cluster(refused, len(requests)))
        after = batch
        if batch.needs:
            after = replace(batch, approvals=(*batch.approvals, actor), left=left)
            if remark:
                after = replace(after, remarks=(*batch.remarks, (actor.key, remark)))
        if left == 0:
            until = (batch.later or now) + LASTS
            after = replace(after, state=BatchState.APPROVED, agreed_at=now, until=until)
        return after, changed

    def _approved_part(self, request: Request, actor: Actor) -> Request:
        """The request of one part with one more approval, where it lacks one.

        Refused where this person has no say on that cluster, or it needs an approval by now.
        """
        rules = self._clusters.rules(request.plan.cluster)
        verdict = authorize(request.plan, request.requester, rules)
        raise_if_denied(verdict)
        if request.needs:
            already = tuple(a.key for a in request.approvals)
            if request.left:
                return add_approval(request, actor, rules)
            raise_if_denied(may_approve(actor, request.requester, rules, already))
            raise_if_denied(may_approve_now(rules))
        elif verdict.kind is AccessResult.NEEDS_APPROVAL:
            raise Refused("it needs an approval by now. Request it again")
        return request

    async def reject(self, name: str, actor: Actor, reason: str = "") -> Batch:
        """Close a batch without doing anything; its requester may withdraw it without a reason."""
        batch = await self._open(name, actor)
        self._must_reject(batch, actor)
        why = ""
        for part in batch.included:
            rules = self._clusters.rules(part.cluster)
            why = reason_of(reason, DecisionKind.REJECT, actor, batch.requester, rules)
        return await self._close(batch, BatchState.REJECTED, actor, why, "rejected")

    async def cancel(self, name: str, actor: Actor, reason: str = "") -> Batch:
        """Cancel a batch: what has not begun is dropped, and what runs is cancelled as usual."""
        batch = await self.find(name, actor)
        if batch.state is BatchState.OPEN:
            return await self.reject(name, actor, reason)
        if batch.over or batch.state is BatchState.CANCELLED:
            raise Refused(closed_words(batch, self._clock.now()))
        if denied := self._why_not_decide(batch, actor):
            raise Refused(denied)
        why = reason
        for part in batch.included:
            rules = self._clusters.rules(part.cluster)
            why = reason_of(reason, DecisionKind.CANCEL, actor, batch.requester, rules)
        after = await self._close(batch, BatchState.CANCELLED, actor, why, "cancelled")
        self._driver.kick(batch.id)
        return after

    async def preview(self, decision: DecisionKind, name: str, actor: Actor) -> tuple[Batch, bool]:
        """What would be decided on, and whether the decision takes a reason.

        Refused as the decision itself would be.
        """
        batch = await self.find(name, actor)
        if decision is DecisionKind.CANCEL and batch.state is not BatchState.OPEN:
            if batch.over or batch.state is BatchState.CANCELLED:
                raise Refused(closed_words(batch, self._clock.now()))
            if denied := self._why_not_decide(batch, actor):
                raise Refused(denied)
        else:
            batch = await self._open(name, actor)
            if decision is DecisionKind.APPROVE:
                self._approved(batch, await self.requests(batch), actor, PREVIEWED)
            else:
                self._must_reject(batch, actor)
        rules = [self._clusters.rules(part.cluster) for part in batch.included]
        return batch, any(r.needs_reason(decision, actor, batch.requester) for r in rules)

    def _must_reject(self, batch: Batch, actor: Actor) -> None:
        if actor.key == batch.requester.key:
            return
        for part in batch.included:
            rules = self._clusters.rules(part.cluster)
            raise_if_denied(may_approve(actor, batch.requester, rules))

    async def _close(
        self, batch: Batch, state: BatchState, actor: Actor, why: str, verb: str
    ) -> Batch:
        after = replace(
            batch.dropped(f"{verb} by {actor.mention}"),
            state=state,
            closed_by=actor,
            closed_at=self._clock.now(),
            why_closed=why,
        )
        changed: list[Changed] = closings(await self._dropped(batch, after), after, after.closed_at)
        if not await self._records.change(batch, after, changed):
            await self.find(batch.id, actor)
            raise Refused(SAME_MOMENT)
        return after

    async def _dropped(self, before: Batch, after: Batch) -> list[Request]:
        names = [
            new.request
            for old, new in zip(before.parts, after.parts, strict=True)
            if new.request and new.settled and not old.settled
        ]
        return [await self._journal.request(name) for name in names]

    async def _open(self, name: str, actor: Actor) -> Batch:
        """The batch while it waits for a decision. Refused with what became of it."""
        batch = await self.find(name, actor)
        now = self._clock.now()
        if batch.state is BatchState.OPEN and batch.until <= now:
            await self._driver.advance(name)
            batch = await self.find(name, actor)
        if batch.state is not BatchState.OPEN:
            raise Refused(closed_words(batch, now))
        return batch

    def _why_not_decide(self, batch: Batch, actor: Actor) -> str:
        if actor.key == batch.requester.key:
            return ""
        needs = batch.procedure.required_classes()
        for part in batch.included:
            if part.cluster not in self._clusters:
                continue
            verdict = may_decide(actor, self._clusters.rules(part.cluster), needs)
            if verdict.kind is AccessResult.DENIED:
                return f"{part.cluster}: {verdict.reason}"
        return ""

    def _check_read(self, cluster: str, actor: Actor) -> None:
        if cluster not in self._clusters:
            raise Refused(f"{cluster} is not in the settings of this bot")
        self._clusters.check_read(cluster, actor)


@dataclass(frozen=True)
class _Planned:
    """One cluster of a batch that is being requested, with its plan if there is something to do."""

    part: Part
    plan: Plan | None


def _with_requests(parts: Sequence[Part], requests: Sequence[Request]) -> tuple[Part, ...]:
    names = {r.plan.cluster: r.id for r in requests}
    return tuple(replace(part, request=names.get(part.cluster, "")) for part in parts)


def _for_every_cluster(refused: Mapping[str, str], of: int) -> str:
    """Say on which clusters a decision would not count, and why on the first."""
    name, why = next(iter(refused.items()))
    if len(refused) == of:
        return why
    others = ""
    if len(refused) > 1:
        others = f" (and {count_of(len(refused) - 1, 'other')})"
    return f"one approval covers every cluster, and on {name}{others} yours does not count: {why}"


def closed_words(batch: Batch, now: float) -> str:
    """What became of a batch that no decision is open on."""
    ago = duration(now - (batch.closed_at or batch.agreed_at or batch.until))
    who = batch.closed_by.mention if batch.closed_by is not None else ""
    match batch.state:
        case BatchState.APPROVED:
            verb = "approved" if batch.needs else "started"
            return f"already {verb} {ago} ago, as `{batch.id}`. Your press changed nothing"
        case BatchState.REJECTED:
            return f"rejected by {who} {ago} ago. Nothing was changed"
        case BatchState.EXPIRED:
            return f"this request expired {ago} ago. {AGAIN}"
        case BatchState.CANCELLED:
            return f"cancelled by {who} {ago} ago"
        case _:
            return "nothing more is started by it: it has stopped"
