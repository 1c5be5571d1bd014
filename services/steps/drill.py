"""Steps of a restore drill: a backup is opened on a throw-away droplet, and all of it deleted.

What keeps the copy of a master from the production cluster: it is in a network of its own, its
firewall lets SSH in and nothing out, and its first boot keeps OpenVidu, Docker and cron from
starting. All three are verified before the database is opened.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from services.cluster.backup_notes import CountsNoted, DrillResult
from services.cluster.backups import backup_label, backup_stamp
from services.cluster.drills import (
    NOTHING_LEFT,
    Counts,
    DrillDroplet,
    DrillPart,
    DrillReport,
    DrillSeen,
    drill_name,
    shortfall,
)
from services.cluster.model import Cluster, Fact
from services.common.text import count_of, join_words
from services.common.values import replace
from services.steps.base import Step, StepTiming, WriteOperations

PARTS = ("tag", "network", "firewall")
DRILL_FACTS = frozenset({Fact.DRILL})
ISOLATED = DrillReport(sealed=True)
PROVED = DrillReport(sealed=True, begun=True, ended=True)


@dataclass(frozen=True)
class NoteCounts(Step):
    """The documents in the database are counted for the backup, as far as they can be."""

    timing: ClassVar[StepTiming] = StepTiming(expected=5.0, deadline=lambda t: t.pool_deadline)
    interruptible: ClassVar[bool] = False
    leaves_change: ClassVar[bool] = False

    stack: str
    stamp: str = ""

    @override
    def bind_run(self, run: str, at: float) -> Step:
        return self if self.stamp else replace(self, stamp=backup_stamp(at))

    def _label(self) -> str:
        return backup_label(self.stack, "backup", self.stamp)

    def title(self) -> str:
        return "Count the documents in the database"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.backup_notes.counts_of(self._label()) is not None

    def after(self, cluster: Cluster) -> Cluster:
        notes = cluster.backup_notes.with_counts(CountsNoted(self._label()))
        return replace(cluster, backup_notes=notes)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.note_counts(self._label())


@dataclass(frozen=True)
class _DrillStep(Step):
    """A step of one drill. `stamp`: of the run's start; "" while it is only planned."""

    needs: ClassVar[frozenset[Fact]] = DRILL_FACTS
    # What exists costs money: a cancel comes into effect when all of it is deleted.
    interruptible: ClassVar[bool] = False
    leaves_change: ClassVar[bool] = False

    stack: str
    stamp: str = ""

    @override
    def bind_run(self, run: str, at: float) -> Step:
        return self if self.stamp else replace(self, stamp=backup_stamp(at))

    @property
    def is_waypoint(self) -> bool:
        return True

    @property
    def name(self) -> str:
        """The name of everything that this drill creates."""
        return drill_name(self.stack, self.stamp)

    def _is_over(self, cluster: Cluster) -> bool:
        """Return whether the result is recorded: nothing is created after that."""
        return cluster.backup_notes.result(self.stamp or "planned") is not None

    def _droplet(self, cluster: Cluster) -> DrillDroplet | None:
        return cluster.drill.droplet(self.name) if cluster.drill is not None else None

    def _with(self, cluster: Cluster, droplet: DrillDroplet) -> Cluster:
        seen = cluster.drill or NOTHING_LEFT
        others = tuple(d for d in seen.droplets if d.name != self.name)
        return replace(cluster, drill=replace(seen, droplets=(*others, droplet)))


