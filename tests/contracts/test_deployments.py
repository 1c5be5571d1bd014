"""How a simulated Elastic and a simulated Single Node behave."""

from typing import Any

import jwt
import pytest

from bot.init.discovery import stacks
from services.cloud import node_scripts
from services.cloud.parse import droplet_entry
from simulators.cloud import SimulatedDroplet, boot_script
from simulators.cloud.model import MEDIA_SERVERS
from simulators.digitalocean import DigitalOceanApi
from simulators.digitalocean.views import droplet
from simulators.livekit import LivekitApi
from simulators.node import NodeShell
from simulators.public_http import HEALTH, HEALTH_PORT, PublicHttp
from simulators.spaces import SpacesApi
from tests.contracts.small_world import World

AGENT = "agent-speech-processing"
READY = 100.0


def single(**options: Any) -> tuple[World, SimulatedDroplet]:
    world = World(deployment="single node", **options)
    return world, world.estate.masters("acme")[0]


def elastic(**options: Any) -> tuple[World, SimulatedDroplet]:
    world = World(deployment="elastic", **options)
    return world, world.estate.masters("acme")[0]


def drain(world: World, node: SimulatedDroplet) -> None:
    for name in (*MEDIA_SERVERS, AGENT):
        world.estate.containers.signal(node, name, "SIGQUIT")


# --- what is there


@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
def test_elastic_has_one_master_and_the_media_fleet_of_a_cluster(kind: str) -> None:
    world, master = elastic(kind=kind)
    assert master.name == "acme-master-node"
    assert master.tags == ["openvidu", "acme", "master-node"]
    assert len(world.estate.masters("acme")) == 1
    assert len(world.estate.media("acme")) == 3
    assert all("acme-media-node-tag" in d.tags for d in world.estate.media("acme"))
    assert len(world.estate.serving("acme")) == 3
    assert world.estate.balancers == {}
    assert world.cluster.bucket.startswith("acme-space-")
    assert "data" not in world.cluster.bucket


@pytest.mark.parametrize(
    ("edition", "name"), [("pro", "acme-vm-ce-pro"), ("community", "acme-vm-ce")]
)
def test_a_single_node_is_one_droplet_without_tags(edition: str, name: str) -> None:
    world, node = single(edition=edition)
    assert [d.name for d in world.estate.droplets.values()] == [name]
    assert node.tags == []
    estate = world.estate
    for others in (estate.pools, estate.balancers, estate.functions.namespaces):
        assert not others
    assert world.estate.media("acme") == world.estate.masters("acme") == [node]
    assert {"openvidu", "ingress", "egress", "caddy", "mongo", "redis", AGENT} <= set(
        node.node.containers
    )
    assert (b"OPENVIDU_PRO_LICENSE" in node.node.files[boot_script.SINGLE_ENV]) is (
        edition == "pro"
    )


@pytest.mark.parametrize("deployment", ["elastic", "single node"])
def test_a_reserved_ip_is_listed_behind_the_droplets_own_address(deployment: str) -> None:
    world = World(deployment=deployment)
    master = world.estate.masters("acme")[0]
    shown = droplet(master)
    public = [n["ip_address"] for n in shown["networks"]["v4"] if n["type"] == "public"]
    assert public == [master.public_ip, master.reserved_ip]
    assert droplet_entry(shown).droplet.address == master.public_ip


# --- who serves, and what answers


@pytest.mark.parametrize("deployment", ["elastic", "single node"])
def test_nothing_answers_while_the_one_droplet_is_off_and_then_all_does(deployment: str) -> None:
    world = World(deployment=deployment)
    estate, web = world.estate, PublicHttp(world.estate)
    api = LivekitApi(estate, world.cluster)
    master = estate.masters("acme")[0]
    drained = list(estate.media("acme"))
    assert web.handle(world.cluster.domain, 443, "/") == 200
    assert web.handle(master.reserved_ip, 443, "/") == 200
    for node in drained:
        drain(world, node)
    world.wait(5)
    estate.allow_to_stay(d.id for d in drained)
    estate.power.request(master.id, "shutdown")
    world.wait(30)
    for address in (world.cluster.domain, master.reserved_ip, master.public_ip, master.private_ip):
        with pytest.raises(ConnectionRefusedError):
            web.handle(address, HEALTH_PORT, HEALTH)
    with pytest.raises(ConnectionRefusedError):
        rooms(api)
    with pytest.raises(ConnectionRefusedError):
        NodeShell(estate).execute(master.id, "systemctl is-active openvidu")
    estate.power.request(master.id, "power_on")
    world.wait(30)
    assert web.health(master) == 503
    assert web.handle(world.cluster.domain, 443, "/") == 503
    world.wait(READY)
    assert web.health(master) == 200
    assert web.handle(world.cluster.domain, 443, "/") == 200
    assert rooms(api) == []
    assert world.kinds() == []


