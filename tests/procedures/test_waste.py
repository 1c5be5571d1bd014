"""What nothing uses: found on demand and once a week, deleted after approval and a last look."""

import pytest

from services.procedures import DeleteWaste
from services.runs.run import State
from simulators.cloud.model import SimulatedVolume
from simulators.digitalocean.routing import ROUTES
from tests.runs.test_crash import insist
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

DAY = 86400.0


def plant_volume(scene: Scene, name: str = "acme-old-data", size: int = 100) -> SimulatedVolume:
    estate = scene.estate
    made = SimulatedVolume(estate.uuid(), name, size, "ams3", estate.now - 40 * DAY)
    estate.storage.volumes[made.id] = made
    return made


def test_a_volume_is_found_and_deleted_after_approval() -> None:
    async def story() -> None:
        async with Scene() as scene:
            volume = plant_volume(scene)
            await scene.ana.type_text("COPS", "/openvidu cost waste")
            card = await scene.ephemeral("UANA", "1 unused thing")
            assert "$0.33 a day" in str(card.blocks)
            assert f"volume:{volume.id}" in str(card.blocks)
            await scene.ana.type_text("COPS", f"/openvidu cost delete volume:{volume.id}")
            request = await scene.card("Delete unused resources of acme")
            assert "acme-old-data (100 GB" in str(request.blocks)
            assert volume.id in scene.estate.storage.volumes, "nothing before its approval"
            await scene.ben.press(request, "Approve")
            await scene.run_is("acme-1", State.DONE)
            assert not scene.estate.storage.volumes

    virtual.run(story())


def test_what_is_attached_after_the_card_is_not_deleted() -> None:
    async def story() -> None:
        async with Scene() as scene:
            volume = plant_volume(scene)
            await scene.ana.type_text("COPS", f"/openvidu cost delete volume:{volume.id}")
            request = await scene.card("Delete unused resources of acme")
            volume.droplet_id = scene.estate.masters("acme")[0].id
            await scene.ben.press(request, "Approve")
            await scene.wait(120)
            assert volume.id in scene.estate.storage.volumes
            assert await scene.journal.latest("acme", 1) == []

    virtual.run(story())


def test_what_changed_after_the_card_is_shown_again() -> None:
    async def story() -> None:
        async with Scene() as scene:
            volume = plant_volume(scene)
            await scene.ana.type_text("COPS", f"/openvidu cost delete volume:{volume.id}")
            request = await scene.card("Delete unused resources of acme")
            volume.size = 500
            await scene.ben.press(request, "Approve")
            await scene.wait(120)
            assert volume.id in scene.estate.storage.volumes, "not what was approved"
            again = await scene.card("Delete unused resources of acme")
            assert "500 GB" in str(again.blocks)
            await scene.ben.press(again, "Approve")
            await scene.run_is("acme-1", State.DONE)
            assert not scene.estate.storage.volumes

    virtual.run(story())


def test_a_reserved_ip_is_deleted_only_where_it_was_seen_with_the_cluster() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.storage.addresses["203.0.113.5"] = "ams3"
            master = scene.estate.masters("acme")[0]
            master.reserved_ip = "203.0.113.77"
            await scene.bot.scheduler.waste.report("acme")
            await scene.ana.type_text("COPS", "/openvidu cost delete ip:203.0.113.77")
            await scene.ephemeral("UANA", "is used by droplet")
            master.reserved_ip = ""
            scene.estate.storage.addresses["203.0.113.77"] = "ams3"
            await scene.ana.type_text("COPS", "/openvidu cost delete ip:203.0.113.5")
            await scene.ephemeral("UANA", "no unused resource")
            await scene.ana.type_text("COPS", "/openvidu cost delete ip:203.0.113.77")
            request = await scene.card("Delete unused resources of acme")
            await scene.ben.press(request, "Approve")
            await scene.run_is("acme-1", State.DONE)
            assert list(scene.estate.storage.addresses) == ["203.0.113.5"]

    virtual.run(story())


def test_a_kept_thing_is_named_with_its_person_and_not_reported() -> None:
    async def story() -> None:
        async with Scene() as scene:
            volume = plant_volume(scene)
            await scene.ana.type_text("COPS", f"/openvidu cost keep volume:{volume.id} 7")
            await scene.ephemeral("UANA", "for 7 days")
            report = await scene.bot.scheduler.waste.report("acme", asked=True)
            assert report.findings == ()
            assert [kept.by for _, kept in report.kept] == ["[[person UANA]]"]
            await scene.wait(8 * DAY)
            report = await scene.bot.scheduler.waste.report("acme", asked=True)
            assert [f.ref for f in report.findings] == [f"volume:{volume.id}"]

    virtual.run(story())


def test_what_cannot_be_read_is_said_and_never_no_waste() -> None:
    async def story() -> None:
        async with Scene() as scene:
            everything = {s for route in ROUTES for s in route.scopes}
            scene.environment.digitalocean.scopes = everything - {"block_storage:read"}
            await scene.ana.type_text("COPS", "/openvidu cost waste")
            card = await scene.ephemeral("UANA", "not known")
            assert "block_storage:read" in str(card.blocks)
            assert "nothing unused" not in card.text

    virtual.run(story())


def crashing(die_at: CrashPoint) -> int:
    async def story() -> int:
        async with short_scene(media=0) as scene:
            volume = plant_volume(scene)
            await scene.start_bot(die_at)
            run = await insist(scene, DeleteWaste(f"volume:{volume.id}"))
            assert run.state is State.DONE, run.stopped
            assert not scene.estate.storage.volumes
            await scene.settled(run)
            return scene.crash_injectors[0].points

    return virtual.run(story())


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_it_is_deleted_once(part: int) -> None:
    assert_survives_any_crash("waste", crashing, 5, part)
