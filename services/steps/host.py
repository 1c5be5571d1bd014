"""Steps about a Single Node: the droplet that is the master and on which the meetings run.

As those about masters, and with the care for meetings of those about media nodes: nothing is
stopped before its media server, recorder and agents are seen to have ended.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Droplet, Fact, MediaNode
from services.common.observed import NOT_OBSERVED
from services.common.values import replace
from services.steps.base import Effects, Step
from services.steps.masters import Healthy, PowerOff, RestartService, master_names
from services.steps.node_text import load_text, node_names, unseen_nodes


def _hosts(cluster: Cluster, names: tuple[str, ...]) -> list[MediaNode]:
    """Return these masters as the media nodes that they are too, unless they are powered off."""
    ids = {m.id for m in cluster.masters if m.name in names}
    return [n for n in cluster.media if n.id in ids and not n.droplet.off]


def _undrained(cluster: Cluster, names: tuple[str, ...]) -> list[MediaNode]:
    return [n for n in _hosts(cluster, names) if not n.drained]


def _not_drained(cluster: Cluster, names: tuple[str, ...], action: str) -> str:
    """Return why the droplet must not be stopped now; "" when nothing is seen to run there.

    A droplet that is not seen is on its way down: nothing is requested before it was seen
    (`missing_evidence`).
    """
    busy = [n for n in _undrained(cluster, names) if n.is_observed]
    if not busy:
        return ""
    return f"{node_names(cluster, busy)} not drained: {action} would end what runs there"


def _ends(cluster: Cluster, names: tuple[str, ...], does: str) -> Effects:
    """Return what stopping the droplet without draining means for people."""
    hit = _undrained(cluster, names)
    if not hit:
        return Effects()
    return Effects(
        blocks=True,
        cuts_off=not cluster.idle,
        special=(f"{does} without draining ({load_text(cluster, hit)} now)",),
    )


@dataclass(frozen=True)
class PowerOffHost(PowerOff):
    """A Single Node's droplet is powered off. It stays and is billed."""

    needs: ClassVar[frozenset[Fact]] = PowerOff.needs | {Fact.LOAD}

    # People approved powering off before meetings have ended.
    harsh: bool = False
    # The next step powers it on again.
    returns: bool = False

    @property
    @override
    def is_waypoint(self) -> bool:
        return self.returns

    def missing_evidence(self, cluster: Cluster) -> str:
        if self.harsh or self.is_done(cluster):
            return ""
        return unseen_nodes(cluster, _hosts(cluster, self.names))

    def blocker(self, cluster: Cluster) -> str:
        if self.harsh or self.is_done(cluster):
            return ""
        return _not_drained(cluster, self.names, "powering it off")

    def effects(self, cluster: Cluster) -> Effects:
        stopped = Effects(stops_masters=True, down=True)
        return stopped + _ends(cluster, self.names, f"powers off {master_names(self.names)}")

    def without_protection(self) -> Step:
        return replace(self, harsh=True)


@dataclass(frozen=True)
class HealthyHost(Healthy):
    """A Single Node answers its own health page.

    It is restarted for it only while nothing is seen to run there: people may meet although its
    pages do not answer.
    """

    needs: ClassVar[frozenset[Fact]] = Healthy.needs | {Fact.POOL, Fact.NODES}

    def _unhealthy(self, cluster: Cluster) -> list[Droplet]:
        empty = {n.id for n in _hosts(cluster, self.names) if n.is_observed and n.drained}
        return [m for m in super()._unhealthy(cluster) if m.id in empty]


@dataclass(frozen=True)
class RestartHost(RestartService):
    """OpenVidu was restarted on a Single Node, where it had ended its meetings before."""

    needs: ClassVar[frozenset[Fact]] = RestartService.needs | {
        Fact.POOL,
        Fact.NODES,
        Fact.LOAD,
    }

    # People approved restarting before meetings have ended.
    harsh: bool = False

    def after(self, cluster: Cluster) -> Cluster:
        # What was drained is not any more: its media server starts anew.
        anew = {n.id: replace(n, look=NOT_OBSERVED) for n in _hosts(cluster, (self.name,))}
        return super().after(cluster).with_media(anew)

    def missing_evidence(self, cluster: Cluster) -> str:
        if self.harsh or self.is_done(cluster):
            return ""
        return unseen_nodes(cluster, _hosts(cluster, (self.name,)))

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Also where its end was approved: a droplet that is not seen is not restarted.
        seen = all(n.is_observed for n in _hosts(cluster, (self.name,)))
        return seen and super().needs_ask(cluster, again)

    def blocker(self, cluster: Cluster) -> str:
        if self.harsh or self.is_done(cluster):
            return ""
        return _not_drained(cluster, (self.name,), "restarting it")

    def effects(self, cluster: Cluster) -> Effects:
        stopped = Effects(stops_masters=True, down=True)
        what = f"restarts OpenVidu on {master_names((self.name,))}"
        return stopped + _ends(cluster, (self.name,), what)

    def without_protection(self) -> Step:
        return replace(self, harsh=True)
