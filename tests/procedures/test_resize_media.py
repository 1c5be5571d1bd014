"""Change the droplet size of the media nodes through Slack."""

from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import ResizeMedia
from services.procedures.plan import make_plan
from services.runs.run import State
from simulators.cloud.model import SimulatedPool, unprocessable
from tests.support import virtual
from tests.support.clusters import SIZES, SOLD, down, price, ready
from tests.support.scene import OFTEN, Scene
from tests.support.stories import request_and_approve, run_ended, titles, whole, with_buttons

OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))


def shop(media: int = 3, **more: Any) -> Cluster:
    return replace(ready(media), **{"sizes": SOLD, **more})


def steps(cluster: Cluster, procedure: ResizeMedia) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def test_it_reads_like_the_vendors_page() -> None:
    assert steps(shop(), ResizeMedia("c-4")) == [
        "Drain 3 media nodes",
        "Set the media pool's droplet size to c-4",
        "Wait until 3 media nodes of c-4 are in service",
        "Verify that media nodes of the old size are deleted",
    ]


def test_the_plan_shows_that_the_pool_doubles_and_the_outage() -> None:
    plan = make_plan(shop(), ResizeMedia("c-4"))
    assert plan.notes == (
        "DigitalOcean doubles the pool to 6 nodes for about 10 min, "
        "then removes the old ones: about $0.06, once",
        "The file secrets.env is not checked: no bucket is configured",
    )
    assert plan.outage is not None
    assert 240 <= plan.outage < 300, "until the new ones serve, not until the old ones are gone"
    assert 600 < plan.takes < 800
    assert plan.saves == 3 * (price(SOLD[0]) - price(SOLD[2]))
    assert plan.effects.special == (), "a media resize may take the last node that serves"
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL
    assert "mediaNodeInstanceType" in plan.afterwards[0]


def test_without_a_drain_there_is_no_outage_and_the_approval_states_who_is_disconnected() -> None:
    plan = make_plan(shop(), ResizeMedia("c-4", no_drain=True))
    assert plan.outage is None
    assert not plan.effects.down
    lost = (
        "removes 3 media nodes without draining, about 10 min later "
        "(media-1: 1 meeting, 5 people now)"
    )
    assert authorize(plan, OPERATOR, RULES).special == (lost,)


def test_the_current_size_needs_no_change() -> None:
    assert make_plan(shop(), ResizeMedia(SIZES[0])).is_empty


def test_an_empty_pool_only_gets_the_new_size() -> None:
    assert steps(replace(down(ready(3)), sizes=SOLD), ResizeMedia("c-4")) == [
        "Set the media pool's droplet size to c-4"
    ]


@pytest.mark.parametrize(
    ("cluster", "size", "expected"),
    [
        (shop(), "c-44", "DigitalOcean has no size c-44 for this account. Similar sizes: `c-4`"),
        (
            shop(sizes=(replace(SOLD[2], available=False), SOLD[0])),
            "c-4",
            "DigitalOcean does not offer c-4 in ams3 now",
        ),
        (
            shop(sizes=(replace(SOLD[2], regions=("fra1",)), SOLD[0])),
            "c-4",
            "DigitalOcean does not offer c-4 in ams3 now",
        ),
        (shop(sizes=()), "c-4", "list of sizes could not be read"),
        (
            shop(droplet_limit=9, droplets_in_account=7),
            "c-4",
            "make 10 droplets. The account has 7 now, and its limit is 9",
        ),
    ],
)
def test_an_unavailable_size_is_refused_before_anything_is_drained(
    cluster: Cluster, size: str, expected: str
) -> None:
    with pytest.raises(Refused, match=expected):
        make_plan(cluster, ResizeMedia(size))


# Stories


def test_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.allow_template_keys.add("size")
            scene.estate.open_meeting(people=4, minutes=15, recordings=1)
            old = {d.id for d in scene.estate.media("acme")}
            await scene.ana.type_text("COPS", "/openvidu resize media c-8 --dry-run")
            dry = await scene.ephemeral("UANA", "Dry run: Resize the media nodes of acme to c-8")
            for expected in (
                "No one is disconnected: 1 meeting (4 people, 1 recording) finishes first",
                "then back in service after about 4 min",
                "Cost: $0.36/h more",
                "doubles the pool to 4 nodes",
            ):
                assert expected in whole(dry), expected
            await request_and_approve(
                scene, "resize media c-8", "Resize the media nodes of acme to c-8"
            )
            await run_ended(scene)
            assert [d.size for d in scene.estate.media("acme")] == ["c-8", "c-8"]
            assert len(scene.estate.serving("acme")) == 2
            assert old.isdisjoint(scene.estate.droplets)
            assert scene.estate.people_disconnected == 0
            end = await scene.card("acme has media nodes of c-8 ·")
            assert 'mediaNodeInstanceType = "c-8"' in end.text
            await scene.ana.type_text("COPS", "/openvidu resize media c-8")
            await scene.ephemeral("UANA", "nothing to do. acme has media nodes of c-8 already")

    virtual.run(story())


