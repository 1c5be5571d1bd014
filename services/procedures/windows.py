"""The procedure that adds an off-hours window.

It is approved once, and covers only graceful closings of that kind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from typing_extensions import override

from services.billing.estimate import FOUR_WEEKS, NodePrice, four_weeks
from services.billing.prices import is_capped, money
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Fact, FleetKind
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.common.text import count_of, duration, join_words, plural
from services.procedures import fleet
from services.procedures.base import Procedure
from services.steps import Step
from services.steps.windows import SaveWindow
from services.windows import (
    BY_TURNS,
    KIND_WORDS,
    USAGE,
    Edge,
    SchedulePolicy,
    Window,
    begin_window,
    edges,
    find_conflicts,
    lead,
    parse_window,
)
from services.windows.days import day_words
from services.windows.ends import likely_end
from services.windows.overlap import overlaps
from services.windows.time_zones import day_and_time, offset, offset_words, wall
from services.windows.window import clock

# Accepts a window that saves nothing.
ANYWAY = "--saves-nothing"


@dataclass(frozen=True)
class AddWindow(Procedure):
    """Close the cluster at these hours from now on."""

    command: ClassVar[str] = "window add"
    help_text: ClassVar[str] = "Close the cluster at these hours from now on."
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    verb: ClassVar[str] = "Add"
    doing: ClassVar[str] = "Adding"
    done: ClassVar[str] = "has the window"
    schedulable: ClassVar[bool] = False
    not_schedulable_reason: ClassVar[str] = "a window has its own times"
    changes_cluster: ClassVar[bool] = False
    # Requested again, its standing approval is renewed.
    repeatable: ClassVar[bool] = True
    required_facts: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD})

    window: str = rest(USAGE, default="")

    def target_text(self, name: str) -> str:
        return f"{self._named('a window')} to {name}"

    def outcome_text(self, name: str) -> str:
        return f"{name} has {self._named('the window')}"

    def _named(self, unnamed: str) -> str:
        first = self._text().split(" ", 1)[0].casefold()
        return f"window {first}" if first else unnamed

    def parse(self, cluster: Cluster) -> Window:
        """Return the window. The cluster's time zone applies where the text names none.

        Refused when the text is no window.
        """
        return parse_window(self._text(), cluster.zone)

    def parse_incomplete(self, zone: str) -> Window | None:
        """Return an incomplete window for a form to complete; None when the text is complete.

        Refused when the text cannot begin a window.
        """
        return begin_window(self._text(), zone)

    def _text(self) -> str:
        # Slack clients turn a hyphen into an em dash, which is read as two hyphens.
        return re.sub(r"(?<=\w)--(?=\w)", "-", self.window).replace(ANYWAY, "").strip()

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        window = self.parse(cluster)
        media = fleet.fleet_of(cluster)
        if window.number is not None:
            media.check_window_number(window.number)
        media.check_shutdown(alone=window.kind == "media-only")
        if not media.saves and ANYWAY not in self.window:
            raise Refused(
                f"a window would save nothing on {cluster.name}: it has {media.name}, and "
                "DigitalOcean bills powered-off droplets in full. To add it anyway: "
                f"[[command window add {self.window.strip()} {ANYWAY}]]"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        window = self.parse(cluster)
        title = f"[[strong {window.name}]] {window.times} ({window.title.partition('(')[2]}"
        version = None
        if window.to_text() in cluster.windows:
            version = dict(cluster.window_versions).get(window.name)
        yield SaveWindow(window.to_text(), title, window.number or 0, version, _may_close(window))

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        window = self.parse(cluster)
        others = _others(window, cluster)
        since, until = cluster.seen_at, cluster.seen_at + FOUR_WEEKS
        return (
            *fleet.fleet_of(cluster).window_notes(),
            f"[[strong {window.kind.capitalize()}]]: {KIND_WORDS[window.kind]}",
            *_renewal(window, cluster),
            *_when_it_closes(window, others, cluster),
            *overlaps(others, window, since, until),
            *find_conflicts((*others, window), cluster.seen_at),
        )

    def cost_note(self, cluster: Cluster) -> str:
        return savings_text(self.parse(cluster), cluster)

    @override
    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        return ("See when it closes and opens with [[command window forecast]]",)


# Notes


def _of_same_name(window: Window, cluster: Cluster) -> list[str]:
    return [w for w in cluster.windows if w.split(" ", 1)[0] == window.name]


def _others(window: Window, cluster: Cluster) -> tuple[Window, ...]:
    """Return the cluster's other windows. One of the same name is replaced."""
    return tuple(parse_window(w) for w in cluster.windows if w.split(" ", 1)[0] != window.name)


def _renewal(window: Window, cluster: Cluster) -> tuple[str, ...]:
    if window.to_text() in _of_same_name(window, cluster):
        return ("this window exists: approving renews its standing approval",)
    return ()


def _may_close(window: Window) -> str:
    """Return when a quiet window may close, as its approval covers it; "" for another."""
    if window.when_empty is None:
        return ""
    begins, ends = window.times.split("-")
    days = day_words(window.days, window.dates)
    return (
        f"between {begins} and {ends} when empty for {duration(window.when_empty)}, "
        f"at most {count_of(window.closings, 'time')} a night "
        f"([[strong {window.name}]], {days}, {window.zone})"
    )


