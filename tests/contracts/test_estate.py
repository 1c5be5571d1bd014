"""How the simulated cloud behaves."""

import pytest

from simulators.cloud import Refusal
from simulators.cloud.model import MEDIA_SERVERS
from tests.contracts.small_world import World


@pytest.fixture
def world() -> World:
    return World()


def drain(world: World, index: int = 0) -> None:
    droplet = world.estate.media("acme")[index]
    for name in (*MEDIA_SERVERS, "agent-speech-processing"):
        world.estate.containers.signal(droplet, name, "SIGQUIT")


def test_a_new_cluster_serves_at_once(world: World) -> None:
    assert world.estate.front_is_up("acme")
    assert len(world.estate.serving("acme")) == 3


def test_a_drained_node_takes_no_new_meeting_and_leaves_when_the_last_one_has_ended() -> None:
    world = World(media=1)
    assert world.estate.open_meeting(minutes=10) is not None
    drain(world)
    assert world.estate.open_meeting() is None
    droplet = world.estate.media("acme")[0]
    world.wait(599)
    assert droplet.node.running("openvidu")
    assert droplet.node.running("egress")
    world.wait(5)
    assert not any(droplet.node.running(name) for name in MEDIA_SERVERS)
    assert world.kinds() == []


def test_a_second_signal_throws_everybody_out() -> None:
    world = World(media=1)
    world.estate.open_meeting(people=7)
    drain(world)
    world.estate.containers.signal(world.estate.media("acme")[0], "openvidu", "SIGQUIT")
    assert world.estate.people_disconnected == 7
    assert world.kinds() == ["second-signal", "thrown-out"]
    assert list(world.estate.signals.values()) == [2]


def test_a_restarted_media_server_may_be_drained_again(world: World) -> None:
    drain(world)
    world.wait(5)
    world.estate.nodes.restart_unit(world.estate.media("acme")[0])
    assert len(world.estate.serving("acme")) == 3
    drain(world)
    assert world.kinds() == []
    assert len(world.estate.signals) == 2


def test_shrinking_takes_the_newest_first_and_gives_it_sixty_seconds(world: World) -> None:
    members = world.estate.pool("acme").members
    newest = members[-1].droplet_id
    world.pool_to(2)
    assert members[-1].status == "deleting"
    world.wait(59)
    assert newest in world.estate.droplets
    world.wait(1)
    assert newest not in world.estate.droplets
    assert [h.status for h in world.estate.pool("acme").history] == ["success"]


def test_shrinking_under_a_meeting_is_seen(world: World) -> None:
    for _ in range(3):
        world.estate.open_meeting(people=3)
    world.pool_to(0)
    world.wait(60)
    assert world.kinds() == ["thrown-out"] * 3


@pytest.mark.parametrize(
    ("mode", "is_accepted"), [("yes", True), ("omitted", True), ("refused", False)]
)
def test_a_pool_of_zero(mode: str, is_accepted: bool) -> None:
    world = World(allow_zero=mode)
    if is_accepted:
        world.pool_to(0)
        world.wait(60)
        assert world.estate.media("acme") == []
    else:
        with pytest.raises(Refusal, match="target_number_instances must be at least 1"):
            world.pool_to(0)


def test_growing_takes_half_a_minute_and_then_the_installation(world: World) -> None:
    world.pool_to(4)
    world.wait(32)
    assert world.estate.pool("acme").members[-1].status == "provisioning"
    world.wait(1)
    assert world.estate.pool("acme").members[-1].status == "active"
    assert len(world.estate.serving("acme")) == 3
    world.wait(180)
    assert len(world.estate.serving("acme")) == 4


def test_an_identical_edit_leaves_no_trace(world: World) -> None:
    before = world.estate.pool("acme").updated_at
    world.wait(100)
    world.pool_to(3)
    assert world.estate.pool("acme").updated_at == before
    assert world.estate.pool("acme").history == []
    assert world.kinds() == []


def test_another_size_doubles_the_pool_until_the_cooldown_is_over(world: World) -> None:
    world.estate.allow_template_keys.add("size")
    world.pool_to(3, size="s-8vcpu-16gb")
    world.wait(300)
    assert len(world.estate.media("acme")) == 6
    world.wait(361)
    assert [d.size for d in world.estate.media("acme")] == ["s-8vcpu-16gb"] * 3
    assert world.kinds() == []


