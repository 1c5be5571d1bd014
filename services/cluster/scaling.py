"""A standing permission to scale by the forecast, and what was done under it. Pure values."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from services.common.errors import Refused

DAY = 86400.0
MOST_NODES, MOST_CHANGES, MOST_DAYS = 1000, 48, 365
CHANGES, DAYS = "6", "30"
USAGE = "forecast allow 2-5 20 --changes 6 --days 30"
KEPT = 100  # changes; more than any quota allows in a day


@dataclass(frozen=True)
class ScalingPermission:
    """What a person has allowed: between how many media nodes, how often, at which price.

    `cents`: of US dollars, that the nodes above `least` may cost in a day. `changes`: in any
    24 hours. `days`: for which it counts, from `since` on (epoch seconds). `run`: the run that
    added it, whose approval stands.
    """

    least: int
    most: int
    cents: int
    changes: int
    days: int
    run: str = ""
    since: float = 0.0

    @property
    def until(self) -> float:
        """When it expires (epoch seconds)."""
        return self.since + self.days * DAY

    @property
    def dollars(self) -> str:
        """Return `$20` or `$12.50`."""
        whole, part = divmod(self.cents, 100)
        return f"${whole}.{part:02}" if part else f"${whole}"

    def cap(self, price: Decimal) -> int:
        """Return the most nodes that it allows at this price of one node an hour.

        The nodes above `least` never cost more a day than allowed, even if they stay all day.
        """
        affordable = int(Decimal(self.cents) / (price * 24 * 100)) if price > 0 else 0
        return min(self.most, self.least + affordable)


@dataclass(frozen=True)
class ScalingChange:
    """One run that was opened under the permission: when, and to how many nodes."""

    at: float
    number: int
    name: str


@dataclass(frozen=True)
class ScalingNotes:
    """What is kept of a cluster's scaling by the forecast."""

    permission: ScalingPermission | None = None
    changes: tuple[ScalingChange, ...] = ()

    def with_change(self, change: ScalingChange) -> "ScalingNotes":
        """Return them with one more change."""
        return replace(self, changes=(*self.changes, change)[-KEPT:])

    def used(self, now: float) -> int:
        """Return how many changes were made in the last 24 hours."""
        return sum(1 for c in self.changes if c.at > now - DAY)


NO_SCALING = ScalingNotes()


def parse_permission(nodes: str, dollars: str, changes: str, days: str) -> ScalingPermission:
    """Return the permission of these words. Refused with what was written and what is allowed."""
    span = re.fullmatch(r"(\d{1,4})(?:-|\u2013|\u2014|\.\.)(\d{1,4})", nodes)
    if span is None:
        raise Refused(f"between how many media nodes? write it as in `{USAGE}`; found “{nodes}”")
    least, most = int(span[1]), int(span[2])
    if not 1 <= least < most <= MOST_NODES:
        raise Refused(
            f"write the smaller number of media nodes first, from 1 to {MOST_NODES}: 2-5; "
            f"found “{nodes}”"
        )
    price = re.fullmatch(r"\$?(\d{1,6})(?:\.(\d{1,2}))?", dollars)
    if price is None or not (cents := int(price[1]) * 100 + int((price[2] or "0").ljust(2, "0"))):
        raise Refused(f"at most how many dollars a day? write 20; found “{dollars}”")
    return ScalingPermission(
        least,
        most,
        cents,
        _number(changes, MOST_CHANGES, "changes a day"),
        _number(days, MOST_DAYS, "days"),
    )


def _number(text: str, most: int, what: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= most:
        raise Refused(f"how many {what}? write a number from 1 to {most}; found “{text}”")
    return int(text)


def read_permission(text: str) -> ScalingPermission:
    """Return the permission in a text of `permission_text`."""
    nodes, dollars, changes, days = text.split()
    return parse_permission(nodes, dollars, changes, days)


def permission_text(allowed: ScalingPermission) -> str:
    """Return the text that `read_permission` reads as this permission."""
    span = f"{allowed.least}-{allowed.most}"
    return f"{span} {allowed.dollars} {allowed.changes} {allowed.days}"
