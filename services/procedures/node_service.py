"""The procedures that stop OpenVidu on one node, where it stays stopped, and start it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.deployment import control_plane_of
from services.cluster.model import EVERYTHING, Cluster, Droplet, Fact, MediaNode, short_name
from services.common.command import CommandClass, argument
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures import find_node, fleet
from services.procedures.base import Procedure
from services.steps import (
    Drain,
    FrontAnswers,
    Healthy,
    NodesServe,
    StartUnit,
    Step,
    StopUnit,
)
from services.steps.node_service import STOPPED, other_masters_not_healthy


def _droplet(node: Droplet | MediaNode) -> Droplet:
    return node if isinstance(node, Droplet) else node.droplet


def _name(cluster: Cluster, node: Droplet | MediaNode) -> str:
    return short_name(node.name, cluster.stack)


def _healthy(cluster: Cluster, master: Droplet) -> Step:
    """Return the step that waits for a master's health, as its deployment does."""
    if control_plane_of(cluster).can_roll:
        return Healthy((master.name,))
    return fleet.fleet_of(cluster).masters_healthy()


def _check_power(cluster: Cluster, node: Droplet | MediaNode, remedy: str) -> None:
    """Refuse where OpenVidu can neither be stopped nor started: the droplet is not on, or unseen.

    `remedy`: what powers the droplet on.
    """
    droplet, name = _droplet(node), _name(cluster, node)
    if cluster.is_down:
        raise Refused(f"{cluster.name} is shut down. Start it with [[command startup]]")
    if isinstance(node, MediaNode) and node.member_status == "deleting":
        raise Refused(f"DigitalOcean is already removing {name}")
    if droplet.off:
        raise Refused(f"{name} is powered off: nothing runs there. {remedy} powers it on")
    if not droplet.active:
        raise Refused(f"{name} is being changed at DigitalOcean. Try again when that is over")
    if isinstance(droplet.unit, Unobserved):
        raise Refused(
            f"{name} cannot be reached over SSH ({droplet.unit.reason}), "
            "and OpenVidu is stopped and started over SSH"
        )


@dataclass(frozen=True)
class Stop(Procedure):
    """Stop OpenVidu on one node. It stays stopped until it is started again."""

    command: ClassVar[str] = "stop"
    help_text: ClassVar[str] = (
        "Stop OpenVidu on one node; its droplet stays on. A media node is drained first."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Stop OpenVidu on"
    doing: ClassVar[str] = "Stopping OpenVidu on"
    done: ClassVar[str] = "is stopped"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.UNITS}

    node: str = argument("master-2, media-3, a droplet's name or its id")

    def target_text(self, name: str) -> str:
        return f"{self.node} of {name}"

    def outcome_text(self, name: str) -> str:
        return f"OpenVidu on {self.target_text(name)} {self.done}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        node = find_node.master_or_media(cluster, self.node)
        _check_power(cluster, node, f"[[command restart {self.node}]]")
        if _droplet(node).unit in STOPPED:
            return
        if isinstance(node, MediaNode):
            self._check_media(cluster, node)
        else:
            self._check_master(cluster, node)

    def _check_master(self, cluster: Cluster, master: Droplet) -> None:
        others = other_masters_not_healthy(cluster, master.name)
        if not others:
            return
        ids = {m.id: _name(cluster, m) for m in cluster.masters if m.id != master.id}
        stopped = [ids[s.id] for s in cluster.stopped if s.id in ids]
        first = next(_name(cluster, m) for m in cluster.masters if m.id in ids and not m.is_healthy)
        remedy = f"Check [[command status {first}]] first"
        if first in stopped:
            remedy = f"OpenVidu is stopped there: [[command start {first}]] first"
        raise Refused(f"{others}, and two masters are never down at once. {remedy}")

    def _check_media(self, cluster: Cluster, node: MediaNode) -> None:
        fleet.fleet_of(cluster).check_stop(node, self.node)
        if isinstance(node.look, Unobserved):
            raise Refused(
                f"{self.node} cannot be observed over SSH ({node.look.reason}): "
                "what runs there would end unseen"
            )
        if not node.look.start:
            raise Refused(f"{self.node} is still installing OpenVidu: there is nothing to stop yet")

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        node = find_node.master_or_media(cluster, self.node)
        name = _name(cluster, node)
        media = fleet.fleet_of(cluster)
        if _droplet(node).unit not in STOPPED:
            if isinstance(node, MediaNode):
                floor = media.drain_floor((node,))
                yield Drain((node.id,), number=1, pool_follows=False, who=name, floor=floor)
            elif not control_plane_of(cluster).can_roll:
                # Meetings need the only master: they end before it does.
                yield from media.shutdown_steps(alone=True)
        yield StopUnit(node.id, who=name)

    def _is_master(self, cluster: Cluster) -> bool:
        return isinstance(find_node.master_or_media(cluster, self.node), Droplet)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        # A master that did not stop in time is started again: it must not stay in between.
        for master in cluster.masters:
            if isinstance(step, StopUnit) and master.id == step.id:
                yield StartUnit(step.id, who=step.who)
                yield _healthy(cluster, master)
                if not control_plane_of(cluster).can_roll:
                    # Meetings were drained before it: they come back with it.
                    yield FrontAnswers()
                    yield from startup_media(cluster)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        node = find_node.master_or_media(cluster, self.node)
        start = f"[[command start {self.node}]]"
        stays = f"OpenVidu stays stopped there until {start}, or until the droplet boots"
        if isinstance(node, MediaNode):
            return (f"{stays}. The droplet stays on and is billed",)
        plane = control_plane_of(cluster)
        if not plane.can_roll:
            return (
                f"{stays}. It is the only {plane.noun}: running meetings finish first, and "
                f"{cluster.name} is out of service until it is started",
            )
        return (
            f"{stays}. {plane.others[:1].upper()}{plane.others[1:]} stay in service; none of "
            "them is restarted, resized or stopped meanwhile",
        )

    @override
    def next_step(self, cluster: Cluster) -> str:
        if not control_plane_of(cluster).can_roll and self._is_master(cluster):
            return f"No one can meet on {cluster.name} until [[command startup]]"
        return f"Start OpenVidu there again with [[command start {self.node}]]"


