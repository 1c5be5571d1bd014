"""The records of the pretend cloud. Plain data: behaviour is in the modules beside this one."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from simulators.cloud.timeline import EventCause

Role = Literal["master", "media", "single", "other"]
"""`single`: master and media node in one droplet."""
ZeroMode = Literal["yes", "refused", "omitted", "ignored"]
RemovalOrder = Literal["newest", "oldest", "middle", "random"]
Kind = Literal["pool", "fixed", "autoscaler", "co-located"]
"""Of media fleets. `co-located`: meetings run on the master's own droplet."""
Deployment = Literal["high availability", "elastic", "single node"]
Edition = Literal["pro", "community"]
QUORUMS: dict[Deployment, tuple[int, int]] = {
    "high availability": (3, 4),
    "elastic": (1, 1),
    "single node": (1, 1),
}
"""How many masters are needed, of how many."""
SigquitBehaviour = Literal["drains", "deaf", "dies"]
"""What a container does at SIGQUIT.

Drain, nothing (PID 1 without a handler), or end at once (behind `init: true`).
"""
MEDIA_SERVERS = ("openvidu", "ingress", "egress")
AGENT_LABEL = "openvidu-agent"
DOCUMENTS = {
    "openvidu.egress": 64,
    "openvidu.rooms": 412,
    "openvidu-meet.recordings": 57,
    "openvidu-meet.rooms": 38,
    "openvidu-meet.users": 6,
}


@lru_cache(maxsize=4096)  # droplets are listed again and again
def stamp(moment: float) -> str:
    """Return the moment as the API writes it (UTC, whole seconds)."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_or_none(moment: float | None) -> str | None:
    """Return the moment as the API writes it; None when there is none."""
    if moment is None:
        return None
    return stamp(moment)


def docker_stamp(moment: float, nanoseconds: int) -> str:
    """Return the moment as docker writes it (UTC).

    The last three digits separate starts in the same microsecond.
    """
    return (
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        + f"{nanoseconds % 1000:03d}Z"
    )


class Refusal(Exception):
    """The provider refuses: HTTP status, error id and text."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(text)
        self.status, self.name, self.text = status, name, text


def unprocessable(text: str) -> Refusal:
    """Return a 422 with this text."""
    return Refusal(422, "unprocessable_entity", text)


def not_found(text: str = "The resource you requested could not be found.") -> Refusal:
    """Return a 404 with this text."""
    return Refusal(404, "not_found", text)


@dataclass
class SimulatedAction:
    """An action on a droplet. Times in epoch seconds."""

    id: int
    droplet_id: int
    type: str
    region: str
    started_at: float
    status: Literal["in-progress", "completed", "errored"] = "in-progress"
    completed_at: float | None = None


@dataclass
class SimulatedContainer:
    """One docker container of a node.

    `running` is docker's word: true also between a crash and the restart.
    """

    name: str
    image: str
    labels: dict[str, str] = field(default_factory=dict)
    running: bool = False
    started_at: str = "0001-01-01T00:00:00Z"
    signals: int = 0
    draining: bool = False
    restarts: int = 0
    exit_code: int = 0
    restarting: bool = False
    on_sigquit: SigquitBehaviour = "drains"
    ready_at: float = 0.0
    """When it serves (epoch seconds), if it runs."""
    pid: int = 0
    printed: list[tuple[float, str]] = field(default_factory=list)
    """What it printed, and when (epoch seconds)."""
    shown_status: str = ""
    """A status that docker shows instead of the true one: created, paused, removing or dead."""

    @property
    def up(self) -> bool:
        """Whether its process runs at this moment."""
        return self.running and not self.restarting

    @property
    def status(self) -> str:
        """docker's `.State.Status`."""
        return self.shown_status or (
            "restarting" if self.restarting else "running" if self.running else "exited"
        )


