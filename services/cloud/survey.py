"""What DigitalOcean shows of one cluster: masters, media nodes, prices, snapshots.

A missing answer is never read as an answer. A part that was not seen ends the look, or is named in
`unseen` where the caller tolerates that.
"""

from dataclasses import dataclass
from decimal import Decimal

from services.cloud.confirm import Confirmed
from services.cloud.droplet_listing import DropletListing
from services.cloud.fleet_survey import Age, FleetSurvey, SurveyedFleet
from services.cloud.listings import SharedAccount
from services.cloud.parse import DropletEntry, Listed, Member, PoolEntry, limit_of
from services.cloud.unseen_facts import UnseenFacts
from services.cluster.backups import made_by_bot
from services.cluster.deployment import TITLES, detect_deployment
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import (
    Autoscaler,
    Deployment,
    Droplet,
    Fact,
    FleetKind,
    MediaNode,
    Pool,
    Size,
    Snapshot,
)
from services.common import eager
from services.common.clock import Clock
from services.common.errors import BotError, Rejected, Unconfirmed, Unreachable
from services.common.values import replace

DAY = 86400.0
HOUR = 3600.0
# How old a list of sizes may be: a size that one odd list omitted is not missing for long.
MINUTE = 60.0


@dataclass(frozen=True)
class Surveyed:
    """What one look at DigitalOcean showed of a cluster; the fields are those of `Cluster`."""

    masters: tuple[Droplet, ...]
    media: tuple[MediaNode, ...]
    pool: Pool | None
    kind: FleetKind
    deployment: Deployment
    autoscaler: Autoscaler | None
    problem: str
    media_price: Decimal | None
    droplet_limit: int | None
    droplets_in_account: int
    sizes: tuple[Size, ...]
    snapshots: tuple[Snapshot, ...] | None
    unseen: tuple[tuple[Fact, str], ...]
    # Every droplet of a restore drill, of whichever stack.
    drills: tuple[Droplet, ...] = ()


