"""What keeps a cluster's media nodes: an autoscale pool, Terraform, or an autoscaler."""

from dataclasses import dataclass

from services.cloud.confirm import Confirmed
from services.cloud.droplet_listing import DropletListing
from services.cloud.listings import SharedAccount
from services.cloud.parse import DropletEntry, Listed, Member, Namespace, PoolEntry
from services.cloud.pool_members import Members
from services.cluster.fleet_kind import Evidence, ResourceNames, detect_fleet
from services.cluster.model import Autoscaler, Fact, FleetKind, Pool
from services.common import eager
from services.common.clock import Clock
from services.common.errors import BotError, NotFound, Rejected, Unreachable
from services.common.values import replace

# How many seconds old an answer may be that decides nothing. What others do to a pool shows in its
# droplets too, and those take one request instead of two.
AGED = {Fact.DROPLETS: 90.0, Fact.POOL: 600.0, Fact.SNAPSHOTS: 300.0}
# Seconds in which a pool usually creates what it lacks after an edit.
FILLING = 60.0
# Seconds that a cluster with a pool goes without asking whether there is an autoscaler as well.
SELDOM = 900.0
KEPT_BY = {
    FleetKind.POOL: "an autoscale pool",
    FleetKind.FIXED: "fixed media nodes",
    FleetKind.AUTOSCALER: "an autoscaler",
    FleetKind.CO_LOCATED: "on its only droplet",
    FleetKind.NONE: "not visible",
}


@dataclass(frozen=True)
class Age:
    """How old the answers may be that a look at `now` uses. Moments are epoch seconds.

    `shared`: seconds within which looks share an answer. `since`: nothing from before counts. The
    facts in `of` may be older, at least by `aged` seconds: the run waits for something that shows
    elsewhere. It does nothing meanwhile, and before it does anything it looks at everything anew.
    """

    now: float
    shared: float
    since: float | None
    of: frozenset[Fact] = frozenset()
    aged: float = 0.0

    def oldest(self, fact: Fact) -> float:
        """Return from which moment on an answer about a fact counts."""
        if fact in self.of:
            return self.now - max(self.shared, self.aged, AGED[fact])
        return max(self.now - self.shared, self.bound)

    @property
    def bound(self) -> float:
        """The moment that no answer may be older than, however few the clusters."""
        return float("-inf") if self.since is None else self.since


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
        self._clock = clock
        self._members = Members(clock)
        self._pool_id = ""
        self._whole_at = self._trouble_read_at = float("-inf")
        self._trouble_text = ""
        self._kept_by = Confirmed(clock, f"the media fleet of {names.stack}")

    async def pools(self, needs: frozenset[Fact], age: Age) -> Listed[PoolEntry] | BotError:
        """List the account's pools if they are needed; or return why they were not seen.

        After an edit the pool was read by itself. Which of the pools it is does not change with
        that: the list of before will do.
        """
        if Fact.POOL not in needs:
            return Listed()
        oldest = age.oldest(Fact.POOL)
        if self._account.pool_read(self._pool_id, oldest) is not None:
            oldest = min(oldest, age.now - AGED[Fact.POOL])
        try:
            return await self._account.pools.since(oldest)
        except (Unreachable, Rejected) as why:
            return why

    async def look(
        self,
        droplets: DropletListing,
        pools: Listed[PoolEntry] | BotError,
        age: Age,
    ) -> SurveyedFleet:
        """Return the fleet. Raises why it was not seen."""
        if isinstance(pools, BotError):
            raise pools
        named = self._named_as_ours(pools)
        pool: Pool | None = None
        members: tuple[Member, ...] = ()
        if len(named) == 1:
            read = self._account.pool_read(named[0].id, self._account.pools.begun)
            named = [read or named[0]]
            self._pool_id = named[0].id
            pool, members = await self._pool(named[0], droplets, age)
        ours = droplets.of(self._names)
        kind, problem, autoscaler = await self._kind(ours, named, age.oldest(Fact.POOL))
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
        self, entry: PoolEntry, droplets: DropletListing, age: Age
    ) -> tuple[Pool | None, tuple[Member, ...]]:
        if entry.pool is None:
            return None, ()
        ours, here = droplets.of(self._names), droplets.ids
        nodes = [d.droplet for d in ours if self._names.is_media(d.droplet.name, d.tags)]
        members, trouble = await eager.gather(
            self._members.now(
                entry,
                nodes,
                here,
                self._oldest_members(age),
                self._account.members,
                assumes_none=Fact.POOL in age.of,
            ),
            self._trouble(entry, entry.pool.target, self._oldest_members(age)),
        )
        return replace(entry.pool, trouble=trouble), members

    def _oldest_members(self, age: Age) -> float:
        """Return from which moment on a member list counts while nothing else changes."""
        if Fact.POOL in age.of:
            return age.oldest(Fact.POOL)
        return max(age.bound, self._clock.now() - self._account.member_list_max_age())

    async def _trouble(self, entry: PoolEntry, target: int, oldest: float) -> str:
        """Return why the pool holds fewer droplets than it should; read only when it does.

        Not in the first minute after it was seen whole: it is creating them. A reason that was read
        at `oldest` or later will do.
        """
        now = self._clock.now()
        if entry.count >= target:
            self._whole_at = now
            return ""
        if now - self._whole_at < FILLING:
            return ""
        if self._trouble_read_at < oldest:
            self._trouble_read_at, self._trouble_text = now, await self._read_trouble(entry.id)
        return self._trouble_text

    async def _read_trouble(self, pool_id: str) -> str:
        try:
            failure = await self._account.failure(pool_id)
        except BotError as why:
            return f"DigitalOcean's reason is unknown ({why})"
        return f"DigitalOcean reports: {failure}" if failure else ""

    # The kind

    async def _kind(
        self, droplets: tuple[DropletEntry, ...], pools: list[PoolEntry], fresh: float
    ) -> tuple[FleetKind, str, Autoscaler | None]:
        """Return the kind, why nothing may be changed because of it, and the autoscaler if any."""
        names = self._names
        single = next((n for d in droplets if names.is_single_node(n := d.droplet.name)), "")
        namespace, is_readable = await self._namespace(seldom=bool(pools or single), fresh=fresh)
        fixed = sum(names.is_fixed(d.droplet.name) for d in droplets)
        autoscaled = sum(names.is_autoscaled(d.droplet.name) for d in droplets)
        media = sum(names.is_media(d.droplet.name, d.tags) for d in droplets)
        tag = None
        if not (pools or namespace or fixed or autoscaled or single):
            tag = await self._has_draining_tag()
        has_namespace = bool(namespace) if is_readable else None
        evidence = Evidence(
            *(len(pools), has_namespace, fixed, autoscaled, tag),
            single=single,
            tagged=media - fixed - autoscaled,
        )
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
