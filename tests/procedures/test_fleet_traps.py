"""Traps around media fleets without a pool: what looks right there and is not."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from services.cluster.fleet_kind import Evidence, ResourceNames, detect_fleet
from services.cluster.model import Cluster, FleetKind
from services.common.errors import Refused
from services.procedures import AddWindow, Scale, Shutdown, Startup
from services.procedures.plan import make_plan
from services.runs.run import State
from simulators.cloud import Cloud, Terraform, Variables
from tests.support import virtual
from tests.support.clusters import autoscaled, fixed
from tests.support.scene import Scene
from tests.support.stories import (
    everything_read,
    in_full,
    question,
    request_and_approve,
    run_ended,
    whole,
    with_buttons,
)

Story = Callable[[Scene], Awaitable[None]]
DRAINING, MEDIA = "acme-draining", "acme-media-node-tag"


def play(story: Story, kind: str = "autoscaler", media: int = 2, **more: Any) -> None:
    async def scene_of_it() -> None:
        async with Scene(media=media, kind=kind, **more) as scene:
            await story(scene)

    virtual.run(scene_of_it())


async def refused(scene: Scene, command: str, because: str) -> None:
    await scene.ana.type_text("COPS", f"/openvidu {command}")
    await scene.ephemeral("UANA", because)
    assert await scene.journal.latest("acme", 5) == []


# Detecting the kind

ACME = ResourceNames("acme")


@pytest.mark.parametrize(
    ("signs", "kind", "expected"),
    [
        (Evidence(1, False, 0, 0), FleetKind.POOL, ""),
        (Evidence(1, None, 0, 0), FleetKind.POOL, ""),
        (Evidence(0, True, 0, 2), FleetKind.AUTOSCALER, ""),
        (Evidence(0, True, 0, 0), FleetKind.AUTOSCALER, ""),
        (Evidence(0, False, 3, 0), FleetKind.FIXED, ""),
        (Evidence(0, False, 0, 0, True), FleetKind.NONE, ""),
        (
            Evidence(0, False, 0, 0, False),
            FleetKind.UNKNOWN,
            "no tag acme-draining. Check that acme is the stack's name",
        ),
        (Evidence(0, None, 3, 0), FleetKind.UNKNOWN, "it lacks function:read"),
        (Evidence(0, None, 0, 0, True), FleetKind.UNKNOWN, "it lacks function:read"),
        (Evidence(0, False, 0, 2), FleetKind.UNKNOWN, "or this token does not see it"),
        (
            Evidence(0, True, 2, 0),
            FleetKind.MIXED,
            "acme has the autoscaler acme-autoscaler and fixed media nodes",
        ),
        (
            Evidence(1, True, 0, 0),
            FleetKind.MIXED,
            "acme has the autoscale pool acme-media-node-pool and the autoscaler acme-autoscaler",
        ),
        (
            Evidence(1, False, 2, 0),
            FleetKind.MIXED,
            "at the same time: an apply is in progress, or was interrupted",
        ),
        (Evidence(1, None, 0, 2), FleetKind.MIXED, "nodes of an autoscaler"),
    ],
)
def test_the_kind_is_detected_from_the_existing_objects(
    signs: Evidence, kind: FleetKind, expected: str
) -> None:
    found, problem = detect_fleet(ACME, signs)
    assert found is kind
    assert expected in problem
    assert bool(problem) == (kind in (FleetKind.UNKNOWN, FleetKind.MIXED))


@pytest.mark.parametrize(
    "name",
    ["acme-media-media-node-1", "acme-media-node-0", "acme-media-node-1x", "xacme-media-node-1"],
)
def test_names_are_exact(name: str) -> None:
    assert not ACME.is_fixed(name)
    assert not ACME.is_autoscaled("acme-media-node-1800000000-1234")
    assert ResourceNames("acme-media").is_fixed("acme-media-media-node-1")


def test_two_stacks_of_which_one_is_called_like_the_others_media() -> None:
    async def story(scene: Scene) -> None:
        before = [d.id for d in scene.estate.media("acme-media")]
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert [d.id for d in scene.estate.media("acme-media")] == before
        assert len(scene.estate.serving("acme-media")) == 2

    play(story, kind="fixed", stacks=("acme", "acme-media"))


def test_a_pools_cluster_whose_software_is_newer_is_still_a_pools_cluster() -> None:
    """A cluster upgraded in place runs 3.8 on a pool: the version is never asked for."""

    async def story(scene: Scene) -> None:
        for droplet in scene.estate.media("acme"):
            for container in droplet.node.containers.values():
                container.image = container.image.replace(":3.6.1", ":3.8.0")
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert scene.estate.pool("acme").target == 0

    play(story, kind="pool")


@pytest.mark.parametrize("kind", ["fixed", "autoscaler"])
def test_a_token_that_may_not_read_functions_changes_nothing(kind: str) -> None:
    async def story(scene: Scene) -> None:
        scene.environment.digitalocean.scopes = {
            "droplet:read",
            "droplet:update",
            "tag:read",
            "tag:create",
            "account:read",
            "sizes:read",
        }
        await refused(scene, "shutdown", "it lacks function:read")
        await scene.ana.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UANA", "What keeps the media nodes is unknown")

    play(story, kind=kind)


def test_namespaces_that_the_token_does_not_see_are_not_absent() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.functions.invisible = True
        await refused(scene, "shutdown", "It was removed, or this token does not see it")

    play(story)


def test_an_apply_in_progress_is_refused_with_its_reason() -> None:
    async def story(scene: Scene) -> None:
        template = {"region": "ams3", "size": "s-4vcpu-8gb", "tags": [MEDIA]}
        scene.estate.create_droplet("acme-media-node-1", template)
        scene.estate.functions.enable("acme", False)
        await refused(
            scene,
            "shutdown",
            "acme has the autoscaler acme-autoscaler and fixed media nodes "
            "such as acme-media-node-1",
        )

    play(story)


def test_shut_down_the_vendor_s_way() -> None:
    """Only the tag is left: the masters can be operated, and the answer names Terraform."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UANA", "autoscaler enabled")
        await request_and_approve(scene, "resize masters s-8vcpu-16gb", "Resize the masters")
        await run_ended(scene)
        await scene.wait(240 - scene.clock.now() % 240 + 60)  # between two runs of the function
        Terraform(
            scene.estate, "acme", Variables(0, "s-4vcpu-8gb", "s-4vcpu-8gb")
        ).destroy_function()
        for _ in range(
            3
        ):  # one observation decides nothing: the function must be missing for a minute
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.wait(31)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ephemeral(
            "UANA", "is now not visible, and was an autoscaler (not confirmed yet"
        )
        await scene.wait(60)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        assert "an autoscaler with 2 nodes" in await in_full(scene.ben, card)
        await scene.ben.press(card, "Approve")
        await run_ended(scene, run="acme-2")
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-3")
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        assert "terraform apply" in everything_read(scene)

    play(story)


