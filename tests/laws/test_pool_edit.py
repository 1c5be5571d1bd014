"""A pool edit changes one field, and nothing when the pool was changed externally before."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.listings import SharedAccount
from services.cloud.parse import pool_of, template_digest
from services.cloud.pool_edit import PoolEditor
from services.cluster.model import Pool
from services.common.clock import loop_clock
from services.common.errors import Refused, Rejected, Unreachable, Unreadable
from tests.support.clusters import law

HARD = ("#!/bin/bash -x\nexport DO_TOKEN=dop_v1_x\n", "ñ 🎥 \u2028 \x00 \\u0041", "null")
texts = st.text(min_size=1, max_size=60) | st.sampled_from(HARD)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a pool as DigitalOcean may return it.

    With known and unknown keys; a number of 0 is optional.
    """
    template = draw(st.dictionaries(st.text(min_size=1, max_size=12), values, max_size=5))
    template |= {
        "size": draw(st.sampled_from(("s-4vcpu-8gb", "c-4"))),
        "user_data": draw(texts),
        "tags": draw(st.none() | st.just(["t"])),
    }
    template |= {
        "region": "ams3",
        "image": draw(st.sampled_from(("195932981", "ubuntu-24-04-x64"))),
        "ssh_keys": ["372862"],
    }
    config = draw(
        st.dictionaries(st.sampled_from(("cooldown_minutes", "future_key")), values, max_size=2)
    )
    target = draw(st.integers(0, 1000))
    if target or draw(st.booleans()):
        config |= {"target_number_instances": target}
    extra = draw(
        st.dictionaries(
            st.sampled_from(("updated_at", "created_at", "new_thing")), values, max_size=3
        )
    )
    name = draw(st.sampled_from(("acme-media-node-pool", "ñame")))
    known = {
        "id": "p-1",
        "name": name,
        "status": "active",
        "active_resources_count": draw(st.integers(0, 1000)),
    }
    return {**extra, **known, "config": config, "droplet_template": template}


def seen_of(pool: dict[str, Any]) -> Pool:
    """Return what an observation shows of the pool."""
    seen = pool_of(pool, "reading")
    assert seen is not None
    return seen


POOL: dict[str, Any] = {
    "id": "p-1",
    "name": "acme-media-node-pool",
    "status": "active",
    "active_resources_count": 3,
    "config": {"target_number_instances": 3},
    "droplet_template": {"size": "c-4", "user_data": "x"},
}


class Api:
    """DigitalOcean with one pool: reads return what was PUT last."""

    def __init__(self, pool: dict[str, Any], *, mangles: bool = False) -> None:
        self.stored = copy.deepcopy(pool)
        self.puts: list[dict[str, Any]] = []
        self.mangles = mangles

    async def pool(self, _pool_id: str) -> dict[str, Any]:
        return copy.deepcopy(self.stored)

    async def put_pool(self, _pool_id: str, body: dict[str, Any]) -> dict[str, Any]:
        self.puts.append(copy.deepcopy(body))
        self.stored |= copy.deepcopy(body)
        if self.mangles:
            self.stored["droplet_template"]["user_data"] += "x"
        return self.stored

    def __getattr__(self, name: str) -> Any:
        return name  # its listings are not used here


def edit(pool: dict[str, Any], api: Api, *, number: int | None = None, size: str = "") -> None:
    """Edit the pool like a run whose last observation showed `pool`."""

    async def story() -> None:
        clock = loop_clock(0.0)
        client: Any = api
        editor = PoolEditor(SharedAccount(client, clock), client)
        await (
            editor.set_target(seen_of(pool), number)
            if number is not None
            else editor.set_size(seen_of(pool), size)
        )

    asyncio.run(story())


@law
@given(pools(), st.integers(0, 1000))
def test_the_number_and_nothing_else(pool: dict[str, Any], number: int) -> None:
    api = Api(pool)
    edit(pool, api, number=number)
    if number == seen_of(pool).target:
        assert api.puts == [], "nothing to change, so nothing is written"
        return
    (body,) = api.puts
    assert body == {
        "name": pool["name"],
        "config": {**pool["config"], "target_number_instances": number},
        "droplet_template": pool["droplet_template"],
    }
    assert body["config"]["target_number_instances"] == number, "a 0 is sent as 0"


@law
@given(pools(), st.sampled_from(("s-4vcpu-8gb", "c-4", "c-8")))
def test_the_size_and_nothing_else(pool: dict[str, Any], size: str) -> None:
    api = Api(pool)
    edit(pool, api, size=size)
    if size == pool["droplet_template"]["size"]:
        assert api.puts == []
        return
    (body,) = api.puts
    assert body == {
        "name": pool["name"],
        "config": pool["config"],
        "droplet_template": {**pool["droplet_template"], "size": size},
    }


@law
@given(pools(), pools())
def test_an_external_change_is_not_overwritten(seen: dict[str, Any], now: dict[str, Any]) -> None:
    for change in ({"number": 1001}, {"size": "c-8"}):
        api = Api(now)
        if replace(seen_of(now), name=seen_of(seen).name) == seen_of(seen):
            continue  # a new name is kept by the edit
        with pytest.raises(Refused, match="outside the bot"):
            edit(seen, api, **change)
        assert api.puts == []


