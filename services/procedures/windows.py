"""Off-hours windows as a procedure: adding one is approved once, and covers graceful closings of that kind only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from services.cluster import Cluster, Fact
from services.errors import Refused
from services.prices import hourly, money, summed
from services.procedures import fleet
from services.procedures.base import Procedure
from services.spoken import CommandClass, rest
from services.steps import Step
from services.steps.base import count, duration
from services.steps.hours import SaveWindow
from services.windows import KIND_WORDS, USAGE, Window, begin_window, closures, edges, lint, parse_window
from services.windows.zones import day_and_time, wall

FOUR_WEEKS = 28 * 86400.0
ANYWAY = "--saves-nothing"


@dataclass(frozen=True)
class AddWindow(Procedure):
    """Close the cluster at these hours from now on, as in `nights Mon-Fri 20:00-07:30 Europe/Madrid`."""

    command: ClassVar[str] = "window add"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WINDOWS,)
    verb: ClassVar[str] = "Add a window to"
    doing: ClassVar[str] = "Adding a window to"
    done: ClassVar[str] = "has its window"
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
                f"To close it for another reason, say so: `/openvidu window add {self.window.strip()} {ANYWAY}`"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        window = self.parsed(cluster)
        title = f"*{window.name}* {window.times} ({window.title.partition('(')[2]}"
        same = dict(cluster.window_versions).get(window.name) if window.words() in cluster.windows else None
        yield SaveWindow(window.words(), title, window.number or 0, same)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        window = self.parsed(cluster)
        named = [w for w in cluster.windows if w.split(" ", 1)[0] == window.name]
        old = [w for w in named if w != window.words()]
        again = ("it is there already: this renews its standing approval",) if window.words() in named else ()
        others = tuple(parse_window(w) for w in cluster.windows if w not in named)
        first = next((e for e in edges((window,), cluster.seen_at, cluster.seen_at + FOUR_WEEKS) if e.kind == "close" and e.acts), None)
        return (
            f"*{window.kind}*: {KIND_WORDS[window.kind]}",
            *again,
            _meetings(window),
            *(f"it takes the place of `{w}`" for w in old),
            *((f"closes first on {day_and_time(wall(ZoneInfo(first.zone), first.at))} ({first.zone})",) if first else ()),
            *lint((*others, window), cluster.seen_at),
        )

    def money(self, cluster: Cluster) -> str:
        return saving_words(self.parsed(cluster), cluster)

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        return ("`/openvidu window forecast` shows when it closes and opens",)


def _meetings(window: Window) -> str:
    match window.meetings:
        case "wait":
            return f"running meetings may go on for {duration(window.wait_limit)}; then people are asked, and without an answer it stays up"
        case "skip":
            return "it stays up for that time when somebody meets as it would close"
        case _:
            return "people are asked first when somebody meets as it would close, and without an answer it stays up"


def saving_words(window: Window, cluster: Cluster) -> str:
    """What it would save or cost in four weeks, told honestly: media nodes only, and nothing of the hours that would be free anyway."""
    if not fleet.of(cluster).saves:
        return "saves nothing: droplets that are off are billed in full"
    found, _ = closures((window,), cluster.seen_at, cluster.seen_at + FOUR_WEEKS)
    shut = Decimal(str(sum((min(c.open, cluster.seen_at + FOUR_WEEKS) - max(c.close, cluster.seen_at)) / 3600 for c in found)))
    # In 28 days all 672 hours are billed; a longer month's further hours are free for a droplet that stays.
    media = hourly(cluster).media
    if media == 0:
        media = summed((cluster.media_price,) * (cluster.remembered or 0))
    opens = media if window.number is None else summed((cluster.media_price,) * window.number)
    if media is None or opens is None:
        return "how much it saves is unknown: the price of a media node was not seen"
    hours = Decimal(str(FOUR_WEEKS / 3600))
    saved = (media * hours - opens * (hours - shut)).quantize(Decimal("0.01"))
    masters = "" if window.kind == "media-only" else "; the masters are billed all the same"
    there = len(cluster.media) or cluster.remembered or 0
    more = "" if window.number in (None, there) else f"it opens with {count(window.number or 0, 'media node')}, there are {there} now: "
    said = f"costs about {money(-saved)} more" if saved < 0 else f"saves about {money(saved)}"
    return f"{more}{said} in four weeks (media nodes only{masters})"
