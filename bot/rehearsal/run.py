"""Plays one run: the bot's own planning and execution, in a simulated world, in virtual time."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bot.rehearsal.direct_api import use_direct_api
from bot.rehearsal.estate import build_world, sold
from bot.rehearsal.in_process import InProcessBucket, InProcessHttp, InProcessShell, PlainCalls
from bot.rehearsal.luck import REFUSED_ZERO, BadLuck, varied
from services.access.clusters import ManagedCluster
from services.access.policy import Actor, ClusterPolicy
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.livekit import LivekitClient
from services.cloud.listings import SharedAccount
from services.cloud.world import ClusterConfig, ClusterWorld
from services.cluster.model import Cluster
from services.common.clock import Clock, loop_clock
from services.common.errors import BotError, Refused
from services.common.observed import Unobserved
from services.operations.assembly import Operations, assemble
from services.operations.rehearsal import Ending, PosedQuestion, Scenario, SimulatedRun
from services.operations.results import Planned, Started, WaitingForApproval
from services.procedures.plan import Plan
from services.runs.authorization import ANY_PLAN
from services.runs.durations import measured
from services.runs.run import Run, State
from services.store.sqlite import SqliteStore
from simulators import virtual
from simulators.cloud import SimulatedMeeting
from simulators.cloud.delays import Delays
from simulators.dice import dice_of
from simulators.environment import SimulatedEnvironment

# The requester and the approver of a rehearsal: no one of the real world.
ASKS, APPROVES = Actor("UREQUESTER", name="requester"), Actor("UAPPROVER", name="approver")
TOKEN = "dop_v1_simulated"  # noqa: S105 - of a world without an account
API = "https://api.digitalocean.com"
# Seconds between two looks of a run with bad luck: that much later it notices what comes early or
# late, and costs half as much. The run as expected looks as often as the bot does.
LOOK = 20.0
# How long a question stays unanswered here, and how long a run may take before it is left.
PATIENCE, HORIZON = 900.0, 10 * 3600.0
CALM = 30.0  # seconds between the end of the trouble and Resume
RESUMED_WITHIN = 2 * 3600.0
# Assumed where no closing of this cluster was recorded: a meeting lasts this much longer, median
# and sigma of a log-normal. One in twenty goes on for more than two hours.
MEDIAN, SIGMA = 22 * 60.0, 1.1
ENOUGH = 5  # recorded closings from which that is drawn instead
MEAN_MEETING = 33.0  # minutes, of a meeting of these lengths
TRAFFIC = 40.0  # meetings an hour, at most


@dataclass(frozen=True)
class Outcome:
    """How a run ended, with the plan it was made from and the seconds of its kinds of steps."""

    run: SimulatedRun
    plan: Plan
    steps: Mapping[str, float] = field(default_factory=dict)


def play_run(
    scenario: Scenario, number: int | None, delays: Delays, calibrated: frozenset[str], about: float
) -> Outcome:
    """Play one run. `number`: its bad luck; None for none. `about`: its expected seconds.

    Refused: the plan is refused. `calibrated`: the durations that this cluster's runs measured.
    """
    with sold(scenario.cluster):
        return virtual.run(_Play(scenario, number, delays, calibrated, about).play())


class _Play:
    """One run in its world."""

    def __init__(
        self,
        scenario: Scenario,
        number: int | None,
        delays: Delays,
        calibrated: frozenset[str],
        about: float,
    ) -> None:
        self.scenario, self.number, self.about = scenario, number, about
        self.dice = dice_of(f"world {scenario.seed}/{number}")
        if number is not None:
            delays = varied(delays, self.dice, calibrated)
        self.delays = delays
        self.stack = scenario.cluster.stack
        self.look = scenario.cluster.timings.look if number is None else LOOK
        self.luck: BadLuck | None = None
        self.gap = self.dark = 0.0

    async def play(self) -> Outcome:
        scenario = self.scenario
        seed = scenario.seed * 1000 + (self.number or 0)
        self.world = build_world(scenario, seed, self.delays)
        self.estate = self.world.estate
        self._end_meetings()
        clock = loop_clock(scenario.at)
        operations = operations_of(scenario.cluster, self.world, clock, self.look)
        await _remember(operations, scenario.cluster)
        try:
            return await self._run(operations)
        finally:
            if self.luck is not None:
                await self.luck.end()
            await operations.aclose()

    async def _run(self, operations: Operations) -> Outcome:
        scenario = self.scenario
        run, plan = await _begin(operations, scenario)
        if run is None:
            return Outcome(SimulatedRun(Ending.DONE, 0.0), plan)
        if self.number is not None:
            self.luck = BadLuck(scenario.seed, self.number, self.world, self.stack, self.about)
            self.luck.strike(immune=_immune(scenario.cluster))
        run, ending = await self._follow(operations, run)
        now = scenario.at + self._time()
        ended = run.ended_at or run.stopped_at or now
        if ending is Ending.ASKS:
            ended = run.question_at
        outcome = SimulatedRun(
            ending,
            max(0.0, ended - run.opened_at),
            tuple(PosedQuestion(q.kind, q.headline or q.text) for q in run.asked),
            run.stopped_brief or run.stopped,
            type(run.step).__name__ if run.step is not None else "",
            disconnected=self._disconnected(),
            gap=self.gap,
            serves=bool(self.estate.serving(self.stack)),
            luck=self.luck.kinds if self.luck is not None else (),
        )
        if ending is Ending.STOPS:
            outcome = replace(outcome, resumed=await self._resume(operations, run))
        return Outcome(outcome, plan, measured([run]))

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    async def _follow(self, operations: Operations, run: Run) -> tuple[Run, Ending]:
        """Wait for the end of a run, or until it waits for people."""
        until, asked = self._time() + HORIZON, 0.0
        while True:
            await asyncio.sleep(self.look)
            self._watch()
            run = await operations.journal.run(run.id)
            if run.over:
                return run, _ending(run)
            if run.state is State.STOPPED:
                return run, Ending.STOPS
            question = run.question
            if question is None:
                asked = 0.0
            else:
                asked += self.look
                patience = max(PATIENCE, question.default_after if question.default else 0.0)
                if asked > patience:
                    return run, Ending.ASKS
            if self._time() > until:
                return run, Ending.WAITS

    def _watch(self) -> None:
        """Note how long no new meeting can be opened."""
        self.estate.settle()
        if self.estate.serving(self.stack):
            self.dark = 0.0
        else:
            self.dark += self.look
            self.gap = max(self.gap, self.dark)

    async def _resume(self, operations: Operations, run: Run) -> bool:
        """Return whether Resume brings the run to its end once the trouble is over."""
        if self.luck is not None:
            await self.luck.end()
        await asyncio.sleep(CALM)
        with suppress(BotError):
            outcome = await operations.service.resume(run.id, ASKS)
            if isinstance(outcome, WaitingForApproval):
                await operations.service.approve(outcome.request.id, APPROVES)
            until = self._time() + RESUMED_WITHIN
            while self._time() < until:
                await asyncio.sleep(self.look)
                run = await operations.journal.run(run.id)
                if run.over:
                    return run.state in (State.DONE, State.ROLLED_BACK)
                if run.state is State.STOPPED:
                    return False
        return False

    def _disconnected(self) -> int:
        """Return how many people lost their meeting by what the operator of this world did."""
        return sum(
            loss.people
            for loss in self.estate.losses
            if loss.cause is None or loss.cause.who == "operator"
        )

    # Meetings

    def _end_meetings(self) -> None:
        """Schedule when each meeting ends; others begin where they can."""
        meetings = self.estate.meetings_of(self.stack)
        longest = self._remaining()
        for index, meeting in enumerate(meetings):
            seconds = self._of_one(index, len(meetings), longest)
            self._end_after(meeting, seconds)
        rate = min(TRAFFIC, len(meetings) * 60.0 / MEAN_MEETING)
        if rate:
            self.estate.traffic(self.stack, rate)

    def _end_after(self, meeting: SimulatedMeeting, seconds: float) -> None:
        with self.estate.timeline.caused_by("world", "people leave"):
            self.estate.timeline.after(seconds, lambda: self.estate.people.end(meeting))

    def _remaining(self) -> float | None:
        """Return how long the last meeting goes on as past closings have it; None: not known."""
        endings = sorted(self.scenario.endings)
        if len(endings) < ENOUGH:
            return None
        if self.number is None:
            return endings[len(endings) // 2]
        # Between two that were recorded, and a little beyond them.
        at = self.dice.uniform(-0.5, len(endings) - 0.5)
        low = endings[max(0, math.floor(at))]
        high = endings[min(len(endings) - 1, math.ceil(at))]
        return self.dice.uniform(low, high) * self.dice.uniform(0.9, 1.15)

    def _of_one(self, index: int, number: int, longest: float | None) -> float:
        if longest is not None:
            share = self.dice.random() if self.number is not None else index / number
            return max(1.0, longest * (share if index else 1.0))
        if self.number is None:
            return MEDIAN
        return MEDIAN * math.exp(self.dice.gauss(0.0, SIGMA))


def _immune(cluster: Cluster) -> frozenset[str]:
    """Return the bad luck that this account is known not to have."""
    return frozenset({REFUSED_ZERO} if cluster.account.answer("zero") == "accepted" else ())


def _ending(run: Run) -> Ending:
    return Ending.DONE if run.state is State.DONE else Ending.ROLLED_BACK


def operations_of(
    cluster: Cluster, world: SimulatedEnvironment, clock: Clock, look: float
) -> Operations:
    """Return the bot's parts that a run needs, connected to the simulated world."""
    stack = world.estate.clusters[cluster.stack]
    api = DigitalOceanClient(TOKEN, endpoint=API, clock=clock)
    world.digitalocean.tokens = {TOKEN}
    calls = PlainCalls()
    use_direct_api(api, TOKEN, world.digitalocean.handle, calls.call, alone=True)
    http = InProcessHttp(world)
    livekit = world.livekit[cluster.stack]
    people = None
    if not (isinstance(cluster.load, Unobserved) and "not configured" in cluster.load.reason):
        url = f"https://{stack.domain}"
        people = LivekitClient(url, livekit.api_key, livekit.api_secret, http, clock)
    bucket = InProcessBucket(world, stack.bucket, calls) if cluster.has_bucket else None
    site = ClusterWorld(
        _config(cluster, stack.domain, look),
        SharedAccount(api, clock),
        InProcessShell(world),
        http,
        people,
        clock,
        bucket,
    )
    both = frozenset({ASKS.user, APPROVES.user})
    rules = ClusterPolicy(operators=both, approvers=both, approval_seconds=math.inf)
    store = SqliteStore(None, clock, threaded=False)
    return assemble({cluster.name: ManagedCluster(cluster.name, site, rules)}, store, clock, "here")


