"""Steps about the masters' droplet size."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Droplet, Fact, short
from services.common.errors import Rejected
from services.common.text import listed
from services.steps.base import Effects, Step, World
from services.steps.masters import said
from services.steps.media_nodes import NODE_FACTS


@dataclass(frozen=True)
class Resize(Step):
    """Masters that are off have another droplet size. Side by side; `disk` is what their disks grow to in GB, 0 to leave them alone."""

    names: tuple[str, ...]
    size: str
    disk: int = 0
    down: bool = False  # the cluster was down before, and stays so whatever comes of it

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS  # the way back brings media nodes back
    edits: ClassVar[tuple[str, ...]] = ("sizes",)
    breakable: ClassVar[bool] = False

    def _wrong(self, cluster: Cluster) -> list[Droplet]:
        mine = [m for m in cluster.masters if m.name in self.names]
        return [m for m in mine if m.size != self.size or m.locked or m.disk < self.disk]

    def title(self) -> str:
        disks = (
            f", with {'its disk' if len(self.names) == 1 else 'their disks'} of {self.disk} GB"
            if self.disk
            else ""
        )
        return f"Resize {said(self.names)} to {self.size}{disks}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._wrong(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {m.name: self._resized(cluster, m) for m in self._wrong(cluster)}
        )

    def _resized(self, cluster: Cluster, master: Droplet) -> Droplet:
        size = cluster.size(self.size)
        now = replace(master, size=self.size, locked=False, disk=max(master.disk, self.disk))
        if size is None:
            return now
        return replace(
            now, hourly=size.hourly, monthly=size.monthly, vcpus=size.vcpus, memory=size.memory
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 240.0

    def deadline(self, cluster: Cluster) -> float:
        # Documented: about a minute for each GB that is used.
        return max(
            cluster.timings.resize_deadline,
            60.0 * max((m.disk for m in cluster.masters), default=0),
        )

    def retry_after(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return 60.0

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        # While one is locked it is being resized: only when all are quiet is it known which are really left.
        wrong = self._wrong(cluster)
        return bool(wrong) and not any(m.locked for m in wrong)

    def objection(self, cluster: Cluster) -> str:
        on = [
            short(m.name, cluster.stack)
            for m in self._wrong(cluster)
            if m.status != "off" and not m.locked
        ]
        return f"{listed(on)} not off: a size is changed only while nothing runs" if on else ""

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:
        wrong = self._wrong(cluster)
        failed = [m.name for m in wrong if await world.failed(m.id, "resize")] if again else []
        if failed:
            raise Rejected(
                f"DigitalOcean could not resize {said(tuple(failed))}, and does not say why"
            )
        # One after the other, and none after a refusal: what is not asked for need not be waited for. A nudge asks once more: an action may
        # complete and change nothing.
        for master in wrong:
            await world.act(master.id, "resize", size=self.size, disk=self.disk > 0)

    def effects(self, cluster: Cluster) -> Effects:
        if not self.disk:
            return Effects()
        disks = f"{'the disk' if len(self.names) == 1 else 'the disks'} of {said(self.names)}"
        was = min((m.disk for m in cluster.masters if m.name in self.names), default=0)
        lasting = f"a disk never shrinks: no size with less than {self.disk} GB can be used for {said(self.names)} again"
        return Effects(
            irreversible=(lasting,),
            special=(f"grows {disks} from {was} GB to {self.disk} GB for good",),
        )

    def waits_for(self, cluster: Cluster) -> str:
        wrong = self._wrong(cluster)
        return f"DigitalOcean to resize {said(tuple(m.name for m in wrong))}" if wrong else ""

    def stays(self) -> str:
        return f"{said(self.names)} {'has' if len(self.names) == 1 else 'have'} {self.size}"


@dataclass(frozen=True)
class Settled(Step):
    """Nothing is under way on these masters, whatever came of it."""

    names: tuple[str, ...]

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    checks: ClassVar[bool] = True
    twice: ClassVar[bool] = True  # a look may be a little older than what was asked for last

    def title(self) -> str:
        return f"See that nothing is under way on {said(self.names)}"

    def _busy(self, cluster: Cluster) -> list[Droplet]:
        return [m for m in cluster.masters if m.name in self.names and m.locked]

    def is_done(self, cluster: Cluster) -> bool:
        return not self._busy(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters({m.name: replace(m, locked=False) for m in self._busy(cluster)})

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return False

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 60.0

    def deadline(self, cluster: Cluster) -> float:
        return max(cluster.timings.resize_deadline, cluster.timings.snapshot_deadline)

    def waits_for(self, cluster: Cluster) -> str:
        return f"what is under way on {said(tuple(m.name for m in self._busy(cluster)))}"