class Survey:
    """Looks at one cluster through its account."""

    def __init__(self, names: ResourceNames, account: SharedAccount, clock: Clock) -> None:
        self._names = names
        self._account = account
        self._clock = clock
        self._fleet = FleetSurvey(names, account, clock)
        self._kept_deployment = Confirmed(clock, f"the deployment of {names.stack}")

    async def look(self, needs: frozenset[Fact], age: Age, tolerates: frozenset[Fact]) -> Surveyed:
        """Look now. Nothing older than `age` allows is accepted.

        Raises why a fact among `needs` was not seen, unless it is among `tolerates`.
        """
        unseen = UnseenFacts(tolerates)
        droplets, pools = await eager.gather(
            self._account.droplets.since(age.oldest(Fact.DROPLETS)), self._fleet.pools(needs, age)
        )
        entries = droplets.of(self._names)
        masters = self._masters(entries)
        fleet = SurveyedFleet()
        if Fact.POOL in needs:
            fleet = await self._look_at_fleet(droplets, pools, age, unseen)
        self._require_all_read(droplets, fleet.members, unseen)
        deployment, masters_problem = self._deployment(masters, age, unseen)
        fleet = self._on_the_only_droplet(fleet, deployment, masters, needs)
        problem = (
            unseen.problem(self._names.stack)
            or masters_problem
            or fleet.problem
            or self._tags_problem(entries, deployment)
        )
        if not problem and Fact.POOL not in age.of:
            # An answer that is used again is not another one that agrees.
            fleet = self._confirmed(fleet, unseen)
        entries = droplets.of(self._names, (member.droplet for member in fleet.members))
        price = await self._price(fleet, entries)
        limit, sizes, snapshots = await eager.gather(
            self._limit(needs),
            self._sizes(needs, unseen),
            self._snapshots(masters, needs, age, unseen),
        )
        return Surveyed(
            masters=masters,
            media=self._media(entries, fleet, price),
            pool=fleet.pool,
            kind=fleet.kind,
            deployment=deployment,
            autoscaler=fleet.autoscaler,
            problem=problem or unseen.problem(self._names.stack),
            media_price=price,
            droplet_limit=limit,
            droplets_in_account=len(droplets),
            sizes=sizes,
            snapshots=snapshots,
            unseen=tuple(unseen.facts),
            drills=droplets.drills,
        )

    # The fleet

    async def _look_at_fleet(
        self,
        droplets: DropletListing,
        pools: Listed[PoolEntry] | BotError,
        age: Age,
        unseen: UnseenFacts,
    ) -> SurveyedFleet:
        try:
            return await self._fleet.look(droplets, pools, age)
        except (Unreachable, Rejected) as why:
            unseen.require(Fact.POOL, why)
            return SurveyedFleet()

    def _confirmed(self, fleet: SurveyedFleet, unseen: UnseenFacts) -> SurveyedFleet:
        """Return the fleet if it is of the same kind as before; another has to be confirmed."""
        try:
            self._fleet.confirm(fleet)
        except Unconfirmed as why:
            unseen.require(Fact.POOL, why)
            return SurveyedFleet()
        return fleet

    # Masters

    def _masters(self, droplets: tuple[DropletEntry, ...]) -> tuple[Droplet, ...]:
        masters = (d.droplet for d in droplets if self._names.is_master(d.droplet.name))
        return tuple(sorted(masters, key=lambda master: master.name))

    def _deployment(
        self, masters: tuple[Droplet, ...], age: Age, unseen: UnseenFacts
    ) -> tuple[Deployment, str]:
        """Return the deployment, and why nothing may be changed because of its masters.

        A deployment that differs from before has to be confirmed.
        """
        found = [master.name for master in masters]
        unread = unseen.reason(Fact.DROPLETS)
        deployment, problem = detect_deployment(self._names, found, unread=unread)
        if problem:
            return deployment, problem
        try:
            if Fact.DROPLETS not in age.of:
                # An answer that is used again is not another one that agrees.
                self._kept_deployment.see(TITLES[deployment])
        except Unconfirmed as why:
            unseen.require(Fact.DROPLETS, why)
            return Deployment.UNKNOWN, unseen.problem(self._names.stack)
        return deployment, ""

    def _on_the_only_droplet(
        self,
        fleet: SurveyedFleet,
        deployment: Deployment,
        masters: tuple[Droplet, ...],
        needs: frozenset[Fact],
    ) -> SurveyedFleet:
        """Return the fleet of a Single Node, whose one droplet is master and media node at once.

        What keeps it shows by its name, also where pools were not asked for.
        """
        if deployment is not Deployment.SINGLE_NODE:
            return fleet
        if Fact.POOL in needs and fleet.kind is not FleetKind.CO_LOCATED:
            return fleet
        members = tuple(Member(m.id, "active", m.created_at) for m in masters)
        return replace(fleet, kind=FleetKind.CO_LOCATED, members=members)

    def _tags_problem(self, droplets: tuple[DropletEntry, ...], deployment: Deployment) -> str:
        """Return the problem of a token that sees no tags.

        It would overlook a media droplet that is no pool member, and masters would be stopped while
        that is in service.
        """
        if deployment is Deployment.SINGLE_NODE:
            # Its droplet has no tags, and there are no media droplets.
            return ""
        if any(d.tags for d in droplets if self._names.is_master(d.droplet.name)):
            return ""
        return "this token sees no tags (it lacks tag:read): a media droplet could be overlooked"

    def _require_all_read(
        self, droplets: Listed[DropletEntry], members: tuple[Member, ...], unseen: UnseenFacts
    ) -> None:
        """Note unreadable droplets that may belong to this cluster; others do not matter."""
        ids = {member.droplet for member in members}
        for entry in droplets.unread:
            if entry.droplet in ids or self._names.may_own(entry.name, entry.tags):
                unseen.require(Fact.DROPLETS, entry.why)

    # Media nodes

    def _media(
        self, droplets: tuple[DropletEntry, ...], fleet: SurveyedFleet, price: Decimal | None
    ) -> tuple[MediaNode, ...]:
        status = {member.droplet: member.status for member in fleet.members}
        nodes = [
            MediaNode(
                entry.droplet,
                status.get(entry.droplet.id) or self._status_without_pool(entry, fleet.kind),
                has_media_tag=self._names.media_tag in entry.tags,
            )
            for entry in self._media_entries(droplets, fleet)
        ]
        here = {node.id for node in nodes}
        # A member whose droplet is not in the listing yet, or no longer, still counts.
        nodes += [
            MediaNode(self._unlisted(member, price), member.status)
            for member in fleet.members
            if member.droplet not in here
        ]
        return tuple(sorted(nodes, key=lambda node: (node.droplet.created_at, node.id)))

    def _media_entries(
        self, droplets: tuple[DropletEntry, ...], fleet: SurveyedFleet
    ) -> list[DropletEntry]:
        """Return the droplets that are members, or media nodes by name or tags."""
        ids = {member.droplet for member in fleet.members}
        return [
            entry
            for entry in droplets
            if entry.droplet.id in ids or self._names.is_media(entry.droplet.name, entry.tags)
        ]

    def _unlisted(self, member: Member, price: Decimal | None) -> Droplet:
        name = f"{self._names.stack}-media-{member.droplet}"
        return Droplet(member.droplet, name, "new", hourly=price, created_at=member.created_at)

    def _status_without_pool(self, entry: DropletEntry, kind: FleetKind) -> str | None:
        """Return the member status where no pool shows one; None for a droplet of another origin.

        Terraform's and the autoscaler's nodes are known by name; a tag drains only the latter.
        """
        names, name = self._names, entry.droplet.name
        if kind is FleetKind.AUTOSCALER and names.is_autoscaled(name):
            return "deleting" if names.draining_tag in entry.tags else "active"
        if kind is FleetKind.FIXED and names.is_fixed(name):
            return "active"
        return None

    # Prices, sizes, snapshots, the account

    async def _price(
        self, fleet: SurveyedFleet, droplets: tuple[DropletEntry, ...]
    ) -> Decimal | None:
        """Return the price of one media node per hour: of an existing one, else of the price list.

        Legacy sizes are not on the list.
        """
        pool = fleet.pool
        media = [entry.droplet for entry in self._media_entries(droplets, fleet)]
        if pool is not None:
            media = [droplet for droplet in media if droplet.size == pool.size]
        prices = [droplet.hourly for droplet in media if droplet.hourly is not None]
        if prices or pool is None:
            return max(prices, default=None)
        try:
            sizes = await self._account.sizes.since(self._clock.now() - DAY)
        except BotError:
            return None
        return next((size.hourly for size in sizes.entries if size.slug == pool.size), None)

    async def _limit(self, needs: frozenset[Fact]) -> int | None:
        if Fact.LOAD not in needs:
            return None
        try:
            account = await self._account.account.since(self._clock.now() - HOUR)
            return limit_of(account)
        except BotError:
            return None

    async def _sizes(self, needs: frozenset[Fact], unseen: UnseenFacts) -> tuple[Size, ...]:
        if Fact.SIZES not in needs:
            return ()
        try:
            listed = await self._account.sizes.since(self._clock.now() - MINUTE)
        except BotError as why:
            unseen.note(Fact.SIZES, why)
            return ()
        for entry in listed.unread:
            unseen.note(Fact.SIZES, entry.why)
        return listed.entries

    async def _snapshots(
        self,
        masters: tuple[Droplet, ...],
        needs: frozenset[Fact],
        age: Age,
        unseen: UnseenFacts,
    ) -> tuple[Snapshot, ...] | None:
        """Return the masters' snapshots; None when unknown (a token without snapshot:read)."""
        if Fact.SNAPSHOTS not in needs:
            return None
        ids = {master.id for master in masters}
        try:
            listed = await self._account.snapshots.since(age.oldest(Fact.SNAPSHOTS))
        except Rejected as why:
            unseen.note(Fact.SNAPSHOTS, why)
            return None
        except Unreachable as why:
            unseen.require(Fact.SNAPSHOTS, why)
            return None
        for entry in listed.unread:
            if self._may_be_of(ids, entry.droplet, entry.name):
                unseen.require(Fact.SNAPSHOTS, entry.why)
                return None
        return tuple(s for s in listed.entries if self._may_be_of(ids, s.droplet, s.name))

    def _may_be_of(self, masters: set[int], droplet: int | None, name: str | None) -> bool:
        """Whether a snapshot is of these masters, or of a deleted one, which its name shows."""
        if name is None or droplet is None:
            return True  # it could not be read
        return droplet in masters or made_by_bot(self._names.stack, name)
