"""The main job, in Slack's words: shut down, start up."""

from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import with_buttons


def test_shutdown_and_startup() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=12, recordings=1)
            await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work in ams3"')
            card = await scene.card("Shut down acme")
            assert "No one is disconnected: 1 meeting (5 people, 1 recording)" in card.text
            await scene.ana.press(card, "Approve")
            await scene.ephemeral("UANA", "You requested this, so someone else must approve it")
            await scene.ben.press(card, "Approve")
            await scene.card("acme is shut down")
            assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4
            assert scene.estate.media("acme") == []
            await scene.ana.type_text("COPS", "/openvidu startup")
            await scene.ana.press(await with_buttons(scene, "<@UANA> can start"), "approve")
            await scene.card("acme is back in service")
            assert len(scene.estate.serving("acme")) == 3

    virtual.run(story())
