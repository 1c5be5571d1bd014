"""Off-hours windows as a procedure: adding one is approved once, and covers graceful closings of that kind only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from services.billing.estimate import FOUR_WEEKS, NodePrice, four_weeks
from services.billing.prices import is_capped, money
from services.cluster.model import Cluster, Fact, FleetKind
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.common.text import count, duration, listed
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
    lead,
    lint,
    parse_window,
)
from services.windows.ends import likely_end
from services.windows.overlap import overlaps
from services.windows.time_zones import day_and_time, offset, offset_words, wall

ANYWAY = "--saves-nothing"


@dataclass(frozen=True)
class AddWindow(Procedure):
    """Close the cluster at these hours from now on, as in `nights Mon-Fri 20:00-07:30 Europe/Madrid`."""

    command: ClassVar[str] = "window add"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    verb: ClassVar[str] = "Add a window to"
    doing: ClassVar[str] = "Adding a window to"
    done: ClassVar[str] = "has its window"
    schedulable: ClassVar[bool] = False
    why_not_later: ClassVar[str] = "a window says itself when it closes and opens"
    each_time: ClassVar[bool] = True  # asked for again its standing approval is renewed
    looks_at: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD})

    window: str = rest(USAGE, default="")

    def parsed(self, cluster: Cluster) -> Window:
        """The window that the words mean, in the cluster's own zone where they name none. Refused when they mean none."""
        return parse_window(self._typed(), cluster.zone)

    def begun(self, zone: str) -> Window | None:
        """Where the words are only the beginning, what there is to be filled in. Refused when they are no beginning either."""
        return begin_window(self._typed(), zone)

    def _typed(self) -> str:
        # Slack's clients make a long dash of a short one, which is read as two.
        return re.sub(r"(?<=\w)--(?=\w)", "-", self.window).replace(ANYWAY, "").strip()

    @property
    def _for_its_own_sake(self) -> bool:
        return ANYWAY in self.window

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        window = self.parsed(cluster)
        media = fleet.of(cluster)
        if window.number is not None:
            media.check_opening(window.number)
        if not media.saves and not self._for_its_own_sake:
            raise Refused(
                f"a window would save nothing on {cluster.name}: it has {media.name}, and droplets that are off are billed in full. "
                f"To close it for another reason, say so: [[command window add {self.window.strip()} {ANYWAY}]]"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        window = self.parsed(cluster)
        title = f"[[strong {window.name}]] {window.times} ({window.title.partition('(')[2]}"
        same = (
            dict(cluster.window_versions).get(window.name)
            if window.words() in cluster.windows
            else None
        )
        yield SaveWindow(window.words(), title, window.number or 0, same)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        window = self.parsed(cluster)
        named = [w for w in cluster.windows if w.split(" ", 1)[0] == window.name]
        old = [w for w in named if w != window.words()]
        again = (
            ("it is there already: this renews its standing approval",)
            if window.words() in named
            else ()
        )
        others = _others(window, cluster)
        since, until = cluster.seen_at, cluster.seen_at + FOUR_WEEKS
        coming = edges((*others, window), since, until)
        first = next(
            (e for e in coming if e.kind == "close" and e.acts and window.name in e.windows), None
        )
        return (
            f"[[strong {window.kind}]]: {KIND_WORDS[window.kind]}",
            *again,
            _meetings(window),
            *_meanwhile(window, cluster),
            *(f"it takes the place of `{w}`" for w in old),
            *(
                (f"closes first on {_when(first)}", likely_end(cluster.evenings, first))
                if first
                else ()
            ),
            *overlaps(others, window, since, until),
            *lint((*others, window), cluster.seen_at),
        )

    def money(self, cluster: Cluster) -> str:
        return saving_words(self.parsed(cluster), cluster)

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        return ("[[command window forecast]] shows when it closes and opens",)


def _when(edge: Edge) -> str:
    """`Mon 2027-11-01 20:00 (Europe/Madrid, UTC+1)`."""
    zone = ZoneInfo(edge.zone)
    return (
        f"{day_and_time(wall(zone, edge.at))} ({edge.zone}, {offset_words(offset(zone, edge.at))})"
    )


def _meetings(window: Window) -> str:
    match window.meetings:
        case "wait":
            return f"running meetings may go on for {duration(window.wait_limit)}; then people are asked, and without an answer it stays up"
        case "skip":
            return "it stays up for that time when somebody meets as it would close"
        case _:
            return "people are asked first when somebody meets as it would close, and without an answer it stays up"


def _meanwhile(window: Window, cluster: Cluster) -> tuple[str, ...]:
    """What stays in service while a closing may still be given up; nothing has to where it never begins with meetings."""
    if window.meetings == "skip":
        return ()
    least = cluster.min_serving
    return (
        f"{count(least, 'media node')} {'stays' if least == 1 else 'stay'} in service until no one meets there, or people decide",
    )


def _others(window: Window, cluster: Cluster) -> tuple[Window, ...]:
    """The cluster's other windows; one of the same name makes way for it."""
    return tuple(parse_window(w) for w in cluster.windows if w.split(" ", 1)[0] != window.name)


def saving_words(window: Window, cluster: Cluster) -> str:
    """What it adds to what the other windows save in four weeks: media nodes only, and nothing of hours that are closed anyway."""
    if not fleet.of(cluster).saves:
        return "saves nothing: droplets that are off are billed in full"
    nodes = _nodes(cluster)
    if nodes is None:
        return "how much it saves is unknown: the price of a media node was not seen"
    terms = SchedulePolicy(lead=BY_TURNS if cluster.kind is FleetKind.AUTOSCALER else lead(()))
    before = tuple(parse_window(w) for w in cluster.windows)
    others = _others(window, cluster)
    costs_now, costs_then = (
        four_weeks(w, cluster.seen_at, nodes, terms) for w in (before, (*others, window))
    )
    masters = "" if window.kind == "media-only" else "; the masters are billed all the same"
    saved = costs_now - costs_then
    said = f"saves about {money(saved)}" if saved >= 0 else f"costs about {money(-saved)} more"
    beside = (
        f", beside what {listed(w.name for w in others)} {'saves' if len(others) == 1 else 'save'}"
        if others
        else ""
    )
    there = len(cluster.media) or cluster.remembered or 0
    more = (
        ""
        if window.number in (None, there)
        else f"it opens with {count(window.number or 0, 'media node')}, there are {there} now: "
    )
    return f"{more}{said} in four weeks{beside} (media nodes only{masters})"


def _nodes(cluster: Cluster) -> list[NodePrice] | None:
    """What its media nodes cost, or those that it had before it was closed. None: a price was not seen."""
    if cluster.media:
        nodes = [_price(n.droplet.hourly, n.droplet.monthly, n.droplet.size) for n in cluster.media]
    else:
        size = cluster.pool.size if cluster.pool else ""
        known = cluster.size(size)
        nodes = [_price(cluster.media_price, known.monthly if known else None, size)] * (
            cluster.remembered or 0
        )
    seen = [n for n in nodes if n is not None]
    return seen if len(seen) == len(nodes) else None


def _price(per_hour: Decimal | None, per_month: Decimal | None, size: str) -> NodePrice | None:
    if per_hour is None:
        return None
    capped = is_capped(size, per_month) if size else True
    return NodePrice(per_hour, (per_month or None) if capped else None, capped)
