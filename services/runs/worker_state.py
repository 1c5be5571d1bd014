"""What the parts of a run's worker share: the run, its lease and clocks, the last look."""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from services.cloud.port import ClusterGateway
from services.cluster.model import Cluster
from services.common.bugs import UnexpectedErrors
from services.common.clock import Clock
from services.common.values import replace
from services.runs.doubts import Doubts, Outage
from services.runs.durations import Durations
from services.runs.journal import Journal
from services.runs.locks import Lease
from services.runs.polling import (
    costs_requests,
    expected_until_seen,
    poll_delay,
    request_delay,
    round_delay,
)
from services.runs.progress import Progress
from services.runs.run import Event, Run, State
from services.runs.watched_time import Watch
from services.steps import Step
from services.steps.results import tally

bugs = UnexpectedErrors(logging.getLogger("services.runs.executor"))
DEFAULT_LOOK = 5.0  # seconds between two looks, before the first one


@dataclass
class StepState:
    """What the worker knows of the step that the run is at."""

    began: tuple[int, float]  # which step: its position, and when it began
    last_good: Cluster | None = None  # the last look that nothing was wrong with
    whole_at: float = 0.0  # when the last whole look was begun
    waits: bool = False  # whether the last whole look showed nothing but that it is to wait
    suspicion: str = ""  # the kind of what the last look seemed to show, until another confirms it
    done_since: float | None = None
    counted_from: float | None = None
    """Seconds watched at its first look, or ask: from then on it gets its usual time."""
    unanswered: tuple[int, float] | None = None
    """A request that got no answer, by its number, and since when it may have taken effect."""
    unanswered_error: str = ""
    doubts: Doubts = field(default_factory=Doubts)
    outages: dict[Hashable, Outage] = field(default_factory=dict)
    """Of the journal, and of each kind of look."""
    internal_error: Outage = field(default_factory=Outage)


