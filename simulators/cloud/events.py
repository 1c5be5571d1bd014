"""What the parts of the pretend cloud announce, and the bus that delivers it.

A part announces what happened and does not know who listens: a part above it, the invariants, or a
test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from simulators.cloud.model import SimulatedDroplet, SimulatedMeeting, SimulatedPool

E = TypeVar("E")
Emit = Callable[[object], None]


@dataclass(frozen=True)
class DropletTouched:
    """Someone started, stopped, made or signalled something on a droplet."""

    droplet: SimulatedDroplet


@dataclass(frozen=True)
class ActionRequested:
    """The API was asked for an action on a droplet."""

    droplet: SimulatedDroplet
    action: str


@dataclass(frozen=True)
class MasterStopping:
    """A master was asked to stop, or lost its power."""

    master: SimulatedDroplet


@dataclass(frozen=True)
class UpdateBegan:
    """`update.sh` was run on a node. `again`: it had run there before, and was not undone."""

    droplet: SimulatedDroplet
    version: str
    again: bool


@dataclass(frozen=True)
class VersionsMixed:
    """A master was started while others run another version."""

    droplet: SimulatedDroplet
    versions: tuple[str, ...]


@dataclass(frozen=True)
class DropletDestroying:
    """A droplet is about to be destroyed. `by`: who does it; "" where that does not matter."""

    droplet: SimulatedDroplet
    by: str


@dataclass(frozen=True)
class DropletDestroyed:
    """A droplet no longer exists."""

    droplet_id: int


@dataclass(frozen=True)
class CopyReachesProduction:
    """A copy of a master was started that can reach the cluster it was copied from."""

    droplet: SimulatedDroplet
    why: str


@dataclass(frozen=True)
class DropletStopped:
    """A droplet shows as powered off."""

    droplet_id: int


@dataclass(frozen=True)
class RemovalStarted:
    """A pool has begun to remove a droplet."""

    droplet: SimulatedDroplet


@dataclass(frozen=True)
class RemovedOutOfOrder:
    """A pool removes these droplets against its own documented order."""

    droplet_ids: frozenset[int]


@dataclass(frozen=True)
class PoolEdited:
    """Someone PUT the template `sent` over a pool that a GET showed as `shown`."""

    pool: SimulatedPool
    shown: dict[str, Any]
    sent: dict[str, Any]


@dataclass(frozen=True)
class ScaledIn:
    """The autoscaler chose a node to drain."""

    droplet: SimulatedDroplet


@dataclass(frozen=True)
class TagRemoved:
    """The API was asked to take a tag from a droplet."""

    droplet: SimulatedDroplet
    tag: str


@dataclass(frozen=True)
class CredentialsRead:
    """The API was asked for something that holds credentials."""

    what: str


@dataclass(frozen=True)
class CommandInSecrets:
    """A master's boot script ran the value of a key of `secrets.env` as a command."""

    droplet: SimulatedDroplet
    key: str


@dataclass(frozen=True)
class DrainSignalled:
    """A media server that started at `started_at` received a drain signal."""

    droplet: SimulatedDroplet
    started_at: str


@dataclass(frozen=True)
class AgentEnded:
    """An agent's container was ended from outside, whatever it was doing."""

    droplet: SimulatedDroplet
    name: str
    why: str


@dataclass(frozen=True)
class GracefulShutdownEnded:
    """The vendor's shutdown script has drained its node and deletes the droplet it runs on."""

    droplet: SimulatedDroplet


@dataclass(frozen=True)
class DataReceived:
    """Everyone in a meeting has received data over LiveKit. `again`: the same as before."""

    meeting: SimulatedMeeting
    topic: str
    data: bytes
    again: bool


@dataclass(frozen=True)
class MeetingEnded:
    """A meeting on this droplet has ended, in any way."""

    droplet: SimulatedDroplet


@dataclass(frozen=True)
class MeetingsLost:
    """These meetings were disconnected."""

    meetings: tuple[SimulatedMeeting, ...]
    why: str


@dataclass(frozen=True)
class RecordingsLost:
    """The recordings of these meetings were lost."""

    meetings: tuple[SimulatedMeeting, ...]
    why: str


class EventBus:
    """Delivers each event at once, to its subscribers in the order in which they subscribed."""

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call `handler` with every event of this kind from now on."""
        self._subscribers.setdefault(kind, []).append(handler)

    def emit(self, event: object) -> None:
        """Deliver an event."""
        for handler in self._subscribers.get(type(event), ()):
            handler(event)
