"""Break-glass: only the approval is skipped, and everyone reads it."""

from typing import Any

from services.audit.entries import AuditAction
from services.runs.run import State
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene, open_message_tab
from tests.support.stories import question, rejects

GLASS: dict[str, Any] = {"roles": {"break_glass": ["UANA"]}}
SAID = '/openvidu break-glass shutdown --reason "smoke in the rack"'
CARD = "without approval: Shut down acme"


def play(story: Any, **more: Any) -> None:
    async def whole() -> None:
        async with Scene(media=2, **{**GLASS, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def test_at_three_in_the_morning_one_operator_shuts_the_cluster_down() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=10)
        await scene.ana.type_text("COPS", SAID)
        card = await scene.card(CARD)
        for said in (
            "smoke in the rack",
            "<@UBEN> and <@UCARLA>",
            "only <@UANA> can confirm",
            "No one is disconnected",
        ):
            assert said in f"{card.text} {card.blocks}", card.text
        assert not scene.estate.signals, "nothing is done before the plan was seen and confirmed"
        await scene.ana.press(card, "Run without approval")
        run = await scene.run_is("acme-1", State.DONE)
        assert run.glass
        assert run.approvers == ()
        assert set(scene.estate.signals.values()) == {1}, "people were let finish, as ever"
        await scene.settled(run)
        (end,) = [
            m for m in scene.ana.visible_messages("COPS") if m.text.startswith("acme is shut down")
        ]
        assert "no approval: break-glass by <@UANA>" in end.text, "for ever"
        called = [
            m
            for m in scene.ana.visible_messages("COPS")
            if "by break-glass, without approval" in m.text
        ]
        assert len(called) == 1
        assert called[0].text.startswith("<@UBEN> and <@UCARLA>: <@UANA>")
        told = [
            e for e in await scene.journal.chain.newest("acme", 9) if e.what != AuditAction.POLICY
        ][::-1]
        assert [(e.what, e.user) for e in told] == [
            (AuditAction.GLASS, "UANA"),
            (AuditAction.GLASS_CONFIRMED, "UANA"),
            (AuditAction.OPENED, "UANA"),
            (AuditAction.ENDED, ""),
        ]
        assert told[0].reason == "smoke in the rack"
        assert "no approval: break-glass by UANA" in told[2].after
        await scene.ben.type_text("COPS", "/openvidu audit")
        assert (
            "break-glass confirmed" in (await scene.ephemeral("UBEN", "Decisions about acme")).text
        )
        await scene.ben.type_text("COPS", "/openvidu runs")
        assert (
            "<@UANA> · acme-1 · break-glass" in (await scene.ephemeral("UBEN", "Runs of acme")).text
        )

    play(story)


def test_it_asks_again_before_it_is_pressed_and_nobody_else_can_press_it() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", SAID)
        card = await scene.card(CARD)
        (button,) = [
            e
            for b in card.blocks
            for e in b.get("elements", [])
            if e["type"] == "button" and e["action_id"] == "approve"
        ]
        assert button["style"] == "danger"
        assert "without approval" in button["confirm"]["text"]["text"]
        await scene.ben.press(card, "Run without approval")
        await scene.ephemeral("UBEN", "Ask <@UANA>")
        await rejects(scene.ben, card, label="Cancel")
        await scene.card("cancelled by <@UBEN>")
        assert await scene.journal.latest("acme", 5) == []

    play(story)


def test_one_who_may_break_glass_does_not_confirm_for_another() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", SAID)
        await scene.ben.press(await scene.card(CARD), "Run without approval")
        await scene.ephemeral("UBEN", "Only the requester <@UANA> can confirm this")
        assert await scene.journal.latest("acme", 5) == []

    play(story, roles={"break_glass": ["UANA", "UBEN"]})


def test_it_is_nobodys_unless_the_settings_say_so_and_it_needs_a_reason() -> None:
    async def story(scene: Scene) -> None:
        await scene.ben.type_text("COPS", SAID)
        await scene.ephemeral("UBEN", "`roles.break_glass` names who may")
        await scene.ana.type_text("COPS", "/openvidu break-glass shutdown")
        await scene.ephemeral("UANA", "needs a reason, which others will read")
        await scene.ana.type_text("COPS", '/openvidu break-glass status --reason "x"')
        await scene.ephemeral("UANA", "break-glass takes a command that changes the cluster")
        await scene.ana.type_text("COPS", '/openvidu break-glass scale 3 --reason "x"')
        await scene.ephemeral("UANA", "This needs no approval")
        await scene.ana.type_text("COPS", f"{SAID} --dry-run")
        await scene.ephemeral("UANA", "Dry run: Shut down acme")
        assert await scene.bot.operations.reader.waiting("acme") == []

    play(story)


def test_a_hold_and_another_run_are_in_its_way_too() -> None:
    async def story(scene: Scene) -> None:
        await scene.ben.type_text("COPS", '/openvidu hold "exam week" for 2h')
        await scene.ephemeral("UBEN", "acme is on hold")
        await scene.ana.type_text("COPS", SAID)
        await scene.ephemeral("UANA", "End it with `/openvidu unhold`")
        await scene.ben.type_text("COPS", "/openvidu unhold")
        await scene.ephemeral("UBEN", "no longer on hold")
        await scene.ana.type_text("COPS", SAID)
        card = await scene.card(CARD)
        await scene.ben.type_text("COPS", '/openvidu hold "exam week" for 2h')
        await scene.ephemeral("UBEN", "acme is on hold")
        await scene.ana.press(card, "Run without approval")
        await scene.ephemeral("UANA", "is on hold for another")
        assert await scene.journal.latest("acme", 5) == []

    play(story)


def test_it_is_said_in_the_clusters_own_channel_wherever_it_was_typed() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.workspace.add_channel("CQUIET", "quiet", ["UANA"])
        await scene.ana.type_text("CQUIET", f"{SAID} --cluster acme")
        await scene.card(CARD)
        assert not [m for m in scene.ana.visible_messages("CQUIET") if "Break-glass" in m.text]
        await scene.ephemeral("UANA", "only you can confirm it", channel="CQUIET")
        open_message_tab(scene.slack)
        alone = scene.slack.workspace.direct("UANA").id
        await scene.ana.type_text(alone, f"{SAID} --cluster acme")
        await scene.ephemeral(
            "UANA", "works only in a channel, where others read it", channel=alone
        )

    play(story)


def test_what_was_asked_for_as_usual_does_not_stand_in_its_way_and_it_expires_sooner() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("requests approval")
        await scene.ana.type_text("COPS", SAID)
        card = await scene.card(CARD)
        await scene.wait(620)
        await scene.card("it was not confirmed in time")
        assert [r.glass for r in await scene.bot.operations.reader.waiting("acme")] == [False]
        assert not [e for e in card.blocks if e["type"] == "actions"], "its buttons are gone"

    play(story)


async def asks_to_end_meetings(scene: Scene) -> Message:
    """The question of Ana's run by break-glass: a meeting does not end in time."""
    scene.estate.open_meeting(people=4, minutes=600)
    await scene.ana.type_text("COPS", SAID)
    await scene.ana.press(await scene.card(CARD), "Run without approval")
    scene.estate.allow_disconnects = True
    return await question(scene)


def test_whoever_broke_the_glass_may_also_decide_to_lose_something() -> None:
    async def story(scene: Scene) -> None:
        card = await asks_to_end_meetings(scene)
        await scene.ana.press(card, "End these meetings")
        run = await scene.run_is("acme-1", State.DONE)
        assert [a.by.user for a in run.answers if a.by] == ["UANA"]
        assert scene.estate.people_disconnected == 4

    play(story)


def test_somebody_else_who_might_break_it_too_decides_with_as_many_as_usual() -> None:
    """What one person broke the glass for is no permission for another."""

    async def story(scene: Scene) -> None:
        card = await asks_to_end_meetings(scene)
        await scene.ben.press(card, "End these meetings")
        await scene.ephemeral("UBEN", "so one more person must press the same button")
        await scene.wait(60)
        assert scene.estate.people_disconnected == 0
        await scene.person("UCARLA").press(card, "End these meetings")
        run = await scene.run_is("acme-1", State.DONE)
        assert {a.user for a in run.approvers} == {"UBEN", "UCARLA"}

    play(
        story,
        roles={"break_glass": ["UANA", "UBEN"]},
        policy={"approvals_for": {"meetings_cut": 2}},
    )
