"""Steps that take backups of the masters, and delete old ones."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.backups import backup_label, backup_stamp, snapshot_name
from services.cluster.model import Cluster, Droplet, Fact, Snapshot
from services.common.errors import Rejected
from services.common.markers import strong
from services.common.text import count_of, join_words
from services.common.values import replace
from services.steps.base import POOL_FACTS, Effects, Step, StepTiming, WriteOperations, request_each
from services.steps.masters import are_here, master_names
from services.steps.usual import usual
from services.windows.backup_times import (
    backup_schedule_text,
    clock_text,
    parse_backup_schedule,
)
from services.windows.days import day_words

SNAPSHOTS_UNREADABLE = (
    "DigitalOcean's list of snapshots cannot be read (the token lacks snapshot:read)"
)
SNAPSHOT_FACTS = frozenset({Fact.DROPLETS, Fact.SNAPSHOTS})


@dataclass(frozen=True)
class Snapshots(Step):
    """Each of these masters has exactly one snapshot under the run's label."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=usual("action snapshot", 240.0),
        deadline=lambda t: t.snapshot_deadline,
        retry_after=60.0,
    )
    # A rollback brings media nodes back.
    needs: ClassVar[frozenset[Fact]] = POOL_FACTS | {Fact.SNAPSHOTS}
    interruptible: ClassVar[bool] = False

    names: tuple[str, ...]
    # They are powered off, so that their disks are at rest.
    off: bool = False
    kind: str = "backup"
    # Of the run's start; "" while it is only planned.
    stamp: str = ""
    # The cluster was down before and stays down in any case.
    down: bool = False

    @override
    def bind_run(self, run: str, at: float) -> Step:
        if self.stamp:
            return self
        return replace(self, stamp=backup_stamp(at))

    def _name(self, cluster: Cluster, master: str) -> str:
        return snapshot_name(
            backup_label(cluster.stack, self.kind, self.stamp), master, off=self.off
        )

    def _missing(self, cluster: Cluster) -> list[Droplet]:
        existing = {(s.droplet, s.name) for s in cluster.snapshots or ()}
        return [
            m
            for m in cluster.masters
            if m.name in self.names and (m.id, self._name(cluster, m.name)) not in existing
        ]

    def title(self) -> str:
        return f"Snapshot {master_names(self.names)}"

    def is_done(self, cluster: Cluster) -> bool:
        return (
            cluster.snapshots is not None
            and are_here(cluster, self.names)
            and not self._missing(cluster)
        )

    def after(self, cluster: Cluster) -> Cluster:
        new = tuple(
            Snapshot(f"planned-{m.id}", self._name(cluster, m.name), m.id)
            for m in self._missing(cluster)
        )
        return replace(cluster, snapshots=(cluster.snapshots or ()) + new)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # The snapshot of a locked master may be in progress: which are missing is known only when
        # none is locked.
        missing = self._missing(cluster)
        return bool(missing) and not any(m.locked for m in missing)

    def blocker(self, cluster: Cluster) -> str:
        if cluster.snapshots is None:
            return SNAPSHOTS_UNREADABLE
        return ""

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        missing = self._missing(cluster)
        if again == 0:
            await request_each(
                world.request_droplet_action(m.id, "snapshot", name=self._name(cluster, m.name))
                for m in missing
            )
            return
        # A second request would create a duplicate: it failed, or DigitalOcean lists it late.
        failed = [m.name for m in missing if await world.action_failed(m.id, "snapshot")]
        if failed:
            names = master_names(tuple(failed))
            raise Rejected(f"DigitalOcean could not snapshot {names} and gives no reason")

    def waits_for(self, cluster: Cluster) -> str:
        missing = self._missing(cluster)
        if not missing:
            return ""
        names = master_names(tuple(m.name for m in missing))
        return f"DigitalOcean to finish the snapshot of {names}"

    def residue(self) -> str:
        details = master_names(self.names)
        if self.stamp:
            details += f", {self.stamp}"
        return f"{count_of(len(self.names), 'snapshot')} taken ({details})"


