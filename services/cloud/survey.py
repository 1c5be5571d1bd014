"""What DigitalOcean shows of one cluster: its masters, what keeps its media nodes, prices and snapshots.

Nothing here reads an absent answer as an answer. A part that was not seen ends the look, or is named in `unseen` where the asker
tolerates that.
"""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

from services.cloud.confirm import Confirmed
from services.cloud.listings import Account
from services.cloud.parse import DropletEntry, Listed, Member, Namespace, PoolEntry
from services.cloud.pool_members import Members
from services.cluster.backups import made_by_bot
from services.cluster.fleet_kind import Evidence, ResourceNames, detect_fleet
from services.cluster.model import (
    Autoscaler,
    Droplet,
    Fact,
    FleetKind,
    MediaNode,
    Pool,
    Size,
    Snapshot,
)
from services.common.clock import Clock
from services.common.errors import BotError, NotFound, Rejected, Unconfirmed, Unreachable

DAY = 86400.0
MINUTE = 60.0  # a size that one odd list left out is not missing for long
SELDOM = 300.0  # what a cluster with a pool is asked about functions: only whether there is one too
KEPT_BY = {
    FleetKind.POOL: "an autoscale pool",
    FleetKind.FIXED: "droplets that Terraform numbers",
    FleetKind.AUTOSCALER: "an autoscaler",
    FleetKind.NONE: "nothing that can be seen",
}


@dataclass(frozen=True)
class Surveyed:
    """What one look at DigitalOcean learned of a cluster; the fields are those of `Cluster`."""

    masters: tuple[Droplet, ...]
    media: tuple[MediaNode, ...]
    pool: Pool | None
    kind: FleetKind
    autoscaler: Autoscaler | None
    problem: str
    media_price: Decimal | None
    droplet_limit: int | None
    droplets_in_account: int
    sizes: tuple[Size, ...]
    snapshots: tuple[Snapshot, ...] | None
    unseen: tuple[tuple[Fact, str], ...]


@dataclass(frozen=True)
class _Fleet:
    """What keeps the media nodes, and why nothing may be changed because of it."""

    kind: FleetKind = FleetKind.UNKNOWN
    problem: str = ""
    pool: Pool | None = None
    members: tuple[Member, ...] = ()
    autoscaler: Autoscaler | None = None


class _Unseen:
    """The facts that were asked for and not seen, and why. One that is not tolerated ends the look."""

    def __init__(self, tolerates: frozenset[Fact]) -> None:
        self._tolerates = tolerates
        self.found: list[tuple[Fact, str]] = []

    def needs(self, fact: Fact, why: BotError) -> None:
        if fact not in self._tolerates:
            raise why
        self.notes(fact, why)

    def notes(self, fact: Fact, why: BotError) -> None:
        self.found.append((fact, str(why)))

    def problem(self, stack: str) -> str:
        """Why nothing may be changed on the grounds of such a look; "" when everything that a change rests on was seen."""
        why = dict(reversed(self.found))
        if Fact.DROPLETS in why:
            return f"not all droplets of {stack} were seen ({why[Fact.DROPLETS]})"
        return f"what keeps the media nodes of {stack} was not seen" if Fact.POOL in why else ""


