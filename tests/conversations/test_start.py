"""Nothing happens that was not shown: its requester starts what needs no approval."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.audit.entries import AuditAction
from services.runs.request import RequestState
from simulators.slack.model import Message
from tests.conversations.test_menu import modal
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import run_ended, with_buttons

Story = Callable[[Scene], Awaitable[None]]


def play(story: Story, **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 2, **scene}) as made:
            await story(made)

    virtual.run(whole())


async def shown(scene: Scene, words: str = "scale 3", sees: str = "Scale acme to 3") -> Message:
    """Ana types it, and reads its plan."""
    await scene.ana.type_text("COPS", f"/openvidu {words}")
    return await with_buttons(scene, sees)


async def runs(scene: Scene) -> list[str]:
    return await scene.journal.latest("acme", 10)


async def states(scene: Scene) -> list[RequestState]:
    """Return the state of every request, oldest first."""
    found = [await scene.journal.request(m) for m in await requests(scene)]
    return [r.state for r in sorted(found, key=lambda r: r.made_at)]


async def requests(scene: Scene) -> list[str]:
    entries = await scene.journal.chain.newest("acme", 50)
    return list({e.about for e in entries if e.what == AuditAction.ASKED})


def test_its_plan_is_shown_and_it_begins_when_its_requester_starts_it() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        assert "<@UANA> can start: Scale acme to 3 media nodes" in card.text
        await scene.wait(300)
        assert await runs(scene) == []
        assert len(scene.estate.media("acme")) == 2
        await scene.ana.press(card, "approve")
        run = await run_ended(scene)
        assert (run.request, run.approvers) == ((await requests(scene))[0], ())
        assert len(scene.estate.serving("acme")) == 3

    play(story)


def test_with_now_it_begins_at_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        assert (await run_ended(scene)).request == ""
        assert await requests(scene) == []

    play(story)


def test_now_does_not_replace_an_approval() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown --now")
        await with_buttons(scene, "Shut down acme")
        await scene.wait(120)
        assert await runs(scene) == []

    play(story)


def test_nobody_but_its_requester_starts_it() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        await scene.ben.press(card, "approve")
        await scene.ephemeral("UBEN", "This needs no approval; only <@UANA> can start it")
        assert await runs(scene) == []
        await scene.ben.type_text("COPS", "/openvidu scale 3")
        own = await with_buttons(scene, "only <@UBEN> can start it")
        await scene.ben.press(own, "approve")
        assert (await run_ended(scene)).requester.user == "UBEN"
        await scene.ana.press(card, "approve")
        await scene.ephemeral("UANA", "nothing to do")
        assert len(await runs(scene)) == 1

    play(story)


def test_a_plan_that_is_not_started_expires() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        await scene.wait(31 * 60)
        assert await states(scene) == [RequestState.EXPIRED]
        assert "it was not started in time. Nothing was changed" in card.text
        await shown(scene)

    play(story)


def test_it_can_be_cancelled_instead() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        await scene.ana.press(card, "reject")
        await scene.wait(20)
        assert await states(scene) == [RequestState.REJECTED]
        assert await runs(scene) == []

    play(story)


def test_what_changed_since_it_was_shown_is_shown_anew() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        pool = scene.estate.pool("acme")
        with scene.estate.by_administrator("a larger pool"):
            scene.estate.pool_scaler.edit(
                pool.id,
                {
                    "name": pool.name,
                    "config": {"target_number_instances": 4},
                    "droplet_template": scene.estate.pool_scaler.shown_template(pool),
                },
            )
        await scene.wait(600)
        await scene.ana.press(card, "approve")
        await scene.ephemeral("UANA", "Not started: the cluster changed since this was requested")
        assert await runs(scene) == []
        assert (await states(scene))[0] is RequestState.SUPERSEDED

    play(story)


def test_a_press_after_the_plan_became_one_that_needs_approval_starts_nothing() -> None:
    async def story(scene: Scene) -> None:
        await shown(scene, "scale 4", "Scale acme to 4")
        scene.kill()
        values = scene.settings.model_dump()
        values["clusters"]["acme"]["policy"]["scale_up_without_approval_to"] = 3
        scene.settings = type(scene.settings).model_validate(values)
        await scene.start_bot()
        card = await with_buttons(scene, "it needs an approval by now")
        assert "<@UANA> requests approval" in card.text
        await scene.ana.press(card, "Approve")
        await scene.ephemeral("UANA", "You asked for this")
        assert await runs(scene) == []
        await scene.ben.press(card, "Approve")
        run = await run_ended(scene)
        assert [a.user for a in run.approvers] == ["UBEN"]

    play(story)


def test_typed_again_it_points_to_the_plan_and_with_now_it_becomes_its_run() -> None:
    async def story(scene: Scene) -> None:
        card = await shown(scene)
        await scene.ana.type_text("COPS", "/openvidu scale 3")
        await scene.ephemeral("UANA", "Its plan is in the channel already")
        assert await runs(scene) == []
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        run = await run_ended(scene)
        assert run.id in card.text, "one message for both"

    play(story)


def test_what_is_so_already_is_not_asked_about() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 2")
        await scene.ephemeral("UANA", "nothing to do")
        assert await requests(scene) == []

    play(story)


def test_the_person_who_typed_elsewhere_is_sent_to_the_plan() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        place.add_channel("CELSE", "elsewhere", ["UANA"])
        await scene.ana.type_text("CELSE", "/openvidu scale 3 --cluster acme")
        await scene.ephemeral("UANA", "Its plan is in <#COPS>", channel="CELSE")
        await with_buttons(scene, "Scale acme to 3")

    play(story)


def test_a_form_starts_only_the_plan_that_it_showed() -> None:
    """Between the plan in the form and the press, another person changed the pool."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu")
        menu = await scene.ephemeral("UANA", "You may: ")
        await scene.ana.press(menu, "More or fewer media nodes…")
        await scene.ana.fill_and_submit(await modal(scene.ana, "How many"), {"number": "4"})
        plan = await modal(scene.ana, "Needs no approval")
        await scene.ben.type_text("COPS", "/openvidu scale 3 --now")
        await run_ended(scene)
        await scene.ana.fill_and_submit(plan, {})
        card = await with_buttons(scene, "only <@UANA> can start it")
        assert "the cluster changed since its plan was shown" in card.text
        assert await runs(scene) == ["acme-1"]
        await scene.ana.press(card, "approve")
        await run_ended(scene, run="acme-2")

    play(story)