def test_a_lost_key_of_the_template_is_seen(world: World) -> None:
    world.pool_to(3, user_data="")
    assert world.kinds() == ["pool-edit-lossy"]


def test_a_destroyed_member_is_replaced(world: World) -> None:
    world.estate.power.destroy(world.estate.media("acme")[0].id)
    world.wait(30 + 33)
    assert [m.status for m in world.estate.pool("acme").members] == ["active"] * 3


def test_no_capacity_ends_in_the_history_and_is_tried_again(world: World) -> None:
    world.estate.capacity = False
    world.pool_to(4)
    assert world.estate.pool("acme").history[-1].error_reason.startswith("no capacity")
    world.estate.capacity = True
    world.wait(60 + 33)
    assert len(world.estate.pool("acme").members) == 4


def test_an_edit_may_have_to_wait_for_the_cooldown(world: World) -> None:
    world.estate.cooldown_gates_edits = True
    world.pool_to(2)
    world.wait(100)
    world.pool_to(3)
    world.wait(499)
    assert len(world.estate.media("acme")) == 2
    world.wait(1)
    assert len(world.estate.media("acme")) == 3


def stop_masters(world: World) -> None:
    for master in world.estate.masters("acme"):
        world.estate.power.request(master.id, "shutdown")
    world.wait(23)


def test_masters_are_healthy_only_when_all_four_were_started() -> None:
    world = World(media=0)
    stop_masters(world)
    masters = world.estate.masters("acme")
    assert [m.status for m in masters] == ["off"] * 4
    for master in masters[:3]:
        world.estate.power.request(master.id, "power_on")
    world.wait(25 + 500)
    assert not any(world.estate.healthy(m) for m in masters)
    world.estate.power.request(masters[3].id, "power_on")
    world.wait(25 + 89)
    assert not any(world.estate.healthy(m) for m in masters)
    world.wait(1)
    assert all(world.estate.healthy(m) for m in masters)
    assert not world.estate.front_is_up("acme")
    world.wait(5)
    assert world.estate.front_is_up("acme")
    assert world.kinds() == []


def test_one_master_down_leaves_the_cluster_up_and_two_are_seen() -> None:
    world = World()
    world.estate.allow_rolling = True
    masters = world.estate.masters("acme")
    world.estate.power.request(masters[0].id, "shutdown")
    world.wait(23)
    assert world.estate.front_is_up("acme")
    assert world.kinds() == []
    world.estate.power.request(masters[1].id, "shutdown")
    assert world.kinds() == ["two-masters-down"]


def test_stopping_masters_under_serving_media_is_seen(world: World) -> None:
    world.estate.power.request(world.cluster.master_ids[0], "shutdown")
    assert world.kinds() == ["master-before-media"]


def test_media_may_stay_when_it_was_agreed_and_is_drained(world: World) -> None:
    for n in range(3):
        drain(world, n)
    world.wait(5)
    world.estate.allow_to_stay(d.id for d in world.estate.media("acme"))
    world.estate.power.request(world.cluster.master_ids[0], "shutdown")
    assert world.kinds() == []


@pytest.mark.parametrize(("drained", "kept"), [(2, 3), (3, 2)])
def test_neither_drained_nor_agreed_is_enough(world: World, drained: int, kept: int) -> None:
    for n in range(drained):
        drain(world, n)
    world.wait(5)
    world.estate.allow_to_stay([d.id for d in world.estate.media("acme")][:kept])
    world.estate.power.request(world.cluster.master_ids[0], "shutdown")
    assert world.kinds() == ["master-before-media"]