class Survey:
    """Looks at one cluster through its account."""

    def __init__(self, names: ResourceNames, account: Account, clock: Clock) -> None:
        self._names = names
        self._account = account
        self._clock = clock
        self._members = Members(clock)
        self._kept_by = Confirmed(clock, f"what keeps the media nodes of {names.stack}")

    async def look(
        self, needs: frozenset[Fact], fresh: float, since: float, tolerates: frozenset[Fact]
    ) -> Surveyed:
        """Look now; nothing older than `fresh` will do, nor members from before `since`.

        Raises why a fact among `needs` was not seen, but for those that the asker `tolerates`.
        """
        unseen = _Unseen(tolerates)
        droplets, pools = await asyncio.gather(
            self._account.droplets.since(fresh), self._pools(needs, fresh)
        )
        masters = self._masters(droplets.entries)
        try:
            fleet = (
                await self._fleet(droplets.entries, pools, fresh, since)
                if Fact.POOL in needs
                else _Fleet()
            )
        except (Unreachable, Rejected) as why:
            unseen.needs(Fact.POOL, why)
            fleet = _Fleet()
        self._check_all_were_read(droplets, fleet.members, unseen)
        problem = (
            unseen.problem(self._names.stack)
            or self._problem(masters)
            or fleet.problem
            or self._blind(droplets.entries)
        )
        if not problem:
            fleet = self._settled(fleet, unseen)
        price = await self._price(fleet, droplets.entries)
        limit, sizes, snapshots = await asyncio.gather(
            self._limit(needs, fresh),
            self._sizes(needs, unseen),
            self._snapshots(masters, needs, fresh, unseen),
        )
        return Surveyed(
            masters=masters,
            media=self._media(droplets.entries, fleet, price),
            pool=fleet.pool,
            kind=fleet.kind,
            autoscaler=fleet.autoscaler,
            problem=problem or unseen.problem(self._names.stack),
            media_price=price,
            droplet_limit=limit,
            droplets_in_account=len(droplets),
            sizes=sizes,
            snapshots=snapshots,
            unseen=tuple(unseen.found),
        )

    # Masters

    def _masters(self, droplets: tuple[DropletEntry, ...]) -> tuple[Droplet, ...]:
        mine = (d.droplet for d in droplets if self._names.is_master(d.droplet.name))
        return tuple(sorted(mine, key=lambda m: m.name))

    def _problem(self, masters: tuple[Droplet, ...]) -> str:
        stack = self._names.stack
        if not masters:
            return f"no droplet of a stack named {stack} is visible to this token"
        if len(masters) != 4:
            return f"{stack} has {len(masters)} masters ({', '.join(m.name for m in masters)}); exactly four are needed"
        return ""

    def _blind(self, droplets: tuple[DropletEntry, ...]) -> str:
        """Without tags a media droplet that is no pool member would be overlooked, and masters stopped while it serves."""
        if any(d.tags for d in droplets if self._names.is_master(d.droplet.name)):
            return ""
        return "this token sees no tags (it lacks tag:read): a media droplet could be overlooked"

    def _check_all_were_read(
        self, droplets: Listed[DropletEntry], members: tuple[Member, ...], unseen: _Unseen
    ) -> None:
        """An entry that cannot be read, and may be of this cluster, was not seen. Those of others are theirs."""
        ids = {m.droplet for m in members}
        for entry in droplets.unread:
            if entry.droplet in ids or self._names.may_own(entry.name, entry.tags):
                unseen.needs(Fact.DROPLETS, entry.why)

    # What keeps the media nodes

    async def _pools(self, needs: frozenset[Fact], fresh: float) -> Listed[PoolEntry] | BotError:
        if Fact.POOL not in needs:
            return Listed()
        try:
            return await self._account.pools.since(fresh)
        except (Unreachable, Rejected) as why:
            return why

    async def _fleet(
        self,
        droplets: tuple[DropletEntry, ...],
        pools: Listed[PoolEntry] | BotError,
        fresh: float,
        since: float,
    ) -> _Fleet:
        if isinstance(pools, BotError):
            raise pools
        mine = self._mine(pools)
        pool, members = await self._pool(mine, droplets, since) if len(mine) == 1 else (None, ())
        kind, strange, autoscaler = await self._kind(droplets, mine, fresh)
        return _Fleet(kind, strange or self._strange(mine), pool, members, autoscaler)

    def _settled(self, fleet: _Fleet, unseen: _Unseen) -> _Fleet:
        """The fleet, when it is of the kind that it was before; another kind was not seen until it is confirmed."""
        if fleet.kind not in KEPT_BY:
            return fleet
        try:
            self._kept_by.see(KEPT_BY[fleet.kind])
        except Unconfirmed as why:
            unseen.needs(Fact.POOL, why)
            return _Fleet()
        return fleet

    def _mine(self, pools: Listed[PoolEntry]) -> list[PoolEntry]:
        for entry in pools.unread:
            if entry.name in (None, self._names.pool):
                raise entry.why
        return [p for p in pools.entries if p.name == self._names.pool]

    def _strange(self, mine: list[PoolEntry]) -> str:
        if len(mine) > 1:
            return f"{len(mine)} pools are named {self._names.pool}; the bot cannot tell which one is meant"
        if mine and mine[0].pool is None:
            return (
                f"the pool {self._names.pool} is not of fixed size; the bot only edits fixed pools"
            )
        return ""

    async def _pool(
        self, mine: list[PoolEntry], droplets: tuple[DropletEntry, ...], since: float
    ) -> tuple[Pool | None, tuple[Member, ...]]:
        (entry,) = mine
        if entry.pool is None:
            return None, ()
        nodes = [d.droplet for d in droplets if self._names.is_media(d.droplet.name, d.tags)]
        here = frozenset(d.droplet.id for d in droplets)
        listed = self._members.now(
            entry, nodes, here, since, self._account.patience(), self._account.members
        )
        members, trouble = await asyncio.gather(listed, self._trouble(entry, entry.pool.target))
        return replace(entry.pool, trouble=trouble), members

    async def _trouble(self, entry: PoolEntry, target: int) -> str:
        """Why the pool holds fewer droplets than it should, asked for only then."""
        if entry.count >= target:
            return ""
        try:
            failure = await self._account.failure(entry.id)
        except BotError as why:
            return f"whether DigitalOcean has a reason for it is not known ({why})"
        return f"DigitalOcean says: {failure}" if failure else ""

    async def _kind(
        self, droplets: tuple[DropletEntry, ...], mine: list[PoolEntry], fresh: float
    ) -> tuple[FleetKind, str, Autoscaler | None]:
        """What keeps the media nodes, why nothing may be changed because of it, and the autoscaler if it is one."""
        names = self._names
        here, is_readable = await self._namespace(seldom=bool(mine), fresh=fresh)
        fixed = len([d for d in droplets if names.is_fixed(d.droplet.name)])
        autoscaled = len([d for d in droplets if names.is_autoscaled(d.droplet.name)])
        nothing = not (mine or here or fixed or autoscaled)
        tag = await self._tag_is_there() if nothing else None
        kind, problem = detect_fleet(
            names, Evidence(len(mine), bool(here) if is_readable else None, fixed, autoscaled, tag)
        )
        return kind, problem, await self._autoscaler(here) if kind is FleetKind.AUTOSCALER else None

    async def _namespace(self, *, seldom: bool, fresh: float) -> tuple[str, bool]:
        """The id of the stack's namespace, "" if there is none, and whether that is known."""
        try:
            listed = await self._account.namespaces.since(fresh - SELDOM if seldom else fresh)
            return ("", False) if listed is None else (self._labelled(listed), True)
        except BotError:
            if seldom:
                return "", False
            raise

    def _labelled(self, listed: Listed[Namespace]) -> str:
        for entry in listed.unread:
            if entry.name in (None, self._names.namespace):
                raise entry.why
        return next((n.id for n in listed.entries if n.label == self._names.namespace), "")

    async def _tag_is_there(self) -> bool:
        try:
            await self._account.tag(self._names.draining_tag)
        except Rejected:
            return False
        return True

    async def _autoscaler(self, namespace: str) -> Autoscaler:
        try:
            trigger = await self._account.trigger(namespace, self._names.trigger)
        except NotFound:
            return Autoscaler(namespace)
        return Autoscaler(
            namespace, self._names.trigger, trigger.enabled, trigger.last_run, trigger.next_run
        )

    # Media nodes

    def _media(
        self, droplets: tuple[DropletEntry, ...], fleet: _Fleet, price: Decimal | None
    ) -> tuple[MediaNode, ...]:
        status = {m.droplet: m.status for m in fleet.members}
        seen = [
            d
            for d in droplets
            if d.droplet.id in status or self._names.is_media(d.droplet.name, d.tags)
        ]
        found = [
            MediaNode(
                d.droplet,
                status.get(d.droplet.id) or self._standing(d, fleet.kind),
                counted=self._names.media_tag in d.tags,
            )
            for d in seen
        ]
        here = {n.id for n in found}
        # A member whose droplet is not in the listing yet, or no more, still counts as there.
        ghosts = [
            MediaNode(self._unlisted(m, price), m.status)
            for m in fleet.members
            if m.droplet not in here
        ]
        return tuple(sorted((*found, *ghosts), key=lambda n: (n.droplet.created_at, n.id)))

    def _unlisted(self, member: Member, price: Decimal | None) -> Droplet:
        name = f"{self._names.stack}-media-{member.droplet}"
        return Droplet(member.droplet, name, "new", hourly=price, created_at=member.created_at)

    def _standing(self, entry: DropletEntry, kind: FleetKind) -> str | None:
        """Where no pool says it: what Terraform or the autoscaler named is theirs, and the tag sends away those of the second only."""
        names, name = self._names, entry.droplet.name
        if kind is FleetKind.AUTOSCALER and names.is_autoscaled(name):
            return "deleting" if names.draining_tag in entry.tags else "active"
        return "active" if kind is FleetKind.FIXED and names.is_fixed(name) else None

    # Prices, sizes, snapshots, the account

    async def _price(self, fleet: _Fleet, droplets: tuple[DropletEntry, ...]) -> Decimal | None:
        """Of one media node, per hour: from one that is there, else from the price list (legacy sizes are not on it)."""
        pool, members = fleet.pool, {m.droplet for m in fleet.members}
        media = [
            d.droplet
            for d in droplets
            if d.droplet.id in members or self._names.is_media(d.droplet.name, d.tags)
        ]
        known = [
            d.hourly
            for d in media
            if d.hourly is not None and (pool is None or d.size == pool.size)
        ]
        if known or pool is None:
            return max(known, default=None)
        try:
            sizes = await self._account.sizes.since(self._clock.now() - DAY)
        except BotError:
            return None
        return next((s.hourly for s in sizes.entries if s.slug == pool.size), None)

    async def _limit(self, needs: frozenset[Fact], fresh: float) -> int | None:
        if Fact.LOAD not in needs:
            return None
        try:
            return await self._account.limit.since(fresh - 3600)
        except BotError:
            return None

    async def _sizes(self, needs: frozenset[Fact], unseen: _Unseen) -> tuple[Size, ...]:
        if Fact.SIZES not in needs:
            return ()
        try:
            listed = await self._account.sizes.since(self._clock.now() - MINUTE)
        except BotError as why:
            unseen.notes(Fact.SIZES, why)
            return ()
        for entry in listed.unread:
            unseen.notes(Fact.SIZES, entry.why)
        return listed.entries

    async def _snapshots(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact], fresh: float, unseen: _Unseen
    ) -> tuple[Snapshot, ...] | None:
        """Those of the masters; None when they are unknown, which is never none: a token without snapshot:read sees nothing."""
        if Fact.SNAPSHOTS not in needs:
            return None
        ids = {m.id for m in masters}
        try:
            listed = await self._account.snapshots.since(fresh)
        except Rejected as why:
            unseen.notes(Fact.SNAPSHOTS, why)
            return None
        except Unreachable as why:
            unseen.needs(Fact.SNAPSHOTS, why)
            return None
        for entry in listed.unread:
            if (
                entry.name is None
                or entry.droplet is None
                or self._is_about(ids, entry.droplet, entry.name)
            ):
                unseen.needs(Fact.SNAPSHOTS, entry.why)
                return None
        return tuple(s for s in listed.entries if self._is_about(ids, s.droplet, s.name))

    def _is_about(self, masters: set[int], droplet: int, name: str) -> bool:
        # Those of a master that has gone are known by their names.
        return droplet in masters or made_by_bot(self._names.stack, name)
