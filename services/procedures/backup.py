"""Procedures that take backups of the masters, and delete old ones.

Restoring one is described for people, and never done by the bot.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from services.cluster.backup_notes import BackupSchedule
from services.cluster.backups import PER_GB, Backup, backups, deletable_backups
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster
from services.common.command import CommandClass, flag, rest
from services.common.errors import Refused
from services.common.text import count_of, duration, plural
from services.procedures import fleet
from services.procedures.base import Procedure
from services.procedures.drill import NO_SSH
from services.procedures.round_trip import rest_of_trip, returns_to_service, round_trip, startup
from services.steps import (
    DropBackups,
    KeepSecrets,
    NoteCounts,
    SaveBackupSchedule,
    Settled,
    Snapshots,
    Step,
)
from services.steps.backup import SNAPSHOTS_UNREADABLE
from services.windows.backup_times import (
    USAGE,
    backup_schedule_text,
    parse_backup_schedule,
)


@dataclass(frozen=True)
class BackupCreate(Procedure):
    """Snapshot the masters under one label, and keep the current secrets.env with them."""

    command: ClassVar[str] = "backup create"
    verb: ClassVar[str] = "Back up"
    doing: ClassVar[str] = "Backing up"
    done: ClassVar[str] = "is backed up"

    offline: bool = flag("shut the whole cluster down for it, which is safer")
    prune: bool = flag("then delete older backups that the policy does not keep")

    def target_text(self, name: str) -> str:
        target = f"{name} offline" if self.offline else name
        return f"{target}, and delete older backups" if self.prune else target

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)
        if self.offline and not cluster.is_down:
            fleet.fleet_of(cluster).check_round_trip()

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        snapshots = Snapshots(names, off=self._off(cluster), down=cluster.is_down)
        # First: what does not answer must not prolong an outage.
        if cluster.is_up and cluster.has_shell and not snapshots.is_done(cluster):
            yield NoteCounts(cluster.stack)
        if cluster.has_bucket:
            yield KeepSecrets(cluster.stack)
        if snapshots.is_done(cluster) or not self.offline or cluster.is_down:
            yield snapshots
        else:
            yield from round_trip(cluster, iter((snapshots,)))
        # Last: an older backup goes only when the new one is complete.
        old = deletable_backups(snapshots.after(cluster)) if self.prune else ()
        if old:
            yield _drop(old)

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        if not returns_to_service(left):
            yield from self.steps(cluster)
            return
        yield from (s for s in left if isinstance(s, NoteCounts | KeepSecrets))
        snapshots = tuple(s for s in left if isinstance(s, Snapshots))
        yield from rest_of_trip(cluster, snapshots, left)
        yield from (s for s in left if isinstance(s, DropBackups))

    def _off(self, cluster: Cluster) -> bool:
        return self.offline or cluster.is_down

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if isinstance(step, Snapshots) and step.off and not step.down:
            yield Settled(step.names)
            yield from startup(cluster, fleet.fleet_of(cluster).number_to_restore)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        if self._off(cluster):
            disks = "its disk is" if len(cluster.masters) == 1 else "their disks are"
            are = plural(len(cluster.masters), "is", "are")
            how = (
                f"[[strong Offline]]: {control_plane_of(cluster).all_masters} {are} powered off "
                f"during the backup, so {disks} consistent"
            )
        else:
            apart = ", and they are not from the same instant" if len(cluster.masters) > 1 else ""
            how = (
                "[[strong Live, so only crash-consistent]]: each disk is as after a power "
                f"loss{apart}. `--offline` is safer, but shuts the cluster down"
            )
        secrets = "secrets.env is not copied: no bucket is configured"
        if cluster.has_bucket:
            secrets = "secrets.env is copied within the bucket"
        return (how, f"{secrets}. Recordings and other data in Spaces are not included")

    def cost_note(self, cluster: Cluster) -> str:
        last = next((b for b in backups(cluster) if b.complete and b.size), None)
        if last is not None:
            size = f"the last one's size ({last.size:.1f} GB)"
            return f"${last.monthly:.2f} a month at {size}, until it is deleted"
        return "$0.06 a month for each GB in use, until it is deleted"

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        lines = []
        old = deletable_backups(cluster)
        if old and not self.prune:
            lines.append(
                f"{count_of(len(old), 'older backup')} can be deleted: [[command backup prune]]"
            )
        if cluster.is_down:
            lines.append(f"{cluster.name} was shut down and stays shut down")
        return tuple(lines)

    @override
    def next_step(self, cluster: Cluster) -> str:
        return (
            "List backups with [[command backup list]]; [[command backup show ID]] explains how to "
            "restore one"
        )


def _drop(old: tuple[Backup, ...]) -> DropBackups:
    return DropBackups(
        tuple(b.label for b in old), tuple(s.id for b in old for _, s in b.snapshots)
    )


@dataclass(frozen=True)
class AddBackupSchedule(Procedure):
    """Take backups at these times from now on, and delete those that the policy does not keep."""

    command: ClassVar[str] = "backup schedule"
    help_text: ClassVar[str] = "Take backups at these times from now on. Old ones are deleted."
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    verb: ClassVar[str] = "Add"
    doing: ClassVar[str] = "Adding"
    done: ClassVar[str] = "has the backup schedule"
    schedulable: ClassVar[bool] = False
    not_schedulable_reason: ClassVar[str] = "a schedule has its own times"
    changes_cluster: ClassVar[bool] = False
    # Requested again, its standing approval is renewed.
    repeatable: ClassVar[bool] = True

    times: str = rest(USAGE, default="")

    def target_text(self, name: str) -> str:
        return f"{self._named('a backup schedule')} to {name}"

    def outcome_text(self, name: str) -> str:
        return f"{name} has {self._named('the backup schedule')}"

    def _named(self, unnamed: str) -> str:
        text = self.times.strip()
        return f"backup schedule {text}" if text else unnamed

    def parse(self, cluster: Cluster) -> BackupSchedule:
        """Return the schedule. The cluster's time zone applies where the text names none."""
        # Slack clients turn a hyphen into an em dash, which is read as two hyphens.
        text = re.sub(r"(?<=\w)--(?=\w)", "-", self.times)
        return parse_backup_schedule(text, cluster.zone)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        schedule = self.parse(cluster)
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)
        if schedule.drill and not cluster.has_shell:
            raise Refused(NO_SSH)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        schedule = self.parse(cluster)
        before = cluster.backup_notes.schedule(schedule.name)
        since = before.since if before is not None else 0.0
        yield SaveBackupSchedule(backup_schedule_text(schedule), was=since)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        schedule = self.parse(cluster)
        lines = [
            f"Live while {cluster.name} is up; it is never shut down for it. While it is closed, "
            "the powered-off disks are taken, which are consistent",
            f"The newest {count_of(cluster.keep_backups, 'complete backup')} stay, and protected "
            "ones. Older ones of the bot are deleted once the new one is complete",
        ]
        if schedule.drill:
            lines.append("The first backup of each month is proven by a restore drill")
        return tuple(lines)

    def cost_note(self, cluster: Cluster) -> str:
        last = next((b for b in backups(cluster) if b.complete and b.size), None)
        each = "$0.06 a month for each GB; the size is known after the first one"
        if last is not None:
            kept = max(1, cluster.keep_backups)
            each = (
                f"${last.monthly * kept:.2f} a month for {count_of(kept, 'backup')} of the last "
                f"one's size ({last.size:.1f} GB each)"
            )
        if self.parse(cluster).drill:
            each = f"{each}; each drill costs a few cents"
        return each

    @override
    def next_step(self, cluster: Cluster) -> str:
        return "[[command backup list]] shows the schedules; [[command backup unschedule NAME]]"


@dataclass(frozen=True)
class BackupPrune(Procedure):
    """Delete old backups for good; the newest complete ones stay, as many as the policy keeps."""

    command: ClassVar[str] = "backup prune"
    help_text: ClassVar[str] = (
        "Delete old backups. The newest complete ones stay, as many as the settings keep."
    )
    verb: ClassVar[str] = "Prune the backups of"
    doing: ClassVar[str] = "Pruning the backups of"
    done: ClassVar[str] = "has only its newest backups"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        old = deletable_backups(cluster)
        if old:
            yield _drop(old)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        old = deletable_backups(cluster)
        kept = [b for b in backups(cluster) if b not in old]
        text = f"{count_of(len(kept), 'backup')} {plural(len(kept), 'stays', 'stay')}"
        newest = next((b for b in kept if b.complete), None)
        if newest is not None:
            text += f", the newest complete one {duration(cluster.seen_at - newest.at)} old"
        return (f"{text}; snapshots made outside the bot are never touched",)

    def cost_note(self, cluster: Cluster) -> str:
        size = sum((b.size for b in deletable_backups(cluster)), Decimal(0))
        return f"saves ${size * PER_GB:.2f} a month ({size:.1f} GB of snapshots at $0.06)"
