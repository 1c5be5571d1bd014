"""What nodes report of themselves: disks, containers, databases, clock; and what is wrong. Pure.

A part that was not seen is `Unobserved`, with the reason; it is never taken for good.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.cluster.model import Cluster
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, duration, join_words, plural
from services.common.values import replace

FULL, ALMOST_FULL = 95, 85
"""Percent of a disk."""
CLOCK = 5.0
"""Seconds that a clock may be off, beyond what the measurement leaves open."""
RECENT = 900.0
"""Seconds since a container's restart for which it counts as restarting."""
REDIS_LAG, MONGO_LAG = 10.0, 60.0
MONGO_WELL = frozenset({"PRIMARY", "SECONDARY", "ARBITER"})
MONGO_STARTING = frozenset({"STARTUP", "STARTUP2", "RECOVERING", "ROLLBACK"})
HTTP_OK, NO_QUORUM = 200, 503


@dataclass(frozen=True)
class DiskFill:
    """A file system: where it is mounted, how full (percent), and what is free (KiB)."""

    mount: str
    percent: int
    free: int


@dataclass(frozen=True)
class ContainerState:
    """A container: docker's state, its restarts, its exit code, and its age in seconds.

    `age`: since its newest start; None when it never started.
    """

    name: str
    status: str
    restarts: int = 0
    exit_code: int = 0
    age: float | None = None

    @property
    def restarts_now(self) -> bool:
        """Return whether it is in a crash loop, or was restarted a moment ago."""
        if self.status == "restarting":
            return True
        return self.restarts > 0 and self.age is not None and self.age < RECENT


@dataclass(frozen=True)
class RedisState:
    """The Redis of one master. `lags`: of each replica that a primary knows, in seconds.

    `link`: of a replica: its connection to the primary is up.
    """

    primary: bool
    replicas: int = 0
    lags: tuple[float, ...] = ()
    link: bool = True


@dataclass(frozen=True)
class MongoMember:
    """A member of the replica set as one master sees it. `lag`: in seconds behind the newest."""

    name: str
    state: str
    healthy: bool
    lag: float = 0.0


@dataclass(frozen=True)
class NodeCondition:
    """One node's report. `offset`: its clock against the bot's, in seconds (ahead is positive).

    `redis`, `mongo`, `minio`: None where there is no such container. `minio`: the status of its
    health page. `routes`: addresses of the load balancer that the node accepts as its own.
    """

    id: int
    name: str
    is_master: bool
    disks: Observed[tuple[DiskFill, ...]]
    containers: Observed[tuple[ContainerState, ...]]
    offset: Observed[float]
    redis: Observed[RedisState] | None = None
    mongo: Observed[tuple[MongoMember, ...]] | None = None
    minio: Observed[int] | None = None
    routes: Observed[int] | None = None

    @property
    def unseen(self) -> tuple[tuple[str, str], ...]:
        """Return what was not seen, and why."""
        parts = (
            ("disk", self.disks),
            ("containers", self.containers),
            ("clock", self.offset),
            ("Redis", self.redis),
            ("MongoDB", self.mongo),
            ("MinIO", self.minio),
        )
        return tuple((what, seen.reason) for what, seen in parts if isinstance(seen, Unobserved))


def unseen_condition(droplet_id: int, name: str, reason: str, *, is_master: bool) -> NodeCondition:
    """Return the report of a node that gave none."""
    silent = Unobserved(reason)
    return NodeCondition(droplet_id, name, is_master, silent, silent, silent)


def with_names(node: NodeCondition, names: Mapping[str, str]) -> NodeCondition:
    """Return the report with members of databases by the names of their masters.

    `names`: by private address.
    """
    if node.mongo is None or isinstance(node.mongo, Unobserved):
        return node
    members = tuple(
        replace(m, name=names.get(m.name.rpartition(":")[0]) or m.name) for m in node.mongo
    )
    return replace(node, mongo=members)


def without_peers(node: NodeCondition) -> NodeCondition:
    """Return the report without what a master is asked about the other masters."""
    return replace(node, redis=None, mongo=None, minio=None, routes=None)


def idle_nodes(cluster: Cluster) -> frozenset[int]:
    """Return the droplets whose containers ended on purpose: OpenVidu is stopped, or drained."""
    stopped = {stop.id for stop in cluster.stopped}
    return frozenset(stopped | {n.id for n in cluster.media if n.drained or n.draining})


