"""What happened on a cluster in a week, from what is recorded: runs, schedule, bill."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from services.billing.savings import BillingFacts, SavedMeter
from services.cluster.backup_notes import BackupNotes
from services.cluster.backups import backups
from services.cluster.model import Fact
from services.common.clock import Clock
from services.common.errors import BadRecord, BotError, Refused
from services.memory.backups import BackupNotesRepository
from services.memory.schedule import ScheduleRepository
from services.operations.reader import ClusterReader
from services.procedures import Startup
from services.runs.run import Run, State
from services.schedule.past_closings import closing_record_of
from services.schedule.usage import UsageRecorder

MOST_RUNS = 500  # that are read for one week
PUNCTUAL = 60.0  # seconds after the opening time in which a cluster counts as ready
# Local time on Monday from which the digest is due.
DUE_AT = time(8, 0)
MISSED_BACKUP = re.compile(r".+-backup@(?P<local>[\dT:-]+)/missed")
BACKUP_FACTS = frozenset({Fact.DROPLETS, Fact.SNAPSHOTS})
MISSED = re.compile(r"(?P<window>.+)-(?P<kind>close|open)@(?P<local>[\dT:-]+)/missed")


@dataclass(frozen=True)
class Week:
    """Monday to Monday in a time zone. `since` and `until` in epoch seconds."""

    since: float
    until: float
    zone: str
    monday: str  # the date on which it is reported: 2026-11-30

    def has(self, at: float) -> bool:
        """Return whether a moment lies in it."""
        return self.since <= at < self.until


@dataclass(frozen=True)
class ReadyRecord:
    """Openings by a window: how many, how many served in time, the most seconds one was late."""

    openings: int = 0
    in_time: int = 0
    latest: float = 0.0


@dataclass(frozen=True)
class MeetingsRecord:
    """Meetings at closing times: how many closings, the longest wait, and how many outlasted it."""

    closings: int = 0
    longest: float = 0.0
    outlasted: int = 0


@dataclass(frozen=True)
class MissedSchedule:
    """A closing or opening of which nothing came. `local`: its time in the window's zone."""

    window: str
    closes: bool
    local: str


@dataclass(frozen=True)
class WeekOnTheBill:
    """What the week saved in US dollars, and for how many hours the cluster had no media nodes."""

    saving: Decimal
    closed: Decimal


@dataclass(frozen=True)
class BackupsOfWeek:
    """The backups of a cluster at the end of a week.

    `newest`: when the newest complete one was taken; None: there is none. `proven`: when a drill
    last proved one. `failed`: why the newest drill of the week proved nothing. `missed`: times of
    schedules at which nothing was done. `unseen`: why the backups are unknown.
    """

    newest: float | None = None
    proven: float | None = None
    failed: str = ""
    missed: int = 0
    unseen: str = ""


@dataclass(frozen=True)
class WeeklyDigest:
    """A cluster's week. `ends`: runs by the state that they ended in.

    `by_people`: how many of them people requested. `unread`: how many could not be read. `bill`:
    None where nothing was recorded.
    """

    cluster: str
    week: Week
    ends: tuple[tuple[State, int], ...] = ()
    by_people: int = 0
    unread: int = 0
    ready: ReadyRecord = ReadyRecord()
    meetings: MeetingsRecord = MeetingsRecord()
    missed: tuple[MissedSchedule, ...] = ()
    bill: WeekOnTheBill | None = None
    backups: BackupsOfWeek = BackupsOfWeek()

    @property
    def runs(self) -> int:
        """How many runs have ended."""
        return sum(count for _, count in self.ends)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened that is worth a message."""
        trouble = self.backups.missed or self.backups.failed
        return not (self.runs or self.unread or self.missed or trouble)


class WeeklyDigests:
    """Reads what a cluster's digest is made of."""

    def __init__(
        self,
        reader: ClusterReader,
        schedules: ScheduleRepository,
        usage: UsageRecorder,
        clock: Clock,
        notes: BackupNotesRepository,
    ) -> None:
        self._notes = notes
        self._reader = reader
        self._schedules = schedules
        self._usage = usage
        self._clock = clock

    def due(self, zone: str) -> Week | None:
        """Return the week to report now: on Mondays, once the morning has come."""
        return week_before(self._clock.now(), zone)

    async def digest(self, name: str, week: Week) -> WeeklyDigest:
        """Return a cluster's week."""
        runs, unread = await self._runs(name, week)
        _, book = await self._schedules.read(name)
        facts = await self._usage.facts(name)
        digest = digest_of(name, week, runs, book.done, facts, unread)
        return replace(digest, backups=await self._backups(name, week))

    async def _backups(self, name: str, week: Week) -> BackupsOfWeek:
        notes = await self._notes.read(name)
        try:
            cluster = await self._reader.look(name, BACKUP_FACTS)
        except BotError as error:
            return backups_of_week(notes, week, None, str(error))
        if cluster.snapshots is None:
            return backups_of_week(notes, week, None, "the list of snapshots cannot be read")
        complete = [b.at for b in backups(cluster) if b.complete and b.at < week.until]
        return backups_of_week(notes, week, max(complete, default=None), "")

    async def _runs(self, name: str, week: Week) -> tuple[list[Run], int]:
        """Return the runs that ended in the week, and how many could not be read."""
        runs, unread = [], 0
        for run_id in await self._reader.latest(name, MOST_RUNS):
            try:
                run = await self._reader.run(run_id)
            except (Refused, BadRecord):
                unread += 1
                continue
            if run.over and run.ended_at < week.since:
                break
            if run.over and week.has(run.ended_at):
                runs.append(run)
        return runs, unread