# The autoscaler


def test_a_run_in_progress_at_the_pause_is_waited_for_and_its_nodes_are_drained_too() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.functions.run_seconds = 115.0
        scene.estate.functions.code["acme"].minimum = 3
        await scene.wait(240 - scene.clock.now() % 240 - 2)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert scene.estate.media("acme") == []
        assert [m.status for m in scene.estate.masters("acme")] == ["off"] * 4

    play(story)


def test_a_paused_trigger_that_still_shows_a_next_run_is_trusted_after_a_full_interval() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.functions.next_run_stays = True
        await request_and_approve(scene, "shutdown", "Shut down acme")
        run = await run_ended(scene)
        assert run.ended_at - run.opened_at > 240 + 180

    play(story)


def test_no_node_that_the_autoscaler_made_is_ever_signalled_by_ssh_or_powered() -> None:
    """The simulator notices a power action; a signal beside the tag would be the second one."""

    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=30)
        scene.estate.open_meeting(people=4, minutes=30)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("f meetings are still running at")
        await scene.wait(300)
        for droplet in scene.estate.media("acme"):
            assert not [path for path in droplet.node.files if "openvidu-bot" in path], (
                "no marker of the bot's drain"
            )
        await run_ended(scene)
        assert set(scene.estate.signals.values()) == {1}

    play(story)


