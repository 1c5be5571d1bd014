"""One immutable look at an OpenVidu cluster: what is there, what it runs, what it costs. Replaced, never changed."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from services.secrets_env.findings import Linted, Unread


class Fact(StrEnum):
    """What a look can include. Steps say which they need, so that a look costs no more than it must."""

    DROPLETS = "droplets"  # droplets of the account: masters and everything with the media tag
    POOL = "pool"  # what keeps the media nodes: the autoscale pool and its members, or the autoscaler's trigger
    HEALTH = "health"  # each active master's own health page
    FRONT = "front"  # the public address, through the load balancer
    NODES = "nodes"  # what runs on each media node, by SSH
    LOAD = "load"  # meetings, people, recordings, by LiveKit's API
    SIZES = "sizes"  # what DigitalOcean sells, and for how much
    SERVICES = "services"  # which start of OpenVidu's unit runs on each master, by SSH
    SECRETS = "secrets"  # secrets.env in the bucket: its digest, never its values
    LINT = "lint"  # what in secrets.env would run as root, or keep nodes from starting: lines and keys, never values
    SNAPSHOTS = "snapshots"  # of the masters, and the copies of secrets.env that go with them


RUN_SECONDS = 120.0  # the longest run of the autoscaler
TURN_SECONDS = 240.0  # from one run to the next
EVERYTHING = frozenset(Fact) - {Fact.SERVICES, Fact.SECRETS}  # what one procedure asks for is not worth its cost at every look


class FleetKind(StrEnum):
    """What keeps the media nodes, told from what exists at DigitalOcean; never from a version or a setting."""

    POOL = "pool"  # an autoscale pool of fixed size, as OpenVidu 3.6 is deployed
    FIXED = "fixed"  # droplets that Terraform made one by one
    AUTOSCALER = "autoscaler"  # a function that adds and drains them every four minutes
    NONE = "none"  # nothing is there: parked the vendor's way, or every node was deleted
    MIXED = "mixed"  # two of them at once: an apply in progress, or interrupted
    UNKNOWN = "unknown"  # not looked at, or it could not be read


@dataclass(frozen=True)
class Timings:
    """How long the bot waits, in seconds, before it asks again, asks people, or stops."""

    look: float = 5.0
    second_look: float = 10.0
    shutdown_nudge: float = 120.0
    power_off_deadline: float = 420.0
    power_on_deadline: float = 300.0
    masters_nudge: float = 600.0
    masters_deadline: float = 1200.0
    front_deadline: float = 300.0
    pool_deadline: float = 120.0
    members_gone_deadline: float = 1800.0
    serving_nudge: float = 900.0
    serving_deadline: float = 1800.0
    drain_deadline: float = 7200.0
    drain_reminder: float = 3600.0
    resize_deadline: float = 3600.0
    snapshot_deadline: float = 7200.0


@dataclass(frozen=True)
class Droplet:
    """A virtual machine at DigitalOcean. Prices in US dollars, memory in MB, disk in GB."""

    id: int
    name: str
    status: str  # new, active, off, archive; unknown values are carried, not refused
    locked: bool = False
    size: str = ""
    address: str = ""
    private_address: str = ""
    disk: int = 0
    memory: int = 0
    vcpus: int = 0
    hourly: Decimal = Decimal(0)
    monthly: Decimal = Decimal(0)
    created_at: str = ""
    region: str = ""
    healthy: bool | None = None  # None: nobody looked, or it could not be told
    start: str = ""  # names this start of OpenVidu's unit on a master; "": not looked, or not reachable

    @property
    def active(self) -> bool:
        return self.status == "active" and not self.locked

    @property
    def off(self) -> bool:
        """Off and quiet. `status` alone is not believed while an action still holds the droplet."""
        return self.status == "off" and not self.locked


@dataclass(frozen=True)
class Size:
    """A droplet size that DigitalOcean sells. Prices in US dollars, memory in MB, disk in GB."""

    slug: str
    vcpus: int = 0
    memory: int = 0
    disk: int = 0
    hourly: Decimal = Decimal(0)
    monthly: Decimal = Decimal(0)
    regions: tuple[str, ...] = ()
    available: bool = True


@dataclass(frozen=True)
class Snapshot:
    """An image of one master's disk, whoever made it. Size in GB, as it is billed."""

    id: str
    name: str
    droplet: int
    created_at: str = ""
    size: Decimal = Decimal(0)


@dataclass(frozen=True)
class NodeLook:
    """What SSH saw on a media node. `start` names this start of its media server; a drain happens once per start."""

    start: str = ""
    running: tuple[str, ...] = ()  # of openvidu, ingress, egress and the agents, those that run
    marked: bool = False  # the drain marker of this start lies on the node
    rooms: int | None = None
    people: int | None = None
    recordings: int | None = None

    @property
    def idle(self) -> bool:
        """Nothing that could carry a meeting, a recording or an ingress runs."""
        return not self.running