@law
@given(pools(), st.sampled_from(("", None)))
def test_without_its_user_data_nothing_is_written(pool: dict[str, Any], empty: str | None) -> None:
    pool["droplet_template"]["user_data"] = empty
    api = Api(pool)
    with pytest.raises(Refused, match="did not return the user_data"):
        edit(pool, api, number=1001)
    assert api.puts == []


@law
@given(pools())
def test_a_template_that_reads_back_changed_is_an_error_without_its_content(
    pool: dict[str, Any],
) -> None:
    pool["droplet_template"]["user_data"] = "export TOKEN=dop_v1_canary"
    for change in ({"number": 1001}, {"size": "c-8"}):
        with pytest.raises(Rejected, match="is not as written after the edit") as raised:
            edit(pool, Api(pool, mangles=True), **change)
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "number"),
    [
        ({"target_number_instances": 3}, 3),
        ({"target_number_instances": 0}, 0),
        ({"cooldown_minutes": 10}, 0),
        ({}, 0),
        ({"min_instances": 1, "max_instances": 5}, None),
        ({"min_instances": 1}, None),
        ({"max_instances": 5, "target_number_instances": 2}, None),
    ],
)
def test_a_number_that_is_left_out_is_zero_and_a_pool_that_scales_has_none(
    config: dict[str, Any], number: int | None
) -> None:
    seen = pool_of({**POOL, "config": config}, "reading")
    assert (seen.target if seen else None) == number


@pytest.mark.parametrize("without", [{"config": None}, {}])
def test_a_pool_that_shows_no_config_is_at_zero_only_when_it_is_empty(
    without: dict[str, Any],
) -> None:
    pool = {key: value for key, value in POOL.items() if key != "config"} | without
    assert seen_of(pool | {"active_resources_count": 0}).target == 0
    with pytest.raises(Unreadable, match="no readable config"):
        pool_of(pool, "reading")


@pytest.mark.parametrize("number", ["three", -1, True, [], 2.5])
def test_an_invalid_number_is_not_zero(number: object) -> None:
    with pytest.raises(Unreadable, match="target_number_instances"):
        pool_of({**POOL, "config": {"target_number_instances": number}}, "reading")


def test_the_order_in_which_a_template_is_read_makes_no_difference() -> None:
    one: dict[str, Any] = {
        "size": "c-4",
        "tags": ["a", "b"],
        "ssh_keys": ["1", "2"],
        "new": {"x": [{"b": 1}, {"a": 2}], "y": 2},
    }
    other: dict[str, Any] = {
        "new": {"y": 2, "x": [{"a": 2}, {"b": 1}]},
        "ssh_keys": ["2", "1"],
        "tags": ["b", "a"],
        "size": "c-4",
    }
    assert template_digest(one) == template_digest(other)
    assert len(template_digest(one)) == 64


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"size": "c-8"},
            {"tags": ["a"]},
            {"tags": ["a", "b", "b"]},
            {"tags": ["a", "c"]},
            {"tags": None},
            {"tags": "ab"},
        ),
        *(
            {"tags": ["2", "1"], "ssh_keys": ["a", "b"]},
            {"extra": {"x": 2, "y": 1}},
            {"user_data": "y"},
            {"new": []},
        ),
    ],
)
def test_a_real_change_of_a_template_still_reads_as_one(change: dict[str, Any]) -> None:
    one: dict[str, Any] = {
        "size": "c-4",
        "tags": ["a", "b"],
        "ssh_keys": ["1", "2"],
        "extra": {"x": 1, "y": 2},
        "user_data": "x",
    }
    assert template_digest(one) != template_digest({**one, **change})


def test_a_template_in_another_order_is_edited_and_put_back_as_it_was_read() -> None:
    template = {"size": "c-4", "user_data": "x", "tags": ["b", "a"], "ssh_keys": ["2", "1"]}
    seen = {**POOL, "droplet_template": {**template, "tags": ["a", "b"], "ssh_keys": ["1", "2"]}}
    api = Api({**POOL, "droplet_template": template})
    edit(seen, api, number=2)
    (body,) = api.puts
    assert body["droplet_template"] == template


@pytest.mark.parametrize("status", ["deleting", "error", "weighing"])
def test_a_pool_that_is_not_active_is_not_edited(status: str) -> None:
    for change in ({"number": 2}, {"size": "c-8"}):
        api = Api(POOL | {"status": status})
        with pytest.raises(
            Unreachable, match=f'"{status}"; it is changed only while it is "active"'
        ):
            edit(POOL, api, **change)
        assert api.puts == []


def test_a_different_number_is_an_external_change() -> None:
    api = Api(POOL | {"config": {"target_number_instances": 5}})
    with pytest.raises(Refused, match="acme-media-node-pool was just set to 5 outside the bot"):
        edit(POOL, api, number=2)
    assert api.puts == []