@dataclass(frozen=True)
class Start(Procedure):
    """Start OpenVidu on one node on which it was stopped."""

    command: ClassVar[str] = "start"
    help_text: ClassVar[str] = "Start OpenVidu on one node on which it was stopped."
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Start OpenVidu on"
    doing: ClassVar[str] = "Starting OpenVidu on"
    done: ClassVar[str] = "is started"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.UNITS}

    node: str = argument("master-2, media-3, a droplet's name or its id")

    def target_text(self, name: str) -> str:
        return f"{self.node} of {name}"

    def outcome_text(self, name: str) -> str:
        return f"OpenVidu on {self.target_text(name)} {self.done}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        node = find_node.master_or_media(cluster, self.node)
        remedy = f"[[command restart {self.node}]]"
        if isinstance(node, MediaNode):
            remedy = "[[command startup]]"
            fleet.fleet_of(cluster).check_restart(node, self.node)
        _check_power(cluster, node, remedy)
        if not isinstance(node, MediaNode):
            return
        if not cluster.is_up:
            raise Refused(
                f"{control_plane_of(cluster).not_all_on}, and media nodes need it. "
                f"Start {cluster.name} with [[command startup]]"
            )
        if node.droplet.unit == "active" and not node.serving:
            raise Refused(
                f"OpenVidu is not stopped on {self.node}, and the node is not in service. "
                f"[[command restart {self.node}]] restarts it"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        node = find_node.master_or_media(cluster, self.node)
        name = _name(cluster, node)
        yield StartUnit(node.id, who=name)
        if isinstance(node, MediaNode):
            yield NodesServe((node.id,), who=name)
        else:
            yield _healthy(cluster, node)
            yield FrontAnswers()
            if control_plane_of(cluster).hosts_meetings:
                yield NodesServe((node.id,), who=name)

    @override
    def next_step(self, cluster: Cluster) -> str:
        plane = control_plane_of(cluster)
        if plane.can_roll or plane.hosts_meetings or cluster.serving:
            return ""
        return "Bring the media nodes back with [[command startup]]"


def start_stopped_masters(cluster: Cluster) -> Iterator[Step]:
    """Yield the starts of OpenVidu on masters on which people stopped it."""
    for master in cluster.masters:
        is_stopped = cluster.stopped_by_request(master.id) is not None
        # A droplet that is off starts OpenVidu with its boot.
        if is_stopped and master.active and not master.is_healthy:
            yield StartUnit(master.id, who=_name(cluster, master))


def start_stopped_media(cluster: Cluster) -> Iterator[Step]:
    """Yield the starts of OpenVidu on media nodes on which people stopped it, and their wait."""
    stopped = [
        n
        for n in cluster.media
        if cluster.stopped_by_request(n.id) is not None and n.droplet.active and not n.serving
    ]
    # The droplet of a Single Node is started as its master.
    stopped = [n for n in stopped if n.id not in {m.id for m in cluster.masters}]
    for node in stopped:
        yield StartUnit(node.id, who=_name(cluster, node))
    if stopped:
        ids = tuple(n.id for n in stopped)
        yield NodesServe(ids, who=find_node.few_names(cluster, tuple(stopped)))


def startup_media(cluster: Cluster) -> Iterator[Step]:
    """Yield the return of the media nodes that a run removed; their number is recorded then."""
    media = fleet.fleet_of(cluster)
    if number := max(media.number_to_restore, media.startup_number(None) or 0):
        yield from media.startup_steps(number)
