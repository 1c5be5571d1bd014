"""Backups: snapshots of the masters that the bot took together, recognized by their names."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.cluster.model import Cluster, Snapshot, only_name

# US dollars a month for each GB of a snapshot.
PER_GB = Decimal("0.06")
STAMP = "%Y%m%dT%H%M%SZ"
# In place of the stamp while there is no run yet.
PLANNED = "planned"
# The masters of each deployment, as they are named in snapshots.
FULL = (
    frozenset({"master-1", "master-2", "master-3", "master-4"}),
    frozenset({"master"}),
    frozenset({"node"}),
)
NAME = re.compile(
    r"(?P<label>.+-(?P<kind>backup|resize)-(?P<stamp>\d{8}T\d{6}Z|planned))"
    r"-(?P<master>master(-[1-4])?|node)(?P<off>-off)?"
)


def backup_label(stack: str, kind: str, stamp: str) -> str:
    """Return a backup's label: `acme-backup-20270115T080000Z`."""
    return f"{stack}-{kind}-{stamp or PLANNED}"


def snapshot_name(label: str, master: str, *, off: bool) -> str:
    """Return a snapshot's name: `acme-backup-20270115T080000Z-master-1`.

    `-off` follows if the master was powered off.
    """
    number = master.rsplit("-", 1)[-1]
    online = f"{label}-{only_name(master) or f'master-{number}'}"
    return f"{online}-off" if off else online


def backup_stamp(at: float) -> str:
    """Return a time as it is written in labels, in UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime(STAMP)


def made_by_bot(stack: str, snapshot: str) -> bool:
    """Return whether a snapshot of that name is one of the bot's own, of exactly that stack."""
    match = NAME.fullmatch(snapshot)
    return match is not None and match["label"] == backup_label(
        stack, match["kind"], match["stamp"]
    )


@dataclass(frozen=True)
class Backup:
    """The snapshots with one label, by master (`master-1`).

    `kind`: backup, or resize: taken one after the other in a rolling resize. `secrets`: there is a
    copy of secrets.env with it; None: unknown.
    """

    label: str
    kind: str
    at: float
    offline: bool
    snapshots: tuple[tuple[str, Snapshot], ...]
    secrets: bool | None

    @property
    def complete(self) -> bool:
        """Return whether it has every master of a deployment, taken at the same time."""
        masters = frozenset(master for master, _ in self.snapshots)
        return self.kind == "backup" and masters in FULL

    @property
    def size(self) -> Decimal:
        return sum((s.size for _, s in self.snapshots), Decimal(0))

    @property
    def monthly(self) -> Decimal:
        """Return its cost in US dollars a month."""
        return self.size * PER_GB


def backups(cluster: Cluster) -> tuple[Backup, ...]:
    """Return all backups that the bot made of this cluster, newest first.

    Empty also when the snapshots are unknown.
    """
    by_label: dict[str, list[tuple[str, Snapshot]]] = {}
    for snapshot in cluster.snapshots or ():
        match = NAME.fullmatch(snapshot.name)
        if match is not None and made_by_bot(cluster.stack, snapshot.name):
            by_label.setdefault(match["label"], []).append((match["master"], snapshot))
    found = [_backup(cluster, text, members) for text, members in by_label.items()]
    return tuple(sorted(found, key=lambda b: (b.at, b.label), reverse=True))


def _backup(cluster: Cluster, text: str, snapshots: list[tuple[str, Snapshot]]) -> Backup:
    kind, stamped = text.removeprefix(f"{cluster.stack}-").split("-")
    at = cluster.seen_at
    if stamped != PLANNED:
        at = datetime.strptime(stamped, STAMP).replace(tzinfo=UTC).timestamp()
    return Backup(
        label=text,
        kind=kind,
        at=at,
        offline=all(s.name.endswith("-off") for _, s in snapshots),
        snapshots=tuple(sorted(snapshots, key=lambda both: (both[0], both[1].id))),
        secrets=None if cluster.secrets_copies is None else text in cluster.secrets_copies,
    )


def deletable_backups(cluster: Cluster) -> tuple[Backup, ...]:
    """Return the backups that may be deleted: those before the `keep_backups` newest complete."""
    newest_first = backups(cluster)
    complete = [b for b in newest_first if b.complete]
    keep = complete[: max(1, cluster.keep_backups)]
    if not keep:
        return ()
    # An incomplete one newer than a kept one may still become complete, or a run that a person has
    # to look at has left it.
    extra = complete[len(keep) :]
    protected = cluster.backup_notes.protected
    incomplete = [b for b in newest_first if not b.complete and b.at < keep[-1].at]
    return tuple(
        b for b in newest_first if (b in extra or b in incomplete) and b.label not in protected
    )
