"""Durations of everything in the pretend cloud."""

from dataclasses import dataclass


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
    front: float = 5.0
    """Until the load balancer sends people to a master that has become healthy."""


PUBLISHED = Delays(power_on=30.0, shutdown=30.0, resize=0.0, resize_per_used_gb=60.0)
"""DigitalOcean's published figures.

A resize takes "about one minute per GB of used disk", power actions up to half a minute.
"""