@dataclass
class NodeState:
    """The Linux inside a droplet."""

    boot_id: str = ""
    installed: bool = False
    unit: Literal["active", "inactive", "failed"] = "inactive"
    invocation: str = ""
    """systemd's id for this start of the unit."""
    unit_since: float = 0.0
    """When the unit started (epoch seconds)."""
    containers: dict[str, SimulatedContainer] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    has_tag_watcher: bool = False
    """Whether the cron file exists that looks for the draining tag.

    The watcher deletes it before it acts.
    """
    updating: tuple[str, str] | None = None
    """The version whose `update.sh` runs, and the boot since which it does."""
    undone: str = ""
    """The version whose update was undone last."""
    starts_at_boot: bool = True
    """Whether the unit starts at boot; false only for a media node."""
    agents: dict[str, SigquitBehaviour] | None = None
    """Its agents and what they do at SIGQUIT; None: the usual agents."""
    crash_loops: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Containers in a crash loop: seconds that they live, and seconds that docker waits."""

    def running(self, name: str) -> bool:
        """Return whether that container's process runs."""
        return name in self.containers and self.containers[name].up

    def all_agents(self) -> list[str]:
        """Return the names of its agents."""
        return [c.name for c in self.containers.values() if AGENT_LABEL in c.labels]


@dataclass
class SimulatedDroplet:
    """A machine: sizes in MB and GB, times in epoch seconds.

    `on` is the truth, `status` what the API shows.
    """

    id: int
    name: str
    region: str
    image: str
    size: str
    disk: int
    tags: list[str]
    public_ip: str
    private_ip: str
    vpc_uuid: str
    created_at: float
    role: Role = "other"
    stack: str = ""
    status: Literal["new", "active", "off", "archive"] = "new"
    on: bool = False
    action: SimulatedAction | None = None
    creating: bool = False
    snapshot_ids: list[int] = field(default_factory=list)
    ready_at: float = 0.0
    """For a master: since when its own containers are up."""
    copy_of: "SimulatedSnapshot | None" = None
    """The snapshot it was created from."""
    user_data: str = ""
    reserved_ip: str = ""
    """A second public address, which stays when the droplet is replaced."""
    node: NodeState = field(default_factory=NodeState)

    @property
    def is_master(self) -> bool:
        """Whether the masters' services run on it."""
        return self.role in ("master", "single")

    @property
    def is_media(self) -> bool:
        """Whether meetings run on it."""
        return self.role in ("media", "single")

    @property
    def locked(self) -> bool:
        """Whether the API refuses a new action."""
        return self.creating or self.action is not None


@dataclass
class SimulatedMember:
    """A droplet's membership in a pool."""

    droplet_id: int
    created_at: float
    updated_at: float
    generation: int
    serial: int
    status: Literal["provisioning", "active", "deleting", "off"] = "provisioning"


@dataclass
class PoolEvent:
    """One line of a pool's history."""

    id: str
    current: int
    desired: int
    reason: str
    created_at: float
    updated_at: float
    status: Literal["in_progress", "success", "error"] = "in_progress"
    error_reason: str = ""


@dataclass
class SimulatedPool:
    """A fixed droplet autoscale pool. `template` is what was PUT, unknown keys included."""

    id: str
    name: str
    target: int
    template: dict[str, Any]
    created_at: float
    updated_at: float
    allow_zero: ZeroMode = "yes"
    status: Literal["active", "deleting", "error"] = "active"
    generation: int = 0
    serial: int = 0
    modified_at: float = float("-inf")
    members: list[SimulatedMember] = field(default_factory=list)
    history: list[PoolEvent] = field(default_factory=list)

    def live(self) -> list[SimulatedMember]:
        """Return the members of the current template that are not being deleted."""
        return [
            m for m in self.members if m.status != "deleting" and m.generation == self.generation
        ]


@dataclass
class LoadBalancer:
    """A load balancer in front of a tag."""

    id: str
    name: str
    region: str
    ip: str
    tag: str
    vpc_uuid: str
    created_at: float


@dataclass
class SimulatedSnapshot:
    """An image of a droplet's disk."""

    id: int
    name: str
    droplet_id: int
    region: str
    disk: int
    created_at: float
    stack: str = ""
    """The stack whose master it is of."""
    documents: dict[str, int] = field(default_factory=dict)
    """The database on the disk: documents by collection."""
    files: dict[str, bytes] = field(default_factory=dict)
    damage: str = ""
    """Why its database does not open."""


