"""One cluster as the bot sees it: `observe` is the one way in, and `writer` the one way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import override

from services.cloud.account_events import AccountEvents, read_account_events
from services.cloud.clients.http import HttpClient
from services.cloud.clients.livekit import LivekitLoad
from services.cloud.drills import DrillSurvey
from services.cloud.fleet_survey import Age
from services.cloud.health import HealthPages, health_page
from services.cloud.leftovers import LeftoverSurvey
from services.cloud.listings import SharedAccount
from services.cloud.node_access import NodeAccess, Shell
from services.cloud.node_secrets import SecretsOnNode
from services.cloud.port import ClusterGateway, WriteFence
from services.cloud.secrets_bucket import ObjectStore, SecretsBucket
from services.cloud.survey import Survey, Surveyed
from services.cloud.writer import ClusterWriter
from services.cluster.account_facts import NO_FACTS, AccountFacts
from services.cluster.configuration import NodeConfiguration
from services.cluster.deployment import CONTROL_PLANES, ControlPlane, control_plane_of
from services.cluster.fleet_kind import ResourceNames
from services.cluster.installation import Installation
from services.cluster.meeting_messages import MeetingMessages, Room
from services.cluster.model import (
    Cluster,
    Droplet,
    Fact,
    FleetKind,
    Load,
    MediaNode,
    NodeStatus,
    SecretsState,
    Timings,
    short_name,
)
from services.cluster.node_condition import NodeCondition, with_names, without_peers
from services.common import eager
from services.common.clock import Clock
from services.common.errors import BotError, Unreachable
from services.common.observed import NOT_OBSERVED, Observed, UnknownSince, Unobserved
from services.common.values import replace
from services.config_files import ConfigFile, ConfigText
from services.secrets_env import SecretsFindings, SecretsLayout, SecretsUnread
from services.steps import WriteOperations

# Where the vendor's masters show their health, unless the settings name another page.
HEALTH_URL = "http://{address}:7880/health/caddy"


class MeetingSource(Protocol):
    """Knows the meetings of a cluster."""

    async def load(self) -> LivekitLoad:
        """Return the counts of meetings, people and recordings."""
        ...

    async def rooms(self) -> tuple[Room, ...]:
        """Return the rooms with people in them."""
        ...

    async def send_data(self, room: Room, topic: str, data: bytes) -> None:
        """Send data to everyone in a room."""


@dataclass(frozen=True)
class ClusterConfig:
    """What the settings say about one cluster, as values of the composition root."""

    name: str
    stack: str
    region: str = ""
    health_url: str = HEALTH_URL
    public_url: str = ""
    private_addresses: bool = False
    zero_policy: str = "ask"
    drain_method: str = "signal"
    min_serving: int = 1
    keep_backups: int = 3
    people_per_node: int | None = None
    bucket: str = ""
    bucket_endpoint: str = ""
    zone: str = "UTC"
    declared: int | None = None
    timings: Timings = field(default_factory=Timings)
    account: AccountFacts = NO_FACTS
    messages: MeetingMessages | None = None


class ClusterWorld(ClusterGateway):
    """One cluster at DigitalOcean, through the clients.

    `shell`, `people` and `bucket` may be absent.
    """

    def __init__(
        self,
        place: ClusterConfig,
        account: SharedAccount,
        shell: Shell | None,
        http: HttpClient,
        people: MeetingSource | None,
        clock: Clock,
        bucket: ObjectStore | None = None,
    ) -> None:
        self.config = place
        self.account = account
        self.secrets_bucket: SecretsBucket | None = None
        self._people = people
        self._clock = clock
        self._survey = Survey(ResourceNames(place.stack), account, clock)
        self._nodes = NodeAccess(shell, clock)
        self._drills = DrillSurvey(place.stack, account, self._nodes)
        self._leftovers = LeftoverSurvey(place.stack, account.api)
        # As last seen: the deployment, and its masters.
        self._seen: tuple[ControlPlane, tuple[Droplet, ...]] | None = None
        if bucket is not None:
            objects = SecretsOnNode(bucket, self._nodes, self._secrets_host)
            self.secrets_bucket = SecretsBucket(objects, clock, self._layout)
        self._pages = HealthPages(http, clock)
        self._silences = UnknownSince()

    async def aclose(self) -> None:
        """Stop the bucket's threads."""
        if self.secrets_bucket is not None:
            await self.secrets_bucket.aclose()

    @override
    def poll_interval(self, interval: float) -> float:
        return self.account.poll_interval(interval, self.config.name)

    @override
    async def rooms(self) -> tuple[Room, ...]:
        return await self._livekit().rooms()

    @override
    async def send_data(self, room: Room, topic: str, data: bytes) -> None:
        await self._livekit().send_data(room, topic, data)

    def _livekit(self) -> MeetingSource:
        if self._people is None:
            raise Unreachable("LiveKit is not configured here", sent=False)
        return self._people

    @override
    async def inspect(self, droplet_id: int) -> str:
        return await self._nodes.inspect(droplet_id)

    @override
    async def conditions(self, cluster: Cluster, only: int = 0) -> tuple[NodeCondition, ...]:
        masters = {m.id for m in cluster.masters}
        droplets = {d.id: d for d in (*cluster.masters, *(n.droplet for n in cluster.media))}
        reports = await self._nodes.conditions(
            (d, short_name(d.name, cluster.stack), d.id in masters)
            for d in droplets.values()
            if only in (0, d.id)
        )
        if not control_plane_of(cluster).can_roll:
            # One master: nothing is replicated, and no load balancer is in front.
            return tuple(without_peers(report) for report in reports)
        # The databases know each other by address.
        names = {m.private_address: short_name(m.name, cluster.stack) for m in cluster.masters}
        return tuple(with_names(report, names) for report in reports)

    @override
    async def logs(self, droplet_id: int, service: str, seconds: int) -> str:
        return await self._nodes.logs(droplet_id, service, seconds)

    @override
    async def account_events(
        self, droplets: Mapping[int, str], pool_id: str, begins: float, ends: float
    ) -> AccountEvents:
        return await read_account_events(self.account, droplets, pool_id, begins, ends)

    @override
    async def config_file(self, droplet_id: int, file: ConfigFile) -> ConfigText:
        return await self._nodes.config_file(droplet_id, file)

    @override
    def writer(self, cluster: Cluster, fence: WriteFence, since: float | None) -> WriteOperations:
        method = self.config.drain_method
        return ClusterWriter(
            cluster, self.account, self._nodes, self.secrets_bucket, method, fence, since
        )

    @override
    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = frozenset(),
        aged: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        """Look at the cluster now.

        `since`: nothing older than that moment is accepted (a look after a request). Unreachable
        when a needed fact is not seen. Of the facts that DigitalOcean shows, those in `tolerates`
        may be missing: `Cluster.unseen` names them, with the reason. Those in `aged` may be minutes
        old (`Age`), also from before `since`.
        """
        now = self._clock.now()
        age = Age(now, self.account.sharing_window(), since, aged, self.account.records_window())
        seen = await self._survey.look(needs, age, tolerates)
        self._note(seen)
        masters, media = seen.masters, seen.media
        droplets = (*masters, *(node.droplet for node in media))
        drills = self._drills.droplets(seen.drills)
        addresses = {droplet.id: self._address(droplet) for droplet in droplets}
        # A drill's network is its own: its droplet is reached by its public address alone.
        self._nodes.note_addresses(addresses | {d.id: d.address for d in drills})
        healthy, looks, load, front = await eager.gather(
            self._health(seen, needs),
            self._looks(media, needs, since),
            self._load(needs),
            self._front(needs),
        )
        starts, units, installed, configuration = await eager.gather(
            self._starts(masters, needs),
            self._units(droplets, needs),
            self._installations(droplets, needs),
            self._configuration(masters, needs),
        )
        leftovers = None
        if Fact.LEFTOVERS in needs:
            leftovers = await self._leftovers.look(masters, media, seen.kind, seen.problem)
        return Cluster(
            name=self.config.name,
            stack=self.config.stack,
            seen_at=now,
            region=self.config.region or _region(masters),
            known=needs - {fact for fact, _ in seen.unseen},
            unseen=seen.unseen,
            masters=tuple(
                replace(
                    master,
                    healthy=healthy.get(master.id, NOT_OBSERVED),
                    start=starts.get(master.id, NOT_OBSERVED),
                    unit=units.get(master.id, NOT_OBSERVED),
                    installation=installed.get(master.id, NOT_OBSERVED),
                )
                for master in masters
            ),
            media=tuple(
                replace(
                    node,
                    look=looks.get(node.id, NOT_OBSERVED),
                    droplet=_with_installation(_with_unit(node.droplet, units), installed),
                )
                for node in media
            ),
            pool=seen.pool,
            kind=seen.kind,
            deployment=seen.deployment,
            autoscaler=seen.autoscaler,
            autoscaler_minimum=self.config.declared,
            load=load,
            front=front,
            has_front=bool(self.config.public_url),
            problem=seen.problem,
            zero_policy=self.config.zero_policy,
            drain_method=self.config.drain_method,
            min_serving=self.config.min_serving,
            media_price=seen.media_price,
            droplet_limit=seen.droplet_limit,
            droplets_in_account=seen.droplets_in_account,
            sizes=seen.sizes,
            snapshots=seen.snapshots,
            secrets_copies=await self._copies(needs),
            secrets=await self._secrets(needs),
            lint=await self._lint(needs, seen.kind),
            configuration=configuration,
            has_bucket=self.secrets_bucket is not None,
            bucket=self.config.bucket,
            bucket_endpoint=self.config.bucket_endpoint,
            keep_backups=self.config.keep_backups,
            people_per_node=self.config.people_per_node,
            has_shell=self._nodes.is_configured,
            drill=await self._drills.look(drills) if Fact.DRILL in needs else None,
            drill_droplets=drills,
            leftovers=leftovers,
            zone=self.config.zone,
            timings=self.config.timings,
            account=self.config.account,
            messages=self.config.messages,
        )

    # The bucket

    def _note(self, seen: Surveyed) -> None:
        plane = CONTROL_PLANES[seen.deployment]
        if plane.masters is not None and not plane.missing(len(seen.masters)):
            self._seen = plane, seen.masters

    async def _secrets_host(self) -> int | None:
        """Return the droplet on whose disk secrets.env is; None: it is in the bucket."""
        plane, masters = await self._known_plane()
        if not plane.own_secrets:
            return None
        if not masters[0].active:
            raise Unreachable("it is on the disk of the node, which is powered off", sent=False)
        return masters[0].id

    async def _layout(self) -> SecretsLayout:
        """Return what the secrets.env of this deployment should have."""
        return (await self._known_plane())[0].secrets

    async def _known_plane(self) -> tuple[ControlPlane, tuple[Droplet, ...]]:
        """Return the deployment and its masters as last seen, or as they are seen now."""
        if self._seen is None:
            # Also for who only reads the file: which one it is depends on the deployment.
            await self.observe(frozenset({Fact.DROPLETS}))
        if self._seen is None:
            raise Unreachable(
                f"where the secrets.env of {self.config.name} is, is unknown: "
                "its deployment was not seen",
                sent=False,
            )
        return self._seen

    def _keeps_secrets_from_us(self) -> bool:
        """Return whether secrets.env is on a disk that is powered off: nothing can be seen."""
        if self._seen is None:
            return False
        plane, masters = self._seen
        return plane.own_secrets and masters[0].off

    async def _copies(self, needs: frozenset[Fact]) -> tuple[str, ...] | None:
        """Return the labels of backups that hold a copy of secrets.env; None when not known."""
        if Fact.SNAPSHOTS not in needs or self.secrets_bucket is None:
            return None
        try:
            return await self.secrets_bucket.backups()
        except BotError:
            return None

    async def _secrets(self, needs: frozenset[Fact]) -> SecretsState | None:
        if Fact.SECRETS not in needs or self.secrets_bucket is None:
            return None
        return await self.secrets_bucket.observe()

    async def _lint(
        self, needs: frozenset[Fact], kind: FleetKind
    ) -> SecretsFindings | SecretsUnread:
        if Fact.LINT not in needs or self.secrets_bucket is None or self._keeps_secrets_from_us():
            return SecretsUnread()
        return await self.secrets_bucket.lint(pool=kind is FleetKind.POOL)

    # Health, meetings and nodes

    async def _health(self, seen: Surveyed, needs: frozenset[Fact]) -> dict[int, Observed[bool]]:
        masters = seen.masters
        if Fact.HEALTH not in needs:
            return {}
        if CONTROL_PLANES[seen.deployment].hides_health and self.config.health_url == HEALTH_URL:
            return await self._nodes.health_pages(masters)
        return await self._pages.of_masters({m.id: self._health_page(m) for m in masters})

    def _health_page(self, master: Droplet) -> str:
        if not master.active:
            return ""
        return health_page(self.config.health_url, master, self._address(master))

    async def _front(self, needs: frozenset[Fact]) -> Observed[bool]:
        if Fact.FRONT not in needs:
            return NOT_OBSERVED
        return await self._pages.of_front(self.config.public_url)

    async def _load(self, needs: frozenset[Fact]) -> Observed[Load]:
        if Fact.LOAD not in needs:
            return NOT_OBSERVED
        if self._people is None:
            return Unobserved("LiveKit is not configured here")
        try:
            raw = await self._people.load()
        except BotError as error:
            return self._silences.note(Fact.LOAD, str(error), self._clock.now())
        self._silences.over(Fact.LOAD)
        return Load(
            rooms=raw["rooms"],
            people=raw["participants"],
            recordings=raw["egress"],
            ingresses=raw["ingress"],
            longest=raw["longest_seconds"],
        )

    async def _looks(
        self, media: tuple[MediaNode, ...], needs: frozenset[Fact], since: float | None
    ) -> dict[int, Observed[NodeStatus]]:
        if Fact.NODES not in needs:
            return {}
        return await self._nodes.look_at_all(media, since)

    async def _starts(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[str]]:
        if Fact.SERVICES not in needs:
            return {}
        return await self._nodes.starts(masters)

    async def _units(
        self, droplets: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[str]]:
        if Fact.UNITS not in needs:
            return {}
        return await self._nodes.units(droplets)

    async def _installations(
        self, droplets: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[Installation]]:
        if Fact.VERSIONS not in needs:
            return {}
        return await self._nodes.installations(droplets)

    async def _configuration(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> tuple[tuple[int, Observed[NodeConfiguration]], ...]:
        if Fact.CONFIGURATION not in needs:
            return ()
        return await self._nodes.configurations(masters)

    def _address(self, droplet: Droplet) -> str:
        if self.config.private_addresses:
            return droplet.private_address
        return droplet.address


def _with_unit(droplet: Droplet, units: dict[int, Observed[str]]) -> Droplet:
    if droplet.id not in units:
        return droplet
    return replace(droplet, unit=units[droplet.id])


def _with_installation(droplet: Droplet, installed: dict[int, Observed[Installation]]) -> Droplet:
    if droplet.id not in installed:
        return droplet
    return replace(droplet, installation=installed[droplet.id])


def _region(masters: tuple[Droplet, ...]) -> str:
    return masters[0].region if masters else ""