def backups_of_week(
    notes: BackupNotes, week: Week, newest: float | None, unseen: str
) -> BackupsOfWeek:
    """Return what is kept of a week's backups. `newest`: as a look showed; `unseen`: why not."""
    drills = [d for d in notes.drills if d.at < week.until]
    proven = max((d.at for d in drills if d.proven), default=None)
    last = drills[-1] if drills and week.has(drills[-1].at) else None
    failed = last.reason if last is not None and not last.proven else ""
    missed = 0
    for done in notes.done:
        found = MISSED_BACKUP.fullmatch(done)
        if found is None:
            continue
        at = datetime.fromisoformat(found["local"]).replace(tzinfo=ZoneInfo(week.zone)).timestamp()
        missed += week.has(at)
    return BackupsOfWeek(newest, proven, failed, missed, unseen)


def week_before(now: float, zone: str) -> Week | None:
    """Return the week that ended this morning; None unless it is Monday, at `DUE_AT` or later."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    if local.weekday() or local.time() < DUE_AT:
        return None
    until = datetime.combine(local.date(), time(), ZoneInfo(zone))
    since = datetime.combine(local.date() - timedelta(days=7), time(), ZoneInfo(zone))
    return Week(since.timestamp(), until.timestamp(), zone, f"{local:%Y-%m-%d}")


def digest_of(
    name: str,
    week: Week,
    runs: Sequence[Run],
    done: Collection[str],
    facts: BillingFacts | None,
    unread: int = 0,
) -> WeeklyDigest:
    """Return the digest of what is recorded. `done`: what the schedule has dealt with, by name."""
    ends = Counter(run.state for run in runs)
    return WeeklyDigest(
        name,
        week,
        tuple(sorted(ends.items(), key=lambda end: (-end[1], end[0]))),
        sum(not run.requester.is_window for run in runs),
        unread,
        _ready(runs),
        _meetings(runs),
        tuple(_missed(done, week)),
        _on_the_bill(facts, week),
    )


def _ready(runs: Iterable[Run]) -> ReadyRecord:
    openings = [r for r in runs if r.edge and r.by and isinstance(r.plan.procedure, Startup)]
    late_by = [r.ended_at - r.by for r in openings if r.state is State.DONE]
    in_time = [late for late in late_by if late <= PUNCTUAL]
    return ReadyRecord(len(openings), len(in_time), max(0.0, *late_by, 0.0))


def _meetings(runs: Iterable[Run]) -> MeetingsRecord:
    records = [record for run in runs if (record := closing_record_of(run)) is not None]
    lasted = [seconds for _, seconds, _ in records]
    outlasted = sum(not ended for _, _, ended in records)
    return MeetingsRecord(len(records), max(lasted, default=0.0), outlasted)


def _missed(done: Collection[str], week: Week) -> Iterator[MissedSchedule]:
    for name in done:
        found = MISSED.fullmatch(name)
        if found is None:
            continue
        with suppress(ValueError):
            local = datetime.fromisoformat(found["local"]).replace(tzinfo=ZoneInfo(week.zone))
            if week.has(local.timestamp()):
                yield MissedSchedule(found["window"], found["kind"] == "close", found["local"])


def _on_the_bill(facts: BillingFacts | None, week: Week) -> WeekOnTheBill | None:
    """Return the difference of the months' reports at the end of the week and at its beginning."""
    if facts is None:
        return None
    return WeekOnTheBill(*SavedMeter(facts).between(week.since, week.until))
