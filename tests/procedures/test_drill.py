"""Restore drills: a backup is opened on a throw-away droplet, and nothing of it is left."""

import re
from collections.abc import Callable
from typing import Any, get_args

import pytest

from services.access.policy import Actor
from services.cluster.drills import PREFIX
from services.procedures import Drill
from services.runs.run import State
from simulators.cloud.model import Deployment, SimulatedSnapshot
from simulators.digitalocean.routing import ROUTES
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

ANA = Actor("UANA", "T0ACME")


def leftovers(scene: Scene) -> list[str]:
    """Return the name of everything in the account that drills have created."""
    estate = scene.estate
    names = [d.name for d in estate.droplets.values()]
    names += [n.name for n in estate.networks.values()]
    names += [w.name for w in estate.firewalls.values()]
    names += list(estate.tags)
    return sorted(name for name in names if name.startswith(PREFIX))


async def backed_up(scene: Scene) -> None:
    await scene.ana.type_text("COPS", "/openvidu backup create --now")
    await scene.card("acme is backed up ·")


@pytest.mark.parametrize("deployment", get_args(Deployment))
def test_a_backup_is_proven_and_nothing_is_left(deployment: Deployment) -> None:
    async def story() -> None:
        async with Scene(deployment=deployment) as scene:
            await backed_up(scene)
            scene.estate.open_meeting(people=5, minutes=30)
            await scene.ana.type_text("COPS", "/openvidu drill")
            card = await scene.card("Prove a backup of acme")
            shown = str(card.blocks)
            assert "at most $" in shown
            assert leftovers(scene) == [], "nothing before it is started"
            await scene.ana.press(card, "Start drill")
            ended = await scene.card("acme has a proven backup ·")
            assert re.search(r"Done\*\\nacme-backup-\w+ is proven", str(ended.blocks))
            assert leftovers(scene) == []
            (result,) = (await scene.bot.operations.memory.backups.read("acme")).drills
            assert result.proven
            assert result.compared
            assert dict(result.counts) == scene.estate.clusters["acme"].documents
            assert re.fullmatch(r"0\.0\d", result.cost)
            created = [r for r in scene.estate.requests if r[:2] == ("POST", "/v2/droplets")]
            assert len(created) == 1

    virtual.run(story())


async def drill(scene: Scene, line: str = "drill --now") -> str:
    """Start a drill; return the id of its run."""
    await scene.ana.type_text("COPS", f"/openvidu {line}")
    for _ in range(60):
        newest = await scene.journal.latest("acme", 1)
        if newest and newest[0] != "acme-1":
            return newest[0]
        await scene.wait(1)
    raise AssertionError("it was not started")


async def not_proven(scene: Scene, run: str) -> str:
    """Wait until the drill is over with nothing left; return the recorded reason."""
    ended = await scene.run_is(run, State.ROLLED_BACK)
    assert leftovers(scene) == []
    (result,) = (await scene.bot.operations.memory.backups.read("acme")).drills
    assert not result.proven
    assert result.reason in ended.recovering
    return result.reason


def damage(scene: Scene) -> None:
    for snapshot in scene.estate.snapshots.values():
        snapshot.damage = "mongod ended: WiredTiger metadata corruption"


def lose_documents(scene: Scene) -> None:
    for snapshot in scene.estate.snapshots.values():
        snapshot.documents["openvidu-meet.rooms"] -= 20


def fill(scene: Scene) -> None:
    scene.estate.capacity = False


