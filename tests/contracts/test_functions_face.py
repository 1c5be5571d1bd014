"""The functions' endpoints: the published schema, and their effect."""

import pytest

from tests.contracts.small_world import World
from tests.contracts.test_digitalocean_face import Api, check, needs_spec, spec, validator

NAMESPACES = "/v2/functions/namespaces"
ONE = NAMESPACES + "/{namespace_id}"
TRIGGERS = ONE + "/triggers"
TRIGGER = TRIGGERS + "/{trigger_name}"


@pytest.fixture
def api() -> Api:
    return Api(World(media=2, kind="autoscaler"))


def ids(api: Api) -> dict[str, str]:
    namespace = api.world.estate.functions.namespace_of("acme")
    assert namespace is not None
    return {"namespace_id": namespace.id, "trigger_name": "acme-autoscale-cron"}


@needs_spec
@pytest.mark.parametrize("template", [NAMESPACES, ONE, TRIGGERS, TRIGGER])
def test_every_get_fits_the_schema(api: Api, template: str) -> None:
    for seconds in (0, 300):
        api.world.wait(seconds)
        answer = api("GET", template.format_map(ids(api)))
        assert answer.status == 200
        check("GET", template, answer)


@needs_spec
@pytest.mark.parametrize("template", [ONE, TRIGGERS, TRIGGER])
def test_something_unknown_fits_the_schema(api: Api, template: str) -> None:
    answer = api("GET", template.format_map({"namespace_id": "fn-none", "trigger_name": "none"}))
    assert answer.status == 404
    check("GET", template, answer)


@needs_spec
@pytest.mark.parametrize(
    ("body", "status"),
    [({"is_enabled": False}, 200), ({"is_enabled": True}, 200), ({"is_enabled": "off"}, 400)],
)
def test_a_change_fits_the_schema(api: Api, body: dict[str, object], status: int) -> None:
    path = TRIGGER.format_map(ids(api))
    if status == 200:
        assert list(validator("/components/schemas/update_trigger").iter_errors(body)) == []
    answer = api("PUT", path, body)
    assert answer.status == status
    check("PUT", TRIGGER, answer)


@needs_spec
def test_every_operation_of_the_schema_is_there() -> None:
    assert {path for path in spec()["paths"] if "/functions/" in path} == {
        NAMESPACES,
        ONE,
        TRIGGERS,
        TRIGGER,
    }


def test_reading_and_pausing_are_scopes_apart(api: Api) -> None:
    path = TRIGGER.format_map(ids(api))
    api.face.scopes = {"droplet:read"}
    assert api("GET", NAMESPACES).status == 403
    api.face.scopes = {"function:read"}
    assert api("GET", path).status == 200
    assert api("PUT", path, {"is_enabled": False}).status == 403
    assert api("GET", ONE.format_map(ids(api))).status == 403, (
        "one namespace, with its key, is for administrators"
    )
    api.face.scopes = {"function:update"}
    assert api("PUT", path, {"is_enabled": False}).status == 200


def test_a_pause_shows_no_next_run_unless_it_stays(api: Api) -> None:
    path = TRIGGER.format_map(ids(api))
    before = api("GET", path).json()["trigger"]
    assert before["is_enabled"]
    assert before["scheduled_runs"]["next_run_at"]
    paused = api("PUT", path, {"is_enabled": False}).json()["trigger"]
    assert (paused["is_enabled"], paused["scheduled_runs"]["next_run_at"]) == (False, None)
    api.world.estate.functions.next_run_stays = True
    assert api("GET", path).json()["trigger"]["scheduled_runs"]["next_run_at"]


def test_namespaces_may_be_invisible_to_a_token(api: Api) -> None:
    path = TRIGGER.format_map(ids(api))
    api.world.estate.functions.invisible = True
    assert api("GET", NAMESPACES).json() == {"namespaces": []}
    assert api("GET", path).status == 404


def test_the_key_is_a_planted_secret_and_reading_one_namespace_is_seen(api: Api) -> None:
    (listed,) = api("GET", NAMESPACES).json()["namespaces"]
    assert listed["key"] in api.world.estate.canaries
    assert api.world.kinds() == []
    api("GET", ONE.format_map(ids(api)))
    assert api.world.kinds() == ["credentials-read"]
