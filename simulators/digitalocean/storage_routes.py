"""The operations on volumes and reserved IPs."""

from typing import Any

from simulators.cloud.catalog import region
from simulators.cloud.model import SimulatedVolume, not_found, stamp, unprocessable
from simulators.digitalocean.routing import ApiRequest, empty, paged, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response


def _volume(thing: SimulatedVolume) -> dict[str, Any]:
    return {
        "id": thing.id,
        "name": thing.name,
        "description": "",
        "size_gigabytes": thing.size,
        "region": region(thing.region),
        "droplet_ids": [thing.droplet_id] if thing.droplet_id else [],
        "created_at": stamp(thing.created_at),
        "filesystem_type": "ext4",
        "filesystem_label": "",
        "tags": list(thing.tags),
    }


def _addresses(call: ApiRequest) -> dict[str, dict[str, Any]]:
    """Return every reserved IP by its address: those of droplets, and those that none has."""
    estate = call.estate
    used = {
        d.reserved_ip: _address(d.reserved_ip, d.region, {"id": d.id, "name": d.name})
        for d in estate.droplets.values()
        if d.reserved_ip
    }
    return used | {ip: _address(ip, of, None) for ip, of in estate.storage.addresses.items()}


def _address(ip: str, where: str, droplet: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "ip": ip,
        "droplet": droplet,
        "region": region(where),
        "locked": False,
        "project_id": "4de7ac8b-495b-4884-9a69-1050c6793cd6",
    }


@route("GET", "/v2/volumes", "block_storage:read")
def _volumes(call: ApiRequest) -> HttpResponse:
    shown = [_volume(v) for v in call.estate.storage.volumes.values()]
    return paged(call, "volumes", shown, "/v2/volumes")


@route("GET", "/v2/volumes/{volume}", "block_storage:read")
def _read_volume(call: ApiRequest) -> HttpResponse:
    if call.params["volume"] not in call.estate.storage.volumes:
        raise not_found()
    return json_response(
        200, {"volume": _volume(call.estate.storage.volumes[call.params["volume"]])}
    )


@route("DELETE", "/v2/volumes/{volume}", "block_storage:delete")
def _delete_volume(call: ApiRequest) -> HttpResponse:
    volume = call.estate.storage.volumes.get(call.params["volume"])
    if volume is None:
        raise not_found()
    if volume.droplet_id:
        raise unprocessable("volume must be detached before it is deleted")
    del call.estate.storage.volumes[volume.id]
    return empty(204)


@route("GET", "/v2/reserved_ips", "reserved_ip:read")
def _reserved_ips(call: ApiRequest) -> HttpResponse:
    return paged(call, "reserved_ips", list(_addresses(call).values()), "/v2/reserved_ips")


@route("GET", "/v2/reserved_ips/{ip}", "reserved_ip:read")
def _read_reserved_ip(call: ApiRequest) -> HttpResponse:
    found = _addresses(call).get(call.params["ip"])
    if found is None:
        raise not_found()
    return json_response(200, {"reserved_ip": found})


@route("DELETE", "/v2/reserved_ips/{ip}", "reserved_ip:delete")
def _delete_reserved_ip(call: ApiRequest) -> HttpResponse:
    ip = call.params["ip"]
    if call.estate.storage.addresses.pop(ip, None) is not None:
        return empty(204)
    for droplet in call.estate.droplets.values():
        if droplet.reserved_ip == ip:
            # An assigned one is unassigned and deleted, too.
            droplet.reserved_ip = ""
            return empty(204)
    raise not_found()


rests_on(
    "DigitalOcean",
    Source.SOURCE,
    "pydo 0.44: the operations of volumes and reserved IPs, with the examples in their "
    "documentation; not in the published schema that contract tests read",
    "GET /v2/volumes",
    "GET /v2/volumes/{volume}",
    "DELETE /v2/volumes/{volume}",
    "GET /v2/reserved_ips",
    "GET /v2/reserved_ips/{ip}",
    "DELETE /v2/reserved_ips/{ip}",
)
