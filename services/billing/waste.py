"""What a cluster costs without use, as findings with dollars a day. Pure.

A finding is reported only where the account was read: what is unknown is listed as unknown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.billing.prices import droplet_per_day
from services.cluster.backups import deletable_backups
from services.cluster.leftovers import DAY, KINDS, KeptThing, Leftover, WasteNotes, per_day
from services.cluster.model import Cluster, Fact, FleetKind
from services.common.text import count_of, join_words, plural
from services.common.values import replace

WASTE_FACTS = frozenset({Fact.DROPLETS, Fact.POOL, Fact.SNAPSHOTS, Fact.LEFTOVERS})
BACKUPS, POOL, CLOSED = "backups", "pool", "closed-hours"
# Numbers of nodes that are kept: one each SAMPLED seconds, MOST_SIZES of them.
SAMPLED, MOST_SIZES = 6 * 3600.0, 120
# The fewest earlier numbers that show what is usual, and for how many seconds a pool is doubled.
FEWEST, DOUBLED = 8, 24 * 3600.0
TIMES = 2


@dataclass(frozen=True)
class WasteFinding:
    """One thing that costs money without use. `daily`: US dollars; None: unknown.

    `command`: what ends it, to be typed; "": nothing that the bot does.
    """

    ref: str
    kind: str
    text: str
    daily: Decimal | None
    command: str = ""


@dataclass(frozen=True)
class OpenNight:
    """A closing time at which the cluster stayed up. `by`: who kept it up; "": no one did."""

    since: float
    until: float
    cost: Decimal | None
    by: str = ""


@dataclass(frozen=True)
class WasteReport:
    """What was found of one cluster. `kept`: what people want to keep. `unknown`: not read, why."""

    cluster: str
    findings: tuple[WasteFinding, ...] = ()
    kept: tuple[tuple[str, KeptThing], ...] = ()
    unknown: tuple[str, ...] = ()
    by_people: tuple[OpenNight, ...] = ()

    @property
    def daily(self) -> Decimal:
        """Return the known dollars a day together."""
        return sum((f.daily or Decimal(0) for f in self.findings), Decimal(0))


def is_ours(cluster: Cluster, thing: Leftover) -> bool:
    """Return whether it is known to be of this cluster; a reserved IP by having been seen there."""
    return thing.kind != "ip" or thing.id in cluster.waste_notes.addresses


def unused(cluster: Cluster) -> tuple[Leftover, ...]:
    """Return what is of this cluster and used by nothing."""
    seen = cluster.leftovers
    return tuple(t for t in seen.unused if is_ours(cluster, t)) if seen is not None else ()


def noted(cluster: Cluster, *, steady: bool) -> WasteNotes:
    """Return the notes with what this look shows. `steady`: nothing is being changed now."""
    notes, now = cluster.waste_notes, cluster.seen_at
    if cluster.leftovers is not None:
        used = {t.id for t in cluster.leftovers.things if t.kind == "ip" and t.used_by}
        addresses = tuple(dict.fromkeys((*notes.addresses, *sorted(used))))[-MOST_SIZES:]
        cluster = replace(cluster, waste_notes=replace(notes, addresses=addresses))
        notes = replace(cluster.waste_notes, since=tuple(_since(cluster)))
    newest = notes.sizes[-1][0] if notes.sizes else float("-inf")
    if steady and now - newest >= SAMPLED and _counts(cluster):
        target = cluster.pool.target if cluster.pool is not None else 0
        size = (now, len(cluster.members), target)
        notes = replace(notes, sizes=(*notes.sizes, size)[-MOST_SIZES:])
    return notes


def _counts(cluster: Cluster) -> bool:
    return cluster.kind is FleetKind.POOL and not cluster.problem and bool(cluster.members)


def _since(cluster: Cluster) -> Iterator[tuple[str, float]]:
    """Yield since when each unused thing is known; also of those that cannot be read now."""
    notes, seen = cluster.waste_notes, cluster.leftovers
    assert seen is not None, "it was observed"
    now = {t.ref for t in unused(cluster)}
    if cluster.snapshots is not None:
        now |= {f"backup:{b.label}" for b in deletable_backups(cluster)}
    for ref, at in notes.since:
        hidden = seen.why_unread(ref) or (ref.startswith("backup:") and cluster.snapshots is None)
        if ref in now or hidden:
            yield ref, at
    yield from ((ref, cluster.seen_at) for ref in sorted(now - dict(notes.since).keys()))


def report_of(
    cluster: Cluster,
    nights: Sequence[OpenNight] = (),
    unknown: Sequence[str] = (),
    *,
    asked: bool = False,
) -> WasteReport:
    """Return what this look shows. `nights`: closing times of the last week with it up.

    `asked`: by a person, now. What has been unused for less than a day is then shown too.
    """
    now, notes = cluster.seen_at, cluster.waste_notes
    found = [
        *_leftovers(cluster, asked=asked),
        *_backups(cluster, asked=asked),
        *_doubled(cluster),
        *_nights(nights),
    ]
    kept = [(f, keeper) for f in found if (keeper := notes.keeper(f.ref, now)) is not None]
    findings = [f for f in found if notes.keeper(f.ref, now) is None]
    return WasteReport(
        cluster.name,
        tuple(sorted(findings, key=lambda f: (-(f.daily or Decimal(0)), f.ref))),
        tuple((f.text, keeper) for f, keeper in kept),
        (*_unknown(cluster), *unknown),
        tuple(n for n in nights if n.by),
    )


def _unknown(cluster: Cluster) -> Iterator[str]:
    if cluster.problem:
        yield f"the media nodes: {cluster.problem}"
    if cluster.leftovers is None:
        yield "volumes, reserved IPs and stray droplets: not observed"
    else:
        for kind, why in cluster.leftovers.unread:
            if not (kind == "droplet" and cluster.problem):
                yield f"{KINDS[kind]}s: {why}"
    if cluster.snapshots is None:
        yield f"snapshots: {cluster.missing_facts_reason(frozenset({Fact.SNAPSHOTS})) or 'no list'}"


def _is_old(cluster: Cluster, ref: str, created: float | None, *, asked: bool) -> bool:
    """Return whether it has been unused for a day.

    `asked`: a person asks, and judges what was in use until a moment ago: its age is enough.
    """
    since = cluster.waste_notes.first_seen(ref)
    if since is not None and cluster.seen_at - since >= DAY:
        return True
    return asked and created is not None and cluster.seen_at - created >= DAY


def _leftovers(cluster: Cluster, *, asked: bool) -> Iterator[WasteFinding]:
    words = {
        "droplet": "{} belongs to no pool, autoscaler or plan",
        "volume": "{} is attached to no droplet",
        "ip": "{} is assigned to no droplet",
    }
    for thing in unused(cluster):
        if _is_old(cluster, thing.ref, thing.created(), asked=asked):
            text = words[thing.kind].format(thing.text)
            delete = f"cost delete {thing.ref}"
            yield WasteFinding(thing.ref, thing.kind, text, thing.daily, delete)


def _backups(cluster: Cluster, *, asked: bool) -> Iterator[WasteFinding]:
    old = [
        b
        for b in deletable_backups(cluster)
        if _is_old(cluster, f"backup:{b.label}", b.at, asked=asked)
    ]
    if not old:
        return
    size = sum((b.size for b in old), Decimal(0))
    daily = per_day(sum((b.monthly for b in old), Decimal(0)))
    text = (
        f"{count_of(len(old), 'backup')} beyond the {cluster.keep_backups} that the settings keep "
        f"({size:.1f} GB of snapshots)"
    )
    yield WasteFinding(BACKUPS, BACKUPS, text, daily, "backup prune")


def _doubled(cluster: Cluster) -> Iterator[WasteFinding]:
    """Yield the pool where it has been twice its usual number for a day or longer."""
    if not _counts(cluster) or cluster.pool is None:
        return
    sizes = list(cluster.waste_notes.sizes)
    usual = _usual(cluster, sizes)
    if usual is None or len(cluster.members) < TIMES * usual:
        return
    surplus = len(cluster.members) - usual
    prices = [droplet_per_day(n.droplet) for n in cluster.members]
    price = min((p for p in prices if p is not None), default=None)
    sizes_now = sorted({n.droplet.size for n in cluster.members if n.droplet.size})
    of = f" of {join_words(sizes_now)}" if len(sizes_now) > 1 else ""
    text = (
        f"the pool has {count_of(len(cluster.members), 'media node')}{of} for more than a day; "
        f"usual {plural(usual, 'is', 'are')} {usual}"
    )
    yield WasteFinding(
        POOL, POOL, text, None if price is None else price * surplus, f"scale {usual}"
    )


def _usual(cluster: Cluster, sizes: Sequence[tuple[float, int, int]]) -> int | None:
    """Return the usual number before a doubling that has lasted; None where there is none."""
    now = len(cluster.members)
    doubled = len(sizes)
    while doubled and sizes[doubled - 1][1] >= now:
        doubled -= 1
    before, since = sorted(number for _, number, _ in sizes[:doubled]), sizes[doubled:]
    if len(before) < FEWEST or not since or cluster.seen_at - since[0][0] < DOUBLED:
        return None
    # Windows open with few nodes at night: what counts is what days have.
    return before[(len(before) * 9 - 1) // 10]


def _nights(nights: Sequence[OpenNight]) -> Iterator[WasteFinding]:
    alone = [n for n in nights if not n.by]
    if not alone:
        return
    hours = sum(n.until - n.since for n in alone) / 3600
    prices = [n.cost for n in alone]
    known = [p for p in prices if p is not None]
    daily = sum(known, Decimal(0)) / 7 if len(known) == len(prices) else None
    text = (
        f"it was up in {count_of(len(alone), 'closing time')} of its windows last week "
        f"({hours:.1f} h), and no one kept it up"
    )
    yield WasteFinding(CLOSED, CLOSED, text, daily)
