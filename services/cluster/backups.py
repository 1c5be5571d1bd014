"""Backups: snapshots of the masters that the bot took together, told apart from all others by their names alone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster.model import Cluster, Snapshot

PER_GB = Decimal("0.06")  # US dollars a month, for every GB that a snapshot holds
HOURS = Decimal(672)  # in a month, as DigitalOcean bills
STAMP = "%Y%m%dT%H%M%SZ"
PLANNED = "planned"  # stands where the stamp goes as long as there is no run
FULL = 4
NAME = re.compile(
    r"(?P<label>.+-(?P<kind>backup|resize)-(?P<stamp>\d{8}T\d{6}Z|planned))-(?P<master>master-[1-4])(?P<off>-off)?"
)


def label(stack: str, kind: str, stamp: str) -> str:
    """`acme-backup-20270115T080000Z`."""
    return f"{stack}-{kind}-{stamp or PLANNED}"


def name(label: str, master: str, *, off: bool) -> str:
    """A snapshot's name: `acme-backup-20270115T080000Z-master-1`, with `-off` after it when the master was off."""
    return f"{label}-master-{master.rsplit('-', 1)[-1]}{'-off' if off else ''}"


def stamp(at: float) -> str:
    """The moment in a label, UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime(STAMP)


def made_by_bot(stack: str, snapshot: str) -> bool:
    """Whether a snapshot of that name is one of the bot's own, of that stack and no other."""
    found = NAME.fullmatch(snapshot)
    return found is not None and found["label"] == label(stack, found["kind"], found["stamp"])


@dataclass(frozen=True)
class Backup:
    """The snapshots under one label, by master (`master-1`)."""

    label: str
    kind: str  # backup, or resize: taken one after the other in a rolling resize
    at: float
    offline: bool
    snapshots: tuple[tuple[str, Snapshot], ...]
    secrets: bool | None  # a copy of secrets.env goes with it; None: nobody knows

    @property
    def complete(self) -> bool:
        """All four masters, at the same time."""
        return self.kind == "backup" and len({master for master, _ in self.snapshots}) == FULL

    @property
    def size(self) -> Decimal:
        return sum((s.size for _, s in self.snapshots), Decimal(0))

    @property
    def monthly(self) -> Decimal:
        """US dollars a month."""
        return self.size * PER_GB


def backups(cluster: Cluster) -> tuple[Backup, ...]:
    """Every backup that the bot made of this cluster, newest first. Empty too when the snapshots are not known."""
    found: dict[str, list[tuple[str, Snapshot]]] = {}
    for snapshot in cluster.snapshots or ():
        match = NAME.fullmatch(snapshot.name)
        if match is not None and made_by_bot(cluster.stack, snapshot.name):
            found.setdefault(match["label"], []).append((match["master"], snapshot))
    made = [_backup(cluster, text, held) for text, held in found.items()]
    return tuple(sorted(made, key=lambda b: (b.at, b.label), reverse=True))


def _backup(cluster: Cluster, text: str, held: list[tuple[str, Snapshot]]) -> Backup:
    kind, said = text.removeprefix(f"{cluster.stack}-").split("-")
    at = (
        cluster.seen_at
        if said == PLANNED
        else datetime.strptime(said, STAMP).replace(tzinfo=UTC).timestamp()
    )
    secrets = None if cluster.copies is None else text in cluster.copies
    offline = all(s.name.endswith("-off") for _, s in held)
    return Backup(
        text,
        kind,
        at,
        offline,
        tuple(sorted(held, key=lambda both: (both[0], both[1].id))),
        secrets,
    )


def superseded(cluster: Cluster) -> tuple[Backup, ...]:
    """Those that the policy has no more use for: older than the newest `keep_backups` complete ones. Never one of these."""
    made = backups(cluster)
    complete = [b for b in made if b.complete]
    keep = complete[: max(1, cluster.keep_backups)]
    if not keep:
        return ()
    # What is newer than a kept one may still become complete, or was left by a run that somebody has to look at.
    extra = complete[len(keep) :]
    incomplete = [b for b in made if not b.complete and b.at < keep[-1].at]
    return tuple(b for b in made if b in extra or b in incomplete)
