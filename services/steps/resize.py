"""Steps that change the droplet size of masters."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Droplet, Fact, Size, short_name
from services.common.errors import Rejected
from services.common.text import join_words, plural
from services.common.values import replace
from services.steps.base import NODE_FACTS, Effects, Step, StepTiming, WriteOperations
from services.steps.masters import are_here, master_names


def with_size(droplet: Droplet, slug: str, size: Size | None) -> Droplet:
    """Return the droplet after a resize. `size` None: its specification is unknown."""
    resized = replace(droplet, size=slug, locked=False)
    if size is None:
        return resized
    return replace(
        resized,
        hourly=size.hourly,
        monthly=size.monthly,
        vcpus=size.vcpus,
        memory=size.memory,
    )


@dataclass(frozen=True)
class Resize(Step):
    """Masters that are powered off have this droplet size. They are resized in parallel."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=240.0,
        deadline=lambda t: t.resize_deadline,
        retry_after=60.0,
    )
    # A rollback brings media nodes back.
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    changed_facts: ClassVar[tuple[str, ...]] = ("sizes",)
    interruptible: ClassVar[bool] = False

    names: tuple[str, ...]
    size: str
    # What their disks grow to, in GB; 0: unchanged.
    disk: int = 0
    # The cluster was down before and stays down in any case.
    down: bool = False

    def _wrong(self, cluster: Cluster) -> list[Droplet]:
        masters = [m for m in cluster.masters if m.name in self.names]
        return [m for m in masters if m.size != self.size or m.locked or m.disk < self.disk]

    def title(self) -> str:
        text = f"Resize {master_names(self.names)} to {self.size}"
        if not self.disk:
            return text
        disks = plural(len(self.names), "its disk", "their disks")
        return f"{text}, {disks} to {self.disk} GB"

    def is_done(self, cluster: Cluster) -> bool:
        return are_here(cluster, self.names) and not self._wrong(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {m.name: self._resized(cluster, m) for m in self._wrong(cluster)}
        )

    def _resized(self, cluster: Cluster, master: Droplet) -> Droplet:
        grown = replace(master, disk=max(master.disk, self.disk))
        return with_size(grown, self.size, cluster.size(self.size))

    def deadline(self, cluster: Cluster) -> float:
        # Documented: about a minute for each GB in use.
        largest = max((m.disk for m in cluster.masters), default=0)
        return max(super().deadline(cluster), 60.0 * largest)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # A locked master is being resized: which are left is known only when none is locked.
        wrong = self._wrong(cluster)
        return bool(wrong) and not any(m.locked for m in wrong)

    def blocker(self, cluster: Cluster) -> str:
        on = [
            short_name(m.name, cluster.stack)
            for m in self._wrong(cluster)
            if m.status != "off" and not m.locked
        ]
        if not on:
            return ""
        return f"{join_words(on)} not powered off: a droplet is resized only while powered off"

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        wrong = self._wrong(cluster)
        failed: list[str] = []
        if again:
            failed = [m.name for m in wrong if await world.action_failed(m.id, "resize")]
        if failed:
            names = master_names(tuple(failed))
            raise Rejected(f"DigitalOcean could not resize {names} and gives no reason")
        # In order, and none after a refusal: what is not requested need not be waited for. A retry
        # repeats the request: an action may complete without changing anything.
        for master in wrong:
            await world.request_droplet_action(
                master.id, "resize", size=self.size, disk=self.disk > 0
            )

    def effects(self, cluster: Cluster) -> Effects:
        if not self.disk:
            return Effects()
        names = master_names(self.names)
        disks = plural(len(self.names), "the disk", "the disks")
        was = min((m.disk for m in cluster.masters if m.name in self.names), default=0)
        irreversible = (
            f"a disk never shrinks: {names} can never have less than {self.disk} GB again"
        )
        special = f"grows {disks} of {names} from {was} GB to {self.disk} GB permanently"
        return Effects(irreversible=(irreversible,), special=(special,))

    def waits_for(self, cluster: Cluster) -> str:
        wrong = self._wrong(cluster)
        if not wrong:
            return ""
        return f"DigitalOcean to resize {master_names(tuple(m.name for m in wrong))}"

    def residue(self) -> str:
        return f"{master_names(self.names)} resized to {self.size}"


@dataclass(frozen=True)
class Settled(Step):
    """No action is in progress on these masters, whatever its result."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=60.0,
        deadline=lambda t: max(t.resize_deadline, t.snapshot_deadline),
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    is_verification: ClassVar[bool] = True
    # A single observation may be slightly older than the last request.
    confirm: ClassVar[bool] = True
    only_waits: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    names: tuple[str, ...]

    def title(self) -> str:
        return f"Verify that no action is in progress on {master_names(self.names)}"

    def _busy(self, cluster: Cluster) -> list[Droplet]:
        return [m for m in cluster.masters if m.name in self.names and m.locked]

    def is_done(self, cluster: Cluster) -> bool:
        return are_here(cluster, self.names) and not self._busy(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters({m.name: replace(m, locked=False) for m in self._busy(cluster)})

    def waits_for(self, cluster: Cluster) -> str:
        names = master_names(tuple(m.name for m in self._busy(cluster)))
        return f"actions on {names} to end"
