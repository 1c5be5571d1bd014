"""The operations on networks (VPCs) and cloud firewalls."""

from typing import Any

from simulators.cloud import Refusal
from simulators.cloud.model import (
    SimulatedFirewall,
    SimulatedNetwork,
    not_found,
    stamp,
    unprocessable,
)
from simulators.digitalocean.routing import ApiRequest, empty, paged, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response

LINGERS = 20.0
"""Seconds for which a network counts as occupied after its last droplet was destroyed."""
SETTLES = 5.0
"""Seconds until a firewall is in force for a new droplet."""


def _network(thing: SimulatedNetwork) -> dict[str, Any]:
    return {
        "id": thing.id,
        "urn": f"do:vpc:{thing.id}",
        "name": thing.name,
        "description": "",
        "region": thing.region,
        "ip_range": "10.200.0.0/20",
        "default": False,
        "created_at": stamp(thing.created_at),
    }


def _firewall(call: ApiRequest, thing: SimulatedFirewall) -> dict[str, Any]:
    new = [
        d.id
        for d in call.estate.droplets.values()
        if set(d.tags) & set(thing.tags) and call.estate.now < d.created_at + SETTLES
    ]
    return {
        "id": thing.id,
        "name": thing.name,
        "status": "waiting" if new else "succeeded",
        "created_at": stamp(thing.created_at),
        "pending_changes": [
            {"droplet_id": number, "removing": False, "status": "waiting"} for number in new
        ],
        "droplet_ids": [],
        "tags": list(thing.tags),
        "inbound_rules": thing.inbound,
        "outbound_rules": thing.outbound,
    }


@route("GET", "/v2/vpcs", "vpc:read")
def _networks(call: ApiRequest) -> HttpResponse:
    own = call.estate.networks
    others = dict.fromkeys(
        d.vpc_uuid for d in call.estate.droplets.values() if d.vpc_uuid not in own
    )
    shown = [
        {"id": uuid, "name": f"vpc-{number}", "ip_range": "10.10.10.0/24"}
        for number, uuid in enumerate(others, 1)
    ]
    return paged(call, "vpcs", [*shown, *map(_network, own.values())], "/v2/vpcs")


@route("POST", "/v2/vpcs", "vpc:create")
def _create_network(call: ApiRequest) -> HttpResponse:
    name, region = str(call.body.get("name", "")), str(call.body.get("region", ""))
    if not name or not region:
        raise unprocessable("name and region are required")
    if any(n.name == name for n in call.estate.networks.values()):
        raise unprocessable("a VPC with this name already exists")
    made = SimulatedNetwork(call.estate.uuid(), name, region, call.estate.now)
    call.estate.networks[made.id] = made
    return json_response(201, {"vpc": _network(made)})


@route("DELETE", "/v2/vpcs/{vpc}", "vpc:delete")
def _delete_network(call: ApiRequest) -> HttpResponse:
    network = call.estate.networks.get(call.params["vpc"])
    if network is None:
        raise not_found()
    inside = any(d.vpc_uuid == network.id for d in call.estate.droplets.values())
    if inside or call.estate.now < network.emptied_at + LINGERS:
        raise Refusal(403, "forbidden", "Can not delete VPC with members")
    del call.estate.networks[network.id]
    return empty(204)


@route("GET", "/v2/firewalls", "firewall:read")
def _firewalls(call: ApiRequest) -> HttpResponse:
    shown = [_firewall(call, wall) for wall in call.estate.firewalls.values()]
    return paged(call, "firewalls", shown, "/v2/firewalls")


@route("POST", "/v2/firewalls", "firewall:create")
def _create_firewall(call: ApiRequest) -> HttpResponse:
    body = call.body
    inbound, outbound = (
        list(body.get("inbound_rules") or []),
        list(body.get("outbound_rules") or []),
    )
    tags = [str(tag) for tag in body.get("tags") or []]
    if not body.get("name") or not (inbound or outbound):
        raise unprocessable("a name and at least one rule are required")
    if any(tag not in call.estate.tags for tag in tags):
        raise unprocessable("tag does not exist")
    if any(w.name == body["name"] for w in call.estate.firewalls.values()):
        raise Refusal(409, "conflict", "duplicate name")
    made = SimulatedFirewall(
        call.estate.uuid(), str(body["name"]), tags, inbound, outbound, call.estate.now
    )
    call.estate.firewalls[made.id] = made
    return json_response(202, {"firewall": _firewall(call, made)})


@route("DELETE", "/v2/firewalls/{firewall}", "firewall:delete")
def _delete_firewall(call: ApiRequest) -> HttpResponse:
    if call.params["firewall"] not in call.estate.firewalls:
        raise not_found()
    del call.estate.firewalls[call.params["firewall"]]
    return empty(204)


rests_on(
    "DigitalOcean",
    Source.SOURCE,
    "pydo 0.44 and DigitalOcean's reference of firewalls and VPCs; terraform-provider-digitalocean "
    "repeats the deletion of a VPC while 403 says that it has members",
    "GET /v2/vpcs",
    "POST /v2/vpcs",
    "DELETE /v2/vpcs/{vpc}",
    "GET /v2/firewalls",
    "POST /v2/firewalls",
    "DELETE /v2/firewalls/{firewall}",
)
