"""What somebody may do with a cluster now, as buttons and menus offer it. Pure: the state decides what is worth offering."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.cluster.backups import superseded
from services.cluster.model import Cluster, FleetKind
from services.common.command import Command
from services.runs.run import Run, State

MAIN = 4  # offers that are buttons of their own; the rest is in a list


@dataclass(frozen=True)
class Offer:
    """One command with a label. `form`: something has to be picked first; otherwise it is said as it stands."""

    label: str
    command: str
    form: bool = False

    @property
    def action(self) -> str:
        """The action of its button: `form:resize-media`, `say:status`."""
        return f"{'form' if self.form else 'say'}:{self.command.replace(' ', '-')}"


STATUS = Offer("Status", "status")
READING = (
    *(
        Offer("Runs so far", "runs"),
        Offer("Off-hours windows", "window list"),
        Offer("What closes when", "window forecast"),
    ),
    *(
        Offer("Backups", "backup list"),
        Offer("What it cost", "cost"),
        Offer("Everything that can be said", "help"),
    ),
)
START, STOP = Offer("Start up…", "startup", form=True), Offer("Shut down…", "shutdown", form=True)
SCALE = Offer("More or fewer media nodes…", "scale", form=True)
NODES = (
    Offer("Restart a node…", "restart", form=True),
    Offer("Drain media nodes…", "drain", form=True),
)
SIZES = (
    Offer("Resize the media nodes…", "resize media", form=True),
    Offer("Resize the masters…", "resize masters", form=True),
)
BACKUP, PRUNE = (
    Offer("Take a backup…", "backup create", form=True),
    Offer("Delete old backups…", "backup prune", form=True),
)
PARKING = (
    Offer("Park media nodes…", "park", form=True),
    Offer("Unpark media nodes…", "unpark", form=True),
)
FREEZING = (
    Offer("Freeze the autoscaler…", "freeze", form=True),
    Offer("Let it scale again…", "unfreeze", form=True),
)
ROLL = Offer("Replace nodes of an old size…", "roll", form=True)
FLEETS: Mapping[
    FleetKind, tuple[tuple[Offer, ...], tuple[Offer, ...]]
] = {  # how many there are, and of which size
    FleetKind.POOL: ((SCALE,), SIZES[:1]),
    FleetKind.FIXED: (PARKING, SIZES[:1]),
    FleetKind.AUTOSCALER: (FREEZING, (ROLL,)),
}
SECRETS = Offer("Change secrets.env…", "config set", form=True)
HOLD, UNHOLD = Offer("Put on hold…", "hold", form=True), Offer("End the hold", "unhold")
STAY = Offer("Keep up…", "keepup", form=True)
WINDOW = Offer("Add an off-hours window…", "window add")  # has a form of its own


def open_to(
    offered: Iterable[Offer], spoken: Sequence[type[Command]], may: Callable[[type[Command]], bool]
) -> tuple[Offer, ...]:
    """Those of them that somebody may say."""
    kinds = {kind.command: kind for kind in spoken}
    return tuple(o for o in offered if may(kinds[o.command]))


def offers(
    cluster: Cluster | None,
    run: Run | None,
    *,
    operates: bool,
    held: bool = False,
    windows: bool = False,
) -> tuple[Offer, ...]:
    """The most likely first. Nothing that would be refused at once: not while a run or a hold has the cluster, nor without a role."""
    if not operates:
        return (STATUS, *READING)
    if held:
        return (STATUS, UNHOLD, *READING)
    hold = (*((STAY,) if windows else ()), HOLD)
    later = (WINDOW, *hold)
    if run is not None:
        return (STATUS, *((STAY,) if windows and run.state is State.RUNNING else ()), *READING)
    if cluster is None or cluster.problem:
        return (STATUS, *hold, *READING)
    if cluster.down:
        return (STATUS, START, SIZES[1], *_keeping(cluster), SECRETS, *later, *READING)
    start = () if _all_serve(cluster) else (START,)
    if not cluster.up:
        return (STATUS, *start, STOP, NODES[0], *later, *READING)
    number, size = FLEETS.get(cluster.kind, ((), ()))
    return (
        STATUS,
        *start,
        STOP,
        *number,
        *NODES,
        *size,
        SIZES[1],
        *_keeping(cluster),
        SECRETS,
        *later,
        *READING,
    )


def _keeping(cluster: Cluster) -> tuple[Offer, ...]:
    return (BACKUP, PRUNE) if superseded(cluster) else (BACKUP,)


def _all_serve(cluster: Cluster) -> bool:
    return cluster.up and bool(cluster.members) and len(cluster.serving) >= len(cluster.members)
