"""Announces what comes of edges.

Notices before a closing, openings that are late or missed, approvals and holds that end. Everything
goes into the outbox of the evaluated document and is posted once, by its name.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from services.cluster.meeting_messages import Occasion, filled
from services.cluster.model import Cluster, Fact, Load
from services.common.errors import BotError
from services.common.observed import NOT_OBSERVED, Observed
from services.memory.announcements import (
    ApprovalEnds,
    ClosesSoon,
    ClosingGaveWay,
    EdgeMissed,
    HoldExpired,
    NotOpened,
    NotStarting,
    RunFailed,
    ServesLate,
    StillOnHold,
    edge_facts,
)
from services.memory.schedule import Announcement
from services.operations.assembly import SWEEP_INTERVAL, Operations
from services.procedures import Shutdown
from services.procedures.secrets_env_check import closing_fault
from services.runs.run import Run, State
from services.runs.standing_approval import ends_soon, standing_of
from services.schedule.evaluation import Evaluation
from services.schedule.openings import TURNING_BACK, idle
from services.schedule.overdue import GRACE, Overdue, in_service, serves
from services.schedule.reading import PowerWatch, ScheduleReader
from services.windows import Due, Edge, MissedEdge, notice, too_late_at, will_miss

log = logging.getLogger(__name__)
REPORT = "report/"
# Follows the name of a closing of which nothing came because people or a calendar decided so.
DECIDED = "/decided"
# Days of a month and hour (UTC) from which the report of the last month is announced.
REPORT_DAYS, REPORT_HOUR = (1, 2, 3), 7
LATE_BY = 60.0  # seconds of lateness worth a warning
# Remaining seconds assumed for a step that overruns: so the warning comes before the deadline.
SOON = LATE_BY + SWEEP_INTERVAL * 3
NOTICED = frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD, Fact.LINT})
REMIND_HOLD = 86400.0


class EdgeAnnouncer:
    """Adds announcements to evaluations.

    `obstacles`: by cluster and edge, why the last attempt to act on it failed.
    """

    def __init__(
        self,
        operations: Operations,
        schedules: ScheduleReader,
        power: PowerWatch,
        obstacles: dict[tuple[str, str], str],
    ) -> None:
        self._reader = operations.reader
        self._rooms = operations.rooms
        self._clusters = operations.clusters
        self._schedules = schedules
        self._power = power
        self._obstacles = obstacles
        self._added: dict[str, Run] = {}
        # When an overdue cluster was looked at last.
        self._looked: dict[str, float] = {}

    def forget(self) -> None:
        """Drop what was read from the state."""
        self._looked.clear()

    def miss(self, turn: Evaluation, missed: MissedEdge) -> None:
        """Announce once that nothing came of an edge, with what prevented it."""
        edge = missed.edge
        kept = turn.book.exceptions.keep_up(edge.at) if edge.kind == "close" else None
        if kept is not None and not edge.acts:
            # Someone kept it up, which was posted then.
            turn.book = turn.book.with_done(edge.name)
            return
        subject = EdgeMissed(
            **edge_facts(turn.name, edge),
            closes=edge.kind == "close",
            possible=turn.now < too_late_at(edge),
            reason=self._obstacles.pop((turn.name, edge.name), "") or missed.reason,
        )
        turn.announce(f"{edge.name}/missed", subject, calls=edge.acts)
        turn.book = turn.book.with_done(edge.name)
        if edge.acts:  # what people or a calendar decided is no alert
            turn.missed.append(edge.kind)
        else:
            turn.book = turn.book.with_done(f"{edge.name}{DECIDED}")

    async def notice(self, turn: Evaluation, edge: Edge | None) -> None:
        """Announce a closing ahead, with buttons to keep the cluster up."""
        coming = notice(edge, turn.now) if edge is not None else None
        if coming is None or edge is None or coming.name in turn.book.done:
            return
        load: Observed[Load] = NOT_OBSERVED
        fault = ""
        told = ""
        with suppress(BotError):
            seen = await self._reader.look(turn.name, NOTICED)
            told = await self._tell(turn, edge, seen)
            load, fault = seen.load, closing_fault(seen, masters=edge.closes != "media-only")
        subject = ClosesSoon(
            **edge_facts(turn.name, edge),
            rooms=load.rooms if isinstance(load, Load) else None,
            meetings="" if idle(load) else edge.meetings,
            wait_until=edge.at + edge.wait_limit,
            fault=fault,
            told=told,
        )
        turn.announce(coming.name, subject, until=edge.start, at=edge.start)

    async def _tell(self, turn: Evaluation, edge: Edge, seen: Cluster) -> str:
        """Notify the meetings that their cluster closes, each once; return how many were.

        Not where the window stays open for them, or people are asked first: then it may not close.
        """
        if seen.messages is None or edge.meetings != "wait" or self._clusters.observes:
            return ""
        text = seen.messages.text(Occasion.CLOSING)
        filled_in = filled(text, cluster=turn.name, time=edge.clock_time)
        world = self._clusters.cluster(turn.name).world
        return await self._rooms.tell(world, seen, edge.name, filled_in)

    async def overdue(self, turn: Evaluation, wanted: Due) -> None:
        """Call people when the opening time is or will be missed.

        It ends when a look shows the cluster in service.
        """
        holder = await self._schedules.runs.current(turn.holder) if turn.holder else None
        terms = await self._schedules.terms(turn.name)
        turn.overdue = await self._schedules.overdue(turn.name, wanted, turn.book, holder, terms)
        if turn.overdue is None:
            return
        if turn.overdue.moves and turn.now < turn.overdue.by:
            self._warn(turn, turn.overdue, holder)
        elif turn.overdue.late(turn.now) and not await self._serves(turn, turn.overdue):
            self._raise(turn, turn.overdue)

    def _warn(self, turn: Evaluation, found: Overdue, holder: Run | None) -> None:
        """Warn before the opening time of a start-up that will be late."""
        progress = self._reader.progress(found.run)
        if holder is None or progress is None or progress.cluster is None:
            return
        late = will_miss(turn.now, found.edge, _left(holder, progress.cluster, turn.now))
        if late >= LATE_BY:
            subject = ServesLate(**edge_facts(turn.name, found.edge), seconds=late, why=found.why)
            turn.announce(f"{found.edge.name}/late", subject, calls=True)

    def _raise(self, turn: Evaluation, found: Overdue) -> None:
        """Announce that no start-up is under way, or that its time is over.

        Without an estimate: there is nothing to estimate from.
        """
        edge = found.edge
        late, missed = f"{edge.name}/late", f"{edge.name}/missed"
        warned = late in turn.book.done
        if found.moves and warned and turn.now < found.by + TURNING_BACK:
            return
        facts = edge_facts(turn.name, edge)
        if turn.now < edge.at + GRACE:
            turn.announce(late, NotStarting(**facts, why=found.why), calls=True)
        elif missed not in turn.book.done:
            turn.announce(missed, NotOpened(**facts, why=found.why), calls=True)
            turn.missed.append("open")

    async def _serves(self, turn: Evaluation, found: Overdue) -> bool:
        """Return whether a look shows that it serves after all; at most one look a minute."""
        last = self._looked.get(turn.name, 0.0)
        if turn.now - last < GRACE and f"{found.edge.name}/late" in turn.book.done:
            return False
        self._looked[turn.name] = turn.now
        try:
            seen = await self._reader.look(turn.name)
        except BotError as error:
            log.info("whether %s is in service: %s", turn.name, error)
            return False
        self._power.saw(turn.name, seen)
        if not in_service(seen):
            return False
        turn.book = turn.book.with_done(serves(found.edge))
        turn.overdue = None
        return True

    async def approvals(self, turn: Evaluation) -> None:
        """Announce that a window's standing approval ends.

        From then on the window does not close any more.
        """
        rules = self._clusters.cluster(turn.name).rules
        for window in turn.book.named_windows:
            run_id = dict(turn.book.runs).get(window.name, "")
            standing = standing_of(window, await self._adding(run_id) if run_id else None)
            until = ends_soon(standing, rules, turn.now)
            if until is not None:
                renewal = f"window add {window.to_text()}"
                subject = ApprovalEnds(turn.name, window.name, until, renewal)
                turn.announce(f"confirm/{window.name}/{until:.0f}", subject)

    async def _adding(self, run_id: str) -> Run:
        """Return the run that added a window; it is over, and does not change."""
        if run_id not in self._added:
            self._added[run_id] = await self._reader.run(run_id)
        return self._added[run_id]


def holds(turn: Evaluation) -> None:
    """Announce holds that have ended, and once a day those that go on."""
    for hold in turn.book.exceptions.holds:
        key = f"hold/{hold.since:.3f}"
        days = int((turn.now - hold.since) // REMIND_HOLD)
        if hold.until <= turn.now < hold.until + REMIND_HOLD:
            turn.announce(f"{key}/over", HoldExpired(turn.name, hold.by, hold.reason))
        elif turn.now < hold.until and days:
            subject = StillOnHold(turn.name, hold.until, hold.by, hold.reason)
            turn.announce(f"{key}/day{days}", subject)


def close_notices(turn: Evaluation, wanted: Due | None) -> None:
    """Take the buttons off notices whose edge does not come.

    It is kept up or skipped, or its window was removed.
    """
    coming = ""
    if wanted is not None and wanted.next_edge is not None:
        coming = wanted.next_edge.name
    why = wanted.reason if wanted is not None else "the window was removed"
    for posted in turn.book.posted:
        message = posted.announcement
        edge, _, what = message.name.rpartition("/")
        if what.endswith("min") and edge != coming and message.until > turn.now:
            turn.book = turn.book.with_answer_closed(message.name, turn.now, why)


def outcome(turn: Evaluation, run: Run) -> None:
    """Announce a window's run that did not end as the window wanted."""
    name = f"{run.edge}/came"
    recent = turn.now - run.ended_at <= REMIND_HOLD
    if not run.edge or run.state is State.DONE or not recent or name in turn.book.done:
        return
    if run.ended_by is not None and run.ended_by.is_window:
        paused = run.state is State.ABANDONED
        by, why = run.ended_by.mention, run.stopped or run.end_text
        turn.announce(name, ClosingGaveWay(turn.name, by, run.id, paused, why), calls=paused)
        return
    if run.state is State.CANCELLED:
        return  # by a person, in the channel
    subject = RunFailed(
        turn.name,
        by=run.requester.mention,
        run=run.id,
        closes=isinstance(run.plan.procedure, Shutdown),
        turned_back=bool(run.turned_back),
        why=run.turned_back or run.end_text,
    )
    turn.announce(name, subject, calls=not run.turned_back)
    turn.missed.append("close" if subject.closes else "open")


def month_report(turn: Evaluation) -> None:
    """Announce once, on the first days of a month, what the last one saved.

    The report is made when it is posted.
    """
    today = datetime.fromtimestamp(turn.now, UTC)
    if turn.book.all_windows and today.day in REPORT_DAYS and today.hour >= REPORT_HOUR:
        month = today.replace(day=1) - timedelta(days=1)
        message = Announcement(f"{REPORT}{month:%Y-%m}", "what the last month saved")
        turn.book = turn.book.with_announcement(message)


def _left(run: Run, cluster: Cluster, now: float) -> float:
    """Return the seconds that its steps still need.

    A step that overruns is never assumed to be nearly done: else the warning is late.
    """
    current, *further = [s.expected_seconds(cluster) for s in run.steps[run.position :]] or [0.0]
    began = run.step_began or run.opened_at
    return max(current - (now - began), min(current, SOON)) + sum(further)
