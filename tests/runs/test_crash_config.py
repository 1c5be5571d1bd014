"""The bot dies while it changes secrets.env: the change is there in the end, once, and nothing is left staged."""

import os

from services.policy import Actor
from services.runs import State
from services.secrets_env import SecretsFile
from tests.runs.test_crash import BEN
from tests.support import virtual
from tests.support.scene import Scene

ANA = Actor("UANA", "T0ACME")
NEW = "Correct-Horse-Battery-9"
FULL = bool(os.environ.get("OPENVIDU_BOT_FULL"))


def change(die_at: int | None) -> int:
    async def story() -> int:
        async with Scene(media=1, start=False) as scene:
            scene.estate.rolling = True
            home = scene.estate.clusters["acme"].bucket
            await scene.start_bot()
            desk = scene.bot.desk
            await desk.configure(ANA, "acme", lambda f: SecretsFile(bytes(f)).set("DASHBOARD_ADMIN_PASSWORD", NEW), channel="COPS")
            (request,) = await desk.waiting("acme")
            life = scene.lives[-1]
            begun = life.points
            life.die_at = None if die_at is None else begun + die_at
            for _ in range(400):
                if scene.lives[-1].dead:
                    await scene.passes(2)
                    await scene.start_bot()
                runs = await scene.journal.latest("acme", 1)
                if runs and (await scene.journal.run(runs[0])).over:
                    break
                if not runs:
                    await scene.by_bot(scene.bot.desk.approve(request.id, BEN))
                await scene.passes(5)
            run = await scene.journal.run("acme-1")
            assert run.state is State.DONE, run.stopped
            assert f"DASHBOARD_ADMIN_PASSWORD={NEW}\n".encode() in (scene.town.spaces.read(home, "secrets.env") or b"")
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            await scene.passes(1300)
            left = [k for k in scene.town.spaces.buckets[home].objects if "staged" in k and scene.town.spaces.read(home, k) is not None]
            assert left == []
            return life.points - begun

    return virtual.run(story())


def test_killed_at_any_point() -> None:
    points = change(None)
    for point in range(1, points, 1 if FULL else max(1, points // 8)):
        change(point)
