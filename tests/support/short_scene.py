"""A scene with less waiting: the same things happen, with fewer points to crash at between them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.support.scene import Scene

LOOK = 15.0


def short_scene(
    *,
    pydo: bool = False,
    away: str = "at once",
    site: Mapping[str, Any] | None = None,
    **more: Any,
) -> Scene:
    """Return a scene without a bot, for stories that run thousands of times.

    Most crash points lie in looks that see nothing new.
    """
    scene = Scene(start=False, pydo=pydo, site={"timings": {"look": LOOK}, **(site or {})}, **more)
    scene.estate.delays = replace(
        scene.estate.delays, power_on=10, shutdown=10, snapshot=20, resize=10,
            resize_per_used_gb=0.5, droplet_create=15, master_ready=20, media_install=20,
            pool_grace=10, pool_cooldown=60, pool_notice=15,
    )  # fmt: skip
    scene.downtime = away
    return scene
