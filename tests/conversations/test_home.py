"""The Home tab: what waits for its reader, the state of every cluster, and its updates."""

from collections.abc import Awaitable, Callable
from typing import Any

from simulators.slack.model import View
from simulators.slack.user import SimulatedUser
from tests.support import virtual
from tests.support.scene import Scene

Story = Callable[[Scene], Awaitable[None]]


def play(story: Story, **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(**scene) as made:
            await story(made)

    virtual.run(whole())


async def home(person: SimulatedUser, *texts: str, but: str = "", timeout: float = 120.0) -> View:
    """Wait for that person's Home tab with all of these texts, and without those."""

    def drawn() -> View | None:
        view = person.home()
        said = str(view.blocks) if view else ""
        return (
            view if view and all(t in said for t in texts) and not (but and but in said) else None
        )

    try:
        return await person.wait_for(drawn, timeout)
    except TimeoutError:
        view = person.home()
        raise AssertionError(f"{texts} are not shown: {view and view.blocks}") from None


def test_a_request_is_approved_on_app_home() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=4)
        await scene.ben.open_home()
        await home(scene.ben, "acme", "1 (5 people")
        await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work"')
        await scene.card("Shut down acme")
        view = await home(scene.ben, "Waiting for you", "power work", "disconnected", "Approve")
        await scene.ben.press(view, "Approve")
        await home(scene.ben, "acme-1", "Shutting down acme", but="Waiting for you")
        await scene.card("acme is shut down")
        await home(scene.ben, "acme is shut down", "all powered off", but="Running now")

    play(story)


def test_nobody_approves_their_own_request_there() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("Shut down acme")
        await scene.ana.open_home()
        view = await home(scene.ana, "Waiting for others: *Shut down acme", but="Waiting for you")
        assert "'action_id': 'approve'" not in str(view.blocks)

    play(story)


def test_what_a_button_on_home_refuses_is_said_in_a_modal() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("Shut down acme")
        await scene.ben.open_home()
        view = await home(scene.ben, "Shut down acme")
        await scene.ben.press(view, "Approve")
        await scene.ben.press(view, "Approve")
        modal = await scene.ben.wait_for(scene.ben.modal, 30)
        assert "you have already approved this" in str(modal.blocks).lower()
        await home(scene.ben, "approved by <@UBEN>", but="Approve'")

    play(story, policy={"approvals": 2})


def test_a_question_is_answered_there() -> None:
    async def story(scene: Scene) -> None:
        scene.environment.faults.switch("zero_refused", True)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Approve")
        await scene.card("needs a decision")
        await scene.ben.open_home()
        view = await home(scene.ben, "needs a decision", "Put the")
        label = next(
            e["text"]["text"]
            for b in view.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if "Put the" in e["text"]["text"]
        )
        await scene.ben.press(view, label)
        await scene.run_is("acme-1", "rolled back", "left", "done")
        await home(scene.ben, but="needs a decision")

    play(story)


def test_somebody_without_a_role_sees_no_cluster_of_others() -> None:
    async def story(scene: Scene) -> None:
        await scene.dora.open_home()
        view = await home(scene.dora, "1 cluster is not shown")
        assert "acme" not in str(view.blocks)

    play(story, roles={"viewers": ["UANA"]})


def test_somebody_who_may_only_read_is_offered_nothing_else() -> None:
    async def story(scene: Scene) -> None:
        await scene.dora.open_home()
        view = await home(scene.dora, "acme is in service")
        assert "form:" not in str(view.blocks)
        await scene.dora.select(view, "more", "Runs")
        await scene.dora.wait_for(
            lambda: (m := scene.dora.modal()) and "no runs yet" in str(m.blocks), 30
        )

    play(story)


def test_what_cannot_be_read_is_said_and_what_was_seen_is_dated() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.open_home()
        await home(scene.ana, "acme is in service")
        scene.environment.faults.add("digitalocean", "503-before", times=-1)
        await scene.wait(30)
        view = await home(scene.ana, "acme is in service")
        await scene.ana.press(view, "Refresh")
        await home(
            scene.ana,
            "could not be observed",
            "What is shown is older",
            "seen <!date",
            timeout=300,
        )

    play(story)


def test_another_bot_keeps_it_true_after_a_restart() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=10)
        await scene.ben.open_home()
        await home(scene.ben, "acme is in service")
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await scene.card("Shut down acme"), "Approve")
        await home(scene.ben, "acme-1", "Shutting down")
        scene.kill()
        await scene.wait(60)
        await scene.start_bot()
        await scene.card("acme is shut down")
        await home(scene.ben, "acme is shut down", but="Running now")

    play(story)


def test_many_clusters_and_many_people_stay_within_what_slack_takes() -> None:
    async def story(scene: Scene) -> None:
        for who in ("UANA", "UBEN", "UCARLA", "UDORA"):
            await scene.person(who).open_home()
        await home(scene.ana, "c0", "And 4 clusters more")
        for n in range(8):
            await scene.ana.type_text("COPS", f"/openvidu shutdown --cluster c{n}")
            await scene.card(f"Shut down c{n}")
            await scene.wait(2)
        view = await home(scene.ben, "Shut down c7")
        assert len(view.blocks) <= 100
        before = len([e for e in scene.slack.journal.entries if e.name == "views.publish"])
        began = scene.clock.now()
        for n in range(8):
            await scene.ben.press(await scene.card(f"Shut down c{n}"), "Approve")
            await scene.wait(2)
        await scene.wait(600)
        drawn = len([e for e in scene.slack.journal.entries if e.name == "views.publish"]) - before
        assert 4 <= drawn <= (scene.clock.now() - began) / 60 * 50

    play(story, stacks=tuple(f"c{n}" for n in range(24)), media=1)


def test_a_break_glass_request_is_confirmed_by_whoever_asked_and_by_nobody_else() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", '/openvidu break-glass shutdown --reason "the hall is on fire"'
        )
        await scene.card("Break-glass")
        await scene.ben.open_home()
        await home(scene.ben, "Shut down acme", but="Waiting for you")
        await scene.ana.open_home()
        view = await home(scene.ana, "the hall is on fire", "Run without approval")
        await scene.ana.press(view, "Run without approval")
        await home(scene.ana, "acme-1", "no approval: break-glass by <@UANA>")

    play(story, roles={"break_glass": ["UANA"]})