@dataclass(frozen=True)
class DrillNetwork(_DrillStep):
    """A network of the drill's own exists, with a firewall that lets SSH in and nothing out."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=5.0, deadline=lambda t: t.pool_deadline, retry_after=30.0
    )

    region: str = ""

    def title(self) -> str:
        return "Create a closed throw-away network"

    def is_done(self, cluster: Cluster) -> bool:
        if self._is_over(cluster):
            return True
        return cluster.drill is not None and all(cluster.drill.has(p, self.name) for p in PARTS)

    def after(self, cluster: Cluster) -> Cluster:
        seen = cluster.drill or NOTHING_LEFT
        new = tuple(DrillPart(kind, f"planned-{kind}", self.name, shut=True) for kind in PARTS)
        kept = tuple(p for p in seen.parts if p.name != self.name)
        return replace(cluster, drill=replace(seen, parts=(*kept, *new)))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.create_drill_network(self.name, self.region)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return "DigitalOcean to show the network and its firewall"


@dataclass(frozen=True)
class CopyStarted(_DrillStep):
    """The copy of a master runs, answers by SSH, and is proved to reach nothing."""

    # Created, booted, and its database's machine answers.
    timing: ClassVar[StepTiming] = StepTiming(expected=150.0, deadline=1800.0)

    master: str = ""
    snapshot: str = ""
    size: str = ""
    region: str = ""
    hourly: Decimal | None = None

    def title(self) -> str:
        return f"Start the copy of {self.master} on a throw-away droplet"

    def is_done(self, cluster: Cluster) -> bool:
        droplet = self._droplet(cluster)
        return self._is_over(cluster) or (droplet is not None and droplet.isolated)

    def after(self, cluster: Cluster) -> Cluster:
        droplet = DrillDroplet(-1, self.name, "active", shut=True, report=ISOLATED)
        return self._with(cluster, droplet)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return cluster.drill is not None and self._droplet(cluster) is None

    def blocker(self, cluster: Cluster) -> str:
        droplet = self._droplet(cluster)
        if droplet is not None and isinstance(droplet.report, DrillReport):
            return droplet.report.not_isolated
        return ""

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.create_drill_droplet(self.name, self.snapshot, self.size, self.region)

    def waits_for(self, cluster: Cluster) -> str:
        droplet = self._droplet(cluster)
        if droplet is None or not droplet.active:
            return "DigitalOcean to create the droplet"
        if not droplet.shut:
            return "its firewall to be in force"
        return "the copy to answer by SSH"


@dataclass(frozen=True)
class DatabaseOpened(_DrillStep):
    """The copy's database was opened, and holds what the backup noted."""

    timing: ClassVar[StepTiming] = StepTiming(expected=45.0, deadline=900.0, retry_after=60.0)

    label: str = ""
    expected: Counts = ()

    def title(self) -> str:
        return "Open its database and compare the counts"

    def _report(self, cluster: Cluster) -> DrillReport | None:
        droplet = self._droplet(cluster)
        if droplet is None or not isinstance(droplet.report, DrillReport):
            return None
        return droplet.report

    def is_done(self, cluster: Cluster) -> bool:
        report = self._report(cluster)
        if self._is_over(cluster):
            return True
        return report is not None and report.ended and not self.blocker(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        report = replace(PROVED, counts=self.expected)
        return self._with(cluster, DrillDroplet(-1, self.name, "active", shut=True, report=report))

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        report = self._report(cluster)
        return report is not None and not report.begun and not report.not_isolated

    def blocker(self, cluster: Cluster) -> str:
        report = self._report(cluster)
        if report is None or self._is_over(cluster):
            return ""
        if report.not_isolated:
            return report.not_isolated
        if not report.ended:
            return ""
        if report.failure:
            return f"the database does not open: {report.failure}"
        if not report.counts:
            return "the database opens and is empty"
        return shortfall(self.expected, report.counts)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        droplet = self._droplet(cluster)
        assert droplet is not None, "it is requested only where the copy answers"
        await world.open_drill_database(droplet.id, self.label)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return "MongoDB to open the copied files"


@dataclass(frozen=True)
class RecordDrill(_DrillStep):
    """The result of the drill is kept with the backup."""

    leaves_change: ClassVar[bool] = True
    timing: ClassVar[StepTiming] = StepTiming(expected=1.0, deadline=lambda t: t.pool_deadline)

    label: str = ""
    proven: bool = True
    compared: bool = False
    reason: str = ""

    def title(self) -> str:
        return "Record the result"

    @override
    def residue(self) -> str:
        return f"{self.label} is {'' if self.proven else 'not '}proven, on a copy that is deleted"

    def is_done(self, cluster: Cluster) -> bool:
        return self._is_over(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        result = DrillResult(
            self.stamp or "planned", self.label, cluster.seen_at, self.proven, self.reason
        )
        return replace(cluster, backup_notes=cluster.backup_notes.with_result(result))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.record_drill(
            self.stamp, self.label, self.reason, proven=self.proven, compared=self.compared
        )

    def completion_note(self, cluster: Cluster) -> str:
        result = cluster.backup_notes.result(self.stamp)
        return "" if result is None or not result.proven else proof_sentence(result)


@dataclass(frozen=True)
class DrillGone(_DrillStep):
    """Nothing that drills of this stack created is left, seen twice."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=40.0,
        deadline=3600.0,
        retry_after=15.0,
        # What a lost request created may show late.
        confirm_after=20.0,
    )
    confirm: ClassVar[bool] = True

    @property
    def is_waypoint(self) -> bool:
        return False

    def title(self) -> str:
        return "Delete the throw-away droplet and its network"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.drill is not None and cluster.drill.is_empty

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, drill=NOTHING_LEFT)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.delete_drills(cluster.drill or DrillSeen())

    def waits_for(self, cluster: Cluster) -> str:
        return leftovers_text(cluster.drill or NOTHING_LEFT)


def leftovers_text(seen: DrillSeen) -> str:
    """Return what is left, in a few words; "" when nothing is."""
    words = [count_of(len(seen.droplets), "droplet")] if seen.droplets else []
    words += sorted({p.kind for p in seen.parts})
    return f"{join_words(words)} of a drill to be deleted" if words else ""


def proof_sentence(result: DrillResult) -> str:
    """Return what a drill has shown: `acme-backup-… is proven: 6 min, $0.01`."""
    took = f"{max(1, round(result.seconds / 60))} min"
    if not result.proven:
        return f"{result.label} is not proven: {result.reason}"
    documents = sum(number for _, number in result.counts)
    more = f"{documents} documents, as noted with it"
    if not result.compared:
        more = f"{documents} documents; the backup noted no counts to compare"
    return f"{result.label} is proven: its database opens ({more}). {took}, ${result.cost}"
