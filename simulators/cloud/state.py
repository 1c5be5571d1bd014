"""What exists in the pretend cloud at this moment, and what can be read from it.

It knows no part that changes it.
"""

import uuid
from collections.abc import Callable, Mapping

from simulators.clock import WorldClock
from simulators.cloud.delays import Delays, learnt
from simulators.cloud.model import (
    LoadBalancer,
    SimulatedAction,
    SimulatedCluster,
    SimulatedDroplet,
    SimulatedFirewall,
    SimulatedMeeting,
    SimulatedNetwork,
    SimulatedPool,
    SimulatedSnapshot,
    ZeroMode,
    not_found,
)
from simulators.cloud.timeline import EventTimeline
from simulators.dice import dice_of

FIRST_ID = 512_000_000
READY, STARTING, SILENT = 200, 406, 0
"""What LiveKit answers at `/`: it serves, it starts, nothing listens."""


class CloudState:
    """Everything under one DigitalOcean account, with the switches of a test.

    Pure reads: call `settle()` before.
    """

    clock_ahead = 0.0
    """Seconds that the times in DigitalOcean's actions and pool histories are ahead."""

    def __init__(self, clock: WorldClock, seed: int = 0, delays: Delays | None = None) -> None:
        self.clock, self.seed, self.delays = clock, seed, delays or learnt()
        self.timeline = EventTimeline(clock)
        self.dice = dice_of(f"estate {seed}")
        self.droplets: dict[int, SimulatedDroplet] = {}
        self.pools: dict[str, SimulatedPool] = {}
        self.balancers: dict[str, LoadBalancer] = {}
        self.clusters: dict[str, SimulatedCluster] = {}
        self.actions: dict[int, SimulatedAction] = {}
        self.snapshots: dict[int, SimulatedSnapshot] = {}
        self.networks: dict[str, SimulatedNetwork] = {}
        self.firewalls: dict[str, SimulatedFirewall] = {}
        self.meetings: dict[str, SimulatedMeeting] = {}
        self.tags: set[str] = set()
        self.canaries: list[str] = []
        """Planted secrets: none may be seen in anything the operator writes."""
        self.requests: list[tuple[str, str, int, float]] = []
        """Requests to the API: method, path, status, moment."""
        self.ssh_keys = [372862]
        self.droplet_limit = 25
        self.capacity = True
        self.pool_zero: ZeroMode = "yes"
        """What pools created over the API make of the number 0."""
        self.cooldown_gates_edits = False
        self.cooldown_refuses_edits = False
        self.refills_destroyed = True
        """Whether a pool replaces a member that was destroyed."""
        self.refills_off = False
        """Whether a pool replaces a member that was powered off."""
        self.pool_edit_scopes = frozenset({"droplet:create"})
        """What a token needs to edit a pool: all of these."""
        self.resize_powers_off = True
        self.resizes = True
        """Whether any droplet is resized."""
        self.resize_stays_on = False
        """Whether a droplet that is on is resized without a power-off."""
        self.outcome: Callable[[str, SimulatedDroplet], str] = lambda _kind, _droplet: "done"
        """What becomes of an action: "done", "ignored" (completed without effect) or "errored"."""
        self.pace: Callable[[str, SimulatedDroplet], float] = lambda _kind, _droplet: 1.0
        """How many times as long as usual an action takes on a droplet."""
        self.switched: Callable[[str], bool] = lambda _name: False
        """Whether a named fault is switched on."""
        self.node_faults: Callable[[str], Mapping[str, object]] = lambda _name: {}
        """The lasting faults of the node with that name."""
        self.read_secrets: Callable[[str], bytes | None] | None = None
        """Returns `secrets.env` of a stack for its masters' boot script.

        None when no bucket is simulated.
        """
        self.install_fails: Callable[[SimulatedDroplet], bool] = lambda _droplet: False
        """Whether the installation of a media node fails."""
        self.deletes_itself: Callable[[SimulatedDroplet], bool] = lambda _droplet: True
        """Whether the vendor's script can delete the droplet it runs on.

        It reports nothing when it cannot.
        """
        self._numbers, self._addresses = FIRST_ID, 0

    @property
    def now(self) -> float:
        """The present, in epoch seconds."""
        return self.timeline.moment

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        self.timeline.settle()

    # --- identifiers

    def number(self) -> int:
        """Return a new id."""
        self._numbers += 7
        return self._numbers

    def uuid(self) -> str:
        """Return a new uuid, the same one for the same seed."""
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def address(self) -> str:
        """Return a loopback address that no other droplet has."""
        self._addresses += 1
        high, low = divmod(self._addresses, 250)
        return f"127.{20 + self.seed % 200}.{high}.{low + 1}"

    def private_ip(self, stack: str) -> str:
        """Return a free address in the stack's VPC."""
        taken = {d.private_ip for d in self.droplets.values() if d.stack == stack}
        return next(ip for n in range(2, 255) if (ip := self.vpc_address(stack, n)) not in taken)

    def vpc_address(self, stack: str, n: int) -> str:
        """Return the n-th address in the stack's VPC, whose range is its own except with HA."""
        cluster = self.clusters.get(stack)
        if cluster is None or cluster.deployment == "high availability":
            return f"10.10.10.{n}"
        return f"10.{20 + list(self.clusters).index(stack)}.10.{n}"

    def plant(self, kind: str) -> str:
        """Return a new secret, and remember it as a canary."""
        secret = f"{kind}_{self.dice.getrandbits(160):040x}"
        self.canaries.append(secret)
        return secret

    # --- droplets and pools

    def droplet(self, droplet_id: int) -> SimulatedDroplet:
        """Return the droplet with that id.

        Raises:
            Refusal: 404, when there is none.
        """
        if droplet_id not in self.droplets:
            raise not_found()
        return self.droplets[droplet_id]

    def droplet_named(self, name: str) -> SimulatedDroplet:
        """Return the droplet with that name."""
        return next(d for d in self.droplets.values() if d.name == name)

    def masters(self, stack: str) -> list[SimulatedDroplet]:
        """Return the masters of a stack, in order."""
        return [self.droplets[i] for i in self.clusters[stack].master_ids if i in self.droplets]

    def media(self, stack: str) -> list[SimulatedDroplet]:
        """Return every media droplet of a stack.

        Pool members, those with its media tag, and those that lost it.
        """
        cluster = self.clusters[stack]
        pool = self.pools.get(cluster.pool_id)
        ids = {m.droplet_id for m in pool.members} if pool else set()

        def is_media(droplet: SimulatedDroplet) -> bool:
            mine = droplet.stack == stack and droplet.is_media
            return droplet.id in ids or mine or cluster.media_tag in droplet.tags

        return [d for d in self.droplets.values() if is_media(d)]

    def pool(self, stack: str) -> SimulatedPool:
        """Return the pool of a stack."""
        return self.pools[self.clusters[stack].pool_id]

    # --- what serves

    def up(self, master: SimulatedDroplet) -> bool:
        """Return whether OpenVidu runs on that master, healthy or not."""
        return master.on and master.node.unit == "active"

    def healthy(self, master: SimulatedDroplet, for_seconds: float = 0.0) -> bool:
        """Return whether that master has passed its health check for that long."""
        quorum_at = self.clusters[master.stack].quorum_at
        return (
            self.up(master)
            and quorum_at is not None
            and max(master.ready_at, quorum_at) + for_seconds <= self.now
        )

    def front_is_up(self, stack: str) -> bool:
        """Return whether the stack is reachable through its load balancer or reserved IP."""
        lag = self.delays.front
        if not self.clusters[stack].balancer_id:
            lag = 0.0  # a reserved IP leads to its droplet at once
        return any(self.healthy(m, lag) for m in self.masters(stack))

    def serving(self, stack: str) -> list[SimulatedDroplet]:
        """Return the media nodes that take new meetings."""
        if not self.front_is_up(stack):
            return []
        return [d for d in self.media(stack) if self.takes_meetings(d)]

    def serving_without_firewall(self, stack: str) -> list[SimulatedDroplet]:
        """Return the media nodes that serve without firewalls, which follow the media tag.

        Single Node's firewall follows its droplet's id instead.
        """
        if self.clusters[stack].kind == "co-located":
            return []
        return [d for d in self.serving(stack) if self.clusters[stack].media_tag not in d.tags]

    def takes_meetings(self, droplet: SimulatedDroplet) -> bool:
        """Return whether the node's media server takes new meetings."""
        return (
            self.livekit_status(droplet) == READY
            and not droplet.node.containers["openvidu"].draining
        )

    def livekit_status(self, droplet: SimulatedDroplet) -> int:
        """Return the HTTP status of LiveKit at 127.0.0.1:7880/ on that node.

        READY, STARTING or SILENT.
        """
        container = droplet.node.containers.get("openvidu")
        if not droplet.on or container is None or not container.up:
            return SILENT
        faults = self.node_faults(droplet.name)
        if "livekit-silent" in faults:
            return SILENT
        if container.ready_at > self.now or "livekit-starting" in faults:
            return STARTING
        return READY

    # --- meetings

    def meetings_on(self, droplet_id: int) -> list[SimulatedMeeting]:
        """Return the meetings on a node."""
        return [m for m in self.meetings.values() if m.droplet_id == droplet_id]

    def meetings_of(self, stack: str) -> list[SimulatedMeeting]:
        """Return the meetings of a stack."""
        return [m for m in self.meetings.values() if m.stack == stack]

    def work(self, droplet: SimulatedDroplet, name: str) -> int:
        """Return how many jobs that container still has: meetings, recordings or ingresses."""
        meetings = self.meetings_on(droplet.id)
        match name:
            case "egress":
                return sum(m.recordings for m in meetings)
            case "ingress":
                return sum(m.ingresses for m in meetings)
        return sum(not m.roomless for m in meetings)
