"""What people decide about open runs: cancel, resume, abandon, answer. Each is taken once; of two, the second is told of the first."""

from collections.abc import Awaitable, Callable

from services.clock import Clock
from services.cluster import Cluster
from services.errors import Refused
from services.executor import Progress
from services.journal import Journal
from services.policy import Actor, Decision, Impact, Kind, impacts, may_approve, may_break_glass, may_decide, tally
from services.reasons import reason_of
from services.runs import Answered, CancelAsked, Ended, Resumed, Run, State
from services.sites import Sites, must
from services.steps import Choice
from services.steps.base import duration, listed


class Interventions:
    """Takes them. `look` sees a cluster as it is now; `tell` hears of what became of the run."""

    def __init__(
        self,
        sites: Sites,
        journal: Journal,
        clock: Clock,
        look: Callable[[Run], Awaitable[Cluster]],
        tell: Callable[[Progress], None],
    ) -> None:
        self._sites = sites
        self._journal = journal
        self._clock = clock
        self._look = look
        self._tell = tell

    async def cancel(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Stop at the next safe point. Says what stays done."""
        run = await self._operable(run_id, actor)
        if run.cancel is not None:
            raise Refused(f"{run.cancel.mention} has cancelled {run.id} already; it stops at the next safe point")
        if run.state is State.STOPPED:
            raise Refused(f"{run.id} has stopped by itself: press Resume or Abandon")
        return await self._say(run, CancelAsked(self._clock.now(), actor, self._why(run, Decision.CANCEL, actor, reason)))

    async def resume(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Go on with a stopped run, from the first step that is not so now."""
        run = await self._stopped(run_id, actor)
        why = self._why(run, Decision.TAKE_OVER, actor, reason)
        cluster = await self._look(run)
        if cluster.problem:
            raise Refused(f"{run.id} cannot go on: {cluster.problem}")
        return await self._say(run, Resumed(self._clock.now(), actor, _from_where(run, cluster), reason=why))

    async def abandon(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Give up a stopped run: nothing more is done and the cluster is free."""
        run = await self._stopped(run_id, actor)
        stays = "; ".join(run.stays_done) or "nothing was changed"
        why = self._why(run, Decision.ABANDON, actor, reason)
        return await self._say(run, Ended(self._clock.now(), State.ABANDONED, f"{stays}; {run.stopped}", actor, why))

    async def before(self, decision: Decision, run_id: str, actor: Actor) -> Run:
        """The run that would be decided on. Refused as the decision itself would be."""
        if decision is Decision.CANCEL:
            return await self._operable(run_id, actor)
        return await self._stopped(run_id, actor)

    def _why(self, run: Run, decision: Decision, actor: Actor, reason: str) -> str:
        return reason_of(reason, decision, actor, run.requester, self._sites.rules(run.cluster))

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
            await self._may_lose(run, question_id, choice_id, actor)
        return await self._say(run, Answered(self._clock.now(), question_id, choice_id, actor))

    async def _may_lose(self, run: Run, question: str, choice: str, actor: Actor) -> None:
        """As many approvals as ending meetings takes. Whoever broke the glass for the run needs none here either."""
        rules = self._sites.rules(run.cluster)
        if run.glass and may_break_glass(actor, rules).kind is Kind.ALLOWED:
            return
        must(may_approve(actor, run.requester, rules))
        needs = rules.demand((*impacts(run.plan, rules), Impact.MEETINGS_CUT))
        if not tally((actor.user,), needs, rules).left:
            return
        said = await self._journal.vote(run, question, choice, actor)
        counted = tally([who for who in said if who in rules.approvers], needs, rules)
        if counted.left:
            more = "somebody else" if counted.left == 1 else f"{counted.left} others"
            of = f", of {listed(f'<!subteam^{g}>' for g in counted.lacks)}" if counted.lacks else ""
            raise Refused(f"counted: this loses something, so {more}{of} has to press the same; nothing was changed yet")

    async def _operable(self, run_id: str, actor: Actor, *, or_approver: bool = False) -> Run:
        self._sites.must_know(run_id, actor)
        run = await self._journal.run(run_id)
        rules = self._sites.rules(run.cluster)
        if rules.closed:
            raise Refused(rules.closed)
        if not (or_approver and not actor.outsider and actor.user in rules.approvers):
            must(may_decide(actor, rules, run.plan.procedure.needs(), window=run.requester.window))
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
        done = await self._journal.say(run, event)
        current = await self._journal.refresh(run)
        if not done:
            raise Refused(f"somebody was quicker: {run.id} is {current.state} now")
        self._tell(Progress(current, None, "", None, "", self._clock.now()))
        return current


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
