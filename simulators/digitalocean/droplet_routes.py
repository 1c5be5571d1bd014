"""The operations on the account, on droplets and on actions."""

from typing import Any

from simulators.cloud import Refusal
from simulators.cloud.catalog import SIZES
from simulators.cloud.events import ActionRequested
from simulators.cloud.model import SimulatedDroplet, not_found, stamp, unprocessable
from simulators.digitalocean import views
from simulators.digitalocean.routing import ApiRequest, empty, paged, paged_texts, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response

BULK = ("power_cycle", "power_on", "power_off", "shutdown", "snapshot")


def _shown(call: ApiRequest, droplet: SimulatedDroplet) -> dict[str, Any]:
    shown = views.droplet(droplet)
    if not call.may("tag:read"):
        shown["tags"] = []  # A token without tag:read sees no tags, and selects nothing by them.
    return shown


@route("GET", "/v2/account", "account:read")
def _account(call: ApiRequest) -> HttpResponse:
    return json_response(200, {"account": {
        "droplet_limit": call.estate.droplet_limit, "floating_ip_limit": 3,
        "email": "ops@example.com",
        "name": "Ops",
        "email_verified": True, "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
        "status": "active", "status_message": "",
        "team": {"uuid": f"5df3e3004a17e242b7c20ca6c9fc25b701a4{call.estate.seed % 65536:04x}",
        "name": "My Team"}}})  # fmt: skip


@route("GET", "/v2/customers/my/balance", "billing:read")
def _balance(call: ApiRequest) -> HttpResponse:
    usage = sum(SIZES[d.size].price_hourly for d in call.estate.droplets.values()) * 24
    return json_response(200, {"month_to_date_balance": f"{usage:.2f}", "account_balance": "0.00",
        "month_to_date_usage": f"{usage:.2f}",
                             "generated_at": stamp(call.estate.now)})  # fmt: skip


@route("GET", "/v2/actions", "actions:read")
def _actions(call: ApiRequest) -> HttpResponse:
    return paged(
        call,
        "actions",
        [views.action(a, call.estate.clock_ahead) for a in reversed(call.estate.actions.values())],
        "/v2/actions",
    )


@route("GET", "/v2/actions/{action}", "actions:read")
def _any_action(call: ApiRequest) -> HttpResponse:
    return _action_answer(call, call.number("action"))


def _action_answer(call: ApiRequest, number: int, status: int = 200) -> HttpResponse:
    action = call.estate.actions.get(number)
    if action is None or ("droplet" in call.params and action.droplet_id != call.number("droplet")):
        raise not_found()
    return json_response(status, {"action": views.action(action, call.estate.clock_ahead)})


@route("GET", "/v2/droplets", "droplet:read")
def _droplets(call: ApiRequest) -> HttpResponse:
    tag, name = call.query.get("tag_name"), call.query.get("name")
    if tag and (name or call.query.get("type")):
        raise unprocessable("tag_name cannot be combined with name or type")
    droplets = [
        d
        for d in call.estate.droplets.values()
        if (not tag or tag in d.tags) and (not name or d.name.lower() == name.lower())
    ]
    # A token without tag:read sees no tags, and selects nothing by them.
    return paged_texts(
        call,
        "droplets",
        [views.droplet_text(d, tags=call.may("tag:read")) for d in droplets],
        "/v2/droplets",
    )


@route("POST", "/v2/droplets", "droplet:create")
def _create(call: ApiRequest) -> HttpResponse:
    body = call.body
    if not body.get("name") or not body.get("image") or str(body.get("size", "")) not in SIZES:
        raise unprocessable("name, size and image are required")
    if not call.estate.capacity or call.estate.switched("no_capacity"):
        raise unprocessable(f"no capacity for {body['size']} in {body.get('region')}")
    image = str(body["image"])
    if image.isdigit() and int(image) not in call.estate.snapshots:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    droplet = call.estate.create_droplet(str(body["name"]), body)
    return json_response(202, {"droplet": _shown(call, droplet), "links": {"actions": []}})