FAULTS: dict[str, tuple[Any, str]] = {
    "damaged": (damage, "the database does not open: mongod ended: WiredTiger metadata"),
    "fewer documents": (
        lose_documents,
        "openvidu-meet.rooms has 18 documents; the backup noted 38",
    ),
    "no capacity": (fill, "no capacity"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_proven_is_said_with_its_reason_and_deleted(fault: str) -> None:
    plant, reason = FAULTS[fault]

    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            plant(scene)
            run = await drill(scene)
            assert reason in await not_proven(scene, run)

    virtual.run(story())


def test_a_token_that_could_not_delete_creates_nothing() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            everything = {s for route in ROUTES for s in route.scopes} | {"droplet:create"}
            scene.environment.digitalocean.scopes = everything - {"vpc:delete"}
            run = await drill(scene)
            reason = await not_proven(scene, run)
            assert "vpc:delete" in reason
            made = [r for r in scene.estate.requests if r[0] == "POST" and r[1] != "/v2/tags"]
            assert all("/actions" in path for _, path, _, _ in made), made

    virtual.run(story())


def test_a_token_that_sees_no_networks_is_refused_with_the_scope() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            everything = {s for route in ROUTES for s in route.scopes}
            scene.environment.digitalocean.scopes = everything - {"firewall:read"}
            await scene.ana.type_text("COPS", "/openvidu drill")
            await scene.ephemeral("UANA", "firewall:read")
            assert leftovers(scene) == []

    virtual.run(story())


def test_a_copy_that_was_not_sealed_is_deleted_at_once() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            scene.estate.node_faults = lambda name: (
                {"seal-ignored": True} if name.startswith(PREFIX) else {}
            )
            run = await drill(scene)
            assert "was not sealed" in await not_proven(scene, run)
            assert not [c for c in scene.environment.shell.commands if "setsid" in c[1]]

    virtual.run(story())


def test_deletion_that_fails_is_repeated_until_nothing_is_left() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            scene.environment.faults.add(
                "digitalocean", "503-before", "DELETE /v2/droplets", skip=1, times=6
            )
            run = await drill(scene)
            await scene.run_is(run, State.DONE)
            assert leftovers(scene) == []

    virtual.run(story())


MOMENTS: dict[str, Callable[[Scene], bool]] = {
    "at once": lambda _: True,
    "network": lambda scene: bool(scene.estate.networks),
    "droplet": lambda scene: any(d.copy_of for d in scene.estate.droplets.values()),
    "database": lambda scene: any("setsid" in c[1] for c in scene.environment.shell.commands),
    "result": lambda scene: (
        not any(d.copy_of for d in scene.estate.droplets.values()) and bool(scene.estate.networks)
    ),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_drill_still_deletes_everything(moment: str) -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            run = await drill(scene)
            if moment == "result":
                while not MOMENTS["droplet"](scene):
                    await scene.wait(2)
            while not MOMENTS[moment](scene):
                await scene.wait(2)
            await scene.bot.operations.service.cancel(run, ANA)
            await scene.run_is(run, State.DONE, State.CANCELLED)
            assert leftovers(scene) == []

    virtual.run(story())


def test_a_bot_that_only_observes_does_not_drill() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            scene.bot.operations.clusters.observes = True
            await scene.ana.type_text("COPS", "/openvidu drill --now")
            await scene.ephemeral("UANA", "only observes")
            assert leftovers(scene) == []

    virtual.run(story())


def test_a_backup_without_its_secrets_is_not_proven() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            spaces, bucket = scene.environment.spaces, scene.estate.clusters["acme"].bucket
            (label,) = {s.name[:-9] for s in scene.estate.snapshots.values()}
            key = f"openvidu-bot/backups/{label}/secrets.env"
            spaces.write(bucket, key, b"DASHBOARD_ADMIN_PASSWORD=a|b\n")
            reason = await not_proven(scene, await drill(scene))
            assert "the copy of secrets.env" in reason
            assert "starts no master" in reason

    virtual.run(story())


# Killed between any two requests


def crashing(die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=0) as scene:
            backup = "acme-backup-20270101T020000Z"
            cluster = scene.estate.clusters["acme"]
            for n, master in enumerate(scene.estate.masters("acme"), 1):
                made = scene.estate.number()
                scene.estate.snapshots[made] = SimulatedSnapshot(
                    made,
                    f"{backup}-master-{n}",
                    master.id,
                    master.region,
                    master.disk,
                    scene.clock.now(),
                    "acme",
                    dict(cluster.documents),
                )
                master.snapshot_ids.append(made)
            copy = f"openvidu-bot/backups/{backup}/secrets.env"
            spaces = scene.environment.spaces
            spaces.write(cluster.bucket, copy, spaces.read(cluster.bucket, "secrets.env") or b"")
            await scene.start_bot(die_at)
            run = await insist(scene, Drill())
            assert run.state is State.DONE, run.recovering or run.stopped
            assert leftovers(scene) == []
            notes = await scene.bot.operations.memory.backups.read("acme")
            assert [d.proven for d in notes.drills] == [True]
            made_droplets = [r for r in scene.estate.requests if r[:2] == ("POST", "/v2/droplets")]
            assert len(made_droplets) == 1
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_nothing_is_left(part: int) -> None:
    assert_survives_any_crash("drill", crashing, 40, part)