@dataclass(frozen=True)
class MediaNode:
    """A media droplet: a pool member, a node that Terraform or the autoscaler named, or a stray that carries the media tag."""

    droplet: Droplet
    member_status: str | None = None  # provisioning, active, deleting (also: told by a tag to leave), off; None: a stray
    look: NodeLook | None = None  # None: not looked, or not reachable
    counted: bool = True  # it carries the media tag: the autoscaler counts it, and its firewalls hold

    @property
    def id(self) -> int:
        return self.droplet.id

    @property
    def name(self) -> str:
        return self.droplet.name

    @property
    def drained(self) -> bool:
        """Seen with no media container running, or powered off."""
        return self.droplet.off or (self.look is not None and self.look.idle)

    @property
    def draining(self) -> bool:
        return self.look is not None and self.look.marked and not self.look.idle

    @property
    def resting(self) -> bool:
        """Its media server ran once and does not now: a restart brings it back. A node that still installs itself is not resting."""
        return self.look is not None and self.look.idle and bool(self.look.start)

    @property
    def parked(self) -> bool:
        """Drained to stay so: powered off, or its media server ran and was let go. One that still installs itself will serve soon."""
        return self.droplet.off or self.resting

    @property
    def serving(self) -> bool:
        """Takes new meetings, and is not on its way out."""
        if self.member_status == "deleting" or not self.droplet.active:
            return False
        return self.look is not None and "openvidu" in self.look.running and not self.look.marked


@dataclass(frozen=True)
class Pool:
    """A DigitalOcean droplet autoscale pool of fixed size. The template itself never leaves the client: it holds credentials."""

    id: str
    name: str
    target: int
    status: str = "active"
    size: str = ""
    template: str = ""  # digest of everything in the template
    trouble: str = ""  # the newest history event's error, if it ended in one


@dataclass(frozen=True)
class Autoscaler:
    """The function that keeps media nodes, as far as its trigger shows. Its code is never fetched: it holds credentials.

    Times in epoch seconds. A run lasts up to two minutes, and acts at its end.
    """

    namespace: str
    trigger: str = ""  # "": deleted, so that nobody scales
    enabled: bool = False
    last_run: float = 0.0
    next_run: float | None = None
    paused_by: str = ""  # the run of ours that paused it, while it is paused
    paused_at: float = 0.0
    frozen: bool = False  # and that run was asked to freeze it: no start-up lifts that

    @property
    def ours(self) -> bool:
        """Paused by this bot on the way down, so that the way up resumes it."""
        return not self.enabled and bool(self.paused_by) and not self.frozen

    @property
    def quiet_at(self) -> float:
        """From when on no run that began before the pause can be under way."""
        pause = max(self.last_run, self.paused_at)
        # Whether a paused trigger shows no next run is not known for sure: where it shows one, a whole turn is waited out.
        return pause + RUN_SECONDS + 60.0 + (0.0 if self.next_run is None else TURN_SECONDS)


@dataclass(frozen=True)
class Load:
    """What people are doing now. Seconds for `longest`."""

    rooms: int
    people: int
    recordings: int
    ingresses: int = 0
    longest: float = 0.0


@dataclass(frozen=True)
class FleetSeen:
    """What kept the media nodes, how many there were, and when (epoch seconds)."""

    kind: FleetKind
    media: int
    at: float


@dataclass(frozen=True)
class Basis:
    """What only the bot should change while it has a cluster. None: not looked at."""

    target: int | None = None
    template: str | None = None
    sizes: tuple[tuple[str, str], ...] | None = None  # of the masters, by name
    scaling: bool | None = None  # the autoscaler is on

    def merged(self, newer: "Basis") -> "Basis":
        """This, with what the newer one knows."""
        return Basis(
            self.target if newer.target is None else newer.target,
            self.template if newer.template is None else newer.template,
            self.sizes if newer.sizes is None else newer.sizes,
            self.scaling if newer.scaling is None else newer.scaling,
        )

    def changed(self, now: "Basis") -> str:
        """What another hand changed since, in words; "" when nothing known to both differs."""
        said = []
        if None not in (self.target, now.target) and self.target != now.target:
            said.append(f"the pool's number from {self.target} to {now.target}")
        if None not in (self.template, now.template) and self.template != now.template:
            said.append("the pool's template")
        if None not in (self.scaling, now.scaling) and self.scaling != now.scaling:
            said.append(f"the autoscaler, which is {'on again' if now.scaling else 'paused now'}")
        if self.sizes is not None and now.sizes is not None and self.sizes != now.sizes:
            before = dict(self.sizes)
            said += [f"{name} to {size or 'another size'}" for name, size in now.sizes if before.get(name) != size]
        return ", ".join(said)


NOTHING_KNOWN = Basis()


