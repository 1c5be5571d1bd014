"""What people decide about open runs: cancel, resume, abandon, answer.

Of two equal decisions the second is refused with the first.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from services.access.clusters import ClusterRegistry
from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    DecisionKind,
    PolicyImpact,
    authorize,
    count_approvals,
    impacts,
    may_approve,
    may_approve_now,
    may_break_glass,
    may_decide,
    raise_if_denied,
)
from services.access.reasons import reason_of
from services.cluster.model import EVERYTHING, Cluster
from services.common.clock import Clock
from services.common.errors import Refused
from services.common.markers import user_group
from services.common.text import duration, join_words
from services.operations.accounts import Accounts
from services.operations.approvals import Approvals
from services.operations.guards import ChangeGuards
from services.operations.reader import ClusterReader
from services.operations.results import Outcome, Started, WaitingForApproval
from services.procedures.plan import Plan, plan_remaining
from services.runs.authorization import (
    counting_votes,
    difference_words,
    differences,
    of_run,
    stake_grew,
)
from services.runs.driver import RunDriver
from services.runs.journal import Journal
from services.runs.progress import Progress
from services.runs.request import Act, Request, Vote
from services.runs.run import Answered, CancelAsked, Ended, Resumed, Run, State, apply
from services.runs.undone import with_healthy_masters
from services.steps import Choice, Question
from services.store.edit import retried, too_fast


class Outdated(Refused):
    """What was to be approved cannot happen any more: the run has moved on."""


@dataclass(frozen=True)
class Continuation:
    """A decision on an open run, with the plan of what it would do then and the look behind it."""

    run: Run
    event: Resumed | Answered
    plan: Plan
    cluster: Cluster

    @property
    def act(self) -> Act:
        """What an approval of it is for."""
        if isinstance(self.event, Resumed):
            return Act(self.run.id)
        choice = self.event.choice
        return Act(
            self.run.id,
            self.event.question,
            choice,
            self.run.labels.get((self.event.question, choice), choice),
        )


@dataclass(frozen=True)
class Uncovered:
    """The run has not continued: this is not covered by what it rests on, and has to be approved.

    `differs`: in what, in words.
    """

    onward: Continuation
    differs: str


class RunControl:
    """Takes decisions on open runs.

    `tell`: takes where the run stands afterwards; called at once, must not wait.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        journal: Journal,
        clock: Clock,
        reader: ClusterReader,
        guards: ChangeGuards,
        approvals: Approvals,
        accounts: Accounts,
        driver: RunDriver,
        tell: Callable[[Progress], None],
    ) -> None:
        self._clusters = clusters
        self._journal = journal
        self._clock = clock
        self._reader = reader
        self._guards = guards
        self._approvals = approvals
        self._accounts = accounts
        self._driver = driver
        self._tell = tell

    def drive(self, run: Run) -> None:
        """Have the run driven by this process."""
        self._driver.drive(run.cluster, run.id)

    async def cancel(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Cancel the run: it stops at its next safe point."""
        run = await self._operable(run_id, actor)
        if run.cancel is not None:
            raise Refused(
                f"{run.cancel.mention} has already cancelled {run.id}; "
                "it stops at the next safe point"
            )
        if run.state is State.STOPPED:
            raise Refused(f"{run.id} is paused: resume or abandon it instead")
        return await self._say(
            run,
            CancelAsked(
                self._clock.now(), actor, self._why(run, DecisionKind.CANCEL, actor, reason)
            ),
        )

    async def resume(self, run_id: str, actor: Actor, reason: str = "") -> Outcome:
        """Go on with a stopped run, from the first step that is not done now.

        Files a request for approval of what the run's own approval does not cover.
        """
        run = await self._stopped(run_id, actor)
        why = self._why(run, DecisionKind.TAKE_OVER, actor, reason)
        await self._guards.must_not_be_held(run.cluster)
        resumed = Resumed(self._clock.now(), actor, run.position, reason=why)
        return await self._went_on(await self._covered(await self._onward(run, resumed)), actor)

    async def _went_on(self, result: "Run | Uncovered", actor: Actor) -> Outcome:
        """Have the run driven; or file a request for what it would do next."""
        if isinstance(result, Run):
            self.drive(result)
            return Started(result)
        onward, run = result.onward, result.onward.run
        rules = self._clusters.rules(run.cluster)
        verdict = raise_if_denied(authorize(onward.plan, actor, rules))
        glass, reason, channel = _breaks_glass(run, actor, rules), run.reason, run.channel
        new = self._approvals.new(onward.plan, actor, rules, verdict, reason, channel, glass=glass)
        request = replace(new, act=onward.act, differs=result.differs)
        await self._approvals.file(request)
        return WaitingForApproval(request)

    async def abandon(self, run_id: str, actor: Actor, reason: str = "") -> Run:
        """Give up a stopped run: nothing more is done, and the cluster is unlocked."""
        run = await self._stopped(run_id, actor)
        stays = "; ".join(run.stays_done) or "nothing was changed"
        why = self._why(run, DecisionKind.ABANDON, actor, reason)
        return await self._say(
            run, Ended(self._clock.now(), State.ABANDONED, f"{stays}; {run.stopped}", actor, why)
        )

    async def make_way(self, run: Run, window: Actor, why: str) -> Run:
        """End a window's closing for an opening: abandon it if it has stopped, else cancel it."""
        now = self._clock.now()
        if run.state is not State.STOPPED:
            if run.cancel is not None:
                return run
            return await self._say(run, CancelAsked(now, window, why))
        stays = "; ".join(run.stays_done) or "nothing was changed"
        return await self._say(
            run, Ended(now, State.ABANDONED, f"{stays}; {run.stopped}", window, why)
        )

    async def before(self, decision: DecisionKind, run_id: str, actor: Actor) -> Run:
        """The run that would be decided on. Refused as the decision itself would be."""
        if decision is DecisionKind.CANCEL:
            return await self._operable(run_id, actor)
        return await self._stopped(run_id, actor)

    def _why(self, run: Run, decision: DecisionKind, actor: Actor, reason: str) -> str:
        return reason_of(reason, decision, actor, run.requester, self._clusters.rules(run.cluster))

    async def answer(self, run_id: str, question_id: str, choice_id: str, actor: Actor) -> Outcome:
        """Take one answer to a run's question.

        A choice that loses something needs an approver other than the requester.
        """
        result = await self._answer(run_id, question_id, choice_id, actor)
        return await self._went_on(result, actor)

    async def _answer(
        self, run_id: str, question_id: str, choice_id: str, actor: Actor
    ) -> "Run | Uncovered":
        run = await self._operable(run_id, actor, or_approver=True)
        question = self._open_question(run, question_id)
        choice = _choice(question.choices, choice_id)
        event = Answered(self._clock.now(), question_id, choice_id, actor)
        if not choice.loses and (choice.ends or choice.wait is not None):
            return await self._say(run, event)  # takes nothing from anyone
        onward = await self._onward(run, event)
        if choice.loses:
            return await self._lose(onward, question, choice, actor)
        return await self._covered(onward)

    def _open_question(self, run: Run, question_id: str) -> Question:
        """The question of that id, while it is open.

        Refused with who answered it, and what is asked now.
        """
        question = run.question
        if question is not None and question.id == question_id:
            return question
        last = next(
            (a for a in reversed(run.answers) if a.question == question_id and a.by is not None),
            None,
        )
        who, now = "it was closed without an answer", ""
        if last and last.by:
            who = f"{last.by.mention} answered it {duration(self._clock.now() - last.at)} ago"
        if question is not None:
            now = f" The open question is now: {question.text}"
        raise Refused(f"this question is no longer open: {who}. Your press changed nothing.{now}")

    async def _look(self, run: Run) -> Cluster:
        """The cluster as it is now, as far as the run's steps need it.

        Refused while it is on hold.
        """
        await self._guards.must_not_be_held(run.cluster, glass=run.glass)
        needs = EVERYTHING.union(*(s.needs for s in run.steps))
        return await self._reader.look_patiently(run.cluster, needs)

    async def _onward(self, run: Run, event: Resumed | Answered) -> Continuation:
        """What the run would do after that decision, by a look at the cluster as it is."""
        cluster = await self._look(run)
        if cluster.problem:
            raise Refused(f"{run.id} cannot continue: {cluster.problem}")
        if isinstance(event, Resumed):
            event = replace(event, step=_from_where(run, cluster))
            _must_have_a_way(run, event.step, cluster)
        return Continuation(
            run,
            event,
            plan_remaining(cluster, run.plan.procedure, apply(run, event).to_come),
            cluster,
        )

    async def _covered(self, onward: Continuation) -> Run | Uncovered:
        """Go on, where the run's approval covers it."""
        run = onward.run
        rules = self._clusters.rules(run.cluster)
        if impacts(onward.plan, rules):
            await self._guards.must_not_be_held(run.cluster)
        given = of_run(run)
        given = replace(
            given,
            requester=await self._accounts.last_known(given.requester),
            approvers=await self._as_known(given.approvers),
        )
        different = differences(given, onward.plan, rules, self._clock.now())
        if different:
            return Uncovered(onward, difference_words(different))
        return await self._say(run, onward.event, held=bool(impacts(onward.plan, rules)))

    async def _as_known(self, people: Iterable[Actor]) -> tuple[Actor, ...]:
        return tuple([await self._accounts.last_known(a) for a in people])

    async def _lose(
        self, onward: Continuation, question: Question, choice: Choice, actor: Actor
    ) -> Run:
        """Take an answer that loses something: it needs as many approvals as ending meetings."""
        run, now = onward.run, self._clock.now()
        rules = self._clusters.rules(run.cluster)
        glass = _breaks_glass(run, actor, rules)
        if not glass:
            raise_if_denied(may_approve(actor, run.requester, rules))
            raise_if_denied(may_approve_now(rules))
        await self._guards.must_not_be_held(run.cluster)
        await self._must_be_as_shown(onward, question, rules)
        voters: tuple[Actor, ...] = ()
        if not glass:
            needs = rules.approvals_needed(
                (
                    *impacts(run.shown, rules),
                    *impacts(onward.plan, rules),
                    PolicyImpact.MEETINGS_CUT,
                )
            )
            voters = await self._voters(run, question, Vote(actor, choice.id, now), needs, rules)
        assert isinstance(onward.event, Answered), "only answers lose something"
        plan = _as_named(onward.plan, run.shown, question)
        return await self._say(run, replace(onward.event, plan=plan, approvers=voters), held=True)

    async def _voters(
        self, run: Run, question: Question, vote: Vote, needs: int, rules: ClusterPolicy
    ) -> tuple[Actor, ...]:
        """Everyone who voted for that answer, once they are enough.

        Refused with how many are missing.
        """
        if not count_approvals((vote.by.user,), needs, rules).left:
            return (vote.by,)
        votes = await self._journal.vote(run, question.id, vote)
        votes = tuple(
            [
                v if v == vote else replace(v, by=await self._accounts.last_known(v.by))
                for v in votes
            ]
        )
        voters = counting_votes(votes, vote.choice, run.requester, rules, self._clock.now())
        left = count_approvals([v.user for v in voters], needs, rules)
        if not left.left:
            return voters
        more, of = f"{left.left} more people", ""
        if left.left == 1:
            more = "one more person"
        if left.lacks:
            of = f", of {join_words(map(user_group, left.lacks))}"
        raise Refused(
            f"your vote was counted. This ends meetings or loses data, so {more}{of} must press "
            "the same button. Nothing was changed yet"
        )

    async def _must_be_as_shown(
        self, onward: Continuation, question: Question, rules: ClusterPolicy
    ) -> None:
        """Refuse, and ask with the current state, where more would be lost than the card shows."""
        run, step = onward.run, onward.run.step
        now = step.timeout_question(onward.cluster) if step is not None else None
        if now is None or now.kind != question.kind:
            now = None if question.stake is not None or question.unseen else question
        grown = stake_grew(question, now, rules)
        if not grown:
            return
        if now is not None:
            await self._journal.ask_again(run, run.asking(now))
            self._tell(
                Progress(await self._journal.refresh(run), None, "", None, "", self._clock.now())
            )
        raise Refused(
            f"your answer was not accepted, because the situation changed: {grown}. "
            "The question is now posted with the current state"
        )

    # What a request is approved for

    async def plan_continuation(self, act: Act, actor: Actor) -> Continuation:
        """What an act on a run would do now. Outdated when the run has moved on."""
        run = await self._journal.run(act.run)
        if is_outdated(run, act):
            raise Outdated(
                f"{run.id} has moved on and is now {run.state}. Nothing was changed by this request"
            )
        now = self._clock.now()
        event = (
            Answered(now, act.question, act.choice, actor)
            if act.question
            else Resumed(now, actor, run.position)
        )
        return await self._onward(run, event)

    async def continue_run(self, onward: Continuation, before: Request, after: Request) -> Run:
        """Do it under the approval of that request, which is consumed."""
        event = replace(onward.event, plan=onward.plan, approvers=after.approvals, request=after.id)
        return await self._say(onward.run, event, held=True, request=(before, after))

    async def _operable(self, run_id: str, actor: Actor, *, or_approver: bool = False) -> Run:
        self._clusters.check_read_run(run_id, actor)
        run = await self._journal.run(run_id)
        rules = self._clusters.rules(run.cluster)
        if rules.closed:
            raise Refused(rules.closed)
        if not (or_approver and not actor.outsider and actor.user in rules.approvers):
            raise_if_denied(
                may_decide(
                    actor,
                    rules,
                    run.plan.procedure.required_classes(),
                    window=run.requester.is_window,
                )
            )
        if run.over:
            by = ""
            if run.ended_by:
                by = f" by {run.ended_by.mention}"
            raise Refused(
                f"{run.id} is over: {run.state.words}{by} "
                f"{duration(self._clock.now() - run.ended_at)} ago"
            )
        return run

    async def _stopped(self, run_id: str, actor: Actor) -> Run:
        run = await self._operable(run_id, actor)
        if run.state is not State.STOPPED:
            raise Refused(
                f"{run.id} is {run.state}, not paused. Cancel it with [[command cancel {run.id}]]"
            )
        return run

    async def _say(
        self,
        run: Run,
        event: CancelAsked | Answered | Resumed | Ended,
        *,
        held: bool = False,
        request: tuple[Request, Request] | None = None,
    ) -> Run:
        """Journal the decision.

        `held`: refused while the cluster is on hold; `request`: consumed by it, as (before, after).
        """
        if not isinstance(event, Ended) and run.plan.procedure.changes_cluster:
            self._clusters.must_operate_here(f"a decision about {run.id}, which is not driven now")

        async def attempt() -> Run | None:
            checks = None
            if held:
                checks = await self._guards.must_not_be_held(run.cluster)
            done = await self._journal.append_decision(run, event, checks, request)
            current = await self._journal.refresh(run)
            if done:
                return current
            if current.events != run.events or await self._was_changed(request):
                raise Refused(f"someone else decided first: {run.id} is now {current.state}")
            return None

        current = await retried(attempt, too_fast(f"the journal of {run.id}"))
        self._tell(Progress(current, None, "", None, "", self._clock.now()))
        return current

    async def _was_changed(self, request: tuple[Request, Request] | None) -> bool:
        if request is None:
            return False
        before, _ = request
        return await self._journal.request(before.id) != before


def _breaks_glass(run: Run, actor: Actor, rules: ClusterPolicy) -> bool:
    """Whether this person needs no approvals: the requester of a break-glass run."""
    mine = run.glass and actor.key == run.requester.key
    return mine and may_break_glass(actor, rules).kind is AccessResult.ALLOWED


def _from_where(run: Run, cluster: Cluster) -> int:
    """The step to go on from: the first that is not done now.

    Of the steps reached only those count that no later one was meant to undo.
    """
    meant = cluster
    for index, step in enumerate(run.steps[: run.position]):
        meant = meant if index in run.skipped else step.after(meant)
    for index, step in enumerate(run.steps):
        lasts = index >= run.position or step.is_done(
            meant
        )  # a master that was shut down and started is not shut down again
        if index not in run.skipped and lasts and not step.is_done(cluster):
            return index
    return len(run.steps)


def _as_named(plan: Plan, shown: Plan, question: Question) -> Plan:
    """The remaining plan with the people on the cards: of the approved plan and of the question.

    People who joined since were on no card; a later step that would disconnect them too has to be
    approved again.
    """
    if shown.load is None:
        return replace(plan, load=None, unseen=shown.unseen)
    stake = question.stake
    return plan if stake is None else replace(plan, load=shown.load.plus(stake))


def _must_have_a_way(run: Run, index: int, cluster: Cluster) -> None:
    """Refused where all steps are done and the last one still objects: nothing is left to do."""
    if index < len(run.steps) or run.step is None:
        return
    objection = run.step.blocker(with_healthy_masters(cluster))
    if objection:
        raise Refused(
            f"{run.id} has no steps left, but {objection}. "
            "Abandon it and request the change again: it is then planned from the current state"
        )


def is_outdated(run: Run, act: Act) -> bool:
    """Whether what was to be approved cannot happen any more: the run is not at that point now."""
    if act.question:
        return run.question is None or run.question.id != act.question
    return run.state is not State.STOPPED


def _choice(choices: tuple[Choice, ...], choice_id: str) -> Choice:
    for choice in choices:
        if choice.id == choice_id:
            return choice
    raise Refused("that is not one of the choices")
