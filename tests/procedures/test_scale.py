"""Change the number of media nodes through Slack."""

import re
from dataclasses import replace

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import Scale, Startup
from services.procedures.plan import make_plan
from services.runs.run import State
from tests.support import virtual
from tests.support.clusters import IDLE, down, ready
from tests.support.scene import Scene
from tests.support.stories import (
    details,
    everything_read,
    question,
    request_and_approve,
    run_ended,
    titles,
    whole,
)

OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))


def steps(cluster: Cluster, procedure: Scale) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def test_more_is_a_pool_edit_and_patience() -> None:
    assert steps(ready(3), Scale(5)) == [
        "Set media pool to 5",
        "Wait until 5 media nodes are in service",
    ]


def test_fewer_drains_the_expected_nodes_and_verifies_which_were_removed() -> None:
    assert steps(ready(5), Scale(3)) == [
        "Drain media-4 and media-5",
        "Set media pool to 3",
        "Verify that media-4 and media-5 are deleted",
        "Wait until 3 media nodes are in service",
    ]
    drain = make_plan(ready(5), Scale(3)).steps[0]
    assert getattr(drain, "ids", None) == (104, 105), "the newest"


def test_the_same_number_is_nothing_to_do_if_all_serve() -> None:
    assert make_plan(ready(3), Scale(3)).is_empty
    tired = ready(3)
    tired = replace(tired, media=(replace(tired.media[0], look=IDLE), *tired.media[1:]))
    assert steps(tired, Scale(3)) == [
        "Put 1 drained media node back into service",
        "Wait until 3 media nodes are in service",
    ]


def test_a_staying_node_serves_before_the_leaving_one_is_drained() -> None:
    one_drained = ready(2)
    one_drained = replace(
        one_drained, media=(replace(one_drained.media[0], look=IDLE), one_drained.media[1])
    )
    plan = make_plan(one_drained, Scale(1))
    assert [s.title() for s in plan.steps][:2] == [
        "Put 1 drained media node back into service",
        "Drain media-2",
    ]
    assert not plan.effects.down


