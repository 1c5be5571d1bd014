"""What nothing uses: found on demand and once a week, deleted after approval and a last look."""

from services.runs.run import State
from simulators.cloud.model import SimulatedVolume
from tests.support import virtual
from tests.support.scene import Scene

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