@dataclass
class SimulatedNetwork:
    """A VPC that was created over the API."""

    id: str
    name: str
    region: str
    created_at: float
    emptied_at: float = 0.0
    """When its last droplet was destroyed: it counts as occupied for a while longer."""


@dataclass
class SimulatedVolume:
    """A block storage volume; attached to at most one droplet."""

    id: str
    name: str
    size: int
    region: str
    created_at: float
    droplet_id: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass
class SimulatedStorage:
    """What stays without a droplet. `addresses`: unassigned reserved IPs, with their region."""

    volumes: dict[str, SimulatedVolume] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)


@dataclass
class SimulatedFirewall:
    """A cloud firewall: its rules as they were sent, in force for the droplets of its tags."""

    id: str
    name: str
    tags: list[str]
    inbound: list[dict[str, Any]]
    outbound: list[dict[str, Any]]
    created_at: float

    @property
    def lets_nothing_out(self) -> bool:
        """Whether only SSH comes in, and nothing goes out."""
        return not self.outbound and all(rule.get("ports") == "22" for rule in self.inbound)


@dataclass
class SimulatedMeeting:
    """A meeting on one media node, with its recordings and ingresses."""

    id: str
    name: str
    stack: str
    droplet_id: int
    people: int
    opened_at: float
    ends_at: float
    recordings: int = 0
    ingresses: int = 0
    hidden: int = 0
    """Participants that no list of rooms counts, such as recorders and agents.

    A drain waits for them too.
    """
    roomless: bool = False
    """A recording of a web page: it has no room, and only the egress service knows of it."""
    received: list[tuple[str, bytes, float]] = field(default_factory=list)
    """The data that everyone in it has received: topic, content, and when."""


@dataclass
class SimulatedCluster:
    """One OpenVidu stack.

    `quorum_at`: since when its masters serve together, None when they do not.
    """

    stack: str
    region: str
    master_ids: list[int]
    pool_id: str
    balancer_id: str
    domain: str
    bucket: str
    quorum_at: float | None = None
    started: set[int] = field(default_factory=set)
    """Masters started since the quorum was lost: it returns only with all of them."""
    kind: Kind = "pool"
    documents: dict[str, int] = field(default_factory=lambda: dict(DOCUMENTS))
    """The database of its masters: documents by collection."""
    deployment: Deployment = "high availability"
    """Only with high availability is a load balancer in front; otherwise a reserved IP is."""
    edition: Edition = "pro"

    @property
    def media_tag(self) -> str:
        """The tag that a media droplet's firewalls follow."""
        return f"{self.stack}-media-node-tag"

    @property
    def draining_tag(self) -> str:
        """The tag that a node made by the autoscaler looks for every other minute."""
        return f"{self.stack}-draining"


@dataclass
class SimulatedTrigger:
    """A schedule that starts a function. Times in epoch seconds."""

    name: str
    function: str
    cron: str
    created_at: float
    updated_at: float
    is_enabled: bool = True
    last_run_at: float | None = None


@dataclass
class SimulatedNamespace:
    """A namespace for functions. `key` gives access to all of it: a planted secret."""

    id: str
    label: str
    region: str
    key: str
    created_at: float
    triggers: dict[str, SimulatedTrigger] = field(default_factory=dict)


@dataclass
class AutoscalerCode:
    """The function of one stack, with the numbers in its code."""

    stack: str
    region: str
    vpc_uuid: str
    size: str = "s-4vcpu-8gb"
    generation: Literal[2, 3] = 2
    minimum: int = 2
    maximum: int = 6
    initial: int = 2
    target: float = 50.0
    token_works: bool = True


@dataclass(frozen=True)
class Loss:
    """People or recordings that were lost, and the cause."""

    at: float
    stack: str
    droplet_id: int
    people: int
    recordings: int
    why: str
    cause: EventCause | None
    opened_at: float = 0.0
    """When the meeting began."""


@dataclass(frozen=True)
class Violation:
    """A promise that the operator of this cloud has broken."""

    kind: str
    text: str
    at: float
