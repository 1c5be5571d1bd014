"""An OpenVidu cluster as one look saw it: resources, load, cost. Immutable."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from services.cluster.account_facts import NO_FACTS, AccountFacts
from services.cluster.backup_notes import NO_NOTES, BackupNotes
from services.cluster.configuration import NodeConfiguration
from services.cluster.drills import DrillDroplet, DrillSeen
from services.cluster.installation import Installation
from services.cluster.leftovers import NO_WASTE, LeftoversSeen, WasteNotes
from services.cluster.meeting_messages import MeetingMessages
from services.cluster.scaling import ScalingPermission
from services.common.observed import NOT_OBSERVED, Observed, Unobserved
from services.common.values import replace
from services.secrets_env.findings import SecretsFindings, SecretsUnread


class Fact(StrEnum):
    """What a look can include. Steps declare what they need, so that a look costs no more."""

    # All droplets of the account: masters, and everything with the media tag.
    DROPLETS = "droplets"
    # What keeps the media nodes: the autoscale pool and its members, or the autoscaler's trigger.
    POOL = "pool"
    # The health page of each master that is on.
    HEALTH = "health"
    # The public address, through the load balancer.
    FRONT = "front"
    # What runs on each media node, by SSH.
    NODES = "nodes"
    # Meetings, people and recordings, by LiveKit's API.
    LOAD = "load"
    # The sizes that DigitalOcean sells, with prices.
    SIZES = "sizes"
    # Which start of OpenVidu's unit runs on each master, by SSH.
    SERVICES = "services"
    # Whether OpenVidu's unit runs on each node that is on, by SSH.
    UNITS = "units"
    # secrets.env in the bucket: its digest, never its values.
    SECRETS = "secrets"
    # Problems in secrets.env: lines and keys, never values.
    LINT = "lint"
    # The configuration files of each master as digests, and what runs there, by SSH.
    CONFIGURATION = "configuration"
    # Snapshots of the masters, and the copies of secrets.env with them.
    SNAPSHOTS = "snapshots"
    # What restore drills of this stack have created, and what their copy of a master shows.
    DRILL = "drill"
    # OpenVidu's version and updates on each node, by SSH.
    VERSIONS = "versions"
    # Volumes, reserved IPs and droplets of the stack that nothing may use.
    LEFTOVERS = "leftovers"


# The longest run of the autoscaler, and the time from one run to the next.
RUN_SECONDS = 120.0
TURN_SECONDS = 240.0
# Without the facts that only one procedure needs.
EVERYTHING = frozenset(Fact) - {
    *(Fact.SERVICES, Fact.UNITS, Fact.SECRETS),
    *(Fact.VERSIONS, Fact.CONFIGURATION, Fact.DRILL, Fact.LEFTOVERS),
}


class Deployment(StrEnum):
    """Which OpenVidu deployment it is, detected from its droplets' names, not from a setting."""

    # Four masters behind a load balancer.
    HIGH_AVAILABILITY = "high availability"
    # One master with a reserved IP.
    ELASTIC = "elastic"
    # One droplet with a reserved IP, on which the meetings run too.
    SINGLE_NODE = "single node"
    # Not seen, not all read, or several at once.
    UNKNOWN = "unknown"


