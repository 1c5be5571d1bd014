"""Drain media nodes through Slack, without removing them."""

from dataclasses import replace

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.model import Cluster, NodeStatus
from services.common.errors import Refused
from services.common.observed import Observed
from services.procedures import DrainNodes
from services.procedures.plan import make_plan
from services.runs.run import State
from tests.support import virtual
from tests.support.clusters import DRAINING, IDLE, ready
from tests.support.scene import Scene
from tests.support.stories import question, request_and_approve, run_ended

OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))


def looking(cluster: Cluster, *looks: Observed[NodeStatus]) -> Cluster:
    nodes = zip(cluster.media, looks, strict=True)
    return cluster.with_media({n.id: replace(n, look=look) for n, look in nodes})


@pytest.mark.parametrize(
    "target", ["media-2", "MEDIA-2", "acme-media-node-pool-0a1b2c3d-002", "102"]
)
def test_a_node_has_the_names_that_people_use(target: str) -> None:
    plan = make_plan(ready(3), DrainNodes(target))
    assert [s.title() for s in plan.steps] == ["Drain media-2"]
    assert not plan.effects.down
    assert plan.effects.special == ()
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL, (
        "it is not reversible"
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("media-9", "acme has no media node “media-9”. There are: media-1, media-2, media-3"),
        ("master-1", "master-1 is a master; only media nodes can be drained"),
    ],
)
def test_an_unknown_name_is_refused_with_the_existing_ones(target: str, expected: str) -> None:
    with pytest.raises(Refused, match=expected):
        make_plan(ready(3), DrainNodes(target))


def test_two_nodes_of_one_name_are_distinguished_by_their_ids() -> None:
    twice = ready(2)
    twin = replace(
        twice.media[1], droplet=replace(twice.media[1].droplet, name=twice.media[0].name)
    )
    with pytest.raises(
        Refused, match=r"“media-1” matches 2 nodes of acme\. Use an id: 101 and 102"
    ):
        make_plan(replace(twice, media=(twice.media[0], twin)), DrainNodes("media-1"))


def test_the_last_node_in_service_is_drained_only_with_explicit_approval() -> None:
    serving = ready(1).media[0].look
    for cluster, target in (
        (ready(3), "all"),
        (looking(ready(3), IDLE, serving, DRAINING), "media-2"),
        (ready(1), "media-1"),
    ):
        plan = make_plan(cluster, DrainNodes(target))
        assert plan.effects.down
        assert plan.outage is None, "nobody knows when somebody brings it back"
        verdict = authorize(plan, OPERATOR, RULES)
        assert verdict.special == ("no one can meet on acme until OpenVidu is restarted there",)


def test_drained_nodes_need_no_drain() -> None:
    assert make_plan(looking(ready(2), IDLE, IDLE), DrainNodes()).is_empty
    assert make_plan(
        looking(ready(2), IDLE, ready(1).media[0].look), DrainNodes("media-1")
    ).is_empty


# Stories


def test_one_node_in_slack_and_back_again() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            for _ in range(2):
                scene.estate.open_meeting(people=3, minutes=15)
            await scene.ana.type_text("COPS", "/openvidu drain media-1 --dry-run")
            dry = await scene.ephemeral("UANA", "Dry run: Drain media-1 of acme")
            assert "no change" in dry.text
            assert "Nothing is removed, so nothing is saved" in str(dry.blocks)
            card = await request_and_approve(scene, "drain media-1", "Drain media-1 of acme")
            assert "No one is disconnected" in card.text
            await run_ended(scene)
            end = await scene.card("media-1 of acme is drained ·")
            assert "/openvidu restart media-1" in end.text
            assert len(scene.estate.media("acme")) == 2
            assert len(scene.estate.serving("acme")) == 1
            await scene.ana.type_text("COPS", "/openvidu restart media-1 --now")
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


def test_all_of_them_in_slack_and_a_startup_brings_them_back() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu drain")
            card = await scene.card("Drain all media nodes of acme")
            assert "o one can meet on acme until OpenVidu is restarted there" in card.text
            await scene.ben.press(card, "Approve")
            await run_ended(scene)
            assert scene.estate.serving("acme") == []
            assert scene.estate.pool("acme").target == 2
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


@pytest.mark.parametrize(
    ("answer", "lost"),
    [("Wait 30 min more", 0), ("Stop here", 0), ("End these meetings", 6)],
)
def test_at_the_deadline_people_choose(answer: str, lost: int) -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.allow_disconnects = lost > 0
            scene.estate.open_meeting(people=6, minutes=140)
            busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
            name = f"media-{scene.estate.media('acme').index(busy) + 1}"
            await request_and_approve(scene, f"drain {name}", f"Drain {name} of acme")
            await scene.ben.press(await question(scene), answer)
            run = await run_ended(scene, State.LEFT if answer == "Stop here" else State.DONE)
            assert scene.estate.people_disconnected == lost
            assert len(scene.estate.media("acme")) == 2, "nothing is removed"
            if answer == "Stop here":
                assert f"{name} takes no new meetings until restarted" in run.end_text
            else:
                assert not busy.node.running("openvidu")

    virtual.run(story())


def test_a_cancel_says_that_a_drain_is_not_reversible() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=6, minutes=30)
            await request_and_approve(scene, "drain all", "Drain all media nodes of acme")
            await scene.wait(60)
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            run = await run_ended(scene, State.CANCELLED)
            assert "(no new meetings until OpenVidu is restarted there)" in run.end_text
            assert len(scene.estate.signals) == 2

    virtual.run(story())
