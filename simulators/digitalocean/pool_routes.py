"""The operations on pools, load balancers, sizes, snapshots and tags."""

from simulators.answers import Answer, json_answer
from simulators.digitalocean import views
from simulators.digitalocean.routing import Call, empty, paged, route
from simulators.estate import Droplet, Refusal
from simulators.estate.catalog import REGIONS, SIZES, region
from simulators.estate.events import TagRemoved
from simulators.estate.things import Snapshot, not_found, unprocessable

POOLS = "/v2/droplets/autoscale"


@route("GET", POOLS, "droplet:read")
def _pools(call: Call) -> Answer:
    name = call.query.get("name")
    pools = [
        views.pool(call.estate, p) for p in call.estate.pools.values() if not name or p.name == name
    ]
    return paged(call, "autoscale_pools", pools, POOLS)


@route("POST", POOLS, "droplet:create")
def _create_pool(call: Call) -> Answer:
    return json_answer(
        202,
        {"autoscale_pool": views.pool(call.estate, call.estate.scaling.create(dict(call.body)))},
    )


@route("GET", POOLS + "/{pool}", "droplet:read")
def _pool(call: Call) -> Answer:
    return json_answer(
        200,
        {"autoscale_pool": views.pool(call.estate, call.estate.scaling.find(call.params["pool"]))},
    )


@route("PUT", POOLS + "/{pool}", "droplet:create")
def _edit_pool(call: Call) -> Answer:
    pool = call.estate.scaling.edit(call.params["pool"], dict(call.body))
    return json_answer(200, {"autoscale_pool": views.pool(call.estate, pool)})


@route("DELETE", POOLS + "/{pool}", "droplet:delete")
def _delete_pool(call: Call) -> Answer:
    call.estate.scaling.delete(
        call.params["pool"], with_members=call.headers.get("x-dangerous") == "true"
    )
    return empty(202)


@route("DELETE", POOLS + "/{pool}/dangerous", "droplet:delete")
def _delete_pool_and_members(call: Call) -> Answer:
    if call.headers.get("x-dangerous", "").lower() != "true":
        raise Refusal(400, "bad_request", "X-Dangerous header is required")
    call.estate.scaling.delete(call.params["pool"], with_members=True)
    return empty(202)


@route("GET", POOLS + "/{pool}/members", "droplet:read")
def _members(call: Call) -> Answer:
    pool = call.estate.scaling.find(call.params["pool"])
    return paged(
        call,
        "droplets",
        [views.member(call.estate, m) for m in pool.members],
        f"{POOLS}/{pool.id}/members",
    )


@route("GET", POOLS + "/{pool}/history", "droplet:read")
def _history(call: Call) -> Answer:
    pool = call.estate.scaling.find(call.params["pool"])
    return paged(
        call, "history", [views.event(e) for e in pool.history], f"{POOLS}/{pool.id}/history"
    )


@route("GET", "/v2/load_balancers", "load_balancer:read")
def _balancers(call: Call) -> Answer:
    balancers = [views.balancer(call.estate, b) for b in call.estate.balancers.values()]
    return paged(call, "load_balancers", balancers, "/v2/load_balancers")


@route("GET", "/v2/load_balancers/{balancer}", "load_balancer:read")
def _balancer(call: Call) -> Answer:
    balancer = call.estate.balancers.get(call.params["balancer"])
    if balancer is None:
        raise not_found()
    return json_answer(200, {"load_balancer": views.balancer(call.estate, balancer)})


@route("GET", "/v2/sizes", "sizes:read")
def _sizes(call: Call) -> Answer:
    return paged(
        call, "sizes", [size.view() for size in SIZES.values() if size.listed], "/v2/sizes"
    )


@route("GET", "/v2/regions", "regions:read")
def _regions(call: Call) -> Answer:
    return paged(call, "regions", [region(slug) for slug in REGIONS], "/v2/regions")


@route("GET", "/v2/snapshots", "snapshot:read", "image:read")
def _snapshots(call: Call) -> Answer:
    wanted = call.query.get("resource_type") in (None, "droplet")
    return paged(
        call,
        "snapshots",
        [views.snapshot(s) for s in call.estate.snapshots.values()] if wanted else [],
        "/v2/snapshots",
    )


@route("GET", "/v2/snapshots/{snapshot}", "snapshot:read", "image:read")
def _snapshot(call: Call) -> Answer:
    return json_answer(200, {"snapshot": views.snapshot(_find_snapshot(call))})


@route("DELETE", "/v2/snapshots/{snapshot}", "snapshot:delete", "image:delete")
def _delete_snapshot(call: Call) -> Answer:
    snapshot = _find_snapshot(call)
    del call.estate.snapshots[snapshot.id]
    droplet = call.estate.droplets.get(snapshot.droplet_id)
    if droplet is not None:
        droplet.snapshot_ids.remove(snapshot.id)
    return empty(204)


def _find_snapshot(call: Call) -> Snapshot:
    number = call.params["snapshot"]
    if not number.isdigit() or int(number) not in call.estate.snapshots:
        raise not_found()
    return call.estate.snapshots[int(number)]


@route("GET", "/v2/tags", "tag:read")
def _tags(call: Call) -> Answer:
    return paged(
        call,
        "tags",
        [views.tag(call.estate, name) for name in sorted(call.estate.tags)],
        "/v2/tags",
    )


@route("POST", "/v2/tags", "tag:create")
def _create_tag(call: Call) -> Answer:
    name = str(call.body.get("name", ""))
    if not name:
        raise unprocessable("name is invalid")
    call.estate.tags.add(name)
    return json_answer(201, {"tag": views.tag(call.estate, name)})


@route("GET", "/v2/tags/{tag}", "tag:read")
def _tag(call: Call) -> Answer:
    return json_answer(200, {"tag": views.tag(call.estate, _known_tag(call))})


@route("POST", "/v2/tags/{tag}/resources", "tag:create")
def _assign(call: Call) -> Answer:
    name = _known_tag(call)
    if not call.may("droplet:update"):
        raise Refusal(403, "forbidden", "You do not have permission to perform this action.")
    for droplet in _resources(call):
        call.estate.tag(droplet, name)
    return empty(204)


@route("DELETE", "/v2/tags/{tag}/resources", "tag:delete")
def _unassign(call: Call) -> Answer:
    name = _known_tag(call)
    for droplet in _resources(call):
        call.estate.events.emit(TagRemoved(droplet, name))
        call.estate.untag(droplet, name)
    return empty(204)


def _known_tag(call: Call) -> str:
    if call.params["tag"] not in call.estate.tags:
        raise not_found()
    return call.params["tag"]


def _resources(call: Call) -> list[Droplet]:
    resources = call.body.get("resources") or []
    return [
        call.estate.droplet(int(r["resource_id"]))
        for r in resources
        if r.get("resource_type") == "droplet"
    ]
