"""The actions worth offering for a cluster now, for buttons and menus. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.cluster.backups import deletable_backups
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, FleetKind
from services.common.command import Command
from services.runs.run import Run, State

MAIN = 4  # offers that are buttons of their own; the rest is in a list
ACTION = {True: "form", False: "say"}


@dataclass(frozen=True)
class Offer:
    """One command with a label.

    `form`: its arguments are picked in a form first; otherwise it runs as it is.
    """

    label: str
    command: str
    form: bool = False

    @property
    def action(self) -> str:
        """The action id of its button: `form:resize-media`, `say:status`."""
        return f"{ACTION[self.form]}:{self.command.replace(' ', '-')}"


STATUS = Offer("Status", "status")
READING = (
    Offer("Runs", "runs"),
    Offer("Off-hours windows", "window list"),
    Offer("Next openings and closings", "window forecast"),
    Offer("Backups", "backup list"),
    Offer("Cost", "cost"),
    Offer("All commands", "help"),
)
START, STOP = Offer("Start up…", "startup", form=True), Offer("Shut down…", "shutdown", form=True)
SCALE = Offer("Scale…", "scale", form=True)
NODES = (
    Offer("Restart a node…", "restart", form=True),
    Offer("Drain media nodes…", "drain", form=True),
)
SIZES = (
    Offer("Resize the media nodes…", "resize media", form=True),
    Offer("Resize the masters…", "resize masters", form=True),
)
BACKUP, PRUNE = (
    Offer("Back up…", "backup create", form=True),
    Offer("Prune backups…", "backup prune", form=True),
)
PARKING = (
    Offer("Park media nodes…", "park", form=True),
    Offer("Unpark media nodes…", "unpark", form=True),
)
FREEZING = (
    Offer("Freeze the autoscaler…", "freeze", form=True),
    Offer("Unfreeze the autoscaler…", "unfreeze", form=True),
)
ROLL = Offer("Replace nodes of an old size…", "roll", form=True)
# Where there is one master.
THE_MASTER = Offer("Resize the master…", "resize masters", form=True)
# Of a Single Node, whose one droplet is all of them.
THE_NODE = (
    Offer("Restart the node…", "restart", form=True),
    Offer("Drain the node…", "drain", form=True),
    Offer("Resize the node…", "resize masters", form=True),
)
# By kind of fleet: offers that change the number of media nodes, and those that change their size.
FLEETS: Mapping[FleetKind, tuple[tuple[Offer, ...], tuple[Offer, ...]]] = {
    FleetKind.POOL: ((SCALE,), SIZES[:1]),
    FleetKind.FIXED: (PARKING, SIZES[:1]),
    FleetKind.AUTOSCALER: (FREEZING, (ROLL,)),
}
SECRETS = Offer("Change secrets.env…", "config set", form=True)
HOLD, UNHOLD = Offer("Put on hold…", "hold", form=True), Offer("End the hold", "unhold")
STAY = Offer("Keep up…", "keepup", form=True)
WINDOW = Offer("Add an off-hours window…", "window add")  # has a form of its own


def allowed_offers(
    offered: Iterable[Offer],
    commands: Sequence[type[Command]],
    may: Callable[[type[Command]], bool],
) -> tuple[Offer, ...]:
    """Keep the offers whose command the reader may use."""
    kinds = {kind.command: kind for kind in commands}
    return tuple(o for o in offered if may(kinds[o.command]))


def offers(
    cluster: Cluster | None,
    run: Run | None,
    *,
    operates: bool,
    held: bool = False,
    windows: bool = False,
) -> tuple[Offer, ...]:
    """Return the offers, the most likely first.

    Leaves out what would be refused at once: changes without a role, or while a run or a hold has
    the cluster.
    """
    if not operates:
        return (STATUS, *READING)
    if held:
        return (STATUS, UNHOLD, *READING)
    if run is not None and windows and run.state is State.RUNNING:
        return (STATUS, STAY, *READING)
    if run is not None:
        return (STATUS, *READING)
    hold: tuple[Offer, ...] = (HOLD,)
    if windows:
        hold = (STAY, HOLD)
    if cluster is None or cluster.problem:
        return (STATUS, *hold, *READING)
    return (STATUS, *_changes(cluster), WINDOW, *hold, *READING)


def _changes(cluster: Cluster) -> tuple[Offer, ...]:
    resize_masters, nodes = SIZES[1], NODES
    if control_plane_of(cluster).masters == 1:
        resize_masters = THE_MASTER
    if cluster.kind is FleetKind.CO_LOCATED:
        resize_masters, nodes = THE_NODE[2], THE_NODE[:2]
    if cluster.is_down:
        return (START, resize_masters, *_backups(cluster), SECRETS)
    start: tuple[Offer, ...] = (START,)
    if _all_serve(cluster):
        start = ()
    if not cluster.is_up:
        return (*start, STOP, nodes[0])
    number, size = FLEETS.get(cluster.kind, ((), ()))
    offered = (*number, *nodes, *size, resize_masters)
    return (*start, STOP, *offered, *_backups(cluster), SECRETS)


def _backups(cluster: Cluster) -> tuple[Offer, ...]:
    if deletable_backups(cluster):
        return (BACKUP, PRUNE)
    return (BACKUP,)


def _all_serve(cluster: Cluster) -> bool:
    return cluster.is_up and bool(cluster.members) and len(cluster.serving) >= len(cluster.members)
