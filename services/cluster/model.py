"""One immutable look at an OpenVidu cluster: what is there, what it runs, what it costs. Replaced, never changed."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from services.common.observed import NOT_LOOKED, NotSeen, Observed
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
EVERYTHING = frozenset(Fact) - {
    Fact.SERVICES,
    Fact.SECRETS,
}  # what one procedure asks for is not worth its cost at every look


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
    hourly: Decimal | None = None  # None: its price is not known
    monthly: Decimal | None = None
    created_at: str = ""
    region: str = ""
    healthy: Observed[bool] = (
        NOT_LOOKED  # of a master: its health page answered 200, or answered something else
    )
    start: Observed[str] = (
        NOT_LOOKED  # of a master: names this start of OpenVidu's unit; "": it never started
    )

    @property
    def active(self) -> bool:
        return self.status == "active" and not self.locked

    @property
    def well(self) -> bool:
        """On, and seen to answer its health page."""
        return self.active and self.healthy is True

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
    hourly: Decimal | None = None  # None: its price is not known
    monthly: Decimal | None = None
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


class Quit(StrEnum):
    """What an agent's process does with SIGQUIT, read from `/proc` without sending anything (OpenVidu's own agents drain by it)."""

    DRAINS = "drains"  # it has a handler
    DEAF = "deaf"  # process 1 of its container without a handler: the kernel drops the signal
    DIES = "dies"  # no handler behind an init process: it would end at once, in running meetings
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Agent:
    """A running agent container, and what it does with the signal that asks for a drain."""

    name: str
    quit: Quit = Quit.UNKNOWN


class Delivery(StrEnum):
    """What became of one signal of a drain."""

    SENT = "sent"
    REFUSED = "refused"  # docker refused it before anything could leave
    UNSURE = "unsure"  # begun, or refused in a way that does not prove that nothing left


@dataclass(frozen=True)
class Signal:
    """The newest word that the drain script left on the node about one container."""

    container: str
    delivery: Delivery
    reason: str = ""


@dataclass(frozen=True)
class NodeLook:
    """What docker, LiveKit and the drain's marker say on a media node, as one script saw it that ran to its last line.

    `start` names this start of the media server; "": docker says that there is no such container. A drain happens once per start.
    `running`: of `openvidu`, `ingress`, `egress` and the agents those that have not ended, crash loops included. `livekit`: the HTTP
    status of LiveKit's own port on the node (200 ready, 406 not ready yet); 0: nothing answers there.
    """

    start: str = ""
    running: tuple[str, ...] = ()
    restarting: tuple[str, ...] = ()  # of those, the ones in a crash loop
    restarts: int = 0  # of the media server, since it was made
    agents: tuple[Agent, ...] = ()
    livekit: Observed[int] = NOT_LOOKED
    marked: bool = False  # the drain marker of this start lies on the node, or LiveKit's log says that it was told by hand to finish
    signals: tuple[Signal, ...] = ()  # what the drain of this start has sent
    unmarked: str = ""  # why the newest drain could not make its marker
    rooms: Observed[int] = NOT_LOOKED
    people: Observed[int] = NOT_LOOKED
    recordings: Observed[int] = NOT_LOOKED

    @property
    def serves(self) -> bool:
        """Whether its media server runs: people may be on it."""
        return "openvidu" in self.running

    @property
    def ready(self) -> bool:
        """Proved to take meetings: the container runs, is in no crash loop, and LiveKit answers 200."""
        return self.serves and "openvidu" not in self.restarting and self.livekit == 200

    @property
    def holders(self) -> tuple[str, ...]:
        """What holds the node although its media server has ended: recorders and ingresses, and agents that drain."""
        if self.serves:
            return ()
        draining = {a.name for a in self.agents if a.quit in (Quit.DRAINS, Quit.UNKNOWN)}
        return tuple(
            name for name in self.running if name in ("ingress", "egress") or name in draining
        )

    @property
    def quiet(self) -> bool:
        """Seen with nothing running that could carry a meeting, a recording, an ingress or an agent that finishes."""
        return not self.serves and not self.holders and not self.contradiction

    @property
    def contradiction(self) -> str:
        """Where two witnesses on the node cannot both be right, in words; "" when they agree."""
        if self.serves:
            return ""
        if isinstance(self.livekit, int) and self.livekit:
            return f"docker says that the media server has ended, and LiveKit still answers {self.livekit}"
        if isinstance(self.people, int) and self.people:
            return f"docker says that the media server has ended, and its metrics count {self.people} people"
        return ""

    @property
    def undelivered(self) -> str:
        """Why the media server has not had the signal to drain although it was asked for; "" when it has, or may have."""
        if self.unmarked and not self.marked:
            return self.unmarked
        newest = {s.container: s for s in self.signals}.get("openvidu")
        return newest.reason if newest is not None and newest.delivery is Delivery.REFUSED else ""

    @property
    def to_signal(self) -> tuple[str, ...]:
        """The containers that a drain signals now: servers, and agents that drain by it, but none that may have had it already.

        An agent that does not hear the signal would ignore it for ever, or end in the middle of its work: it is left alone.
        """
        deaf = {a.name for a in self.agents if a.quit in (Quit.DEAF, Quit.DIES)}
        had = {s.container for s in self.signals if s.delivery is not Delivery.REFUSED}
        order = {name: rank for rank, name in enumerate(("openvidu", "ingress", "egress"))}
        return tuple(
            sorted(
                (n for n in self.running if n not in deaf | had), key=lambda n: (order.get(n, 9), n)
            )
        )

    @property
    def attempts(self) -> int:
        """How many times the drain of this start began to send to the media server."""
        return len([s for s in self.signals if s.container == "openvidu"])


@dataclass(frozen=True)
class MediaNode:
    """A media droplet: a pool member, a node that Terraform or the autoscaler named, or a stray that carries the media tag."""

    droplet: Droplet
    member_status: str | None = (
        None  # provisioning, active, deleting (also: told by a tag to leave), off; None: a stray
    )
    look: Observed[NodeLook] = NOT_LOOKED
    counted: bool = (
        True  # it carries the media tag: the autoscaler counts it, and its firewalls hold
    )

    @property
    def id(self) -> int:
        return self.droplet.id

    @property
    def name(self) -> str:
        return self.droplet.name

    @property
    def seen(self) -> bool:
        """Whether SSH has shown what runs there."""
        return not isinstance(self.look, NotSeen)

    @property
    def drained(self) -> bool:
        """Proved to carry no one: seen with nothing running that could, or powered off."""
        return self.droplet.off or (isinstance(self.look, NodeLook) and self.look.quiet)

    @property
    def draining(self) -> bool:
        """Its media server was told to finish, and has not yet."""
        return (
            isinstance(self.look, NodeLook)
            and self.look.marked
            and self.look.serves
            and not self.look.undelivered
        )

    @property
    def held(self) -> tuple[str, ...]:
        """What holds it after its media server has ended: a recorder or an agent that still works."""
        return self.look.holders if isinstance(self.look, NodeLook) and self.look.start else ()

    @property
    def restartable(self) -> bool:
        """Its media server has ended and no recording is being finished: a restart brings it back and disturbs no meeting.

        Agents do not count: a restart of the node restarts them too. A node that still installs itself is not restartable.
        """
        look = self.look
        if not isinstance(look, NodeLook) or not look.start or look.serves or look.contradiction:
            return False
        return not {"ingress", "egress"} & set(look.running)

    @property
    def parked(self) -> bool:
        """Drained to stay so: powered off, or its media server has ended. One that still installs itself will serve soon."""
        return self.droplet.off or (
            self.drained and isinstance(self.look, NodeLook) and bool(self.look.start)
        )

    @property
    def serving(self) -> bool:
        """Proved to take new meetings, and not on its way out."""
        if (
            self.member_status == "deleting"
            or not self.droplet.active
            or not isinstance(self.look, NodeLook)
        ):
            return False
        return self.look.ready and (not self.look.marked or bool(self.look.undelivered))

    @property
    def contradiction(self) -> str:
        return self.look.contradiction if isinstance(self.look, NodeLook) else ""


@dataclass(frozen=True)
class Pool:
    """A DigitalOcean droplet autoscale pool of fixed size. The template itself never leaves the client: it holds credentials."""

    id: str
    name: str
    target: int
    status: str = "active"
    size: str = ""
    template: str = ""  # digest of everything in the template
    trouble: str = ""  # why it holds fewer droplets than it should, in a sentence: DigitalOcean's reason, or that it is not known

    @property
    def state(self) -> str:
        """Why its number and template cannot be changed now, in words; "" while it is active."""
        return (
            ""
            if self.status == "active"
            else f'DigitalOcean shows the pool as "{self.status}"; it is edited only while it is "active"'
        )


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

    def plus(self, other: "Load") -> "Load":
        """Both together."""
        people, recordings = self.people + other.people, self.recordings + other.recordings
        ingresses, longest = self.ingresses + other.ingresses, max(self.longest, other.longest)
        return Load(self.rooms + other.rooms, people, recordings, ingresses, longest)

    @property
    def idle(self) -> bool:
        """Seen to be empty: no meeting, no person, no recording, no ingress."""
        return not (self.rooms or self.people or self.recordings or self.ingresses)

    @property
    def alone(self) -> bool:
        """Recordings or ingresses go on, and no one is in a meeting: one is finished and uploaded, or a web page is recorded."""
        return not (self.rooms or self.people) and bool(self.recordings or self.ingresses)


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
            said += [
                f"{name} to {size or 'another size'}"
                for name, size in now.sizes
                if before.get(name) != size
            ]
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
    """Everything one look learned. `known` says which facts were looked at; what was not seen is `NotSeen`, never zero or empty."""

    name: str
    stack: str
    seen_at: float = 0.0
    region: str = ""
    known: frozenset[Fact] = frozenset()
    unseen: tuple[
        tuple[Fact, str], ...
    ] = ()  # which facts that were asked for were not seen, and why
    masters: tuple[Droplet, ...] = ()
    media: tuple[MediaNode, ...] = ()
    pool: Pool | None = None
    kind: FleetKind = FleetKind.POOL
    autoscaler: Autoscaler | None = None
    declared: int | None = (
        None  # media nodes that the autoscaler keeps at least, by the settings: it does not tell itself
    )
    load: Observed[Load] = NOT_LOOKED
    front: Observed[bool] = NOT_LOOKED
    has_front: bool = False  # a public address is configured
    problem: str = ""  # why nothing may be changed here
    remembered: int | None = None  # media number before the last shutdown
    remembered_ids: tuple[
        int, ...
    ] = ()  # and which droplets, where they stay and are only powered off
    last_seen: FleetSeen | None = None  # what kept its media nodes when that was last seen
    windows: tuple[str, ...] = ()  # the words of its off-hours windows
    window_versions: tuple[tuple[str, int], ...] = ()  # by name, how often each was written
    # Of its windows' closings: the edge, seconds until the last meeting had ended, and False where it went on for longer.
    evenings: tuple[tuple[str, float, bool], ...] = ()
    zone: str = "UTC"  # where its people live
    zero_refused: bool = False  # DigitalOcean has refused 0 for this pool
    zero_policy: str = "ask"  # ask, keep_one
    drain_method: str = "signal"
    min_serving: int = (
        1  # media nodes that stay in service through drains, until a closing is final
    )
    media_price: Decimal | None = None  # of one pool member, per hour; None: not known
    droplet_limit: int | None = None
    droplets_in_account: int | None = None
    sizes: tuple[Size, ...] = ()  # empty: not looked at, or the token may not read them
    snapshots: tuple[Snapshot, ...] | None = (
        None  # of the masters; None: not looked at, or the token may not read them
    )
    copies: tuple[str, ...] | None = (
        None  # labels of backups that hold a copy of secrets.env; None: not looked, or no answer
    )
    secrets: SecretsSeen | None = None
    lint: Linted | Unread = field(default_factory=Unread)
    has_bucket: bool = False  # a bucket is configured: secrets.env can be read and copied
    keep_backups: int = 3
    timings: Timings = field(default_factory=Timings)

    def lacking(self, needs: frozenset[Fact]) -> str:
        """Why facts among these were asked for and not seen; "" when all of them were."""
        return "; ".join(dict.fromkeys(why for fact, why in self.unseen if fact in needs))

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
                (n for n in self.media if n.member_status not in (None, "deleting")),
                key=lambda n: (n.droplet.created_at, n.droplet.id),
            )
        )

    @property
    def serving(self) -> tuple[MediaNode, ...]:
        return tuple(n for n in self.media if n.serving)

    @property
    def idle(self) -> bool:
        """Seen to be empty. False also when LiveKit was not seen: silence proves nothing."""
        return isinstance(self.load, Load) and self.load.idle

    @property
    def contradiction(self) -> str:
        """Where two witnesses of who is there cannot both be right, in words; "" when they agree or one is silent.

        On a node docker, LiveKit's port and the metrics; for the whole cluster LiveKit's API and the nodes.
        """
        for node in self.media:
            if node.contradiction:
                return f"{short(node.name, self.stack)}: {node.contradiction}"
        people = self.load.people if isinstance(self.load, Load) else 0
        if people and self.media and all(n.drained for n in self.media):
            return f"LiveKit counts {people} people, and every media node is seen without a running media server"
        return ""

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
            sizes=tuple((m.name, m.size) for m in self.masters)
            if Fact.DROPLETS in self.known
            else None,
        )

    @property
    def fingerprint(self) -> str:
        """Digest of what an approval rests on: who is there, not how busy the minute is."""
        basis = {
            "stack": self.stack,
            "masters": [(m.id, m.name, m.size) for m in self.masters],
            "media": sorted(n.id for n in self.media if n.member_status != "deleting"),
            "secrets": self.secrets.digest if self.secrets else None,
            "pool": [self.pool.id, self.pool.target, self.pool.template, self.pool.size]
            if self.pool
            else None,
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
