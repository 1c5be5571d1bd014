"""A worker's looks at the cluster. A surprising answer is believed once several looks agree."""

from services.cluster.model import Cluster, Fact
from services.common.errors import Refused, Rejected, Unreachable
from services.common.observed import Unobserved
from services.memory.cluster import ClusterMemory
from services.runs.doubts import Doubtful, doubted
from services.runs.worker_state import WorkerState
from services.steps import Step

PROOF = "proof"  # what is read: that a step disconnects no one who is not on the card


def needs_of(step: Step) -> frozenset[Fact]:
    """What a look for that step is about."""
    # Which droplets are on costs nothing to see, and shows whether an earlier goal still holds.
    return step.needs | {Fact.DROPLETS}


class Observation:
    """Looks, for one worker."""

    def __init__(self, state: WorkerState, memory: ClusterMemory) -> None:
        self._state = state
        self._memory = memory

    async def look(self, step: Step) -> Cluster:
        """Look at what the step needs, and count the time since the last look as watched."""
        state, run = self._state, self._state.run
        cluster = await self.observe(needs_of(step), self._since)
        if not run.asks and not step.is_done(cluster):
            state.doing = PROOF
            if unproved := step.missing_evidence(cluster):
                raise Unreachable(f"“{step.title()}” needs evidence: {unproved}")
            state.came_through()
        self._came_through(cluster)
        return cluster

    async def glance(self, step: Step, aged: frozenset[Fact]) -> Cluster | None:
        """Look in the same way, with the facts in `aged` as they were seen a while ago.

        None where it shows trouble. One answer that is used again must not count as several that
        agree: a whole look is to follow, which counts.
        """
        world, tolerated = self._state.world, self._tolerated
        try:
            cluster = await world.observe(
                needs_of(step), self._since, tolerates=tolerated, aged=aged
            )
        except (Rejected, Unreachable):
            return None
        if cluster.problem:
            return None
        cluster = await self._memory.add_to(cluster)
        self._came_through(cluster)
        return cluster

    def _came_through(self, cluster: Cluster) -> None:
        state, now = self._state, self._state.clock.now()
        state.cluster, state.seen, state.trouble = cluster, True, ""
        state.watch.step.tick(state.run.step_began, now)
        if state.run.wait_from:
            state.watch.wait.tick(state.run.wait_from, now)
        if state.step.counted_from is None:
            state.step.counted_from = state.watched

    @property
    def _since(self) -> float | None:
        """Nothing from before the last request shows what became of it."""
        run = self._state.run
        return run.asked_at if run.asks else None

    @property
    def _tolerated(self) -> frozenset[Fact]:
        """A step that is not about snapshots does not wait for their list."""
        step, tolerated = self._state.run.step, frozenset({Fact.SNAPSHOTS})
        return tolerated - step.needs if step is not None else tolerated

    async def observe(self, needs: frozenset[Fact], since: float | None = None) -> Cluster:
        """Look at these facts.

        Doubtful while a single look says that it is another cluster, or may not be looked at.
        """
        state = self._state
        state.doing = needs
        try:
            cluster = await state.world.observe(needs, since, tolerates=self._tolerated)
        except Rejected as error:
            if state.doubts.seen(needs, state.clock.now()):
                raise
            raise Doubtful(str(error)) from error
        if cluster.problem:
            if state.doubts.seen(needs, state.clock.now()):
                raise Refused(cluster.problem)
            raise Doubtful(doubted(cluster))
        state.doubts.cleared(needs)
        cluster = await self._memory.add_to(cluster)
        state.came_through()
        return cluster

    def must_see_load(self, step: Step, cluster: Cluster) -> None:
        """Unreachable where meetings are not seen that were seen when the plan was approved."""
        if isinstance(cluster.load, Unobserved) and self._state.run.shown.load is not None:
            reason = cluster.load.reason
            raise Unreachable(
                f"“{step.title()}”: the number of people it would disconnect is unknown ({reason})"
            )
