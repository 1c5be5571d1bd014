"""Upgrade OpenVidu in place through Slack, as the vendor's page orders it, and undo it."""

from typing import Any

import pytest

from services.procedures import Upgrade
from services.runs.run import State
from simulators.cloud.nodes import version_of
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended, titles


def versions(scene: Scene) -> set[str]:
    nodes = [*scene.estate.masters("acme"), *scene.estate.media("acme")]
    return {version_of(d) for d in nodes}


@pytest.mark.parametrize("kind", ["pool", "autoscaler"])
def test_the_vendors_page_in_slack(kind: Any) -> None:
    async def story() -> None:
        async with Scene(media=2, kind=kind) as scene:
            await request_and_approve(scene, "upgrade 3.7.0", "Upgrade acme to OpenVidu 3.7.0")
            run = await run_ended(scene)
            print(titles(run))
            print(everything_read(scene))
            assert versions(scene) == {"3.7.0"}

    virtual.run(story())