@dataclass(frozen=True)
class KeepSecrets(Step):
    """A private copy of the current secrets.env is stored with the backup of the run's label."""

    timing: ClassVar[StepTiming] = StepTiming(expected=5.0, deadline=lambda t: t.pool_deadline)
    needs: ClassVar[frozenset[Fact]] = SNAPSHOT_FACTS
    interruptible: ClassVar[bool] = False

    stack: str
    stamp: str = ""

    @override
    def bind_run(self, run: str, at: float) -> Step:
        if self.stamp:
            return self
        return replace(self, stamp=backup_stamp(at))

    def _label(self) -> str:
        return backup_label(self.stack, "backup", self.stamp)

    def title(self) -> str:
        return "Copy secrets.env within the bucket"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets_copies is not None and self._label() in cluster.secrets_copies

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, secrets_copies=(*(cluster.secrets_copies or ()), self._label()))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.copy_secrets(self._label())

    def waits_for(self, cluster: Cluster) -> str:
        if cluster.secrets_copies is None:
            return "the bucket to answer"
        return "the copy to be listed"

    def residue(self) -> str:
        return "secrets.env copied within the bucket"


@dataclass(frozen=True)
class SaveBackupSchedule(Step):
    """The schedule of backups is kept."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=1.0, deadline=lambda t: t.pool_deadline, retry_after=lambda t: t.look
    )

    times: str
    # Since when an equal one acts that is approved again; 0: there was none.
    was: float = 0.0

    def _name(self) -> str:
        return self.times.split(" ", 1)[0]

    def title(self) -> str:
        return f"Save the backup schedule {strong(self.times)}"

    def is_done(self, cluster: Cluster) -> bool:
        there = cluster.backup_notes.schedule(self._name())
        if there is None or there.since <= self.was:
            return False
        return backup_schedule_text(there) == self.times

    def after(self, cluster: Cluster) -> Cluster:
        since = max(cluster.seen_at, self.was + 1)
        schedule = replace(parse_backup_schedule(self.times, "UTC"), since=since)
        return replace(cluster, backup_notes=cluster.backup_notes.with_schedule(schedule))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.save_backup_schedule(self.times)

    def effects(self, cluster: Cluster) -> Effects:
        schedule = parse_backup_schedule(self.times, "UTC")
        when = f"{day_words(schedule.days)} {clock_text(schedule.at)} ({schedule.zone})"
        special = (
            f"takes backups of {cluster.name} {when}, and deletes old ones, every time "
            "without further approval",
        )
        return Effects(standing=True, special=special)

    def residue(self) -> str:
        return f"backup schedule {self._name()} saved"


@dataclass(frozen=True)
class DropBackups(Step):
    """These snapshots, and their copies of secrets.env, are deleted permanently."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: 5.0 + t.second_look,
        deadline=lambda t: t.pool_deadline * 3,
        retry_after=30.0,
    )
    needs: ClassVar[frozenset[Fact]] = SNAPSHOT_FACTS
    interruptible: ClassVar[bool] = False
    # A single list without them may be incomplete.
    confirm: ClassVar[bool] = True

    labels: tuple[str, ...]
    snapshots: tuple[str, ...]

    def title(self) -> str:
        backups = count_of(len(self.labels), "old backup")
        return f"Delete {backups} ({count_of(len(self.snapshots), 'snapshot')})"

    def _remaining(self, cluster: Cluster) -> list[str]:
        return [s.id for s in cluster.snapshots or () if s.id in self.snapshots]

    def _copies(self, cluster: Cluster) -> list[str]:
        if not cluster.has_bucket:
            return []
        return [c for c in cluster.secrets_copies or () if c in self.labels]

    def is_done(self, cluster: Cluster) -> bool:
        if cluster.snapshots is None:
            return False
        return not self._remaining(cluster) and not self._copies(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        snapshots = tuple(s for s in cluster.snapshots or () if s.id not in self.snapshots)
        now = replace(cluster, snapshots=snapshots)
        if cluster.secrets_copies is None:
            return now
        return replace(
            now, secrets_copies=tuple(c for c in cluster.secrets_copies if c not in self.labels)
        )

    def expected_seconds(self, cluster: Cluster) -> float:
        return super().expected_seconds(cluster) + len(self.snapshots)

    def blocker(self, cluster: Cluster) -> str:
        if cluster.snapshots is None:
            return SNAPSHOTS_UNREADABLE
        return ""

    @override
    def effects(self, cluster: Cluster) -> Effects:
        labels = join_words(self.labels)
        return Effects(
            irreversible=(f"{labels} deleted",), special=(f"deletes {labels} permanently",)
        )

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.delete_snapshot(i) for i in self._remaining(cluster))
        await request_each(world.delete_secrets_copy(c) for c in self._copies(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        return f"{count_of(len(self._remaining(cluster)), 'snapshot')} to be deleted"

    def residue(self) -> str:
        return f"{count_of(len(self.labels), 'old backup')} deleted"
