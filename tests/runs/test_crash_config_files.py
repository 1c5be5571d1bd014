"""A configuration file is the old or the new one, wherever the bot is killed or cancelled."""

from functools import partial

import pytest

from services.access.policy import Actor
from services.common.errors import BotError
from services.config_files import ConfigText, file_named
from services.config_files.values import with_value
from services.runs.run import OVER, Run, State
from simulators.cloud.configuration import READERS
from tests.support import virtual
from tests.support.absence import restart_after_absence
from tests.support.coverage_level import FULL, PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
LIVEKIT = next(iter(READERS))
CHANGES = {
    "accepted": ("room.max_participants", "50", State.DONE),
    "refused by the nodes": ("node_selector.kind", "nonsense", State.ROLLED_BACK),
}
SWEEPS = 1500.0  # seconds, in which staged files that nothing refers to are deleted


def _changed(content: ConfigText, path: str, value: str) -> str:
    return with_value(content.file, content.text, path, value)


async def _ask(scene: Scene, path: str, value: str) -> None:
    operations = scene.bot.operations
    change = partial(_changed, path=path, value=value)
    try:
        waiting = await operations.reader.waiting("acme")
        if not waiting:
            await operations.service.change_file(
                ANA, "acme", file_named("livekit.yaml"), change, channel="COPS"
            )
            waiting = await operations.reader.waiting("acme")
        for request in waiting:
            await operations.service.approve(request.id, BEN)
    except BotError:
        return


async def insist(scene: Scene, path: str, value: str) -> Run:
    """Start a crashed bot again, and request again what was not taken."""
    for _ in range(1000):
        if scene.crash_injectors[-1].is_dead:
            await restart_after_absence(scene)
        runs = await scene.journal.latest("acme", 10)
        if runs:
            run = await scene.journal.run(runs[0])
            if run.over or run.state is State.STOPPED:
                return run
        else:
            await scene.by_bot(_ask(scene, path, value))
        await scene.wait(15)
    raise AssertionError("it never came to an end")


def files(scene: Scene) -> set[bytes]:
    return {m.node.files[LIVEKIT] for m in scene.estate.masters("acme")}


def _left(scene: Scene) -> list[str]:
    kept = [
        path
        for master in scene.estate.masters("acme")
        for path in master.node.files
        if "/openvidu-bot/" in path[:-1]
    ]
    bucket = scene.estate.clusters["acme"].bucket
    spaces = scene.environment.spaces
    return kept + [
        key
        for key in spaces.buckets[bucket].objects
        if "/staged/" in key and spaces.read(bucket, key) is not None
    ]


def tell(name: str, die_at: CrashPoint) -> int:
    path, value, ends = CHANGES[name]

    async def story() -> int:
        async with short_scene(media=1) as scene:
            (before,) = files(scene)
            await scene.start_bot(die_at)
            run = await insist(scene, path, value)
            assert run.state is ends, run.stopped
            (after,) = files(scene)
            assert (after == before) is (ends is State.ROLLED_BACK)
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 1
            await scene.settled(run)
            await scene.wait(SWEEPS)
            assert _left(scene) == []
            return scene.crash_injectors[0].points

    return virtual.run(story())


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(name: str, part: int) -> None:
    assert_survives_any_crash(f"configuration {name}", partial(tell, name), 12, part)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("after", range(1, 400, 20 if FULL else 110))
def test_cancelled_at_any_moment(name: str, after: int) -> None:
    path, value, _ = CHANGES[name]

    async def story() -> None:
        async with short_scene(media=1) as scene:
            (before,) = files(scene)
            await scene.start_bot()
            await scene.by_bot(_ask(scene, path, value))
            await scene.wait(after)
            run = await scene.journal.run("acme-1")
            if run.state not in OVER:
                await scene.by_bot(scene.bot.operations.service.cancel("acme-1", ANA))
            run = await scene.run_is("acme-1", *OVER, State.STOPPED)
            assert run.state is not State.STOPPED, run.stopped
            (now,) = files(scene)
            if run.state is not State.DONE or name != "accepted":
                assert now == before or name == "accepted"
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 1
            await scene.settled(run)
            await scene.wait(SWEEPS)
            assert _left(scene) == []

    virtual.run(story())
