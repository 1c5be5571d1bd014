"""Backups of the masters: taken and thrown away here; brought back only by a person at a keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from services.cluster.backups import PER_GB, backups, superseded
from services.cluster.model import Cluster
from services.common.command import flag
from services.common.errors import Refused
from services.common.text import count, duration
from services.procedures import fleet
from services.procedures.base import Procedure
from services.procedures.resize import on_the_way_up, opened, rest_of_trip, round_trip
from services.steps import DropBackups, KeepSecrets, Settled, Snapshots, Step
from services.steps.backup import UNKNOWN

OLD = 7 * 86400.0


@dataclass(frozen=True)
class BackupCreate(Procedure):
    """Snapshot the four masters under one label, and keep the current secrets.env with them."""

    command: ClassVar[str] = "backup create"
    verb: ClassVar[str] = "Back up"
    doing: ClassVar[str] = "Backing up"
    done: ClassVar[str] = "is backed up"

    offline: bool = flag("inside a shutdown of the whole cluster, which is safer")

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.snapshots is None:
            raise Refused(UNKNOWN)
        if self.offline and not cluster.down:
            fleet.of(cluster).check_round()

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        # Before anything is shut down: a bucket that does not answer must not make an outage longer.
        secrets = (KeepSecrets(cluster.stack),) if cluster.has_bucket else ()
        take = Snapshots(names, off=self._off(cluster), down=cluster.down)
        yield from secrets
        if take.is_done(cluster) or not self.offline or cluster.down:
            yield take
        else:
            yield from round_trip(cluster, iter((take,)))

    def onward(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        if on_the_way_up(left):  # it was up before, and is to be up again
            yield from (s for s in left if isinstance(s, KeepSecrets))
            yield from rest_of_trip(
                cluster, tuple(s for s in left if isinstance(s, Snapshots)), left
            )
        else:
            yield from self.steps(cluster)

    def _off(self, cluster: Cluster) -> bool:
        return self.offline or cluster.down

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if isinstance(step, Snapshots) and step.off and not step.down:
            yield Settled(step.names)
            yield from opened(cluster, fleet.of(cluster).before)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        if self._off(cluster):
            how = "[[strong Offline]]: the masters are off while it is taken, so their disks are at rest and fit together"
        else:
            how = (
                "[[strong Live, so only crash-consistent]]: each disk as if its master "
                "had lost power, and the four not at the same instant; "
                "`--offline` is safer, and takes the cluster down for it"
            )
        secrets = (
            "secrets.env is copied within the bucket"
            if cluster.has_bucket
            else "secrets.env is not copied: no bucket is configured"
        )
        return (how, f"{secrets}. What lies in Spaces (recordings) is not part of it")

    def money(self, cluster: Cluster) -> str:
        last = next((b for b in backups(cluster) if b.complete and b.size), None)
        guess = (
            f"the last one has {last.size:.1f} GB, ${last.monthly:.2f} a month"
            if last
            else "how much that is shows when it is taken"
        )
        return f"each GB in use on the masters' disks costs $0.06 a month until the backup is deleted ({guess})"

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        old = superseded(cluster)
        prune = (
            (f"{count(len(old), 'older backup')} could go: [[command backup prune]]",)
            if old
            else ()
        )
        down = (f"{cluster.name} was down and stays down",) if cluster.down else ()
        return (*prune, *down)

    def next_words(self, cluster: Cluster) -> str:  # noqa: ARG002
        return "[[command backup list]] shows it, and [[command backup show ID]] how a person brings it back"


@dataclass(frozen=True)
class BackupPrune(Procedure):
    """Delete old backups for good; the newest complete ones stay, as many as the policy keeps."""

    command: ClassVar[str] = "backup prune"
    verb: ClassVar[str] = "Prune the backups of"
    doing: ClassVar[str] = "Pruning the backups of"
    done: ClassVar[str] = "has only its newest backups left"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.snapshots is None:
            raise Refused(UNKNOWN)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        old = superseded(cluster)
        if old:
            yield DropBackups(
                tuple(b.label for b in old), tuple(s.id for b in old for _, s in b.snapshots)
            )

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        old = superseded(cluster)
        stay = [b for b in backups(cluster) if b not in old]
        newest = next((b for b in stay if b.complete), None)
        age = (
            f", the newest complete one {duration(cluster.seen_at - newest.at)} old"
            if newest
            else ""
        )
        return (
            f"{count(len(stay), 'backup')} stay{'s' if len(stay) == 1 else ''}{age}; snapshots that others made are never touched",
        )

    def money(self, cluster: Cluster) -> str:
        gone = sum((b.size for b in superseded(cluster)), Decimal(0))
        return f"saves ${gone * PER_GB:.2f} a month ({gone:.1f} GB of snapshots at $0.06)"


def newest_words(cluster: Cluster) -> str:
    """How old the newest complete backup is, for whoever looks at the cluster's state; "" when nobody can tell."""
    if cluster.snapshots is None:
        return ""
    made = [b for b in backups(cluster) if b.complete]
    if not made:
        return "none that is complete; [[command backup create]] takes one"
    age = cluster.seen_at - made[0].at
    said = f"newest {duration(age)} old ({'offline' if made[0].offline else 'live'}), {count(len(made), 'complete one')} kept"
    return f"[[warning]] {said}" if age > OLD else said
