"""A worker's requests to change the cluster: when one is due, and what follows from its answer."""

from dataclasses import replace

from services.cluster.model import Cluster
from services.common.errors import Refused, Rejected, Unreachable
from services.memory.cluster import ClusterMemory
from services.procedures.plan import make_plan
from services.runs.doubts import Doubtful, Doubts, is_glitch
from services.runs.drain_ledger import DrainLedger
from services.runs.ended_meetings import ended_meetings
from services.runs.external_changes import ExternalChanges
from services.runs.fence import RunFence
from services.runs.observation import Observation
from services.runs.run import Answered, Asked, Noted, Questioned
from services.runs.stopping import RunStop
from services.runs.worker_state import WorkerState
from services.steps import Question, Step


class StepAsks:
    """Asks for the steps of one worker's run.

    An ask has a number: 0 is the first, 1 and up are retries.
    """

    def __init__(
        self,
        state: WorkerState,
        observation: Observation,
        stopping: RunStop,
        changes: ExternalChanges,
        drains: DrainLedger,
        memory: ClusterMemory,
    ) -> None:
        self._state = state
        self._observation = observation
        self._stopping = stopping
        self._changes = changes
        self._drains = drains
        self._memory = memory

    def due(self, step: Step, cluster: Cluster) -> int | None:
        """The number of the ask that is due; None when there is nothing to ask for now."""
        run, unanswered = self._state.run, self._state.step.unanswered
        if unanswered is not None:
            return _if_needed(step, cluster, unanswered[0])
        if run.asks == 0 and step.needs_ask(cluster, 0):
            return 0
        pause = step.retry_after(cluster)
        asked_at = max(run.asked_at, run.step_began)
        if pause is None or self._state.clock.now() - asked_at < pause:
            return None
        return _if_needed(step, cluster, max(run.asks, 1))

    def unsent(self, step: Step, cluster: Cluster) -> int | None:
        """The ask that may never have been sent; None when every one was.

        A bot may have crashed over it, or none was running.
        """
        run = self._state.run
        if run.asks == 0 and step.needs_ask(cluster, 0):
            return 0
        if not run.unsure:
            return None
        return _if_needed(step, cluster, max(run.asks, 1))

    def _since(self, number: int) -> float | None:
        """Since when an earlier ask may have taken effect although its answer was lost."""
        run, unanswered = self._state.run, self._state.step.unanswered
        if unanswered is not None:
            return unanswered[1]
        if number:
            return run.asked_at if run.unsure else None
        return run.step_began if run.asked_at else None

    async def ask(self, step: Step, cluster: Cluster, number: int) -> bool:
        """Journal it, then ask. False when the answer changed what the run does next."""
        state, here, since = self._state, self._state.step, self._since(number)
        if state.run.unsure or not state.run.asks:
            here.counted_from = state.watched
        ends = ended_meetings(state.run, step, cluster)
        await state.append(Asked(state.clock.now(), state.run.position, number, ends))
        requester = state.run.requester.mention
        fence = RunFence(cluster, state.lease, self._drains, self._memory, requester)
        world = state.world.writer(cluster, fence, since)
        # Until an answer came it may have taken effect, whatever comes instead of one.
        began = state.run.asked_at if number else state.run.step_began
        here.unanswered = (number, since or began)
        try:
            await step.request(world, cluster, number)
        except Unreachable as error:
            here.unanswered_error = str(error)
            raise
        except Rejected as error:
            await self._rejected(step, cluster, error)
            return False
        except Refused as error:
            here.unanswered = None
            await self._refused_by_fence(f"“{step.title()}” was refused: {error}", step)
            return False
        here.unanswered, here.unanswered_error, here.doubts = None, "", Doubts()
        return True

    async def _rejected(self, step: Step, cluster: Cluster, error: Rejected) -> None:
        """A rejection that may be a glitch is retried, after a look each time."""
        state = self._state
        if is_glitch(error) and not state.step.doubts.seen("ask", state.clock.now()):
            raise Doubtful(str(error)) from error
        state.step.unanswered = None
        question = step.refusal_question(cluster, error)
        if question is None:
            await self._stopping.stop(f"“{step.title()}” failed: {error}", step, cluster)
            return
        await self._put(state.run.asking(await self._rerouted(step, question)), cluster)

    async def _put(self, question: Question, cluster: Cluster) -> None:
        """Ask people, unless the cluster's policy has the answer already."""
        state = self._state
        await state.append(Questioned(state.clock.now(), question))
        keeps = cluster.zero_policy == "keep_one" and any(c.id == "keep" for c in question.choices)
        if question.kind == "zero-refused" and keeps:
            await state.append(Answered(state.clock.now(), question.id, "keep", None))
            policy = "by policy, 1 drained media node is kept"
            await state.append(Noted(state.clock.now(), f"DigitalOcean refused 0; {policy}"))

    async def _rerouted(self, step: Step, question: Question) -> Question:
        """The question with the steps behind its choice to keep one media node planned again."""
        procedure, choices = self._state.run.plan.procedure, question.choices
        if all(c.id != "keep" for c in choices):
            return question
        cluster = await self._observation.observe(procedure.required_facts)
        keeping = replace(cluster, zero_refused=True, zero_policy="keep_one")
        try:
            plan = make_plan(keeping, procedure, self._state.to_come)
        except Refused:
            return replace(question, choices=tuple(c for c in choices if c.id != "keep"))
        keep = step.reroute(plan.steps)
        rerouted = [replace(c, steps=keep) if c.id == "keep" else c for c in choices]
        return replace(question, choices=tuple(rerouted))

    async def _refused_by_fence(self, reason: str, step: Step) -> None:
        """The fence refused the write: most often because others changed the cluster."""
        cluster = await self._observation.look(step)
        run, changed = self._state.run, ""
        if not (run.recovering or run.question):
            changed = run.basis.changed(cluster.basis)
        if changed:
            await self._changes.ask_how_to_go_on(f"changed outside this run: {changed}")
        else:
            await self._stopping.stop(reason, step, cluster)


def _if_needed(step: Step, cluster: Cluster, number: int) -> int | None:
    return number if step.needs_ask(cluster, number) else None
