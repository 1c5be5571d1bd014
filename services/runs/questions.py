"""A step that is late, and the open question about it: asked, repeated, answered by default."""

from services.cluster.model import Cluster, Fact
from services.common.text import duration
from services.runs.observation import Observation
from services.runs.run import Answered, Noted, Questioned
from services.runs.stopping import RunStop
from services.runs.worker_state import WorkerState
from services.steps import Step

UNWATCHED = 60.0  # seconds; time that no bot watched is mentioned when it was more than this


class StepQuestions:
    """Asks people about the steps of one worker's run."""

    def __init__(self, state: WorkerState, observation: Observation, stopping: RunStop) -> None:
        self._state = state
        self._observation = observation
        self._stopping = stopping

    def late(self, step: Step, cluster: Cluster) -> bool:
        """Whether the step's time is over, and no question is open."""
        return self._state.run.question is None and self._state.remaining(step, cluster) < 0

    async def overdue(self, step: Step, cluster: Cluster) -> None:
        """Ask the step's question; stop the run where it has none."""
        state, question = self._state, step.timeout_question(cluster)
        if question is not None and any(c.loses for c in question.choices):
            # What a choice ends must stand on the card by both witnesses: LiveKit's count beside
            # the nodes' own.
            cluster = await self._observation.observe(step.needs | {Fact.LOAD})
            if step.is_done(cluster):
                return
            question = step.timeout_question(cluster)
        now = state.clock.now()
        if question is not None:
            state.reminded = now
            await state.append(Questioned(now, state.run.asking(question)))
            return
        brief = f"{step.title()} timed out after {duration(state.watched)}"
        await self._stopping.stop(self._timed_out(step, cluster, now), step, cluster, brief)

    def _timed_out(self, step: Step, cluster: Cluster, now: float) -> str:
        state, watched = self._state, self._state.watched
        waiting = f"still waiting for {step.waits_for(cluster)}"
        sentence = f"“{step.title()}” timed out after {duration(watched)}: {waiting}"
        if state.step.unanswered_error:
            sentence += f". The last request got no answer ({state.step.unanswered_error})"
        unwatched = now - state.run.step_began - watched
        if unwatched > UNWATCHED:
            sentence += f". Another {duration(unwatched)} are not counted: no bot was running"
        return sentence

    async def remind(self) -> None:
        """Take the default answer when its time has come; else repeat the question now and then."""
        state, question, now = self._state, self._state.run.question, self._state.clock.now()
        if question is None or state.cluster is None:
            return
        asked_at = state.run.question_at
        # Silence is an answer only while a bot is there to show the question.
        shown_for = state.watch.question.read(asked_at)
        if question.default and shown_for >= question.default_after:
            await state.append(Answered(now, question.id, question.default, None))
            return
        if now - max(state.reminded, asked_at) >= state.cluster.timings.drain_reminder:
            state.reminded = now
            waiting = f"still waiting for an answer, for {duration(now - asked_at)}"
            await state.append(Noted(now, f"{waiting}: {question.text}", waiting=True))