class WorkerState:
    """The state of one worker that drives one run; writes events and passes progress on."""

    def __init__(
        self,
        run: Run,
        world: ClusterGateway,
        journal: Journal,
        lease: Lease,
        clock: Clock,
        watch: Watch,
        report: Callable[[Progress], None],
    ) -> None:
        self.run = run
        self.world = world
        self.journal = journal
        self.lease = lease
        self.clock = clock
        self.watch = watch
        self._report = report
        self._durations = Durations(journal, run.cluster)
        self.cluster: Cluster | None = None
        self.step = StepState((run.position, run.step_began))
        self.trouble = ""
        self.doubts = Doubts()
        self.doing: Hashable = None
        """What is being read: the journal, a kind of look, a proof. None: nothing is."""
        self.seen = False  # whether this round has seen the cluster: an unanswered ask is no outage
        self.read = False  # whether this round has read the journal
        self.reminded = 0.0

    def begin_round(self) -> None:
        """Forget what only the last round has read."""
        self.seen = self.read = False
        self.lease.check()

    async def refresh(self) -> None:
        """Read what others have journaled meanwhile."""
        self.doing = "journal"
        self.run = await self.journal.refresh(self.run)
        self.read = True
        began = (self.run.position, self.run.step_began)
        if self.step.began != began:
            self.step = StepState(began)
        self.came_through()

    def came_through(self) -> None:
        """What was being read was read: its outage is over."""
        self.step.outages.pop(self.doing, None)
        self.doing = None

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done by any worker."""
        return self.run.over or self.run.state is State.STOPPED

    @property
    def waits_for_people(self) -> bool:
        """Whether a question is open that nothing may go on beside."""
        return self.run.question is not None and not self.run.question.meanwhile

    @property
    def to_come(self) -> tuple[Step, ...]:
        """The current step and all after it."""
        return self.run.steps[self.run.position :]

    @property
    def stays(self) -> str:
        """What of the run stays done, in words."""
        return "; ".join(self.run.stays_done) or "nothing was changed"

    @property
    def watched(self) -> float:
        """Seconds that the current step was watched, by whichever bot."""
        return self.watch.step.read(self.run.step_began)

    @property
    def look_interval(self) -> float:
        """Seconds between two looks, by the cluster's settings."""
        return self.cluster.timings.look if self.cluster else DEFAULT_LOOK

    def remaining(self, step: Step, cluster: Cluster) -> float:
        """Seconds still to be watched before the step is late.

        The most of what is left of its deadline, of its usual time from now, and of what people
        granted.
        """
        run, watched, deadline = self.run, self.watched, step.deadline(cluster)
        counted = 0.0
        current = self.step.began == (run.position, run.step_began)
        if current and self.step.counted_from is not None:
            counted = watched - self.step.counted_from
        usual = min(step.expected_seconds(cluster), deadline)
        remaining = [deadline - watched, usual - counted]
        if run.wait_from:
            granted = run.wait_until - run.wait_from
            remaining.append(granted - self.watch.wait.read(run.wait_from))
        return max(remaining)

    # Writing and reporting

    async def append(self, event: Event) -> None:
        """Journal the event, and report."""
        self.run = await self.journal.append(self.run, event, self.lease)
        self.report()

    def report(self) -> None:
        """Pass on where the run stands. An error in finding words for it changes nothing else."""
        now = self.clock.now()
        plain = Progress(self.run, self.cluster, "", None, self.trouble, now, self.watched)
        try:
            progress = self._detailed(plain)
        except Exception as error:  # noqa: BLE001 - a step may have no words for an unexpected look
            bugs.log(f"{self.run.id}: cannot describe what it waits for", error)
            progress = plain
        self._report(progress)

    def _detailed(self, plain: Progress) -> Progress:
        """The progress with what the current step waits for, as the last look shows it."""
        step, cluster = self.run.step, self.cluster
        if step is None or cluster is None or self.run.over or not step.needs <= cluster.known:
            return plain
        return replace(
            plain,
            waits_for=step.waits_for(cluster),
            until=plain.at + max(0.0, self.remaining(step, cluster)),
            asks=not step.is_done(cluster) and step.timeout_question(cluster) is not None,
            tally=tally(step, cluster),
        )

    async def pause(self, seconds: float | None = None) -> None:
        """Report, then wait that long; None: as long as suits the step."""
        self.report()
        if seconds is None:
            await self._sleep(await self._until_next_look())
        else:
            await self.clock.sleep(max(seconds, 0.1))

    async def _sleep(self, seconds: float) -> None:
        """Wait that long, or until others journal something: people do not wait for a look."""
        until, events = self.clock.now() + seconds, self.run.events
        while (left := until - self.clock.now()) > 0:
            await self.clock.sleep(min(left, round_delay(self._waited, self.look_interval)))
            if self.clock.now() < until:
                await self.refresh()
                if self.run.events != events:
                    return
                self.report()

    @property
    def _waited(self) -> float:
        return self.clock.now() - max(self.run.step_began, self.run.asked_at)

    async def _until_next_look(self) -> float:
        step, cluster, look = self.run.step, self.cluster, self.look_interval
        if step is None or cluster is None or not step.needs <= cluster.known:
            return self.world.poll_interval(poll_delay(self._waited, 0.0, look))
        usual = await self._durations.usual(step)
        expected, waited = expected_until_seen(step, cluster, usual), self._waited
        if not costs_requests(step, cluster):
            return poll_delay(waited, expected, look)
        # What was asked for again may come of the first request, or of the last.
        began = self.clock.now() - self.run.step_began
        delay = min(
            request_delay(seconds, expected, look, step.timing.not_before)
            for seconds in (waited, began)
        )
        delay = self.world.poll_interval(delay)
        return max(look * 0.1, min(delay, self._until_due(step, cluster)))

    def _until_due(self, step: Step, cluster: Cluster) -> float:
        """Seconds until the step is late, or its request may be due again."""
        due = self.remaining(step, cluster) + 0.1
        pause = step.retry_after(cluster)
        if pause is not None and pause > self._waited:
            due = min(due, pause - self._waited)
        return due if due > 0 else float("inf")
