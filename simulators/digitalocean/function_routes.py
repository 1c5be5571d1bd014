"""The operations on functions: namespaces and triggers. The code itself has another address."""

from typing import Any

from simulators.cloud import Refusal
from simulators.cloud.events import CredentialsRead
from simulators.cloud.model import (
    SimulatedNamespace,
    SimulatedTrigger,
    not_found,
    stamp,
    stamp_or_none,
)
from simulators.digitalocean.routing import ApiRequest, empty, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response

NAMESPACES = "/v2/functions/namespaces"
TRIGGER = NAMESPACES + "/{namespace}/triggers/{name}"
READ, UPDATE, ADMIN = "function:read", "function:update", "function:admin"
CREATE, DELETE = "function:create", "function:delete"


@route("GET", NAMESPACES, READ, ADMIN)
def _namespaces(call: ApiRequest) -> HttpResponse:
    functions = call.estate.functions
    visible = [_namespace(n) for n in functions.namespaces.values() if not functions.invisible]
    return json_response(200, {"namespaces": visible})


@route("POST", NAMESPACES, CREATE, ADMIN)
def _create(call: ApiRequest) -> HttpResponse:
    label, region = str(call.body.get("label") or ""), str(call.body.get("region") or "")
    if not label or not region:
        raise Refusal(400, "bad_request", "label and region are required")
    namespace = call.estate.functions.create_namespace(label, region)
    return json_response(200, {"namespace": _namespace(namespace)})


@route("DELETE", NAMESPACES + "/{namespace}", DELETE, ADMIN)
def _delete(call: ApiRequest) -> HttpResponse:
    del call.estate.functions.namespaces[_found(call).id]
    return empty(204)


@route("POST", NAMESPACES + "/{namespace}/triggers", CREATE, ADMIN)
def _create_trigger(call: ApiRequest) -> HttpResponse:
    namespace, body = _found(call), call.body
    details = body.get("scheduled_details")
    if not body.get("name") or not body.get("function") or not isinstance(details, dict):
        raise Refusal(400, "bad_request", "name, function and scheduled_details are required")
    trigger = call.estate.functions.create_trigger(
        namespace,
        str(body["name"]),
        str(body["function"]),
        str(details.get("cron", "")),
        enabled=body.get("is_enabled") is True,
    )
    return json_response(200, {"trigger": _trigger(call, namespace, trigger)})


@route("GET", NAMESPACES + "/{namespace}", ADMIN)
def _one(call: ApiRequest) -> HttpResponse:
    namespace = call.params["namespace"]
    call.estate.events.emit(CredentialsRead(f"the namespace {namespace} with its key"))
    return json_response(200, {"namespace": _namespace(_found(call))})


@route("GET", NAMESPACES + "/{namespace}/triggers", READ, ADMIN)
def _triggers(call: ApiRequest) -> HttpResponse:
    namespace = _found(call)
    return json_response(
        200, {"triggers": [_trigger(call, namespace, t) for t in namespace.triggers.values()]}
    )


@route("GET", TRIGGER, READ, ADMIN)
def _look(call: ApiRequest) -> HttpResponse:
    return json_response(200, {"trigger": _trigger(call, _found(call), _asked(call))})


@route("PUT", TRIGGER, UPDATE, ADMIN)
def _change(call: ApiRequest) -> HttpResponse:
    if not any(call.may(scope) for scope in call.estate.functions.trigger_scopes):
        raise Refusal(403, "forbidden", "You do not have access for the attempted action.")
    namespace, trigger = _found(call), _asked(call)
    wanted = call.body.get("is_enabled", trigger.is_enabled)
    if not isinstance(wanted, bool):
        raise Refusal(400, "bad_request", "is_enabled must be a boolean")
    if "scheduled_details" in call.body:
        raise Refusal(400, "bad_request", "changing the schedule is not simulated")
    trigger.is_enabled, trigger.updated_at = wanted, call.estate.now
    return json_response(200, {"trigger": _trigger(call, namespace, trigger)})


def _found(call: ApiRequest) -> SimulatedNamespace:
    functions = call.estate.functions
    if call.params["namespace"] not in functions.namespaces or functions.invisible:
        raise not_found("namespace not found")
    return functions.namespaces[call.params["namespace"]]


def _asked(call: ApiRequest) -> SimulatedTrigger:
    return call.estate.functions.trigger(call.params["namespace"], call.params["name"])


def _namespace(thing: SimulatedNamespace) -> dict[str, Any]:
    return {
        "api_host": "https://faas-ams3-2a2df116.doserverless.co", "namespace": thing.id,
        "created_at": stamp(thing.created_at), "updated_at": stamp(thing.created_at),
        "label": thing.label, "region": thing.region, "uuid": thing.id.removeprefix("fn-"),
        "key": thing.key,
    }  # fmt: skip


def _trigger(
    call: ApiRequest, namespace: SimulatedNamespace, thing: SimulatedTrigger
) -> dict[str, Any]:
    following = call.estate.functions.next_run_at(thing)
    return {
        "namespace": namespace.id, "name": thing.name, "function": thing.function,
        "type": "SCHEDULED", "is_enabled": thing.is_enabled, "created_at": stamp(thing.created_at),
        "updated_at": stamp(thing.updated_at), "scheduled_details": {"cron": thing.cron,
        "body": {}}, "scheduled_runs": {
            "last_run_at": stamp_or_none(thing.last_run_at),
            "next_run_at": stamp_or_none(following),
        },
    }  # fmt: skip


rests_on(
    "DigitalOcean",
    Source.SCHEMA,
    "DigitalOcean's OpenAPI document, 7c1300c",
    "GET /v2/functions/namespaces",
    "GET /v2/functions/namespaces/{namespace}",
    "GET /v2/functions/namespaces/{namespace}/triggers",
    "GET /v2/functions/namespaces/{namespace}/triggers/{name}",
    "PUT /v2/functions/namespaces/{namespace}/triggers/{name}",
)