def test_status_lags_behind_the_action(world: World) -> None:
    world = World(media=0)
    master = world.estate.masters("acme")[0]
    action = world.estate.power.request(master.id, "power_off")
    assert master.locked
    world.wait(5)
    assert (action.status, master.locked, master.status) == ("completed", False, "active")
    world.wait(3)
    assert master.status == "off"


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("power_on", {}, "Droplet is already powered on"),
        ("resize", {"size": "s-2vcpu-4gb"}, "Size can not decrease size of Droplet's disk image"),
        ("rebuild", {}, "not available"),
        ("dance", {}, "Unrecognized"),
    ],
)
def test_what_droplets_refuse(world: World, kind: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(Refusal, match=text):
        world.estate.power.request(world.cluster.master_ids[0], kind, options)


def test_a_droplet_does_one_thing_at_a_time() -> None:
    world = World(media=0)
    world.estate.power.request(world.cluster.master_ids[0], "shutdown")
    with pytest.raises(Refusal, match="already has a pending event"):
        world.estate.power.request(world.cluster.master_ids[0], "power_off")
    world.wait(23)
    with pytest.raises(Refusal, match="already powered off"):
        world.estate.power.request(world.cluster.master_ids[0], "power_off")


def test_a_resized_droplet_keeps_its_disk_and_stays_off() -> None:
    world = World(media=0)
    stop_masters(world)
    master = world.estate.masters("acme")[0]
    world.estate.power.request(master.id, "resize", {"size": "s-8vcpu-16gb", "disk": False})
    world.wait(200)
    assert (master.size, master.disk, master.status) == ("s-8vcpu-16gb", 160, "off")
    world.estate.power.request(master.id, "resize", {"size": "s-4vcpu-8gb"})


def test_a_shutdown_can_complete_and_do_nothing() -> None:
    world = World(media=0)
    world.estate.outcome = lambda _kind, _droplet: "ignored"
    action = world.estate.power.request(world.cluster.master_ids[0], "shutdown")
    world.wait(30)
    assert action.status == "completed"
    assert world.estate.masters("acme")[0].status == "active"


@pytest.mark.parametrize("line", ["GRAFANA_ADMIN_PASSWORD=a|b", None])
def test_a_bad_secrets_file_leaves_the_master_that_reads_it_stopped(line: str | None) -> None:
    world = World()
    world.estate.allow_rolling = True
    world.estate.read_secrets = lambda _stack: None if line is None else f"{line}\n".encode()
    world.estate.power.request(world.cluster.master_ids[0], "reboot")
    world.wait(200)
    masters = world.estate.masters("acme")
    assert [world.estate.healthy(m) for m in masters] == [False, True, True, True]
    assert masters[0].status == "active"
    world.estate.read_secrets = lambda _stack: b"GRAFANA_ADMIN_PASSWORD=ab\n"
    world.estate.nodes.read_secrets_and_start(masters[0])
    world.wait(90)
    assert world.estate.healthy(masters[0])


def test_the_vendors_script_destroys_its_own_droplet_and_the_pool_refills(world: World) -> None:
    world.estate.open_meeting(minutes=5)
    droplet = next(d for d in world.estate.media("acme") if world.estate.meetings_on(d.id))
    world.estate.graceful.run(droplet)
    world.wait(299)
    assert droplet.id in world.estate.droplets
    world.wait(30)
    assert droplet.id not in world.estate.droplets
    world.wait(70)
    assert len(world.estate.media("acme")) == 3
    assert world.kinds() == []


def test_traffic_is_the_same_for_the_same_seed() -> None:
    counts = []
    for _ in range(2):
        world = World()
        world.estate.traffic("acme", per_hour=60)
        world.wait(3600)
        counts.append([m.name for m in world.estate.meetings.values()])
    assert counts[0] == counts[1] != []


def test_a_team_is_always_in_one_meeting_while_a_node_takes_it(world: World) -> None:
    for people, recordings in ((5, 1), (6, 0)):
        world.estate.team(people, recordings, (0.5, 2.0))
    met = set()
    for _ in range(997):
        world.wait(1.3)
        held = world.estate.meetings_of("acme")
        assert sorted((m.people, m.recordings) for m in held) == [(5, 1), (6, 0)]
        met |= {m.name for m in held}
    assert len(met) > 20
    for index in range(3):
        drain(world, index)
    world.wait(125)
    assert world.estate.meetings_of("acme") == []
    assert world.kinds() == []


def test_two_clusters_do_not_mix() -> None:
    world = World()
    world.estate.build_cluster("acme-2", media=2)
    assert len(world.estate.media("acme")) == 3
    assert len(world.estate.media("acme-2")) == 2
    assert len({d.public_ip for d in world.estate.droplets.values()}) == 13
