"""What steps have changed so far, and how far the current one is. Pure.

A later step replaces what an earlier one says about the same subject: a master that was powered
off and on again is on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.cluster.model import Cluster, MediaNode
from services.common.text import count_of
from services.common.values import replace
from services.steps.autoscaler import Arrived, Autoscaling
from services.steps.autoscaler_drain import Deleted, FleetGone, Left
from services.steps.backup import SaveBackupSchedule, Snapshots
from services.steps.base import Step
from services.steps.configuration import ApplyConfig, RestoreConfigFile, WriteConfigFile
from services.steps.drain import Drain
from services.steps.drill import RecordDrill
from services.steps.fixed_nodes import NodeSize, NodesOff, NodesOn, NodesServe
from services.steps.host import PowerOffHost, RestartHost
from services.steps.masters import Healthy, PowerOff, PowerOn, RestartService, powered_on
from services.steps.media_nodes import MediaServing, Revive, StopService
from services.steps.node_service import StartUnit, StopUnit
from services.steps.pool import PoolTarget, TemplateSize
from services.steps.removal import MediaGone, OldGone, Shrunk
from services.steps.resize import Resize
from services.steps.scaling import SaveScaling
from services.steps.secrets import PromoteSecrets, RestoreSecrets
from services.steps.upgrade import (
    FetchUpdater,
    RecordVersion,
    RestoreMaster,
    StartServices,
    UpdateMaster,
)
from services.steps.windows import SaveWindow

# Every media node; how many are in service; nodes that were added meanwhile, whose ids no plan has.
ALL, SERVING, ADDED = "media:*", "media:serving", "media:added"
HOST = "media:host"  # the droplet of a Single Node, as a media node
OF_NODES = (Drain, Left, Deleted, StopService, Revive, NodesOff, NodesOn, NodesServe)


@dataclass(frozen=True)
class Tally:
    """How many of how many a step has got so far; `what` follows the numbers."""

    done: int
    total: int
    what: str


# What stays


def changes(reached: Sequence[Step], begun: Step | None = None) -> list[str]:
    """Return what these steps leave changed, in order. `begun`: requested, and not reached."""
    lines: list[str] = []
    for of_masters, group in groupby(remaining(reached), key=lambda s: isinstance(s, PowerOn)):
        each = list(group)
        if of_masters:
            lines.append(powered_on(tuple(s.name for s in each if isinstance(s, PowerOn))))
        else:
            lines += [s.residue() for s in each]
    if begun is not None:
        lines.append(unfinished(begun))
    return lines


def remaining(reached: Sequence[Step]) -> list[Step]:
    """Return the steps whose change still holds, each as far as it does."""
    kept, later = list[Step](), frozenset[str]()
    for step in reversed(reached):
        left = _left_by(step, later)
        if left is not None and left.leaves_change:
            kept.append(left)
        later |= subjects(step)
    return kept[::-1]


def _left_by(step: Step, later: frozenset[str]) -> Step | None:
    """Return the step without the subjects that later steps replace; None without any left."""
    own = subjects(step)
    held = frozenset(s for s in own if not _is_replaced(s, later))
    if held == own:
        return step
    if not held:
        return None
    return narrowed(step, held)


def _is_replaced(subject: str, later: frozenset[str]) -> bool:
    if subject in later:
        return True
    if not subject.startswith("media:"):
        return False
    if ALL in later:
        return True
    # All nodes were drained or deleted, and some serve, or were restarted, since.
    return subject == ALL and any(s.startswith("media:") for s in later)


def subjects(step: Step) -> frozenset[str]:
    """Return what a step's change is about."""
    match step:
        case PowerOn(name=name):
            return _each("power", (name,))
        case PoolTarget():
            return frozenset({"pool target"})
        case TemplateSize():
            return frozenset({"pool template"})
        case Autoscaling():
            return frozenset({"autoscaler"})
        case PromoteSecrets() | RestoreSecrets():
            return frozenset({"secrets.env"})
        case SaveWindow(words=words):
            return _each("window", words.split(" ", 1)[:1])
        case RecordDrill(label=label):
            return _each("drill", (label,))
        case SaveBackupSchedule(times=times):
            return _each("backup schedule", times.split(" ", 1)[:1])
        case SaveScaling():
            return frozenset({"permission to scale"})
        case _:
            return (
                _of_masters(step)
                or _of_upgrade(step)
                or _of_configuration(step)
                or _of_units(step)
                or _of_media(step)
            )


def _of_configuration(step: Step) -> frozenset[str]:
    match step:
        case WriteConfigFile(file=file) | RestoreConfigFile(file=file):
            return _each("file", (file,))
        case ApplyConfig(name=name):
            return _each("service", (name,))
        case _:
            return frozenset()


def _of_units(step: Step) -> frozenset[str]:
    match step:
        case StopUnit(id=number) | StartUnit(id=number):
            return _each("unit", (str(number),))
        case _:
            return frozenset()


def _of_upgrade(step: Step) -> frozenset[str]:
    match step:
        case UpdateMaster(name=name) | RestoreMaster(name=name):
            return _each("openvidu", (name,))
        case StartServices(names=names):
            return _each("service", names)
        case RecordVersion():
            return frozenset({"secrets.env"})
        case _:
            return frozenset()


def _of_masters(step: Step) -> frozenset[str]:
    match step:
        case PowerOffHost(names=names):
            # It ends what a drained media server means for people: it starts anew with the droplet.
            return _each("power", names) | {HOST}
        case RestartHost(name=name):
            return _each("service", (name,)) | {HOST}
        case PowerOff(names=names):
            return _each("power", names)
        case RestartService(name=name):
            return _each("service", (name,))
        case Resize(names=names):
            return _each("size", names)
        case NodeSize(id=number):
            return _each("size", (str(number),))
        case _:
            return frozenset()


