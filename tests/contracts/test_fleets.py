"""The simulated media fleets without a pool.

The autoscaler's function and its faults, the tag watcher, fixed nodes, and Terraform.
"""

import pytest

from simulators.cloud import SimulatedDroplet, Terraform, Variables
from simulators.cloud.events import TagRemoved
from tests.contracts.small_world import World

MEDIA, DRAINING = "acme-media-node-tag", "acme-draining"


def autoscaled(media: int = 3, **code: object) -> World:
    world = World(
        media=media,
        kind="autoscaler",
        **({"minimum": 2, "maximum": 4, "initial": 3, "target": 50.0} | code),  # type: ignore[arg-type]
    )
    world.estate.allow_disconnects = True
    return world


def names(world: World) -> list[str]:
    return [d.name for d in world.estate.media("acme")]


def run(world: World) -> None:
    """Run the function's next run to its end."""
    world.wait(240 - world.clock.moment % 240 + 30)


def _first_run(world: World, generation: int) -> None:
    """Wait for the run that the third generation starts when deployed."""
    if generation == 3:
        world.wait(30)
    else:
        run(world)


def tagged(world: World) -> list[SimulatedDroplet]:
    return [d for d in world.estate.media("acme") if DRAINING in d.tags]


# The function


@pytest.mark.parametrize(("generation", "more"), [(2, 1), (3, 3)])
def test_from_nothing_it_brings_one_or_all_that_are_missing(generation: int, more: int) -> None:
    world = autoscaled(media=0, generation=generation)
    _first_run(world, generation)
    assert len(names(world)) == more
    assert all(d.tags == [MEDIA] for d in world.estate.media("acme"))


@pytest.mark.parametrize(("generation", "more"), [(2, 1), (3, 3)])
def test_a_failed_listing_is_no_node_at_all(generation: int, more: int) -> None:
    world = autoscaled(media=2, generation=generation)
    world.estate.functions.answers = lambda what: not what.startswith("GET")
    _first_run(world, generation)
    assert len(names(world)) == 2 + more


def test_without_metrics_it_drains_the_first_listed() -> None:
    world = autoscaled()
    world.estate.functions.cpu = lambda _droplet: None
    first = world.estate.media("acme")[0]
    run(world)
    assert tagged(world) == [first]
    assert first.tags == [DRAINING], "the media tag goes first"


def test_it_counts_what_is_off_and_drains_the_only_live_one() -> None:
    world = autoscaled()
    one, two, live = world.estate.media("acme")
    world.estate.power.request(one.id, "power_off")
    world.estate.power.request(two.id, "power_off")
    world.wait(60)
    run(world)
    assert tagged(world) == [live]


def test_more_than_the_maximum_lets_one_go_however_hot() -> None:
    world = autoscaled(media=5)
    world.estate.functions.cpu = lambda _droplet: 90.0
    run(world)
    assert len(tagged(world)) == 1


def test_hot_nodes_bring_one_more() -> None:
    world = autoscaled()
    world.estate.functions.cpu = lambda _droplet: 90.0
    run(world)
    assert len(names(world)) == 4
    assert tagged(world) == []


def test_a_tag_call_that_fails_leaves_an_orphan() -> None:
    world = autoscaled()
    world.estate.functions.answers = lambda what: not (what.startswith("POST") and DRAINING in what)
    run(world)
    assert [d.tags for d in world.estate.media("acme")].count([]) == 1
    (orphan,) = world.estate.serving_without_firewall("acme")
    assert orphan.tags == [], "it serves outside its firewalls, and no tag query finds it"


def test_a_minimum_of_zero_never_wakes_up() -> None:
    world = autoscaled(media=0, minimum=0, maximum=0, initial=0)
    world.wait(3600)
    assert names(world) == []


def test_the_third_generation_never_sleeps_at_zero() -> None:
    world = autoscaled(media=0, minimum=0, maximum=0, initial=1, generation=3)
    world.estate.functions.cpu = lambda _droplet: 1.0
    seen = set()
    for _ in range(40):
        world.wait(60)
        seen.add(len([d for d in world.estate.media("acme") if MEDIA in d.tags]))
    assert seen == {0, 1}


