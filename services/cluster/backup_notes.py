"""What is kept of a cluster's backups: counts, proofs, protection, schedules. Pure values."""

from dataclasses import dataclass, replace

from services.cluster.drills import Counts

KEPT = 60  # results of drills, and backups with counts


@dataclass(frozen=True)
class CountsNoted:
    """The documents by collection when a backup was taken; or why they could not be counted."""

    label: str
    counts: Counts = ()
    why: str = ""


@dataclass(frozen=True)
class DrillResult:
    """How one restore drill ended. `at`: when it began; `cost`: in US dollars, as text.

    `compared`: the counts were compared with those of the backup.
    """

    stamp: str
    label: str
    at: float
    proven: bool
    reason: str = ""
    seconds: float = 0.0
    cost: str = ""
    compared: bool = False
    counts: Counts = ()


@dataclass(frozen=True)
class BackupNotes:
    """What the bot keeps of one cluster's backups. `protected`: labels that stay."""

    counted: tuple[CountsNoted, ...] = ()
    drills: tuple[DrillResult, ...] = ()
    protected: tuple[str, ...] = ()

    def counts_of(self, label: str) -> CountsNoted | None:
        """Return what was noted with a backup; None when nothing was."""
        return next((c for c in self.counted if c.label == label), None)

    def result(self, stamp: str) -> DrillResult | None:
        """Return the result of the drill that began then; None while there is none."""
        return next((d for d in self.drills if d.stamp == stamp), None)

    def proof_of(self, label: str) -> DrillResult | None:
        """Return the newest drill of a backup; None when there was none."""
        return next((d for d in reversed(self.drills) if d.label == label), None)

    def with_counts(self, noted: CountsNoted) -> "BackupNotes":
        """Return them with the counts of one more backup."""
        others = tuple(c for c in self.counted if c.label != noted.label)
        return replace(self, counted=(*others, noted)[-KEPT:])

    def with_result(self, result: DrillResult) -> "BackupNotes":
        """Return them with one more result; the first of a drill stays."""
        if self.result(result.stamp) is not None:
            return self
        return replace(self, drills=(*self.drills, result)[-KEPT:])

    def with_protection(self, label: str, *, protected: bool) -> "BackupNotes":
        """Return them with a backup protected, or not any more."""
        others = tuple(p for p in self.protected if p != label)
        return replace(self, protected=(*others, label) if protected else others)


NO_NOTES = BackupNotes()
