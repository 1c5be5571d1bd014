"""The restore drill: proves that a backup can be opened, on a throw-away droplet."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from services.cluster.backups import Backup, backups
from services.cluster.drills import drill_cost
from services.cluster.model import EVERYTHING, Cluster, Droplet, Fact, Snapshot
from services.common.command import argument, flag
from services.common.errors import Refused
from services.common.text import duration
from services.common.values import replace
from services.procedures.base import Procedure
from services.steps import (
    CopyStarted,
    DatabaseOpened,
    DrillGone,
    DrillNetwork,
    RecordDrill,
    Step,
)
from services.steps.backup import SNAPSHOTS_UNREADABLE
from services.steps.drill import leftovers_text

# What it takes at most: every deadline of its steps.
LONGEST = 2700.0
USUAL = 300.0
LEAST_MEMORY = 2048
NO_SSH = "a drill looks at the copy by SSH, which is not configured for this cluster"


@dataclass(frozen=True)
class Drill(Procedure):
    """Prove a backup: open its database on a throw-away droplet, compare, delete everything."""

    command: ClassVar[str] = "drill"
    help_text: ClassVar[str] = (
        "Prove a backup: its database is opened on a throw-away droplet, then all is deleted."
    )
    verb: ClassVar[str] = "Prove a backup of"
    doing: ClassVar[str] = "Proving a backup of"
    done: ClassVar[str] = "has a proven backup"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.DRILL}
    repeatable: ClassVar[bool] = True

    backup: str = argument("the backup's label; the newest complete one if omitted", default="")
    clean: bool = flag("only delete what an interrupted drill has left")

    @override
    def target_text(self, name: str) -> str:
        about = [self.backup] if self.backup else []
        if self.clean:
            about.append("only deletes leftovers")
        return f"{name} ({', '.join(about)})" if about else name

    @override
    def outcome_text(self, name: str) -> str:
        return f"nothing of a drill of {name} is left" if self.clean else f"{name} {self.done}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if self.clean:
            return
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)
        if not cluster.has_shell:
            raise Refused(NO_SSH)
        _, snapshot = self._first(self._backup(cluster))
        if self._size(cluster, snapshot) is None:
            raise Refused(
                "DigitalOcean lists no droplet size with a price that holds the disk of "
                f"snapshot {snapshot.id}"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        stack = cluster.stack
        if self.clean or (cluster.drill is not None and not cluster.drill.is_empty):
            yield DrillGone(stack)
        if self.clean:
            return
        backup = self._backup(cluster)
        master, snapshot = self._first(backup)
        size = self._size(cluster, snapshot)
        noted = cluster.backup_notes.counts_of(backup.label)
        counts = noted.counts if noted is not None else ()
        region = self._region(cluster)
        yield DrillNetwork(stack, region=region)
        yield CopyStarted(
            stack,
            master=master,
            snapshot=snapshot.id,
            size=size.size if size is not None else "",
            region=region,
            hourly=size.hourly if size is not None else None,
        )
        yield DatabaseOpened(stack, label=backup.label, expected=counts)
        yield RecordDrill(stack, label=backup.label, compared=bool(counts))
        yield DrillGone(stack)

    @override
    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        yield from left

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        yield from self.recover_because(cluster, step, f"“{step.title()}” was not reached")

    @override
    def recover_because(self, cluster: Cluster, step: Step, reason: str) -> Iterator[Step]:
        stamp = getattr(step, "stamp", "")
        if isinstance(step, DrillNetwork | CopyStarted | DatabaseOpened):
            label = self._label(cluster)
            yield RecordDrill(cluster.stack, stamp, label=label, proven=False, reason=reason)
            yield DrillGone(cluster.stack, stamp)
        elif isinstance(step, RecordDrill):
            yield DrillGone(cluster.stack, stamp)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        if self.clean:
            return ()
        backup = self._backup(cluster)
        lines = [
            f"It proves `{backup.label}`, on a copy of {self._first(backup)[0]} in a network of "
            "its own. The firewall lets nothing out, and OpenVidu does not start there. "
            f"{cluster.name} is not touched"
        ]
        noted = cluster.backup_notes.counts_of(backup.label)
        if noted is None or not noted.counts:
            why = noted.why if noted is not None else "it was taken by an earlier version"
            lines.append(f"The counts cannot be compared: {why or 'none were noted'}")
        lines.append(f"{cluster.name} is locked meanwhile; cancelled, it still deletes everything")
        if cluster.drill is not None and not cluster.drill.is_empty:
            lines.append(f"First it deletes what an earlier drill left: {self._left(cluster)}")
        return tuple(lines)

    def _left(self, cluster: Cluster) -> str:
        assert cluster.drill is not None, "it was observed"
        return leftovers_text(cluster.drill).removesuffix(" of a drill to be deleted")

    def cost_note(self, cluster: Cluster) -> str:
        if self.clean:
            return "ends the cost of a droplet that was left"
        size = self._size(cluster, self._first(self._backup(cluster))[1])
        assert size is not None, "checked"
        hourly = size.hourly or Decimal(0)
        usual, most = drill_cost(hourly, USUAL), drill_cost(hourly, LONGEST)
        return (
            f"${usual} for one {size.size} droplet for about {duration(USUAL)}, at most ${most} "
            f"({duration(LONGEST)}). Network and firewall are free"
        )

    @override
    def next_step(self, cluster: Cluster) -> str:
        return "[[command backup list]] shows which backups are proven"

    # What is proven

    def _backup(self, cluster: Cluster) -> Backup:
        complete = [b for b in backups(cluster) if b.complete]
        if not complete:
            raise Refused(
                f"{cluster.name} has no complete backup. [[command backup create]] takes one"
            )
        if not self.backup:
            return complete[0]
        suffix = f"-{self.backup.lower()}"
        matches = [
            b for b in complete if b.label == self.backup or b.label.lower().endswith(suffix)
        ]
        if len(matches) != 1:
            there = ", ".join(f"`{b.label}`" for b in complete[:5])
            raise Refused(f"there is no complete backup “{self.backup}”; there are: {there}")
        return matches[0]

    def _label(self, cluster: Cluster) -> str:
        try:
            return self._backup(cluster).label
        except Refused:
            return self.backup

    @staticmethod
    def _first(backup: Backup) -> tuple[str, Snapshot]:
        return backup.snapshots[0]

    @staticmethod
    def _region(cluster: Cluster) -> str:
        return cluster.region or next((m.region for m in cluster.masters), "")

    def _size(self, cluster: Cluster, snapshot: Snapshot) -> Droplet | None:
        """Return the cheapest size that holds the disk, as a droplet; the master's own at most.

        None where no price is known.
        """
        of = next((m for m in cluster.masters if m.id == snapshot.droplet), None)
        of = of or next(iter(cluster.masters), None)
        if of is None:
            return None
        region = self._region(cluster)
        fitting = [
            replace(of, size=s.slug, hourly=s.hourly)
            for s in cluster.sizes
            if s.available
            and s.hourly
            and s.disk >= of.disk > 0
            and s.memory >= LEAST_MEMORY
            and region in s.regions
            and not s.slug.startswith(("g5-", "s5-", "gpu-"))
        ]
        cheapest = min(fitting, key=lambda d: (d.hourly or 0, d.size), default=None)
        if cheapest is not None:
            return cheapest
        return of if of.hourly else None
