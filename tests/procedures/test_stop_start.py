"""Stop OpenVidu on one node and start it again, as the vendor's page does with systemctl."""

from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.model import Cluster, Deployment
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures import Procedure, Restart, Start, Startup, Stop
from services.procedures.plan import make_plan
from services.runs.run import State
from services.steps import StopUnit
from tests.support import virtual
from tests.support.clusters import (
    INSTALLING,
    SILENT,
    autoscaled,
    down,
    fixed,
    ready,
    with_stopped,
)
from tests.support.scene import Scene
from tests.support.stories import question, request_and_approve, run_ended, titles

OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))
STOP, START = "systemctl stop openvidu", "systemctl start openvidu"


def steps(cluster: Cluster, procedure: Procedure) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def asked(scene: Scene, command: str) -> list[int]:
    return [d for d, c, _ in scene.environment.shell.commands if c == command]


def test_a_media_node_is_drained_first() -> None:
    plan = make_plan(ready(3), Stop("media-2"))
    assert [s.title() for s in plan.steps] == ["Drain media-2", "Stop OpenVidu on media-2"]
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL
    assert not plan.effects.down
    assert not plan.effects.cuts_off


def test_a_master_alone_while_the_others_serve() -> None:
    plan = make_plan(ready(3), Stop("master-2"))
    assert [s.title() for s in plan.steps] == ["Stop OpenVidu on master-2"]
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL
    assert not plan.effects.down


def test_the_only_master_is_downtime_and_says_so() -> None:
    cluster = replace(ready(2), masters=ready(2).masters[:1], deployment=Deployment.ELASTIC)
    plan = make_plan(cluster, Stop("master-1"))
    titles_ = [s.title() for s in plan.steps]
    assert (titles_[0], titles_[-1]) == ("Drain 2 media nodes", "Stop OpenVidu on master-1")
    assert plan.effects.down
    assert "no one can meet on acme until OpenVidu is started there" in plan.effects.special


def test_what_is_stopped_is_not_stopped_again() -> None:
    for node, number in (("master-2", 2), ("media-2", 102)):
        assert make_plan(with_stopped(ready(3), number), Stop(node)).is_empty


def test_start() -> None:
    assert steps(with_stopped(ready(3), 2), Start("master-2")) == [
        "Start OpenVidu on master-2",
        "Wait until master 2 is healthy",
        "Verify that the public address answers",
    ]
    plan = make_plan(with_stopped(ready(3), 102), Start("media-2"))
    assert [s.title() for s in plan.steps] == [
        "Start OpenVidu on media-2",
        "Wait until media-2 is in service",
    ]
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.ALLOWED
    assert make_plan(ready(3), Start("master-2")).is_empty


@pytest.mark.parametrize("cluster", [ready(3), fixed(3)], ids=["pool", "fixed"])
def test_a_start_up_brings_it_back(cluster: Cluster) -> None:
    of_master = steps(with_stopped(cluster, 2), Startup())
    assert of_master[0] == "Start OpenVidu on master-2"
    assert "healthy" in of_master[1]
    assert "Start OpenVidu on media-2" in steps(with_stopped(cluster, 102), Startup(3))


def _unseen(cluster: Cluster) -> Cluster:
    masters = tuple(replace(m, unit=Unobserved("Connection refused")) for m in cluster.masters)
    return replace(cluster, masters=masters)


def _sick(cluster: Cluster, index: int, **change: Any) -> Cluster:
    master = cluster.masters[index]
    return cluster.with_masters({master.name: replace(master, **change)})


def _media(look: Any) -> Cluster:
    cluster = ready(2)
    return replace(cluster, media=(replace(cluster.media[0], look=look), cluster.media[1]))


