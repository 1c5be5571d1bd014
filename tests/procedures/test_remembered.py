"""How many media nodes come back: as many as there were when the shutdown began.

Plan, end and start-up show the same number.
"""

from dataclasses import replace

import pytest

from services.cluster.model import Cluster, NodeStatus
from services.common.text import count_of
from services.procedures import ResizeMasters, Shutdown, Startup
from services.procedures.plan import make_plan
from services.runs.run import State
from services.steps import NodesOff, PoolTarget
from tests.procedures.test_other_hands import set_pool
from tests.runs.test_glitches import answers, only, refused
from tests.runs.test_misfortunes import looking
from tests.support import virtual
from tests.support.clusters import SOLD, autoscaled, end_of, fixed, ready
from tests.support.scene import Scene
from tests.support.stories import everything_read, goes_on, question, request_and_approve, run_ended

PARKED = NodeStatus(start="t1", running=(), drain_marked=True)


async def by_hand(scene: Scene, media: int | None) -> None:
    """Start the cluster in the control panel, as the vendor describes, with so many media nodes."""
    for master in scene.estate.masters("acme"):
        scene.estate.settle()
        scene.estate.power.request(master.id, "power_on")
    await scene.wait(120)
    if media is not None:
        set_pool(scene, media)
        await scene.wait(1800)
        assert len(scene.estate.serving("acme")) == media


@pytest.mark.parametrize("later", [6, 1])
def test_a_cluster_that_was_started_by_hand_comes_back_as_it_was_last(later: int) -> None:
    """Once, the number of an earlier shutdown was kept, and the card showed another."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.promises = False
            scene.estate.droplet_limit = 60
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            await by_hand(scene, later)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene, run="acme-2")
            nodes = count_of(later, "media node")
            await scene.card(f"/openvidu startup starts it again ({nodes}, as before)", timeout=30)
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            run = await run_ended(scene, run="acme-3")
            assert f"Set media pool to {later}" in [s.title() for s in run.steps]
            assert len(scene.estate.serving("acme")) == later

    virtual.run(story())


def test_fixed_nodes_that_were_switched_by_hand_come_back_as_they_were_last() -> None:
    async def story() -> None:
        async with Scene(media=3, kind="fixed") as scene:
            scene.promises = False
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            await by_hand(scene, None)
            for node in scene.estate.media("acme")[:2]:  # the third stays off
                scene.estate.settle()
                scene.estate.power.request(node.id, "power_on")
            await scene.wait(900)
            assert len(scene.estate.serving("acme")) == 2
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene, run="acme-2")
            await scene.card(
                "/openvidu startup starts it again (2 media nodes, as before)", timeout=30
            )
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            run = await run_ended(scene, run="acme-3")
            assert "Power on media-1 and media-2" in [s.title() for s in run.steps]
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


def test_an_autoscaler_names_no_number_that_it_will_not_bring() -> None:
    async def story() -> None:
        async with Scene(media=2, kind="autoscaler") as scene:
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await run_ended(scene)
            assert "starts with its minimum" in run.following
            assert "as before" not in everything_read(scene)

    virtual.run(story())


def test_a_number_set_externally_during_the_shutdown_comes_back() -> None:
    """After the choice to go on from the new state, the end once named the first plan's number."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            for _ in range(2):
                scene.estate.open_meeting(people=2, minutes=10)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(30)
            set_pool(scene, 4)
            await goes_on(scene, await question(scene))
            await run_ended(scene)
            await scene.card(
                "/openvidu startup starts it again (4 media nodes, as before)", timeout=30
            )
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 4

    virtual.run(story())


@pytest.mark.parametrize("policy", ["ask", "keep_one"])
def test_a_refused_zero_changes_nothing_about_the_number(policy: str) -> None:
    async def story() -> None:
        async with Scene(media=3, allow_zero="refused", policy={"zero_refused": policy}) as scene:
            scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
            await request_and_approve(scene, "shutdown", "Shut down acme")
            if policy == "ask":
                await scene.ben.press(
                    await question(scene),
                    "Keep 1 media node running ($0.07/h), power off the masters",
                )
            await run_ended(scene)
            await scene.card(
                "/openvidu startup starts it again (3 media nodes, as before)", timeout=30
            )
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 3

    virtual.run(story())


def test_a_shutdown_that_continues_an_abandoned_one_keeps_its_number() -> None:
    """The first shutdown drained or removed nodes: what is left is not the earlier number."""

    async def story() -> None:
        async with Scene(media=3) as scene:
            scene.estate.open_meeting(people=2, minutes=20)
            answers(
                scene, only(4, lambda m, p: m == "POST" and p.endswith("/actions"), refused(422))
            )
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.run_is("acme-1", State.STOPPED)
            assert scene.estate.pool("acme").target == 0
            await scene.ana.type_text("COPS", "/openvidu abandon acme-1")
            await scene.run_is("acme-1", State.ABANDONED)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene, run="acme-2")
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-3")
            assert len(scene.estate.serving("acme")) == 3

    virtual.run(story())


# Plans


def kept(cluster: Cluster) -> int:
    """Return how many nodes a shutdown's plan records for the next start-up."""
    for step in make_plan(cluster, Shutdown()).steps:
        if isinstance(step, PoolTarget) and step.remember:
            return step.keeps or step.was
        if isinstance(step, NodesOff) and step.remember:
            return len(step.keep_ids or step.ids)
    raise AssertionError("nothing is kept")


@pytest.mark.parametrize("remembered", [None, 1, 3, 9])
def test_nodes_in_service_now_come_back(remembered: int | None) -> None:
    assert kept(ready(3, nodes_before_shutdown=remembered)) == 3
    assert kept(fixed(3, nodes_before_shutdown=remembered, node_ids_before_shutdown=(101,))) == 3


@pytest.mark.parametrize("remembered", [None, 1, 3, 9])
def test_where_nothing_could_serve_the_larger_number_comes_back(remembered: int | None) -> None:
    """They were drained by an unfinished shutdown. More is the safe direction."""
    assert kept(looking(ready(3, nodes_before_shutdown=remembered), PARKED)) == max(
        remembered or 0, 3
    )


def test_the_same_number_stands_at_the_end_of_the_shutdown_and_in_the_start_up() -> None:
    for cluster in (
        ready(3),
        ready(1, nodes_before_shutdown=7),
        ready(4, zero_refused=True, zero_policy="keep_one"),
        fixed(3),
        autoscaled(3),
    ):
        down = make_plan(cluster, Shutdown())
        closed = end_of(cluster, down.steps)
        number = kept(cluster) if "as before" in down.following else None
        up = make_plan(closed if number is None else _remembering(closed, number), Startup())
        if number is not None:
            assert f"({count_of(number, 'media node')}, as before)" in down.following
            assert Startup().number(_remembering(closed, number)) == number
        assert not up.is_empty


def _remembering(cluster: Cluster, number: int) -> Cluster:
    return replace(cluster, nodes_before_shutdown=number)


def test_a_round_trip_keeps_and_brings_back_the_same() -> None:
    plan = make_plan(ready(3, nodes_before_shutdown=9, sizes=SOLD), ResizeMasters("s-8vcpu-16gb"))
    targets = [s for s in plan.steps if isinstance(s, PoolTarget)]
    assert [(s.number, s.keeps) for s in targets] == [(0, 3), (3, 0)]
