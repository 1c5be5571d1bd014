"""Takes backups at their scheduled times, proves one a month, and raises the alarm about old ones.

A run is opened in the commit that writes its time down as done, so of two bots one opens it. A time
at which the cluster is locked or does not answer is tried again for some hours; what is then not
taken is posted with the reason.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from services.access.policy import BACKUPS, Actor
from services.cluster.backup_notes import BackupNotes, BackupSchedule
from services.cluster.backups import backups
from services.cluster.model import Cluster, Fact
from services.common.clock import Clock
from services.common.errors import BadRecord, BotError, Refused, Unreachable
from services.common.markers import WARNING, strong
from services.common.text import count_of, duration
from services.memory.backups import write_notes
from services.memory.schedule import Announcement, Book
from services.operations.assembly import Operations
from services.operations.opening import BackupAuthority, Opening
from services.procedures import BackupCreate, Drill, Procedure
from services.procedures.plan import make_plan
from services.runs.authorization import Authorization, of_run
from services.store.keys import backups_key
from services.windows import due as due_edge
from services.windows.backup_times import backup_schedule_text, backup_times

log = logging.getLogger(__name__)
PART = "backups"
DAY = 86400.0
# Seconds after its time for which a backup is tried.
WITHIN = 6 * 3600.0
# Times longer ago than this are over, whatever was known of them.
LOOKS_BACK = 8 * DAY
# Seconds between two looks at the age of the newest backup.
AGE_EVERY = 3600.0
AGE_FACTS = frozenset({Fact.DROPLETS, Fact.SNAPSHOTS})
# Seconds that a run may take: none begins when a window acts sooner.
BACKUP_TAKES, DRILL_TAKES = 1200.0, 2700.0
NO_BOT = "no bot was running"


@dataclass(frozen=True)
class _DueTime:
    """A time of a schedule that is due: its name, when it was, and what is requested."""

    name: str
    at: float
    schedule: BackupSchedule
    procedure: Procedure


class BackupKeeper:
    """Looks after the backups of every cluster. `alarm_days`: by cluster; 0: no alarm."""

    def __init__(
        self, operations: Operations, clock: Clock, alarm_days: Callable[[str], int]
    ) -> None:
        self._operations = operations.service
        self._clusters = operations.clusters
        self._reader = operations.reader
        self._journal = operations.journal
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self._alarm_days = alarm_days
        # By time: why the last attempt failed.
        self._obstacles: dict[str, str] = {}
        self._aged: dict[str, float] = {}

    async def tick(self) -> None:
        """Do what is due on every cluster. What goes wrong with one holds up no other."""
        await self._bulkheads.run_each(PART, self._clusters.driven, self._keep, together=True)

    async def _keep(self, name: str) -> None:
        text, notes = await self._memory.backups.stored(name)
        if notes.schedules and not self._clusters.observes:
            await self._take_due(name, text, notes)
        now = self._clock.now()
        if now - self._aged.get(name, float("-inf")) >= AGE_EVERY:
            self._aged[name] = now
            await self._bulkheads.run("age of backups", partial(self._age, name, notes), name)

    # Scheduled backups

    async def _take_due(self, name: str, text: str | None, notes: BackupNotes) -> None:
        for schedule in notes.schedules:
            for due in self._due(schedule, notes):
                if due.name in notes.done:
                    continue
                if self._clock.now() > due.at + WITHIN:
                    await self._miss(name, due)
                elif await self._open(name, due, text, notes):
                    return  # what is kept has changed: the rest at the next tick
                else:
                    break

    def _due(self, schedule: BackupSchedule, notes: BackupNotes) -> list[_DueTime]:
        """Return its times until now, oldest first; then the drill of this month."""
        now = self._clock.now()
        since = max(schedule.since, now - LOOKS_BACK)
        create = BackupCreate(prune=True)
        times = [
            _DueTime(name, at, schedule, create) for name, at in backup_times(schedule, since, now)
        ]
        if schedule.drill and times and times[-1].name in notes.done:
            month = datetime.fromtimestamp(times[-1].at, ZoneInfo(schedule.zone))
            drill = f"{schedule.name}-drill@{month:%Y-%m}"
            times.append(_DueTime(drill, times[-1].at, schedule, Drill()))
        return times

    async def _open(self, name: str, due: _DueTime, text: str | None, notes: BackupNotes) -> bool:
        """Open the run of a time. False: not now; the obstacle is kept."""
        try:
            plan = make_plan(await self._look(name, due), due.procedure)
            given = await self._given(due.schedule)
            after = write_notes(notes.with_done(due.name), text)
            key = backups_key(name)
            authority = BackupAuthority(
                due.schedule.name, due.name, given, {key: text}, {key: after}
            )
            actor = Actor(user=f"{BACKUPS}{due.schedule.name}", name=due.schedule.name)
            reason = f"scheduled: {backup_schedule_text(due.schedule)}"
            await self._operations.open_at_edge(
                actor, Opening(plan, actor, reason, authority=authority)
            )
        except BotError as error:
            self._obstacles[due.name] = str(error)
            log.info("%s of %s: %s", due.name, name, error)
            return False
        self._obstacles.pop(due.name, None)
        return True

    async def _look(self, name: str, due: _DueTime) -> Cluster:
        run = await self._reader.open_run(name)
        if run is not None:
            raise Refused(f"{name} is locked by {run.id} ({run.plan.procedure.command_line()})")
        is_backup = isinstance(due.procedure, BackupCreate)
        await self._must_not_meet_a_window(name, BACKUP_TAKES if is_backup else DRILL_TAKES)
        cluster = await self._reader.look(name, due.procedure.required_facts)
        if any(m.locked for m in cluster.masters):
            raise Unreachable(f"a master of {name} is being changed", sent=False)
        if is_backup and not (cluster.is_up or cluster.is_down):
            raise Unreachable(f"some masters of {name} are on and some are powered off", sent=False)
        return cluster

    async def _must_not_meet_a_window(self, name: str, takes: float) -> None:
        """Refuse while a window opens or closes the cluster soon: it would wait for the run."""
        _, book = await self._memory.books.read(name)
        edge = due_edge(book.all_windows, self._clock.now(), book.exceptions).next_edge
        if edge is not None and edge.start - self._clock.now() < takes:
            verb = "opens" if edge.kind == "open" else "closes"
            raise Refused(f"a window {verb} {name} at {edge.clock_time}")

    async def _given(self, schedule: BackupSchedule) -> Authorization | None:
        """Return the approval of the run that added it, with its people as they are now."""
        if not schedule.run:
            return None
        with suppress(Refused, BadRecord):
            given = of_run(await self._journal.run(schedule.run))
            people = [await self._reader.current(a) for a in given.approvers]
            return replace(given, approvers=tuple(people))
        return None

    async def _miss(self, name: str, due: _DueTime) -> None:
        """Post that nothing came of a time, once, with the reason and the remedy."""
        why = self._obstacles.pop(due.name, NO_BOT)
        what, remedy = "no backup was taken", "backup create"
        if isinstance(due.procedure, Drill):
            what, remedy = "no backup was proven", "drill"
        hours = duration(WITHIN)
        text = (
            f"{WARNING} {strong(f'{name}: {what}')} at the time of backup schedule "
            f"{due.schedule.name}, nor within {hours}: {why}. Remedy: [[command {remedy}]]"
        )
        await self._announce(name, f"{due.name}/missed", text)
        await self._memory.backups.edit(
            name, lambda notes: notes.with_done(due.name, f"{due.name}/missed")
        )

    async def _announce(self, name: str, key: str, text: str) -> None:
        message = Announcement(key, text, calls=True)
        await self._memory.books.edit(name, partial(Book.with_announcement, announcement=message))

    # The age of the newest one

    async def _age(self, name: str, notes: BackupNotes) -> None:
        days = self._alarm_days(name)
        if not days:
            return
        cluster = await self._reader.look(name, AGE_FACTS)
        if cluster.problem or cluster.snapshots is None:
            return  # status reports it; unknown is not old
        complete = [b for b in backups(cluster) if b.complete]
        now = self._clock.now()
        for droplet in cluster.drill_droplets:
            run = await self._reader.open_run(name)
            if run is None:
                text = (
                    f"{WARNING} {strong(f'{name}: a droplet of a drill is left and costs money')} "
                    f"({droplet.name}). Remedy: [[command drill --clean]]"
                )
                await self._announce(name, f"drill-left/{droplet.id}", text)
        if not complete and not notes.schedules:
            return
        newest = complete[0].at if complete else 0.0
        if complete and now - newest <= days * DAY:
            return
        label = complete[0].label if complete else "none"
        age = f"is {count_of(int((now - newest) // DAY), 'day')} old" if complete else "is missing"
        since = min((s.since for s in notes.schedules), default=0.0)
        if not complete and now - since <= days * DAY:
            return
        text = (
            f"{WARNING} {strong(f'The newest complete backup of {name} {age}.')} "
            "Remedy: [[command backup create]], or a schedule: "
            "[[command backup schedule weekly Sun 03:00]]"
        )
        week = int(now // (7 * DAY))
        await self._announce(name, f"backup-age/{label}/{week}", text)
