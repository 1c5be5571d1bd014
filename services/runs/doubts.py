"""Surprises that several looks must confirm: another cluster, or a refusal that may be a glitch."""

from collections.abc import Hashable
from dataclasses import dataclass

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster
from services.common.errors import Forbidden, Rejected, Unreachable
from services.runs.watched_time import Stopwatch

TIMES = 3
OVER = 60.0
AGAIN = 20.0
"""A doubt is confirmed by `TIMES` looks over `OVER` seconds, `AGAIN` seconds apart."""

GLITCHES = (401, 403, 404)


class Doubtful(Unreachable):
    """One look shows what a single wrong answer could show too: look again before acting on it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, again_in=AGAIN)


@dataclass
class Doubt:
    """How often something was seen, and over how long."""

    clock: Stopwatch
    times: int = 0


class Doubts:
    """Doubts by what was looked at or asked for: another look that is fine does not clear them."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Doubt] = {}

    def seen(self, what: Hashable, now: float) -> bool:
        """Count one more sighting. True when there are enough to believe it."""
        doubt = self._open.setdefault(what, Doubt(Stopwatch(now)))
        doubt.clock.tick(doubt.clock.began, now)
        doubt.times += 1
        return doubt.times >= TIMES and doubt.clock.seconds >= OVER

    def cleared(self, what: Hashable) -> None:
        """It was not confirmed."""
        self._open.pop(what, None)


def is_glitch(error: Rejected) -> bool:
    """Whether such a rejection may come once, from something in between, and mean nothing."""
    if isinstance(error, Forbidden):  # also a key that one sshd refuses once
        return True
    return error.status is not None and (error.status in GLITCHES or error.status >= 500)


def doubted(cluster: Cluster) -> str:
    """A sentence for the card about what a look seems to show."""
    plane = control_plane_of(cluster)
    if cluster.masters and plane.missing(len(cluster.masters)):
        return f"DigitalOcean shows {len(cluster.masters)} of {plane.masters} masters"
    return cluster.problem


@dataclass
class Outage:
    """Something that blocks a run: since when, and whether people were notified."""

    since: float | None = None
    notified: bool = False

    def lasts(self, now: float) -> float:
        """Seconds since it began, which is now if it had not."""
        if self.since is None:
            self.since = now
        return now - self.since

    def over(self) -> None:
        """It is over."""
        self.since, self.notified = None, False
