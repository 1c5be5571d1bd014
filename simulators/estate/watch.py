"""What must never be seen in this world, whoever operates it. Knows nothing of how the operator works."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from simulators.estate.things import MEDIA_SERVERS, Droplet, Meeting, Pool, Violation

if TYPE_CHECKING:
    from simulators.estate.estate import Estate

IMAGE_KEY = "image"


class Watch:
    """Looks on, and writes down what should not have happened."""

    def __init__(self, estate: "Estate") -> None:
        self.estate = estate
        self.violations: list[Violation] = []
        self.kept: set[int] = set()
        self.rolling = False
        self.allow_thrown_out = False
        self.allow_template_keys: set[str] = set()
        self.thrown_out = 0
        self.signals: dict[tuple[int, str], int] = {}

    def report(self, kind: str, text: str) -> None:
        """Write a violation down."""
        self.violations.append(Violation(kind, text, self.estate.moment))

    def master_stops(self, master: Droplet) -> None:
        """A master was asked to stop, or went down."""
        if self.rolling:
            self._one_at_a_time(master)
            return
        left = [d.name for d in self.estate.media(master.stack) if d.id not in self.kept and not drained(d)]
        if left:
            self.report("master-before-media", f"{master.name} stops while {', '.join(left)} can still serve")

    def _one_at_a_time(self, master: Droplet) -> None:
        others = [self.estate.droplets[i] for i in self.estate.clusters[master.stack].master_ids if i != master.id]
        down = [d.name for d in others if not self.estate.up(d)]
        if down:
            self.report("two-masters-down", f"{master.name} stops while {', '.join(down)} is down")

    def signalled(self, droplet: Droplet, started_at: str) -> None:
        """A drain signal reached the media server that started then."""
        key = (droplet.id, started_at)
        self.signals[key] = self.signals.get(key, 0) + 1
        if self.signals[key] > 1 and not self.allow_thrown_out:
            self.report("second-signal", f"{droplet.name} was signalled {self.signals[key]} times since {started_at}")

    def people_lost(self, meetings: Iterable[Meeting], why: str) -> None:
        """People were in these meetings, and are not any more."""
        lost = list(meetings)
        people = sum(m.people for m in lost)
        self.thrown_out += people
        if people and not self.allow_thrown_out:
            self.report("thrown-out", f"{people} people in {len(lost)} meetings: {why}")

    def pool_edited(self, pool: Pool, shown: dict[str, Any], sent: dict[str, Any]) -> None:
        """Somebody PUT `sent` over a template that was read as `shown`."""
        keys = {k for k in shown.keys() | sent.keys() if shown.get(k, ...) != sent.get(k, ...)}
        if sent.get(IMAGE_KEY) == pool.template.get(IMAGE_KEY):  # the slug and the number name the same image
            keys.discard(IMAGE_KEY)
        if keys - self.allow_template_keys:
            self.report("pool-edit-lossy", f"{pool.name}: {', '.join(sorted(keys - self.allow_template_keys))} changed")


def drained(droplet: Droplet) -> bool:
    """Whether it was installed and no media container runs on it (one that still installs itself will serve soon)."""
    return droplet.node.installed and not any(c.running and (c.name in MEDIA_SERVERS or c.labels) for c in droplet.node.containers.values())
