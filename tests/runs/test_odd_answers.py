"""Odd answers of DigitalOcean during a run, once or lasting: nothing is lost, people are told."""

import pytest

from services.runs.run import State
from simulators.digitalocean.odd_answers import NAMES
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.coverage_level import by_level
from tests.support.scene import Scene
from tests.support.stories import (
    everything_read,
    question,
    request_and_approve,
    run_ended,
    with_buttons,
)

POOLS = "/v2/droplets/autoscale"


def meet(scene: Scene, media: int = 2) -> None:
    for _ in range(media):
        scene.estate.open_meeting(people=3, minutes=10)


def told_of(scene: Scene) -> list[Message]:
    """The channel's messages, without those that call people again because a run waits for them."""
    return [m for m in scene.ana.visible_messages("COPS") if "'Acknowledge'" not in str(m.blocks)]


async def middle(scene: Scene, seconds: float = 30.0) -> None:
    """A shutdown that lets meetings finish."""
    meet(scene)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await scene.wait(seconds)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("shape", NAMES)
def test_a_shape_that_comes_for_a_while_delays_a_run_and_does_nothing_else(shape: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            await middle(scene)
            scene.environment.faults.add("digitalocean", "odd-shape", "GET", times=-1, shape=shape)
            await scene.wait(1200)
            scene.environment.faults.clear()
            run = await run_ended(scene)
            assert run.takes == 1, "no bot died over it"

    virtual.run(story())


@pytest.mark.parametrize("shape", ["template-null", "member-without-droplet", "name-null"])
def test_a_shape_that_stays_stops_the_run_after_an_hour_by_name_and_is_told_once(
    shape: str,
) -> None:
    said = {
        "template-null": (
            "listing autoscale pools: acme-media-node-pool has no readable droplet_template"
        ),
        "member-without-droplet": (
            "listing the members of the pool: an entry has no readable droplet_id"
        ),
        "name-null": "has no readable name",
    }

    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            await middle(scene)
            messages = len(told_of(scene))
            scene.environment.faults.add("digitalocean", "odd-shape", "GET", times=-1, shape=shape)
            await scene.wait(by_level(3, 6, 6) * 3600)
            run = await scene.journal.run("acme-1")
            assert (run.state, run.takes) == (State.STOPPED, 1)
            assert said[shape] in run.stopped
            assert len(told_of(scene)) - messages <= 3
            assert all(m.on for m in scene.estate.masters("acme"))
            await scene.ana.type_text("COPS", "/openvidu status")
            card = await scene.ephemeral("UANA", "Nothing can be changed here")
            assert said[shape] in card.text.replace("\u200b", "")

    virtual.run(story())


@pytest.mark.parametrize("path", ["/v2/droplets", POOLS, f"{POOLS}/"])
def test_one_refusal_of_a_look_does_not_stop_a_run(path: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            await middle(scene)
            for status in ("401", "403", "404"):
                scene.environment.faults.add("digitalocean", status, f"GET {path}", times=1)
                await scene.wait(120)
            await run_ended(scene)

    virtual.run(story())


@pytest.mark.parametrize(
    ("kind", "path", "only"),
    [
        ("list-empty", "/v2/droplets", ""),
        ("list-one-missing", "/v2/droplets", "acme-master-node-3"),
        ("list-empty", POOLS, ""),
    ],
)
def test_one_list_without_masters_or_pool_does_not_stop_a_run(
    kind: str, path: str, only: str
) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            await middle(scene)
            scene.environment.faults.add("digitalocean", kind, f"GET {path}", only=only)
            run = await run_ended(scene)
            assert run.asked == ()

    virtual.run(story())


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        ("fixed", "resize media s-8vcpu-16gb"),
        ("pool", "drain media-1"),
        ("autoscaler", "drain media-1001"),
    ],
)
def test_a_node_that_one_list_leaves_out_has_not_finished(fleet: str, words: str) -> None:
    """Gone is what two looks show: people meet there still, and the next step rests on it."""

    async def story() -> None:
        async with Scene(media=2, kind=fleet, pydo=False) as scene:
            node = scene.estate.media("acme")[0]
            scene.estate.open_meeting(people=5, minutes=12, on=node)
            await scene.ana.type_text("COPS", f"/openvidu {words}")
            await scene.ben.press(await with_buttons(scene, "Approve"), "Approve")
            await scene.wait(60)
            before = (await scene.journal.run("acme-1")).position
            scene.environment.faults.add(
                "digitalocean", "list-one-missing", "GET /v2/droplets", only=node.name
            )
            await scene.wait(120)
            run = await scene.journal.run("acme-1")
            assert (run.position, run.question) == (before, None)
            assert (await run_ended(scene)).asked == ()
            assert scene.estate.losses == []

    virtual.run(story())