def test_while_it_is_paused_no_node_loses_its_firewalls() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=30)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.card("f meetings are still running at")
        await scene.wait(300)
        (left,) = scene.estate.media("acme")
        assert {MEDIA, DRAINING} <= set(left.tags)
        assert scene.estate.serving_without_firewall("acme") == []
        await run_ended(scene)

    play(story)


def test_a_pause_by_a_person_is_resumed_only_by_a_person() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.functions.enable("acme", False)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        card = await question(scene, run="acme-2")
        assert "The autoscaler was paused outside this bot" in whole(card)
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme")), (
            "the masters stay in service"
        )
        assert not scene.estate.functions.scales("acme")
        await scene.ben.press(card, "Resume the autoscaler")
        await run_ended(scene, run="acme-2")
        assert scene.estate.serving("acme")

    play(story)


def test_a_freeze_outlives_a_shutdown_unless_a_person_resumes_it() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu freeze --now")
        await run_ended(scene)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene, run="acme-2")
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        card = await question(scene, run="acme-3")
        assert "The autoscaler was frozen by" in whole(card)
        await scene.ben.press(card, "Leave it paused")
        await scene.wait(60)
        assert not scene.estate.functions.scales("acme")

    play(story)


def test_masters_are_not_taken_down_where_nothing_would_bring_the_media_nodes_back() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.functions.enable("acme", False)
        await refused(
            scene, "resize masters s-8vcpu-16gb", "No media nodes would be added afterwards"
        )

    play(story)


def test_an_externally_resumed_pause_is_noticed_before_the_masters_stop() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=20)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.wait(400)
        Terraform(scene.estate, "acme", Variables(0, "s-4vcpu-8gb", "s-4vcpu-8gb")).apply_minimum(1)
        card = await question(scene)
        assert "the autoscaler was resumed" in whole(card)
        assert [m.status for m in scene.estate.masters("acme")] == ["active"] * 4
        await scene.ben.press(card, "Continue from new state")
        await run_ended(scene)
        assert scene.estate.media("acme") == []

    play(story)


def test_a_deleted_trigger_is_shown_with_its_remedy() -> None:
    async def story(scene: Scene) -> None:
        namespace = scene.estate.functions.namespace_of("acme")
        assert namespace is not None
        namespace.triggers.clear()
        await refused(
            scene, "freeze", "terraform apply -replace='null_resource.deploy_autoscaler_function"
        )
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert scene.estate.media("acme") == []

    play(story)


def test_an_untagged_node_keeps_the_masters_on_until_it_is_deleted() -> None:
    async def story(scene: Scene) -> None:
        orphan = scene.estate.media("acme")[0]
        orphan.tags.clear()
        await scene.ana.type_text("COPS", "/openvidu status")
        card = await scene.ephemeral("UANA", "Cost now")
        assert "media-1001 has neither the media tag nor the draining tag" in whole(card)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert orphan.id not in scene.estate.droplets

    play(story)


def test_a_node_that_cannot_delete_itself_is_shown_and_deleted_by_a_choice() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.deletes_itself = lambda _droplet: False
        await request_and_approve(scene, "shutdown", "Shut down acme")
        card = await question(scene)
        assert "They are drained but cannot delete themselves" in whole(card)
        await scene.ben.press(card, "Delete them now")
        await run_ended(scene)
        assert scene.estate.media("acme") == []

    play(story, site={"drain": {"deadline_minutes": 30}})


def test_a_node_deleted_during_a_roll_does_not_stop_it() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_disconnects = True  # by a single press, for the meetings on that node
        old = scene.estate.media("acme")
        for people in (4, 5):
            scene.estate.open_meeting(people=people, minutes=60)
        scene.estate.functions.code["acme"].size = "s-8vcpu-16gb"
        await request_and_approve(
            scene, "roll s-8vcpu-16gb", "Roll the media nodes of acme to s-8vcpu-16gb"
        )
        await scene.ben.press(await question(scene), "Delete them now")
        await scene.wait(120)
        assert [d.id in scene.estate.droplets for d in old].count(False) == 1
        lost = scene.estate.people_disconnected
        await run_ended(scene)
        assert not [d for d in old if d.id in scene.estate.droplets]
        assert {d.size for d in scene.estate.media("acme")} == {"s-8vcpu-16gb"}
        assert scene.estate.people_disconnected == lost in (4, 5), (
            "the other node's meeting came to its own end"
        )

    play(story, site={"drain": {"deadline_minutes": 45}})