@route("GET", "/v2/droplets/{droplet}", "droplet:read")
def _droplet(call: ApiRequest) -> HttpResponse:
    return json_response(
        200, {"droplet": _shown(call, call.estate.droplet(call.number("droplet")))}
    )


@route("DELETE", "/v2/droplets/{droplet}", "droplet:delete")
def _destroy(call: ApiRequest) -> HttpResponse:
    call.estate.power.destroy(call.number("droplet"), by="the operator")
    return empty(204)


@route("GET", "/v2/droplets/{droplet}/actions", "droplet:read")
def _droplet_actions(call: ApiRequest) -> HttpResponse:
    number = call.estate.droplet(call.number("droplet")).id
    actions = [
        views.action(a, call.estate.clock_ahead)
        for a in reversed(call.estate.actions.values())
        if a.droplet_id == number
    ]
    return paged(call, "actions", actions, f"/v2/droplets/{number}/actions")


@route("POST", "/v2/droplets/{droplet}/actions", "droplet:update")
def _ask(call: ApiRequest) -> HttpResponse:
    kind = str(call.body.get("type", ""))
    needs = {"resize": "droplet:create", "snapshot": "image:create"}.get(kind)
    if needs and not call.may(needs):
        raise Refusal(403, "forbidden", "You do not have permission to perform this action.")
    call.estate.events.emit(ActionRequested(call.estate.droplet(call.number("droplet")), kind))
    return _action_answer(
        call, call.estate.power.request(call.number("droplet"), kind, dict(call.body)).id, 201
    )


@route("GET", "/v2/droplets/{droplet}/actions/{action}", "droplet:read")
def _droplet_action(call: ApiRequest) -> HttpResponse:
    return _action_answer(call, call.number("action"))


@route("POST", "/v2/droplets/actions", "droplet:update")
def _ask_by_tag(call: ApiRequest) -> HttpResponse:
    kind, tag = str(call.body.get("type", "")), call.query.get("tag_name", "")
    tagged = [d for d in call.estate.droplets.values() if tag and tag in d.tags]
    if kind not in BULK:
        raise unprocessable("Unrecognized action type.")
    if not tagged:
        raise not_found()
    if any(d.locked for d in tagged):
        raise unprocessable(
            "there are currently blocking events processing for one or more of the droplets"
        )
    for droplet in tagged:
        call.estate.events.emit(ActionRequested(droplet, kind))
    actions = [call.estate.power.request(d.id, kind, dict(call.body)) for d in tagged]
    return json_response(
        201, {"actions": [views.action(a, call.estate.clock_ahead) for a in actions]}
    )


@route("GET", "/v2/droplets/{droplet}/snapshots", "droplet:read")
def _droplet_snapshots(call: ApiRequest) -> HttpResponse:
    droplet = call.estate.droplet(call.number("droplet"))
    snapshots = [
        views.droplet_snapshot(s)
        for s in call.estate.snapshots.values()
        if s.droplet_id == droplet.id
    ]
    return paged(call, "snapshots", snapshots, f"/v2/droplets/{droplet.id}/snapshots")


OPENAPI = "DigitalOcean's OpenAPI document, 7c1300c"
rests_on(
    "DigitalOcean",
    Source.SCHEMA,
    OPENAPI,
    "GET /v2/account",
    "GET /v2/customers/my/balance",
    "GET /v2/actions",
    "GET /v2/actions/{action}",
    "GET /v2/droplets",
    "GET /v2/droplets/{droplet}",
    "DELETE /v2/droplets/{droplet}",
    "GET /v2/droplets/{droplet}/actions",
    "POST /v2/droplets/{droplet}/actions",
    "GET /v2/droplets/{droplet}/actions/{action}",
    "POST /v2/droplets/actions",
    "GET /v2/droplets/{droplet}/snapshots",
)
rests_on(
    "DigitalOcean",
    Source.DOCUMENT,
    "digitalocean/godo#343, a maintainer: a droplet has two public addresses then",
    "a droplet's networks show its reserved IP after its own address",
)
