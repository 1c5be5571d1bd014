"""Steps that keep a copy of the masters, or throw old copies away."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.backups import label, name, stamp
from services.cluster.model import Cluster, Droplet, Fact, Snapshot
from services.common.errors import Rejected
from services.common.text import count, listed
from services.steps.base import Effects, Step, World, ask_each
from services.steps.masters import said
from services.steps.media_nodes import POOL_FACTS

UNKNOWN = "DigitalOcean's list of snapshots cannot be read (the token lacks snapshot:read)"


@dataclass(frozen=True)
class Snapshots(Step):
    """Each of these masters has a snapshot under the run's label: exactly one, however often it is asked for."""

    names: tuple[str, ...]
    off: bool = False  # they are off, so that the disks are at rest
    kind: str = "backup"
    stamp: str = ""  # of the run's start; none while it is only planned
    down: bool = False  # the cluster was down before, and stays so whatever comes of it

    needs: ClassVar[frozenset[Fact]] = POOL_FACTS | {
        Fact.SNAPSHOTS
    }  # the way back brings media nodes back
    breakable: ClassVar[bool] = False

    def begun(self, run: str, at: float) -> Step:  # noqa: ARG002
        return self if self.stamp else replace(self, stamp=stamp(at))

    def _name(self, cluster: Cluster, master: str) -> str:
        return name(label(cluster.stack, self.kind, self.stamp), master, off=self.off)

    def _missing(self, cluster: Cluster) -> list[Droplet]:
        there = {(s.droplet, s.name) for s in cluster.snapshots or ()}
        return [
            m
            for m in cluster.masters
            if m.name in self.names and (m.id, self._name(cluster, m.name)) not in there
        ]

    def title(self) -> str:
        return f"Snapshot {said(self.names)}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.snapshots is not None and not self._missing(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        made = tuple(
            Snapshot(f"planned-{m.id}", self._name(cluster, m.name), m.id)
            for m in self._missing(cluster)
        )
        return replace(cluster, snapshots=(cluster.snapshots or ()) + made)

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 240.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.snapshot_deadline

    def retry_after(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return 60.0

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        # While one is locked its snapshot may be on the way: only when all are quiet is it known which are really missing.
        missing = self._missing(cluster)
        return bool(missing) and not any(m.locked for m in missing)

    def objection(self, cluster: Cluster) -> str:
        return UNKNOWN if cluster.snapshots is None else ""

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:
        missing = self._missing(cluster)
        if again == 0:
            await ask_each(
                world.act(m.id, "snapshot", name=self._name(cluster, m.name)) for m in missing
            )
            return
        # Asked already: a second one would be a duplicate. Either it failed, or DigitalOcean is slow to list it.
        failed = [m.name for m in missing if await world.failed(m.id, "snapshot")]
        if failed:
            raise Rejected(
                f"DigitalOcean could not snapshot {said(tuple(failed))}, and does not say why"
            )

    def waits_for(self, cluster: Cluster) -> str:
        missing = self._missing(cluster)
        return (
            f"DigitalOcean to finish the snapshot of {said(tuple(m.name for m in missing))}"
            if missing
            else ""
        )

    def stays(self) -> str:
        return f"{count(len(self.names), 'snapshot')} ({said(self.names)}{', ' + self.stamp if self.stamp else ''})"


@dataclass(frozen=True)
class KeepSecrets(Step):
    """The current secrets.env lies, private, beside the backup of the run's label."""

    stack: str
    stamp: str = ""

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.SNAPSHOTS})
    breakable: ClassVar[bool] = False

    def begun(self, run: str, at: float) -> Step:  # noqa: ARG002
        return self if self.stamp else replace(self, stamp=stamp(at))

    def _label(self) -> str:
        return label(self.stack, "backup", self.stamp)

    def title(self) -> str:
        return "Copy secrets.env within the bucket"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.copies is not None and self._label() in cluster.copies

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, copies=(*(cluster.copies or ()), self._label()))

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.keep_secrets(self._label())

    def waits_for(self, cluster: Cluster) -> str:
        return "the bucket to answer" if cluster.copies is None else "the copy to be listed"

    def stays(self) -> str:
        return "a copy of secrets.env in the bucket"


@dataclass(frozen=True)
class DropBackups(Step):
    """These snapshots, and the copies of secrets.env that belong to them, are deleted for good."""

    labels: tuple[str, ...]
    snapshots: tuple[str, ...]

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.SNAPSHOTS})
    breakable: ClassVar[bool] = False
    twice: ClassVar[bool] = True  # one list without them may be an odd answer

    def title(self) -> str:
        return f"Delete {count(len(self.labels), 'old backup')} ({count(len(self.snapshots), 'snapshot')})"

    def _left(self, cluster: Cluster) -> list[str]:
        return [s.id for s in cluster.snapshots or () if s.id in self.snapshots]

    def _copies(self, cluster: Cluster) -> list[str]:
        return [c for c in cluster.copies or () if c in self.labels] if cluster.has_bucket else []

    def is_done(self, cluster: Cluster) -> bool:
        return (
            cluster.snapshots is not None and not self._left(cluster) and not self._copies(cluster)
        )

    def after(self, cluster: Cluster) -> Cluster:
        copies = (
            None
            if cluster.copies is None
            else tuple(c for c in cluster.copies if c not in self.labels)
        )
        return replace(
            cluster,
            snapshots=tuple(s for s in cluster.snapshots or () if s.id not in self.snapshots),
            copies=copies,
        )

    def expected_seconds(self, cluster: Cluster) -> float:
        return 5.0 + len(self.snapshots) + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline * 3

    def retry_after(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return 30.0

    def objection(self, cluster: Cluster) -> str:
        return UNKNOWN if cluster.snapshots is None else ""

    def effects(self, cluster: Cluster) -> Effects:  # noqa: ARG002
        gone = (f"{listed(self.labels)} deleted",)
        return Effects(irreversible=gone, special=(f"deletes {listed(self.labels)} for good",))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.delete_snapshot(i) for i in self._left(cluster))
        await ask_each(world.drop_secrets(c) for c in self._copies(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        return f"{count(len(self._left(cluster)), 'snapshot')} to be gone"

    def stays(self) -> str:
        return f"{count(len(self.labels), 'old backup')} deleted"
