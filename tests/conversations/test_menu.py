"""The menu of `/openvidu` alone: what its reader may do now, with the same result as typing."""

from collections.abc import Awaitable, Callable
from typing import Any

from simulators.slack.model import Message, View
from simulators.slack.user import SimulatedUser
from tests.support import virtual
from tests.support.scene import Scene

Story = Callable[[Scene], Awaitable[None]]


def play(story: Story, **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(**scene) as made:
            await story(made)

    virtual.run(whole())


async def menu(scene: Scene, who: str = "UANA", says: str = "You may: ") -> Message:
    """Type it, and read the private answer, newer than everything on the screen."""
    person = scene.person(who)
    before = {m.ts for m in person.visible_messages("COPS")}
    await person.type_text("COPS", "/openvidu")

    def answered() -> Message | None:
        new = [m for m in person.visible_messages("COPS") if m.ts not in before]
        return next((m for m in new if m.ephemeral_to == who and says in m.text), None)

    return await person.wait_for(answered, 120)


async def modal(person: SimulatedUser, *texts: str) -> View:
    """Wait for the modal on that person's screen with all of these texts."""

    def shown() -> View | None:
        view = person.modal()
        return view if view and all(t in str(view.body) for t in texts) else None

    try:
        return await person.wait_for(shown, 120)
    except TimeoutError:
        view = person.modal()
        raise AssertionError(f"{texts} is not shown: {view and view.body}") from None


def offered(message: Message) -> list[str]:
    found = []
    for block in message.blocks:
        for element in block.get("elements", []):
            if element["type"] == "button":
                found.append(element["text"]["text"])
            found += [o["text"]["text"] for o in element.get("options", [])]
    return found


def test_what_is_offered_fits_the_person_and_the_state() -> None:
    async def story(scene: Scene) -> None:
        up = offered(await menu(scene))
        assert {
            "Status",
            "Shut down…",
            "Scale…",
            "Resize the masters…",
            "Put on hold…",
        } <= set(up)
        assert "Start up…" not in up
        reading = offered(await menu(scene, "UDORA", "You may read"))
        assert "Runs" in reading
        assert not [o for o in reading if o.endswith("…")], "nothing that changes anything"
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        waiting = await menu(scene, "UBEN", "Waiting for you")
        assert "Approve shutdown" in offered(waiting)
        await scene.ben.press(waiting, "Approve shutdown")
        await scene.run_is("acme-1", "running")
        busy = await menu(scene, "UANA", "Nothing else can be changed until this run has ended")
        assert "Cancel run…" in offered(busy)
        assert "Shut down…" not in offered(busy)
        await scene.card("acme is shut down")
        down = offered(await menu(scene, "UANA", "acme is shut down"))
        assert "Start up…" in down
        assert "Shut down…" not in down
        assert card.ts

    play(story)


def test_a_scale_is_picked_with_its_price_planned_and_asked_for() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.press(await menu(scene), "Scale…")
        form = await modal(
            scene.ana,
            "How many media nodes",
            "2 media nodes · $0.14/h",
            "1 node less: saves $0.07/h",
        )
        await scene.ana.fill_and_submit(form, {"number": "2", "reason": "a quiet evening"})
        plan = await modal(scene.ana, "Nothing was changed", "Request approval")
        assert scene.ana.visible_messages("COPS")[-1].ephemeral_to == "UANA", (
            "nothing is in the channel yet"
        )
        await scene.ana.fill_and_submit(plan, {})
        card = await scene.card("Scale acme to 2 media nodes")
        assert "a quiet evening" in card.text
        await scene.ben.press(card, "Approve")
        await scene.card("acme has 2 media nodes ·")
        assert len(scene.estate.serving("acme")) == 2

    play(story)


def test_what_disturbs_nobody_is_done_at_once_after_its_plan_was_seen() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.press(await menu(scene), "Scale…")
        form = await modal(scene.ana, "How many media nodes")
        await scene.ana.fill_and_submit(form, {"number": "4"})
        plan = await modal(scene.ana, "Start", "$0.07/h more", "Needs no approval")
        await scene.ana.fill_and_submit(plan, {})
        await scene.card("acme has 4 media nodes ·")

    play(story)


def test_sizes_are_picked_with_prices_and_only_those_that_fit() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.select(await menu(scene), "more", "Resize the masters…")
        form = await modal(scene.ana, "Droplet size", "/month", "vCPU")
        sizes = next(b["element"]["options"] for b in form.blocks if b.get("block_id") == "size")
        assert scene.estate.masters("acme")[0].size not in [o["value"] for o in sizes]
        assert len(sizes) > 1
        await scene.ana.fill_and_submit(form, {"size": sizes[0]["value"], "flags": ["rolling"]})
        await modal(scene.ana, "Nothing was changed", "Request approval")

    play(story)


def test_nodes_are_picked_with_their_state_and_meetings() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=12, recordings=1)
        await scene.wait(10)
        await scene.ana.select(await menu(scene), "more", "Drain media nodes…")
        form = await modal(
            scene.ana, "1 meeting, 5 people, 1 recording", "no meetings", "All 3 media nodes"
        )
        await scene.ana.fill_and_submit(form, {"node": "media-2"})
        await modal(scene.ana, "media-2", "Request approval")

    play(story)