def test_a_node_whose_installation_failed_is_detected_by_its_age() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.install_fails = lambda _droplet: True
        scene.estate.functions.code["acme"].minimum = 3
        await scene.wait(3000)
        await scene.ana.type_text("COPS", "/openvidu status")
        assert "never finished installing, but counts as capacity" in whole(
            await scene.ephemeral("UANA", "Cost now")
        )

    play(story)


def test_a_start_up_without_nodes_shows_why_without_reading_credentials() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        scene.estate.functions.code["acme"].token_works = False
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await scene.card(
            "the autoscaler has run and added none: its token, the account's droplet limit, "
            "or no capacity"
        )
        run = await scene.run_is("acme-2", State.STOPPED)
        assert "Functions console" in run.stopped

    play(story)


def test_the_morning_has_the_minimum_as_the_shutdown_announced() -> None:
    plan = make_plan(autoscaled(5), Shutdown())
    assert any("the current number is not restored" in note for note in plan.notes)
    plan = make_plan(replace(autoscaled(5), autoscaler_minimum=3), Shutdown())
    assert "starts with its minimum" in plan.following


def test_nothing_that_holds_credentials_is_read_or_shown() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-2")
        asked_for = {path for _, path, _, _ in scene.estate.requests if "functions" in path}
        assert all(path.endswith(("/namespaces", "/acme-autoscale-cron")) for path in asked_for), (
            asked_for
        )
        events = [str(e) for run in ("acme-1", "acme-2") for e in await scene.journal.events(run)]
        for canary in scene.estate.canaries:
            assert canary not in everything_read(scene)
            assert not [e for e in events if canary in e]

    play(story)


def test_droplets_are_never_deleted_by_tag_and_none_is_made() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-2")
        changes = {
            (method, path)
            for method, path, _, _ in scene.estate.requests
            if method in ("DELETE", "POST")
        }
        assert not [p for m, p in changes if p.rstrip("/") == "/v2/droplets"]
        assert not [p for m, p in changes if m == "DELETE"]

    play(story)


# Fixed nodes


def test_the_vendors_script_is_not_run_on_a_fixed_node_whatever_the_settings_say() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert len(scene.estate.media("acme")) == 2, "that script deletes its own droplet"

    play(story, kind="fixed", site={"drain": {"method": "script"}})


def test_a_draining_tag_on_a_fixed_node_means_nothing() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.tag(scene.estate.media("acme")[0], DRAINING)
        scene.estate.open_meeting(people=4, minutes=5)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        assert all(d.status == "off" for d in scene.estate.media("acme"))

    play(story, kind="fixed")


def test_a_window_on_fixed_nodes_is_refused_because_it_saves_nothing() -> None:
    night = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
    with pytest.raises(Refused, match="would save nothing on acme") as refusal:
        make_plan(fixed(2), AddWindow(night))
    assert f"[[command window add {night} --saves-nothing]]" in str(refusal.value)
    plan = make_plan(fixed(2), AddWindow(f"{night} --saves-nothing"))
    assert plan.money == "saves nothing: DigitalOcean bills powered-off droplets in full"
    assert "saves about $" in make_plan(autoscaled(2), AddWindow(night)).money
    with pytest.raises(Refused, match="Omit `--number`"):
        make_plan(autoscaled(2), AddWindow(f"{night} --number 3"))
    with pytest.raises(Refused, match="fixedNumberOfMediaNodes = 3"):
        make_plan(fixed(2), AddWindow(f"{night} --number 3 --saves-nothing"))


def test_a_node_that_does_not_come_up_is_restarted_once_and_then_reported() -> None:
    async def story(scene: Scene) -> None:
        estate: Cloud = scene.estate
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        sick = estate.media("acme")[0]
        sick.node.starts_at_boot = False
        start = estate.nodes.start_unit
        tried = []
        estate.nodes.start_unit = lambda droplet: (  # type: ignore[method-assign]
            tried.append(droplet.id) if droplet is sick else start(droplet)
        )
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        run = await scene.run_is("acme-2", State.STOPPED)
        assert "media-1 to be in service (see [[command status media-1]])" in run.stopped
        assert tried == [sick.id]

    play(story, kind="fixed")


