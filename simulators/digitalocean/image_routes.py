"""Lists that the cloud keeps little of: images, SSH keys, projects."""

from simulators.digitalocean.routing import ApiRequest, paged, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse

NOBODY = {
    "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
    "owner_id": 258992,
    "is_default": True,
}


@route("GET", "/v2/images", "image:read")
def _images(call: ApiRequest) -> HttpResponse:
    return paged(call, "images", [], "/v2/images")


@route("GET", "/v2/account/keys", "ssh_key:read")
def _keys(call: ApiRequest) -> HttpResponse:
    keys = [
        {
            "id": number,
            "fingerprint": f"3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:{number % 256:02x}:f5:5d",
            "name": f"key {number}",
            "public_key": "ssh-ed25519 AAAA ops",
        }
        for number in call.estate.ssh_keys
    ]
    return paged(call, "ssh_keys", keys, "/v2/account/keys")


@route("GET", "/v2/projects", "project:read")
def _projects(call: ApiRequest) -> HttpResponse:
    one = {
        "id": "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
        **NOBODY,
        "name": "all",
        "description": "",
        "purpose": "",
        "environment": "",
    }
    return paged(call, "projects", [one], "/v2/projects")


rests_on(
    "DigitalOcean",
    Source.SOURCE,
    "pydo 0.44: lists of which the doctor reads that they can be read",
    "GET /v2/images",
    "GET /v2/account/keys",
    "GET /v2/projects",
)