def test_a_firewall_drops_requests_for_the_health_page_from_outside() -> None:
    for world, inside in ((elastic()[0], True), (single()[0], False)):
        web, master = PublicHttp(world.estate), world.estate.masters("acme")[0]
        for address in (master.public_ip, master.reserved_ip):
            with pytest.raises(TimeoutError):
                web.handle(address, HEALTH_PORT, HEALTH)
        if inside:
            assert web.handle(master.private_ip, HEALTH_PORT, HEALTH) == 200


def rooms(api: LivekitApi) -> list[str]:
    now = int(api.estate.now)
    claims = {"iss": api.api_key, "nbf": now, "exp": now + 60, "video": {"roomList": True}}
    token = jwt.encode(claims, api.api_secret, algorithm="HS256")
    answer = api.handle(
        "POST",
        "/twirp/livekit.RoomService/ListRooms",
        {"authorization": f"Bearer {token}"},
        b"{}",
    )
    assert answer.status == 200, answer.body
    return [room["name"] for room in answer.json()["rooms"]]


def test_elastic_loses_its_meetings_with_its_master() -> None:
    world, master = elastic()
    world.estate.open_meeting(people=4)
    world.estate.power.request(master.id, "shutdown")
    world.wait(30)
    assert world.estate.people_disconnected == 4
    assert set(world.kinds()) == {"master-before-media", "thrown-out"}


# --- meetings on the single droplet


def test_a_drained_single_node_refuses_rooms_and_its_media_server_leaves_with_the_last() -> None:
    world, node = single()
    assert world.estate.open_meeting(minutes=10) is not None
    assert rooms(LivekitApi(world.estate, world.cluster)) != []
    drain(world, node)
    assert world.estate.open_meeting() is None
    world.wait(599)
    assert node.node.running("openvidu")
    world.wait(5)
    assert not any(node.node.running(name) for name in (*MEDIA_SERVERS, AGENT))
    assert node.node.running("caddy")  # the pages go on
    assert PublicHttp(world.estate).handle(world.cluster.domain, 443, "/") == 200
    world.estate.power.request(node.id, "shutdown")
    world.wait(30)
    assert world.kinds() == []


@pytest.mark.parametrize("action", ["shutdown", "power_off", "reboot", "resize"])
def test_stopping_a_single_node_under_people_is_seen(action: str) -> None:
    world, node = single()
    world.estate.open_meeting(people=6, minutes=600)
    world.estate.power.request(node.id, action, {"size": "s-8vcpu-16gb"})
    world.wait(200)
    assert world.estate.people_disconnected == 6
    assert set(world.kinds()) == {"master-before-media", "thrown-out"}
    (loss,) = world.estate.losses
    assert (loss.people, loss.droplet_id) == (6, node.id)


def test_people_who_agreed_to_it_lose_their_meetings_without_a_broken_promise() -> None:
    world, node = single()
    world.estate.allow_disconnects = True
    world.estate.open_meeting(people=6, minutes=600)
    world.estate.power.request(node.id, "shutdown")
    world.wait(30)
    assert world.estate.people_disconnected == 6
    assert world.kinds() == []


def test_an_administrator_who_powers_a_single_node_off_is_the_cause() -> None:
    world, node = single()
    world.estate.open_meeting(people=6, minutes=600)
    with world.estate.by_administrator():
        world.estate.power.request(node.id, "power_off")
    world.wait(30)
    assert [(loss.people, loss.cause.who) for loss in world.estate.losses if loss.cause] == [
        (6, "hand")
    ]
    assert world.kinds() == []


def test_a_second_signal_to_a_single_node_disconnects_everyone() -> None:
    world, node = single()
    world.estate.open_meeting(people=7)
    drain(world, node)
    world.estate.containers.signal(node, "openvidu", "SIGQUIT")
    assert world.kinds() == ["second-signal", "thrown-out"]


