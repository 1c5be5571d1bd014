"""Notes what windows would have done on the clusters of a bot that only observes.

It takes the place of opening runs: a closing becomes a night in the cluster's document
(services/memory/observed.py), its meetings are looked at until they end, and what would have come
of it is announced. Nothing here changes anything outside of the state store.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from services.billing.prices import money
from services.cluster.model import Cluster, Fact
from services.common.clock import Clock
from services.common.errors import OBSERVES, OPERATE, BotError
from services.memory.announcements import (
    EdgeFacts,
    NotStarting,
    Subject,
    WouldBeClosed,
    WouldClose,
    WouldOpen,
    WouldStay,
    edge_facts,
)
from services.memory.observed import (
    NightOutcome,
    ObservedNight,
    ObservedNights,
    ObservedRepository,
)
from services.memory.schedule import Announcement
from services.operations.reader import ClusterReader
from services.procedures import Shutdown, Startup
from services.runs.run import Run, State
from services.schedule.evaluation import Evaluation, RunToOpen
from services.schedule.observed_night import (
    DAY,
    ObservedReport,
    asked,
    begun,
    looked,
    meetings_now,
    not_begun,
    opened,
    out_of_time,
    report_of,
)
from services.schedule.overdue import in_service
from services.schedule.usage import UsageRecorder
from services.windows import Due, Edge, MissedEdge
from services.windows.decision import late

REPORT = "observed/"
# Seconds between two looks at meetings that would be waited for, and at a cluster afterwards.
WAITING_EVERY, CLOSED_EVERY = 60.0, 600.0
MEETINGS = frozenset({Fact.LOAD})
ON_NODES = frozenset({Fact.DROPLETS, Fact.POOL, Fact.NODES})
PRESENCE = frozenset({Fact.DROPLETS})
# Observing that paused for so long begins anew: its report counts from then on.
PAUSE = 3 * DAY
NEWS = 2 * DAY  # how long a night is announced
MINUTE = 60.0


class WindowObserver:
    """Observes the nights of every cluster. `report_days`: between two reports."""

    def __init__(
        self,
        reader: ClusterReader,
        nights: ObservedRepository,
        usage: UsageRecorder,
        clock: Clock,
        obstacles: dict[tuple[str, str], str],
        report_days: int,
    ) -> None:
        self._reader = reader
        self._nights = nights
        self._usage = usage
        self._clock = clock
        self._obstacles = obstacles
        # By cluster and edge: whether the last attempt failed because the cluster was not seen.
        self.unseen: Mapping[tuple[str, str], bool] = {}
        self._report_days = report_days

    # At an edge

    def takes(
        self,
        turn: Evaluation,
        opening: RunToOpen,
        coming: Edge | None,
        ended: Iterable[Run] = (),
    ) -> None:
        """Note a run that would be opened; its edge is dealt with.

        `ended`: runs that are over, newest first. A bot that operated may have closed the cluster:
        then people wait for it, and are called.
        """
        edge = opening.edge
        if edge.kind == "close":
            turn.nights.append(begun(edge, opening.plan, opening.cluster, coming, turn.now))
        elif closed_by_run(ended) and not in_service(opening.cluster):
            why = f"{OBSERVES} and starts nothing; {OPERATE}, or start it without the bot"
            late = NotStarting(**edge_facts(turn.name, edge), why=why)
            turn.announce(f"{edge.name}/late", late, calls=True)
        turn.book = turn.book.with_done(opening.edge.name)

    def asks(self, turn: Evaluation, edge: Edge, load: object) -> None:
        """Note a closing about which people would be asked first."""
        turn.nights.append(asked(edge, load, turn.now))
        turn.book = turn.book.with_done(edge.name)

    def drops(self, turn: Evaluation, missed: MissedEdge) -> None:
        """Note a closing of which nothing would come."""
        self._not(turn, missed.edge, NightOutcome.MISSED, missed.reason)

    def misses(self, turn: Evaluation, missed: MissedEdge) -> None:
        """Note a closing that did not come about: someone keeps it up, or nothing was seen."""
        edge, key = missed.edge, (turn.name, missed.edge.name)
        obstacle = self._obstacles.pop(key, "")
        outcome = NightOutcome.KEPT
        if obstacle:
            outcome = NightOutcome.UNSEEN if self.unseen.get(key) else NightOutcome.MISSED
        elif edge.acts and (_absent(missed) or not late(edge, turn.now).acts):
            outcome = NightOutcome.UNSEEN
        self._not(turn, edge, outcome, obstacle or missed.reason)

    def _not(self, turn: Evaluation, edge: Edge, outcome: NightOutcome, why: str) -> None:
        if edge.kind == "close":
            turn.nights.append(not_begun(edge, outcome, why, turn.now))
        turn.book = turn.book.with_done(edge.name)

    # Between edges

    async def look(self, name: str) -> bool:
        """Look at the cluster of a night that is not over, when it is time to.

        Returns whether its outcome has changed.
        """
        night = (await self._nights.read(name)).current
        if night is None:
            return False
        now = self._clock.now()
        waits = night.outcome is NightOutcome.WAITING
        if now - night.seen < (WAITING_EVERY if waits else CLOSED_EVERY):
            return False
        seen = await self._seen(name, waits=waits)
        if seen is None:
            return False
        meetings = meetings_now(seen) if waits else None
        change = partial(looked, seen=meetings, now=now)
        if waits and meetings is None:
            change = partial(out_of_time, now=now)
        after = await self._nights.edit(name, lambda d: d.with_changed(night.edge, change))
        changed = next((n for n in after.nights if n.edge == night.edge), night)
        return (changed.outcome, changed.asks) != (night.outcome, night.asks)

    async def _seen(self, name: str, *, waits: bool) -> Cluster | None:
        """Return what is needed of the cluster; None where it could not be read."""
        with suppress(BotError):
            if not waits:
                return await self._reader.look(name, PRESENCE)
            seen = await self._reader.look(name, MEETINGS)
            if meetings_now(seen) is not None:
                return seen
            return await self._reader.look(name, ON_NODES)
        return None

    # In an evaluation

    async def evaluate(self, turn: Evaluation, wanted: Due | None) -> None:
        """Note this evaluation's nights and what ends; announce what is new."""
        change = partial(_evaluated, turn=turn, wanted=wanted)
        document = await self._nights.edit(turn.name, change)
        for night in document.nights:
            if night.began > turn.now - NEWS:
                await self._announce(turn, night, document)
        periods = int((turn.now - document.since) // (self._report_days * DAY))
        if turn.book.all_windows and periods > 0:
            name = f"{REPORT}{document.since:.0f}/{periods}/{self._report_days}"
            message = Announcement(name, f"{turn.name}: what would have been done")
            turn.book = turn.book.with_announcement(message)

    async def _announce(
        self, turn: Evaluation, night: ObservedNight, document: ObservedNights
    ) -> None:
        match night.outcome:
            case NightOutcome.WAITING:
                self._say(turn, night, "close", _closes(turn.name, night))
            case NightOutcome.CLOSED:
                self._say(turn, night, "close", _closes(turn.name, night))
                if night.ended - night.began >= MINUTE:
                    self._say(turn, night, "closed", _is_closed(turn.name, night))
                if night.opened and f"{night.edge}/observed-open" not in turn.book.done:
                    subject = await self._opens(turn.name, night, document)
                    self._say(turn, night, "open", subject)
            case NightOutcome.KEPT:
                return  # people or a calendar decided so, and know
            case _:
                self._say(turn, night, "stay", _stays(turn.name, night))

    @staticmethod
    def _say(turn: Evaluation, night: ObservedNight, what: str, subject: Subject) -> None:
        turn.announce(f"{night.edge}/observed-{what}", subject)

    async def _opens(self, name: str, night: ObservedNight, document: ObservedNights) -> WouldOpen:
        report = await self._report(name, document, 2)
        saved = next((n.saved for n in report.nights if n.night.edge == night.edge), None)
        return WouldOpen(
            **_facts(name, night),
            closed=night.closed,
            opened=night.opened,
            saved=money(saved) if saved is not None else "",
            seen=night.was_seen,
        )

    # Reading

    async def report(self, name: str, days: int | None = None) -> ObservedReport:
        """Return what would have been done in so many days; by default, between two reports."""
        document = await self._nights.read(name)
        return await self._report(name, document, days or self._report_days)

    async def _report(self, name: str, document: ObservedNights, days: int) -> ObservedReport:
        records = await self._usage.records(name)
        since, nights, now = document.since, document.nights, self._clock.now()
        # In a thread: the bill of sixty nights takes a fifth of a second.
        return await asyncio.to_thread(report_of, name, days, since, nights, records, now)


def closed_by_run(ended: Iterable[Run]) -> bool:
    """Return whether the newest run that closed or opened the cluster has closed it."""
    newest = (r.plan.procedure for r in ended if r.state is State.DONE)
    kind = next((p for p in newest if isinstance(p, Shutdown | Startup)), None)
    return isinstance(kind, Shutdown)


def _absent(missed: MissedEdge) -> bool:
    return missed.reason.startswith("no bot acted on it")


def _evaluated(document: ObservedNights, turn: Evaluation, wanted: Due | None) -> ObservedNights:
    """Return the document after an evaluation: new nights, and those that end."""
    if not document.since or turn.now - document.active > PAUSE:
        document = ObservedNights(turn.now, turn.now, document.nights)
    elif turn.now - document.active > DAY:
        document = ObservedNights(document.since, turn.now, document.nights)
    current = document.current
    if current is not None and (wanted is None or wanted.state != "closed"):
        change = partial(opened, wanted=wanted, now=turn.now)
        document = document.with_changed(current.edge, change)
    for night in turn.nights:
        document = document.with_night(night)
    return document


def _facts(name: str, night: ObservedNight) -> EdgeFacts:
    return EdgeFacts(cluster=name, time=night.time, windows=night.windows, zone=night.zone)


def _closes(name: str, night: ObservedNight) -> WouldClose:
    return WouldClose(
        **_facts(name, night),
        rooms=night.rooms,
        people=night.people,
        until=night.began + night.limit,
        opens=night.opens,
    )


def _is_closed(name: str, night: ObservedNight) -> WouldBeClosed:
    return WouldBeClosed(
        **_facts(name, night),
        closed=night.closed,
        waited=night.waited,
        asked=bool(night.asks),
    )


def _stays(name: str, night: ObservedNight) -> WouldStay:
    return WouldStay(
        **_facts(name, night),
        outcome=str(night.outcome),
        asked=bool(night.asks),
        rooms=night.rooms,
        people=night.people,
        why=night.why,
    )