class FleetKind(StrEnum):
    """What keeps the media nodes, detected from resources at DigitalOcean, not from a setting."""

    # An autoscale pool of fixed size, as OpenVidu 3.6 is deployed.
    POOL = "pool"
    # Droplets that Terraform creates one by one.
    FIXED = "fixed"
    # A function that adds and drains droplets every four minutes.
    AUTOSCALER = "autoscaler"
    # No droplets of its own: meetings run on the one droplet of a Single Node deployment.
    CO_LOCATED = "co-located"
    # There is nothing: parked as the vendor documents, or every node was deleted.
    NONE = "none"
    # Two of them at once: a Terraform apply is in progress, or was interrupted.
    MIXED = "mixed"
    # Not looked at, or not readable.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Timings:
    """Seconds that the bot waits before it retries, asks people, or stops."""

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
    """A virtual machine at DigitalOcean. Prices in US dollars, memory in MB, disk in GB.

    `status`: new, active, off, archive; unknown values are accepted. Prices are None if unknown.
    """

    id: int
    name: str
    status: str
    locked: bool = False
    size: str = ""
    address: str = ""
    private_address: str = ""
    disk: int = 0
    memory: int = 0
    vcpus: int = 0
    hourly: Decimal | None = None
    monthly: Decimal | None = None
    created_at: str = ""
    region: str = ""
    # The network that it is in; "": not shown.
    network: str = ""
    # Of a master: its health page answered 200, or something else.
    healthy: Observed[bool] = NOT_OBSERVED
    # Of a master: identifies this start of OpenVidu's unit; "": it never started.
    start: Observed[str] = NOT_OBSERVED
    # The state of OpenVidu's unit as systemd names it: active, inactive, failed, activating.
    unit: Observed[str] = NOT_OBSERVED
    # OpenVidu on it: its version, and what updates left there.
    installation: Observed[Installation] = NOT_OBSERVED

    @property
    def active(self) -> bool:
        return self.status == "active" and not self.locked

    @property
    def is_healthy(self) -> bool:
        """Return whether it is on, and answered its health page."""
        return self.active and self.healthy is True

    @property
    def off(self) -> bool:
        """Return whether it is off; `status` alone does not count while an action locks it."""
        return self.status == "off" and not self.locked


