"""Wrong answers of the simulated DigitalOcean.

Each kind once, for ever or by chance, and the same for the same seed.
"""

import json
from typing import Any

import pytest

from simulators.digitalocean import DigitalOceanApi
from simulators.digitalocean.odd_answers import NAMES
from simulators.faults import WorldFaults
from tests.contracts.small_world import World

HEADERS = {"authorization": "Bearer dop_v1_sim"}
POOLS = "/v2/droplets/autoscale"


class Api:
    """The API of a simulated cloud with three media nodes."""

    def __init__(self, seed: int = 0) -> None:
        self.world = World(media=3)
        self.estate = self.world.estate
        self.faults = WorldFaults(seed)
        self.face = DigitalOceanApi(self.estate, faults=self.faults)

    def get(self, path: str, **query: str) -> tuple[int, Any]:
        answer = self.face.handle("GET", path, query, HEADERS, None)
        return answer.status, json.loads(answer.body) if answer.body.startswith(
            (b"{", b"[")
        ) else answer.body

    def names(self, **query: str) -> list[str]:
        return [d["name"] for d in self.get("/v2/droplets", per_page="200", **query)[1]["droplets"]]


@pytest.fixture
def api() -> Api:
    return Api()


def test_one_answer_is_empty_and_the_next_one_is_not(api: Api) -> None:
    api.faults.add("digitalocean", "list-empty", "GET /v2/droplets")
    assert api.get("/v2/droplets") == (200, {"droplets": [], "links": {}, "meta": {"total": 0}})
    assert len(api.names()) == 7


def test_one_thing_is_missing_from_one_answer(api: Api) -> None:
    api.faults.add(
        "digitalocean", "list-one-missing", "GET /v2/droplets", only="acme-master-node-3"
    )
    assert "acme-master-node-3" not in api.names()
    assert "acme-master-node-3" in api.names()
    members = f"{POOLS}/{api.estate.pool('acme').id}/members"
    api.faults.add("digitalocean", "list-one-missing", members)
    assert [len(api.get(members)[1]["droplets"]) for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_one_request_is_refused_and_nothing_was_done(api: Api, status: int) -> None:
    master = api.estate.masters("acme")[0]
    path = f"/v2/droplets/{master.id}/actions"
    api.faults.add("digitalocean", str(status), f"POST {path}")
    body = json.dumps({"type": "power_off"}).encode()
    api.estate.allow_rolling = True
    assert api.face.handle("POST", path, {}, HEADERS, body).status == status
    assert not master.locked
    assert api.face.handle("POST", path, {}, HEADERS, body).status == 201


def test_lists_and_tags_come_in_another_order_at_each_call(api: Api) -> None:
    usual = api.names()
    api.faults.add("digitalocean", "shuffled", "GET ", times=-1)
    orders = {tuple(api.names()) for _ in range(8)}
    assert len(orders) > 4
    assert all(sorted(o) == sorted(usual) for o in orders)
    pool = api.estate.pool("acme")
    pool.template["tags"] = ["a", "b", "c", "d"]
    api.faults.clear()
    api.faults.rates = {"digitalocean": {"tags-shuffled": 1.0}}
    tags = {
        tuple(api.get(f"{POOLS}/{pool.id}")[1]["autoscale_pool"]["droplet_template"]["tags"])
        for _ in range(8)
    }
    assert len(tags) > 3
    assert pool.template["tags"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("shape", NAMES)
def test_an_unexpected_shape(api: Api, shape: str) -> None:
    pool = api.estate.pool("acme")
    api.estate.power.request(api.estate.media("acme")[0].id, "snapshot", {"name": "x"})
    paths = [
        "/v2/droplets",
        POOLS,
        f"{POOLS}/{pool.id}/members",
        f"/v2/droplets/{api.estate.media('acme')[0].id}/actions",
    ]
    well = [api.get(p) for p in paths]
    api.faults.add("digitalocean", "odd-shape", "GET ", times=-1, shape=shape)
    odd = [api.get(p) for p in paths]
    assert [status for status, _ in odd] == [200] * 4
    assert odd != well
    api.faults.clear()
    assert [api.get(p) for p in paths] == well


def test_odd_shapes_by_chance_are_the_same_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[Any]:
        api = Api(seed)
        api.faults.rates = {"digitalocean": {"odd-shape": 0.5, "list-one-missing": 0.2}}
        return [api.get(p) for _ in range(10) for p in ("/v2/droplets", POOLS)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert any(
        status == 200 and "droplets" in body and len(body["droplets"]) == 6
        for status, body in drawn(3)
    )


def test_what_moves_up_between_two_pages_is_on_neither(api: Api) -> None:
    target = api.estate.droplet_named("acme-master-node-3")
    api.estate.neighbours.move_in(230, around=target)
    assert api.names(page="2")[0] == target.name
    api.faults.add("digitalocean", "churn", "GET /v2/droplets", times=1, share=0.9)
    first = api.get("/v2/droplets", per_page="200", page="1")[1]
    second = api.get("/v2/droplets", per_page="200", page="2")[1]
    listed = [d["name"] for d in first["droplets"] + second["droplets"]]
    assert target.name not in listed
    assert second["meta"]["total"] == len(listed) == 236
    assert target.name in api.names(name=target.name)
    assert target.name in api.names(tag_name="acme-master-node-tag")
    api.faults.add("digitalocean", "churn", "GET /v2/droplets", times=1, share=0.1)
    assert api.get("/v2/droplets", per_page="200", page="1")[1]["meta"]["total"] == 236
    assert (
        api.get("/v2/droplets", per_page="200", page="1")[1]["meta"]["total"] == 236
    )  # one was deleted and another made


def test_a_pool_that_fails_answers_and_does_nothing(api: Api) -> None:
    pool = api.estate.pool("acme")
    api.estate.pool_scaler.fail(pool)
    assert api.get(f"{POOLS}/{pool.id}")[1]["autoscale_pool"]["status"] == "error"
    api.world.pool_to(4)
    api.world.wait(600)
    assert len(api.estate.media("acme")) == 3
    api.estate.pool_scaler.recover(pool)
    api.world.wait(600)
    assert len(api.estate.media("acme")) == 4
    api.estate.pool_scaler.fail(pool, "deleting")
    body = json.dumps(
        {
            "name": pool.name,
            "config": {"target_number_instances": 1},
            "droplet_template": pool.template,
        }
    ).encode()
    answer = api.face.handle("PUT", f"{POOLS}/{pool.id}", {}, HEADERS, body)
    assert (answer.status, b"being deleted" in answer.body) == (422, True)
    assert api.get(f"{POOLS}/{pool.id}")[1]["autoscale_pool"]["status"] == "deleting"
