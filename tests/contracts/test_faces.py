"""The smaller simulated APIs, in process."""

import jwt
import pytest

from simulators.faults import WorldFaults
from simulators.livekit import LivekitApi
from simulators.public_http import PublicHttp
from simulators.spaces import SpacesApi
from tests.contracts.small_world import World

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=k"}


def test_health_follows_the_masters() -> None:
    world = World(media=0)
    web = PublicHttp(world.estate)
    masters = world.estate.masters("acme")
    assert web.handle(masters[0].public_ip, 7880, "/health/caddy") == 200
    assert web.handle("acme.example.com", 443, "/") == 200
    for master in masters:
        world.estate.power.request(master.id, "power_off")
    world.wait(8)
    for host in (masters[0].public_ip, "acme.example.com"):
        with pytest.raises(ConnectionRefusedError):
            web.handle(host, 7880, "/health/caddy")
    for master in masters:
        world.estate.power.request(master.id, "power_on")
    world.wait(30)
    assert web.handle(masters[0].public_ip, 7880, "/health/caddy") == 503
    assert web.handle("acme.example.com", 443, "/") == 503
    world.wait(90)
    assert web.handle("acme.example.com", 443, "/") == 200


def test_a_front_that_is_down_while_the_masters_are_healthy() -> None:
    world, faults = World(), WorldFaults()
    web = PublicHttp(world.estate, faults)
    faults.switch("front_down")
    assert web.handle(world.estate.masters("acme")[0].public_ip, 7880, "/health/caddy") == 200
    assert web.handle("acme.example.com", 443, "/") == 503


@pytest.mark.parametrize(
    ("late", "grant", "status"),
    [(60, "roomList", 200), (-600, "roomList", 401), (60, "roomCreate", 401)],
)
def test_livekit_looks_at_the_token(late: int, grant: str, status: int) -> None:
    world = World()
    face = LivekitApi(world.estate, world.cluster)
    world.estate.open_meeting(people=4)
    claims = {"iss": face.api_key, "exp": int(world.clock.now()) + late, "video": {grant: True}}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, face.api_secret, 'HS256')}"}
    answer = face.handle("POST", "/twirp/livekit.RoomService/ListRooms", headers, b"{}")
    assert answer.status == status
    if status == 200:
        assert [
            (r["num_participants"], type(r["creation_time"])) for r in answer.json()["rooms"]
        ] == [(4, str)]


@pytest.mark.parametrize("value", ["x|y", "good"])
def test_masters_read_the_bucket_when_they_boot(value: str) -> None:
    world = World()
    world.estate.allow_rolling = True
    spaces = SpacesApi(world.estate)
    path = f"/{world.cluster.bucket}/secrets.env"
    read = spaces.handle("GET", path, {}, SIGNED, None)
    changed = read.body.replace(
        b"DASHBOARD_ADMIN_USERNAME=dashboardadmin", f"DASHBOARD_ADMIN_USERNAME={value}".encode()
    )
    etag = read.headers["etag"]
    assert spaces.handle("PUT", path, {}, SIGNED | {"If-Match": etag}, changed).status == 412
    assert (
        spaces.handle("PUT", path, {}, SIGNED | {"If-Match": etag.strip('"')}, changed).status
        == 200
    )
    master = world.estate.masters("acme")[0]
    world.estate.nodes.read_secrets_and_start(master)
    world.wait(90)
    assert world.estate.healthy(master) is (value == "good")
    stored = master.node.files["/opt/openvidu/config/cluster/openvidu.env"]
    assert (b"DASHBOARD_ADMIN_USERNAME=good" in stored) is (value == "good")
    assert spaces.handle("GET", path, {}, {}, None).status == 403
