"""Windows do what their standing approval covers; anything beyond is not done, and posted."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.audit.entries import AuditAction
from services.runs.run import State
from simulators.slack.faults import SlackFault
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details

Story = Callable[[Scene], Awaitable[None]]
DAY = 86400.0
FOUR = {"operators": ["UANA", "UBEN", "UCARLA", "UDORA"]}
COUNTED = {"scale_up_without_approval_to": 3, "approvals_for": {"media_added": 3}}
WORDS = "w Mon-Sun 09:00-10:00 UTC"


def play(story: Story, **more: Any) -> None:
    async def scene_of_it() -> None:
        async with Scene(media=2, pydo=False, **more) as scene:
            scene.estate.droplet_limit = 100
            await story(scene)

    virtual.run(scene_of_it(), at_most=5 * DAY)


async def adds(scene: Scene, command: str = WORDS, *by: str) -> None:
    """Request a window as Ana and approve it as these people. The clock begins at 08:00."""
    await scene.ana.type_text("COPS", f"/openvidu window add {command}")
    card = await scene.card("Add window w to acme")
    for who in by or ("UBEN",):
        await scene.person(who).press(card, "Approve")
        await scene.wait(2)
    await scene.card("acme has window w ·")


def media(scene: Scene) -> int:
    return len(scene.estate.media("acme"))


def masters(scene: Scene) -> int:
    return sum(m.on for m in scene.estate.masters("acme"))


def restarted(scene: Scene, **policy: object) -> None:
    """Change the policy in the settings, from the next start on."""
    scene.kill()
    values = scene.settings.model_dump()
    values["clusters"]["acme"]["policy"].update(policy)
    scene.settings = type(scene.settings).model_validate(values)


def test_a_window_takes_as_many_approvals_as_scaling_to_the_number_that_it_starts() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 30 --now")
        await scene.card("3 approvals: ")
        await scene.ana.type_text("COPS", f"/openvidu window add {WORDS} --number 30")
        card = await scene.card("Add window w to acme")
        assert "3 approvals: " in card.text
        shown = str((await details(scene.ben, card)).body)
        assert "adds media nodes beyond the 3 that need no approval" in shown
        assert "t opens with 30 media nodes (2 now): costs about $1," in shown
        assert "saves about" not in f"{card.text} {shown}"
        await scene.ben.press(card, "Approve")
        await scene.wait(3 * 3600)
        assert await scene.journal.latest("acme", 4) == []
        assert media(scene) == 2

    play(story, policy=COUNTED, roles=FOUR)


def test_a_window_approved_by_all_acts_every_morning_and_names_them() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene, f"{WORDS} --number 6", "UBEN", "UCARLA", "UDORA")
        await scene.wait(1.5 * 3600)
        assert masters(scene) == 0
        assert (
            "cheduled by window w (approved by <@UBEN>, <@UCARLA> and <@UDORA>, "
            in (await scene.card("acme is shut down")).text
        )
        opened = next(
            e
            for e in await scene.journal.chain.newest("acme", 9)
            if e.what == AuditAction.OPENED and e.user == "window:w"
        )
        assert (
            "standing approval by UBEN and UCARLA and UDORA of 15 Jan 2027 for window edge w-close@"
            in opened.after
        )
        await scene.wait(3600)
        assert media(scene) == 6

    play(story, policy=COUNTED, roles=FOUR)


def test_a_number_that_needs_more_approvals_by_now_is_not_started_and_posted() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene, f"{WORDS} --number 6")
        restarted(scene, **COUNTED)
        await scene.start_bot()
        await scene.wait(3 * 3600)
        card = await scene.card(
            "acme opens with 3 of 6 media nodes: its window is not approved for more"
        )
        assert "Window w (UTC)" in card.text
        assert (media(scene), masters(scene)) == (3, 4)

    play(story, roles=FOUR)


def test_a_window_whose_approver_is_gone_does_not_close_and_shows_how_to_renew_it() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene)
        scene.slack.workspace.users["UBEN"].deleted = True
        await scene.wait(3700)
        told = await scene.card("acme did not close at 09:00")
        assert "the approval of <@UBEN> no longer counts" in told.text
        assert masters(scene) == 4
        await scene.ana.type_text("COPS", "/openvidu window list")
        await scene.ephemeral("UANA", "closes nothing: window w: the approval of")
        await scene.ana.type_text("COPS", f"/openvidu window add {WORDS}")
        card = await scene.card("renews its standing approval")
        await scene.person("UCARLA").press(card, "Approve")
        await scene.run_is("acme-2", State.DONE)
        await scene.ana.type_text("COPS", "/openvidu window list")
        await scene.ephemeral("UANA", "standing approval by <@UCARLA> of ")

    play(story)


def test_a_standing_approval_expires_unless_renewed_with_a_warning_before() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene)
        await scene.card("The approval of window w of acme expires")
        restarted(scene)
        await scene.wait(24 * 3600 + 2700)
        await scene.start_bot()
        await scene.wait(1200)
        assert masters(scene) == 4
        message = [
            m for m in scene.ana.visible_messages("COPS") if "did not close at 09:00" in m.text
        ][-1]
        assert "The standing approval of window w has expired and must be renewed" in message.text
        assert (
            len(
                [
                    m
                    for m in scene.ana.visible_messages("COPS")
                    if "The approval of window w" in m.text
                ]
            )
            == 1
        )

    play(story, policy={"confirm_windows_days": 1})


def test_an_opening_restores_what_was_there_even_if_its_approval_expired() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene)
        await scene.wait(1.5 * 3600)
        assert masters(scene) == 0
        scene.slack.workspace.users["UBEN"].deleted = True
        await scene.wait(3600)
        assert (media(scene), masters(scene)) == (2, 4)

    play(story)


def test_a_closing_waits_while_slack_cannot_confirm_its_approver() -> None:
    async def story(scene: Scene) -> None:
        await adds(scene)
        scene.slack.faults.add(SlackFault("users.info", times=10_000, status=500))
        await scene.wait(3660)
        assert masters(scene) == 4
        scene.slack.faults.calls.clear()
        await scene.wait(600)
        assert masters(scene) == 0

    play(story)
