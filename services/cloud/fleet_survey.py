"""What keeps a cluster's media nodes: an autoscale pool, Terraform, or an autoscaler."""

import asyncio
from dataclasses import dataclass, replace

from services.cloud.confirm import Confirmed
from services.cloud.listings import SharedAccount
from services.cloud.parse import DropletEntry, Listed, Member, Namespace, PoolEntry
from services.cloud.pool_members import Members
from services.cluster.fleet_kind import Evidence, ResourceNames, detect_fleet
from services.cluster.model import Autoscaler, Fact, FleetKind, Pool
from services.common.clock import Clock
from services.common.errors import BotError, NotFound, Rejected, Unreachable

# Seconds that a cluster with a pool goes without asking whether there is an autoscaler as well.
SELDOM = 300.0
KEPT_BY = {
    FleetKind.POOL: "an autoscale pool",
    FleetKind.FIXED: "fixed media nodes",
    FleetKind.AUTOSCALER: "an autoscaler",
    FleetKind.NONE: "not visible",
}


@dataclass(frozen=True)
class SurveyedFleet:
    """What keeps the media nodes. `problem`: why nothing may be changed because of it."""

    kind: FleetKind = FleetKind.UNKNOWN
    problem: str = ""
    pool: Pool | None = None
    members: tuple[Member, ...] = ()
    autoscaler: Autoscaler | None = None


class FleetSurvey:
    """Detects what keeps one cluster's media nodes, through its account."""

    def __init__(self, names: ResourceNames, account: SharedAccount, clock: Clock) -> None:
        self._names = names
        self._account = account
        self._members = Members(clock)
        self._kept_by = Confirmed(clock, f"the media fleet of {names.stack}")

    async def pools(self, needs: frozenset[Fact], fresh: float) -> Listed[PoolEntry] | BotError:
        """List the account's pools if they are needed; or return why they were not seen."""
        if Fact.POOL not in needs:
            return Listed()
        try:
            return await self._account.pools.since(fresh)
        except (Unreachable, Rejected) as why:
            return why

    async def look(
        self,
        droplets: tuple[DropletEntry, ...],
        pools: Listed[PoolEntry] | BotError,
        fresh: float,
        since: float,
    ) -> SurveyedFleet:
        """Return the fleet. Raises why it was not seen."""
        if isinstance(pools, BotError):
            raise pools
        named = self._named_as_ours(pools)
        pool: Pool | None = None
        members: tuple[Member, ...] = ()
        if len(named) == 1:
            pool, members = await self._pool(named[0], droplets, since)
        kind, problem, autoscaler = await self._kind(droplets, named, fresh)
        return SurveyedFleet(kind, problem or self._pool_problem(named), pool, members, autoscaler)

    def confirm(self, fleet: SurveyedFleet) -> None:
        """Raise Unconfirmed while the fleet is of another kind than before."""
        if fleet.kind in KEPT_BY:
            self._kept_by.see(KEPT_BY[fleet.kind])

    # The pool

    def _named_as_ours(self, pools: Listed[PoolEntry]) -> list[PoolEntry]:
        for entry in pools.unread:
            if entry.name in (None, self._names.pool):
                raise entry.why
        return [pool for pool in pools.entries if pool.name == self._names.pool]

    def _pool_problem(self, pools: list[PoolEntry]) -> str:
        name = self._names.pool
        if len(pools) > 1:
            return f"{len(pools)} pools are named {name}; which one is meant is unknown"
        if pools and pools[0].pool is None:
            return f"the pool {name} is not of fixed size; the bot changes only pools of fixed size"
        return ""

    async def _pool(
        self, entry: PoolEntry, droplets: tuple[DropletEntry, ...], since: float
    ) -> tuple[Pool | None, tuple[Member, ...]]:
        if entry.pool is None:
            return None, ()
        nodes = [d.droplet for d in droplets if self._names.is_media(d.droplet.name, d.tags)]
        here = frozenset(d.droplet.id for d in droplets)
        members, trouble = await asyncio.gather(
            self._members.now(
                entry,
                nodes,
                here,
                since,
                self._account.member_list_max_age(),
                self._account.members,
            ),
            self._trouble(entry, entry.pool.target),
        )
        return replace(entry.pool, trouble=trouble), members

    async def _trouble(self, entry: PoolEntry, target: int) -> str:
        """Return why the pool holds fewer droplets than it should; read only when it does."""
        if entry.count >= target:
            return ""
        try:
            failure = await self._account.failure(entry.id)
        except BotError as why:
            return f"DigitalOcean's reason is unknown ({why})"
        return f"DigitalOcean reports: {failure}" if failure else ""

    # The kind

    async def _kind(
        self, droplets: tuple[DropletEntry, ...], pools: list[PoolEntry], fresh: float
    ) -> tuple[FleetKind, str, Autoscaler | None]:
        """Return the kind, why nothing may be changed because of it, and the autoscaler if any."""
        names = self._names
        namespace, is_readable = await self._namespace(seldom=bool(pools), fresh=fresh)
        fixed = sum(names.is_fixed(d.droplet.name) for d in droplets)
        autoscaled = sum(names.is_autoscaled(d.droplet.name) for d in droplets)
        tag = None
        if not (pools or namespace or fixed or autoscaled):
            tag = await self._has_draining_tag()
        has_namespace = bool(namespace) if is_readable else None
        evidence = Evidence(len(pools), has_namespace, fixed, autoscaled, tag)
        kind, problem = detect_fleet(names, evidence)
        if kind is FleetKind.AUTOSCALER:
            return kind, problem, await self._autoscaler(namespace)
        return kind, problem, None

    async def _namespace(self, *, seldom: bool, fresh: float) -> tuple[str, bool]:
        """Return the id of the stack's namespace ("": none), and whether that is known."""
        try:
            listed = await self._account.namespaces.since(fresh - SELDOM if seldom else fresh)
            if listed is None:
                return "", False
            return self._id_of_namespace(listed), True
        except BotError:
            if seldom:
                return "", False
            raise

    def _id_of_namespace(self, listed: Listed[Namespace]) -> str:
        for entry in listed.unread:
            if entry.name in (None, self._names.namespace):
                raise entry.why
        return next((n.id for n in listed.entries if n.label == self._names.namespace), "")

    async def _has_draining_tag(self) -> bool:
        try:
            await self._account.tag(self._names.draining_tag)
        except Rejected:
            return False
        return True

    async def _autoscaler(self, namespace: str) -> Autoscaler:
        name = self._names.trigger
        try:
            trigger = await self._account.trigger(namespace, name)
        except NotFound:
            return Autoscaler(namespace)
        return Autoscaler(namespace, name, trigger.enabled, trigger.last_run, trigger.next_run)
