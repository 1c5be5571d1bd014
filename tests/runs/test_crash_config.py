"""The bot crashes while it changes secrets.env: applied once, and nothing stays staged."""

from functools import partial

import pytest

from services.access.policy import Actor
from services.runs.run import State
from services.secrets_env import SecretsFile
from tests.runs.test_crash import BEN
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE, restart_after_absence
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

ANA = Actor("UANA", "T0ACME")
NEW = "Correct-Horse-Battery-9"


def staged(scene: Scene) -> list[str]:
    home = scene.estate.clusters["acme"].bucket
    return [
        k
        for k in scene.environment.spaces.buckets[home].objects
        if "staged" in k and scene.environment.spaces.read(home, k) is not None
    ]


def change(away: str, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=1, away=away) as scene:
            scene.estate.allow_rolling = True
            await scene.start_bot()
            operations = scene.bot.operations
            await operations.service.configure(
                ANA,
                "acme",
                lambda f: SecretsFile(bytes(f)).set("DASHBOARD_ADMIN_PASSWORD", NEW),
                channel="COPS",
            )
            (request,) = await operations.reader.waiting("acme")
            life = scene.crash_injectors[-1]
            life.points, life.die_at = 0, die_at
            for _ in range(400):
                if scene.crash_injectors[-1].is_dead:
                    await restart_after_absence(scene)
                runs = await scene.journal.latest("acme", 1)
                if runs and (await scene.journal.run(runs[0])).over:
                    break
                if not runs:
                    await scene.by_bot(scene.bot.operations.service.approve(request.id, BEN))
                await scene.wait(5)
            run = await scene.journal.run("acme-1")
            assert run.state is State.DONE, run.stopped
            written = (
                scene.environment.spaces.read(scene.estate.clusters["acme"].bucket, "secrets.env")
                or b""
            )
            assert f"DASHBOARD_ADMIN_PASSWORD={NEW}\n".encode() in written
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            for _ in range(90):
                if not staged(scene):
                    return life.points
                if scene.crash_injectors[-1].is_dead:
                    await scene.start_bot()
                await scene.wait(15)
            raise AssertionError(f"left for ever: {staged(scene)}")

    return virtual.run(story())


@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(away: str, part: int) -> None:
    assert_survives_any_crash(
        f"config set, {away}", partial(change, away), 8 if away == AT_ONCE else 4, part
    )
