"""Off-hours windows as a procedure: adding one is approved once, and covers graceful closings of that kind only."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from services.cluster import Cluster, Fact
from services.prices import hourly, money
from services.procedures.base import Procedure
from services.spoken import rest
from services.steps import Step
from services.steps.hours import SaveWindow
from services.windows import KIND_WORDS, Window, check, closures, parse_window

CAP_HOURS = 672


@dataclass(frozen=True)
class AddWindow(Procedure):
    """Close the cluster at these hours from now on, as in `nights Mon-Fri 20:00-07:30 Europe/Madrid`."""

    command: ClassVar[str] = "window add"
    verb: ClassVar[str] = "Add a window to"
    doing: ClassVar[str] = "Adding a window to"
    done: ClassVar[str] = "has its window"
    looks_at: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL})

    window: str = rest("NAME DAYS HH:MM-HH:MM [ZONE] [--media-only] [--number N] [--meetings wait[:MINUTES]|ask|skip] [--except DATES]")

    @property
    def parsed(self) -> Window:
        """The window that the words mean. Refused when they mean none."""
        return parse_window(self.window)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        check(self.parsed)

    def steps(self, cluster: Cluster) -> Iterator[Step]:  # noqa: ARG002
        window = self.parsed
        yield SaveWindow(window.words(), f"*{window.name}* {window.times} ({window.title.partition('(')[2]}")

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        window = self.parsed
        return (KIND_WORDS[window.kind], saving_words(window, cluster), "`/openvidu window forecast` shows when it closes and opens")


def saving_words(window: Window, cluster: Cluster) -> str:
    """What it would save in four weeks, told honestly: media nodes only, and nothing of the hours that would be free anyway."""
    begin = cluster.seen_at
    found, _ = closures((window,), begin, begin + 28 * 86400.0)
    shut = sum((c.open - c.close) / 3600 for c in found)
    # In 28 days all 672 hours are billed; a longer month's further hours are free for a droplet that stays.
    saved = (hourly(cluster).media * Decimal(str(min(shut, CAP_HOURS)))).quantize(Decimal("0.01"))
    masters = "" if window.kind == "media-only" else "; the masters are billed all the same"
    return f"saves about {money(saved)} in four weeks (media nodes only{masters})"
