"""Restore drills: what exists of one, and what it found on the copy of a master. Pure.

A drill works on throw-away resources that all have one name: it says which stack they belong to
and when the drill began, so that what is left can be found without any record.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal

from services.common.observed import NOT_OBSERVED, Observed

PREFIX = "openvidu-bot-drill-"
STAMP = "%Y%m%dt%H%M%Sz"
PLANNED = "planned"
# Seconds that a drill takes at most, with its deletion.
LONGEST = 7200.0
# DigitalOcean bills no droplet for less (US dollars).
LEAST = Decimal("0.01")
# How many documents may be missing in a collection: some are deleted between count and snapshot.
FEW, PART = 10, Decimal("0.02")
Counts = tuple[tuple[str, int], ...]


def drill_name(stack: str, stamp: str) -> str:
    """Return the name of everything that a drill creates: `openvidu-bot-drill-acme-20261103t…`."""
    return f"{PREFIX}{stack}-{stamp.lower() or PLANNED}"


def is_drill_of(stack: str, name: str) -> bool:
    """Return whether something of that name was created by a drill of exactly that stack."""
    return re.fullmatch(rf"{PREFIX}{re.escape(stack)}-\d{{8}}t\d{{6}}z", name) is not None


def began_at(stamp: str) -> float:
    """Return the moment in a stamp, in epoch seconds."""
    return datetime.strptime(stamp.lower(), STAMP).replace(tzinfo=UTC).timestamp()


def is_left(name: str, now: float) -> bool:
    """Return whether a droplet of a drill is older than any drill may take."""
    return now - began_at(name.rpartition("-")[2]) > LONGEST


def drill_cost(hourly: Decimal, seconds: float) -> Decimal:
    """Return what a droplet costs that exists for so long, in US dollars."""
    cost = hourly * Decimal(int(seconds)) / 3600
    return max(LEAST, cost).quantize(Decimal("0.01"), ROUND_UP)


def shortfall(noted: Counts, found: Counts) -> str:
    """Return what is missing compared with the counts of the backup; "" when nothing is."""
    there = dict(found)
    for collection, number in noted:
        allowed = max(FEW, int(number * PART))
        count = there.get(collection, 0)
        if number and (not count or count < number - allowed):
            return f"{collection} has {count} documents; the backup noted {number}"
    return ""


@dataclass(frozen=True)
class DrillReport:
    """What the copy of a master shows by SSH.

    `sealed`: its first boot kept OpenVidu, Docker and cron from starting. `started`: which of them
    started all the same. `begun`, `ended`: the database is being opened, or that is over.
    `failure`: why it did not open. `counts`: documents by collection.
    """

    sealed: bool
    started: tuple[str, ...] = ()
    begun: bool = False
    ended: bool = False
    failure: str = ""
    counts: Counts = ()

    @property
    def not_isolated(self) -> str:
        """Return why it may have reached the production cluster; "" when it cannot have."""
        if not self.sealed:
            return "its first boot was not sealed"
        if self.started:
            return f"it started {', '.join(self.started)} by itself"
        return ""


@dataclass(frozen=True)
class DrillDroplet:
    """A throw-away droplet. `shut`: its firewall is in force. `created_at` as the API writes it."""

    id: int
    name: str
    status: str
    locked: bool = False
    address: str = ""
    hourly: Decimal | None = None
    created_at: str = ""
    shut: bool = False
    report: Observed[DrillReport] = NOT_OBSERVED

    @property
    def active(self) -> bool:
        return self.status == "active" and not self.locked

    @property
    def isolated(self) -> bool:
        """Return whether it answers, and is proved to reach nothing."""
        return (
            self.active
            and self.shut
            and isinstance(self.report, DrillReport)
            and not self.report.not_isolated
        )


@dataclass(frozen=True)
class DrillPart:
    """A network, firewall or tag of a drill. `kind`: `network`, `firewall` or `tag`.

    `shut`: of a firewall, that it lets only SSH in and nothing out.
    """

    kind: str
    id: str
    name: str
    shut: bool = False


@dataclass(frozen=True)
class DrillSeen:
    """Everything that drills of one stack have created and that is there now."""

    parts: tuple[DrillPart, ...] = ()
    droplets: tuple[DrillDroplet, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.parts and not self.droplets

    def has(self, kind: str, name: str) -> bool:
        """Return whether a part is there; a firewall counts only when it is shut."""
        return any(
            p.kind == kind and p.name == name and (p.shut or kind != "firewall") for p in self.parts
        )

    def droplet(self, name: str) -> DrillDroplet | None:
        """Return the drill's droplet; None when there is none."""
        return next((d for d in self.droplets if d.name == name), None)


NOTHING_LEFT = DrillSeen()
