"""Roles by user group, cached for ten minutes; one person has one identity everywhere."""

from typing import Any

from services.access.user_groups import STALE
from services.audit.entries import AuditAction
from services.runs.run import State
from simulators.slack.faults import SlackFault
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import with_buttons

ROLES: dict[str, Any] = {"operators": ["S0OPS"], "approvers": ["S0OPS"], "viewers": ["S0VIEW"]}
ASKING = "usergroups.users.list"


def play(story: Any, bots: int = 1, **more: Any) -> None:
    async def whole() -> None:
        async with Scene(media=1, start=False, **{"roles": ROLES, **more}) as scene:
            place = scene.slack.workspace
            place.add_group("S0OPS", "ops", ["UANA", "UBEN"])
            place.add_group("S0SEC", "sec", ["UCARLA", "UBEN"])
            place.add_group("S0VIEW", "view", ["UDORA"])
            for _ in range(bots):
                await scene.start_bot()
            await scene.wait(5)
            await story(scene)

    virtual.run(whole())


def asked_for(scene: Scene) -> int:
    return sum(1 for line in scene.slack.journal.entries if line.name == ASKING)


def test_who_is_in_the_group_operates_and_who_leaves_it_does_not() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("<@UBEN>")
        await scene.person("UCARLA").press(card, "Approve")
        await scene.ephemeral("UCARLA", "You have no role for this cluster")
        await scene.dora.type_text("COPS", "/openvidu shutdown")
        await scene.ephemeral(
            "UDORA", "Only operators of this cluster may change it. Ask <@UANA> or <@UBEN>"
        )
        await scene.dora.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UDORA", "acme is in service")
        await scene.person("UCARLA").type_text("COPS", "/openvidu status")
        await scene.ephemeral("UCARLA", "You have no role for this cluster")
        scene.slack.workspace.groups["S0OPS"].users[:] = ["UANA", "UCARLA"]
        await scene.wait(240)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "You have no role for this cluster")
        await scene.person("UCARLA").press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story)


def test_a_group_that_slack_is_silent_about_changes_nothing_after_ten_minutes() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.webapi.faults.add(SlackFault(ASKING, times=10**6, status=429, retry_after=30))
        scene.allowed_complaints.append("ratelimited")
        await scene.wait(STALE - 60)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("requests approval")
        await scene.wait(120)
        await scene.ben.press(card, "Approve")
        said = await scene.ephemeral("UBEN", "are not known since")
        assert (
            "Slack does not answer (asking Slack for usergroups.users.list: ratelimited)"
            in said.text
        )
        assert "Nothing was changed. Reading works" in said.text
        assert await scene.journal.latest("acme", 5) == []
        await scene.ana.type_text("COPS", "/openvidu startup 2 --now")
        await scene.ephemeral("UANA", "are not known since")
        await scene.ana.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UANA", "acme is in service")
        scene.slack.webapi.faults.calls.clear()
        await scene.wait(60)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story)


def test_people_named_one_by_one_go_on_while_slack_is_silent_about_groups() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.webapi.faults.add(SlackFault(ASKING, times=10**6, status=500))
        await scene.wait(STALE + 300)
        await scene.person("UCARLA").type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await scene.card("Approve or reject: <@UBEN>"), "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story, roles={"operators": ["S0OPS", "UCARLA"], "approvers": ["UBEN", "S0SEC"]})


def test_a_restart_while_slack_is_down_knows_what_the_state_remembers() -> None:
    """No request path asks Slack who is in a group."""

    async def story(scene: Scene) -> None:
        scene.kill()
        scene.slack.webapi.faults.add(SlackFault(ASKING, times=10**6, delay=50.0))
        await scene.start_bot()
        await scene.wait(1)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("requests approval", timeout=10)

    play(story)


def test_several_bots_ask_slack_as_seldom_as_one() -> None:
    async def story(scene: Scene) -> None:
        before = asked_for(scene)
        await scene.wait(1800)
        assert 2 * 8 <= asked_for(scene) - before <= 2 * 11, (
            "two groups, every three minutes, three bots"
        )
        for bot in scene.bots:
            assert bot.operations.user_groups.known.groups["S0OPS"].members == {"UANA", "UBEN"}
            assert scene.clock.now() - bot.operations.user_groups.known.groups["S0OPS"].at < 240

    play(story, bots=3, every_round=True)


def test_one_approval_from_each_of_two_groups() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(
            scene, "2 approvals, one each from <!subteam^S0OPS> and <!subteam^S0SEC>"
        )
        await scene.ben.press(card, "Approve")
        card = await with_buttons(scene, "approved by <@UBEN> · ")
        assert "one of <!subteam^S0" in card.text
        await scene.ben.press(card, "Approve")
        await scene.ephemeral(
            "UBEN", "You have already approved this; one more person must approve it"
        )
        await scene.person("UCARLA").press(card, "Approve")
        run = await scene.run_is("acme-1", State.DONE)
        assert [a.user for a in run.approvers] == ["UBEN", "UCARLA"]

    play(story, roles={"operators": ["UANA"]}, policy={"approvals_from": ["S0OPS", "S0SEC"]})