@pytest.mark.parametrize(
    ("cluster", "number", "expected"),
    [
        (ready(3), 0, "caling to 0 is a shutdown. [[command shutdown --media-only]]"),
        (ready(3), 1001, "at most 1000 droplets, not 1001"),
        (
            replace(ready(3), droplet_limit=10, droplets_in_account=7),
            7,
            "make 11 droplets. The account has 7 now, and its limit is 10",
        ),
        (
            down(ready(3)),
            4,
            "acme is shut down. Start it with 4 media nodes: [[command startup 4]]",
        ),
        (
            replace(
                ready(3),
                masters=(replace(ready(3).masters[0], healthy=False), *ready(3).masters[1:]),
            ),
            4,
            "master-1 is not healthy",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_alternative(
    cluster: Cluster, number: int, expected: str
) -> None:
    with pytest.raises(Refused, match=re.escape(expected)):
        make_plan(cluster, Scale(number))


def test_growing_is_free_within_the_quota_and_shrinking_is_not() -> None:
    assert authorize(make_plan(ready(3), Scale(5)), OPERATOR, RULES).kind is AccessResult.ALLOWED
    assert (
        authorize(make_plan(ready(3), Scale(5)), OPERATOR, replace(RULES, scale_up_to=4)).kind
        is AccessResult.NEEDS_APPROVAL
    )
    assert (
        authorize(make_plan(ready(3), Scale(2)), OPERATOR, RULES).kind
        is AccessResult.NEEDS_APPROVAL
    )


def test_without_a_drain_the_approval_names_what_is_lost() -> None:
    plan = make_plan(ready(1 + 2, rooms=0), Scale(2, no_drain=True))
    assert plan.effects.special == ("removes 1 media node without draining",)
    busy = ready(3)
    busy = replace(busy, media=(*busy.media[:2], replace(busy.media[2], look=busy.media[0].look)))
    verdict = authorize(make_plan(busy, Scale(2, no_drain=True)), OPERATOR, RULES)
    assert verdict.special == (
        "removes 1 media node without draining (media-3: 1 meeting, 5 people now)",
    )


def test_the_hint_names_the_terraform_variable() -> None:
    (line,) = make_plan(ready(3), Scale(5)).afterwards
    assert "fixedNumberOfMediaNodes = 5" in line
    assert "ignore_changes" in line
    assert "fixedNumberOfMediaNodes = 5" in make_plan(down(ready(3)), Startup(5)).afterwards[0]
    assert make_plan(down(ready(3)), Startup()).afterwards == (), (
        "as many as before is what Terraform knows"
    )


# Stories


def test_up_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu scale 4 --dry-run")
            dry = await scene.ephemeral(
                "UANA", "Dry run: Scale acme to 4 media nodes. Nothing was changed."
            )
            assert "No one is disconnected." in dry.text
            assert "2 more media nodes" in str(dry.blocks)
            assert "$0.14/h more" in dry.text
            assert "about 4 min" in dry.text
            assert scene.estate.pool("acme").target == 2
            await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
            run = await run_ended(scene)
            card = await scene.card("acme has 4 media nodes ·")
            assert "fixedNumberOfMediaNodes = 4" in card.text
            assert len(scene.estate.serving("acme")) == 4
            assert run.approvers == ()
            await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
            await scene.ephemeral("UANA", "nothing to do. acme has 4 media nodes already")

    virtual.run(story())


def test_down_in_slack_the_meeting_on_the_newest_is_waited_for() -> None:
    async def story() -> None:
        async with Scene(media=3) as scene:
            for _ in range(3):
                scene.estate.open_meeting(people=4, minutes=20)
            newest = scene.estate.media("acme")[-1]
            await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
            card = await scene.card("Scale acme to 2 media nodes")
            assert "on the other nodes only" in str(card.blocks)
            assert "saves $0.07/h" in card.text
            shown = str((await details(scene.ben, card)).body)
            assert "takes media nodes out of service" in shown
            await scene.ben.press(card, "Approve")
            await scene.card("media-3: 1 meeting, 4 people, 1 recording")
            run = await run_ended(scene)
            assert run.ended_at - run.opened_at > 19 * 60
            assert len(scene.estate.media("acme")) == 2
            assert newest.id not in scene.estate.droplets
            assert len(scene.estate.signals) == 1
            assert (
                "fixedNumberOfMediaNodes = 2" in (await scene.card("acme has 2 media nodes ·")).text
            )

    virtual.run(story())


@pytest.mark.parametrize("victims", ["oldest", "random"])
def test_other_removed_nodes_are_reported_and_the_survivor_serves_again(
    victims: str,
) -> None:
    async def story() -> None:
        async with Scene(media=4, seed=3) as scene:
            scene.estate.pool_scaler.removal_order = victims  # type: ignore[assignment]
            # Not by the bot: it drained those that DigitalOcean documents to remove.
            scene.estate.allow_disconnects = True
            oldest, newest = scene.estate.media("acme")[0], scene.estate.media("acme")[-1]
            await request_and_approve(scene, "scale 3", "Scale acme to 3 media nodes")
            run = await run_ended(scene)
            serving = scene.estate.serving("acme")
            assert len(serving) == 3
            if newest.id in scene.estate.droplets:
                assert newest in serving, "the survivor was restarted"
                (note,) = [n.text for n in run.notes]
                assert "media-4 was drained for removal, and returned to service instead" in note
                assert note in everything_read(scene).replace("\u200b", "")
            if victims == "oldest":
                assert newest.id in scene.estate.droplets
                assert (
                    "DigitalOcean removed media-1, which was to stay: people there were "
                    "disconnected" in run.notes[0].text
                )
                assert oldest.id not in scene.estate.droplets

    virtual.run(story())


def test_without_a_drain_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=2, minutes=60, recordings=0)
            scene.estate.open_meeting(people=3, minutes=60, recordings=1)
            scene.estate.allow_disconnects = True
            await request_and_approve(
                scene,
                "scale 1 --no-drain",
                "without draining (media-2: 1 meeting, 3 people, 1 recording now)",
            )
            run = await run_ended(scene)
            assert "Let" not in " ".join(titles(run))
            assert scene.estate.people_disconnected == 3
            assert scene.estate.signals == {k: v for k, v in scene.estate.signals.items() if v == 1}

    virtual.run(story())


def test_the_deadline_asks_and_force_removes_only_leaving_nodes() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=2, minutes=600)
            scene.estate.open_meeting(people=3, minutes=600)
            scene.estate.allow_disconnects = True
            await request_and_approve(scene, "scale 1", "Scale acme to 1 media node")
            card = await question(scene)
            assert "media-2 did not drain in time" in whole(card)
            await scene.ana.press(card, "End these meetings")
            await scene.ephemeral("UANA", "someone else must approve it")
            await scene.ben.press(card, "End these meetings")
            await run_ended(scene)
            assert scene.estate.people_disconnected == 3
            assert len(scene.estate.serving("acme")) == 1

    virtual.run(story())


@pytest.mark.parametrize("after", [1, 20, 61, 80, 160, 300])
def test_cancelled_it_ends_where_the_card_says(after: float) -> None:
    async def story() -> None:
        async with Scene(media=3) as scene:
            newest = scene.estate.media("acme")[-1]
            for _ in range(3):
                scene.estate.open_meeting(people=4, minutes=1)
            await request_and_approve(scene, "scale 2", "Scale acme to 2 media nodes")
            run = (await scene.run_is("acme-1", State.RUNNING)).id
            await scene.wait(after)
            if (await scene.journal.run(run)).over:
                return
            await scene.ana.type_text("COPS", f"/openvidu cancel {run}")
            ended = await scene.run_is(run, State.CANCELLED, State.DONE)
            await scene.wait(300)
            lowered = scene.estate.pool("acme").target == 2
            assert ("media pool set to 2" in ended.end_text) == (
                lowered and ended.state == State.CANCELLED
            )
            drained = newest.id in scene.estate.droplets and not newest.node.running("openvidu")
            assert (
                not drained
                or "(no new meetings until OpenVidu is restarted there)" in ended.end_text
            )

    virtual.run(story())


def test_a_startup_keeps_the_last_requested_number() -> None:
    async def story() -> None:
        async with Scene(media=3) as scene:
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            await request_and_approve(scene, "scale 2", "Scale acme to 2 media nodes")
            await run_ended(scene, run="acme-3")
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await scene.ephemeral("UANA", "nothing to do. acme is in service already")
            assert scene.estate.pool("acme").target == 2

    virtual.run(story())
