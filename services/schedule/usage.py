"""What a cluster was really billed for: recorded on change, read for the cost of a month."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from services.billing.droplet_hours import Closing, Stay
from services.billing.prices import hourly, is_capped, is_v5
from services.billing.savings import BillingFacts, KeptUpTime, MastersOff
from services.cluster.model import Cluster, Droplet, Fact
from services.common.clock import Clock
from services.common.errors import BadRecord
from services.common.markers import person_in
from services.memory.usage_log import UsageLog
from services.operations.reader import ClusterReader

EVERY = 60.0
BILLED = frozenset({Fact.DROPLETS})
RECORDS = 100_000
UNCAPPED = "uncapped"
TOGETHER = 1800.0  # seconds within which droplets of one closing go, and of one opening come


class UsageRecorder:
    """The records of every cluster.

    `[at, [[id, per hour, per month, created, size]...], masters off, masters per hour]`. Records of
    the form `{"kept": [since, until, by, reason]}` are keep-ups. A price of 0 is unknown. *Masters
    off* is false, true, or UNCAPPED where they are billed for every hour.
    """

    def __init__(self, reader: ClusterReader, log: UsageLog, clock: Clock) -> None:
        self._reader = reader
        self._log = log
        self._clock = clock
        self._newest: dict[str, tuple[float, str]] = {}

    def is_due(self, name: str) -> bool:
        """Return whether the last record is old enough for another look: once a minute."""
        at, _ = self._newest.get(name, (0.0, ""))
        return self._clock.now() - at >= EVERY

    async def record(self, name: str) -> Cluster | None:
        """Record what is being billed, at most once a minute and only if it changed.

        Returns the cluster if it was looked at.
        """
        if not self.is_due(name):
            return None
        now = self._clock.now()
        _, before = self._newest.get(name, (0.0, ""))
        cluster = await self._reader.look(name, BILLED, aged=BILLED)
        if not cluster.masters:
            return None  # nothing of it is visible, which does not mean that nothing exists
        if hourly(cluster).total is None:
            return cluster  # a price is unknown, which does not mean that nothing is billed
        seen = json.dumps(_seen(cluster))
        if not before:
            newest_first = reversed(await self._read(name, 50))
            states = (json.dumps(r[1:]) for r in newest_first if isinstance(r, list))
            before = next(states, "")
        if seen != before:
            await self._log.add(name, json.dumps([now, *json.loads(seen)]))
        self._newest[name] = (now, seen)
        return cluster

    def forget(self) -> None:
        """Start new records: the state is lost."""
        self._newest.clear()

    async def record_keep_up(
        self, name: str, since: float, until: float, by: str, reason: str
    ) -> None:
        """Record that a person keeps it up although a window would close it."""
        await self._log.add(name, json.dumps({"kept": [since, until, by, reason]}))

    async def facts(self, name: str) -> BillingFacts | None:
        """Return everything that was recorded; None if nothing was."""
        records = await self.records(name)
        if not records:
            return None
        return facts_of(records, self._clock.now())

    async def records(self, name: str) -> list[Any]:
        """Return the records themselves, oldest first."""
        return await self._read(name, RECORDS)

    async def _read(self, name: str, count: int) -> list[Any]:
        try:
            return [json.loads(text) for text in await self._log.newest(name, count)]
        except ValueError:
            raise BadRecord(
                f"what {name} was billed is unknown: a usage record in the state store is damaged"
            ) from None


def _seen(cluster: Cluster) -> list[Any]:
    media = [_billed(n.droplet) for n in sorted(cluster.separate_media, key=lambda n: n.id)]
    masters_off: bool | str = cluster.is_down
    if cluster.is_down and any(is_v5(m.size) for m in cluster.masters):
        masters_off = UNCAPPED
    return [media, masters_off, str(hourly(cluster).masters)]


def _billed(droplet: Droplet) -> list[Any]:
    return [
        droplet.id,
        str(droplet.hourly),
        None if droplet.monthly is None else str(droplet.monthly),
        droplet.created_at,
        droplet.size,
    ]


@dataclass
class _BillingHistory:
    """What the records add up to so far.

    `first`: when a droplet was seen first, which is later than its creation.
    """

    stays: dict[int, Stay] = field(default_factory=dict)
    first: dict[int, float] = field(default_factory=dict)
    here: dict[int, Decimal] = field(default_factory=dict)
    empty: list[tuple[float, float | None]] = field(default_factory=list)
    off: list[MastersOff] = field(default_factory=list)
    rates: list[tuple[float, Decimal]] = field(default_factory=list)
    kept: list[tuple[float, float, str, str]] = field(default_factory=list)

    def take(
        self, at: float, media: list[list[Any]], masters_off: bool | str, masters: str
    ) -> None:
        """Add a record."""
        seen = {int(m[0]): Decimal(m[1]) for m in media}
        for droplet in self.here.keys() - seen.keys():
            self.stays[droplet] = replace(self.stays[droplet], until=at)
        for m in media:
            if int(m[0]) not in self.here:
                self.first[int(m[0])] = at
                self.stays[int(m[0])] = _stay(m, at)
            else:
                self.stays[int(m[0])] = _better_known(self.stays[int(m[0])], _stay(m, at))
        if self.here and not seen:
            self.empty.append((at, None))
        elif seen and self.empty and self.empty[-1][1] is None:
            self.empty[-1] = (self.empty[-1][0], at)
        if masters_off and not self._masters_are_off:
            self.off.append(MastersOff(at, None, Decimal(masters), capped=masters_off != UNCAPPED))
        elif not masters_off and self._masters_are_off:
            self.off[-1] = replace(self.off[-1], until=at)
        self.here = seen
        self.rates.append((at, sum(seen.values(), Decimal(0))))

    @property
    def _masters_are_off(self) -> bool:
        return bool(self.off) and self.off[-1].until is None

    def closing(self, since: float, until: float | None) -> Closing:
        """Return a closing: the droplets that went for it, in order, and their replacements."""
        went = [
            s
            for s in self.stays.values()
            if s.until is not None and since - TOGETHER <= s.until <= since
        ]
        came = [
            d
            for d, at in self.first.items()
            if until is not None and until <= at <= until + TOGETHER
        ]
        removed = tuple(s.droplet for s in sorted(went, key=lambda s: (s.since, s.droplet)))
        return Closing("closed", since, until, removed, tuple(sorted(came)))

    def rate(self, at: float) -> Decimal:
        """Return the price per hour of what was up at that moment, or before it."""
        before = (rate for moment, rate in reversed(self.rates) if moment <= at and rate)
        return next(before, Decimal(0))


def facts_of(records: Iterable[Any], now: float) -> BillingFacts:
    """Return what the records add up to. Each is valid until the next."""
    reading = _BillingHistory()
    for record in records:
        if isinstance(record, dict):
            since, until, by, reason = record["kept"]
            reading.kept.append((since, until, person_in(by), reason))
        else:
            reading.take(*record)
    kept = tuple(
        KeptUpTime(since, min(until, now), by, reading.rate(since), why)
        for since, until, by, why in reading.kept
        if since < now
    )
    return BillingFacts(
        tuple(reading.stays.values()),
        tuple(reading.closing(*gap) for gap in reading.empty),
        tuple(reading.off),
        kept,
    )


def _stay(media: list[Any], at: float) -> Stay:
    """Return a recorded droplet. Old records hold no size.

    The monthly price alone tells the family.
    """
    droplet, per_hour, size = int(media[0]), Decimal(media[1]), _size(media)
    per_month = Decimal(media[2] or 0)
    capped = is_capped(size, per_month)
    monthly = None
    if capped and per_month:
        monthly = per_month
    return Stay(droplet, _created(media, at), None, per_hour, monthly, capped, is_v5(size))


def _size(media: list[Any]) -> str:
    return str(media[4]) if len(media) > 4 else ""


def _better_known(before: Stay, now: Stay) -> Stay:
    """Return the stay with what only the later record knows.

    That is its price, or its size and so how it is billed.
    """
    if before.hourly and (before.capped, before.apart) == (now.capped, now.apart):
        return before
    return replace(now, since=before.since)


def _created(media: list[Any], at: float) -> float:
    with suppress(ValueError, IndexError, TypeError):
        return min(at, datetime.fromisoformat(media[3]).timestamp())
    return at