def _config(cluster: Cluster, domain: str, look: float) -> ClusterConfig:
    return ClusterConfig(
        name=cluster.name,
        stack=cluster.stack,
        region=cluster.region,
        public_url=f"https://{domain}/" if cluster.has_front else "",
        zero_policy=cluster.zero_policy,
        drain_method=cluster.drain_method,
        min_serving=cluster.min_serving,
        keep_backups=cluster.keep_backups,
        people_per_node=cluster.people_per_node,
        zone=cluster.zone,
        declared=cluster.autoscaler_minimum,
        timings=replace(cluster.timings, look=look),
        account=cluster.account,
    )


async def _remember(operations: Operations, cluster: Cluster) -> None:
    """Keep of the simulated cluster what the bot keeps of the real one."""
    memory = operations.memory
    if cluster.nodes_before_shutdown:
        number = cluster.nodes_before_shutdown
        await memory.note_target(cluster, 0, {}, remember=number)
    if cluster.node_ids_before_shutdown:
        await memory.note_media(cluster, cluster.node_ids_before_shutdown, {})
    scaler = cluster.autoscaler
    if scaler is not None and scaler.paused_by:
        then = replace(cluster, seen_at=scaler.paused_at)
        await memory.note_pause(then, scaler.paused_by, {}, frozen=scaler.frozen)


async def _begin(operations: Operations, scenario: Scenario) -> tuple[Run | None, Plan]:
    """Request the change and approve it, as two people would; None where nothing is to be done."""
    service, name = operations.service, scenario.cluster.name
    outcome = await service.request(ASKS, name, scenario.procedure, confirmed=ANY_PLAN)
    if isinstance(outcome, WaitingForApproval):
        outcome = await service.approve(outcome.request.id, APPROVES)
    if isinstance(outcome, Planned):
        return None, outcome.plan
    if not isinstance(outcome, Started):
        raise Refused("the cluster changes while it is rehearsed")
    return outcome.run, outcome.run.plan
