"""Durations of everything in the pretend cloud."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulators.evidence import Source, rests_on


@dataclass(frozen=True)
class Delays:
    """Durations, in seconds of the cloud's clock."""

    power_on: float = 25.0
    shutdown: float = 20.0
    power_off: float = 5.0
    reboot: float = 25.0
    status_lag: float = 3.0
    """A droplet shows its old status for this long after its action has completed."""
    droplet_create: float = 33.0
    droplet_destroy: float = 2.0
    resize: float = 60.0
    resize_per_used_gb: float = 6.0
    snapshot: float = 120.0
    media_install: float = 180.0
    """From the first boot of a media node until its containers run."""
    media_boot: float = 20.0
    master_ready: float = 90.0
    """From the last of the needed masters' start until they are healthy."""
    livekit_ready: float = 0.0
    """From the start of a media server's container until it is ready; it answers 406 before."""
    drain_exit: float = 2.0
    """From the last meeting's end until a draining media server has left."""
    pool_notice: float = 30.0
    """Until a pool notices that one of its members was destroyed."""
    pool_retry: float = 60.0
    pool_grace: float = 60.0
    """Between the shutdown event that a pool sends to a member and the member's destruction."""
    pool_cooldown: float = 600.0
    pool_delete: float = 8.0
    metadata: float = 10.0
    """Until a droplet reads a new tag in its own metadata."""
    update: float = 300.0
    """From the begin of `update.sh` on a node until its end, with the new images."""
    configuration: float = 15.0
    """From the start of a master with changed files until the media nodes have them."""
    front: float = 5.0
    """Until the load balancer sends people to a master that has become healthy."""


PUBLISHED = Delays(power_on=30.0, shutdown=30.0, resize=0.0, resize_per_used_gb=60.0)
"""DigitalOcean's published figures.

A resize takes "about one minute per GB of used disk", power actions up to half a minute.
"""

MEASURED = Path(__file__).with_name("durations.json")
"""Seconds of what recordings show, by what happened: the least, the median and the most.

Written by `scripts/durations.py` from tests/recordings (CONTRIBUTING.md).
"""
FIELDS = {
    "action power_on": "power_on", "action shutdown": "shutdown", "action power_off": "power_off",
    "action reboot": "reboot", "action power_cycle": "reboot", "action snapshot": "snapshot",
    "power_on until active": "power_on", "shutdown until off": "shutdown",
    "power_off until off": "power_off", "power_cycle until active": "reboot",
    "power_on until healthy": "master_ready",
}  # fmt: skip
"""The delay that decides what a recording shows."""


def measured(file: Path = MEASURED) -> Mapping[str, tuple[float, float, float]]:
    """Return the durations of the recordings: least, median, most."""
    return {what: (times[0], times[1], times[2]) for what, times in _read(file).items()}


def _read(file: Path) -> dict[str, list[float]]:
    content: dict[str, list[float]] = json.loads(file.read_text("utf-8"))
    return content


def range_of(what: str) -> tuple[float, float] | None:
    """Return the least and the most seconds that something takes; None where no delay decides it.

    A resize depends on what is on the disk, and has no range.
    """
    field = FIELDS.get(what)
    if field is None:
        return None
    known = [float(getattr(delays, field)) for delays in (Delays(), PUBLISHED)]
    least, _, most = measured().get(what, (known[0], 0.0, known[0]))
    return min([*known, least]), max([*known, most])


@cache
def learnt(file: Path = MEASURED) -> Delays:
    """Return the delays with what recordings show, today's values where they show nothing."""
    found = measured(file)
    # What the API says about its own actions is more exact than what was seen between two looks.
    shown = {FIELDS[w]: found[w][1] for w in reversed(list(FIELDS)) if w in found}
    return Delays(**shown)


rests_on(
    "durations",
    Source.DOCUMENT,
    "DigitalOcean's pages on droplets (power, resize by used disk) and autoscale pools "
    "(60 s between shutdown and destruction, ten minutes of cooldown)",
    "power_on",
    "shutdown",
    "power_off",
    "reboot",
    "resize",
    "resize_per_used_gb",
    "pool_grace",
    "pool_cooldown",
)
rests_on(
    "durations",
    Source.DOCUMENT,
    "planton's published end-to-end measurement of a pool, 2026-09-16",
    "droplet_create",
    "pool_delete",
)
rests_on(
    "durations",
    Source.DOCUMENT,
    "digitalocean/droplet_kit#50: a droplet shows its old status for some seconds",
    "status_lag",
)
rests_on(
    "durations",
    Source.SOURCE,
    "livekit cmd/server/main.go and service/server.go: a drain is checked every few seconds",
    "drain_exit",
    "livekit_ready",
)
rests_on(
    "durations",
    Source.NOTHING,
    "a guess that a recording replaces",
    "droplet_destroy",
    "snapshot",
    "media_install",
    "media_boot",
    "master_ready",
    "pool_notice",
    "pool_retry",
    "metadata",
    "update",
    "configuration",
    "front",
)
