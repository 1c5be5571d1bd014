"""Metrics: counters updated on events, and gauges measured when /metrics is read."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from services.cloud.listings import SharedAccount
from services.cloud.world import ClusterWorld
from services.common.metrics import METRICS
from services.operations.assembly import Operations
from services.runs.progress import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Run
from services.schedule.slo import Span
from services.schedule.slo_reader import SloReader

SLO_EVERY = 60.0  # seconds between two readings of what objectives count
DISCONNECTED = "disconnected"
MAX_REMEMBERED = 200  # runs, and requests
MEASURED = (  # gauges that are removed before each measurement
    "openvidu_bot_runs_open",
    "openvidu_bot_step_waiting_seconds",
    "openvidu_bot_question_waiting_seconds",
    "openvidu_bot_requests_waiting",
    "openvidu_bot_api_limit",
    "openvidu_bot_api_remaining",
)


class MetricsCollector:
    """Counts requests and runs. A change of a run is counted once, by the process that saw it."""

    def __init__(
        self,
        operations: Operations,
        now: Callable[[], float],
        version: str,
        slo: SloReader | None = None,
    ) -> None:
        # Objectives are counted from here on; `_counted` is what was added to the counters.
        self._slo, self._since = slo, now()
        self._slo_read: dict[str, float] = {}
        self._counted: dict[tuple[str, str], tuple[float, float]] = {}
        self._reader = operations.reader
        self._clusters = operations.clusters
        self._bulkheads = operations.bulkheads
        self._now = now
        # By run: number of steps reached, whether it is over, its trouble.
        self._runs: OrderedDict[str, tuple[int, bool, str]] = OrderedDict()
        self._requests: OrderedDict[str, str] = OrderedDict()  # by request: its state
        operations.subscribers.runs.append(self.run)
        operations.subscribers.requests.append(self.request)
        METRICS.set("openvidu_bot_info", 1, version=version)

    def run(self, progress: Progress) -> None:
        """Count new steps, new trouble and the end of a run."""
        run = progress.run
        steps, over, trouble = self._runs.get(run.id, (_counted_before(run), False, ""))
        for number in range(steps, len(run.reached)):
            _count_step(run, number)
        if progress.trouble and progress.trouble != trouble:
            METRICS.add("openvidu_bot_troubles_total", cluster=run.cluster)
        if run.over and not over:
            self._ended(run)
        self._runs[run.id] = (len(run.reached), run.over, progress.trouble)
        _limit(self._runs)

    def _ended(self, run: Run) -> None:
        procedure = run.plan.procedure.command
        METRICS.add(
            "openvidu_bot_runs_total", cluster=run.cluster, procedure=procedure, state=run.state
        )
        METRICS.add(
            "openvidu_bot_run_seconds_total",
            max(0.0, run.ended_at - run.opened_at),
            cluster=run.cluster,
            procedure=procedure,
        )

    def request(self, request: Request) -> None:
        """Count a request in a new state."""
        if self._requests.get(request.id) == request.state:
            return
        self._requests[request.id] = request.state
        _limit(self._requests)
        cluster = request.plan.cluster
        METRICS.add("openvidu_bot_requests_total", cluster=cluster, state=request.state)
        if request.state is RequestState.APPROVED:
            METRICS.add(
                "openvidu_bot_approval_seconds_total",
                max(0.0, request.closed_at - request.made_at),
                cluster=cluster,
            )

    def slack(self, *, closed: frozenset[str], refused: bool) -> None:
        """Set whether messages can be posted.

        `closed` are the clusters whose channel the bot cannot post to; `refused`: Slack refuses the
        bot's token.
        """
        METRICS.set("openvidu_bot_slack_token_refused", refused)
        for name in self._clusters:
            METRICS.set("openvidu_bot_channel_closed", name in closed, cluster=name)

    async def measure(self, *, ready: bool, state_up: bool, sockets: int, silent: float) -> None:
        """Set all gauges."""
        METRICS.set("openvidu_bot_ready", ready)
        METRICS.set("openvidu_bot_state_up", state_up)
        METRICS.set("openvidu_bot_sockets_open", sockets)
        METRICS.set("openvidu_bot_sweep_age_seconds", silent)
        METRICS.set("openvidu_bot_clusters_driven", len(self._clusters.driven))
        METRICS.set("openvidu_bot_tasks", len(asyncio.all_tasks()))
        for name in MEASURED:
            METRICS.clear(name)
        self._budgets()
        if not state_up:
            return
        # Each cluster is in the metrics of the bot that drives it.
        await asyncio.gather(*map(self._contained, self._clusters.driven))

    async def _contained(self, name: str) -> None:
        with self._bulkheads.contained("metrics", name):
            await self._cluster(name)

    async def _promises(self, name: str) -> None:
        """Add what happened since the last reading to the counters of objectives."""
        now = self._now()
        if self._slo is None or now - self._slo_read.get(name, -SLO_EVERY) < SLO_EVERY:
            return
        report = await self._slo.report(name, Span(self._since, now, "since the start"))
        self._slo_read[name] = now
        counts = {**report.counts, DISCONNECTED: (0.0, float(report.disconnected.incidents))}
        for objective, (events, breaches) in counts.items():
            before = self._counted.get((name, objective), (0.0, 0.0))
            more, worse = max(0.0, events - before[0]), max(0.0, breaches - before[1])
            self._counted[name, objective] = (before[0] + more, before[1] + worse)
            if objective == DISCONNECTED:
                METRICS.add("openvidu_bot_unnamed_disconnects_total", worse, cluster=name)
                continue
            METRICS.add("openvidu_bot_slo_events_total", more, cluster=name, objective=objective)
            METRICS.add("openvidu_bot_slo_breaches_total", worse, cluster=name, objective=objective)
            target = report.shares[objective][1]
            METRICS.set("openvidu_bot_slo_target", target, cluster=name, objective=objective)

    async def _cluster(self, name: str) -> None:
        await self._promises(name)
        # What cannot be read raises and stays unset: unknown is never 0.
        run, waiting = await self._reader.open_run(name), await self._reader.waiting(name)
        for_approval = [r for r in waiting if not r.startable]
        METRICS.set("openvidu_bot_requests_waiting", len(for_approval), cluster=name)
        if run is None:
            return
        METRICS.set("openvidu_bot_runs_open", 1, cluster=name, state=run.state)
        METRICS.set(
            "openvidu_bot_step_waiting_seconds",
            max(0.0, self._now() - run.step_began),
            cluster=name,
        )
        if run.question is not None:
            METRICS.set(
                "openvidu_bot_question_waiting_seconds",
                max(0.0, self._now() - run.question_at),
                cluster=name,
            )

    def _budgets(self) -> None:
        clusters: dict[SharedAccount, list[str]] = {}
        for name in self._clusters:
            world = self._clusters.cluster(name).world
            if isinstance(world, ClusterWorld):
                clusters.setdefault(world.account, []).append(name)
        for account, names in clusters.items():
            budget = account.api.budget
            label = " ".join(sorted(names))
            if budget.limit is not None and budget.remaining is not None:
                METRICS.set("openvidu_bot_api_limit", budget.limit, clusters=label)
                METRICS.set("openvidu_bot_api_remaining", budget.remaining, clusters=label)


def _counted_before(run: Run) -> int:
    """Return how many steps another process has counted: all of them if the run was taken over."""
    if run.takes > 1:
        return len(run.reached)
    return 0


def _count_step(run: Run, number: int) -> None:
    reached = run.reached[number]
    began = run.reached[number - 1].at if number else run.opened_at
    step = "replaced"
    if reached.step < len(run.steps):
        step = type(run.steps[reached.step]).__name__
    METRICS.add("openvidu_bot_steps_total", cluster=run.cluster, step=step)
    seconds = max(0.0, reached.at - began)
    METRICS.add("openvidu_bot_step_seconds_total", seconds, cluster=run.cluster, step=step)


def _limit(records: "OrderedDict[str, tuple[int, bool, str]] | OrderedDict[str, str]") -> None:
    while len(records) > MAX_REMEMBERED:
        records.popitem(last=False)