def test_a_plan_that_is_refused_says_why_in_its_place() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.press(await menu(scene), "Scale…")
        form = await modal(scene.ana, "How many media nodes")
        await scene.ben.type_text("COPS", "/openvidu shutdown")
        await scene.person("UCARLA").press(await scene.card("Shut down acme"), "Approve")
        await scene.card("acme is shut down")
        await scene.ana.fill_and_submit(form, {"number": "2"})
        await modal(scene.ana, "acme is shut down. Start it with 2 media nodes")

    play(story)


def test_a_plan_seen_while_somebody_else_is_at_it_cannot_be_asked_for() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=30)
        await scene.ana.press(await menu(scene), "Scale…")
        form = await modal(scene.ana, "How many media nodes")
        await scene.ben.type_text("COPS", "/openvidu shutdown")
        await scene.person("UCARLA").press(await scene.card("Shut down acme"), "Approve")
        await scene.run_is("acme-1", "running")
        await scene.ana.fill_and_submit(form, {"number": "2"})
        plan = await modal(scene.ana, "is locked by", "<@UBEN>")
        assert "submit" not in plan.body

    play(story)


def test_a_hold_and_its_end() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.select(await menu(scene), "more", "Put on hold…")
        form = await modal(scene.ana, "For how long")
        await scene.ana.fill_and_submit(form, {"what": "Ana’s exam <week>", "length": "1 hour"})
        await scene.ephemeral("UANA", "acme is on hold until")
        held = await menu(scene, "UBEN", "on hold until")
        assert "Ana’s exam" in held.text
        assert "Shut down…" not in offered(held)
        await scene.ben.press(held, "End the hold")
        await scene.ephemeral("UBEN", "is no longer on hold")

    play(story)


def test_a_secret_is_chosen_by_its_key_and_typed_into_the_next_form() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.select(await menu(scene), "more", "Change secrets.env…")
        form = await modal(scene.ana, "DASHBOARD_ADMIN_PASSWORD")
        await scene.ana.fill_and_submit(form, {"key": "DASHBOARD_ADMIN_PASSWORD"})
        await modal(scene.ana, "secret_value")

    play(story)


def test_where_a_channel_has_no_default_the_cluster_is_picked() -> None:
    async def story(scene: Scene) -> None:
        which = await menu(scene, "UANA", "Which cluster?")
        await scene.ana.select(which, "which", "other")
        shown = await scene.ephemeral("UANA", "other is in service")
        await scene.ana.press(shown, "Status")
        await scene.ephemeral("UANA", "Cost")

    play(story, stacks=("acme", "other"), settings={"channels": {}}, site={"channel": "COPS"})


def test_somebody_whose_role_was_taken_is_refused_in_the_form() -> None:
    async def story(scene: Scene) -> None:
        shown = await menu(scene, "UANA")
        who = scene.person("UDORA")
        copy = scene.slack.workspace.post_ephemeral("UDORA", "COPS", shown.text, shown.blocks)
        await who.press(copy, "Shut down…")
        await modal(who, "Only operators of this cluster may change it")

    play(story)