@dataclass(frozen=True)
class SecretsSeen:
    """What may be known of `secrets.env`. `lock_age` in seconds: another writer's lock lies in the bucket; None: none does.

    `lock` tells that lock from a later one.
    """

    digest: str
    lock_age: float | None = None
    lock: str = ""
    staged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Everything one look learned. `known` says which facts were looked at; the others are blank, not zero."""

    name: str
    stack: str
    seen_at: float = 0.0
    region: str = ""
    known: frozenset[Fact] = frozenset()
    masters: tuple[Droplet, ...] = ()
    media: tuple[MediaNode, ...] = ()
    pool: Pool | None = None
    kind: FleetKind = FleetKind.POOL
    autoscaler: Autoscaler | None = None
    declared: int | None = None  # media nodes that the autoscaler keeps at least, by the settings: it does not tell itself
    load: Load | None = None
    front: bool | None = None
    has_front: bool = False  # a public address is configured
    problem: str = ""  # why nothing may be changed here
    remembered: int | None = None  # media number before the last shutdown
    remembered_ids: tuple[int, ...] = ()  # and which droplets, where they stay and are only powered off
    last_seen: FleetSeen | None = None  # what kept its media nodes when that was last seen
    windows: tuple[str, ...] = ()  # the words of its off-hours windows
    zone: str = "UTC"  # where its people live
    zero_refused: bool = False  # DigitalOcean has refused 0 for this pool
    zero_policy: str = "ask"  # ask, keep_one
    drain_method: str = "signal"
    media_price: Decimal = Decimal(0)  # of one pool member, per hour
    droplet_limit: int | None = None
    droplets_in_account: int | None = None
    sizes: tuple[Size, ...] = ()  # empty: not looked at, or the token may not read them
    snapshots: tuple[Snapshot, ...] | None = None  # of the masters; None: not looked at, or the token may not read them
    copies: tuple[str, ...] | None = None  # labels of backups that hold a copy of secrets.env; None: not looked, or nobody answered
    secrets: SecretsSeen | None = None
    lint: Linted | Unread = field(default_factory=Unread)
    has_bucket: bool = False  # a bucket is configured: secrets.env can be read and copied
    keep_backups: int = 3
    timings: Timings = field(default_factory=Timings)

    def master(self, name: str) -> Droplet:
        """The master of that name; KeyError if there is none."""
        for droplet in self.masters:
            if droplet.name == name:
                return droplet
        raise KeyError(name)

    def size(self, slug: str) -> Size | None:
        """What that size is; None when DigitalOcean does not list it (legacy sizes are not on the list)."""
        return next((s for s in self.sizes if s.slug == slug), None)

    @property
    def members(self) -> tuple[MediaNode, ...]:
        """Pool members that are not on their way out, oldest first."""
        return tuple(
            sorted(
                (n for n in self.media if n.member_status not in (None, "deleting")), key=lambda n: (n.droplet.created_at, n.droplet.id)
            )
        )

    @property
    def serving(self) -> tuple[MediaNode, ...]:
        return tuple(n for n in self.media if n.serving)

    @property
    def up(self) -> bool:
        """Every master is on."""
        return bool(self.masters) and all(m.active for m in self.masters)

    @property
    def down(self) -> bool:
        return bool(self.masters) and all(m.off for m in self.masters)

    @property
    def basis(self) -> Basis:
        """What an executor compares before it writes: has somebody else been at the wheel?"""
        return Basis(
            target=self.pool.target if self.pool else None,
            template=self.pool.template if self.pool else None,
            scaling=self.autoscaler.enabled if self.autoscaler else None,
            sizes=tuple((m.name, m.size) for m in self.masters) if Fact.DROPLETS in self.known else None,
        )

    @property
    def fingerprint(self) -> str:
        """Digest of what an approval rests on: who is there, not how busy the minute is."""
        basis = {
            "stack": self.stack,
            "masters": [(m.id, m.name, m.size) for m in self.masters],
            "media": sorted(n.id for n in self.media if n.member_status != "deleting"),
            "secrets": self.secrets.digest if self.secrets else None,
            "pool": [self.pool.id, self.pool.target, self.pool.template, self.pool.size] if self.pool else None,
        }
        if self.autoscaler is not None:
            # Which nodes there are is the autoscaler's to change at any minute; what it is, is not.
            basis |= {"media": [], "autoscaler": self.autoscaler.namespace}
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()

    def with_media(self, change: "dict[int, MediaNode]") -> "Cluster":
        """The same cluster with some media nodes replaced, by id."""
        return replace(self, media=tuple(change.get(n.id, n) for n in self.media))

    def with_masters(self, change: "dict[str, Droplet]") -> "Cluster":
        """The same cluster with some masters replaced, by name."""
        return replace(self, masters=tuple(change.get(m.name, m) for m in self.masters))


def short(name: str, stack: str) -> str:
    """A droplet's name as people say it: `master-2`, `media-3`, without the stack's name before it."""
    trimmed = name.removeprefix(f"{stack}-")
    trimmed = re.sub(r"^(master|media)-node-(?=\d+$)", r"\1-", trimmed)
    trimmed = re.sub(r"^media-\d{10,}-(?=\d{4}$)", "media-", trimmed)
    return re.sub(r"^media-node-pool-(?:[0-9a-f-]{8,}-)?0*(\d+)$", r"media-\1", trimmed)