@dataclass(frozen=True)
class Size:
    """A droplet size that DigitalOcean sells. Prices in US dollars, memory in MB, disk in GB.

    Prices are None if unknown.
    """

    slug: str
    vcpus: int = 0
    memory: int = 0
    disk: int = 0
    hourly: Decimal | None = None
    monthly: Decimal | None = None
    regions: tuple[str, ...] = ()
    available: bool = True


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of one master's disk, of the bot's or not. Size in GB, as billed."""

    id: str
    name: str
    droplet: int
    created_at: str = ""
    size: Decimal = Decimal(0)


class SigquitEffect(StrEnum):
    """What an agent's process does on SIGQUIT, by which OpenVidu's own agents drain.

    Read from `/proc` without sending anything.
    """

    # It has a handler.
    DRAINS = "drains"
    # Process 1 of its container without a handler: the kernel drops the signal.
    DEAF = "deaf"
    # No handler behind an init process: it would end at once, in running meetings.
    DIES = "dies"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Agent:
    """A running agent container, and what it does on the drain signal."""

    name: str
    on_sigquit: SigquitEffect = SigquitEffect.UNKNOWN


class SignalResult(StrEnum):
    """The result of sending a drain signal."""

    SENT = "sent"
    # Docker refused before anything could be sent.
    REFUSED = "refused"
    # Begun, or refused in a way that does not prove that nothing was sent.
    UNSURE = "unsure"


@dataclass(frozen=True)
class Signal:
    """The newest result that the drain script recorded on the node for one container."""

    container: str
    delivery: SignalResult
    reason: str = ""


ENDED = "docker reports that the media server has ended"


@dataclass(frozen=True)
class NodeStatus:
    """A media node by Docker, LiveKit and the drain marker, from one complete run of one script.

    `start` identifies this start of the media server; "": Docker has no such container. A drain
    happens once per start. `running`: which of `openvidu`, `ingress`, `egress` and the agents have
    not ended, crash loops included. `livekit`: the HTTP status of LiveKit's own port on the node
    (200 ready, 406 not ready yet); 0: nothing answers there.
    """

    start: str = ""
    running: tuple[str, ...] = ()
    # Of those, the ones in a crash loop.
    restarting: tuple[str, ...] = ()
    # Restarts of the media server's container since it was created.
    restarts: int = 0
    agents: tuple[Agent, ...] = ()
    livekit: Observed[int] = NOT_OBSERVED
    # The node has the drain marker of this start, or LiveKit's log shows a drain by hand.
    drain_marked: bool = False
    # The signals that the drain of this start has sent.
    signals: tuple[Signal, ...] = ()
    # Why the newest drain could not create its marker.
    marker_problem: str = ""
    rooms: Observed[int] = NOT_OBSERVED
    people: Observed[int] = NOT_OBSERVED
    recordings: Observed[int] = NOT_OBSERVED

    @property
    def runs_media_server(self) -> bool:
        """Return whether its media server runs, so that people may be on it."""
        return "openvidu" in self.running

    @property
    def ready(self) -> bool:
        """Return whether it is proved to be in service.

        The container runs, is in no crash loop, and LiveKit answers 200.
        """
        return self.runs_media_server and "openvidu" not in self.restarting and self.livekit == 200

    @property
    def busy_with(self) -> tuple[str, ...]:
        """Return what keeps the node busy after its media server has ended.

        Recorders and ingresses, and agents that drain.
        """
        if self.runs_media_server:
            return ()
        draining = {
            a.name
            for a in self.agents
            if a.on_sigquit in (SigquitEffect.DRAINS, SigquitEffect.UNKNOWN)
        }
        return tuple(
            name for name in self.running if name in ("ingress", "egress") or name in draining
        )

    @property
    def is_drained(self) -> bool:
        """Return whether it is proved that no meeting, recording, ingress or agent runs."""
        return not self.runs_media_server and not self.busy_with and not self.contradiction

    @property
    def contradiction(self) -> str:
        """Return where two sources on the node contradict each other; "" if they agree."""
        if self.runs_media_server:
            return ""
        if isinstance(self.livekit, int) and self.livekit:
            return f"{ENDED}, but LiveKit still answers {self.livekit}"
        if isinstance(self.people, int) and self.people:
            return f"{ENDED}, but its metrics count {self.people} people"
        return ""

    @property
    def undelivered(self) -> str:
        """Return why a requested drain signal did not reach the media server; "" if it may have."""
        if self.marker_problem and not self.drain_marked:
            return self.marker_problem
        newest = {s.container: s for s in self.signals}.get("openvidu")
        if newest is None or newest.delivery is not SignalResult.REFUSED:
            return ""
        return newest.reason

    @property
    def containers_to_drain(self) -> tuple[str, ...]:
        """Return the containers that a drain signals now: servers, and agents that drain by it.

        None that may have had the signal already, and no agent that would ignore it for ever, or
        end in the middle of its work.
        """
        deaf = {
            a.name for a in self.agents if a.on_sigquit in (SigquitEffect.DEAF, SigquitEffect.DIES)
        }
        had = {s.container for s in self.signals if s.delivery is not SignalResult.REFUSED}
        order = {name: rank for rank, name in enumerate(("openvidu", "ingress", "egress"))}
        return tuple(
            sorted(
                (n for n in self.running if n not in deaf | had), key=lambda n: (order.get(n, 9), n)
            )
        )

    @property
    def attempts(self) -> int:
        """Return how often the drain of this start began to signal the media server."""
        return len([s for s in self.signals if s.container == "openvidu"])


@dataclass(frozen=True)
class MediaNode:
    """A media droplet: a pool member, a node named by Terraform or the autoscaler, or a stray.

    A stray has only the media tag.
    """

    droplet: Droplet
    # provisioning, active, deleting (or tagged for draining), off; None: a stray.
    member_status: str | None = None
    look: Observed[NodeStatus] = NOT_OBSERVED
    # It has the media tag: the autoscaler counts it, and the firewalls apply to it.
    has_media_tag: bool = True

    @property
    def id(self) -> int:
        return self.droplet.id

    @property
    def name(self) -> str:
        return self.droplet.name

    @property
    def is_observed(self) -> bool:
        """Return whether SSH has shown what runs there."""
        return not isinstance(self.look, Unobserved)

    @property
    def drained(self) -> bool:
        """Return whether it is proved to serve no one: nothing runs that could, or it is off."""
        return self.droplet.off or (isinstance(self.look, NodeStatus) and self.look.is_drained)

    @property
    def draining(self) -> bool:
        """Return whether its media server is draining."""
        return (
            isinstance(self.look, NodeStatus)
            and self.look.drain_marked
            and self.look.runs_media_server
            and not self.look.undelivered
        )

    @property
    def busy_with(self) -> tuple[str, ...]:
        """Return what keeps it busy after its media server has ended: a recorder or an agent."""
        if not isinstance(self.look, NodeStatus) or not self.look.start:
            return ()
        return self.look.busy_with

    @property
    def restartable(self) -> bool:
        """Return whether a restart puts it back in service and disturbs no meeting.

        Its media server has ended, and no recording is being finished. Agents do not count: a
        restart of the node restarts them too. A node that is still installing is not restartable.
        """
        look = self.look
        if (
            not isinstance(look, NodeStatus)
            or not look.start
            or look.runs_media_server
            or look.contradiction
        ):
            return False
        return not {"ingress", "egress"} & set(look.running)

    @property
    def parked(self) -> bool:
        """Return whether it stays drained: it is off, or its media server has ended.

        A node that is still installing will serve soon.
        """
        return self.droplet.off or (
            self.drained and isinstance(self.look, NodeStatus) and bool(self.look.start)
        )

    @property
    def serving(self) -> bool:
        """Return whether it is proved to take new meetings, and is not being removed."""
        if (
            self.member_status == "deleting"
            or not self.droplet.active
            or not isinstance(self.look, NodeStatus)
        ):
            return False
        return self.look.ready and (not self.look.drain_marked or bool(self.look.undelivered))

    @property
    def contradiction(self) -> str:
        """Return where two sources on the node contradict each other; "" if they agree."""
        if not isinstance(self.look, NodeStatus):
            return ""
        return self.look.contradiction


@dataclass(frozen=True)
class Pool:
    """A DigitalOcean droplet autoscale pool of fixed size.

    Its template stays in the API client, as it contains credentials; `template` is a digest of it.
    `trouble`: why it has fewer droplets than its target, as a sentence.
    """

    id: str
    name: str
    target: int
    status: str = "active"
    size: str = ""
    template: str = ""
    trouble: str = ""

    @property
    def state(self) -> str:
        """Return why its target and template cannot be changed now; "" while it is active."""
        if self.status == "active":
            return ""
        return (
            f'DigitalOcean reports the pool as "{self.status}"; '
            'it is changed only while it is "active"'
        )


@dataclass(frozen=True)
class Autoscaler:
    """The function that scales the media nodes, as far as its trigger shows.

    Its code is never fetched, as it contains credentials. Times in epoch seconds. A run of it lasts
    up to two minutes, and acts at its end.
    """

    namespace: str
    # "": deleted, so that nothing scales.
    trigger: str = ""
    enabled: bool = False
    last_run: float = 0.0
    next_run: float | None = None
    # The bot's run that paused it, while it is paused.
    paused_by: str = ""
    paused_at: float = 0.0
    # That run was to freeze it: a startup does not resume it.
    frozen: bool = False

    @property
    def paused_by_bot(self) -> bool:
        """Return whether the bot paused it in a shutdown, so that a startup resumes it."""
        return not self.enabled and bool(self.paused_by) and not self.frozen

    @property
    def quiet_at(self) -> float:
        """Return the time from which on no run that began before the pause can be active."""
        quiet_at = max(self.last_run, self.paused_at) + RUN_SECONDS + 60.0
        # Whether a paused trigger shows no next run is not known for sure. Where it shows one, that
        # run is waited for.
        if self.next_run is not None:
            quiet_at += TURN_SECONDS
        return quiet_at


@dataclass(frozen=True)
class Load:
    """Current meetings and people. `longest`: age of the oldest meeting in seconds."""

    rooms: int
    people: int
    recordings: int
    ingresses: int = 0
    longest: float = 0.0

    def plus(self, other: "Load") -> "Load":
        """Return the sum of both."""
        people, recordings = self.people + other.people, self.recordings + other.recordings
        ingresses, longest = self.ingresses + other.ingresses, max(self.longest, other.longest)
        return Load(self.rooms + other.rooms, people, recordings, ingresses, longest)

    @property
    def idle(self) -> bool:
        """Return whether there is no meeting, person, recording or ingress."""
        return not (self.rooms or self.people or self.recordings or self.ingresses)

    @property
    def without_people(self) -> bool:
        """Return whether recordings or ingresses run with no one in a meeting.

        A recording is being uploaded, or a web page is recorded.
        """
        return not (self.rooms or self.people) and bool(self.recordings or self.ingresses)


@dataclass(frozen=True)
class KnownFleet:
    """The fleet type and the number of media nodes when last seen (epoch seconds)."""

    kind: FleetKind
    media: int
    at: float


@dataclass(frozen=True)
class StoppedNode:
    """A node on which OpenVidu was stopped by request and stays stopped: by whom, and since when.

    `by`: a mention; "" when not known. `at`: epoch seconds. `run`: the run that stopped it.
    """

    id: int
    by: str = ""
    at: float = 0.0
    run: str = ""


@dataclass(frozen=True)
class Basis:
    """What only the bot should change while it has locked a cluster. None: not looked at.

    `sizes`: of the masters, by name. `scaling`: the autoscaler is on.
    """

    target: int | None = None
    template: str | None = None
    sizes: tuple[tuple[str, str], ...] | None = None
    scaling: bool | None = None

    def merged(self, newer: "Basis") -> "Basis":
        """Return this basis updated with what the newer one knows."""
        return Basis(
            self.target if newer.target is None else newer.target,
            self.template if newer.template is None else newer.template,
            self.sizes if newer.sizes is None else newer.sizes,
            self.scaling if newer.scaling is None else newer.scaling,
        )

    def changed(self, now: "Basis") -> str:
        """Describe external changes since; "" if nothing known to both differs."""
        changes = []
        if None not in (self.target, now.target) and self.target != now.target:
            changes.append(f"the pool's number from {self.target} to {now.target}")
        if None not in (self.template, now.template) and self.template != now.template:
            changes.append("the pool's template")
        if None not in (self.scaling, now.scaling) and self.scaling != now.scaling:
            state = "resumed" if now.scaling else "paused"
            changes.append(f"the autoscaler was {state}")
        if self.sizes is not None and now.sizes is not None and self.sizes != now.sizes:
            before = dict(self.sizes)
            changes += [
                f"{name} to {size or 'another size'}"
                for name, size in now.sizes
                if before.get(name) != size
            ]
        return ", ".join(changes)


NOTHING_KNOWN = Basis()


@dataclass(frozen=True)
class SecretsState:
    """What may be known of `secrets.env`, never its values.

    `lock_age`: seconds since another writer locked it in the bucket; None: it is not locked.
    `lock` identifies that lock. `version`: of OpenVidu, which new media nodes install; "": none.
    """

    digest: str
    lock_age: float | None = None
    lock: str = ""
    staged: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Cluster:
    """The result of one look.

    `known`: the facts that were looked at; what was not seen is `Unobserved`, never zero or empty.
    """

    name: str
    stack: str
    seen_at: float = 0.0
    region: str = ""
    known: frozenset[Fact] = frozenset()
    # Facts that were requested and not seen, and why.
    unseen: tuple[tuple[Fact, str], ...] = ()
    masters: tuple[Droplet, ...] = ()
    media: tuple[MediaNode, ...] = ()
    pool: Pool | None = None
    kind: FleetKind = FleetKind.POOL
    deployment: Deployment = Deployment.HIGH_AVAILABILITY
    autoscaler: Autoscaler | None = None
    # The autoscaler's minimum of media nodes by the settings; it does not show it itself.
    autoscaler_minimum: int | None = None
    load: Observed[Load] = NOT_OBSERVED
    front: Observed[bool] = NOT_OBSERVED
    # A public address is configured.
    has_front: bool = False
    # Why nothing may be changed here.
    problem: str = ""
    # Media nodes before the last shutdown: their number; and which, if they are only powered off.
    nodes_before_shutdown: int | None = None
    node_ids_before_shutdown: tuple[int, ...] = ()
    # Nodes on which people stopped OpenVidu: they are no failures.
    stopped: tuple[StoppedNode, ...] = ()
    # Its fleet when last seen.
    last_seen: KnownFleet | None = None
    # The texts of its off-hours windows; and by name, how often each was written.
    windows: tuple[str, ...] = ()
    window_versions: tuple[tuple[str, int], ...] = ()
    # Closings of its windows: the edge, seconds until the last meeting had ended, and False where
    # it went on for longer.
    past_closings: tuple[tuple[str, float, bool], ...] = ()
    # The time zone of its users.
    zone: str = "UTC"
    # DigitalOcean has refused 0 for this pool.
    zero_refused: bool = False
    # ask, keep_one
    zero_policy: str = "ask"
    drain_method: str = "signal"
    # Media nodes that stay in service through drains, until a closing is final.
    min_serving: int = 1
    # Of one pool member, per hour; None: unknown.
    media_price: Decimal | None = None
    droplet_limit: int | None = None
    droplets_in_account: int | None = None
    # Empty: not looked at, or the token may not read them.
    sizes: tuple[Size, ...] = ()
    # Of the masters; None: not looked at, or the token may not read them.
    snapshots: tuple[Snapshot, ...] | None = None
    # Labels of backups that have a copy of secrets.env; None: not looked at, or no answer.
    secrets_copies: tuple[str, ...] | None = None
    secrets: SecretsState | None = None
    lint: SecretsFindings | SecretsUnread = field(default_factory=SecretsUnread)
    # By master: its configuration files and what runs there; empty: not looked at.
    configuration: tuple[tuple[int, Observed[NodeConfiguration]], ...] = ()
    # A bucket is configured: secrets.env can be read and copied.
    has_bucket: bool = False
    # Its name and the address of its service; "": none is configured.
    bucket: str = ""
    bucket_endpoint: str = ""
    keep_backups: int = 3
    # The bot reaches its nodes by SSH.
    has_shell: bool = True
    # What drills have created and is there now; None: not looked at.
    drill: DrillSeen | None = None
    # Droplets of drills: each look shows them, as they cost money.
    drill_droplets: tuple[DrillDroplet, ...] = ()
    # What is kept of its backups: counts, proofs, protection.
    backup_notes: BackupNotes = NO_NOTES
    # What it may pay for without use; None: not looked at. What is kept of that.
    leftovers: LeftoversSeen | None = None
    waste_notes: WasteNotes = NO_WASTE
    # People that a media node is meant for, by the settings; None: not set.
    people_per_node: int | None = None
    # The standing permission to scale by the forecast.
    scaling: ScalingPermission | None = None
    timings: Timings = field(default_factory=Timings)
    # What its account does where DigitalOcean's documents leave it open.
    account: AccountFacts = NO_FACTS
    # The messages to people in meetings; None: there are none.
    messages: MeetingMessages | None = None

    def missing_facts_reason(self, needs: frozenset[Fact]) -> str:
        """Return why requested facts among these were not seen; "" if all of them were."""
        return "; ".join(dict.fromkeys(why for fact, why in self.unseen if fact in needs))

    def master(self, name: str) -> Droplet:
        """Return the master of that name; KeyError if there is none."""
        for droplet in self.masters:
            if droplet.name == name:
                return droplet
        raise KeyError(name)

    def size(self, slug: str) -> Size | None:
        """Return a size; None if DigitalOcean does not list it, as for legacy sizes."""
        return next((s for s in self.sizes if s.slug == slug), None)

    def stopped_by_request(self, droplet_id: int) -> StoppedNode | None:
        """Return who stopped OpenVidu on that node; None where no one did."""
        return next((s for s in self.stopped if s.id == droplet_id), None)

    def node(self, droplet_id: int) -> Droplet | None:
        """Return the droplet of that id, a master's or a media node's."""
        droplets = (*self.masters, *(n.droplet for n in self.media))
        return next((d for d in droplets if d.id == droplet_id), None)

    def configuration_of(self, name: str) -> Observed[NodeConfiguration]:
        """Return the configuration of the master of that name, or why it was not seen."""
        ids = {m.id for m in self.masters if m.name == name}
        return next((seen for id_, seen in self.configuration if id_ in ids), NOT_OBSERVED)

    @property
    def members(self) -> tuple[MediaNode, ...]:
        """Return the pool members that are not being removed, oldest first."""
        staying = [n for n in self.media if n.member_status not in (None, "deleting")]
        return tuple(sorted(staying, key=lambda n: (n.droplet.created_at, n.droplet.id)))

    @property
    def separate_media(self) -> tuple[MediaNode, ...]:
        """Return the media nodes with a droplet of their own: none on a Single Node."""
        ids = {m.id for m in self.masters}
        return tuple(n for n in self.media if n.id not in ids)

    @property
    def serving(self) -> tuple[MediaNode, ...]:
        return tuple(n for n in self.media if n.serving)

    @property
    def idle(self) -> bool:
        """Return whether it is proved to be empty; False also if LiveKit did not answer."""
        return isinstance(self.load, Load) and self.load.idle

    @property
    def contradiction(self) -> str:
        """Return where two sources contradict each other; "" if they agree, or one is missing.

        On a node: Docker, LiveKit's port and the metrics; for the cluster: LiveKit's API and the
        nodes.
        """
        for node in self.media:
            if node.contradiction:
                return f"{short_name(node.name, self.stack)}: {node.contradiction}"
        people = self.load.people if isinstance(self.load, Load) else 0
        if people and self.media and all(n.drained for n in self.media):
            return (
                f"LiveKit counts {people} people that no node reports: "
                "no media node runs a media server"
            )
        return ""

    @property
    def is_up(self) -> bool:
        """Return whether every master is on."""
        return bool(self.masters) and all(m.active for m in self.masters)

    @property
    def is_down(self) -> bool:
        return bool(self.masters) and all(m.off for m in self.masters)

    @property
    def basis(self) -> Basis:
        """Return what an executor compares before it writes, to notice external changes."""
        sizes = None
        if Fact.DROPLETS in self.known:
            sizes = tuple((m.name, m.size) for m in self.masters)
        return Basis(
            target=self.pool.target if self.pool else None,
            template=self.pool.template if self.pool else None,
            scaling=self.autoscaler.enabled if self.autoscaler else None,
            sizes=sizes,
        )

    @property
    def fingerprint(self) -> str:
        """Return a digest of what an approval rests on: the resources, not the current load."""
        pool = None
        if self.pool is not None:
            pool = [self.pool.id, self.pool.target, self.pool.template, self.pool.size]
        basis = {
            "stack": self.stack,
            "masters": [(m.id, m.name, m.size) for m in self.masters],
            "media": sorted(n.id for n in self.media if n.member_status != "deleting"),
            "secrets": self.secrets.digest if self.secrets else None,
            "pool": pool,
        }
        if self.autoscaler is not None:
            # The autoscaler may change its nodes at any minute; what counts is which one it is.
            basis |= {"media": [], "autoscaler": self.autoscaler.namespace}
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()

    def with_media(self, change: "dict[int, MediaNode]") -> "Cluster":
        """Return the cluster with some media nodes replaced, by id."""
        droplets = {n.id: n.droplet for n in change.values()}
        masters = tuple(_as_host(m, droplets.get(m.id)) for m in self.masters)
        return replace(self, media=tuple(change.get(n.id, n) for n in self.media), masters=masters)

    def with_masters(self, change: "dict[str, Droplet]") -> "Cluster":
        """Return the cluster with some masters replaced, by name."""
        masters = {m.id: m for m in change.values()}
        media = tuple(_on_host(n, masters.get(n.id)) for n in self.media)
        return replace(
            self, masters=tuple(change.get(m.name, m) for m in self.masters), media=media
        )


def _as_host(master: Droplet, droplet: Droplet | None) -> Droplet:
    """Return a master whose droplet changed as the media node that it is too."""
    if droplet is None:
        return master
    healthy = master.healthy if droplet.status == "active" else False
    return replace(droplet, healthy=healthy, start=master.start)


def _on_host(node: MediaNode, droplet: Droplet | None) -> MediaNode:
    """Return a media node whose droplet changed as the master that it is too."""
    if droplet is None:
        return node
    look = node.look if droplet.status == node.droplet.status else NOT_OBSERVED
    return replace(node, droplet=droplet, look=look)


# Of a deployment with one droplet besides media nodes: what follows the stack, and its short name.
ONLY_DROPLETS = {"master-node": "master", "vm-ce": "node", "vm-ce-pro": "node"}


def only_name(name: str) -> str:
    """Return `master` or `node` for the only master of a deployment; "" for any other droplet."""
    for ending, short in ONLY_DROPLETS.items():
        if name.endswith(f"-{ending}"):
            return short
    return ""


@lru_cache(maxsize=4096)
def short_name(name: str, stack: str) -> str:
    """Return a droplet's name without the stack: `master-2`, `media-3`.

    The only master of Elastic is `master`, the only droplet of Single Node is `node`.
    """
    trimmed = name.removeprefix(f"{stack}-")
    if trimmed in ONLY_DROPLETS and trimmed != name:
        return ONLY_DROPLETS[trimmed]
    trimmed = re.sub(r"^(master|media)-node-(?=\d+$)", r"\1-", trimmed)
    trimmed = re.sub(r"^media-\d{10,}-(?=\d{4}$)", "media-", trimmed)
    return re.sub(r"^media-node-pool-(?:[0-9a-f-]{8,}-)?0*(\d+)$", r"media-\1", trimmed)