@pytest.mark.parametrize(
    ("cluster", "procedure", "expected"),
    [
        (_sick(ready(2), 3, healthy=False), Stop("master-1"),
         "master-4 is not healthy, and two masters are never down at once"),
        (_sick(ready(2), 3, healthy=Unobserved("no answer", since=1.0)), Stop("master-1"),
         "master-4 is not healthy"),
        (with_stopped(ready(2), 4), Stop("master-1"), r"stopped there: \[\[command start master-4"),
        (with_stopped(ready(2), 4), Restart("master-1"), r"\[\[command start master-4"),
        (down(ready(2)), Stop("master-1"), r"acme is shut down"),
        (_unseen(ready(2)), Stop("master-1"), "cannot be reached over SSH .Connection refused"),
        (_unseen(ready(2)), Start("master-1"), "cannot be reached over SSH"),
        (ready(2), Stop("master-7"), "acme has no node “master-7”. There are: master-1"),
        (_media(INSTALLING), Stop("media-1"), "still installing"),
        (_media(SILENT), Stop("media-1"), "cannot be observed over SSH"),
        (autoscaled(2), Stop("media-1001"), r"created by the autoscaler.*\[\[command drain"),
        (_sick(ready(2), 0, status="off", healthy=False), Start("master-1"), "is powered off"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_the_alternative(
    cluster: Cluster, procedure: Procedure, expected: str
) -> None:
    with pytest.raises(Refused, match=expected):
        make_plan(cluster, procedure)


def test_a_master_that_falls_ill_meanwhile_keeps_the_next_one_up() -> None:
    step = StopUnit(1, "master-1")
    assert step.blocker(ready(2)) == ""
    assert "two masters are never down at once" in step.blocker(_sick(ready(2), 2, healthy=False))
    # Only for the others: the sick one itself may be stopped.
    assert step.blocker(_sick(ready(2), 0, healthy=False)) == ""


# Stories


def test_a_media_node_from_stop_to_start_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=5, minutes=25)
            busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
            name = f"media-{scene.estate.media('acme').index(busy) + 1}"
            await request_and_approve(scene, f"stop {name}", f"Stop OpenVidu on {name}")
            run = await run_ended(scene)
            assert run.ended_at - run.opened_at > 24 * 60, "its meeting went on to its end"
            assert titles(run) == [f"Drain {name}", f"Stop OpenVidu on {name}"]
            assert busy.node.unit == "inactive"
            assert busy.on
            assert set(scene.estate.signals.values()) == {1}
            assert scene.estate.people_disconnected == 0

            await scene.ana.type_text("COPS", "/openvidu status")
            shown = await scene.ephemeral("UANA", "acme is in service")
            assert f"OpenVidu on {name} is stopped by" in shown.text
            assert f"/openvidu start {name}" in shown.text
            assert "1 of 2 in service, 1 stopped" in shown.text
            await scene.ana.type_text("COPS", f"/openvidu status {name}")
            one = await scene.ephemeral("UANA", f"{name} of acme: ")
            assert "OpenVidu was stopped by" in one.text

            await scene.ana.type_text("COPS", f"/openvidu start {name} --now")
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 2
            after = await scene.bot.operations.reader.look("acme")
            assert after.stopped == ()

    virtual.run(story())


def test_a_master_stays_stopped_and_is_no_failure() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.open_meeting(people=5, minutes=600)
            master = scene.estate.masters("acme")[1]
            await request_and_approve(scene, "stop master-2", "Stop OpenVidu on master-2")
            await run_ended(scene)
            assert asked(scene, STOP) == [master.id], "once, and nowhere else"
            assert scene.estate.people_disconnected == 0
            await scene.wait(3600)
            await scene.ana.type_text("COPS", "/openvidu status")
            shown = await scene.ephemeral("UANA", "acme is in service")
            assert "3 of 4 healthy, 1 stopped" in shown.text
            assert "Not healthy" not in shown.text
            # No other master goes down beside it.
            await scene.ana.type_text("COPS", "/openvidu restart master-3")
            await scene.ephemeral("UANA", "Start it first with `/openvidu start master-2`")
            # A start-up brings it back.
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            assert scene.estate.healthy(master)
            assert (await scene.bot.operations.reader.look("acme")).stopped == ()

    virtual.run(story())


def test_one_that_was_started_by_hand_is_forgotten() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            master = scene.estate.masters("acme")[1]
            await request_and_approve(scene, "stop master-2", "Stop OpenVidu on master-2")
            await run_ended(scene)
            scene.estate.nodes.start_unit(master)
            await scene.wait(900)
            reader = scene.bot.operations.reader
            assert (await reader.look("acme")).stopped == ()
            # It fails later: a failure, and no one's wish.
            scene.estate.nodes.stop_unit(master)
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ephemeral("UANA", "Not healthy: master-2")

    virtual.run(story())


def test_a_boot_that_fails_after_a_stop_is_a_failure() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            master = scene.estate.masters("acme")[1]
            await request_and_approve(scene, "stop master-2", "Stop OpenVidu on master-2")
            await run_ended(scene)
            scene.estate.power.request(master.id, "power_off")
            await scene.wait(60)
            assert (await scene.bot.operations.reader.look("acme")).stopped == ()
            scene.estate.power.request(master.id, "power_on")
            await scene.wait(60)
            scene.estate.nodes.stop_unit(master)
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ephemeral("UANA", "Not healthy: master-2")

    virtual.run(story())


def test_meetings_that_do_not_end_may_be_ended_by_people() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.allow_disconnects = True
            scene.estate.open_meeting(people=5, minutes=600)
            busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
            name = f"media-{scene.estate.media('acme').index(busy) + 1}"
            await request_and_approve(scene, f"stop {name}", f"Stop OpenVidu on {name}")
            await scene.ben.press(await question(scene), "End these meetings")
            await run_ended(scene)
            assert busy.node.unit == "inactive"
            assert scene.estate.people_disconnected == 5
            assert [s.id for s in (await scene.bot.operations.reader.look("acme")).stopped] == [
                busy.id
            ]

    virtual.run(story())


def test_the_only_master_of_elastic_ends_meetings_first_and_a_start_up_brings_it_back() -> None:
    async def story() -> None:
        async with Scene(media=2, deployment="elastic") as scene:
            scene.estate.open_meeting(people=5, minutes=10)
            (master,) = scene.estate.masters("acme")
            await request_and_approve(scene, "stop master", "Stop OpenVidu on master")
            await run_ended(scene)
            assert scene.estate.people_disconnected == 0
            assert master.on
            assert master.node.unit == "inactive"
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ephemeral("UANA", "acme is stopped")
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            assert scene.estate.healthy(master)
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


def test_the_droplet_of_a_single_node_is_drained_before_it_stops() -> None:
    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            scene.estate.open_meeting(people=5, minutes=10)
            (node,) = scene.estate.masters("acme")
            await request_and_approve(scene, "stop node", "Stop OpenVidu on node")
            await run_ended(scene)
            assert scene.estate.people_disconnected == 0
            assert node.node.unit == "inactive"
            await scene.ana.type_text("COPS", "/openvidu start node --now")
            await run_ended(scene, run="acme-2")
            assert scene.estate.healthy(node)
            assert len(scene.estate.serving("acme")) == 1

    virtual.run(story())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("node", ["master-2", "media-1"])
@pytest.mark.parametrize("after", [0, 2, 6, 15, 40])
def test_a_cancel_leaves_a_state_that_is_named(after: float, node: str) -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await request_and_approve(scene, f"stop {node}", f"Stop OpenVidu on {node}")
            await scene.run_is("acme-1", State.RUNNING, State.DONE)
            await scene.wait(after)
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            await scene.run_is("acme-1", State.CANCELLED, State.DONE)
            looked = await scene.bot.operations.reader.look("acme")
            recorded = {s.id for s in looked.stopped}
            nodes = [*scene.estate.masters("acme"), *scene.estate.media("acme")]
            assert recorded == {d.id for d in nodes if d.node.unit == "inactive"}

    virtual.run(story())


@pytest.mark.parametrize(("deployment", "node"), [("elastic", "master"), ("single node", "node")])
def test_the_only_master_that_does_not_stop_goes_on_holding_meetings(
    deployment: str, node: str
) -> None:
    async def story() -> None:
        async with Scene(media=1, deployment=deployment) as scene:
            scene.estate.nodes.stop_unit = lambda _droplet: None  # type: ignore[method-assign]
            await request_and_approve(scene, f"stop {node}", f"Stop OpenVidu on {node}")
            await run_ended(scene, State.ROLLED_BACK)
            assert scene.estate.open_meeting() is not None, "it was drained for nothing"
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())
