"""The procedure that restarts one node."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.deployment import control_plane_of
from services.cluster.model import EVERYTHING, Cluster, Droplet, Fact, MediaNode, short_name
from services.common.command import CommandClass, argument, flag
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import join_words, plural
from services.procedures import find_node, fleet
from services.procedures.base import Procedure, without_draining
from services.steps import Drain, PowerOff, RestartService, Revive, Step


def _power(status: str) -> str:
    return {"off": "powered off", "active": "powered on"}.get(status, status)


@dataclass(frozen=True)
class Restart(Procedure):
    """Restart one node: a master's droplet, or OpenVidu on a drained media node."""

    command: ClassVar[str] = "restart"
    help_text: ClassVar[str] = (
        "Restart one node: a master's droplet, or OpenVidu on a drained media node."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER,)
    verb: ClassVar[str] = "Restart"
    doing: ClassVar[str] = "Restarting"
    done: ClassVar[str] = "was restarted"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.SERVICES}
    repeatable: ClassVar[bool] = True

    node: str = argument("master-2, media-3, a droplet's name or its id")
    service: bool = flag("of a master: only OpenVidu on it, not its droplet")
    no_drain: bool = flag("of the only master: end running meetings instead of draining")

    def target_text(self, name: str) -> str:
        target = f"{self.node} of {name}"
        if self.service:
            target = f"OpenVidu on {target}"
        return without_draining(target) if self.no_drain else target

    def outcome_text(self, name: str) -> str:
        return f"{self.target_text(name)} {self.done}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        node = find_node.master_or_media(cluster, self.node)
        if isinstance(node, Droplet):
            self._check_master(cluster, node)
        else:
            self._check_media(cluster, node)

    def _check_master(self, cluster: Cluster, master: Droplet) -> None:
        plane = control_plane_of(cluster)
        if self.no_drain and plane.can_roll:
            raise Refused(
                f"`--no-drain` is for the only master of a deployment; {cluster.name} is "
                f"{plane.title}, and {plane.others} stay in service"
            )
        if plane.can_roll:
            self._check_running(cluster)
        else:
            fleet.fleet_of(cluster).check_restart_master()
        others = [m for m in cluster.masters if m.name != master.name]
        unhealthy = [short_name(m.name, cluster.stack) for m in others if not m.is_healthy]
        stopped = [m for m in others if cluster.stopped_by_request(m.id) and not m.is_healthy]
        if stopped:
            name = short_name(stopped[0].name, cluster.stack)
            raise Refused(
                f"OpenVidu is stopped on {name}, and two masters are never down at once. "
                f"Start it first with [[command start {name}]]"
            )
        if unhealthy:
            raise Refused(
                f"{join_words(unhealthy)} {plural(len(unhealthy), 'is', 'are')} not healthy, "
                "and two masters are never down at once. "
                f"Check [[command status {unhealthy[0]}]] and restart that one first"
            )
        if self.service and not master.active:
            raise Refused(
                f"{self.node} is {_power(master.status)}: nothing is running there. "
                f"[[command restart {self.node}]] powers on its droplet"
            )
        if self.service and isinstance(master.start, Unobserved):
            raise Refused(
                f"{self.node} cannot be reached over SSH ({master.start.reason}). "
                "To restart its droplet, omit `--service`"
            )

    def _check_running(self, cluster: Cluster) -> None:
        if cluster.is_down:
            raise Refused(f"{cluster.name} is shut down. Start it with [[command startup]]")

    def _check_media(self, cluster: Cluster, node: MediaNode) -> None:
        if self.no_drain:
            raise Refused(
                "`--no-drain` is for the only master of a deployment. A media node is drained "
                f"first: [[command restart {self.node}]]"
            )
        if self.service:
            raise Refused(
                "`--service` is for masters. On a media node only OpenVidu is restarted: "
                f"[[command restart {self.node}]]"
            )
        fleet.fleet_of(cluster).check_restart(node, self.node)
        if node.member_status == "deleting":
            raise Refused(f"DigitalOcean is already removing {self.node}")
        more = f"[[command status {self.node}]] shows what is known"
        if not node.droplet.active:
            raise Refused(
                f"{self.node} is {_power(node.droplet.status)}: nothing is running there. {more}"
            )
        if isinstance(node.look, Unobserved):
            raise Refused(f"{self.node} cannot be observed over SSH ({node.look.reason}). {more}")
        if not node.look.start:
            raise Refused(
                f"{self.node} is still installing OpenVidu: there is nothing to restart yet"
            )
        if not cluster.is_up:
            raise Refused(
                f"{control_plane_of(cluster).not_all_on}, and media nodes need it. "
                f"Start {cluster.name} with [[command startup]]"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        return self._steps(cluster)

    def _steps(self, cluster: Cluster, least: int = 0) -> Iterator[Step]:
        node = find_node.master_or_media(cluster, self.node)
        if isinstance(node, MediaNode):
            name = short_name(node.name, cluster.stack)
            floor = fleet.fleet_of(cluster).drain_floor((node,))
            yield Drain(
                (node.id,), number=1, pool_follows=False, returns=True, who=name, floor=floor
            )
            yield Revive((node.id,), who=name)
            return
        if cluster.is_down and not least:
            self._check_running(cluster)
        yield from fleet.fleet_of(cluster).restart_master(
            node, service=self.service, drain=not self.no_drain, least=least
        )

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        node, least = find_node.master_or_media(cluster, self.node), fleet.promised_nodes(left)
        if isinstance(node, MediaNode) or any(
            isinstance(s, PowerOff | RestartService) for s in left
        ):
            return self._steps(cluster, least)
        # It was stopped already, and is not stopped again.
        return fleet.fleet_of(cluster).finish_restart(node, least)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        return fleet.fleet_of(cluster).recover_restart(step)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        node = find_node.master_or_media(cluster, self.node)
        if isinstance(node, MediaNode):
            return ()
        return (
            fleet.fleet_of(cluster).restart_note(
                node, service=self.service, drain=not self.no_drain
            ),
        )