def test_two_of_one_group_are_not_one_of_each() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.workspace.groups["S0SEC"].users[:] = ["UCARLA"]
        scene.slack.workspace.groups["S0OPS"].users[:] = ["UDORA", "UBEN"]
        await scene.wait(240)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "2 approvals, one each from")
        await scene.ben.press(card, "Approve")
        card = await with_buttons(scene, "approved by <@UBEN> · ")
        assert "one of <!subteam^S0SEC>" in card.text
        await scene.dora.press(card, "Approve")
        await scene.ephemeral("UDORA", "must come from <!subteam^S0SEC>")
        assert await scene.journal.latest("acme", 5) == []
        await scene.person("UCARLA").press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)

    play(story, roles={"operators": ["UANA"]}, policy={"approvals_from": ["S0OPS", "S0SEC"]})


def test_what_weighs_more_takes_more_people() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=600)
        await scene.ana.type_text("COPS", "/openvidu drain media-1")
        await with_buttons(scene, "requests approval")
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "2 approvals: ")
        await scene.ben.press(card, "Approve")
        card = await with_buttons(scene, "approved by <@UBEN> · ")
        await scene.ben.press(card, "Approve")
        await scene.ephemeral(
            "UBEN", "You have already approved this; one more person must approve it"
        )
        await scene.person("UCARLA").press(card, "Approve")
        await scene.run_is("acme-1", State.ASKING, timeout=4 * 3600)
        asks = await with_buttons(scene, "acme-1 needs a decision")
        await scene.ben.press(asks, "End these meetings")
        await scene.ephemeral(
            "UBEN", "This ends meetings or loses data, so 2 more people must press the same button"
        )
        await scene.ben.press(asks, "End these meetings")
        await scene.person("UCARLA").press(asks, "End these meetings")
        await scene.ephemeral("UCARLA", "so one more person must press the same button")
        assert scene.estate.people_disconnected == 0
        scene.estate.allow_disconnects = True
        await scene.dora.press(asks, "End these meetings")
        await scene.run_is("acme-1", State.DONE)
        assert scene.estate.people_disconnected == 4
        told = (await scene.journal.chain.newest("acme", 20))[::-1]
        assert [
            (e.what, e.user) for e in told if e.what in (AuditAction.VOTED, AuditAction.ANSWERED)
        ] == [
            (AuditAction.VOTED, "UBEN"),
            (AuditAction.VOTED, "UBEN"),
            (AuditAction.VOTED, "UCARLA"),
            (AuditAction.VOTED, "UDORA"),
            (AuditAction.ANSWERED, "UDORA"),
        ]

    policy = {"approvals_for": {"masters_stopped": 2, "meetings_cut": 3}}
    play(
        story,
        roles={"operators": ["UANA", "UBEN", "UCARLA", "UDORA"]},
        policy=policy,
        site={"drain": {"deadline_minutes": 3}},
    )


def test_an_approval_does_not_outlive_the_role_that_it_was_given_with() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "2 approvals: ")
        await scene.ben.press(card, "Approve")
        card = await with_buttons(scene, "approved by <@UBEN> · ")
        scene.slack.workspace.groups["S0SEC"].users[:] = ["UCARLA", "UDORA"]
        await scene.wait(240)
        await scene.person("UCARLA").press(card, "Approve")
        card = await with_buttons(scene, "approved by <@UCARLA> · ")
        assert await scene.journal.latest("acme", 5) == [], "one is left of the two"
        await scene.dora.press(card, "Approve")
        run = await scene.run_is("acme-1", State.DONE)
        assert [a.user for a in run.approvers] == ["UCARLA", "UDORA"]

    play(story, roles={"operators": ["UANA"], "approvers": ["S0SEC"]}, policy={"approvals": 2})


def test_whoever_asked_and_is_no_operator_any_more_has_nothing_approved() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "requests approval")
        scene.slack.workspace.groups["S0OPS"].users[:] = ["UBEN"]
        await scene.wait(240)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "The requester <@UANA> may no longer change this cluster")
        assert await scene.journal.latest("acme", 5) == []

    play(story)


# One organisation


def test_in_an_organisation_one_person_is_one_person_through_whatever_workspace() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        place.enterprise_id = "E0ORG"
        for user in ("UANA", "UBEN", "UCARLA"):
            place.users[user].enterprise_id = "E0ORG"
        place.users["UANA"].team_id = "T0BRANCH"
        place.add_user("UFAR", "fay", team_id="T0OTHER", enterprise_id="E0OTHER")
        place.channels["COPS"].members.append("UFAR")
        scene.bot.set_home_workspace("T0ACME", "E0ORG")
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "requests approval")
        place.users["UANA"].team_id = "T0ACME"  # the button is pressed in another workspace of hers
        await scene.wait(700)
        await scene.ana.press(card, "Approve")
        await scene.ephemeral("UANA", "You requested this, so someone else must approve it")
        await scene.person("UFAR").press(card, "Approve")
        await scene.ephemeral("UFAR", "You belong to another workspace")
        place.users["UBEN"].team_id = "T0BRANCH"
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.DONE)
        assert [(a.user, a.team, a.enterprise) for a in (run.requester, *run.approvers)] == [
            ("UANA", "T0BRANCH", "E0ORG"),
            ("UBEN", "T0BRANCH", "E0ORG"),
        ]

    play(story, roles={"operators": ["UANA", "UBEN", "UFAR"]})


def test_the_same_member_id_at_home_in_another_workspace_is_nobody() -> None:
    async def story(scene: Scene) -> None:
        scene.bot.set_home_workspace("T0ACME")
        scene.slack.workspace.users["UBEN"].team_id = "T0OTHER"
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "requests approval")
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "You belong to another workspace")
        assert await scene.journal.latest("acme", 5) == []

    play(story, roles={"operators": ["UANA", "UBEN"]})