@pytest.mark.parametrize("trouble", ["token", "limit", "capacity"])
def test_it_fails_without_a_word(trouble: str) -> None:
    world = autoscaled(media=0)
    if trouble == "token":
        world.estate.functions.code["acme"].token_works = False
    elif trouble == "limit":
        world.estate.droplet_limit = 4
    else:
        world.estate.switched = lambda name: name == "no_capacity"
    run(world)
    trigger = world.estate.functions.trigger_of("acme")
    assert trigger is not None
    assert trigger.last_run_at
    assert names(world) == []


def test_a_pause_does_not_stop_the_run_under_way() -> None:
    world = autoscaled(media=0)
    world.estate.functions.run_seconds = 110.0
    world.wait(240 - world.clock.moment % 240 + 5)
    world.estate.functions.enable("acme", False)
    assert world.estate.functions.scales("acme")
    world.wait(110)
    assert len(names(world)) == 1
    assert not world.estate.functions.scales("acme")
    world.wait(3600)
    assert len(names(world)) == 1


def test_a_run_of_two_minutes_is_killed_before_it_decides() -> None:
    world = autoscaled(media=0)
    world.estate.functions.run_seconds = 500.0
    world.wait(1800)
    assert names(world) == []


# The node


def test_a_tagged_node_finishes_and_deletes_itself() -> None:
    world = autoscaled(minimum=3)
    node = world.estate.media("acme")[0]
    world.estate.open_meeting(people=3, minutes=10)
    world.estate.tag(node, DRAINING)
    world.wait(135)
    assert not node.node.has_tag_watcher
    assert node not in world.estate.serving("acme")
    world.estate.tag(node, DRAINING)
    world.wait(300)
    assert node.id in world.estate.droplets, "somebody meets there"
    world.wait(300)
    assert node.id not in world.estate.droplets
    assert world.estate.signals == dict.fromkeys(world.estate.signals, 1)
    assert world.estate.people_disconnected == 0


def test_a_node_that_cannot_delete_itself_stays_and_is_not_counted() -> None:
    world = autoscaled(minimum=3)
    world.estate.deletes_itself = lambda _droplet: False
    node = world.estate.media("acme")[0]
    world.estate.tag(node, DRAINING)
    world.wait(3600)
    assert node.id in world.estate.droplets
    assert not node.node.running("openvidu")


def test_a_reboot_while_draining_takes_it_back_into_service_without_a_watcher() -> None:
    world = autoscaled(minimum=3)
    node = world.estate.media("acme")[0]
    world.estate.open_meeting(people=3, minutes=60)
    world.estate.tag(node, DRAINING)
    world.wait(150)
    world.estate.power.request(node.id, "power_cycle")
    world.wait(600)
    assert node in world.estate.serving("acme")
    assert not node.node.has_tag_watcher


def test_an_installation_that_fails_leaves_a_dud() -> None:
    world = autoscaled(media=0)
    world.estate.install_fails = lambda _droplet: True
    world.wait(900)
    assert names(world)
    assert world.estate.serving("acme") == []
    world.estate.tag(world.estate.media("acme")[0], DRAINING)
    before = len(names(world))
    world.wait(600)
    assert len(names(world)) >= before, "without a watcher the tag does nothing"


def test_a_tag_and_a_signal_are_two_signals() -> None:
    world = autoscaled(minimum=3)
    world.estate.allow_disconnects = False
    node = world.estate.media("acme")[0]
    world.estate.open_meeting(people=3, minutes=60)
    world.estate.containers.signal(node, "openvidu", "SIGQUIT")
    world.estate.tag(node, DRAINING)
    world.wait(150)
    assert "second-signal" in world.kinds()


# Fixed nodes


def fixed(media: int = 3) -> World:
    return World(media=media, kind="fixed")


def test_fixed_nodes_are_named_and_tagged_as_terraform_does() -> None:
    world = fixed()
    assert names(world) == ["acme-media-node-1", "acme-media-node-2", "acme-media-node-3"]
    assert world.estate.media("acme")[0].tags == ["openvidu", "acme", "media-node", MEDIA]
    assert world.estate.pools == {}
    assert world.estate.functions.namespaces == {}


