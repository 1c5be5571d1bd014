"""One cluster as the bot sees it: `observe` is the one way in, and `writer` the one way out."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Protocol

from typing_extensions import override

from services.cloud.clients.http import Http
from services.cloud.clients.livekit import LivekitLoad
from services.cloud.health import HealthPages, health_page
from services.cloud.listings import Account
from services.cloud.node_access import NodeAccess, Shell
from services.cloud.port import ClusterGateway, WriteFence
from services.cloud.secrets_bucket import Objects, SecretsBucket
from services.cloud.survey import Survey
from services.cloud.writer import ClusterWriter
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import (
    Cluster,
    Droplet,
    Fact,
    FleetKind,
    Load,
    MediaNode,
    NodeLook,
    SecretsSeen,
    Timings,
)
from services.common.clock import Clock
from services.common.errors import BotError
from services.common.observed import NOT_LOOKED, NotSeen, Observed, Silences
from services.secrets_env import Linted, Unread
from services.steps import World


class People(Protocol):
    """Knows the meetings of a cluster."""

    async def load(self) -> LivekitLoad:
        """Return the counts of meetings, people and recordings."""
        ...


@dataclass(frozen=True)
class Place:
    """What the settings say about one cluster, as values of the composition root."""

    name: str
    stack: str
    region: str = ""
    health_url: str = "http://{address}:7880/health/caddy"
    public_url: str = ""
    private_addresses: bool = False
    zero_policy: str = "ask"
    drain_method: str = "signal"
    min_serving: int = 1
    keep_backups: int = 3
    zone: str = "UTC"
    declared: int | None = None
    timings: Timings = field(default_factory=Timings)


class ClusterWorld(ClusterGateway):
    """One cluster at DigitalOcean, through the clients.

    `shell`, `people` and `bucket` may be absent.
    """

    def __init__(
        self,
        place: Place,
        account: Account,
        shell: Shell | None,
        http: Http,
        people: People | None,
        clock: Clock,
        bucket: Objects | None = None,
    ) -> None:
        self.place = place
        self.account = account
        self.vault = SecretsBucket(bucket, clock) if bucket is not None else None
        self._people = people
        self._clock = clock
        self._survey = Survey(ResourceNames(place.stack), account, clock)
        self._nodes = NodeAccess(shell, clock)
        self._pages = HealthPages(http, clock)
        self._silences = Silences()

    async def aclose(self) -> None:
        """Stop the bucket's threads."""
        if self.vault is not None:
            await self.vault.aclose()

    @override
    def pace(self, interval: float) -> float:
        return self.account.pace(interval, self.place.name)

    @override
    async def inspect(self, droplet_id: int) -> str:
        return await self._nodes.inspect(droplet_id)

    @override
    def writer(self, cluster: Cluster, fence: WriteFence, since: float | None) -> World:
        method = self.place.drain_method
        return ClusterWriter(cluster, self.account, self._nodes, self.vault, method, fence, since)

    @override
    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        """Look at the cluster now.

        `since`: nothing older than that moment is accepted (a look after a request). Unreachable
        when a needed fact is not seen. Of the facts that DigitalOcean shows, those in `tolerates`
        may be missing: `Cluster.unseen` names them, with the reason.
        """
        now = self._clock.now()
        fresh = now - self.account.together()
        if since is not None:
            fresh = max(since, fresh)
        seen = await self._survey.look(needs, fresh, since or float("-inf"), tolerates)
        masters, media = seen.masters, seen.media
        droplets = (*masters, *(node.droplet for node in media))
        self._nodes.note_addresses({droplet.id: self._address(droplet) for droplet in droplets})
        healthy, looks, load, front = await asyncio.gather(
            self._health(masters, needs),
            self._looks(media, needs),
            self._load(needs),
            self._front(needs),
        )
        starts = await self._starts(masters, needs)
        return Cluster(
            name=self.place.name,
            stack=self.place.stack,
            seen_at=now,
            region=self.place.region or _region(masters),
            known=needs - {fact for fact, _ in seen.unseen},
            unseen=seen.unseen,
            masters=tuple(
                replace(
                    master,
                    healthy=healthy.get(master.id, NOT_LOOKED),
                    start=starts.get(master.id, NOT_LOOKED),
                )
                for master in masters
            ),
            media=tuple(replace(node, look=looks.get(node.id, NOT_LOOKED)) for node in media),
            pool=seen.pool,
            kind=seen.kind,
            autoscaler=seen.autoscaler,
            declared=self.place.declared,
            load=load,
            front=front,
            has_front=bool(self.place.public_url),
            problem=seen.problem,
            zero_policy=self.place.zero_policy,
            drain_method=self.place.drain_method,
            min_serving=self.place.min_serving,
            media_price=seen.media_price,
            droplet_limit=seen.droplet_limit,
            droplets_in_account=seen.droplets_in_account,
            sizes=seen.sizes,
            snapshots=seen.snapshots,
            copies=await self._copies(needs),
            secrets=await self._secrets(needs),
            lint=await self._lint(needs, seen.kind),
            has_bucket=self.vault is not None,
            keep_backups=self.place.keep_backups,
            zone=self.place.zone,
            timings=self.place.timings,
        )

    # The bucket

    async def _copies(self, needs: frozenset[Fact]) -> tuple[str, ...] | None:
        """Return the labels of backups that hold a copy of secrets.env; None when not known."""
        if Fact.SNAPSHOTS not in needs or self.vault is None:
            return None
        try:
            return await self.vault.backups()
        except BotError:
            return None

    async def _secrets(self, needs: frozenset[Fact]) -> SecretsSeen | None:
        if Fact.SECRETS not in needs or self.vault is None:
            return None
        return await self.vault.look()

    async def _lint(self, needs: frozenset[Fact], kind: FleetKind) -> Linted | Unread:
        if Fact.LINT not in needs or self.vault is None:
            return Unread()
        return await self.vault.lint(pool=kind is FleetKind.POOL)

    # Health, meetings and nodes

    async def _health(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[bool]]:
        if Fact.HEALTH not in needs:
            return {}
        return await self._pages.of_masters({m.id: self._health_page(m) for m in masters})

    def _health_page(self, master: Droplet) -> str:
        if not master.active:
            return ""
        return health_page(self.place.health_url, master, self._address(master))

    async def _front(self, needs: frozenset[Fact]) -> Observed[bool]:
        if Fact.FRONT not in needs:
            return NOT_LOOKED
        return await self._pages.of_front(self.place.public_url)

    async def _load(self, needs: frozenset[Fact]) -> Observed[Load]:
        if Fact.LOAD not in needs:
            return NOT_LOOKED
        if self._people is None:
            return NotSeen("LiveKit is not configured here")
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
        self, media: tuple[MediaNode, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[NodeLook]]:
        if Fact.NODES not in needs:
            return {}
        return await self._nodes.look_at_all(media)

    async def _starts(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[str]]:
        if Fact.SERVICES not in needs:
            return {}
        return await self._nodes.starts(masters)

    def _address(self, droplet: Droplet) -> str:
        if self.place.private_addresses:
            return droplet.private_address
        return droplet.address


def _region(masters: tuple[Droplet, ...]) -> str:
    return masters[0].region if masters else ""
