"""How a run stops before its end: back in a safe state, or left for a person to decide."""

from contextlib import suppress

from services.cluster.model import Cluster, Fact
from services.cluster.service_state import service_state
from services.common.errors import Unreachable
from services.runs.observation import Observation
from services.runs.run import Recovering, Stopped
from services.runs.worker_state import WorkerState
from services.steps import Step


class RunStop:
    """Stops the run of one worker."""

    def __init__(self, state: WorkerState, observation: Observation) -> None:
        self._state = state
        self._observation = observation

    async def give_up(self, reason: str) -> None:
        """Stop where it is; the cluster stays locked until a person decides."""
        with suppress(Unreachable):  # the next round comes to the same
            service = service_state(self._state.cluster)
            await self._state.append(Stopped(self._state.clock.now(), reason, service=service))

    async def stop(self, reason: str, step: Step, cluster: Cluster, brief: str = "") -> None:
        """Recover to a safe state if the procedure has steps for that; else stop where it is.

        `brief`: the reason in a few words.
        """
        state, procedure = self._state, self._state.run.plan.procedure
        if not state.run.recovering and Fact.POOL not in cluster.known:
            # Recovery may need the media nodes, of which this look says nothing.
            cluster = await self._observation.observe(procedure.required_facts | cluster.known)
        now = state.clock.now()
        back: tuple[Step, ...] = ()
        if not state.run.recovering:
            back = tuple(procedure.recover_because(cluster, step, brief or reason))
        if back:
            await state.append(Recovering(now, reason, back, cluster.basis))
        else:
            service = service_state(cluster)
            await state.append(Stopped(now, reason, cluster.basis, brief, service))
