"""Opens the runs of a schedule.

What to run for the edge that is due, within its standing approval, or whom to ask first.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from services.access.policy import Actor, ClusterPolicy
from services.cluster.model import Cluster, Load
from services.common.errors import BotError, Refused, Unreachable
from services.common.observed import Observed
from services.memory.announcements import AsksToClose, OpensWithLess, edge_facts, running_meetings
from services.memory.schedule import write_book
from services.operations.assembly import Operations
from services.operations.opening import Opening, StandingAuthority
from services.procedures import Procedure, Shutdown
from services.procedures.plan import Plan, make_plan
from services.procedures.secrets_env_check import Unbootable, unread_reason
from services.runs.run import Run, State
from services.runs.standing_approval import StandingApproval, allowed_startup, why_not_covered
from services.schedule.evaluation import EdgeDropped, Evaluation, RunToOpen
from services.store.keys import schedule_key
from services.windows import Edge, MissedEdge
from services.windows.ends import likely_end

log = logging.getLogger(__name__)
UNANSWERED = 1800.0  # seconds without an answer until the cluster stays up
# The same for a window that closes only what is empty.
QUIET_GIVES_UP = 1.0
# Seconds kept free before the opening time, so that a closing that gives up is undone by then.
TURNING_BACK = 600.0


class EdgeRuns:
    """Finds the run that an edge needs, and opens it.

    `obstacles`: by cluster and edge, why the last attempt failed; `miss` announces an edge that
    nothing comes of; `ask` asks people whether to close. `unseen`: by cluster and edge, whether the
    last attempt failed because the cluster could not be read.
    """

    def __init__(
        self,
        operations: Operations,
        obstacles: dict[tuple[str, str], str],
        miss: Callable[[Evaluation, MissedEdge], None],
        ask: Callable[[Evaluation, Edge, Observed[Load]], None] | None = None,
    ) -> None:
        self._operations = operations.service
        self._reader = operations.reader
        self._clusters = operations.clusters
        self._obstacles = obstacles
        self._miss = miss
        self._ask = ask or _ask
        self.unseen: dict[tuple[str, str], bool] = {}

    async def act(
        self, turn: Evaluation, edge: Edge, late: str, seen: Cluster | None
    ) -> RunToOpen | None:
        """Return the run to open, None if there is none now.

        It is tried again at each tick while it still makes sense; the reason is announced once
        nothing can come of it.
        """
        try:
            return await self._run_for(turn, edge, late, seen)
        except EdgeDropped as error:
            self._miss(turn, MissedEdge(edge, str(error)))
        except BotError as error:
            turn.why = self._obstacles[turn.name, edge.name] = str(error)
            for key in [k for k in self.unseen if k[0] == turn.name]:
                del self.unseen[key]
            self.unseen[turn.name, edge.name] = isinstance(error, Unreachable)
            log.info("%s of %s: %s", edge.name, turn.name, error)
        return None

    async def open(self, turn: Evaluation, opening: RunToOpen) -> bool:
        """Open the run and mark the edge as done, in one commit.

        The commit checks that the document is the one that was read.
        """
        edge = opening.edge
        key = schedule_key(turn.name)
        after = write_book(turn.book.with_done(edge.name), turn.text)
        serves_by = edge.at if edge.kind == "open" else 0.0
        try:
            authority = StandingAuthority(
                edge,
                opening.standings,
                opening.yes,
                serves_by,
                opening.opens,
                {key: turn.text},
                {key: after},
            )
            window = opening.requester
            run = Opening(opening.plan, window, opening.reason, authority=authority)
            await self._operations.open_at_edge(window, run)
        except Refused as error:
            log.info("%s of %s: %s", edge.name, turn.name, error)
            return False
        self._obstacles.pop((turn.name, edge.name), None)
        return True

    async def _run_for(
        self, turn: Evaluation, edge: Edge, late: str, seen: Cluster | None
    ) -> RunToOpen | None:
        await self._wait_for_holder(turn, edge)
        answered = self._answered(turn, edge)
        if answered is False:
            return None
        cluster = seen or await self._reader.look(turn.name)
        empties = edge.kind == "close" and not idle(cluster.load)
        if answered is None and empties and edge.meetings != "wait":
            if edge.meetings == "skip":
                raise EdgeDropped(_skips(cluster.load))
            self._ask(turn, edge, cluster.load)
            return None
        rules = self._clusters.cluster(turn.name).rules
        # An opening brings back what was there: it does not wait for Slack.
        standings = await self._reader.standing_approvals(
            turn.book, edge.windows, surely=edge.kind == "close"
        )
        procedure, less = _wanted(edge, cluster, standings, rules, turn.now)
        if isinstance(procedure, Shutdown) and {*edge.windows} <= turn.book.quiet_names:
            # Who comes between the last look and the first signal keeps it in service, unasked.
            procedure = replace(procedure, gives_up=QUIET_GIVES_UP)
        plan = _planned(edge, cluster, procedure)
        if plan.is_empty:
            turn.book = turn.book.with_done(edge.name)
            return None
        if why := why_not_covered(plan, edge, standings, rules, turn.now):
            if rules.groups_unknown:
                raise Refused(rules.groups_unknown)  # who may approve is known again soon
            raise EdgeDropped(why)
        if less:
            subject = OpensWithLess(**edge_facts(turn.name, edge), less=less)
            turn.announce(f"{edge.name}/less", subject)
        verb = "in service by" if edge.kind == "open" else "closes at"
        reason = ", ".join(filter(None, (f"{verb} {edge.clock_time}", late)))
        if empties:
            reason += f"; {likely_end(cluster.past_closings, edge)}"
        yes = dict(turn.book.answers).get(f"{edge.name}/ask")
        return RunToOpen(plan, cluster, edge, window_actor(edge), standings, yes, reason)

    async def _wait_for_holder(self, turn: Evaluation, edge: Edge) -> None:
        """Refuse while another run holds the cluster.

        A closing by a window makes way for an opening.
        """
        if turn.holder is None:
            return
        run = await self._reader.run(turn.holder)
        if edge.kind == "open" and run.edge and isinstance(run.plan.procedure, Shutdown):
            run = await self._make_way(turn, run, edge)
        if turn.holder is None:
            return
        state = f"which is {run.state}"
        if run.state is State.STOPPED:
            state = f"which is paused: {run.stopped}"
        lock = f"{run.id} ({run.plan.procedure.command_line()})"
        raise Refused(f"{turn.name} is locked by {lock}, {state}")

    async def _make_way(self, turn: Evaluation, run: Run, edge: Edge) -> Run:
        """End a closing that is not over.

        More up is the safe direction: an opening does not wait for a person to do that.
        """
        reason = f"{turn.name} opens at {edge.clock_time}"
        try:
            run = await self._operations.make_way(run, window_actor(edge), reason)
        except Refused as error:
            log.info("%s of %s: %s", edge.name, turn.name, error)
            return run
        if run.over:
            turn.holder = None
        return run

    def _answered(self, turn: Evaluation, edge: Edge) -> bool | None:
        """Return whether someone said yes to this edge.

        False while they still may, None when no one was asked.
        """
        question = f"{edge.name}/ask"
        if question in dict(turn.book.answers):
            return True
        if question not in turn.book.done:
            return None
        asked = turn.book.pending_announcement(question)
        if asked is not None and asked.until > turn.now:
            return False
        raise EdgeDropped(
            f"operators were asked and no one answered, so {turn.name} stays in service"
        )


def _ask(turn: Evaluation, edge: Edge, load: Observed[Load]) -> None:
    rooms, people = _counts(load)
    until = min(turn.now + UNANSWERED, edge.until)
    facts = edge_facts(turn.name, edge)
    subject = AsksToClose(**facts, rooms=rooms, people=people, until=until)
    turn.announce(f"{edge.name}/ask", subject, until=until)


def _skips(load: Observed[Load]) -> str:
    return f"{running_meetings(*_counts(load))}; this window then skips"


def _counts(load: Observed[Load]) -> tuple[int | None, int | None]:
    """Return how many meetings run and how many people are in them; None where unknown."""
    if isinstance(load, Load):
        return load.rooms, load.people
    return None, None


def _planned(edge: Edge, cluster: Cluster, procedure: Procedure) -> Plan:
    """Return the plan of an edge.

    A closing that secrets.env forbids is dropped: it is announced at once, and the cluster stays
    up.
    """
    try:
        return make_plan(cluster, procedure)
    except Unbootable as error:
        if edge.kind == "close" and not unread_reason(cluster):
            raise EdgeDropped(f"{cluster.name} stays in service: {error}") from None
        raise


def _wanted(
    edge: Edge,
    cluster: Cluster,
    standings: Iterable[StandingApproval],
    rules: ClusterPolicy,
    now: float,
) -> tuple[Procedure, str]:
    """Return the procedure for an edge, as far as its standing approval goes.

    Second: why that is less than all of it; else "".
    """
    if edge.kind == "open":
        return allowed_startup(edge, cluster, standings, rules, now)
    left = max(0.0, edge.until - now)
    gives_up = min(UNANSWERED, max(60.0, left / 4))
    limit = max(60.0, min(edge.wait_limit, left - gives_up - TURNING_BACK))
    return Shutdown(media_only=edge.closes == "media-only", limit=limit, gives_up=gives_up), ""


def window_actor(edge: Edge) -> Actor:
    """Return the window of an edge, as the requester of a run."""
    window = edge.name.partition(f"-{edge.kind}@")[0]
    return Actor(user=f"window:{window}", name=f"window {window}")


def idle(load: Observed[Load]) -> bool:
    """Return whether no meeting runs, as far as that is known."""
    return isinstance(load, Load) and load.idle


def with_next_opening(opening: RunToOpen | None, coming: Edge | None) -> RunToOpen | None:
    """Return the run with the time at which the cluster serves again after it."""
    if opening is None or coming is None or coming.kind != "open":
        return opening
    return replace(opening, opens=coming.at)