def _of_media(step: Step) -> frozenset[str]:
    match step:
        case MediaServing() | Arrived():
            return frozenset({SERVING})
        case MediaGone() | FleetGone():
            return frozenset({ALL})
        case Shrunk(ids=()):
            return frozenset({ADDED})
        case Drain(ids=(), beyond=beyond) if beyond:
            return frozenset({ADDED})
        case Shrunk(ids=ids) | OldGone(ids=ids):
            return _nodes(ids)
        case _ if isinstance(step, OF_NODES):
            return _nodes(step.ids)
        case _:
            return frozenset()


def _nodes(ids: Iterable[int]) -> frozenset[str]:
    return _each("media", map(str, ids)) or frozenset({ALL})


def _each(kind: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{kind}:{name}" for name in names)


def narrowed(step: Step, held: frozenset[str]) -> Step | None:
    """Return a step for these of its subjects only; None where it cannot be divided."""
    match step:
        case PowerOffHost() | RestartHost():
            return None
        case PowerOff(names=names):
            return replace(step, names=tuple(n for n in names if f"power:{n}" in held))
        case Resize(names=names):
            return replace(step, names=tuple(n for n in names if f"size:{n}" in held))
        case StartServices(names=names):
            return replace(step, names=tuple(n for n in names if f"service:{n}" in held))
        case Drain(ids=ids) | Left(ids=ids):
            left = _ids(ids, held)
            return replace(step, ids=left, number=len(left), who="")
        case Deleted(ids=ids) | StopService(ids=ids):
            return replace(step, ids=_ids(ids, held))
        case Revive(ids=ids):
            return replace(step, ids=_ids(ids, held), who="", enough=0)
        case NodesOff(ids=ids) | NodesOn(ids=ids) | NodesServe(ids=ids) | Shrunk(ids=ids):
            return replace(step, ids=_ids(ids, held), who="")
        case _:
            return None


def _ids(ids: Iterable[int], held: frozenset[str]) -> tuple[int, ...]:
    return tuple(i for i in ids if f"media:{i}" in held)


def unfinished(step: Step) -> str:
    """Return what may remain of a step that was requested and not reached."""
    match step:
        case Drain(who=who, number=number):
            nodes = who or count_of(number, "media node")
            return f"{nodes} draining (no new meetings until OpenVidu is restarted there)"
        case Left(who=who):
            return f"{who or 'media nodes'} draining (no new meetings there, then deleted)"
        case _:
            return f"started, not completed: {step.title()}"


# How far


def tally(step: Step, cluster: Cluster) -> Tally | None:
    """Return how far a step is, where it counts several nodes; else None."""
    counted = _counted(step, cluster)
    if counted is None or counted.total < 2:
        return None
    return replace(counted, done=max(0, min(counted.done, counted.total)))


def _counted(step: Step, cluster: Cluster) -> Tally | None:
    match step:
        case MediaServing(number=number, size=size):
            serving = [n for n in cluster.serving if not size or n.droplet.size == size]
            return Tally(len(serving), number, "media nodes in service")
        case Left(ids=ids, number=number):
            there = [n for n in cluster.media if not ids or n.id in ids]
            return Tally(number - len(there), number, "media nodes drained and deleted")
        case Drain():
            return _by_node(step, cluster, "media nodes drained")
        case Revive() | NodesServe():
            return _by_node(step, cluster, "media nodes in service")
        case NodesOff():
            return _by_node(step, cluster, "media nodes powered off")
        case NodesOn():
            return _by_node(step, cluster, "media nodes powered on")
        case _:
            return _counted_masters(step, cluster)


def _counted_masters(step: Step, cluster: Cluster) -> Tally | None:
    match step:
        case PowerOff(names=names):
            return _by_master(step, cluster, names, "masters powered off")
        case Healthy(names=names):
            return _by_master(step, cluster, names, "masters healthy")
        case PowerOn():
            # One master a step, one after the other: all of them count.
            on = [m for m in cluster.masters if m.active]
            return Tally(len(on), len(cluster.masters), "masters powered on")
        case Resize(names=names):
            return _by_master(step, cluster, names, "masters resized")
        case FetchUpdater(names=names):
            return _by_master(step, cluster, names, "masters with update.sh")
        case StartServices(names=names):
            return _by_master(step, cluster, names, "masters started")
        case Snapshots(names=names):
            return _by_master(step, cluster, names, "masters with a snapshot")
        case _:
            return None


def _by_node(step: Step, cluster: Cluster, what: str) -> Tally:
    ids: tuple[int, ...] = getattr(step, "ids", ())
    nodes = [n for n in cluster.media if not ids or n.id in ids]
    return Tally(len([n for n in nodes if _is_done_for(step, cluster, n)]), len(nodes), what)


def _is_done_for(step: Step, cluster: Cluster, node: MediaNode) -> bool:
    """Return whether the step would be done if this were its only node."""
    if isinstance(step, Revive | NodesServe):
        return node.serving
    if isinstance(step, NodesOn):
        return node.droplet.active
    return step.is_done(replace(cluster, media=(node,)))


def _by_master(step: Step, cluster: Cluster, names: tuple[str, ...], what: str) -> Tally:
    masters = [m for m in cluster.masters if m.name in names]
    done = [m for m in masters if _of_one(step, m.name).is_done(cluster)]
    return Tally(len(done), len(masters), what)


def _of_one(step: Step, name: str) -> Step:
    """Return the step as if this were its only master."""
    match step:
        case PowerOff() | Healthy() | Resize() | Snapshots():
            return replace(step, names=(name,))
        case _:
            return step