def _when_it_closes(
    window: Window, others: tuple[Window, ...], cluster: Cluster
) -> tuple[str, ...]:
    if window.when_empty is None:
        return (
            _meetings(window),
            *_meanwhile(window, cluster),
            *_first_closing(window, others, cluster),
        )
    earliest = window.close + round(window.when_empty / 60)
    return (
        f"{window.empty_words}, at the earliest {clock(earliest % 1440)}. People, recordings and "
        "streams count as a meeting, and so does what is unknown",
        "who comes as it closes keeps it in service: nothing is asked, no one is disconnected",
        f"in service again by {clock(window.open)}, and before for a meeting in a calendar or a "
        f"wake-up. After a wake-up it stays open for {duration(window.stays)} at least",
    )


def _first_closing(window: Window, others: tuple[Window, ...], cluster: Cluster) -> tuple[str, ...]:
    """Return when the window closes first within four weeks, and when it is likely to be closed."""
    coming = edges((*others, window), cluster.seen_at, cluster.seen_at + FOUR_WEEKS)
    closings = (e for e in coming if e.kind == "close" and e.acts and window.name in e.windows)
    first = next(closings, None)
    if first is None:
        return ()
    return (f"closes first on {_when(first)}", likely_end(cluster.past_closings, first))


def _when(edge: Edge) -> str:
    """Return `Mon 2027-11-01 20:00 (Europe/Madrid, UTC+1)`."""
    zone = ZoneInfo(edge.zone)
    utc_offset = offset_words(offset(zone, edge.at))
    return f"{day_and_time(wall(zone, edge.at))} ({edge.zone}, {utc_offset})"


def _meetings(window: Window) -> str:
    match window.meetings:
        case "wait":
            return (
                f"running meetings have {duration(window.wait_limit)} to end. Then operators are "
                "asked; without an answer it stays in service"
            )
        case "skip":
            return (
                "if meetings are running at closing time, it stays in service until the next window"
            )
        case _:
            return (
                "if meetings are running at closing time, operators are asked first. Without an "
                "answer it stays in service"
            )


def _meanwhile(window: Window, cluster: Cluster) -> tuple[str, ...]:
    """Return what stays in service while a closing may be given up.

    Empty where a closing never begins with meetings running.
    """
    if window.meetings == "skip":
        return ()
    least, plane = cluster.min_serving, control_plane_of(cluster)
    if plane.hosts_meetings:
        return (
            f"{plane.all_masters} stays in service until no meetings are left, or operators decide",
        )
    return (
        f"{count_of(least, 'media node')} {plural(least, 'stays', 'stay')} in service until no "
        "meetings are left, or operators decide",
    )


# Savings


def savings_text(window: Window, cluster: Cluster) -> str:
    """Return what the window saves in four weeks beside the cluster's other windows.

    Media nodes only. Hours that another window closes already do not count.
    """
    if not fleet.fleet_of(cluster).saves:
        return "saves nothing: DigitalOcean bills powered-off droplets in full"
    nodes = _node_prices(cluster)
    if nodes is None:
        return "savings unknown: the price of a media node was not observed"
    policy = SchedulePolicy(lead=_lead(cluster))
    others = _others(window, cluster)
    windows_now = tuple(parse_window(w) for w in cluster.windows)
    by_clock = replace(window, when_empty=None)
    cost_now = four_weeks(windows_now, cluster.seen_at, nodes, policy)
    saved = cost_now - four_weeks((*others, by_clock), cluster.seen_at, nodes, policy)
    amount = f"costs about {money(-saved)} more" if saved < 0 else f"saves about {money(saved)}"
    beside = ""
    if others:
        save = plural(len(others), "saves", "save")
        beside = f", in addition to what {join_words(w.name for w in others)} {save}"
    if window.when_empty is not None:
        beside += " if no one ever meets in these hours; [[command cost]] shows what it saved"
        amount = amount.replace("saves about", "saves at most")
    masters = "" if window.kind == "media-only" else f"; {_masters_billed(cluster)}"
    number = _number_change(window, cluster)
    return f"{number}{amount} in four weeks{beside} (media nodes only{masters})"


def _masters_billed(cluster: Cluster) -> str:
    """Return that what is powered off is billed all the same: `the masters stay billed`."""
    plane = control_plane_of(cluster)
    return f"{plane.all_masters} stays billed" if plane.masters == 1 else "the masters stay billed"


def _lead(cluster: Cluster) -> float:
    """Return the seconds before a window's end at which the start-up begins."""
    if cluster.kind is FleetKind.AUTOSCALER:
        return BY_TURNS
    return lead(())


def _number_change(window: Window, cluster: Cluster) -> str:
    """Return that the window opens with another number of nodes than now; "" when it does not."""
    now = len(cluster.media) or cluster.nodes_before_shutdown or 0
    if window.number is None or window.number == now:
        return ""
    return f"it opens with {count_of(window.number, 'media node')} ({now} now): "


def _node_prices(cluster: Cluster) -> list[NodePrice] | None:
    """Return the price of each media node, or of those that it had before it was closed.

    None: a price was not seen.
    """
    prices = [_price(n.droplet.hourly, n.droplet.monthly, n.droplet.size) for n in cluster.media]
    if not cluster.media:
        prices = [_pool_price(cluster)] * (cluster.nodes_before_shutdown or 0)
    seen = [p for p in prices if p is not None]
    if len(seen) < len(prices):
        return None
    return seen


def _pool_price(cluster: Cluster) -> NodePrice | None:
    slug, monthly = "", None
    if cluster.pool is not None:
        slug = cluster.pool.size
    size = cluster.size(slug)
    if size is not None:
        monthly = size.monthly
    return _price(cluster.media_price, monthly, slug)


def _price(per_hour: Decimal | None, per_month: Decimal | None, size: str) -> NodePrice | None:
    if per_hour is None:
        return None
    if size and not is_capped(size, per_month):
        return NodePrice(per_hour, capped=False)
    return NodePrice(per_hour, per_month or None)
