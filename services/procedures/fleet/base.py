# ruff: noqa: ARG002 - the defaults ignore arguments that overriding fleets need
"""The operations on a media fleet, for every kind of fleet."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Droplet, MediaNode, short_name
from services.common.errors import Refused
from services.common.text import count_of, join_words, plural
from services.procedures import find_node
from services.procedures.fleet.power_cycle import PowerCycle
from services.steps import FrontAnswers, Healthy, PowerOff, PowerOn, RestartService, Step

PLAN_FIRST = "read its plan before you apply it"


@dataclass(frozen=True)
class FleetChange:
    """How an operation is done with a fleet: the steps, and what people should know."""

    steps: tuple[Step, ...] = ()
    # Before approval.
    notes: tuple[str, ...] = ()
    # Afterwards, such as what Terraform would revert.
    follow_up: tuple[str, ...] = ()
    # What to do next, shown at the end.
    next_step: str = ""


class Fleet(PowerCycle, ABC):
    """The media nodes of one observed cluster. What its kind cannot do raises Refused."""

    # How to run fewer nodes, shown where something else was requested.
    fewer = ""

    # Limits

    def drain_floor(self, leaving: Iterable[MediaNode]) -> int:
        """Return how many nodes stay in service while these are drained.

        As `min_serving` says, and at most as many as the other nodes that can serve.
        """
        ids = {n.id for n in leaving}
        others = [
            n
            for n in self.cluster.media
            if n.id not in ids and n.member_status != "deleting" and not n.droplet.off
        ]
        # A node that does not answer now counts: a plan must not depend on one SSH timeout.
        able = [n for n in others if not (n.parked or n.draining or n.busy_with)]
        return min(self.cluster.min_serving, len(able))

    def check_min_serving(self, number: int) -> None:
        """Refuse when fewer than `min_serving` media nodes would be in service at the end."""
        name, minimum = self.cluster.name, self.cluster.min_serving
        if number >= minimum:
            return
        nodes = count_of(number, "media node")
        raise Refused(
            f"{nodes} would stay in service, but `drain.min_serving` of {name} is {minimum}. "
            f"To shut {name} down, run [[command shutdown]]; to allow fewer, change the setting"
        )

    # Number and size

    @abstractmethod
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        """Change the number of media nodes. `harsh`: without draining."""

    @abstractmethod
    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        """Change the droplet size of the media nodes. `harsh`: without draining."""

    def recover_resize(self, step: Step) -> Iterator[Step]:
        """Yield the rollback of a resize that failed at this step."""
        return iter(())

    def check_upgrade(self) -> None:
        """Refuse when the nodes could not be replaced by nodes of another version of OpenVidu."""
        raise Refused(
            f"{self.cluster.name} has {self.name}, and nothing replaces media nodes there. "
            "Upgrade by a new deployment, as OpenVidu recommends"
        )

    # Single nodes

    def select(self, target: str) -> tuple[MediaNode, ...]:
        """Return the nodes that the operator means: `all`, or one by its name or id."""
        if target.lower() == "all":
            return tuple(n for n in self.cluster.media if n.member_status != "deleting")
        return (find_node.media(self.cluster, target),)

    @abstractmethod
    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        """Drain these nodes. `target`: as the operator named them."""

    def check_restart(self, node: MediaNode, target: str) -> None:
        """Refuse when OpenVidu must not be restarted on the node."""

    def check_stop(self, node: MediaNode, target: str) -> None:
        """Refuse when OpenVidu must not be stopped on the node."""

    def check_restart_master(self) -> None:
        """Refuse a restart of the only master after which the media nodes could not come back."""
        if self._may_serve:
            self.check_round_trip()

    def restart_master(
        self, master: Droplet, *, service: bool, drain: bool = True, least: int = 0
    ) -> Iterator[Step]:
        """Yield the restart of a master's droplet; with `service`, of OpenVidu on it only.

        Where it is the only one, meetings end before, and the media nodes return afterwards: as
        many as now, and at least `least`. `drain` False: meetings are ended.
        """
        if control_plane_of(self.cluster).can_roll or not (least or self._may_serve):
            yield self._stop(
                master, service=service, off=PowerOff((master.name,), media_stays=True)
            )
            yield from self._finish(master)
            return
        number = max(self.number_to_restore, least)
        down = tuple(self.shutdown_steps(drain=drain, alone=service))
        yield from down
        yield self._stop(master, service=service, off=self.masters_off(drain=drain))
        yield from self._finish(master)
        if number:
            yield from type(self)(folded(self.cluster, down)).startup_steps(number)

    @property
    def _may_serve(self) -> bool:
        """Whether people may be served through the masters now.

        One that is not healthy serves no one; one whose health is unknown may.
        """
        return any(m.active and m.healthy is not False for m in self.cluster.masters)

    def _stop(self, master: Droplet, *, service: bool, off: PowerOff) -> Step:
        if not service:
            return off
        assert isinstance(master.start, str), "the procedure refuses otherwise"
        return RestartService(master.name, was=master.start)

    def _finish(self, master: Droplet) -> Iterator[Step]:
        yield PowerOn(master.name)
        yield Healthy((master.name,))
        yield FrontAnswers()

    def finish_restart(self, master: Droplet, least: int = 0) -> Iterator[Step]:
        """Yield the steps after the master was stopped: it is on, healthy and reachable.

        `least`: media nodes that were to return afterwards.
        """
        yield from self._finish(master)
        if least:
            yield from self.startup_steps(max(self.number_to_restore, least))

    def restart_note(self, master: Droplet, *, service: bool, drain: bool = True) -> str:
        """Return what a restart of a master means for people."""
        what = "only OpenVidu" if service else "its droplet"
        plane, name = control_plane_of(self.cluster), self.cluster.name
        if plane.can_roll:
            return (
                f"Restarts {what}; {plane.others} stay in service. People connected "
                f"through {short_name(master.name, self.cluster.stack)} may see “Reconnecting” "
                "for some seconds"
            )
        if not self._may_serve:
            return (
                f"The only {plane.noun} is not healthy, so it is restarted at once. "
                "Media nodes stay; meetings on them lose their connection"
            )
        how = "finish first" if drain else "are ended"
        return (
            f"Restarts {what}. It is the only {plane.noun}: {name} is out of service until "
            f"it is back. Running meetings {how}"
        )

    def recover_restart(self, step: Step) -> Iterator[Step]:
        """Yield the rollback of a master's restart that failed at this step."""
        # A master that did not power off in time is left on: nothing else is stopped for it.
        if isinstance(step, PowerOff) and not all(
            self.cluster.master(n).status == "active" for n in step.names
        ):
            yield from (PowerOn(n) for n in step.names)
            yield Healthy(step.names)

    # What only one kind can do

    def freeze(self) -> FleetChange:
        """Keep the number of nodes as it is."""
        raise Refused(
            f"{self.cluster.name} has {self.name}: nothing scales by itself, so there is nothing "
            "to freeze"
        )

    def unfreeze(self) -> FleetChange:
        """Let the number of nodes change by itself again."""
        raise Refused(
            f"{self.cluster.name} has {self.name}: nothing scales by itself, so there is nothing "
            "to unfreeze"
        )

    def park(self, target: str, *, harsh: bool) -> FleetChange:
        """Drain nodes and power them off. `harsh`: without draining."""
        raise Refused(
            f"parking is for fixed media nodes; {self.cluster.name} has {self.name}. {self.fewer}"
        )

    def unpark(self, target: str) -> FleetChange:
        """Bring parked nodes back into service."""
        raise Refused(f"parking is for fixed media nodes; {self.cluster.name} has {self.name}")

    def roll(self, size: str) -> FleetChange:
        """Drain nodes of another size one after the other, while new ones come."""
        raise Refused(
            f"rolling is for an autoscaler; {self.cluster.name} has {self.name}. "
            "Resize its media nodes with [[command resize media]]"
        )

    # Names

    def few_names(self, nodes: tuple[MediaNode, ...]) -> str:
        """Return the nodes' names when they are few; else ""."""
        return find_node.few_names(self.cluster, nodes)

    def names(self, nodes: Iterable[MediaNode]) -> str:
        """Return the names of all of these nodes."""
        return join_words(short_name(n.name, self.cluster.stack) for n in nodes)


def folded(cluster: Cluster, steps: Iterable[Step]) -> Cluster:
    """Return the cluster after these steps."""
    for step in steps:
        if not step.is_done(cluster):
            cluster = step.after(cluster)
    return cluster


def check_masters_healthy(cluster: Cluster) -> None:
    """Refuse while a master is not healthy: new media nodes register with the masters."""
    unhealthy = [short_name(m.name, cluster.stack) for m in cluster.masters if not m.is_healthy]
    if not unhealthy:
        return
    first = unhealthy[0]
    raise Refused(
        f"{join_words(unhealthy)} {plural(len(unhealthy), 'is', 'are')} not healthy, and new media "
        f"nodes register with the masters. Check [[command status {first}]], then run "
        f"[[command restart {first}]] or [[command startup]]"
    )
