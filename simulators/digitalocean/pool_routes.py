"""The operations on pools, load balancers, sizes, snapshots and tags."""

from simulators.cloud import Refusal, SimulatedDroplet
from simulators.cloud.catalog import REGIONS, SIZES, region
from simulators.cloud.events import TagRemoved
from simulators.cloud.model import SimulatedSnapshot, not_found, unprocessable
from simulators.digitalocean import views
from simulators.digitalocean.routing import ApiRequest, empty, paged, route
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response

POOLS = "/v2/droplets/autoscale"


@route("GET", POOLS, "droplet:read")
def _pools(call: ApiRequest) -> HttpResponse:
    name = call.query.get("name")
    pools = [
        views.pool(call.estate, p) for p in call.estate.pools.values() if not name or p.name == name
    ]
    return paged(call, "autoscale_pools", pools, POOLS)


@route("POST", POOLS, "droplet:create")
def _create_pool(call: ApiRequest) -> HttpResponse:
    return json_response(
        202,
        {
            "autoscale_pool": views.pool(
                call.estate, call.estate.pool_scaler.create(dict(call.body))
            )
        },
    )


@route("GET", POOLS + "/{pool}", "droplet:read")
def _pool(call: ApiRequest) -> HttpResponse:
    return json_response(
        200,
        {
            "autoscale_pool": views.pool(
                call.estate, call.estate.pool_scaler.find(call.params["pool"])
            )
        },
    )


@route("PUT", POOLS + "/{pool}", "droplet:create", "droplet:update")
def _edit_pool(call: ApiRequest) -> HttpResponse:
    if not all(call.may(scope) for scope in call.estate.pool_edit_scopes):
        raise Refusal(403, "forbidden", "You do not have permission to perform this action.")
    pool = call.estate.pool_scaler.edit(call.params["pool"], dict(call.body))
    return json_response(200, {"autoscale_pool": views.pool(call.estate, pool)})


@route("DELETE", POOLS + "/{pool}", "droplet:delete")
def _delete_pool(call: ApiRequest) -> HttpResponse:
    call.estate.pool_scaler.delete(
        call.params["pool"], with_members=call.headers.get("x-dangerous") == "true"
    )
    return empty(202)


@route("DELETE", POOLS + "/{pool}/dangerous", "droplet:delete")
def _delete_pool_and_members(call: ApiRequest) -> HttpResponse:
    if call.headers.get("x-dangerous", "").lower() != "true":
        raise Refusal(400, "bad_request", "X-Dangerous header is required")
    call.estate.pool_scaler.delete(call.params["pool"], with_members=True)
    return empty(202)


@route("GET", POOLS + "/{pool}/members", "droplet:read")
def _members(call: ApiRequest) -> HttpResponse:
    pool = call.estate.pool_scaler.find(call.params["pool"])
    return paged(
        call,
        "droplets",
        [views.member(call.estate, m) for m in pool.members],
        f"{POOLS}/{pool.id}/members",
    )


@route("GET", POOLS + "/{pool}/history", "droplet:read")
def _history(call: ApiRequest) -> HttpResponse:
    pool = call.estate.pool_scaler.find(call.params["pool"])
    return paged(
        call,
        "history",
        [views.event(e, call.estate.clock_ahead) for e in pool.history],
        f"{POOLS}/{pool.id}/history",
    )


@route("GET", "/v2/load_balancers", "load_balancer:read")
def _balancers(call: ApiRequest) -> HttpResponse:
    balancers = [views.balancer(call.estate, b) for b in call.estate.balancers.values()]
    return paged(call, "load_balancers", balancers, "/v2/load_balancers")


@route("GET", "/v2/load_balancers/{balancer}", "load_balancer:read")
def _balancer(call: ApiRequest) -> HttpResponse:
    balancer = call.estate.balancers.get(call.params["balancer"])
    if balancer is None:
        raise not_found()
    return json_response(200, {"load_balancer": views.balancer(call.estate, balancer)})


@route("GET", "/v2/sizes", "sizes:read")
def _sizes(call: ApiRequest) -> HttpResponse:
    return paged(
        call, "sizes", [size.view() for size in SIZES.values() if size.listed], "/v2/sizes"
    )


@route("GET", "/v2/regions", "regions:read")
def _regions(call: ApiRequest) -> HttpResponse:
    return paged(call, "regions", [region(slug) for slug in REGIONS], "/v2/regions")


@route("GET", "/v2/snapshots", "snapshot:read", "image:read")
def _snapshots(call: ApiRequest) -> HttpResponse:
    wanted = call.query.get("resource_type") in (None, "droplet")
    return paged(
        call,
        "snapshots",
        [views.snapshot(s) for s in call.estate.snapshots.values()] if wanted else [],
        "/v2/snapshots",
    )


