"""Drives runs to their end: look, ask, look again.

Cancels, deadlines, questions and progress are handled here, for every step.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from services.cloud.port import ClusterGateway
from services.cluster.model import NOTHING_KNOWN, Basis, Cluster, Fact
from services.cluster.service_state import ServiceState, service_state
from services.common.clock import Clock
from services.common.errors import Refused, Rejected, Superseded, Unreachable
from services.memory.cluster import ClusterMemory
from services.runs.asks import StepAsks
from services.runs.drain_ledger import DrainLedger
from services.runs.external_changes import ExternalChanges
from services.runs.journal import Journal
from services.runs.locks import Lease, LeaseKeeper, Locks
from services.runs.observation import Observation, needs_of
from services.runs.outages import OutageHandler
from services.runs.polling import REQUESTS
from services.runs.progress import Watcher
from services.runs.questions import StepQuestions
from services.runs.room_messages import RoomMessages
from services.runs.run import Answered, Ended, Noted, Reached, Run, State, Taken
from services.runs.run_messages import RunMessages
from services.runs.stopping import RunStop
from services.runs.watched_time import Stopwatch, Watch
from services.runs.worker_state import WorkerState
from services.steps import Step

log = logging.getLogger(__name__)
ANEW = "Press Resume run to request approval for the current state"
Beyond = Callable[[Run, Step, Cluster, float], str]
"""Why a step must not be asked for now: it does what was not on the approved card; else ""."""


class Executor:
    """Takes runs, one lease each, and drives them."""

    def __init__(
        self,
        worlds: dict[str, ClusterGateway],
        journal: Journal,
        locks: Locks,
        drains: DrainLedger,
        memory: ClusterMemory,
        clock: Clock,
        watch: Watcher,
        beyond: Beyond,
        rooms: RoomMessages,
    ) -> None:
        self._rooms = rooms
        self._worlds = worlds
        self._journal = journal
        self._locks = locks
        self._drains = drains
        self._memory = memory
        self._clock = clock
        self._watch = watch
        self._beyond = beyond

    async def drive(self, run_id: str, wait: float = 0.0) -> None:
        """Drive a run until it ends, stops, or another worker takes it.

        Does nothing if another worker has its lease, and keeps it for `wait` seconds.
        """
        lease = await self._locks.take_within(run_id, wait)
        if lease is None:
            return
        try:
            async with LeaseKeeper(lease):
                run = await self._journal.run(run_id)
                if run.over or run.state is State.STOPPED:
                    return
                watch = _watch(run, lease)
                run = await self._journal.append(run, self._taken(run, lease, watch), lease)
                await self._worker(run, lease, watch).work()
        except Superseded as error:
            log.info("%s: %s", run_id, error)

    def _taken(self, run: Run, lease: Lease, watch: Watch) -> Taken:
        watched, again = watch.step.read(run.step_began), run.takes > 0
        now, worker = self._clock.now(), self._locks.worker
        return Taken(now, worker, lease.epoch, again=again, watched=watched)

    def _worker(self, run: Run, lease: Lease, watch: Watch) -> "RunWorker":
        world = self._worlds[run.cluster]
        state = WorkerState(run, world, self._journal, lease, self._clock, watch, self._watch)
        return RunWorker(state, self._drains, self._memory, self._beyond, self._rooms)


def _watch(run: Run, lease: Lease) -> Watch:
    """The clocks as the last worker left them: beside its lease, or in the journal."""
    watch = Watch(lease.watch_record)
    watched = max(run.watched, watch.step.read(run.step_began))
    watch.step = Stopwatch(run.step_began, watched)
    lease.make_watch_record = watch.record
    return watch


class RunWorker:
    """Drives one run, one round after the other."""

    def __init__(
        self,
        state: WorkerState,
        drains: DrainLedger,
        memory: ClusterMemory,
        beyond: Beyond,
        rooms: RoomMessages,
    ) -> None:
        self._state = state
        self._beyond = beyond
        self._observation = Observation(state, memory)
        self._stopping = RunStop(state, self._observation)
        self._outages = OutageHandler(state, self._stopping)
        self._changes = ExternalChanges(state, self._observation, self._stopping)
        self._questions = StepQuestions(state, self._observation, self._stopping)
        self._messages = RunMessages(state, rooms)
        self._asks = StepAsks(
            state, self._observation, self._stopping, self._changes, drains, memory
        )

    async def work(self) -> None:
        """Take step after step, until the run ends or stops.

        Waits for an unreachable state store while the lease lasts.
        """
        state = self._state
        state.report()
        while not state.finished:
            try:
                await self._round()
                state.step.internal_error.over()
            except Superseded:
                raise
            except Unreachable as error:
                await self._outages.unreachable(error)
            except (Rejected, Refused) as error:
                await self._stopping.give_up(str(error))
            except Exception as error:
                # Whatever it is, it stops this run only, and only after an hour.
                if not state.read:
                    raise  # the journal itself: nothing can be written about that
                await self._outages.internal(error)
        state.report()

    async def _round(self) -> None:
        state = self._state
        state.begin_round()
        await state.refresh()
        run = state.run
        if run.question is not None:
            state.watch.question.tick(run.question_at, state.clock.now())
        if state.finished:
            return
        if run.step is None:
            await state.append(await self._end())
        elif run.leaving:
            now = state.clock.now()
            await state.append(
                Ended(now, State.LEFT, run.leaving, run.left_by, service=self._service())
            )
        elif run.cancel is not None and self._may_end(run.step):
            now = state.clock.now()
            await state.append(
                Ended(now, State.CANCELLED, state.stays, run.cancel, service=self._service())
            )
        elif state.waits_for_people:
            state.watch.interrupt()
            await self._questions.remind()
            await state.pause()
        else:
            await self._take(run.step)

    async def _end(self) -> Ended:
        """The event that all steps are done; after a recovery with what was not restored."""
        state, run = self._state, self._state.run
        if not run.recovering:
            return Ended(state.clock.now(), State.DONE, "", service=self._service())
        procedure = run.plan.procedure
        cluster = await self._observation.observe(procedure.required_facts)
        left = procedure.remainder_after_rollback(run.plan.basis, cluster)
        texts = "; ".join(t for t in (run.recovering, left) if t)
        service = service_state(cluster)
        return Ended(state.clock.now(), State.ROLLED_BACK, texts, service=service)

    def _service(self) -> ServiceState | None:
        """Whether people can meet, as far as the last look shows it. An end waits for no look."""
        return service_state(self._state.cluster)

    def _may_end(self, step: Step) -> bool:
        """Whether a cancel may take effect here: not between two steps that belong together."""
        state, run = self._state, self._state.run
        if state.waits_for_people:
            return True
        taken = [s for i, s in enumerate(run.steps[: run.position]) if i not in run.skipped]
        waypoints = [s for s in taken if s.is_waypoint]
        if state.cluster is not None:
            between = any(s.is_done(state.cluster) for s in waypoints)
        else:
            between = bool(waypoints) and waypoints[-1] is run.steps[run.position - 1]
        return not between and (step.interruptible or run.asks == 0)

    async def _take(self, step: Step) -> None:
        """Look once and act on it: the step is done, wrong, late, or to be asked for."""
        state, here = self._state, self._state.step
        if await self._still_waits(step):
            await self._questions.remind()
            await state.pause()
            return
        here.whole_at = state.clock.now()
        cluster = await self._observation.look(step)
        kind, sentence = self._changes.wrong(step, cluster)
        if not kind and step.is_done(cluster):
            await self._seen_done(step, cluster)
            return
        here.done_since = None
        if kind:
            await self._changes.suspect(kind, sentence, step, cluster)
            return
        here.suspicion, here.last_good = "", cluster
        late, number = self._questions.late(step, cluster), self._asks.unsent(step, cluster)
        if late and number is None:
            await self._questions.overdue(step, cluster)
            return
        if not late:
            number = self._asks.due(step, cluster)
        if number is not None and not await self._ask(step, cluster, number):
            return
        await self._messages.before_deadline(step, cluster)
        here.waits = True
        await self._questions.remind()
        await state.pause()

    async def _still_waits(self, step: Step) -> bool:
        """Look only at that in which progress shows. True when nothing is to be done about it yet.

        All else is as it was seen a while ago, so this look decides nothing but to wait: whatever
        it shows, that the step is done, wrong, late or to be asked for, a whole look decides.
        """
        state, here = self._state, self._state.step
        before, may_glance, here.waits = here.last_good, here.waits, False
        if before is None or not may_glance or here.unanswered or state.run.unsure:
            return False
        if state.clock.now() - here.whole_at >= step.whole_look_every:
            return False
        aged = needs_of(step) - step.watched_facts(before)
        if REQUESTS.isdisjoint(aged):
            return False
        cluster = await self._observation.glance(step, aged)
        if cluster is None or _fell_silent(before, cluster):
            return False
        if self._changes.wrong(step, cluster)[0] or step.is_done(cluster):
            return False
        if self._questions.late(step, cluster) or self._asks.due(step, cluster) is not None:
            return False
        if self._messages.is_due(step, cluster):
            return False
        here.last_good, here.waits = cluster, True
        return True

    async def _ask(self, step: Step, cluster: Cluster, number: int) -> bool:
        """Ask for the step, as far as it was approved.

        False when the run does something else next.
        """
        if more := self._beyond_the_card(step, cluster):
            await self._stopping.stop(
                f"“{step.title()}” needs a new approval: {more}", step, cluster
            )
            return False
        if await self._messages.before_request(step, cluster):
            await self._state.refresh()
            if self._state.run.cancel is not None or self._state.finished:
                return True  # cancelled while messages were sent: the next round decides
        return await self._asks.ask(step, cluster, number)

    def _beyond_the_card(self, step: Step, cluster: Cluster) -> str:
        """Why a step is not covered by its approval; Unreachable where this look cannot tell."""
        state = self._state
        difference = self._beyond(state.run, step, cluster, state.clock.now())
        state.doing = Fact.LOAD
        if difference:
            self._observation.must_see_load(step, cluster)
        state.came_through()
        return f"{difference}. {ANEW}" if difference else ""

    async def _seen_done(self, step: Step, cluster: Cluster) -> None:
        """Journal that the step is done, once it was seen so for long enough."""
        state, here, now = self._state, self._state.step, self._state.clock.now()
        confirm_after = step.confirm_after(cluster)
        if here.done_since is None:
            here.done_since = now
            confirmed = False
        else:
            confirmed = now - here.done_since >= confirm_after
        if confirmed or step.is_conclusive(cluster):
            await self._reached(step, cluster)
            return
        await state.pause(confirm_after - (now - here.done_since))

    async def _reached(self, step: Step, cluster: Cluster) -> None:
        state, now = self._state, self._state.clock.now()
        if state.run.question is not None:
            await state.append(Answered(now, state.run.question.id, "", None))
        remark = step.completion_note(cluster)
        if remark and all(n.text != remark for n in state.run.notes):
            disconnects = step.disconnected_others(cluster)
            await state.append(Noted(now, remark, disconnects=disconnects))
        await self._messages.reached(step)
        await state.append(Reached(now, state.run.position, _made(step, cluster)))


def _fell_silent(before: Cluster, now: Cluster) -> bool:
    """Whether a node that answered does no longer: it may be off or deleted."""
    return not _answering(before) <= _answering(now)


def _answering(cluster: Cluster) -> set[int]:
    media = {n.id for n in cluster.media if n.is_observed}
    return media | {m.id for m in cluster.masters if m.is_healthy}


def _made(step: Step, cluster: Cluster) -> Basis | None:
    """What this step leaves; whatever else differs by now is an external change."""
    if not step.changed_facts:
        return None
    edits = {name: getattr(cluster.basis, name) for name in step.changed_facts}
    return replace(NOTHING_KNOWN, **edits)
