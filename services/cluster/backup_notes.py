"""What is kept of a cluster's backups: counts, proofs, protection, schedules. Pure values."""

from dataclasses import dataclass, replace

from services.cluster.drills import Counts

KEPT = 60  # results of drills, and backups with counts
REMEMBERED = 300  # times of schedules; most of a year of daily backups


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
class BackupSchedule:
    """When backups are taken without another approval. `at`: minutes after local midnight.

    `drill`: the first one of each month is proven. `run`: the run that added it, whose approval
    stands. `since`: it acts on times after that.
    """

    name: str
    days: tuple[int, ...]
    at: int
    zone: str
    drill: bool = False
    run: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class BackupNotes:
    """What the bot keeps of one cluster's backups. `protected`: labels that stay.

    `done`: times of schedules that are dealt with, by name; `.../missed` where nothing came of one.
    """

    counted: tuple[CountsNoted, ...] = ()
    drills: tuple[DrillResult, ...] = ()
    protected: tuple[str, ...] = ()
    schedules: tuple[BackupSchedule, ...] = ()
    done: tuple[str, ...] = ()

    def schedule(self, name: str) -> BackupSchedule | None:
        """Return the schedule of that name; None for none."""
        return next((s for s in self.schedules if s.name == name), None)

    def with_schedule(self, schedule: BackupSchedule) -> "BackupNotes":
        """Return them with a schedule added, or replaced by name."""
        others = tuple(s for s in self.schedules if s.name != schedule.name)
        return replace(self, schedules=(*others, schedule))

    def without_schedule(self, name: str) -> "BackupNotes":
        """Return them without the schedule of that name."""
        return replace(self, schedules=tuple(s for s in self.schedules if s.name != name))

    def with_done(self, *names: str) -> "BackupNotes":
        """Return them with these times dealt with."""
        fresh = tuple(n for n in names if n not in self.done)
        return replace(self, done=(*self.done, *fresh)[-REMEMBERED:])

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
