"""Changes that others make during a run: nothing is written until it is clear how to go on."""

from services.cluster.model import Cluster
from services.common.errors import Refused
from services.common.values import replace
from services.procedures.plan import Plan, make_plan
from services.runs.observation import Observation
from services.runs.run import Questioned
from services.runs.stopping import RunStop
from services.runs.undone import undone_goal
from services.runs.worker_state import WorkerState
from services.steps import Choice, Effects, Question, Step


class ExternalChanges:
    """Detects them for one worker, and asks people or plans again."""

    def __init__(self, state: WorkerState, observation: Observation, stopping: RunStop) -> None:
        self._state = state
        self._observation = observation
        self._stopping = stopping

    def wrong(self, step: Step, cluster: Cluster) -> tuple[str, str]:
        """What speaks against going on from this look: its kind, or "", and a sentence."""
        lost = ""
        if self._state.run.question is None:
            lost = undone_goal(self._state.run, cluster)
        if lost:
            return "lost", f"{lost}: changed outside this run"
        if step.is_done(cluster):
            return "", ""
        if changed := self._changed(step, cluster):
            return "other", f"changed outside this run: {changed}"
        if objection := step.blocker(cluster):
            return "objection", f"“{step.title()}” is blocked: {objection}"
        return "", ""

    def _changed(self, step: Step, cluster: Cluster) -> str:
        """Describe an external change of what this step depends on.

        Not checked once our own requests may have caused it.
        """
        state, run = self._state, self._state.run
        if run.question is not None or run.recovering:
            return ""  # a recovery does not ask anyone
        before = state.step.last_good
        if before is not None and (undone := step.reverted(before, cluster)):
            return undone
        basis = run.basis
        if run.asked_at:
            basis = replace(basis, **dict.fromkeys(step.changed_facts))
        return basis.changed(cluster.basis)

    async def suspect(self, kind: str, sentence: str, step: Step, cluster: Cluster) -> None:
        """Ask for nothing more; when a second look shows the same, act on it."""
        state = self._state
        if state.step.suspicion != kind:
            state.step.suspicion = kind
            await state.pause(state.look_interval)
        elif kind == "objection":
            await self._objected(sentence, step, cluster)
        elif kind == "other":
            await self.ask_how_to_go_on(sentence)
        elif state.run.recovering or not await self.ask_how_to_go_on(sentence, objected=True):
            await self._stopping.stop(sentence, step, cluster)

    async def _objected(self, objection: str, step: Step, cluster: Cluster) -> None:
        """Act on an objection: often others added a node, and other steps lead to the end."""
        run = self._state.run
        fresh = not (run.asked_at or run.recovering or run.question)
        if not (fresh and await self.ask_how_to_go_on(objection, objected=True)):
            await self._stopping.stop(objection, step, cluster)

    async def ask_how_to_go_on(self, what: str, *, objected: bool = False) -> bool:
        """Put the question how to go on from the new state.

        False, without a question, when something was `objected` to and no steps lead on from here.
        Steps that only start things are taken without an answer, and posted; the second time people
        are asked.
        """
        run, procedure = self._state.run, self._state.run.plan.procedure
        cluster = await self._observation.observe(procedure.required_facts)
        stop = Choice("stop", "Stop here", ends=f"stopped ({what})")
        try:
            plan = make_plan(cluster, procedure, self._state.to_come)
        except Refused as error:
            if objected:
                return False
            await self._ask(f"{what} ({error})", what, (stop,))
            return True
        if objected and plan.steps and plan.steps[0].blocker(cluster):
            return False
        once = all(not q.default for q in run.asked if q.kind == "other-hand")
        by_itself = objected and once and _only_starts(plan.effects)
        ways = " · ".join(s.title() for s in plan.steps) or "no steps remain"
        if by_itself:
            text, default = f"{what}. The run continues from the new state: {ways}", "continue"
        else:
            text, default = f"{what}. Steps from the new state: {ways}", ""
        await self._ask(text, what, (_continue_with(plan, cluster), stop), default)
        return True

    async def _ask(
        self, what: str, headline: str, choices: tuple[Choice, ...], default: str = ""
    ) -> None:
        text = f"{what}. The run has changed nothing since."
        question = Question("other-hand", text, choices, default=default, headline=headline)
        state = self._state
        await state.append(Questioned(state.clock.now(), state.run.asking(question)))


def _continue_with(plan: Plan, cluster: Cluster) -> Choice:
    return Choice(
        "continue",
        "Continue from new state",
        steps=plan.steps,
        basis=cluster.basis,
        following=plan.following,
    )


def _only_starts(effects: Effects) -> bool:
    """Whether steps take nothing from anyone: they only start things, or there are none."""
    return replace(effects, adds=0) == Effects()