class Severity(IntEnum):
    """How urgent a finding is."""

    # Service is lost, or will be within hours.
    URGENT = 0
    WARNING = 1


@dataclass(frozen=True)
class ConditionFinding:
    """Something that is wrong on a node, and what to do about it: two sentences.

    `kind` and `node` identify it from one look to the next.
    """

    kind: str
    node: str
    text: str
    remedy: str
    severity: Severity = Severity.WARNING


def findings(
    nodes: Sequence[NodeCondition], idle: Collection[int] = (), away: Collection[str] = ()
) -> tuple[ConditionFinding, ...]:
    """Return what is wrong with these nodes, the most urgent first.

    `idle`: droplets on which OpenVidu is stopped or drained on purpose: containers that ended there
    are no finding, and no database of theirs is missing. `away`: masters that are powered off.
    """
    working = [n for n in nodes if n.id not in idle]
    found = [
        *(f for n in nodes for f in _disks(n)),
        *(f for n in working for f in _containers(n)),
        *_redis(working, complete=len(working) == len(nodes)),
        *_mongo(working, {*away, *(n.name for n in nodes if n.id in idle)}),
        *(f for n in working for f in _minio(n)),
        *_routes(working),
        *_clocks(nodes),
    ]
    return tuple(sorted(found, key=lambda f: f.severity))


def _disks(node: NodeCondition) -> Iterable[ConditionFinding]:
    if isinstance(node.disks, Unobserved):
        return
    fullest = max(node.disks, key=lambda d: d.percent, default=None)
    if fullest is None or fullest.percent < ALMOST_FULL:
        return
    remedy = f"`docker image prune` there frees old images; [[command logs {node.name}]]"
    if node.is_master:
        remedy += " shows what writes. A larger disk: [[command resize masters SIZE --grow-disk]]"
    else:
        remedy += " shows what writes"
    severity = Severity.URGENT if fullest.percent >= FULL else Severity.WARNING
    free = f"{fullest.free / 1024**2:.1f} GB free"
    text = f"{node.name}: {fullest.mount} is {fullest.percent} % full ({free})"
    yield ConditionFinding("disk", node.name, text, remedy, severity)


def _containers(node: NodeCondition) -> Iterable[ConditionFinding]:
    if isinstance(node.containers, Unobserved):
        return
    for container in node.containers:
        log = f"[[command logs {node.name} {container.name}]] shows why"
        if container.restarts_now:
            times = count_of(container.restarts, "restart")
            text = f"{node.name}: {container.name} keeps restarting ({times})"
            yield ConditionFinding(
                f"restarts {container.name}", node.name, text, log, Severity.URGENT
            )
        elif node.is_master and container.status in ("exited", "dead") and container.exit_code:
            text = f"{node.name}: {container.name} ended with code {container.exit_code}"
            yield ConditionFinding(f"ended {container.name}", node.name, text, log, Severity.URGENT)


def _redis(nodes: Sequence[NodeCondition], *, complete: bool) -> Iterable[ConditionFinding]:
    asked = [n for n in nodes if n.redis is not None]
    seen = [(n, n.redis) for n in asked if isinstance(n.redis, RedisState)]
    for node, redis in seen:
        log = f"[[command logs {node.name} redis-server]] shows why"
        if not redis.primary and not redis.link:
            text = f"{node.name}: its Redis replica has lost the primary"
            yield ConditionFinding("redis link", node.name, text, log, Severity.URGENT)
        slowest = max(redis.lags, default=0.0)
        if slowest > REDIS_LAG:
            text = f"{node.name}: a Redis replica is {duration(slowest)} behind"
            yield ConditionFinding("redis lag", node.name, text, log)
    if not complete or len(seen) != len(asked) or len(seen) < 2:
        return  # what one master does not say, another cannot be blamed for
    primaries = [(n, r) for n, r in seen if r.primary]
    names = join_words(n.name for n, _ in seen)
    if len(primaries) != 1:
        count, where = "no primary", names
        if primaries:
            count = f"{len(primaries)} primaries"
            where = join_words(n.name for n, _ in primaries)
        yield ConditionFinding(
            "redis primary",
            where,
            f"Redis has {count} ({where})",
            "[[command logs NODE redis-sentinel]] shows the election",
            Severity.URGENT,
        )
        return
    node, primary = primaries[0]
    missing = len(seen) - 1 - primary.replicas
    if missing > 0:
        verb = plural(missing, "is", "are")
        text = (
            f"Redis: {count_of(missing, 'replica')} of {len(seen) - 1} {verb} missing "
            f"(primary: {node.name})"
        )
        remedy = f"[[command logs {node.name} redis-server]] names which connected"
        yield ConditionFinding("redis replicas", node.name, text, remedy, Severity.URGENT)