def test_a_tag_does_nothing_to_a_fixed_node() -> None:
    world = fixed()
    world.estate.tag(world.estate.media("acme")[0], DRAINING)
    world.wait(3600)
    assert len(world.estate.serving("acme")) == 3


@pytest.mark.parametrize("boots", [True, False])
def test_after_a_power_cycle_it_serves_if_its_unit_starts_at_boot(boots: bool) -> None:
    world = fixed()
    node = world.estate.media("acme")[0]
    node.node.starts_at_boot = boots
    started = node.node.containers["openvidu"].started_at
    for kind in ("shutdown", "power_on"):
        world.estate.power.request(node.id, kind)
        world.wait(90)
    assert (node in world.estate.serving("acme")) is boots
    assert (node.node.containers["openvidu"].started_at != started) is boots


def test_the_vendors_script_on_a_fixed_node_loses_it() -> None:
    world = fixed()
    world.estate.graceful.run(world.estate.media("acme")[0])
    world.wait(60)
    assert len(names(world)) == 2
    assert world.kinds() == ["fixed-node-destroyed"]


# Terraform


def terraform(world: World, fixed: int = 0) -> Terraform:
    return Terraform(world.estate, "acme", Variables(fixed, "s-4vcpu-8gb", "s-4vcpu-8gb"))


def test_another_number_replaces_every_fixed_node() -> None:
    world = fixed()
    world.estate.allow_disconnects = True
    before = {d.id for d in world.estate.media("acme")}
    terraform(world, 3).apply_count(4)
    after = {d.id for d in world.estate.media("acme")}
    assert len(after) == 4
    assert not before & after


def test_an_apply_puts_sizes_and_tags_back_and_leaves_a_pause_alone() -> None:
    world = fixed()
    world.estate.allow_rolling = world.estate.allow_disconnects = True
    node = world.estate.media("acme")[0]
    node.size = "c-4"
    world.estate.tag(node, DRAINING)
    terraform(world, 3).apply()
    assert node.size == "s-4vcpu-8gb"
    assert DRAINING not in node.tags
    paused = autoscaled()
    paused.estate.functions.enable("acme", False)
    terraform(paused).apply()
    trigger = paused.estate.functions.trigger_of("acme")
    assert trigger is not None
    assert not trigger.is_enabled


def test_another_minimum_replaces_the_function_and_undoes_a_pause() -> None:
    world = autoscaled()
    world.estate.functions.enable("acme", False)
    before = world.estate.functions.namespace_of("acme")
    terraform(world).apply_minimum(3)
    after = world.estate.functions.namespace_of("acme")
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert world.estate.functions.scales("acme")
    world.wait(3600)
    assert len(names(world)) >= 3, "one clock runs, not two"


def test_the_vendors_shutdown_leaves_nothing() -> None:
    world = autoscaled()
    terraform(world).destroy_function()
    assert names(world) == []
    assert world.estate.functions.namespaces == {}
    assert DRAINING in world.estate.tags


# What must not happen


def test_masters_that_stop_while_the_function_may_act_are_seen() -> None:
    world = autoscaled(media=0)
    world.estate.power.request(world.estate.masters("acme")[0].id, "shutdown")
    assert "masters-off-while-scaling" in world.kinds()


def test_a_media_tag_taken_from_a_node_while_paused_is_seen() -> None:
    world = autoscaled()
    node = world.estate.media("acme")[0]
    world.estate.events.emit(TagRemoved(node, MEDIA))
    assert world.kinds() == []
    world.estate.functions.enable("acme", False)
    world.estate.events.emit(TagRemoved(node, MEDIA))
    assert world.kinds() == ["outside-its-firewalls"]


def test_two_stacks_side_by_side() -> None:
    world = autoscaled()
    world.estate.build_cluster("acme-media", media=2, kind="fixed")
    assert len(names(world)) == 3
    assert len(world.estate.media("acme-media")) == 2
