"""Every answer of the simulated API against the published schema."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from simulators.digitalocean import DigitalOceanApi
from simulators.faults import WorldFaults
from simulators.responses import HttpResponse
from tests.contracts.small_world import World

HEADERS = {"Authorization": "Bearer dop_v1_sim"}
ROOT = Path(__file__).resolve().parents[2]
POOLS = "/v2/droplets/autoscale"


def spec_path() -> Path:
    shared = os.environ.get("OPENVIDU_BOT_SHARED")
    return (
        (Path(shared) if shared else ROOT.parent / "shared")
        / "digitalocean"
        / "openapi-subset.json"
    )


needs_spec = pytest.mark.skipif(
    not spec_path().exists(), reason="the published schema is not here: set OPENVIDU_BOT_SHARED"
)


@cache
def spec() -> dict[str, Any]:
    return _with_null(json.loads(spec_path().read_text()))  # type: ignore[no-any-return]


def _with_null(node: Any) -> Any:
    """Rewrite OpenAPI 3.0's `nullable` as JSON Schema.

    A droplet without backups has no next window: the spec's own example is null.
    """
    if isinstance(node, list):
        return [_with_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _with_null(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target: Any = spec()
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part.replace("~1", "/")]
    return resolved(target)


@cache
def validator(pointer: str) -> Draft202012Validator:
    resource = Resource.from_contents(
        spec() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    )
    return Draft202012Validator(
        {"$ref": f"urn:spec#{pointer}"}, registry=Registry().with_resource("urn:spec", resource)
    )


def check(method: str, template: str, answer: HttpResponse) -> None:
    responses = spec()["paths"][template][method.lower()]["responses"]
    key = str(answer.status) if str(answer.status) in responses else "default"
    response = resolved(responses[key])
    assert all(
        answer.headers[f"ratelimit-{name}"].isdigit() for name in ("limit", "remaining", "reset")
    )
    content = response.get("content", {}).get("application/json")
    if content is None:
        assert answer.body == b""
        return
    place = responses[key].get("$ref", "").removeprefix("#")
    pointer = (
        place or f"/paths/{template.replace('/', '~1')}/{method.lower()}/responses/{key}"
    ) + "/content/application~1json/schema"
    errors = [
        f"{e.json_path}: {e.message[:200]}" for e in validator(pointer).iter_errors(answer.json())
    ]
    assert errors == []


class Api:
    def __init__(self, world: World, faults: WorldFaults | None = None) -> None:
        self.world = world
        self.face = DigitalOceanApi(world.estate, faults=faults)

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        **query: object,
    ) -> HttpResponse:
        data = None if body is None else json.dumps(body).encode()
        return self.face.handle(
            method, path, {k: str(v) for k, v in query.items()}, HEADERS | (headers or {}), data
        )


@pytest.fixture
def api() -> Api:
    return Api(World())


def busy_api() -> tuple[Api, dict[str, str]]:
    """An API over a world in which everything exists, and the ids of it."""
    api = Api(World(media=2))
    estate = api.world.estate
    estate.allow_rolling = True
    droplet = estate.masters("acme")[0]
    estate.power.request(droplet.id, "snapshot", {"name": "before"})
    api.world.wait(130)
    action = estate.power.request(droplet.id, "shutdown")
    api.world.pool_to(3)
    ids = {
        "action_id": str(action.id),
        "droplet_id": str(droplet.id),
        "autoscale_pool_id": estate.pool("acme").id,
        "lb_id": next(iter(estate.balancers)),
        "snapshot_id": str(next(iter(estate.snapshots))),
        "tag_id": "acme-media-node-tag",
    }
    return api, ids


@needs_spec
def test_every_get_fits_the_schema() -> None:
    api, ids = busy_api()
    seen = 0
    for template, operations in spec()["paths"].items():
        if "get" not in operations or "/functions/" in template:
            continue
        answer = api("GET", template.format_map(ids))
        assert answer.status == 200, template
        check("GET", template, answer)
        seen += 1
    assert seen >= 18


@needs_spec
def test_every_get_of_something_unknown_fits_the_schema() -> None:
    api, _ = busy_api()
    unknown = {
        "action_id": "1",
        "droplet_id": "1",
        "autoscale_pool_id": "0",
        "lb_id": "0",
        "snapshot_id": "1",
        "tag_id": "none",
    }
    for template, operations in spec()["paths"].items():
        if "{" in template and "get" in operations and "/functions/" not in template:
            answer = api("GET", template.format_map(unknown))
            assert answer.status == 404, template
            check("GET", template, answer)


@needs_spec
def test_every_change_fits_the_schema() -> None:
    api = Api(World(media=1))
    estate, pool = api.world.estate, api.world.estate.pool("acme")
    estate.allow_rolling = estate.allow_disconnects = True
    first, second = estate.masters("acme")[:2]
    body = {
        "name": pool.name,
        "config": {"target_number_instances": 2},
        "droplet_template": estate.pool_scaler.shown_template(pool),
    }
    resources = {"resources": [{"resource_id": str(first.id), "resource_type": "droplet"}]}
    actions = "/v2/droplets/{droplet_id}/actions"
    calls: list[tuple[str, str, str, object, int]] = [
        ("POST", actions, f"/v2/droplets/{first.id}/actions", {"type": "power_off"}, 201),
        ("POST", actions, f"/v2/droplets/{first.id}/actions", {"type": "power_off"}, 422),
        ("POST", actions, f"/v2/droplets/{second.id}/actions", {"type": "dance"}, 422),
        ("PUT", POOLS + "/{autoscale_pool_id}", f"{POOLS}/{pool.id}", body, 200),
        ("PUT", POOLS + "/{autoscale_pool_id}", f"{POOLS}/{pool.id}", {"name": "x"}, 422),
        ("POST", POOLS, POOLS, body | {"name": "other"}, 202),
        ("POST", "/v2/tags", "/v2/tags", {"name": "mine"}, 201),
        ("POST", "/v2/tags/{tag_id}/resources", "/v2/tags/mine/resources", resources, 204),
        ("DELETE", "/v2/tags/{tag_id}/resources", "/v2/tags/mine/resources", resources, 204),
        (
            "DELETE",
            "/v2/droplets/{droplet_id}",
            f"/v2/droplets/{estate.media('acme')[0].id}",
            None,
            204,
        ),
        ("DELETE", POOLS + "/{autoscale_pool_id}", f"{POOLS}/{pool.id}", None, 202),
    ]
    for method, template, path, content, status in calls:
        answer = api(method, path, content)
        assert answer.status == status, (method, path, answer.body)
        check(method, template, answer)
    answer = api("POST", "/v2/droplets/actions", {"type": "snapshot", "name": "n"}, tag_name="mine")
    assert answer.status == 404
    answer = api("DELETE", f"{POOLS}/{pool.id}/dangerous", headers={"X-Dangerous": "true"})
    assert answer.status == 202


@needs_spec
def test_the_schema_is_really_looked_at() -> None:
    api = Api(World())
    answer = api("GET", "/v2/droplets")
    content = answer.json()
    content["droplets"][0]["status"] = "asleep"
    answer.body = json.dumps(content).encode()
    with pytest.raises(AssertionError, match="asleep"):
        check("GET", "/v2/droplets", answer)


def test_lists_are_cut_into_pages(api: Api) -> None:
    first = api("GET", "/v2/droplets", per_page=3).json()
    assert len(first["droplets"]) == 3
    assert first["meta"] == {"total": 7}
    assert set(first["links"]["pages"]) == {"next", "last"}
    assert api("GET", "/v2/droplets", per_page=3, page=3).json()["links"]["pages"].keys() == {
        "first",
        "prev",
    }
    assert api("GET", "/v2/droplets").json()["links"] == {}


def test_droplets_are_found_by_tag_or_by_name_but_not_by_both(api: Api) -> None:
    assert api("GET", "/v2/droplets", tag_name="acme-media-node-tag").json()["meta"]["total"] == 3
    assert api("GET", "/v2/droplets", name="ACME-master-node-1").json()["meta"]["total"] == 1
    assert api("GET", "/v2/droplets", name="x", tag_name="y").status == 422


def test_the_minute_and_the_hour_are_limited(api: Api) -> None:
    for _ in range(250):
        assert api("GET", "/v2/account").status == 200
    refused = api("GET", "/v2/account")
    assert (refused.status, refused.headers["ratelimit-remaining"]) == (429, "0")
    assert 0 < int(refused.headers["retry-after"]) <= 61
    for _ in range(19):
        api.world.wait(61)
        assert {api("GET", "/v2/account").status for _ in range(250)} == {200}
    api.world.wait(61)
    hourly = api("GET", "/v2/account")
    assert hourly.status == 429
    assert "retry-after" not in hourly.headers


def test_a_token_without_the_scope_is_refused(api: Api) -> None:
    api.face.scopes = {"droplet:read", "droplet:update"}
    assert api("GET", "/v2/account").status == 403
    pool = api.world.estate.pool("acme")
    assert api("PUT", f"{POOLS}/{pool.id}", {}).status == 403
    assert api("GET", "/v2/droplets").json()["droplets"][0]["tags"] == []
    master = api.world.cluster.master_ids[0]
    assert (
        api(
            "POST", f"/v2/droplets/{master}/actions", {"type": "resize", "size": "s-8vcpu-16gb"}
        ).status
        == 403
    )


def test_an_unknown_token_is_refused(api: Api) -> None:
    answer = api.face.handle("GET", "/v2/account", {}, {"authorization": "Bearer other"}, None)
    assert (answer.status, answer.json()["id"]) == (401, "unauthorized")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("kind", "status", "fate", "is_applied"),
    [
        ("500-before", 500, "answer", False),
        ("503-after", 503, "answer", True),
        ("reset-before", 0, "reset", False),
        ("reset-after", 201, "reset-after", True),
        ("html-502", 502, "answer", False),
        ("429-hour", 429, "answer", False),
        ("delay", 201, "answer", True),
    ],
)
def test_faults(kind: str, status: int, fate: str, is_applied: bool) -> None:
    faults = WorldFaults()
    api = Api(World(media=0), faults)
    faults.add("digitalocean", kind, match="POST", seconds=7)
    answer = api(
        "POST", f"/v2/droplets/{api.world.cluster.master_ids[0]}/actions", {"type": "shutdown"}
    )
    assert (answer.status, answer.fate, answer.delay) == (status, fate, 7 if kind == "delay" else 0)
    assert api.world.estate.masters("acme")[0].locked is is_applied
    assert (
        api(
            "POST", f"/v2/droplets/{api.world.cluster.master_ids[1]}/actions", {"type": "shutdown"}
        ).status
        == 201
    )


def test_a_switched_fault(api: Api) -> None:
    api.face.faults.switch("zero_refused")
    pool = api.world.estate.pool("acme")
    read = api("GET", f"{POOLS}/{pool.id}").json()["autoscale_pool"]
    answer = api("PUT", f"{POOLS}/{pool.id}", read | {"config": {"target_number_instances": 0}})
    assert (answer.status, answer.json()["message"]) == (
        422,
        "target_number_instances must be at least 1",
    )


def test_zero_can_be_omitted() -> None:
    api = Api(World(allow_zero="omitted"))
    pool = api.world.estate.pool("acme")
    read = api("GET", f"{POOLS}/{pool.id}").json()["autoscale_pool"]
    assert read["droplet_template"]["image"] == "195932981"
    assert any(
        secret in read["droplet_template"]["user_data"] for secret in api.world.estate.canaries
    )
    assert (
        api("PUT", f"{POOLS}/{pool.id}", read | {"config": {"target_number_instances": 0}}).json()[
            "autoscale_pool"
        ]["config"]
        == {}
    )
    assert api.world.kinds() == []


def test_the_same_seed_brings_the_same_bad_luck() -> None:
    def luck() -> list[tuple[str, str, str]]:
        faults = WorldFaults(7, {"digitalocean": {"503-after": 0.2, "reset-before": 0.1}})
        api = Api(World(), faults)
        for _ in range(50):
            api("GET", "/v2/account")
        return faults.hits

    assert luck() == luck() != []
