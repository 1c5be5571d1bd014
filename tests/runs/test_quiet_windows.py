"""Quiet windows: nights in which a cluster closes because it is empty."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, run_ended, whole, with_buttons

MADRID = ZoneInfo("Europe/Madrid")
QUIET = "quiet daily 18:00-08:00 --when-empty 30m"
Story = Callable[[Scene], Awaitable[None]]


def at(text: str) -> float:
    """Return a time in Madrid, in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def play(
    story: Story,
    start: str = "2026-11-25T17:50",
    site: Mapping[str, object] = MappingProxyType({}),
    **more: Any,
) -> None:
    async def scene_of_it() -> None:
        about: dict[str, Any] = {"timezone": "Europe/Madrid", "channel": "COPS"}
        about |= {"windows": [QUIET], "wake": {"hours": 1}, **site}
        roles = {"operators": ["UANA", "UBEN"], "wakers": ["UDORA"]}
        async with Scene(
            media=2, origin=at(start), roles=roles, site=about, pydo=False, **more
        ) as scene:
            await story(scene)

    virtual.run(scene_of_it())


async def until(scene: Scene, when: str) -> None:
    await scene.wait(at(when) - scene.clock.now())


def down(scene: Scene) -> bool:
    masters = scene.estate.masters("acme")
    return all(m.status == "off" for m in masters) and not scene.estate.media("acme")


def up(scene: Scene) -> bool:
    return len(scene.estate.serving("acme")) == 2 and scene.estate.front_is_up("acme")


def test_a_night() -> None:
    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T18:26")
        print(everything_read(scene))
        await until(scene, "2026-11-25T18:40")
        print(everything_read(scene))
        run = await run_ended(scene)
        assert down(scene)
        await until(scene, "2026-11-25T23:00")
        await scene.dora.type_text("COPS", "/openvidu wake")
        await run_ended(scene, run="acme-2")
        await until(scene, "2026-11-26T02:00")
        print(everything_read(scene))
        await until(scene, "2026-11-26T08:01")
        print(everything_read(scene))
        assert up(scene)

    play(story)
