"""A scene with less waiting in it: the same things happen, and there are fewer points to die at between them."""

from dataclasses import replace
from typing import Any

from tests.support.scene import Scene

LOOK = 15.0


def brief(*, pydo: bool = False, away: str = "at once", **more: Any) -> Scene:
    """A scene that no bot lives in yet, for stories that are told thousands of times. Most points lie in looks that see nothing new."""
    scene = Scene(start=False, pydo=pydo, site={"timings": {"look": LOOK}}, **more)
    scene.estate.delays = replace(
        scene.estate.delays, power_on=10, shutdown=10, snapshot=20, resize=10,
            resize_per_used_gb=0.5, droplet_create=15, master_ready=20, media_install=20,
            pool_grace=10, pool_cooldown=60, pool_notice=15,
    )  # fmt: skip
    scene.away = away
    return scene
