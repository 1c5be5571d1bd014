"""Looks survive any answer of DigitalOcean: unreadable is unknown, one odd answer is ignored."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.cloud.confirm import LOOKS, SECONDS
from services.cluster.model import EVERYTHING, Cluster, Fact, FleetKind
from services.common.errors import (
    Forbidden,
    NotFound,
    Refused,
    Rejected,
    Unconfirmed,
    Unreachable,
    Unreadable,
)
from services.procedures import Scale, Shutdown
from services.procedures.plan import make_plan
from tests.support import virtual
from tests.support.clusters import law
from tests.support.observed_world import ObservedWorld

Json = Any
PARTS = (
    "/v2/droplets",
    "/v2/droplets/autoscale",
    "/members",
    "/v2/functions/namespaces",
    "/v2/sizes",
    "/v2/account",
    "/v2/snapshots",
)
ODD: tuple[Json, ...] = (
    None,
    True,
    0,
    -1,
    3,
    2.5,
    "",
    "x",
    "3",
    "acme-media-node-1",
    [],
    [None],
    [1],
    {},
    {"v4": None},
    {"id": 1},
)
Where = list[int]


# Any shape


def bent(body: Json, where: Where, value: Json, *, drop: bool) -> Json:
    """Return the body with the value at the path `where` changed or removed, if it exists."""
    body = copy.deepcopy(body)
    inner: Json = body
    holder: Json = None
    key: Json = None
    for step in where:
        if not isinstance(inner, dict | list) or not inner:
            break
        holder, key = (
            inner,
            sorted(inner)[step % len(inner)] if isinstance(inner, dict) else step % len(inner),
        )
        inner = holder[key]
    if holder is None:
        return value
    if drop and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = copy.deepcopy(value)
    return body


odd_values: st.SearchStrategy[Json] = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(("id", "name", "v4", "slug")), inner, max_size=2)
    ),
    max_leaves=4,
)
ways = st.lists(st.integers(0, 40), min_size=1, max_size=6)
changes = st.lists(
    st.tuples(st.sampled_from(PARTS), ways, odd_values, st.booleans()), min_size=1, max_size=3
)
kinds = st.sampled_from(("pool", "pool", "fixed", "autoscaler"))


def may_be_media(entry: Json, members: set[int]) -> bool:
    """Decide by the answer alone, in doubt on the safe side."""
    name, tags = entry.get("name"), entry.get("tags") or []
    if entry.get("id") in members or not isinstance(name, str) or not isinstance(tags, list):
        return True
    if name.startswith("acme-master-node-"):
        return False
    return name.startswith("acme-media-") or any(
        not isinstance(t, str) or t in ("acme-media-node-tag", "acme-draining") for t in tags
    )


class Bent:
    """Changes the answers of a look, and records what arrived."""

    def __init__(self, bends: list[tuple[str, Where, Json, bool]]) -> None:
        self._bends = bends
        self.arrived: dict[str, Json] = {}

    def __call__(self, path: str, body: Json) -> Json:
        for part, where, value, drop in self._bends:
            if path == part or (part == "/members" and path.endswith(part)):
                body = bent(body, where, value, drop=drop)
        self.arrived["/members" if path.endswith("/members") else path] = body
        return body

    def media(self) -> set[str]:
        """Return the droplets that may be media nodes of the stack."""
        listed = self.arrived.get("/members") or {"droplets": []}
        members = {
            m["droplet_id"] for m in listed["droplets"] if isinstance(m.get("droplet_id"), int)
        }
        return {
            str(e.get("id"))
            for e in self.arrived["/v2/droplets"]["droplets"] or []
            if may_be_media(e, members)
        }


@law
@example("pool", [("/v2/droplets", [0, 6, 7], None, True)])
@given(kinds, changes)
def test_whatever_arrives_is_read_or_not_seen_and_no_node_is_overlooked(
    kind: str, bends: list[tuple[str, Where, Json, bool]]
) -> None:
    bend = Bent(bends)

    async def story() -> None:
        sight = ObservedWorld(bend, kind=kind)
        try:
            cluster = await sight.look()
        except Unreachable:
            return
        assert len(cluster.media) >= len(bend.media())

    virtual.run(story())


@law
@given(kinds, changes)
def test_who_tolerates_it_sees_the_rest_and_is_told_what_is_missing(
    kind: str, bends: list[tuple[str, Where, Json, bool]]
) -> None:
    whole = Bent([])

    async def story() -> tuple[Cluster, Cluster | None, str]:
        sight = ObservedWorld(whole, kind=kind)
        before = await sight.look()
        sight = ObservedWorld(Bent(bends), kind=kind)
        try:
            return before, await sight.look(tolerates=EVERYTHING), ""
        except Unreadable as error:
            return before, None, error.listing

    before, cluster, unread = virtual.run(story())
    if cluster is None:
        assert unread == "listing droplets", "without the list of droplets nothing is seen at all"
        return
    unseen = {fact for fact, _ in cluster.unseen}
    assert cluster.known == before.known - unseen
    if unseen & {Fact.DROPLETS, Fact.POOL}:
        assert cluster.problem
        with pytest.raises(Refused):
            make_plan(cluster, Shutdown())
    for fact, why in cluster.unseen:
        assert cluster.missing_facts_reason(frozenset({fact})), why
    if Fact.SIZES not in unseen and all(part != "/v2/sizes" for part, *_ in bends):
        assert cluster.sizes == before.sizes


# Shapes that have a name


def last(key: str, field: str, value: Json) -> Callable[[str, Json], Json]:
    """Change one field of the last entry of that list."""

    def bend(_path: str, body: Json) -> Json:
        if body.get(key) and field in body[key][-1]:
            body[key][-1][field] = value
        return body

    return bend


def foreign(**fields: Json) -> Callable[[str, Json], Json]:
    """Return one more droplet, which is not of the stack."""

    def bend(path: str, body: Json) -> Json:
        if path == "/v2/droplets":
            body["droplets"].append(
                {**body["droplets"][-1], "id": 1, "name": "x", "tags": [], **fields}
            )
        return body

    return bend


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (
            last("autoscale_pools", "droplet_template", None),
            "autoscale pools: acme-media-node-pool has no readable droplet_template",
        ),
        (
            last("autoscale_pools", "name", None),
            "listing autoscale pools: id [0-9a-f-]+ has no readable name",
        ),
        (
            last("autoscale_pools", "active_resources_count", "many"),
            "acme-media-node-pool has no readable active_resources_count",
        ),
        (
            last("droplets", "droplet_id", None),
            "listing the members of the pool: an entry has no readable droplet_id",
        ),
        (
            last("droplets", "status", None),
            "listing (droplets|the members of the pool): .* has no readable status",
        ),
        (
            last("droplets", "tags", "acme"),
            "listing droplets: acme-media-node-pool-[0-9a-f-]+ has no readable tags",
        ),
        (
            last("droplets", "locked", "no"),
            "listing droplets: acme-media-node-pool-[0-9a-f-]+ has no readable locked",
        ),
        (last("droplets", "created_at", "yesterday"), "no readable created_at"),
        (last("droplets", "name", None), "listing droplets: id [0-9]+ has no readable name"),
        (foreign(name=None, status=None), "listing droplets: id 1 has no readable name"),
        (foreign(tags=[1], status=None), "listing droplets: x has no readable (tags|status)"),
        (
            last("namespaces", "label", None),
            "listing functions namespaces: an entry has no readable label",
        ),
    ],
)
def test_what_may_be_ours_and_cannot_be_read_was_not_seen(
    bend: Callable[[str, Json], Json], says: str
) -> None:
    async def story() -> None:
        sight = ObservedWorld(bend, kind="autoscaler" if "namespaces" in says else "pool")
        with pytest.raises(Unreadable, match=says) as raised:
            await sight.look()
        assert "user_data" not in str(raised.value)
        seen = await sight.look(tolerates=EVERYTHING)
        assert len(seen.masters) == 4
        assert str(raised.value) in [why for _, why in seen.unseen]

    virtual.run(story())


@pytest.mark.parametrize(
    "bend",
    [
        *(
            foreign(tags=None),
            foreign(tags=None, networks=None),
            foreign(status=None, locked="x"),
            foreign(id=None),
            foreign(size=None),
        ),
        lambda path, body: (
            body | {"autoscale_pools": [*body["autoscale_pools"], {"name": "x"}]}
            if path.endswith("/autoscale")
            else body
        ),
        lambda path, body: (
            body | {"namespaces": [{"label": "x", "namespace": None}]}
            if path.endswith("/namespaces")
            else body
        ),
    ],
)
def test_what_is_surely_another_s_is_passed_over(bend: Callable[[str, Json], Json]) -> None:
    async def story() -> None:
        cluster = await ObservedWorld(bend).look()
        assert (len(cluster.masters), len(cluster.media), cluster.kind, cluster.problem) == (
            4,
            2,
            FleetKind.POOL,
            "",
        )
        assert cluster.unseen == ()

    virtual.run(story())


@pytest.mark.parametrize(
    "networks",
    [None, {}, {"v4": None}, {"v4": "none"}, {"v4": [None, {"type": "public"}, 3]}, [], "none"],
)
def test_a_node_whose_networks_cannot_be_read_is_there_without_an_address(networks: Json) -> None:
    async def story() -> None:
        cluster = await ObservedWorld(last("droplets", "networks", networks)).look()
        assert [n.droplet.address == "" for n in cluster.media] == [False, True]
        assert all(n.droplet.active for n in cluster.media)

    virtual.run(story())


@pytest.mark.parametrize(
    "size",
    [
        None,
        {},
        {"price_hourly": None},
        {"price_hourly": "dear"},
        {"price_hourly": 0},
        {"price_hourly": -1},
    ],
)
def test_a_price_that_cannot_be_read_is_unknown_and_not_nothing(size: Json) -> None:
    async def story() -> None:
        cluster = await ObservedWorld(last("droplets", "size", size)).look()
        assert [n.droplet.hourly for n in cluster.media] == [Decimal("0.07143"), None]
        plan = make_plan(cluster, Shutdown())
        assert (plan.saves, plan.stays_billed) == (None, 4 * Decimal("0.07143"))

    virtual.run(story())


def test_what_is_not_essential_is_unknown_when_it_cannot_be_read() -> None:
    def bend(path: str, body: Json) -> Json:
        return (
            body | {"sizes": 3, "account": {}, "snapshots": {}, "history": "none"}
            if path.endswith(unessential)
            else body
        )

    unessential = ("/sizes", "/account", "/snapshots", "/history")

    async def story() -> None:
        sight = ObservedWorld(bend)
        pool = sight.town.estate.pool("acme")
        sight.town.estate.pool_scaler.fail(pool)
        pool.members.pop()
        with pytest.raises(
            Unreadable, match="listing snapshots: the answer has no readable snapshots"
        ):
            await sight.look()
        cluster = await sight.look(tolerates=frozenset({Fact.SNAPSHOTS}))
        assert (cluster.sizes, cluster.snapshots, cluster.droplet_limit) == ((), None, None)
        assert dict(cluster.unseen).keys() == {Fact.SIZES, Fact.SNAPSHOTS}
        assert cluster.pool is not None
        assert "DigitalOcean's reason is unknown (listing the history" in cluster.pool.trouble
        with pytest.raises(Refused, match="it is changed only while it is"):
            make_plan(cluster, Shutdown())

    virtual.run(story())


def test_a_size_that_cannot_be_read_takes_none_of_the_others_with_it() -> None:
    async def story() -> None:
        whole = await ObservedWorld().look()
        cluster = await ObservedWorld(last("sizes", "disk", None)).look()
        assert cluster.sizes == whole.sizes[:-1]
        assert (
            cluster.missing_facts_reason(frozenset({Fact.SIZES}))
            == f"listing droplet sizes: {whole.sizes[-1].slug} has no readable disk"
        )

    virtual.run(story())


# One odd answer


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(
            ("pool", part)
            for part in ("/v2/droplets", "/v2/droplets/autoscale", "/v2/droplets/autoscale/")
        ),
        *(
            ("autoscaler", part)
            for part in ("/v2/functions/namespaces", "/v2/functions/namespaces/")
        ),
        *(("none", part) for part in ("/v2/tags/",)),
    ],
)
def test_one_refusal_of_what_was_answered_before_is_not_believed(
    kind: str, path: str, status: int
) -> None:
    async def story() -> None:
        sight = ObservedWorld(
            media=0 if kind == "none" else 2, kind="autoscaler" if kind == "none" else kind
        )
        if kind == "none":
            sight.town.estate.functions.namespaces.clear()
        before = await sight.look()
        sight.refuse(status, path)
        at = sight.clock.now()
        if path.endswith("/") and kind == "pool":
            sight.town.estate.power.destroy(
                before.media[0].id
            )  # so that the members are listed again
        with pytest.raises(
            Unconfirmed, match=r"not confirmed yet: needs 3 observations over 60 s"
        ) as raised:
            await sight.look()
        assert raised.value.first_seen == pytest.approx(at, abs=1)
        assert raised.value.text == str(raised.value)
        assert (await sight.look()).kind is before.kind

    virtual.run(story())


def test_a_refusal_is_believed_after_three_looks_over_a_minute() -> None:
    async def story() -> None:
        sight = ObservedWorld()
        await sight.look()
        sight.refuse(401, "/v2/droplets", times=-1)
        for _ in range(LOOKS + 2):
            with pytest.raises(Unconfirmed):
                await sight.look()
        await sight.clock.sleep(SECONDS)
        with pytest.raises(Forbidden, match="the token was refused"):
            await sight.look()
        sight.refuse(401, "/v2/droplets")
        with pytest.raises(Forbidden, match="the token was refused"):
            await sight.look()
        await sight.look()
        sight.refuse(401, "/v2/droplets")
        with pytest.raises(Unconfirmed):
            await sight.look()

    virtual.run(story())


def test_two_looks_far_apart_are_not_enough() -> None:
    async def story() -> None:
        sight = ObservedWorld()
        await sight.look()
        sight.refuse(403, "/v2/droplets", times=2)
        for _ in range(2):
            with pytest.raises(Unconfirmed):
                await sight.look()
            await sight.clock.sleep(10 * SECONDS)
        assert (await sight.look()).problem == ""

    virtual.run(story())


def test_what_was_never_answered_is_refused_at_once() -> None:
    async def story() -> None:
        sight = ObservedWorld()
        sight.refuse(401, "/v2/droplets")
        with pytest.raises(Forbidden):
            await sight.look()

    virtual.run(story())


@pytest.mark.parametrize(
    ("kind", "path"),
    [("pool", "/v2/droplets/autoscale"), ("autoscaler", "/v2/functions/namespaces")],
)
def test_another_kind_of_fleet_is_not_believed_when_it_shows_once(kind: str, path: str) -> None:
    """Without nodes nothing else shows it: masters would stop under an unpaused autoscaler."""

    async def story() -> None:
        sight = ObservedWorld(kind=kind)
        sight.town.estate.tags.add("acme-draining")
        assert (await sight.look()).kind.value == kind
        for droplet in sight.town.estate.media("acme"):
            droplet.tags.clear()
        await _empty(sight, kind)
        sight.town.faults.add("digitalocean", "list-empty", f"GET {path}")
        with pytest.raises(Unconfirmed, match=r"acme is now not visible, and was an auto"):
            await sight.look()
        assert (await sight.look()).kind.value == kind

    virtual.run(story())


async def _empty(sight: ObservedWorld, kind: str) -> None:
    """No media node is left."""
    estate = sight.town.estate
    if kind == "pool":
        pool = estate.pool("acme")
        template = estate.pool_scaler.shown_template(pool)
        estate.pool_scaler.edit(
            pool.id,
            {
                "name": pool.name,
                "config": {"target_number_instances": 0},
                "droplet_template": template,
            },
        )
        await sight.clock.sleep(300)
    else:
        for droplet in list(estate.media("acme")):
            estate.power.destroy(droplet.id)
    await sight.look()


def test_another_kind_of_fleet_counts_when_it_is_seen_again_after_a_minute() -> None:
    async def story() -> None:
        sight = ObservedWorld(media=0, kind="autoscaler")
        sight.town.estate.tags.add("acme-draining")
        await sight.look()
        sight.town.faults.add(
            "digitalocean", "list-empty", "GET /v2/functions/namespaces", times=-1
        )
        for _ in range(LOOKS - 1):
            with pytest.raises(Unconfirmed):
                await sight.look()
            seen = await sight.look(tolerates=EVERYTHING)
            assert "not confirmed yet" in seen.missing_facts_reason(frozenset({Fact.POOL}))
        await sight.clock.sleep(SECONDS)
        assert (await sight.look()).kind is FleetKind.NONE

    virtual.run(story())


@pytest.mark.parametrize("fault", ["list-empty", "list-one-missing"])
def test_a_member_that_is_missing_from_one_list_is_a_member_still(fault: str) -> None:
    async def story() -> None:
        sight = ObservedWorld(media=3)
        await sight.look()
        path = f"/v2/droplets/autoscale/{sight.town.estate.pool('acme').id}/members"
        sight.town.faults.add("digitalocean", fault, f"GET {path}", times=4)
        for _ in range(2):
            assert [n.member_status for n in (await sight.look()).media] == ["active"] * 3
        await sight.clock.sleep(SECONDS)
        gone = await sight.look()
        missing = 3 if fault == "list-empty" else 1
        assert [n.member_status for n in gone.media].count(None) == missing, (
            "the pool has dropped it, and its droplet stays"
        )
        sight.town.faults.clear()
        assert [n.member_status for n in (await sight.look()).media] == ["active"] * 3

    virtual.run(story())


def test_a_member_that_has_gone_with_its_droplet_is_gone_at_once() -> None:
    async def story() -> None:
        sight = ObservedWorld(media=3)
        before = await sight.look()
        sight.town.estate.power.destroy(before.media[-1].id)
        pool = sight.town.estate.pool("acme")
        pool.members = [m for m in pool.members if m.droplet_id != before.media[-1].id]
        assert before.media[-1].id not in {n.id for n in (await sight.look()).media}

    virtual.run(story())


# The state of a pool


@pytest.mark.parametrize("status", ["deleting", "error"])
def test_a_pool_that_takes_no_edit_says_so_before_anything_is_done(status: Any) -> None:
    async def story() -> None:
        sight = ObservedWorld(media=2)
        sight.town.estate.pool_scaler.fail(sight.town.estate.pool("acme"), status)
        cluster = await sight.look()
        assert cluster.pool is not None
        assert cluster.pool.status == status
        for procedure in (Shutdown(), Scale(1)):
            with pytest.raises(
                Refused,
                match=f'DigitalOcean reports the pool as "{status}"; '
                'it is changed only while it is "active"',
            ):
                make_plan(cluster, procedure)

    virtual.run(story())


# What it costs


def test_a_look_at_a_small_account_asks_for_each_list_once() -> None:
    async def story() -> None:
        sight = ObservedWorld()
        await sight.look()
        members = f"/v2/droplets/autoscale/{sight.town.estate.pool('acme').id}/members"
        first = [
            "/v2/account",
            "/v2/droplets",
            "/v2/droplets/autoscale",
            members,
            "/v2/functions/namespaces",
            "/v2/sizes",
            "/v2/snapshots",
        ]
        assert sorted(sight.asked()) == sorted(first)
        await sight.look()
        assert sorted(sight.asked()) == sorted(
            ["/v2/droplets", "/v2/droplets/autoscale", members, "/v2/snapshots"]
        )

    virtual.run(story())


@pytest.mark.parametrize("which", ["acme-master-node-3", "acme-media-node-pool"])
def test_an_account_of_many_droplets_is_read_whole_while_others_come_and_go(which: str) -> None:
    """A deletion between two pages hid one from both, and the total agreed."""

    async def story() -> None:
        sight = ObservedWorld(media=1)
        estate = sight.town.estate
        estate.neighbours.move_in(
            230, around=next(d for d in estate.droplets.values() if which in d.name)
        )
        sight.town.faults.add("digitalocean", "churn", "GET /v2/droplets", times=1)
        cluster = await sight.look()
        assert (cluster.problem, len(cluster.masters), len(cluster.media)) == ("", 4, 1)
        assert cluster.droplets_in_account == len(estate.droplets)
        sight.asked()
        await sight.look()
        assert sight.asked().count("/v2/droplets") == 2 * 2 - 1

    virtual.run(story())


def test_a_rejection_that_is_no_odd_answer_is_still_one() -> None:
    assert issubclass(NotFound, Rejected)
    assert issubclass(Unconfirmed, Unreachable)
    assert issubclass(Unreadable, Unreachable)