@route("GET", "/v2/snapshots/{snapshot}", "snapshot:read", "image:read")
def _snapshot(call: ApiRequest) -> HttpResponse:
    return json_response(200, {"snapshot": views.snapshot(_find_snapshot(call))})


@route("DELETE", "/v2/snapshots/{snapshot}", "snapshot:delete", "image:delete")
def _delete_snapshot(call: ApiRequest) -> HttpResponse:
    snapshot = _find_snapshot(call)
    del call.estate.snapshots[snapshot.id]
    droplet = call.estate.droplets.get(snapshot.droplet_id)
    if droplet is not None:
        droplet.snapshot_ids.remove(snapshot.id)
    return empty(204)


def _find_snapshot(call: ApiRequest) -> SimulatedSnapshot:
    number = call.params["snapshot"]
    if not number.isdigit() or int(number) not in call.estate.snapshots:
        raise not_found()
    return call.estate.snapshots[int(number)]


@route("GET", "/v2/tags", "tag:read")
def _tags(call: ApiRequest) -> HttpResponse:
    return paged(
        call,
        "tags",
        [views.tag(call.estate, name) for name in sorted(call.estate.tags)],
        "/v2/tags",
    )


@route("POST", "/v2/tags", "tag:create")
def _create_tag(call: ApiRequest) -> HttpResponse:
    name = str(call.body.get("name", ""))
    if not name:
        raise unprocessable("name is invalid")
    call.estate.tags.add(name)
    return json_response(201, {"tag": views.tag(call.estate, name)})


@route("DELETE", "/v2/tags/{tag}", "tag:delete")
def _delete_tag(call: ApiRequest) -> HttpResponse:
    name = _known_tag(call)
    for droplet in [d for d in call.estate.droplets.values() if name in d.tags]:
        call.estate.events.emit(TagRemoved(droplet, name))
        call.estate.untag(droplet, name)
    call.estate.tags.discard(name)
    return empty(204)


@route("GET", "/v2/tags/{tag}", "tag:read")
def _tag(call: ApiRequest) -> HttpResponse:
    return json_response(200, {"tag": views.tag(call.estate, _known_tag(call))})


@route("POST", "/v2/tags/{tag}/resources", "tag:create")
def _assign(call: ApiRequest) -> HttpResponse:
    name = _known_tag(call)
    if not call.may("droplet:update"):
        raise Refusal(403, "forbidden", "You do not have permission to perform this action.")
    for droplet in _resources(call):
        call.estate.tag(droplet, name)
    return empty(204)


@route("DELETE", "/v2/tags/{tag}/resources", "tag:delete")
def _unassign(call: ApiRequest) -> HttpResponse:
    name = _known_tag(call)
    for droplet in _resources(call):
        call.estate.events.emit(TagRemoved(droplet, name))
        call.estate.untag(droplet, name)
    return empty(204)


def _known_tag(call: ApiRequest) -> str:
    if call.params["tag"] not in call.estate.tags:
        raise not_found()
    return call.params["tag"]


def _resources(call: ApiRequest) -> list[SimulatedDroplet]:
    resources = call.body.get("resources") or []
    return [
        call.estate.droplet(int(r["resource_id"]))
        for r in resources
        if r.get("resource_type") == "droplet"
    ]


rests_on(
    "DigitalOcean",
    Source.SCHEMA,
    "DigitalOcean's OpenAPI document, 7c1300c",
    "GET /v2/droplets/autoscale",
    "POST /v2/droplets/autoscale",
    "GET /v2/droplets/autoscale/{pool}",
    "PUT /v2/droplets/autoscale/{pool}",
    "DELETE /v2/droplets/autoscale/{pool}",
    "DELETE /v2/droplets/autoscale/{pool}/dangerous",
    "GET /v2/droplets/autoscale/{pool}/members",
    "GET /v2/droplets/autoscale/{pool}/history",
    "GET /v2/load_balancers",
    "GET /v2/load_balancers/{balancer}",
    "GET /v2/sizes",
    "GET /v2/snapshots",
    "GET /v2/snapshots/{snapshot}",
    "GET /v2/tags",
    "POST /v2/tags",
    "GET /v2/tags/{tag}",
    "POST /v2/tags/{tag}/resources",
    "DELETE /v2/tags/{tag}/resources",
)
rests_on(
    "DigitalOcean",
    Source.SOURCE,
    "pydo 0.44: the methods that the bot calls",
    "DELETE /v2/tags/{tag}",
    "POST /v2/droplets",
    "POST /v2/functions/namespaces",
    "DELETE /v2/functions/namespaces/{namespace}",
    "POST /v2/functions/namespaces/{namespace}/triggers",
    "GET /v2/regions",
    "DELETE /v2/snapshots/{snapshot}",
)
