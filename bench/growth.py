"""What grows with a number: measured at several sizes, and drawn with its floor."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.curves import curve
from bench.figures import PROCESSOR_TIME, SIMULATED_TIME, Figure, Unmeasured
from bench.fleets import close, idle

CROWDS = (1, 10, 25, 50)
ON_ONE_BOT = (10, 100, 300, 1_000)
CROWD, CLUSTERS = "Growth: requests of a crowd", "Growth: clusters on one bot"
HISTORY, REDIS = "Computing for a run, as the journal grows", "Growth: memory of Redis"
NUMBER = re.compile(r"\d[\d,]*")


def growth() -> list[Figure]:
    """Measure a crowd that closes at the same minute, and a bot with more and more clusters."""
    return [*crowds(), *clusters()]


def crowds() -> list[Figure]:
    """Measure requests of each cluster as more close at once; writes cannot be shared."""
    seen = {number: close(number) for number in CROWDS}
    return [
        Figure(
            CROWD,
            f"{number} under one token",
            len(closing.requests) / number,
            closing.writes / number,
            "requests each",
            "its writes alone",
            tolerance=SIMULATED_TIME,
        )
        for number, closing in seen.items()
    ]


def clusters() -> list[Figure]:
    """Measure a round as a bot has more clusters; each costs at least what the cheapest cost."""
    rounds = {number: idle(number, minutes=1.0).core * 10_000 for number in ON_ONE_BOT}
    cheapest = min(ms / number for number, ms in rounds.items())
    return [
        Figure(
            CLUSTERS,
            f"{number:,} clusters",
            ms,
            cheapest * number,
            "ms a round",
            "the cheapest of them, so many times",
            2.0,
            tolerance=PROCESSOR_TIME,
        )
        for number, ms in rounds.items()
    ]


@dataclass(frozen=True)
class Picture:
    """A curve of docs/pictures: the figures of a group by the number in their names."""

    name: str
    group: str
    title: str
    x: str
    y: str
    first: int | None = None  # the size that is only beside the others

    def draw(self, figures: Sequence[Figure]) -> str:
        """Draw it. Unmeasured without two points."""
        ours = [f for f in figures if f.group == self.group]
        if len(ours) < 2:
            raise Unmeasured(f"the picture {self.name}: {len(ours)} points")
        points = [(_number(f.name), f.ours) for f in ours]
        floor = [(_number(f.name), f.peer) for f in ours]
        if self.first is not None:
            points.insert(0, (self.first, ours[0].peer))
            floor.insert(0, (self.first, ours[0].peer))
        return curve(self.title, self.x, self.y, points, floor, ours[0].against)


PICTURES = (
    Picture(
        "history",
        HISTORY,
        "Computing for one run, as the journal grows",
        "earlier runs",
        "milliseconds",
        10,
    ),
    Picture(
        "crowd",
        CROWD,
        "Requests to DigitalOcean for each cluster, as more close at the same minute",
        "clusters under one token",
        "requests each",
    ),
    Picture(
        "clusters",
        CLUSTERS,
        "Computing for one round, as one bot drives more clusters",
        "clusters on one bot",
        "milliseconds",
    ),
    Picture(
        "redis",
        REDIS,
        "Memory of Redis, as clusters are added (one night of runs each)",
        "clusters",
        "megabytes",
    ),
)


def pictures(figures: Sequence[Figure]) -> Mapping[str, str]:
    """Return the pictures that these figures have the points for, by name."""
    groups = {figure.group for figure in figures}
    return {p.name: p.draw(figures) for p in PICTURES if p.group in groups}


def _number(name: str) -> int:
    """Return the number in a figure's name: the one after "after", or the only one."""
    found = NUMBER.search(name)
    if found is None:
        raise Unmeasured(f"a point without a number: {name}")
    return int(found[0].replace(",", ""))