@pytest.mark.parametrize("kind", ["shuffled", "tags-shuffled"])
def test_another_order_is_nothing_to_ask_people_about(kind: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            scene.estate.pool("acme").template["tags"] += ["media", "blue", "green"]
            scene.environment.faults.add("digitalocean", kind, "GET", times=-1)
            await middle(scene)
            run = await run_ended(scene)
            assert run.asked == ()
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")

    virtual.run(story())


@pytest.mark.parametrize("path", [f"{POOLS}/", "/v2/functions/namespaces"])
@pytest.mark.parametrize("kind", ["list-empty", "list-one-missing"])
def test_one_wrong_list_changes_nothing(kind: str, path: str) -> None:
    async def story() -> None:
        async with Scene(media=3, pydo=False) as scene:
            meet(scene, 3)
            await request_and_approve(scene, "scale 2", "Scale acme to 2 media nodes")
            for _ in range(6):
                await scene.wait(110)
                scene.environment.faults.add("digitalocean", kind, f"GET {path}")
            run = await run_ended(scene)
            assert run.notes == ()
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


def test_a_run_that_is_not_about_snapshots_does_not_wait_for_their_list() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            scene.environment.faults.add(
                "digitalocean", "500-before", "GET /v2/snapshots", times=-1
            )
            await middle(scene)
            pool = scene.estate.pool("acme")
            body = {
                "name": pool.name,
                "config": {"target_number_instances": 3},
                "droplet_template": pool.template,
            }
            scene.estate.pool_scaler.edit(pool.id, body)
            card = await question(scene, timeout=600)
            assert "the pool's number from 2 to 3" in card.text

    virtual.run(story())


def test_an_account_of_many_droplets_is_shut_down_while_others_come_and_go() -> None:
    async def story() -> None:
        async with Scene(media=1, pydo=False) as scene:
            scene.estate.neighbours.move_in(230, around=scene.estate.masters("acme")[2])
            for skip in range(0, 400, 20):
                scene.environment.faults.add(
                    "digitalocean", "churn", "GET /v2/droplets", times=1, skip=skip
                )
            await middle(scene)
            await run_ended(scene)
            assert not any(m.on for m in scene.estate.masters("acme"))

    virtual.run(story())


@pytest.mark.parametrize("status", ["deleting", "error"])
def test_a_pool_that_takes_no_edit_is_told_refused_and_waited_for(status: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            pool = scene.estate.pool("acme")
            scene.estate.pool_scaler.fail(pool, "error" if status == "error" else "deleting")
            shown = f'DigitalOcean reports the pool as "{status}"; '
            shown += 'it is changed only while it is "active"'
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ephemeral("UANA", shown)
            await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
            await scene.ephemeral("UANA", shown)
            scene.estate.pool_scaler.recover(pool)
            await scene.wait(5)
            await middle(scene)
            scene.estate.pool_scaler.fail(pool, "error" if status == "error" else "deleting")
            await scene.run_is("acme-1", State.ASKING, State.STOPPED)
            await scene.wait(60)
            assert ("PUT", f"{POOLS}/{pool.id}") not in [
                request[:2] for request in scene.estate.requests
            ]
            assert shown in everything_read(scene)

    virtual.run(story())


@pytest.mark.parametrize("path", [POOLS, f"{POOLS}/", "/v2/sizes", "/v2/snapshots", "/v2/account"])
def test_status_shows_the_rest_and_says_what_was_not_seen(path: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            meet(scene)
            scene.environment.faults.add("digitalocean", "500-before", f"GET {path}", times=-1)
            await scene.ana.type_text("COPS", "/openvidu status")
            card = await scene.ephemeral("UANA", "Masters: 4 of 4 healthy")
            assert "Meetings now: 2 (6 people" in card.text
            if path.startswith(POOLS):
                assert "Not all media nodes were seen: listing" in card.text
                assert "answered 500" in card.text
                assert (
                    "The media fleet of acme was not observed. Nothing can be changed here."
                    in card.text
                )
                assert "Cost now: unknown, masters $0.29/h" in card.text
                await scene.ana.type_text("COPS", "/openvidu shutdown")
                await scene.ephemeral("UANA", "No usable answer: listing")
            else:
                assert "pool at 2, 2 droplets" in str(card.blocks)
                assert (
                    "unknown (listing snapshots: DigitalOcean answered 500" in str(card.blocks)
                ) == (path == "/v2/snapshots")
                await scene.ana.type_text("COPS", "/openvidu shutdown --dry-run")
                await scene.ephemeral("UANA", "saves $0.14/h")

    virtual.run(story())


def test_the_functions_of_an_autoscaler_that_cannot_be_read_are_named_in_status() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False, kind="autoscaler") as scene:
            scene.environment.faults.add(
                "digitalocean", "500-before", "GET /v2/functions/namespaces", times=-1
            )
            await scene.ana.type_text("COPS", "/openvidu status")
            card = await scene.ephemeral(
                "UANA",
                "Not all media nodes were seen: listing functions namespaces: "
                "DigitalOcean answered 500",
            )
            assert "Masters: 4 of 4 healthy" in card.text

    virtual.run(story())


@pytest.mark.parametrize(
    ("fault", "only"), [("list-empty", ""), ("list-one-missing", "s-8vcpu-16gb"), ("403", "")]
)
def test_one_odd_list_of_sizes_is_not_remembered(fault: str, only: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            more = {"only": only} if only else {}
            scene.environment.faults.add("digitalocean", fault, "GET /v2/sizes", times=1, **more)  # type: ignore[arg-type]
            await scene.ana.type_text("COPS", "/openvidu resize media s-8vcpu-16gb --dry-run")
            await scene.ephemeral("UANA", "size")
            assert not any(
                "Dry run" in str(m.blocks) for m in scene.ana.visible_messages("COPS")
            ), "refused this time, with the reason"
            await scene.wait(90)
            await scene.ana.type_text("COPS", "/openvidu resize media s-8vcpu-16gb --dry-run")
            await scene.ephemeral("UANA", "media nodes of acme to s-8vcpu-16gb")

    virtual.run(story())
