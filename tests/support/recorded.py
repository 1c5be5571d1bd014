"""Recordings of stories in the simulated world."""

from pathlib import Path
from typing import Any

from bot.record.recorder import Recorder
from services.common.clock import loop_clock
from tests.support import virtual
from tests.support.scene import ORIGIN, Scene
from tests.support.stories import request_and_approve, run_ended


def record_story(path: Path, *commands: str, **options: Any) -> Path:
    """Record a bot that carries out these commands; return the file.

    What needs no approval is typed with `--now`.
    """

    async def story() -> None:
        clock = loop_clock(ORIGIN)
        recorder = Recorder(path, "0.0", {"acme": ""}, clock.now, threaded=False)
        async with Scene(pydo=True, listener=recorder.hear, **options) as scene:
            recorder.begin(options.get("kind", "pool"))
            for command in commands:
                if command.endswith("--now"):
                    await scene.ana.type_text("COPS", f"/openvidu {command}")
                    await scene.wait(15 * 60)
                else:
                    await request_and_approve(scene, command, "Approve")
                await run_ended(scene)
                await scene.wait(60)
        recorder.close()
        assert not recorder.problem
        assert not recorder.missed

    virtual.run(story())
    return path