# --- its scripts


def test_a_single_node_answers_the_scripts_of_masters_and_of_media_nodes() -> None:
    world, node = single()
    shell = NodeShell(world.estate)
    world.estate.open_meeting(people=3)

    def run(command: str) -> list[str]:
        output = shell.execute(node.id, command)
        assert output.exit_status == 0
        return output.stdout.splitlines()

    assert run("cat /opt/openvidu/deployment-info.yaml") == ["edition: pro", "version: 3.7.0"]
    assert run("systemctl is-active openvidu") == ["active"]
    looked = run(node_scripts.LOOK)
    assert "livekit=200" in looked
    assert sum(line.startswith("container=openvidu=") for line in looked) == 1
    start = node.node.containers["openvidu"].started_at
    assert run(node_scripts.drain(start, "signal", MEDIA_SERVERS))
    world.wait(800)
    looked = run(node_scripts.LOOK)
    assert "marked=yes" in looked
    assert "livekit=502" in looked  # caddy has the port, too
    assert run("systemctl restart openvidu") == []
    world.wait(READY)
    assert "livekit=200" in run(node_scripts.LOOK)
    assert world.estate.open_meeting() is not None
    assert world.kinds() == []


def test_a_single_node_reads_its_own_secrets_and_never_the_buckets() -> None:
    world, node = single()
    spaces = SpacesApi(world.estate)
    body = spaces.read(world.cluster.bucket, "secrets.env")
    assert body is not None
    changed = body.replace(b"GRAFANA_ADMIN_USERNAME=grafanaadmin", b"GRAFANA_ADMIN_USERNAME=new")
    spaces.write(world.cluster.bucket, "secrets.env", changed)
    world.estate.nodes.read_secrets_and_start(node)
    assert b"GRAFANA_ADMIN_USERNAME=grafanaadmin" in node.node.files[boot_script.SINGLE_ENV]
    node.node.files[boot_script.SECRETS] = changed
    world.estate.nodes.read_secrets_and_start(node)
    assert b"GRAFANA_ADMIN_USERNAME=new" in node.node.files[boot_script.SINGLE_ENV]


def test_elastic_reads_the_buckets_secrets_at_each_boot() -> None:
    world, master = elastic()
    spaces = SpacesApi(world.estate)
    body = spaces.read(world.cluster.bucket, "secrets.env")
    assert body is not None
    assert b"\nMASTER_NODE_PRIVATE_IP=" in body
    changed = body.replace(b"GRAFANA_ADMIN_USERNAME=grafanaadmin", b"GRAFANA_ADMIN_USERNAME=new")
    spaces.write(world.cluster.bucket, "secrets.env", changed)
    world.estate.nodes.read_secrets_and_start(master)
    assert b"GRAFANA_ADMIN_USERNAME=new" in master.node.files[boot_script.CLUSTER_ENV]


def test_the_api_lists_a_single_node_like_any_droplet() -> None:
    world, node = single()
    api = DigitalOceanApi(world.estate, "t")
    answer = api.handle("GET", "/v2/droplets", {}, {"authorization": "Bearer t"}, None)
    (shown,) = answer.json()["droplets"]
    assert (shown["name"], shown["tags"]) == (node.name, [])


# --- what init finds


def test_init_finds_each_deployment_that_is_whole_and_says_which_it_is() -> None:
    world = World(media=2)
    world.estate.droplet_limit = 99
    world.estate.build_cluster("beta", region="fra1", media=1, deployment="elastic", kind="fixed")
    world.estate.build_cluster("gamma", deployment="single node")
    world.estate.build_cluster("delta", deployment="single node", edition="community")
    world.estate.build_cluster("torn", media=0)
    world.estate.power.destroy(world.estate.masters("torn")[2].id)
    world.estate.build_cluster("mixed", media=0, deployment="elastic")
    world.estate.create_droplet("mixed-vm-ce", {"size": "s-1vcpu-1gb", "region": "ams3"})
    found = stacks([droplet(d) for d in world.estate.droplets.values()])
    assert {stack.stack: stack.words() for stack in found} == {
        "acme": "ams3 · High Availability: 4 masters, 2 media droplets",
        "beta": "fra1 · Elastic: 1 master, 1 media droplet",
        "delta": "ams3 · Single Node",
        "gamma": "ams3 · Single Node",
    }
