"""Procedures that take backups of the masters, and delete old ones.

Restoring one is described for people, and never done by the bot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from services.cluster.backups import PER_GB, backups, deletable_backups
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster
from services.common.command import flag
from services.common.errors import Refused
from services.common.text import count_of, duration, plural
from services.procedures import fleet
from services.procedures.base import Procedure
from services.procedures.round_trip import rest_of_trip, returns_to_service, round_trip, startup
from services.steps import DropBackups, KeepSecrets, Settled, Snapshots, Step
from services.steps.backup import SNAPSHOTS_UNREADABLE


@dataclass(frozen=True)
class BackupCreate(Procedure):
    """Snapshot the masters under one label, and keep the current secrets.env with them."""

    command: ClassVar[str] = "backup create"
    verb: ClassVar[str] = "Back up"
    doing: ClassVar[str] = "Backing up"
    done: ClassVar[str] = "is backed up"

    offline: bool = flag("shut the whole cluster down for it, which is safer")

    def target_text(self, name: str) -> str:
        return f"{name} offline" if self.offline else name

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)
        if self.offline and not cluster.is_down:
            fleet.fleet_of(cluster).check_round_trip()

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        # First: a bucket that does not answer must not prolong an outage.
        if cluster.has_bucket:
            yield KeepSecrets(cluster.stack)
        snapshots = Snapshots(names, off=self._off(cluster), down=cluster.is_down)
        if snapshots.is_done(cluster) or not self.offline or cluster.is_down:
            yield snapshots
        else:
            yield from round_trip(cluster, iter((snapshots,)))

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        if not returns_to_service(left):
            yield from self.steps(cluster)
            return
        yield from (s for s in left if isinstance(s, KeepSecrets))
        snapshots = tuple(s for s in left if isinstance(s, Snapshots))
        yield from rest_of_trip(cluster, snapshots, left)

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
        estimate = "The size is known once it is taken"
        if last is not None:
            estimate = f"The last one has {last.size:.1f} GB, ${last.monthly:.2f} a month"
        plane = control_plane_of(cluster)
        disks = f"{plane.all_masters}'s disk" if plane.masters == 1 else "the masters' disks"
        return (
            f"$0.06 a month for each GB in use on {disks}, until the backup is deleted. {estimate}"
        )

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        lines = []
        old = deletable_backups(cluster)
        if old:
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
            yield DropBackups(
                tuple(b.label for b in old), tuple(s.id for b in old for _, s in b.snapshots)
            )

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
