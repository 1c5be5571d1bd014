"""The shortcut in a message's context menu: what its reader may do with the channel's cluster."""

from collections.abc import Awaitable, Callable

import pytest

from simulators.slack.elements import NotPossible
from tests.support import virtual
from tests.support.scene import Scene

OPERATE = "Operate this cluster…"


def play(story: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with Scene(media=1, pydo=False) as scene:
            await story(scene)

    virtual.run(whole())


def test_any_message_leads_to_the_menu_for_its_reader_alone() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        alert = place.post(place.channels["COPS"], "UDORA", "people cannot join")
        await scene.ana.use_shortcut(alert, OPERATE)
        menu = await scene.ephemeral("UANA", "acme")
        assert "Shut down…" in str(menu.blocks)
        await scene.dora.use_shortcut(alert, OPERATE)
        reading = await scene.ephemeral("UDORA", "acme")
        assert "Shut down…" not in str(reading.blocks)
        assert await scene.journal.latest("acme", 1) == []

    play(story)


def test_a_private_answer_has_no_shortcut() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu status")
        answer = await scene.ephemeral("UANA", "acme")
        with pytest.raises(NotPossible):
            await scene.ana.use_shortcut(answer, OPERATE)

    play(story)