def _mongo(nodes: Sequence[NodeCondition], away: Collection[str]) -> Iterable[ConditionFinding]:
    """Judge the replica set by the master that sees most of it.

    `away`: masters that are off or stopped, whose own members are expected to be missing.
    """
    views = [(n, n.mongo) for n in nodes if n.mongo is not None]
    seen = [(n, members) for n, members in views if not isinstance(members, Unobserved)]
    if not seen:
        return
    node, members = max(seen, key=lambda pair: sum(m.healthy for m in pair[1]))
    log = f"[[command logs {node.name} mongo]] shows why"
    ill = [m for m in members if not m.healthy or m.state not in MONGO_WELL]
    for member in (m for m in ill if m.name not in away):
        state = member.state.casefold() if member.state in MONGO_STARTING else "not reachable"
        text = f"MongoDB: {member.name} is {state}, as {node.name} sees it"
        yield ConditionFinding(f"mongo {member.name}", node.name, text, log, Severity.URGENT)
    for member in members:
        if member.healthy and member.state == "SECONDARY" and member.lag > MONGO_LAG:
            text = f"MongoDB: {member.name} is {duration(member.lag)} behind"
            yield ConditionFinding(f"mongo lag {member.name}", node.name, text, log)
    if not any(m.state == "PRIMARY" and m.healthy for m in members):
        text = f"MongoDB has no primary, as {node.name} sees it"
        yield ConditionFinding("mongo primary", node.name, text, log, Severity.URGENT)


def _minio(node: NodeCondition) -> Iterable[ConditionFinding]:
    if node.minio == NO_QUORUM:
        text = f"{node.name}: MinIO has lost its quorum"
        remedy = f"[[command logs {node.name} minio]] shows which drives are missing"
        yield ConditionFinding("minio", node.name, text, remedy, Severity.URGENT)


def _routes(nodes: Sequence[NodeCondition]) -> Iterable[ConditionFinding]:
    """Find masters that drop what the load balancer sends, where others accept it."""
    seen = [(n, n.routes) for n in nodes if isinstance(n.routes, int)]
    if not any(routes for _, routes in seen):
        return  # not how this cluster is reached
    for node, routes in seen:
        if routes:
            continue
        text = f"{node.name}: drops what the load balancer sends, as its route is missing"
        remedy = f"`systemctl restart configure-nlb` there, or [[command restart {node.name}]]"
        yield ConditionFinding("route", node.name, text, remedy, Severity.URGENT)


def _clocks(nodes: Sequence[NodeCondition]) -> Iterable[ConditionFinding]:
    seen = [(n, n.offset) for n in nodes if isinstance(n.offset, float)]
    wrong = [(n, offset) for n, offset in seen if abs(offset) > CLOCK]
    if len(wrong) > 1 and len(wrong) == len(seen) and _agree([offset for _, offset in wrong]):
        text = f"The bot's own clock is {_off(-wrong[0][1])}: every node reports it"
        remedy = "`timedatectl` on the bot's machine shows whether it is synchronised"
        yield ConditionFinding("clock", "bot", text, remedy, Severity.URGENT)
        return
    for node, offset in wrong:
        text = f"{node.name}: its clock is {_off(offset)}"
        remedy = "`timedatectl set-ntp true` there synchronises it; tokens fail meanwhile"
        yield ConditionFinding("clock", node.name, text, remedy, Severity.URGENT)


def _agree(offsets: Sequence[float]) -> bool:
    return max(offsets) - min(offsets) <= 2 * CLOCK


def _off(offset: float) -> str:
    return f"{duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}"


def unseen_text(nodes: Sequence[NodeCondition]) -> tuple[tuple[str, str], ...]:
    """Return what is unknown of which nodes, and why, by reason: `disk, clock of master-2`."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        grouped: dict[str, list[str]] = {}
        for what, reason in node.unseen:
            grouped.setdefault(reason, []).append(what)
        for reason, parts in grouped.items():
            by_reason.setdefault((join_words(parts), reason), []).append(node.name)
    return tuple(
        (f"{parts} of {join_words(names)}", reason) for (parts, reason), names in by_reason.items()
    )