def test_a_late_node_of_the_old_size_serves_no_one_before_it_is_removed() -> None:
    """The vendor's script would delete the droplets, and the pool replace them at the old size.

    People would meet there until the pool removes them.
    """

    async def story() -> None:
        async with Scene(media=2, site={"drain": {"method": "script"}, **OFTEN}) as scene:
            scene.estate.allow_template_keys.add("size")
            # Another is being added when the resize begins.
            scene.estate.power.destroy(scene.estate.media("acme")[1].id)
            await scene.wait(60)
            await request_and_approve(
                scene, "resize media c-8", "Resize the media nodes of acme to c-8"
            )
            await scene.wait(10)
            scene.estate.traffic(per_hour=60)
            await run_ended(scene)
            assert {d.size for d in scene.estate.media("acme")} == {"c-8"}
            assert len(scene.estate.serving("acme")) == 2
            assert scene.estate.people_disconnected == 0

    virtual.run(story())


def test_no_drain_in_slack_keeps_people_meeting_until_the_old_nodes_go() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_template_keys.add("size")
            scene.estate.allow_disconnects = True
            scene.estate.open_meeting(people=4, minutes=120)
            await request_and_approve(
                scene,
                "resize media c-8 --no-drain",
                "without draining, about 10 min later (media-1: 1 meeting",
            )
            await scene.wait(300)
            assert scene.estate.people_disconnected == 0
            assert len(scene.estate.serving("acme")) == 2
            await run_ended(scene)
            assert scene.estate.people_disconnected == 4

    virtual.run(story())


def test_when_digitalocean_refuses_the_size_the_drained_nodes_serve_again() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            edit = scene.estate.pool_scaler.edit

            def refuse(pool_id: str, body: dict[str, Any]) -> SimulatedPool:
                if body["droplet_template"]["size"] == "c-8":
                    raise unprocessable("size is not available for autoscale pools")
                return edit(pool_id, body)

            scene.estate.pool_scaler.edit = refuse  # type: ignore[method-assign]
            await request_and_approve(
                scene, "resize media c-8", "Resize the media nodes of acme to c-8"
            )
            run = await run_ended(scene, State.ROLLED_BACK)
            assert "size is not available for autoscale pools" in run.end_text
            assert len(scene.estate.serving("acme")) == 2
            assert titles(run)[-2:] == [
                "Put 2 drained media nodes back into service",
                "Wait until 2 media nodes are in service",
            ]

    virtual.run(story())


def test_without_capacity_it_pauses_with_digitalocean_s_reason_and_can_be_resumed() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.allow_template_keys.add("size")
            scene.estate.capacity = False
            await request_and_approve(
                scene, "resize media c-8", "Resize the media nodes of acme to c-8"
            )
            run = await scene.run_is("acme-1", State.STOPPED)
            assert "no capacity for c-8 in ams3" in run.stopped
            scene.estate.capacity = True
            await scene.wait(120)
            await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Resume run")
            await scene.run_is("acme-1", State.RUNNING, State.DONE)
            await run_ended(scene)
            assert [d.size for d in scene.estate.media("acme")] == ["c-8", "c-8"]

    virtual.run(story())


@pytest.mark.parametrize("after", [1, 31, 45, 200, 400])
def test_cancelled_it_ends_where_the_card_says(after: float) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_template_keys.add("size")
            await request_and_approve(
                scene, "resize media c-8", "Resize the media nodes of acme to c-8"
            )
            await scene.run_is("acme-1", State.RUNNING)
            await scene.wait(after)
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            run = await run_ended(scene, State.CANCELLED)
            changed = scene.estate.pool("acme").template["size"] == "c-8"
            assert ("media pool's droplet size set to c-8" in run.end_text) == changed
            assert (
                changed
                or "(no new meetings until OpenVidu is restarted there)" in run.end_text
                or "nothing" in run.end_text
            )

    virtual.run(story())
