"""The pretend cloud.

Its state, the parts that change it, and the ways for a test to read and to disturb it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simulators.clock import WorldClock
from simulators.cloud.billing import Billing
from simulators.cloud.builder import Addresses, Blueprint, Builder
from simulators.cloud.configuration import Configuration
from simulators.cloud.containers import Containers
from simulators.cloud.crashes import Crashes
from simulators.cloud.delays import Delays
from simulators.cloud.droplets import Droplets
from simulators.cloud.events import (
    DropletDestroyed,
    DropletDestroying,
    DropletStopped,
    DropletTouched,
    EventBus,
    GracefulShutdownEnded,
    MeetingEnded,
)
from simulators.cloud.functions import Functions
from simulators.cloud.graceful_shutdown import GracefulShutdown
from simulators.cloud.invariants import Invariants
from simulators.cloud.meetings import Meetings
from simulators.cloud.model import (
    Deployment,
    Edition,
    Kind,
    Loss,
    SimulatedCluster,
    SimulatedDroplet,
    SimulatedMeeting,
    Violation,
    ZeroMode,
)
from simulators.cloud.neighbours import Neighbours
from simulators.cloud.nodes import NodeSystem
from simulators.cloud.pools import PoolScaler
from simulators.cloud.power import ActionSimulation
from simulators.cloud.state import CloudState
from simulators.cloud.updates import Updates


class Cloud(CloudState):
    """Everything under one DigitalOcean account, with its parts wired up.

    Synchronous, without I/O: call `settle()` before you read or change anything.
    """

    def __init__(self, clock: WorldClock, seed: int = 0, delays: Delays | None = None) -> None:
        super().__init__(clock, seed, delays)
        self.events = EventBus()
        emit = self.events.emit
        self.people = Meetings(self, emit)
        self.containers = Containers(self, emit, self.people)
        self.crashes = Crashes(self, self.people)
        self.graceful = GracefulShutdown(self, emit, self.containers)
        self.configuration = Configuration(self, self.containers, self.crashes)
        self.nodes = NodeSystem(
            self,
            emit,
            self.people,
            self.containers,
            self.crashes,
            self.graceful,
            self.configuration,
        )
        self.updates = Updates(self, emit, self.nodes)
        self._droplets = Droplets(self, emit, self.nodes)
        self.power = ActionSimulation(self, emit, self.nodes, self.containers)
        self.pool_scaler = PoolScaler(
            self, emit, self._droplets, self.power, self.nodes, self.containers
        )
        self.functions = Functions(self, emit, self._droplets)
        self.neighbours = Neighbours(self, self._droplets, self.power)
        self._builder = Builder(self, self._droplets, self.nodes, self.functions)
        self.invariants = Invariants(self, self.functions.scales)
        self.invariants.subscribe(self.events)
        self.events.subscribe(MeetingEnded, self.containers.meeting_ended)
        self.events.subscribe(GracefulShutdownEnded, self.power.graceful_shutdown_ended)
        self.events.subscribe(DropletDestroyed, self.pool_scaler.droplet_destroyed)
        self.events.subscribe(
            DropletStopped, lambda e: self.pool_scaler.droplet_stopped(e.droplet_id)
        )
        self.billing = Billing(self)
        self.events.subscribe(DropletTouched, self.billing.touched)
        self.events.subscribe(DropletDestroying, self.billing.destroying)

    def next_event_at(self) -> float | None:
        """Return when something happens next by itself, in epoch seconds."""
        return self.timeline.next_event_at()

    def build_cluster(
        self,
        stack: str = "acme",
        region: str = "ams3",
        media: int = 3,
        size: str = "s-4vcpu-8gb",
        masters_size: str = "s-4vcpu-8gb",
        allow_zero: ZeroMode = "yes",
        addresses: Addresses | None = None,
        domain: str | None = None,
        kind: Kind = "pool",
        deployment: Deployment = "high availability",
        edition: Edition = "pro",
        **autoscaler: Any,
    ) -> SimulatedCluster:
        """Build an OpenVidu stack, up and healthy; the arguments are those of `Blueprint`."""
        self.settle()
        return self._builder.build(
            Blueprint(
                stack,
                region,
                media,
                size,
                masters_size,
                allow_zero,
                addresses,
                domain,
                kind,
                deployment,
                edition,
                autoscaler,
            )
        )

    def create_droplet(
        self, name: str, template: Mapping[str, Any], public_ip: str | None = None
    ) -> SimulatedDroplet:
        """Create a droplet, active after a while; refused when the account is full."""
        return self._droplets.create(name, template, public_ip)

    def tag(self, droplet: SimulatedDroplet, name: str) -> None:
        """Add a tag to a droplet."""
        self._droplets.tag(droplet, name)

    def untag(self, droplet: SimulatedDroplet, name: str) -> None:
        """Remove a tag from a droplet."""
        self._droplets.untag(droplet, name)

    # --- meetings

    def open_meeting(
        self,
        people: int = 5,
        minutes: float = 12,
        recordings: int = 1,
        cluster: str = "acme",
        ingresses: int = 0,
        hidden: int = 0,
        on: SimulatedDroplet | None = None,
    ) -> SimulatedMeeting | None:
        """Open a meeting, if a node (or the node `on`) takes it.

        `hidden`: recorders and agents, which no list of rooms counts.
        """
        self.settle()
        return self.people.open(
            cluster, people, minutes, recordings, ingresses, hidden=hidden, on=on
        )

    def record_page(
        self,
        minutes: float = 12,
        recordings: int = 1,
        cluster: str = "acme",
        on: SimulatedDroplet | None = None,
    ) -> SimulatedMeeting | None:
        """Record a web page: it has no room, and only the egress service knows of it."""
        self.settle()
        return self.people.open(cluster, 0, minutes, recordings, 0, on=on, roomless=True)

    def team(
        self, people: int, recordings: int, minutes: tuple[float, float], cluster: str = "acme"
    ) -> None:
        """Let a team meet again and again from now on.

        The same load for as long as a node takes it.
        """
        self.settle()
        self.people.team(cluster, people, recordings, minutes)

    def traffic(self, cluster: str = "acme", per_hour: float = 20.0) -> None:
        """Let meetings begin by themselves from now on; 0 stops it."""
        self.settle()
        self.people.traffic(cluster, per_hour)

    @contextmanager
    def by_administrator(self, what: str = "somebody in the console") -> Iterator[None]:
        """Make another administrator, not the operator, the cause of what happens inside."""
        self.settle()
        with self.timeline.caused_by("hand", what):
            yield

    # --- what the invariants have seen, and what a test allows

    @property
    def violations(self) -> list[Violation]:
        """Promises that the operator has broken so far."""
        return self.invariants.violations

    @property
    def people_disconnected(self) -> int:
        """How many people lost their meeting."""
        return self.invariants.thrown_out

    @property
    def losses(self) -> list[Loss]:
        """Everyone who was ever disconnected, with the cause."""
        return self.invariants.losses

    @property
    def signals(self) -> dict[tuple[int, str], int]:
        """Drain signals by droplet id and start of its media server (docker's text)."""
        return self.invariants.signals

    def allow_to_stay(self, droplet_ids: Iterable[int]) -> None:
        """Allow these media droplets to stay while the masters stop."""
        self.invariants.may_stay.update(droplet_ids)

    @property
    def allow_rolling(self) -> bool:
        """Whether masters may stop one at a time, with the media nodes up."""
        return self.invariants.rolling

    @allow_rolling.setter
    def allow_rolling(self, value: bool) -> None:
        self.invariants.rolling = value

    @property
    def allow_disconnects(self) -> bool:
        """Whether people may lose their meetings."""
        return self.invariants.allow_thrown_out

    @allow_disconnects.setter
    def allow_disconnects(self, value: bool) -> None:
        self.invariants.allow_thrown_out = value

    @property
    def allow_template_keys(self) -> set[str]:
        """Keys of the pool's template that may change."""
        return self.invariants.allow_template_keys