def test_the_number_of_a_start_up_is_of_those_that_terraform_made() -> None:
    assert [
        s.title() for s in make_plan(replace(fixed(3), nodes_before_shutdown=9), Startup()).steps
    ] == []


# Alerts


def test_nodes_that_appear_while_it_is_down_are_posted_with_age_and_price() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        Terraform(scene.estate, "acme", Variables(0, "s-4vcpu-8gb", "s-4vcpu-8gb")).apply_minimum(1)
        told_on = await scene.card(
            "The autoscaler of acme is enabled while its masters are powered off"
        )
        assert "it was resumed outside the bot, or by an apply" in told_on.text
        there = await scene.card("1 media node of acme is running while it is shut down")
        assert "min old · $0.07/h" in there.text or " s old · $0.07/h" in there.text
        await scene.wait(1800)
        assert (
            len(
                [
                    m
                    for m in scene.ana.visible_messages("COPS")
                    if "is enabled while its masters are powered off" in m.text
                ]
            )
            == 1
        )

    play(story, site={"channel": "COPS"})


@pytest.mark.thorough
def test_a_forgotten_freeze_is_posted_once_a_day() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu freeze --now")
        await run_ended(scene)
        await scene.wait(20 * 3600)
        assert "no node is added" not in everything_read(scene)
        await scene.wait(30 * 3600)
        messages = [
            m.text for m in scene.ana.visible_messages("COPS") if "no node is added" in m.text
        ]
        assert 1 <= len(messages) <= 2
        assert "The autoscaler was frozen by acme-1" in messages[0].replace("`", "")

    play(story, site={"channel": "COPS"}, pydo=False)


@pytest.mark.parametrize("kind", ["pool", "fixed"])
def test_the_other_kinds_have_no_alerts(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.wait(7200)
        assert "while it is shut down" not in everything_read(scene)

    play(story, kind=kind, site={"channel": "COPS"})


# Consequences of the function's own rules


def test_a_function_that_adds_all_nodes_at_once_drains_its_surplus_itself() -> None:
    """`initial` applies after every night, because no node exists then.

    Nodes beyond the minimum are drained again.
    """

    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-2")
        assert len(scene.estate.media("acme")) >= 3
        await scene.wait(3600)
        assert len(scene.estate.serving("acme")) == 2
        assert scene.estate.people_disconnected == 0

    play(story, generation=3, minimum=2, initial=4, maximum=6, site={"autoscaler": {"minimum": 2}})


@pytest.mark.parametrize("cluster", [fixed(2), autoscaled(2)], ids=["fixed", "autoscaler"])
def test_zero_is_a_shutdown_and_no_number_for_terraform(cluster: Cluster) -> None:
    """An autoscaler with a minimum of 0 never wakes up, or never sleeps."""
    with pytest.raises(Refused, match="caling to 0 is a shutdown"):
        make_plan(cluster, Scale(0))


def test_a_freeze_does_not_stop_leaving_nodes() -> None:
    async def story(scene: Scene) -> None:
        leaving = scene.estate.media("acme")[0]
        scene.estate.open_meeting(people=3, minutes=10)
        scene.estate.tag(leaving, DRAINING)
        await scene.ana.type_text("COPS", "/openvidu freeze --dry-run")
        dry = await scene.ephemeral("UANA", "Dry run: Freeze")
        assert "Nodes that are already draining are still removed" in whole(dry)
        await scene.ana.type_text("COPS", "/openvidu freeze --now")
        await run_ended(scene)
        await scene.wait(900)
        assert leaving.id not in scene.estate.droplets

    play(story)


def test_a_long_drain_stays_within_the_rate_limit() -> None:
    """The function shares the account's rate limit.

    Without requests left its listing fails, and it takes that for no node at all.
    """

    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=60)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.wait(600)
        before = len(scene.estate.requests)
        await scene.wait(1800)
        assert len(scene.estate.requests) - before < 30 * 20, (
            "a request in three seconds at most, of 250 a minute"
        )
        await run_ended(scene)

    play(story)
